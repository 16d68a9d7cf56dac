//! One function over many items.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{FuturesUnordered, Stream};
use tokio_util::sync::CancellationToken;

use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::panics;
use crate::pool::{PoolHandle, Run, RunOptions, share};
use crate::task::blob::Blob;
use crate::task::codec::encode;
use crate::task::{Job, Parts, Ship, map_parts, map_with_parts};

/// One call for each item of an iterator: made by [`Pool::map`](crate::Pool::map), `map_with` and `run_all`.
///
/// Awaited, it gives a `Vec` of all results in the order of the items, or the first error, whose
/// [`index`](RunError::index) says which item failed; the calls behind it are then cancelled. As a [`Stream`] it gives
/// a `Result` an item and goes on past errors.
///
/// The iterator is pulled lazily: at most [`window`](Self::window) items are on their way at a time, so that it may be
/// endless. It is pulled only while the `Map` is polled; what is on its way goes on without. Options count for each item
/// that is not on its way yet, so set them first. To hand it to `tokio::spawn` or a `JoinSet`, call
/// [`into_future`](Self::into_future).
///
/// # Errors
/// Those of [`Run`], with an [`index`](RunError::index). A panic of the iterator is an error of kind
/// [`Input`](ErrorKind::Input) in the place of the next item, and the end.
///
/// # Panics
/// Only where an item's own `Serialize` or a result's own `Deserialize` panics.
///
/// # Cancel safety
/// Dropping it cancels what is on its way. A dropped `next()` loses nothing.
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
/// # fn power(x: u64) -> u128 { (x as u128).pow(x as u32) }
/// use futures::StreamExt;
///
/// assert_eq!(pool.map(power, [4, 2, 3]).await?, [256, 4, 27]);
/// let mut results = pool.map(power, 0..).take(10);
/// while let Some(result) = results.next().await {
///     println!("{}", result?);
/// }
/// # Ok(()) }
/// ```
#[must_use = "a `Map` does nothing until it is awaited or polled as a stream"]
pub struct Map<I, R>
where
    I: Iterator,
{
    pool: Arc<PoolHandle>,
    /// `None` once it has ended.
    items: Option<I>,
    make: Maker<I::Item, R>,
    options: RunOptions,
    window: usize,
    location: &'static Location<'static>,
    next_index: usize,
    running: Running<R>,
    /// Why there are no more items, told after the results before it.
    broken: Option<RunError>,
}

/// How an item becomes a call. A plain function where that is enough: a boxed one would ask `'static` of the items.
enum Maker<A, R> {
    Plain(fn(A) -> Parts<R>),
    Boxed(Box<dyn FnMut(A) -> Parts<R> + Send>),
}

impl<A, R> Maker<A, R> {
    fn make(&mut self, item: A) -> Parts<R> {
        match self {
            Maker::Plain(make) => make(item),
            Maker::Boxed(make) => make(item),
        }
    }
}

/// The calls on their way.
enum Running<R> {
    Ordered(VecDeque<Numbered<R>>),
    Unordered(FuturesUnordered<Numbered<R>>),
}

/// A call that knows which item it is for.
struct Numbered<R> {
    index: usize,
    run: Run<R>,
}

impl<R> Future for Numbered<R> {
    type Output = Result<R, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let index = self.index;
        Pin::new(&mut self.run).poll(context).map_err(|error| error.with_index(index))
    }
}

impl<R> Running<R> {
    fn len(&self) -> usize {
        match self {
            Running::Ordered(runs) => runs.len(),
            Running::Unordered(runs) => runs.len(),
        }
    }
}

impl<I: Iterator, R> Map<I, R> {
    #[track_caller]
    fn new(pool: Arc<PoolHandle>, items: I, make: Maker<I::Item, R>) -> Self {
        // Enough that every worker finds its next item waiting, also when results come out of order.
        let window = (pool.max_workers() as usize * 4).max(16);
        Map {
            pool,
            items: Some(items),
            make,
            options: RunOptions::default(),
            window,
            location: Location::caller(),
            next_index: 0,
            running: Running::Ordered(VecDeque::new()),
            broken: None,
        }
    }

