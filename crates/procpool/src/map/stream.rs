//! The stream of results: items in, calls on their way, results out.

use std::fmt;
use std::future::IntoFuture;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::stream::{FusedStream, Stream};
use tokio_util::sync::CancellationToken;

use super::filling::Fill;
use super::future::MapFuture;
use super::group::{Group, Watched};
use super::input::Input;
use super::limits::Limits;
use super::lots::Packer;
use super::maker::Maker;
use super::progress::{Progress, ProgressStream};
use super::running::Running;
use super::tracker::Tracker;
use super::window::Window;
use crate::backend::scheduler::{Admission, Batch};
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::pool::{Due, PoolHandle, RunOptions, share};
use crate::task::attachment::Attachment;
use crate::task::codec::encode;
use crate::task::{Job, Parts, Ship, map_parts, map_uniform, map_with_parts, map_with_uniform};

/// One call for each item of an iterator or a stream: made by [`Pool::map`](crate::Pool::map) and its kin.
///
/// Awaited, it gives a `Vec` of all results in the order of the items, or the first error, whose
/// [`index`](RunError::index) says which item failed; the calls behind it are then cancelled. As a [`Stream`] it gives
/// a `Result` an item and goes on past errors, so `.collect::<Vec<_>>().await` is all results and all errors.
///
/// Items are taken lazily: at most a [`window`](Self::window) of them are on their way at a time, results that have not
/// been taken included. So the input may be endless, memory stays flat, and a slow consumer slows the workers down. The
/// input is asked only while the `Map` is polled; what is on its way goes on without. In order, results wait behind
/// one that takes long, and when they fill the window so do the workers: take [`unordered`](Self::unordered), or a
/// wider window. An input that is not ready holds back no result.
///
/// Options count for each item, [`deadline`](Self::deadline) for all together. Set them first: later they make it end
/// with an error of kind [`Misuse`](ErrorKind::Misuse). To hand it to `tokio::spawn` or a `JoinSet`, call
/// [`into_future`](Self::into_future).
///
/// # Errors
/// Those of [`Run`](crate::Run), with an [`index`](RunError::index). A panic of the input, or its error where it can fail
/// ([`Pool::try_map`](crate::Pool::try_map)), is an error of kind [`Input`](ErrorKind::Input) in the place of the next
/// item, and the end.
///
/// # Panics
/// Only where an item's own `Serialize`, a result's own `Deserialize`, the `size_hint` or `Drop` of the input, or what
/// was given to [`on_progress`](Self::on_progress) panics. A map that is polled again after that goes on; an item whose
/// `Serialize` panicked has no result.
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
    I: Input,
{
    pub(super) pool: Arc<PoolHandle>,
    /// `None` once it has ended.
    pub(super) input: Option<I>,
    pub(super) make: Maker<I::Item, R>,
    /// Where items may travel together.
    pub(super) packer: Option<Packer<I::Item, R>>,
    /// What the calls are named after.
    pub(super) name: &'static str,
    pub(super) location: &'static Location<'static>,
    /// Whether it has been polled.
    begun: bool,
    pub(super) next_index: usize,
    pub(super) running: Running<R>,
    /// Why there are no more items, told after the results before it.
    broken: Option<RunError>,
    pub(super) options: RunOptions,
    pub(super) window: Window,
    /// How many items a worker is given at a time, if that has been said.
    pub(super) chunk: Option<usize>,
    pub(super) deadline: Option<Duration>,
    pub(super) tokens: Vec<CancellationToken>,
    pub(super) on_progress: Option<OnProgress>,
    pub(super) limits: Limits,
    /// What is on its way, where tokens are to stop it.
    pub(super) group: Option<Watched>,
    pub(super) tracker: Arc<Tracker>,
    /// How many results may be taken before more items are.
    spare: usize,
    /// What `on_progress` was told last.
    told: (u64, u64, Option<u64>),
}

pub(super) type OnProgress = Box<dyn FnMut(&Progress) + Send>;

