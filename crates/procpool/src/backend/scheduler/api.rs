//! What goes into the scheduler and what comes out of it.
//!
//! The scheduler is told facts ([`Event`]) and answers with decisions ([`Action`]); it never waits, never reads a
//! clock and never touches a descriptor. The types here are all that the two sides share.

use std::fmt::{self, Debug, Display, Formatter};
use std::time::Duration;

use super::facts::{Fact, Timing};
use super::payload::Payload;

/// A point in time: how long ago the pool was made. The shell reads the clock, the scheduler only compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Now(pub(crate) Duration);

impl Now {
    /// An instant that no clock reaches.
    pub(crate) const NEVER: Now = Now(Duration::MAX);

    /// This instant plus `delay`, saturating (a time limit of `Duration::MAX` means "never").
    pub(crate) fn after(self, delay: Duration) -> Now {
        Now(self.0.saturating_add(delay))
    }

    /// How long ago `earlier` was; nothing if it is yet to come.
    pub(crate) fn since(self, earlier: Now) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Names one submitted task for as long as the scheduler lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId(pub(crate) u64);

/// Names one place in the queue that is taken, or waited for, ahead of its task; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReservationId(pub(crate) u64);

/// Names one worker process (or thread): the slot it fills and how many workers filled that slot before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId {
    /// The place in the pool, from 0; names are made from it (`worker-0`). The lowest free slot is used.
    pub(crate) slot: u32,
    /// Counts the workers of this slot, from 0.
    pub(crate) generation: u32,
}

/// One hand-over of one task to one worker; never used twice. Worker, page and frames name tasks by it, so that an
/// answer to an earlier attempt can never be taken for an answer to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OfferId(pub(crate) u64);

impl OfferId {
    /// How many places the page has, hence the most offers that can be with a worker at a time.
    pub(crate) const SLOTS: usize = 64;

    /// The offer's place in the page of its worker. Of those that one worker has in hand no two have the same.
    pub(crate) fn slot(self) -> usize {
        // Less than SLOTS, so it fits.
        (self.0 % Self::SLOTS as u64) as usize
    }
}

/// Where a task may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// On any worker of the pool.
    Shared,
    /// On a fresh worker of its own that ends with it (`Process::spawn`); not counted against the pool's size.
    Dedicated,
}

/// How a submission that finds the queue full is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It joins the waiting list; where that is full too, it resolves with [`Resolution::QueueFull`].
    #[default]
    Wait,
    /// It joins the waiting list however long that is: who submits it holds back by himself (a map, by its window).
    Bounded,
    /// It uses a place taken earlier by [`Scheduler::reserve`](super::Scheduler::reserve). If that is void, it waits.
    Reserved(ReservationId),
}

/// How [`Scheduler::reserve`](super::Scheduler::reserve) treats whoever finds no free place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// He is refused.
    None,
    /// He stands in line with the tasks that wait for a place, for so long.
    Wait { priority: i32, limit: Option<Duration> },
}

/// What [`Scheduler::reserve`](super::Scheduler::reserve) gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    /// A place.
    Held(ReservationId),
    /// A turn to wait for one; [`Action::Reserved`] says what comes of it.
    Waiting(ReservationId),
}

/// The options of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskOptions {
    pub(crate) placement: Placement,
    pub(crate) admission: Admission,
    /// Higher goes first, as far as nobody has waited too long for that; equal ones in order of submission.
    pub(crate) priority: i32,
    /// How often the task is run again after its worker died.
    pub(crate) retries: u32,
    /// How long one attempt may run, from its claim.
    pub(crate) run_limit: Option<Duration>,
    /// How long it may wait before its first claim.
    pub(crate) queue_limit: Option<Duration>,
    /// How long a stopped task may go on after its cancel flag is set.
    pub(crate) grace: Duration,
    /// When it is over, wherever it is then and however often it was tried.
    pub(crate) deadline: Option<Deadline>,
    /// Whether it may be handed to a worker that is still busy with another.
    pub(crate) batch: Batch,
}

/// The end of the time that a task shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// What is left of it when the task is submitted.
    pub(crate) left: Duration,
    /// What all of them together were given; told in errors.
    pub(crate) whole: Duration,
}

/// How many tasks a worker may have in hand when it gets this one, itself included. A matter of transport only: what
/// has not been claimed can be taken back, and each task has its own limits, its own end and its own blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Batch {
    /// It goes to an idle worker.
    One,
    /// At most so many.
    UpTo(u32),
    /// As many as recent service times make worth while.
    #[default]
    Auto,
}

