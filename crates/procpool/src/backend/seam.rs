//! The seam: what the typed front asks of whatever runs the tasks.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::job::Submission;
use super::scheduler::{CancelReason, Patience, ReservationId, TaskId, TaskOptions};
use crate::error::{PoolError, RunError};
use crate::pool::{Events, Report, Shutdown, Snapshot, Stats};
use crate::task::Naming;

/// What [`Backend::reserve`] gave.
pub(crate) enum Reserving {
    /// A place.
    Held(ReservationId),
    /// A turn to wait for one. Answered once, unless it is given back before.
    Waiting(ReservationId, oneshot::Receiver<Result<(), RunError>>),
}

/// A pool's engine room. All calls return at once; what takes time is answered through a channel or a completion.
pub(crate) trait Backend: Send + Sync {
    /// Takes a task. Whatever becomes of it, its completer is resolved exactly once.
    fn submit(&self, job: Submission, options: TaskOptions) -> TaskId;

    /// Takes a place in the queue for a task that is submitted later (`Admission::Reserved`), or a turn to wait for one.
    fn reserve(&self, patience: Patience) -> Result<Reserving, RunError>;

    /// Gives such a place, or turn, back.
    fn unreserve(&self, reservation: ReservationId);

    /// Stops a task, wherever it is. One that has ended is left alone.
    fn cancel(&self, task: TaskId, why: CancelReason);

    /// Stops tasks in this order, as one: what one sets free is not given to another that is to be stopped as well.
    fn cancel_all(&self, tasks: &mut dyn Iterator<Item = TaskId>, why: CancelReason);

    /// Starts workers up to the minimum; answers when they are ready, or why they will not be.
    fn warm(&self) -> oneshot::Receiver<Result<(), PoolError>>;

    /// Uses this many workers from now on.
    fn resize(&self, min: u32, max: u32);

    /// Closes; answers when no task and no worker is left.
    fn shutdown(&self, how: Shutdown) -> oneshot::Receiver<Report>;

    /// The last handle is gone: finish what there is, then end.
    fn release(&self);

    /// Who runs what since when, and what waits.
    fn snapshot(&self) -> Snapshot;

    /// What was done so far, in numbers.
    fn stats(&self) -> Stats;

    /// What happens from now on.
    fn events(&self) -> Events;

    /// Answers when no task and no worker is left, however that comes about.
    fn ended(&self) -> oneshot::Receiver<Report>;

    /// The most bytes that the arguments of one task may take.
    fn max_message(&self) -> u64;

    /// How the code of tasks is named.
    fn naming(&self) -> Naming;

    /// Ends, soon after the pool has, when what its workers printed is out, or given up.
    fn passed_on(&self) -> BoxFuture<'static, ()>;

    /// How many tasks of [`Batch::Auto`](super::scheduler::Batch::Auto) a worker is given at a time just now, at least
    /// 1: whoever feeds the pool keeps a multiple of it on the way. Cheap; takes no lock.
    fn batch_hint(&self) -> u32;

    /// How many items of a map had best travel together just now; 0: each by itself. Cheap; takes no lock.
    fn lot_hint(&self) -> u32;

    /// Looks for the answer to this task itself, for a moment, if it is the only one and looking seems worth it. Ends as
    /// soon as `is_done`.
    fn linger(&self, task: TaskId, is_done: &dyn Fn() -> bool);

    /// Rings after so long, by the pool's own clock: whether or not its runtime runs, and whatever that offers. Earlier,
    /// or never, once the pool is closed: who is told still looks at the time.
    fn alarm(&self, after: Duration) -> oneshot::Receiver<()>;

    /// Runs a small future (the watcher of a cancellation token) where this pool lives.
    fn watch(&self, future: BoxFuture<'static, ()>);
}
