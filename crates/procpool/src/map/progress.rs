//! How far a map is.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::stream::{FusedStream, Stream};
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use super::rate::Rate;

/// How far a [`Map`](crate::Map) is: given to [`on_progress`](crate::Map::on_progress), and by
/// [`Map::progress`](crate::Map::progress).
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
/// pool.map(|x: u64| x * x, 0..1000)
///     .on_progress(|p| eprintln!("{} of {:?}, {:.0} a second, {:?} left", p.done, p.total, p.rate(), p.remaining()))
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Items that have ended, whether they gave a value or an error and whether their result has been taken or not.
    pub done: u64,
    /// Those of them that ended in an error. (A returned `Err` is a value.)
    pub failed: u64,
    /// How many items there are, if that is known: by the input's `size_hint` if it is exact, else when it is at its end.
    pub total: Option<u64>,
    /// The time since the first poll.
    pub elapsed: Duration,
    rate: f64,
}

impl Progress {
    /// How many items a second ended of late: an average that follows changes within seconds.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How long it will take for the rest at this [`rate`](Self::rate), if that can be said.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.done);
        if left == 0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(left as f64 / self.rate).ok()
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) total: Option<u64>,
    pub(super) began: Option<Instant>,
    pub(super) rate: Rate,
    /// The map is at its end, or gone.
    pub(super) over: bool,
}

impl Numbers {
    pub(super) fn progress(&self, now: Instant) -> Progress {
        let elapsed = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let Numbers { done, failed, total, .. } = *self;
        Progress { done, failed, total, elapsed, rate: self.rate.per_second(elapsed) }
    }
}

/// The progress of a [`Map`](crate::Map) as a stream: made by [`Map::progress`](crate::Map::progress).
///
/// Gives the newest numbers, at first and whenever they have changed since; who looks seldom misses what was between.
/// When the map has ended, or is dropped, it gives the last numbers and ends. It is `Send`, needs no particular runtime,
/// and holds up nothing if it is not polled.
///
/// # Cancel safety
/// A dropped `next()` loses nothing.
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
/// use futures::StreamExt;
///
/// let map = pool.map(|x: u64| x * x, 0..1000);
/// let mut progress = map.progress();
/// tokio::spawn(async move {
///     while let Some(now) = progress.next().await {
///         eprintln!("{} done, {} failed", now.done, now.failed);
///     }
/// });
/// map.await?;
/// # Ok(()) }
/// ```
#[must_use = "streams do nothing until they are polled"]
pub struct ProgressStream {
    /// The wait for the next change; `None` after the end.
    change: Option<ReusableBoxFuture<'static, watch::Receiver<Numbers>>>,
}

impl ProgressStream {
    pub(super) fn new(mut numbers: watch::Receiver<Numbers>) -> Self {
        numbers.mark_changed();
        ProgressStream { change: Some(ReusableBoxFuture::new(changed(numbers))) }
    }
}

async fn changed(mut numbers: watch::Receiver<Numbers>) -> watch::Receiver<Numbers> {
    // An error says that the map and all its calls are gone, which the stream sees for itself.
    let _ = numbers.changed().await;
    numbers
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        let Some(change) = &mut self.change else { return Poll::Ready(None) };
        let mut receiver = std::task::ready!(change.poll(context));
        let numbers = *receiver.borrow_and_update();
        if numbers.over || receiver.has_changed().is_err() {
            self.change = None;
        } else {
            change.set(changed(receiver));
        }
        Poll::Ready(Some(numbers.progress(Instant::now())))
    }
}

impl FusedStream for ProgressStream {
    fn is_terminated(&self) -> bool {
        self.change.is_none()
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream").field("ended", &self.change.is_none()).finish()
    }
}