/// Why a task is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelReason {
    /// Its `Run` was dropped.
    Dropped,
    /// `JoinHandle::abort`, `Process::kill`.
    Aborted,
    /// Its cancellation token fired.
    Token,
    /// Its [`Deadline`] has passed; so much was given to the whole.
    Deadline(Duration),
}

/// What is known about one offer, read from the shared page. Evidence, never authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Not claimed yet. `since`: when it was offered, or when its bytes last moved towards the worker if later.
    Offered { since: Now },
    /// Put there by [`Action::Revoke`]: it was not claimed, and from now on cannot be.
    Revoked,
    /// The worker has claimed it. `at` is clamped by the shell to lie between the offer and now.
    Claimed { at: Now },
    /// The worker says that the whole answer has left it.
    Done,
    /// The page holds a value that cannot be: the worker broke the protocol.
    Nonsense,
}

/// Whether the task's code had begun; what a caller needs to know before trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Began {
    No,
    Yes,
    Unknown,
}

/// Facts told to the scheduler.
#[derive(Debug)]
pub(crate) enum Event<P: Payload> {
    /// Stop this task, wherever it is. Unknown ids are ignored (it has just resolved).
    Cancel { task: TaskId, why: CancelReason },
    /// The process exists. Changes no decision: a worker's start limit runs since `Spawn`.
    Spawned { worker: WorkerId },
    /// No process could be made; the worker is gone with this.
    SpawnFailed { worker: WorkerId, death: P::Death },
    /// The worker said hello; its initialiser (if any) runs from now.
    Booted { worker: WorkerId },
    /// The worker takes tasks from now on.
    Ready { worker: WorkerId },
    /// The worker claims nothing more once it has answered what it has claimed: what it lives for is lost. It is let go
    /// then, and what else it has in hand is taken back.
    Worn { worker: WorkerId },
    /// An answer to this offer arrived whole.
    Replied { worker: WorkerId, offer: OfferId, reply: P::Reply },
    /// The answer to [`Action::Relieve`]: these items were taken from the lot, in pieces, each with the number of its first
    /// item.
    Relieved { worker: WorkerId, offer: OfferId, rest: Vec<(u64, P::Job)> },
    /// The answer to [`Action::Revoke`] and [`Action::Inspect`]. A worker's answers come in the order of the questions:
    /// a page that seems to go backwards is taken for a lie.
    Evidence { worker: WorkerId, offer: OfferId, evidence: Evidence },
    /// The worker broke the protocol, or closed its socket while it lives. It will be killed.
    Broken { worker: WorkerId },
    /// The worker is gone; everything it sent has been read. `evidence` is about the offers it held.
    Exited { worker: WorkerId, evidence: Vec<(OfferId, Evidence)>, death: P::Death },
    /// Start workers up to the minimum, and keep it from now on. Answered by [`Action::Warmed`].
    Warm,
    /// Use this many workers from now on.
    Resize { min: u32, max: u32 },
    /// Take no more tasks, and end. A later, harsher call overrides an earlier one.
    Close { how: Closing },
    /// A reservation is not wanted any more, whether it has its place or waits for it. It is not answered after this.
    Unreserve { reservation: ReservationId },
    /// Time has passed: at least one timer that [`Scheduler::next_deadline`](super::Scheduler::next_deadline) named is due.
    Tick,
}

/// How to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Queued and running tasks finish. After `deadline`, what is left is killed.
    Drain { deadline: Option<Now> },
    /// Running tasks finish, queued ones are dropped.
    DropQueued { deadline: Option<Now> },
    /// Everything is stopped now.
    Kill,
}

