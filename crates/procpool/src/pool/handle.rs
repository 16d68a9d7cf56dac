//! The handle of a pool.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::builder::PoolBuilder;
use super::events::Events;
use super::join_handle::JoinHandle;
use super::permit::{Permit, Reserve};
use super::report::{Report, Shutdown};
use super::run::Run;
use super::snapshot::Snapshot;
use super::stats::Stats;
use crate::backend::Backend;
use crate::config::Workers;
use crate::error::{PoolError, PoolErrorKind, RunError};
use crate::map::Map;
use crate::task::{Job, Ship};

/// A pool of worker processes.
///
/// Cheap to clone; all clones are the same pool. It belongs to the tokio runtime it was made in. Dropping the last
/// handle starts a drain: tasks that were handed over finish, then the workers end. (A [`Run`] that was not polled yet,
/// a [`Permit`] and a [`Map`] are handles, too.) When the runtime or the process ends, whatever still runs is killed.
///
/// ```no_run
/// use procpool::{Pool, call};
///
/// fn power(x: u64) -> u128 {
///     (x as u128).pow(x as u32)
/// }
///
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::new()?;
///     assert_eq!(pool.run(call!(power(4))).await?, 256);
///     pool.shutdown().await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Pool {
    handle: Arc<PoolHandle>,
}

/// What all clones of a [`Pool`] share; the last one gone releases the backend.
pub(crate) struct PoolHandle {
    backend: Arc<dyn Backend>,
    max_workers: AtomicU32,
}

impl PoolHandle {
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// How many workers the pool may have: what it was made for, or resized to last.
    pub(crate) fn max_workers(&self) -> u32 {
        self.max_workers.load(Ordering::Relaxed)
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        self.backend.release();
    }
}

impl Pool {
    pub(crate) fn from_backend(backend: Arc<dyn Backend>, max_workers: u32) -> Self {
        Pool { handle: Arc::new(PoolHandle { backend, max_workers: AtomicU32::new(max_workers) }) }
    }

    pub(crate) fn handle(&self) -> &Arc<PoolHandle> {
        &self.handle
    }

    /// A pool with one worker for each core, started as they are needed. Inside a worker the default is one.
    ///
    /// # Errors
    /// If `procpool::init()` was not called first in `main`
    /// ([`NotInitialised`](crate::PoolErrorKind::NotInitialised); nothing is started then), outside a tokio runtime with
    /// I/O ([`NoRuntime`](crate::PoolErrorKind::NoRuntime)), where two tasks have the same stable name
    /// ([`DuplicateTask`](crate::PoolErrorKind::DuplicateTask)), nested too deep
    /// ([`TooDeep`](crate::PoolErrorKind::TooDeep)), or when the operating system refuses a thread or a descriptor
    /// ([`Os`](crate::PoolErrorKind::Os)).
    pub fn new() -> Result<Pool, PoolError> {
        Pool::builder().build()
    }

