//! What the scheduler tells beside its decisions, for those who watch a pool: why workers come and go, and how long
//! tasks took. Nothing is decided by it.

use std::time::Duration;

use super::api::{Closing, WorkerId};
use super::payload::Payload;

/// Something that happened. Told in the order in which it was decided; there are a few for each worker, and none for
/// each task.
#[derive(Debug)]
pub(crate) enum Fact<P: Payload> {
    /// The worker's process exists.
    Started { worker: WorkerId },
    /// The worker takes tasks; `took`: since it was decided to start it.
    Ready { worker: WorkerId, took: Duration },
    /// The worker is gone.
    Ended { worker: WorkerId, why: End, tasks_done: u32, death: P::Death },
    /// No worker is started for this long. `failures`: waves of starts that failed in a row; 0 if a worker got ready and
    /// then died before its first task.
    StartsPaused { pause: Duration, failures: u32 },
    /// The pool has another size.
    Resized { min: u32, max: u32 },
    /// The pool begins to close, or closes harder.
    Closing { how: Closing },
}

/// Why a worker ended. The first reason counts: one that is killed because its exit hook takes too long was on its way
/// out for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// It was not ready, and that was its own fault.
    StartFailed,
    /// It has done all the tasks that one worker is to do.
    Recycled,
    /// It has lost what its tasks need.
    Worn,
    /// Nobody needed it.
    Idle,
    /// The pool was made smaller.
    Resized,
    /// The pool ends.
    Closed,
    /// It was killed to stop its task.
    Stopped,
    /// It did not claim what it was offered.
    Silent,
    /// It ended, or broke the protocol, and nobody had told it to go.
    Died,
}

/// Where a task's time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How long it waited for a worker, all attempts together; `None` if it was refused.
    pub(crate) waited: Option<Duration>,
    /// How long workers had it, all attempts together; `None` if it never began.
    pub(crate) ran: Option<Duration>,
}
