//! A place in a pool's queue before there is a task for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::handle::PoolHandle;
use super::join_handle::JoinHandle;
use super::run::Run;
use crate::backend::scheduler::{Patience, ReservationId};
use crate::backend::{Backend, Reserving};
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::task::Job;

/// One place in a pool's queue, taken before its task is made: given by [`Pool::reserve`](crate::Pool::reserve) and
/// [`Pool::try_reserve`](crate::Pool::try_reserve).
///
/// It is good for one call, which then never finds the queue full. Dropped, or its call dropped before the first poll,
/// the place goes to the next who waits for one. A permit keeps the pool alive, as a [`Run`] does; but a shutdown does
/// not wait for it: what is called with it afterwards ends with an error of kind
/// [`Closed`](crate::ErrorKind::Closed).
///
/// ```no_run
/// # async fn f(pool: procpool::Pool, urls: Vec<String>) -> Result<(), procpool::RunError> {
/// # async fn fetch(url: &str) -> Vec<u8> { vec![] }
/// # fn parse(page: Vec<u8>) -> usize { page.len() }
/// use procpool::call;
/// for url in urls {
///     let permit = pool.reserve().await?; // fetch no page before there is a place for it
///     let page = fetch(&url).await;
///     drop(permit.spawn(call!(parse(page))));
/// }
/// # Ok(()) }
/// ```
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit {
    pool: Arc<PoolHandle>,
    place: Place,
}

impl Permit {
    /// Takes a place now, if there is one.
    pub(crate) fn take(pool: Arc<PoolHandle>) -> Result<Self, RunError> {
        let place = Place::take(pool.backend())?;
        Ok(Permit { pool, place })
    }

    /// Calls a function in a worker, as [`Pool::run`](crate::Pool::run) does, in the place that this permit holds. The
    /// call has the same options; it counts as submitted at its first poll, and waits from then on.
    ///
    /// # Errors
    /// As `run`, but never for want of a place. If the call fails before it is handed over (its arguments do not
    /// encode, say), the place is given back.
    ///
    /// # Cancel safety
    /// As [`Run`].
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn power(x: u64) -> u64 { x }
    /// let permit = pool.reserve().await?;
    /// let y = permit.run(procpool::call!(power(4))).timeout(std::time::Duration::from_secs(1)).await?;
    /// # Ok(()) }
    /// ```
    pub fn run<J: Job>(self, job: J) -> Run<J::Output> {
        Run::placed(self.pool, job.into_parts(), self.place)
    }

    /// Starts a call now, detached, as [`Pool::spawn`](crate::Pool::spawn) does, in the place that this permit holds.
    ///
    /// # Cancel safety
    /// Dropping the handle detaches: the task goes on.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn power(x: u64) -> u64 { x }
    /// let handle = pool.reserve().await?.spawn(procpool::call!(power(4)));
    /// println!("{}", handle.await?);
    /// # Ok(()) }
    /// ```
    pub fn spawn<J: Job<Output: Send + 'static>>(self, job: J) -> JoinHandle<J::Output> {
        self.run(job).spawn()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A reserved place (or the turn to wait for one), given back unless it is used.
pub(crate) struct Place {
    backend: Arc<dyn Backend>,
    reservation: Option<ReservationId>,
}

impl Place {
    pub(crate) fn take(backend: &Arc<dyn Backend>) -> Result<Self, RunError> {
        // Without patience it is never a turn.
        match backend.reserve(Patience::None)? {
            Reserving::Held(id) | Reserving::Waiting(id, _) => Ok(Place::of(backend, id)),
        }
    }

    fn of(backend: &Arc<dyn Backend>, id: ReservationId) -> Self {
        Place { backend: Arc::clone(backend), reservation: Some(id) }
    }

    pub(crate) fn id(&self) -> Option<ReservationId> {
        self.reservation
    }

    /// It was used, or is void: there is nothing to give back.
    pub(crate) fn redeem(mut self) {
        self.reservation = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(id) = self.reservation.take() {
            self.backend.unreserve(id);
        }
    }
}

/// Waiting for a place in a pool's queue, as a future: made by [`Pool::reserve`](crate::Pool::reserve).
///
/// It is inert until it is first polled (awaited); then it takes a free place, or stands in line for one together with
/// the calls that wait, by priority, age and order of coming. Nobody who comes later passes it. The options are set
/// before the first poll; set later, they make it end with an error of kind [`Misuse`](crate::ErrorKind::Misuse).
///
/// # Cancel safety
/// Dropping it gives up its turn in the line, or the place that it has got meanwhile; nothing is lost. So it can be a
/// branch of `select!`: one that is made anew each time stands at the end of the line each time, `&mut Reserve` keeps its
/// turn.
///
/// # Errors
/// Of kind [`QueueFull`](crate::ErrorKind::QueueFull) when the line is full, too
/// ([`PoolBuilder::max_waiting`](crate::PoolBuilder::max_waiting)); [`Closed`](crate::ErrorKind::Closed) or
/// [`StartFailed`](crate::ErrorKind::StartFailed) when the pool is shut down or no worker can be had, also while it
/// waits; [`QueueTimedOut`](crate::ErrorKind::QueueTimedOut) and [`Cancelled`](crate::ErrorKind::Cancelled) by its
/// options. [`started()`](RunError::started) is always [`No`](Started::No).
///
/// ```no_run
/// # async fn f(pool: procpool::Pool, stop: tokio_util::sync::CancellationToken) -> Result<(), procpool::RunError> {
/// use std::time::Duration;
/// let permit = pool.reserve().priority(1).queue_timeout(Duration::from_secs(5)).cancel_on(&stop).await?;
/// # Ok(()) }
/// ```
#[must_use = "a `Reserve` does nothing until it is awaited"]
pub struct Reserve {
    state: State,
}

enum State {
    Inert(Inert),
    Waiting(Waiting),
    /// It will end with this error.
    Failed(Option<Box<RunError>>),
}

struct Inert {
    pool: Arc<PoolHandle>,
    priority: i32,
    limit: Option<Duration>,
    tokens: Vec<CancellationToken>,
}

struct Waiting {
    pool: Arc<PoolHandle>,
    place: Place,
    answer: oneshot::Receiver<Result<(), RunError>>,
    /// One of the tokens has fired.
    stopped: Option<BoxFuture<'static, ()>>,
}

impl Reserve {
    pub(crate) fn new(pool: Arc<PoolHandle>) -> Self {
        Reserve { state: State::Inert(Inert { pool, priority: 0, limit: None, tokens: Vec::new() }) }
    }