    /// How many items may be on their way at a time, results that have not been taken included; at least 1. Default:
    /// four for each worker, and at least 16.
    pub fn window(mut self, items: usize) -> Self {
        self.window = items.max(1);
        self
    }

    /// As a stream: gives results as they come, whatever their order. (Awaited, the `Vec` is then in that order, too.)
    pub fn unordered(mut self) -> Self {
        if let Running::Ordered(runs) = &mut self.running {
            let runs = std::mem::take(runs);
            self.running = Running::Unordered(runs.into_iter().collect());
        }
        self
    }

    /// Limits how long each item may run: see [`Run::timeout`].
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.option("timeout", |options| options.timeout = Some(limit));
        self
    }

    /// Limits how long each item may wait in the queue: see [`Run::queue_timeout`].
    pub fn queue_timeout(mut self, limit: Duration) -> Self {
        self.option("queue_timeout", |options| options.queue_timeout = Some(limit));
        self
    }

    /// The priority of each item: see [`Run::priority`].
    pub fn priority(mut self, priority: i32) -> Self {
        self.option("priority", |options| options.priority = priority);
        self
    }

    /// Runs an item again when its worker died: see [`Run::retries`].
    pub fn retries(mut self, retries: u32) -> Self {
        self.option("retries", |options| options.retries = retries);
        self
    }

    /// Stops each item that runs, and fails those to come, when this token is cancelled: see [`Run::cancel_on`].
    pub fn cancel_on(mut self, token: impl std::borrow::Borrow<CancellationToken>) -> Self {
        let token = token.borrow().clone();
        self.option("cancel_on", |options| options.tokens.push(token));
        self
    }

    /// How long an item may go on after it was told to stop: see [`Run::grace`].
    pub fn grace(mut self, grace: Duration) -> Self {
        self.option("grace", |options| options.grace = grace);
        self
    }

    /// The future of all results; what `.await` calls. Also here by name, since with `StreamExt` in scope the trait's
    /// method is ambiguous.
    pub fn into_future(self) -> MapFuture<I, R> {
        MapFuture { map: self, results: Vec::new() }
    }

    /// Sets an option, or notes that it came too late: no further item is taken, and the stream ends with that error.
    fn option(&mut self, name: &str, set: impl FnOnce(&mut RunOptions)) {
        if self.next_index == 0 {
            return set(&mut self.options);
        }
        let detail = format!("the option `{name}` was set after the first poll; set options before awaiting");
        let facts = Facts { detail: Some(detail), task: Some("map".into()), ..Facts::default() };
        self.items = None;
        self.broken = Some(RunError::new(ErrorKind::Misuse, Started::No, facts));
    }

    /// Hands items over until the window is full.
    fn fill(&mut self) {
        while self.running.len() < self.window
            && let Some(items) = &mut self.items
        {
            // The iterator is the caller's code; its panic becomes an error in its place, and the pool lives on.
            let item = match catch_unwind(AssertUnwindSafe(|| items.next())) {
                Ok(Some(item)) => item,
                Ok(None) => {
                    self.items = None;
                    return;
                }
                Err(panic) => {
                    self.items = None;
                    let detail = Some(panics::message(panic));
                    let error = RunError::new(ErrorKind::Input, Started::No, Facts { detail, ..Facts::default() });
                    self.broken = Some(error.with_index(self.next_index));
                    return;
                }
            };
            let mut parts = self.make.make(item);
            if parts.name.location().is_none() {
                parts.name = parts.name.at(self.location);
            }
            let run = Run::with(Arc::clone(&self.pool), parts, self.options.clone());
            let mut numbered = Numbered { index: self.next_index, run };
            self.next_index += 1;
            numbered.run.start();
            match &mut self.running {
                Running::Ordered(runs) => runs.push_back(numbered),
                Running::Unordered(runs) => runs.push(numbered),
            }
        }
    }
}

