//! One call, as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::handle::PoolHandle;
use super::join_handle::JoinHandle;
use super::permit::Place;
use super::submit::{Terms, Ticket, named, submit};
use crate::backend::scheduler::{Admission, Batch, CancelReason, Placement, TaskId};
use crate::backend::{Ending, Observer};
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::task::Parts;

/// One call in another process, as a future: made by [`Pool::run`](crate::Pool::run).
///
/// It is inert until it is first polled (awaited). The first poll encodes the arguments and hands them over; from then
/// on the task goes on by itself, and polling is only needed to learn the result. The options below are set before the
/// first poll; set later, they make it end with an error of kind [`Misuse`](crate::ErrorKind::Misuse).
///
/// # Cancel safety
/// Dropping it cancels the task: in the queue, it never starts; running, it is stopped (its worker is killed and
/// replaced). `&mut Run` can be polled in `select!` without losing anything.
///
/// # Errors
/// A [`RunError`] that says what happened, and whether the task had started. Awaited again after its end: an error of
/// kind [`Misuse`](crate::ErrorKind::Misuse).
///
/// # Panics
/// Only where an argument's own `Serialize` (at the first poll) or the result's own `Deserialize` panics.
///
/// ```no_run
/// # async fn f(pool: procpool::Pool, stop: tokio_util::sync::CancellationToken) -> Result<(), procpool::RunError> {
/// # fn render(page: u32) -> Vec<u8> { vec![] }
/// use std::time::Duration;
/// let picture = pool
///     .run(procpool::call!(render(7)))
///     .timeout(Duration::from_secs(2))
///     .retries(1)
///     .cancel_on(&stop)
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "a `Run` does nothing until it is awaited; `Pool::spawn` starts at once"]
pub struct Run<R> {
    state: State<R>,
}

enum State<R> {
    Inert(Box<Inert<R>>),
    Running(Ticket<R>),
    /// It will end with this error.
    Failed(Box<Option<RunError>>),
}

struct Inert<R> {
    /// A handle of the pool, so that `Pool::new()?.run(…).await` does not close the pool before the call.
    pool: Arc<PoolHandle>,
    parts: Parts<R>,
    options: RunOptions,
    place: Option<Place>,
}

/// The options of a call.
#[derive(Clone, Default)]
pub(crate) struct RunOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) priority: i32,
    pub(crate) retries: u32,
    pub(crate) grace: Duration,
    pub(crate) tokens: Vec<CancellationToken>,
    pub(crate) batch: Batch,
    /// For a call without a reserved place.
    pub(crate) admission: Admission,
    pub(crate) due: Option<Due>,
    /// Told when it has ended, also if that is before it was handed over.
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// When calls that share their time are to have ended.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    /// How long that was from the beginning, for errors.
    pub(crate) whole: Duration,
}

impl<R> Run<R> {
    pub(crate) fn new(pool: Arc<PoolHandle>, parts: Parts<R>) -> Self {
        Run::with(pool, parts, RunOptions::default())
    }

    pub(crate) fn with(pool: Arc<PoolHandle>, parts: Parts<R>, options: RunOptions) -> Self {
        Run { state: State::Inert(Box::new(Inert { pool, parts, options, place: None })) }
    }

    /// Takes a place in the queue now.
    pub(crate) fn reserved(pool: Arc<PoolHandle>, parts: Parts<R>) -> Result<Self, RunError> {
        // Refusals name the task.
        let named = |error: RunError| error.of_task(parts.name.as_str(), parts.name.location());
        let place = Place::take(pool.backend()).map_err(named)?;
        Ok(Run::placed(pool, parts, place))
    }

    /// In a place that was taken before.
    pub(crate) fn placed(pool: Arc<PoolHandle>, parts: Parts<R>, place: Place) -> Self {
        let (options, place) = (RunOptions::default(), Some(place));
        Run { state: State::Inert(Box::new(Inert { pool, parts, options, place })) }
    }

    /// One whose arguments have been encoded; with `None` they could not be handed over, which it tells.
    pub(crate) fn handed_over(ticket: Result<Ticket<R>, RunError>, observer: &dyn Observer) -> Self {
        let state = match ticket {
            Ok(ticket) => State::Running(ticket),
            Err(error) => {
                observer.ended(Ending::Failure);
                State::Failed(Box::new(Some(error)))
            }
        };
        Run { state }
    }

    /// Limits how long the task may run, counted from its start (each attempt anew). Over time, the work is stopped
    /// and the error [`is_timeout`](RunError::is_timeout). Time in the queue does not count. Default: no limit.
    pub fn timeout(self, limit: Duration) -> Self {
        self.option("timeout", |options| options.timeout = Some(limit))
    }

    /// Limits how long the task may wait, from its first poll, before it starts; over that it never does, and the error
    /// [`is_timeout`](RunError::is_timeout). Default: no limit.
    pub fn queue_timeout(self, limit: Duration) -> Self {
        self.option("queue_timeout", |options| options.queue_timeout = Some(limit))
    }

    /// Goes before waiting tasks with a lower priority; the default is 0, and negative ones let others go first. Equal
    /// ones run in the order of submission. Whoever waits gains one level of priority for each interval of
    /// [`PoolBuilder::ageing`](crate::PoolBuilder::ageing) (10 s unless told), so that nobody waits for ever. It makes no
    /// difference whether a task is in the queue or waits for a place in it.
    pub fn priority(self, priority: i32) -> Self {
        self.option("priority", |options| options.priority = priority)
    }

