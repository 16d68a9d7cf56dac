//! What both ends of a link have in common.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use thiserror::Error;

use crate::queue::wire::{Begun, Header, WireError};

/// What became of a record that was to be written: it went whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Written {
    Whole,
    /// There is no room for it now.
    Full,
    /// The other end is gone.
    Gone,
}

/// How a look at what the other end wrote ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Drained {
    /// All that was there when the look began has been read, and nothing more has been seen.
    All,
    /// More has come meanwhile, or the intake stopped: look again.
    More,
    /// Somebody else is reading (clients only; the hub's end has one owner).
    Busy,
    /// The other end is closed, and all that it wrote has been read.
    Ended,
}

/// A whole message that has come.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) header: Header,
    pub(crate) body: Bytes,
    /// With `Introduce`, and never otherwise.
    pub(crate) passenger: Option<OwnedFd>,
}

/// Takes what is read from a link.
pub(crate) trait Intake {
    /// How long a message with this header may be, beside those of its kind that have begun at its slot and not ended.
    /// Asked when a message begins.
    fn limit(&self, header: &Header, begun: Begun) -> u64;

    /// Takes one message. On `Break` nothing more is taken from this look; the message counts as taken.
    fn take(&mut self, incoming: Incoming) -> ControlFlow<()>;
}

/// Without a limit: for clients, who believe the hub.
impl<F: FnMut(Incoming) -> ControlFlow<()>> Intake for F {
    fn limit(&self, _: &Header, _: Begun) -> u64 {
        u64::MAX
    }

    fn take(&mut self, incoming: Incoming) -> ControlFlow<()> {
        self(incoming)
    }
}

/// Why a link cannot be used any more.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// The other end wrote what it cannot have written rightly.
    #[error("the link carried {0}")]
    Wire(#[from] WireError),
    #[error("the link's socket failed: {0}")]
    Io(#[from] io::Error),
}
