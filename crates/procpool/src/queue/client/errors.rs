//! Why something cannot be done.

use std::fmt;
use std::sync::Arc;

use crate::queue::key::QueueState;

/// Why queues cannot be used in this process (any more), as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Arc<str>);

impl Broken {
    pub(super) fn new(why: impl fmt::Display) -> Broken {
        Broken(why.to_string().into())
    }

    /// In a copy of the process that the client was made in.
    pub(super) fn forked() -> Broken {
        Broken("a process made by fork cannot use the queues of the process that it is a copy of".into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Somebody closed the queue.
    Closed,
    /// No receiver is left.
    Disconnected,
    /// It could not be sent even if the queue were empty. In bytes.
    TooLarge {
        len: u64,
        limit: u64,
    },
    Broken(Broken),
}

impl Refused {
    /// What a queue's state means for a sender.
    pub(super) fn of(state: QueueState) -> Option<Refused> {
        match state {
            QueueState { closed: true, .. } => Some(Refused::Closed),
            QueueState { receivers_gone: true, .. } => Some(Refused::Disconnected),
            _ => None,
        }
    }
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Refused {
        Refused::Broken(broken)
    }
}

/// Why nothing more will be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The queue was closed, and everything in it has been received.
    Closed,
    /// No sender is left, and everything that was sent has been received.
    Disconnected,
    Broken(Broken),
}

impl Ended {
    /// What a queue's state means for a receiver.
    pub(super) fn of(state: QueueState) -> Option<Ended> {
        if !state.drained {
            None
        } else if state.closed {
            Some(Ended::Closed)
        } else {
            Some(Ended::Disconnected)
        }
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Ended {
        Ended::Broken(broken)
    }
}