    /// Runs it again, up to so many times, when its worker *died*; never after a panic, a time-out or a cancel. The
    /// task should then be safe to run twice: the worker may have died after the work was done.
    pub fn retries(self, retries: u32) -> Self {
        self.option("retries", |options| options.retries = retries)
    }

    /// Stops the task when this token is cancelled. Given several times, any of the tokens stops it.
    pub fn cancel_on(self, token: impl std::borrow::Borrow<CancellationToken>) -> Self {
        let token = token.borrow().clone();
        self.option("cancel_on", |options| options.tokens.push(token))
    }

    /// Between being told to stop and being killed, the task has this long to notice
    /// ([`current().is_cancelled()`](crate::Current::is_cancelled)) and return; the default is no time at all. A task
    /// that returns in time spares its worker, and its result counts: then there is a value, and no error.
    pub fn grace(self, grace: Duration) -> Self {
        self.option("grace", |options| options.grace = grace)
    }

    /// Starts it now, detached from this future. Whatever fails is told through the handle.
    ///
    /// # Cancel safety
    /// Dropping the handle detaches: the task goes on.
    ///
    /// ```no_run
    /// # fn f(pool: procpool::Pool) {
    /// # fn power(x: u64) -> u64 { x }
    /// # use std::time::Duration;
    /// let handle = pool.run(procpool::call!(power(4))).timeout(Duration::from_secs(1)).spawn();
    /// # drop(handle); }
    /// ```
    pub fn spawn(mut self) -> JoinHandle<R> {
        self.start();
        match std::mem::replace(&mut self.state, State::Failed(Box::new(None))) {
            State::Running(ticket) => JoinHandle::started(ticket),
            State::Failed(error) => JoinHandle::failed(error.unwrap_or_else(polled_again)),
            // `start` leaves nothing inert.
            State::Inert(_) => JoinHandle::failed(polled_again()),
        }
    }

    fn option(mut self, name: &str, set: impl FnOnce(&mut RunOptions)) -> Self {
        match &mut self.state {
            State::Inert(inert) => set(&mut inert.options),
            State::Running(ticket) => {
                ticket.cancel(CancelReason::Dropped);
                let detail = format!("the option `{name}` was set after the first poll; set options before awaiting");
                let facts = named(ticket.name(), Facts { detail: Some(detail), ..Facts::default() });
                let error = RunError::new(ErrorKind::Misuse, Started::Unknown, facts);
                self.state = State::Failed(Box::new(Some(error)));
            }
            State::Failed(_) => {}
        }
        self
    }

    /// The task, if it has been handed over and has not ended.
    pub(crate) fn task(&self) -> Option<TaskId> {
        match &self.state {
            State::Running(ticket) if !ticket.is_done() => Some(ticket.task()),
            _ => None,
        }
    }

    /// Lets go of the task without stopping it.
    pub(crate) fn detach(mut self) {
        self.state = State::Failed(Box::new(None));
    }

    /// Encodes and hands over, as the first poll does.
    pub(crate) fn start(&mut self) {
        if !matches!(self.state, State::Inert(_)) {
            return;
        }
        let State::Inert(inert) = std::mem::replace(&mut self.state, State::Failed(Box::new(None))) else { return };
        let Inert { pool, parts, options, place } = *inert;
        let reserved = place.as_ref().and_then(Place::id);
        let admission = reserved.map_or(options.admission, Admission::Reserved);
        let terms = Terms { placement: Placement::Shared, admission, watch: None };
        self.state = match submit(pool.backend(), parts, &options, terms) {
            Ok(ticket) => {
                if let Some(place) = place {
                    place.redeem();
                }
                State::Running(ticket)
            }
            Err(error) => {
                if let Some(observer) = &options.observer {
                    observer.ended(Ending::Failure);
                }
                State::Failed(Box::new(Some(error)))
            }
        };
    }
}

fn polled_again() -> RunError {
    let detail = Some("its future was polled after it had ended".into());
    RunError::new(ErrorKind::Misuse, Started::Unknown, Facts { detail, ..Facts::default() })
}

impl<R> Future for Run<R> {
    type Output = Result<R, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.start();
        let result = match &mut self.state {
            State::Running(ticket) => std::task::ready!(ticket.poll(context)),
            State::Failed(error) => Err(error.take().unwrap_or_else(polled_again)),
            State::Inert(_) => Err(polled_again()),
        };
        self.state = State::Failed(Box::new(None));
        Poll::Ready(result)
    }
}

impl<R> Drop for Run<R> {
    fn drop(&mut self) {
        if let State::Running(ticket) = &self.state {
            ticket.cancel(CancelReason::Dropped);
        }
    }
}

impl<R> fmt::Debug for Run<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, state) = match &self.state {
            State::Inert(inert) => (inert.parts.name.as_str(), "inert"),
            State::Running(ticket) => (ticket.name().as_str(), if ticket.is_done() { "done" } else { "running" }),
            State::Failed(_) => ("", "ended"),
        };
        f.debug_struct("Run").field("task", &name).field("state", &state).finish()
    }
}