    /// Stands before those who wait with a lower priority, as [`Run::priority`] does; the default is 0. It is about the
    /// place only: the call that is made with the permit has a priority of its own.
    pub fn priority(self, priority: i32) -> Self {
        self.option("priority", |inert| inert.priority = priority)
    }

    /// Limits how long it may wait, from its first poll; over that, the error
    /// [`is_timeout`](RunError::is_timeout). Default: no limit.
    pub fn queue_timeout(self, limit: Duration) -> Self {
        self.option("queue_timeout", |inert| inert.limit = Some(limit))
    }

    /// Gives up when this token is cancelled. Given several times, any of the tokens does it.
    pub fn cancel_on(self, token: impl std::borrow::Borrow<CancellationToken>) -> Self {
        let token = token.borrow().clone();
        self.option("cancel_on", |inert| inert.tokens.push(token))
    }

    fn option(mut self, name: &str, set: impl FnOnce(&mut Inert)) -> Self {
        match &mut self.state {
            State::Inert(inert) => set(inert),
            State::Waiting(_) => {
                let detail = format!("the option `{name}` was set after the first poll; set options before awaiting");
                self.state = State::Failed(Some(Box::new(failed(ErrorKind::Misuse, detail))));
            }
            State::Failed(_) => {}
        }
        self
    }
}

fn failed(kind: ErrorKind, detail: impl Into<String>) -> RunError {
    RunError::new(kind, Started::No, Facts { detail: Some(detail.into()), ..Facts::default() })
}

fn cancelled() -> RunError {
    failed(ErrorKind::Cancelled, "its cancellation token fired while it waited for a place in the queue")
}

impl Inert {
    /// Takes a place or a turn.
    fn begin(self) -> Result<Result<Permit, Waiting>, RunError> {
        let Inert { pool, priority, limit, tokens } = self;
        if tokens.iter().any(CancellationToken::is_cancelled) {
            return Err(cancelled());
        }
        Ok(match pool.backend().reserve(Patience::Wait { priority, limit })? {
            Reserving::Held(id) => {
                let place = Place::of(pool.backend(), id);
                Ok(Permit { pool, place })
            }
            Reserving::Waiting(id, answer) => {
                let place = Place::of(pool.backend(), id);
                let fired = tokens.into_iter().map(|token| token.cancelled_owned().boxed());
                let stopped = (fired.len() > 0).then(|| select_all(fired).map(drop).boxed());
                Err(Waiting { pool, place, answer, stopped })
            }
        })
    }
}

impl Waiting {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        // A place that is there counts, also when it comes together with the end of patience.
        if let Poll::Ready(answer) = self.answer.poll_unpin(context) {
            let lost = |_| failed(ErrorKind::Closed, "the pool is gone");
            return Poll::Ready(answer.map_err(lost).and_then(|answer| answer));
        }
        match &mut self.stopped {
            Some(stopped) => {
                ready!(stopped.poll_unpin(context));
                Poll::Ready(Err(cancelled()))
            }
            None => Poll::Pending,
        }
    }
}

impl Future for Reserve {
    type Output = Result<Permit, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waiting = match std::mem::replace(&mut self.state, State::Failed(None)) {
            State::Inert(inert) => match inert.begin() {
                Ok(Ok(permit)) => return Poll::Ready(Ok(permit)),
                Ok(Err(waiting)) => waiting,
                Err(error) => return Poll::Ready(Err(error)),
            },
            State::Waiting(waiting) => waiting,
            State::Failed(error) => {
                let again = || failed(ErrorKind::Misuse, "its future was polled after it had ended");
                return Poll::Ready(Err(error.map_or_else(again, |error| *error)));
            }
        };
        match waiting.poll(context) {
            Poll::Ready(Ok(())) => {
                let Waiting { pool, place, .. } = waiting;
                Poll::Ready(Ok(Permit { pool, place }))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.state = State::Waiting(waiting);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Inert(_) => "inert",
            State::Waiting(_) => "waiting",
            State::Failed(_) => "ended",
        };
        f.debug_struct("Reserve").field("state", &state).finish()
    }
}