impl<I: Input, R> Map<I, R> {
    #[track_caller]
    fn new(pool: Arc<PoolHandle>, input: I, name: &'static str, make: Maker<I::Item, R>) -> Self {
        let total = match input.hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        Map {
            pool,
            input: Some(input),
            make,
            packer: None,
            name,
            location: Location::caller(),
            begun: false,
            next_index: 0,
            running: Running::default(),
            broken: None,
            options: RunOptions { batch: Batch::Auto, admission: Admission::Bounded, ..RunOptions::default() },
            window: Window::Auto,
            chunk: None,
            deadline: None,
            tokens: Vec::new(),
            on_progress: None,
            limits: Limits::default(),
            group: None,
            tracker: Arc::new(Tracker::new(total)),
            spare: 0,
            told: (0, 0, total.map(|total| total as u64)),
        }
    }

    /// As a stream: gives results as they come, whatever their order. (Awaited, the `Vec` is then in that order, too,
    /// and the first error is the one that came first.)
    pub fn unordered(mut self) -> Self {
        self.running.make_unordered();
        self
    }

    /// The progress as a stream of its own, for another task: see [`ProgressStream`]. Several may watch.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// use futures::StreamExt;
    /// let map = pool.map(|x: u64| x * x, 0..1000);
    /// let done = map.progress().map(|now| now.done);
    /// # drop(done);
    /// # Ok(()) }
    /// ```
    pub fn progress(&self) -> ProgressStream {
        self.tracker.stream()
    }

    /// The future of all results; what `.await` calls. Also here by name, since with `StreamExt` in scope the trait's
    /// method is ambiguous.
    pub fn into_future(self) -> MapFuture<I, R> {
        MapFuture::new(self)
    }

    /// Whether options still count.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// No item is taken any more, and this is told after the results before it. The first reason counts.
    pub(super) fn break_with(&mut self, error: RunError) {
        self.input = None;
        if self.broken.is_none() {
            self.tracker.broken_at(self.next_index);
            self.broken = Some(error.of_task(self.name, Some(self.location)));
        }
    }

    /// What the caller did wrong.
    pub(super) fn misuse(&mut self, detail: String) {
        let facts = Facts { detail: Some(detail), ..Facts::default() };
        self.break_with(RunError::new(ErrorKind::Misuse, Started::No, facts));
    }

    /// Cancels what is on its way and lets go of everything.
    pub(super) fn cancel(&mut self) {
        self.input = None;
        self.broken = None;
        self.running.cancel(&**self.pool.backend());
        self.group = None;
        self.tracker.end();
    }

    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        let now = Instant::now();
        self.tracker.begin(now);
        // A moment that the clock does not reach is no limit.
        self.options.due = self.deadline.and_then(|whole| Some(Due { at: now.checked_add(whole)?, whole }));
        self.options.observer = Some(Arc::clone(&self.tracker) as _);
        let tokens = std::mem::take(&mut self.tokens);
        self.limits = Limits::new(self.options.due, tokens.clone());
        if !tokens.is_empty() && self.limits.reached().is_none() {
            self.group = Some(Group::watched(self.pool.backend(), tokens));
        }
    }

    /// Takes results that have been read, without asking for more: up to the first failure, which is given.
    pub(super) fn take_at_hand(&mut self, into: &mut Vec<R>) -> Option<RunError> {
        let (taken, failed) = self.running.take_at_hand(self.spare, into);
        self.spare -= taken;
        failed
    }

    /// Tells `on_progress` what is new. Called before a result is taken, so that its panic loses none.
    fn report(&mut self, context: &Context<'_>) {
        if let Some(tell) = &mut self.on_progress {
            let progress = self.tracker.poll_progress(context);
            let news = (progress.done, progress.failed, progress.total);
            if news != self.told {
                self.told = news;
                tell(&progress);
            }
        }
    }
}

