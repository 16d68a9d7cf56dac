//! What a pool is doing right now.

use std::fmt;
use std::time::Duration;

use crate::queue::waiting::QueueCall;

/// What a pool is doing: who runs what since when, and what waits. Made by [`Pool::snapshot`](crate::Pool::snapshot);
/// printed, it is a small table.
///
/// ```no_run
/// # fn f(pool: procpool::Pool) {
/// use procpool::WorkerState;
/// let now = pool.snapshot();
/// let busy = now.workers.iter().filter(|worker| worker.state == WorkerState::Busy).count();
/// println!("{busy} of {} workers are busy, {} tasks wait", now.workers.len(), now.queued.len());
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The workers, by slot.
    pub workers: Vec<WorkerSnapshot>,
    /// Tasks in the queue, in the order in which they would run.
    pub queued: Vec<TaskSnapshot>,
    /// Tasks that wait for a place in the queue, in the same order.
    pub waiting: Vec<TaskSnapshot>,
    /// How many places in the queue are reserved (by a [`Permit`](crate::Permit) or `try_run`) and not used yet.
    pub reserved: usize,
    /// How many calls of [`reserve`](crate::Pool::reserve) wait for a place.
    pub reserving: usize,
    /// Why tasks wait, if some do.
    pub reason: Option<WaitReason>,
    /// Whether the pool has been told to end.
    pub closing: bool,
}

/// Why the tasks of a [`Snapshot`] wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// All workers that the pool may have are busy.
    WorkersBusy,
    /// All workers that the pool may have are busy, and every one of them waits in a queue call. If what they wait for is
    /// to come from a task that waits here, it never comes. A pool that stays like this for more than a second warns of
    /// it, once (at target `procpool::pool` of `tracing`).
    WorkersInQueueCalls,
    /// Workers are being started.
    WorkersStarting,
    /// The last workers died before they were ready; the next start is tried after this time.
    StartsPaused(Duration),
}

/// One worker of a [`Snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerSnapshot {
    /// Its name, such as `worker-3`.
    pub name: String,
    /// Its process id, once it has one; in-process workers have none.
    pub pid: Option<u32>,
    /// How many workers this slot had before.
    pub generation: u32,
    /// What it is doing.
    pub state: WorkerState,
    /// The task it has, if any.
    pub task: Option<TaskSnapshot>,
    /// For how long it has been in that state.
    pub since: Duration,
    /// How many tasks it has answered.
    pub tasks_done: u32,
    /// What its task waits for, if it waits in a queue call just now. By the worker's own account.
    pub queue_call: Option<QueueCall>,
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerState {
    /// The process is being started.
    Starting,
    /// The `init` job runs.
    Initialising,
    /// It waits for a task.
    Idle,
    /// It has a task.
    Busy,
    /// Its task has been told to stop.
    Stopping,
    /// The exit hook runs.
    Retiring,
    /// It has been killed and is not gone yet.
    Dying,
}

/// One task of a [`Snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskSnapshot {
    /// Its number in this pool.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// For how long it has been where it is.
    pub since: Duration,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} workers, {} queued, {} waiting", self.workers.len(), self.queued.len(), self.waiting.len())?;
        match self.reason {
            Some(WaitReason::WorkersBusy) => f.write_str(" for busy workers")?,
            Some(WaitReason::WorkersInQueueCalls) => f.write_str(" for workers that all wait in queue calls")?,
            Some(WaitReason::WorkersStarting) => f.write_str(" for workers that start")?,
            Some(WaitReason::StartsPaused(pause)) => write!(f, ", next start of a worker in {pause:.1?}")?,
            None => {}
        }
        if self.reserved > 0 || self.reserving > 0 {
            write!(f, ", {} places reserved and {} waited for", self.reserved, self.reserving)?;
        }
        writeln!(f, "{}", if self.closing { ", closing" } else { "" })?;
        for worker in &self.workers {
            write!(f, "  {}", worker.name)?;
            if let Some(pid) = worker.pid {
                write!(f, " (pid {pid})")?;
            }
            write!(f, ": {:?}", worker.state)?;
            if let Some(task) = &worker.task {
                write!(f, " with `{}` (task {})", task.name, task.id)?;
            }
            match worker.queue_call {
                Some(QueueCall::Sending) => f.write_str(" that waits for room in a queue")?,
                Some(QueueCall::Receiving) => f.write_str(" that waits for a message")?,
                Some(QueueCall::Other) => f.write_str(" that waits for a queue")?,
                None => {}
            }
            writeln!(f, " for {:.1?}, {} done", worker.since, worker.tasks_done)?;
        }
        for task in self.queued.iter().take(20) {
            writeln!(f, "  queued: `{}` (task {}) for {:.1?}", task.name, task.id, task.since)?;
        }
        if self.queued.len() > 20 {
            writeln!(f, "  … and {} more", self.queued.len() - 20)?;
        }
        Ok(())
    }
}