    /// A pool with other settings.
    ///
    /// ```no_run
    /// # fn f() -> Result<(), procpool::PoolError> {
    /// use std::time::Duration;
    /// let pool = procpool::Pool::builder().workers(1..=4).idle_timeout(Duration::from_secs(30)).build()?;
    /// # Ok(()) }
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    /// A pool of threads of this process with the same API, for tests. Values are encoded and decoded as they are for a
    /// process. A crash takes the whole program with it, and a task that is stopped is abandoned (its thread goes on
    /// until it returns), since a thread cannot be killed. `init()` is not needed.
    ///
    /// # Errors
    /// Outside a tokio runtime, or when the operating system refuses a thread.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = procpool::Pool::in_process()?;
    /// assert_eq!(pool.run(procpool::call!(str::len("four"))).await?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn in_process() -> Result<Pool, PoolError> {
        Pool::builder().in_process().build()
    }

    /// Calls a function in a worker: a future that is inert until it is awaited. See [`Run`].
    ///
    /// When the queue is full, the call waits for a place (see [`PoolBuilder::max_waiting`]).
    ///
    /// # Errors
    /// Through the future: see [`ErrorKind`](crate::ErrorKind).
    ///
    /// # Cancel safety
    /// Dropping the future stops the work.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn power(x: u64) -> u64 { x }
    /// let y = pool.run(procpool::call!(power(4))).await?;
    /// # Ok(()) }
    /// ```
    pub fn run<J: Job>(&self, job: J) -> Run<J::Output> {
        Run::new(Arc::clone(&self.handle), job.into_parts())
    }

    /// Like [`run`](Self::run), but never waits for a place in the queue: it takes one now, or fails.
    ///
    /// # Errors
    /// Of kind [`QueueFull`](crate::ErrorKind::QueueFull), or as `run` when no worker can be had or the pool is closed.
    ///
    /// # Cancel safety
    /// As `run`. The place is given back when the future is dropped before its first poll.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn power(x: u64) -> u64 { x }
    /// use procpool::{ErrorKind, call};
    /// match pool.try_run(call!(power(4))) {
    ///     Ok(run) => println!("{}", run.await?),
    ///     Err(error) if error.kind() == ErrorKind::QueueFull => println!("busy, come back later"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn try_run<J: Job>(&self, job: J) -> Result<Run<J::Output>, RunError> {
        Run::reserved(Arc::clone(&self.handle), job.into_parts())
    }

    /// Waits for a place in the queue before there is a task for it: a future that gives a [`Permit`]. So no input is
    /// read or made that would only wait in memory. See [`Reserve`].
    ///
    /// # Errors
    /// Through the future: see [`Reserve`].
    ///
    /// # Cancel safety
    /// Dropping the future gives up its turn, or its place; nothing is lost.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn parse(line: String) -> usize { line.len() }
    /// # async fn next_line() -> String { String::new() }
    /// let permit = pool.reserve().await?;
    /// let line = next_line().await; // not asked for before it can be handed over
    /// let words = permit.run(procpool::call!(parse(line))).await?;
    /// # Ok(()) }
    /// ```
    pub fn reserve(&self) -> Reserve {
        Reserve::new(Arc::clone(&self.handle))
    }

    /// Like [`reserve`](Self::reserve), but never waits: it takes a place now, or fails.
    ///
    /// # Errors
    /// Of kind [`QueueFull`](crate::ErrorKind::QueueFull), or as `run` when no worker can be had or the pool is closed.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn power(x: u64) -> u64 { x }
    /// if let Ok(permit) = pool.try_reserve() {
    ///     drop(permit.spawn(procpool::call!(power(4))));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn try_reserve(&self) -> Result<Permit, RunError> {
        Permit::take(Arc::clone(&self.handle))
    }

    /// Starts a call now, detached: the returned handle can be awaited, aborted or dropped. On a full queue it waits
    /// for a place like `run`; whatever fails is told through the handle. The arguments are encoded at once. Needs no
    /// runtime at the caller's.
    ///
    /// # Cancel safety
    /// Dropping the handle detaches: the task goes on.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn power(x: u64) -> u64 { x }
    /// let handle = pool.spawn(procpool::call!(power(4)));
    /// println!("{}", handle.await?);
    /// # Ok(()) }
    /// ```
    pub fn spawn<J: Job<Output: Send + 'static>>(&self, job: J) -> JoinHandle<J::Output> {
        self.run(job).spawn()
    }

    /// Calls `f` for each item, in workers. See [`Map`]: awaited, it gives all results in order, or the first error;
    /// as a `Stream` it gives each result as it comes in order.
    ///
    /// `f` is a function or a closure that captures nothing. For a value that every call needs there is
    /// [`map_with`](Self::map_with), for anything else [`run_all`](Self::run_all).
    ///
    /// # Errors
    /// Each item's [`RunError`](crate::RunError) knows its [`index`](crate::RunError::index).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// assert_eq!(pool.map(|x: u64| x * x, 1..=3).await?, [1, 4, 9]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn map<A: Ship, R: Ship, I: IntoIterator<Item = A>>(&self, f: fn(A) -> R, items: I) -> Map<I::IntoIter, R> {
        Map::over(Arc::clone(&self.handle), f, items.into_iter())
    }

    /// Like [`map`](Self::map), with a value that every call gets a reference to. It is encoded once.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// assert_eq!(pool.map_with(300, |width: &u64, x: u64| width + x, 0..3).await?, [300, 301, 302]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn map_with<C: Ship, A: Ship, R: Ship, I: IntoIterator<Item = A>>(
        &self,
        context: C,
        f: fn(&C, A) -> R,
        items: I,
    ) -> Map<I::IntoIter, R> {
        Map::over_with(Arc::clone(&self.handle), &context, f, items.into_iter())
    }

    /// Runs jobs that an iterator makes, lazily and bounded like [`map`](Self::map).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn cut(s: &str, n: usize) -> String { s[..n].into() }
    /// let (words, width) = (["abcd".to_string(), "efgh".into()], 3);
    /// let cut = pool.run_all(words.iter().map(|word| procpool::call!(cut(&word[..], width)))).await?;
    /// assert_eq!(cut, ["abc", "efg"]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn run_all<J: Job, I: IntoIterator<Item = J>>(&self, jobs: I) -> Map<I::IntoIter, J::Output> {
        Map::over_jobs(Arc::clone(&self.handle), jobs.into_iter())
    }

    /// Starts workers up to the minimum (all of them, for a fixed size) and waits until they are ready; from then on
    /// that many are kept. Without it, workers are started when they are first needed.
    ///
    /// # Errors
    /// Of kind [`StartFailed`](crate::PoolErrorKind::StartFailed) with the cause, or
    /// [`Closed`](crate::PoolErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Dropped, the workers start all the same.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), procpool::PoolError> {
    /// let pool = procpool::Pool::builder().workers(4).build()?;
    /// pool.ready().await?; // four workers are there, their `init` jobs have run
    /// # Ok(()) }
    /// ```
    pub async fn ready(&self) -> Result<(), PoolError> {
        self.handle.backend.warm().await.unwrap_or_else(|_| Err(closed()))
    }

    /// Uses this many workers from now on. Tasks that run are not disturbed. Of workers that are too many those end first
    /// that are still starting, then idle ones, then whoever is done with its task; all others stay. New ones start when
    /// they are needed, up to the minimum at once if [`ready`](Self::ready) was called. While the pool ends, it is the
    /// size with which it finishes its work.
    ///
    /// # Errors
    /// Of kind [`InvalidConfig`](crate::PoolErrorKind::InvalidConfig) for an empty range, and for a maximum that is not
    /// from 1 to 4096.
    ///
    /// ```no_run
    /// # fn f(pool: procpool::Pool) -> Result<(), procpool::PoolError> {
    /// pool.resize(1..=8)?;
    /// # Ok(()) }
    /// ```
    pub fn resize(&self, workers: impl Into<Workers>) -> Result<(), PoolError> {
        let workers = workers.into().checked()?;
        // Only default windows are made of it, so it does not matter if two resizes cross between here and there.
        self.handle.max_workers.store(workers.max(), Ordering::Relaxed);
        self.handle.backend.resize(workers.min(), workers.max());
        Ok(())
    }

    /// Who runs what since when, and what waits. Looks at all tasks, so it is for people and not for every call.
    ///
    /// ```no_run
    /// # fn f(pool: procpool::Pool) {
    /// println!("{}", pool.snapshot());
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.handle.backend.snapshot()
    }

    /// What the pool has done so far, in numbers: outcomes, workers and why they ended, how long tasks waited and ran, how
    /// busy the workers were. Cheap enough to be asked for every second: it copies 56 KiB.
    ///
    /// ```no_run
    /// # fn f(pool: procpool::Pool) {
    /// let stats = pool.stats();
    /// println!("{} crashed; {:?} of waiting for 99 of 100", stats.report.crashed, stats.wait.quantile(0.99));
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.backend.stats()
    }

    /// What happens from now on, as a stream: workers that start, get ready and end, and why; tasks that fail; the size
    /// and the end of the pool. See [`Event`](crate::Event). Each call makes a stream of its own, and a pool that nobody
    /// listens to makes no events.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) {
    /// use futures::StreamExt;
    /// use procpool::{Event, WorkerEnd};
    ///
    /// let mut events = pool.events();
    /// tokio::spawn(async move {
    ///     while let Some(event) = events.next().await {
    ///         match event {
    ///             Event::WorkerEnded { worker, why: WorkerEnd::Died, detail, .. } => eprintln!("{worker}: {detail}"),
    ///             Event::StartsPaused { failures, .. } if failures > 2 => eprintln!("workers do not start"),
    ///             _ => {}
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.handle.backend.events()
    }

    /// The pool as a `tower::Service` whose requests are jobs of one type, which is seen from its use. Needs the feature `tower`. See
    /// [`PoolService`](crate::PoolService).
    #[cfg(feature = "tower")]
    #[must_use]
    pub fn service<J: Job>(&self) -> super::service::PoolService<J> {
        super::service::PoolService::new(self.clone())
    }

    /// Takes no more tasks, finishes those that were handed over, runs the exit hooks and ends the workers.
    ///
    /// # Errors
    /// None today; a `Result` so that what goes wrong while ending can be told.
    ///
    /// # Cancel safety
    /// Dropped, the shutdown goes on. It can be called again, also with a harsher
    /// [`shutdown_with`](Self::shutdown_with), and every call gets the report.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::PoolError> {
    /// let report = pool.shutdown().await?;
    /// println!("{} tasks, {} gave a value", report.submitted, report.succeeded);
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(&self) -> Result<Report, PoolError> {
        self.shutdown_with(Shutdown::Drain).await
    }

    /// Like [`shutdown`](Self::shutdown), ending the way that is said. A harsher way overrides one that is under way.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    /// As [`shutdown`](Self::shutdown).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::PoolError> {
    /// use std::time::Duration;
    /// pool.shutdown_with(procpool::Shutdown::DrainFor(Duration::from_secs(10))).await?;
    /// # Ok(()) }
    /// ```
    pub async fn shutdown_with(&self, how: Shutdown) -> Result<Report, PoolError> {
        let report = self.handle.backend.shutdown(how).await.map_err(|_| closed())?;
        self.handle.backend.passed_on().await;
        Ok(report)
    }
}

fn closed() -> PoolError {
    PoolError::new(PoolErrorKind::Closed, "the pool is shut down")
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { workers, queued, waiting, .. } = self.snapshot();
        f.debug_struct("Pool")
            .field("workers", &workers.len())
            .field("queued", &queued.len())
            .field("waiting", &waiting.len())
            .finish()
    }
}