impl<I, A, R> Map<I, R>
where
    I: Input<Item = A>,
    A: Ship,
    R: Ship,
{
    #[track_caller]
    pub(crate) fn over(pool: Arc<PoolHandle>, f: fn(A) -> R, input: I) -> Self {
        let mut map = Map::new(pool, input, "map", Maker::Boxed(Box::new(move |item| map_parts(f, item))));
        map.packer = Some(Packer::new(map_uniform(f), map.location));
        map
    }

    #[track_caller]
    pub(crate) fn over_with<C: Ship>(pool: Arc<PoolHandle>, context: &C, f: fn(&C, A) -> R, input: I) -> Self {
        match share(&**pool.backend(), "map_with", |out| encode(context, out)) {
            Ok(context) => {
                let uniform = map_with_uniform(f, Arc::clone(&context));
                let make = move |item| map_with_parts(f, Arc::clone(&context), item);
                let mut map = Map::over_parts(pool, "map_with", make, input);
                map.packer = Some(Packer::new(uniform, map.location));
                map
            }
            // Told in the place of the first item; no item is taken.
            Err(error) => {
                let mut map =
                    Map::over_parts(pool, "map_with", move |item| map_with_parts(f, Attachment::empty(), item), input);
                map.break_with(error);
                map
            }
        }
    }
}

impl<I: Input, R> Map<I, R> {
    /// Over items that this function makes calls of.
    #[track_caller]
    pub(crate) fn over_parts(
        pool: Arc<PoolHandle>,
        what: &'static str,
        make: impl FnMut(I::Item) -> Parts<R> + Send + 'static,
        input: I,
    ) -> Self {
        Map::new(pool, input, what, Maker::Boxed(Box::new(make)))
    }
}

impl<I, J> Map<I, J::Output>
where
    I: Input<Item = J>,
    J: Job,
{
    #[track_caller]
    pub(crate) fn over_jobs(pool: Arc<PoolHandle>, jobs: I) -> Self {
        Map::new(pool, jobs, "run_all", Maker::Plain(Job::into_parts))
    }
}

// The input is never pinned.
impl<I: Input, R> Unpin for Map<I, R> {}

impl<I: Input, R> Stream for Map<I, R> {
    type Item = Result<R, RunError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // Results that are always there must not keep everybody else from running.
        let turn = std::task::ready!(tokio::task::coop::poll_proceed(context));
        this.begin();
        if this.spare > 0
            && let Some(result) = this.running.next_at_hand()
        {
            this.spare -= 1;
            turn.made_progress();
            return Poll::Ready(Some(result));
        }
        let mut burst = this.burst();
        let fill = this.fill(&mut burst, context);
        this.report(context);
        this.spare = match fill {
            // Who wants to see progress sees each.
            _ if this.on_progress.is_some() => 0,
            Fill::Full if this.lot() > 0 => this.running.len() / 8,
            Fill::Ended => this.running.len(),
            Fill::Full | Fill::Paused | Fill::Waiting => 0,
        };
        let next = match this.running.poll_next(context) {
            Poll::Ready(None) if fill == Fill::Ended => this.broken.take().map(Err),
            Poll::Pending | Poll::Ready(None) => {
                if fill == Fill::Paused {
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            Poll::Ready(result) => {
                // The place that came free is filled before the consumer works on the result.
                this.fill(&mut burst, context);
                result
            }
        };
        if next.is_none() {
            this.tracker.end();
        }
        turn.made_progress();
        Poll::Ready(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ahead = self.running.len() + usize::from(self.broken.is_some());
        let most = self.input.as_ref().map_or(Some(0), |input| input.hint().1);
        // One more than the items: a panic of the input is a result, too.
        (ahead, most.and_then(|most| most.checked_add(ahead)?.checked_add(1)))
    }
}

impl<I: Input, R> FusedStream for Map<I, R> {
    fn is_terminated(&self) -> bool {
        self.input.is_none() && self.broken.is_none() && self.running.len() == 0
    }
}

impl<I: Input, R> IntoFuture for Map<I, R> {
    type Output = Result<Vec<R>, RunError>;
    type IntoFuture = MapFuture<I, R>;

    fn into_future(self) -> MapFuture<I, R> {
        Map::into_future(self)
    }
}

impl<I: Input, R> Drop for Map<I, R> {
    fn drop(&mut self) {
        self.running.cancel(&**self.pool.backend());
        self.tracker.end();
    }
}

impl<I: Input, R> fmt::Debug for Map<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("started", &self.next_index).field("running", &self.running.len()).finish()
    }
}
