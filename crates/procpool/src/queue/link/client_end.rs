//! The participant's end of a link.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::queue::wire::Header;

use super::client_board::ClientBoard;
use super::end::{Drained, Intake, LinkError, Written};
use super::layout::Transport;

/// The participant's end of a link. Every method may be called from any thread.
#[derive(Debug)]
pub(crate) struct ClientEnd {
    board: ClientBoard,
}

/// What [`ClientEnd::set_waits`] noted: a wait for the events after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted(u32);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waited {
    /// Something happened, or perhaps nothing: look.
    Roused,
    TimedOut,
}

/// The right to write at this end, alone: several records go in order and side by side.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    end: &'a ClientEnd,
}

impl ClientEnd {
    /// The board.
    pub(crate) fn board(&self) -> &ClientBoard {
        &self.board
    }

    /// What carries the records.
    pub(crate) fn transport(&self) -> Transport {
        todo!()
    }

    /// Writes one record, or nothing of it. On a socket this waits until the hub has read enough, which it always does.
    /// Does not ring.
    ///
    /// # Panics
    /// If the parts are longer than a record may be.
    pub(crate) fn write(&self, header: &Header, parts: &[&[u8]]) -> Written {
        self.writer().write(header, parts)
    }

    /// Waits until no other thread writes.
    pub(crate) fn writer(&self) -> Writer<'_> {
        todo!()
    }

    /// Asks to be roused once the hub has made room in the pipe. Then try to write once more before waiting.
    pub(crate) fn want_room(&self) {
        todo!()
    }

    /// Makes the hub look at what was written: after one record or several.
    pub(crate) fn ring_bell(&self) {
        todo!()
    }

    /// Gives a descriptor to the hub: the parent's end of the link of a process that this one has started. Does ring.
    pub(crate) fn introduce(&self, _number: u32, _socket: BorrowedFd<'_>) -> Written {
        todo!()
    }

    /// Takes what the hub wrote, up to what was there when the call began.
    ///
    /// # Errors
    /// The link is of no more use.
    pub(crate) fn read(&self, _intake: &mut impl Intake) -> Result<Drained, LinkError> {
        todo!()
    }

    /// Announces a wait. Look at what is waited for after this and before [`wait`](ClientEnd::wait): whatever changes
    /// after that look ends the wait.
    pub(crate) fn set_waits(&self) -> Noted {
        todo!()
    }

    /// Waits for the next event, if there was none since `noted`, or until the deadline.
    pub(crate) fn wait(&self, _noted: Noted, _deadline: Option<Instant>) -> Waited {
        todo!()
    }
}

impl Writer<'_> {
    /// [`ClientEnd::write`].
    pub(crate) fn write(&mut self, _header: &Header, _parts: &[&[u8]]) -> Written {
        todo!()
    }
}