/// Decisions for the shell to carry out, in order.
pub(crate) enum Action<P: Payload> {
    /// Start a worker. Answered by `Spawned` or `SpawnFailed`.
    Spawn { worker: WorkerId, placement: Placement },
    /// Send the task's frame and mark its slot of the page `Offered`.
    Offer { worker: WorkerId, offer: OfferId, task: TaskId },
    /// Try to take an unclaimed offer back, and answer with `Evidence` (`Revoked`, `Claimed`, `Done` or `Nonsense`).
    Revoke { worker: WorkerId, offer: OfferId },
    /// Read the page and answer with `Evidence` (whatever stands there; `Revoked` too, where a revocation has just
    /// been carried out).
    Inspect { worker: WorkerId, offer: OfferId },
    /// Take those items of this lot away that its worker has not begun. Answered by `Relieved`.
    Relieve { worker: WorkerId, offer: OfferId },
    /// Set the page's cancel flag for this offer; its task may notice and return.
    SetCancel { worker: WorkerId, offer: OfferId },
    /// Kill the worker and everything in its process group. Answered by `Exited`, whose death is to name the limit
    /// that was passed: the signal alone would not tell.
    Kill { worker: WorkerId, overdue: Option<Overdue> },
    /// Ask an idle worker to run its exit hook and end. Answered by `Exited`.
    Retire { worker: WorkerId },
    /// The task is over: tell its caller. Exactly one for each submitted task. `attempts` counts the attempt in
    /// which it ended, from 1, also where that attempt had not begun.
    Resolve { task: TaskId, job: P::Job, resolution: Resolution<P>, attempts: u32, timing: Timing },
    /// There is nothing to do, but something to be told.
    Tell(Fact<P>),
    /// The pool has its minimum of ready workers (`Ok`), or cannot get there. One answer for all that asked so far.
    Warmed { result: Result<(), Unavailable<P>> },
    /// The one answer to a reservation that waited: it has a place now, or will not get one.
    Reserved { reservation: ReservationId, result: Result<(), Refused<P>> },
    /// Closed: no task and no worker is left. Exactly once; afterwards there are only refusals (of submissions, of
    /// [`Event::Warm`]).
    Closed,
}

/// What a worker should have done in its time, and is killed for not having done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Hello(Duration),
    Init(Duration),
    Claim(Duration),
    Exit(Duration),
}

impl Display for Overdue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Overdue::Hello(limit) => write!(f, "it was not up within {limit:?} of its start"),
            Overdue::Init(limit) => write!(f, "its initialisation took longer than {limit:?}"),
            Overdue::Claim(limit) => write!(f, "it did not take the task within {limit:?}"),
            Overdue::Exit(limit) => write!(f, "it did not end within {limit:?}"),
        }
    }
}

/// Why the pool has no worker to offer.
#[derive(Debug)]
pub(crate) enum Unavailable<P: Payload> {
    /// Workers die before they are ready; the last death says why.
    StartFailed { failures: u32, death: P::Death },
    /// The pool was told to close.
    Closed,
}

// Not derived: that would ask for `P: Clone`, and a payload is a name, never a value.
impl<P: Payload> Clone for Unavailable<P> {
    fn clone(&self) -> Self {
        match self {
            Unavailable::StartFailed { failures, death } => {
                Unavailable::StartFailed { failures: *failures, death: death.clone() }
            }
            Unavailable::Closed => Unavailable::Closed,
        }
    }
}

/// Why a reservation got no place.
#[derive(Debug)]
pub(crate) enum Refused<P: Payload> {
    /// Queue and reservations have reached the limit, and so has the line, where waiting was allowed.
    QueueFull,
    /// None became free in this time.
    TimedOut(Duration),
    /// No worker can be had.
    Unavailable(Unavailable<P>),
}

/// How a task ended.
#[derive(Clone, Debug)]
pub(crate) enum Resolution<P: Payload> {
    /// A worker answered.
    Replied { worker: WorkerId, reply: P::Reply },
    /// It was asked to stop, and has. `killed`: who was killed for it (or died of itself meanwhile), with the facts.
    Cancelled { why: CancelReason, began: Began, killed: Option<(WorkerId, P::Death)> },
    /// It ran longer than its limit and was stopped.
    TimedOut { limit: Duration, killed: Option<(WorkerId, P::Death)> },
    /// It was not claimed within its queue limit.
    QueueTimedOut { limit: Duration },
    /// Its worker ended, or broke the protocol, with the task in hand; retries (if any) are used up.
    WorkerDied { worker: WorkerId, began: Began, death: P::Death },
    /// Queue and waiting list are full.
    QueueFull,
    /// No worker can be had.
    Unavailable(Unavailable<P>),
    /// The pool was closed before the task began (`began: No`), or while it ran and it was killed for it.
    ShutDown { began: Began },
}

