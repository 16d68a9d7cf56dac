//! What names a queue, and what proves that somebody was given a handle of it.

use std::fmt;

/// Names a queue among all that this program's root process ever brokers. Random, chosen where the queue is made, so that
/// making one takes no round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueId(pub(crate) u64);

/// What a handle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Sender,
    Receiver,
}

/// Proves that a process was given a handle: 128 random bits, one key a queue and role. Handles travel with it, and a
/// process that shows the wrong one has made it up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) u128);

impl fmt::Debug for Key {
    /// Not the key: whoever reads a log was not given the queue.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// All that another process needs in order to hold a handle, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capability {
    pub(crate) queue: QueueId,
    pub(crate) role: Role,
    pub(crate) key: Key,
    pub(crate) shape: Shape,
}

/// What a queue holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Messages; at least 1. Those count that were sent and not received (or, when acknowledged, not acknowledged yet).
    pub(crate) capacity: u32,
    /// Bytes of all of them, encoded.
    pub(crate) bytes: Option<u64>,
    /// Bytes of one of them, encoded.
    pub(crate) max_message: u64,
}

/// What can no longer happen to a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueState {
    /// Somebody closed it: nothing more is sent.
    pub(crate) closed: bool,
    /// No sender is left anywhere: nothing more is sent.
    pub(crate) senders_gone: bool,
    /// No receiver is left anywhere: nothing more is received, and what was sent has been dropped.
    pub(crate) receivers_gone: bool,
    /// Nothing is left to be received, and nothing can come any more.
    pub(crate) drained: bool,
}
