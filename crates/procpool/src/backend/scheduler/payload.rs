//! What the scheduler carries without looking at it, and the little that it asks about it.

use std::fmt::Debug;
use std::time::Duration;

/// What the scheduler carries for the shell without looking at it.
pub(crate) trait Payload {
    /// What is to be run: given back by value with the [`Action::Resolve`] that ends the task, so that a second
    /// resolution cannot be written.
    type Job;
    /// What a worker answered.
    type Reply;
    /// Why a worker ended: exit status, signal, last words.
    type Death: Clone + Debug;

    /// Whether a job is a lot: one task to the scheduler, and many items to everybody else. The worker answers them one
    /// by one, and the shell keeps the account of that; a reply ends the lot.
    fn is_lot(_job: &Self::Job) -> bool {
        false
    }

    /// How many items a job has that have not ended.
    fn open_items(_job: &Self::Job) -> usize {
        1
    }

    /// How many items a job has.
    fn items(_job: &Self::Job) -> u64 {
        1
    }

    /// A worker is gone that had begun with this lot: how much of it is lost.
    fn lost(_job: &Self::Job) -> Lost {
        Lost::Some
    }

    /// Takes those items out of a lot that no worker will have begun. Gives them as a lot of their own, and the number of
    /// the first of them in the whole.
    fn rest(_job: &mut Self::Job) -> Option<(u64, Self::Job)> {
        None
    }

    /// Whether a task that had begun, and went down like this, would do so again: it has no further attempt.
    fn is_final(_death: &Self::Death) -> bool {
        false
    }

    /// How many items a worker has answered in this time, and how long they took.
    fn effort(_job: &Self::Job, _reply: &Self::Reply, time: Duration) -> (u32, Duration) {
        (1, time)
    }
}

/// What a worker that is gone has taken with it of a lot that it had begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// An item.
    Some,
    /// No item, and it had answered some.
    None,
    /// No item, and it had answered none either.
    Time,
}

/// How many task numbers a lot takes, from its own on, which is a multiple of it: one for each of its items, and as many
/// again, since there may be pieces without an item (see `number_of_piece`).
pub(crate) const LOT_NUMBERS: u64 = 1 << 13;