impl<P: Payload> Resolution<P> {
    /// Whether the task's code has begun, or may have.
    pub(crate) fn may_have_begun(&self) -> bool {
        match self {
            Resolution::Replied { .. } | Resolution::TimedOut { .. } => true,
            Resolution::Cancelled { began, .. }
            | Resolution::WorkerDied { began, .. }
            | Resolution::ShutDown { began } => *began != Began::No,
            Resolution::QueueTimedOut { .. } | Resolution::QueueFull | Resolution::Unavailable(_) => false,
        }
    }

    /// The same end, for what had not begun.
    pub(crate) fn of_unbegun(self) -> Self {
        match self {
            Resolution::Cancelled { why, .. } => Resolution::Cancelled { why, began: Began::No, killed: None },
            Resolution::ShutDown { .. } => Resolution::ShutDown { began: Began::No },
            Resolution::WorkerDied { worker, death, .. } => Resolution::WorkerDied { worker, began: Began::No, death },
            other => other,
        }
    }

    /// Whether the task was not taken at all.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Resolution::QueueFull | Resolution::Unavailable(_))
    }
}

/// Sizes and limits. Checked by the builder; the scheduler takes them as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SchedulerConfig {
    /// Workers kept once the pool is warm, and when idle ones are let go.
    pub(crate) min_workers: u32,
    /// Never more shared workers than this, those not counted that are on their way out. At least 1 and at least
    /// `min_workers`; 0 only for a pool of dedicated ones (a shared task there would still get one worker).
    pub(crate) max_workers: u32,
    /// Workers beyond those that are needed, ready to step in. Of all of them only `max_workers` have tasks at a time.
    pub(crate) spares: u32,
    /// Tasks that may be queued (not yet offered).
    pub(crate) queue_limit: usize,
    /// Submissions that may wait for a place in the queue.
    pub(crate) waiting_limit: usize,
    /// Who has waited for so long goes before whoever asks now with one level more of priority.
    pub(crate) ageing: Duration,
    /// Idle workers beyond the minimum end after this.
    pub(crate) idle_timeout: Option<Duration>,
    /// A worker ends after this many tasks.
    pub(crate) max_tasks: Option<u32>,
    /// From `Spawn` to `Booted`.
    pub(crate) start_limit: Duration,
    /// From `Booted` to `Ready`.
    pub(crate) init_limit: Duration,
    /// From `Retire` to `Exited`.
    pub(crate) exit_limit: Duration,
    /// From offer (or the last movement of its bytes) to claim.
    pub(crate) claim_limit: Duration,
    /// An unclaimed task loses at most this many workers, by silence or death, before it fails.
    pub(crate) max_offers: u32,
    /// The most tasks that a worker may have in hand, at least 1 and at most [`OfferId::SLOTS`]; 1 where workers take
    /// no second one.
    pub(crate) max_depth: u32,
    /// Deaths before Ready in a row after which waiting tasks fail.
    pub(crate) start_failures: u32,
    /// The pause after the first death before Ready; doubled by each further one.
    pub(crate) backoff: Duration,
    /// The longest pause.
    pub(crate) max_backoff: Duration,
}

/// How many of what. `submitted` equals the sum of all outcomes plus what is still here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) submitted: u64,
    /// Answered by a worker (the shell splits these into values and failures).
    pub(crate) replied: u64,
    pub(crate) cancelled: u64,
    pub(crate) timed_out: u64,
    pub(crate) queue_timed_out: u64,
    pub(crate) worker_died: u64,
    pub(crate) queue_full: u64,
    pub(crate) unavailable: u64,
    pub(crate) shut_down: u64,
    /// Attempts beyond a task's first that were made because of `retries`.
    pub(crate) retried: u64,
    pub(crate) workers_spawned: u64,
    pub(crate) workers_ended: u64,
}

/// One worker as `snapshot()` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerView {
    pub(crate) worker: WorkerId,
    pub(crate) phase: WorkerPhase,
    /// Since when it is in that phase.
    pub(crate) since: Now,
    /// Tasks it has finished.
    pub(crate) tasks_done: u32,
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerPhase {
    Starting,
    Initialising,
    Idle,
    Busy {
        task: TaskId,
    },
    /// Its task was told to stop.
    Stopping {
        task: TaskId,
    },
    /// Running its exit hook.
    Retiring,
    /// Killed, not gone yet.
    Dying,
}

/// What a task is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskPhase {
    /// For a place in the queue.
    Waiting,
    /// For a worker.
    Queued,
    /// Offered to, or running in, this worker.
    Assigned { worker: WorkerId },
}