impl<I, A, R> Map<I, R>
where
    I: Iterator<Item = A>,
    A: Ship,
    R: Ship,
{
    #[track_caller]
    pub(crate) fn over(pool: Arc<PoolHandle>, f: fn(A) -> R, items: I) -> Self {
        Map::new(pool, items, Maker::Boxed(Box::new(move |item| map_parts(f, item))))
    }

    #[track_caller]
    pub(crate) fn over_with<C: Ship>(pool: Arc<PoolHandle>, context: &C, f: fn(&C, A) -> R, items: I) -> Self {
        match share(&**pool.backend(), "map_with", |out| encode(context, out)) {
            Ok(context) => Map::over_parts(pool, move |item| map_with_parts(f, Arc::clone(&context), item), items),
            // Told in the place of the first item; no item is taken.
            Err(error) => {
                let mut map = Map::over_parts(pool, move |item| map_with_parts(f, Blob::empty(), item), items);
                map.items = None;
                map.broken = Some(error);
                map
            }
        }
    }
}

impl<I: Iterator, R> Map<I, R> {
    /// Over items that this function makes calls of.
    #[track_caller]
    pub(crate) fn over_parts(
        pool: Arc<PoolHandle>,
        make: impl FnMut(I::Item) -> Parts<R> + Send + 'static,
        items: I,
    ) -> Self {
        Map::new(pool, items, Maker::Boxed(Box::new(make)))
    }
}

impl<I, J> Map<I, J::Output>
where
    I: Iterator<Item = J>,
    J: Job,
{
    #[track_caller]
    pub(crate) fn over_jobs(pool: Arc<PoolHandle>, jobs: I) -> Self {
        Map::new(pool, jobs, Maker::Plain(Job::into_parts))
    }
}

// The iterator is never pinned.
impl<I: Iterator, R> Unpin for Map<I, R> {}

impl<I: Iterator, R> Stream for Map<I, R> {
    type Item = Result<R, RunError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.fill();
        let next = match &mut this.running {
            Running::Ordered(runs) => match runs.front_mut() {
                Some(run) => {
                    let result = std::task::ready!(Pin::new(run).poll(context));
                    runs.pop_front();
                    Some(result)
                }
                None => None,
            },
            Running::Unordered(runs) => std::task::ready!(Pin::new(runs).poll_next(context)),
        };
        // The place that came free is filled before the consumer works on the result.
        this.fill();
        Poll::Ready(next.or_else(|| this.broken.take().map(Err)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ahead = self.running.len() + usize::from(self.broken.is_some());
        let most = self.items.as_ref().map_or(Some(0), |items| items.size_hint().1);
        // One more than the items: a panic of the iterator is a result, too.
        (ahead, most.and_then(|most| most.checked_add(ahead)?.checked_add(1)))
    }
}

impl<I: Iterator, R> IntoFuture for Map<I, R> {
    type Output = Result<Vec<R>, RunError>;
    type IntoFuture = MapFuture<I, R>;

    fn into_future(self) -> MapFuture<I, R> {
        Map::into_future(self)
    }
}

impl<I: Iterator, R> fmt::Debug for Map<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("started", &self.next_index).field("running", &self.running.len()).finish()
    }
}

/// All results of a [`Map`], or its first error.
///
/// # Cancel safety
/// As for [`Map`]: dropping it cancels what is on its way.
#[must_use = "futures do nothing until they are awaited"]
pub struct MapFuture<I: Iterator, R> {
    map: Map<I, R>,
    results: Vec<R>,
}

impl<I: Iterator, R> Unpin for MapFuture<I, R> {}

impl<I: Iterator, R> Future for MapFuture<I, R> {
    type Output = Result<Vec<R>, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match std::task::ready!(Pin::new(&mut self.map).poll_next(context)) {
                Some(Ok(result)) => self.results.push(result),
                Some(Err(error)) => {
                    // Nothing more is wanted: what is on its way is cancelled now, not when this future is dropped.
                    self.map.items = None;
                    self.map.running = Running::Ordered(VecDeque::new());
                    return Poll::Ready(Err(error));
                }
                None => return Poll::Ready(Ok(std::mem::take(&mut self.results))),
            }
        }
    }
}

impl<I: Iterator, R> fmt::Debug for MapFuture<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapFuture").field("map", &self.map).field("results", &self.results.len()).finish()
    }
}
