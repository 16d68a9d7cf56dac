//! The options of a map: those of a `Run`, for each item, and its own.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::progress::Progress;
use super::stream::Map;
use super::window::Window;
use crate::backend::scheduler::Batch;

impl<I: Input, R> Map<I, R> {
    /// How many items may be on their way at a time, results that have not been taken included. Default: as many as
    /// the workers want just now, which is four for each or two [`chunk`](Self::chunk)s for each, whatever is more, and
    /// at least 16. Maps that share a pool, and the calls of `run` beside them, are served in the order of handing over:
    /// so the wider of two windows gets more of the workers, and who comes later waits behind what is in it
    /// ([`priority`](Self::priority) goes before).
    ///
    /// Items take places in the queue, and wait for one as calls of `run` do; but since the window bounds them, they are
    /// never refused for want of room ([`max_waiting`](crate::PoolBuilder::max_waiting)).
    ///
    /// 0 is an error of kind [`Misuse`](crate::ErrorKind::Misuse), which the map then ends with; no item is taken.
    pub fn window(mut self, items: usize) -> Self {
        if items == 0 {
            self.misuse("a window of 0 lets no item through; it must be at least 1".into());
        }
        self.option("window", |map| map.window = Window::Fixed(items));
        self
    }

    /// How many items a worker is given at a time, at most. Default: as many as is worth while, judged by how long
    /// items take.
    ///
    /// A chunk is a matter of transport and of nothing else: each item has its own result, limits, error and index, and
    /// those that a worker has not begun with are run elsewhere when it takes long or dies. 1 gives each item to a
    /// worker that is idle.
    ///
    /// 0 is an error of kind [`Misuse`](crate::ErrorKind::Misuse), which the map then ends with; no item is taken.
    pub fn chunk(mut self, items: usize) -> Self {
        if items == 0 {
            self.misuse("a chunk of 0 items is none; it must be at least 1".into());
        }
        self.option("chunk", |map| {
            map.chunk = Some(items);
            map.options.batch = Batch::UpTo(u32::try_from(items).unwrap_or(u32::MAX));
        });
        self
    }

    /// Limits the time for the whole map, from its first poll.
    ///
    /// When it has passed, results that are there are given as ever. Calls that run are stopped, those that wait never
    /// start, and each gives an error of kind [`TimedOut`](crate::ErrorKind::TimedOut) in its place. No more items are
    /// taken; if there are any, such an error in the place of the first of them is the last result. (To know that, an
    /// input that cannot tell its length is asked once more, and the item dropped.) The limit is kept whether or not
    /// anybody polls.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) {
    /// # fn render(page: u32) -> Vec<u8> { vec![] }
    /// use std::time::Duration;
    /// use futures::StreamExt;
    /// let pages = pool.map(render, 0..1000).deadline(Duration::from_secs(10)).collect::<Vec<_>>().await;
    /// println!("{} in time", pages.iter().filter(|page| page.is_ok()).count());
    /// # }
    /// ```
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.option("deadline", |map| map.deadline = Some(limit));
        self
    }

    /// Calls this, wherever the map is polled, when items have ended since (or their number has become known): with the
    /// newest numbers, so not once for each item, and a last time before the map ends. For another task there is
    /// [`progress`](Self::progress).
    ///
    /// If it panics, so does the poll; no result is lost, and the map can be polled again.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// # fn render(page: u32) -> Vec<u8> { vec![] }
    /// let pages = pool.map(render, 0..1000).on_progress(|p| eprint!("\r{} of {:?}", p.done, p.total)).await?;
    /// # Ok(()) }
    /// ```
    pub fn on_progress(mut self, tell: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.option("on_progress", |map| map.on_progress = Some(Box::new(tell)));
        self
    }

    /// Limits how long each item may run: see [`Run::timeout`](crate::Run::timeout). For all together there is
    /// [`deadline`](Self::deadline).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.option("timeout", |map| map.options.timeout = Some(limit));
        self
    }

    /// Limits how long each item may wait in the queue: see [`Run::queue_timeout`](crate::Run::queue_timeout).
    pub fn queue_timeout(mut self, limit: Duration) -> Self {
        self.option("queue_timeout", |map| map.options.queue_timeout = Some(limit));
        self
    }

    /// The priority of each item: see [`Run::priority`](crate::Run::priority).
    pub fn priority(mut self, priority: i32) -> Self {
        self.option("priority", |map| map.options.priority = priority);
        self
    }

    /// Runs an item again when its worker died: see [`Run::retries`](crate::Run::retries).
    pub fn retries(mut self, retries: u32) -> Self {
        self.option("retries", |map| map.options.retries = retries);
        self
    }

    /// Ends the map when this token is cancelled. What is done stays done: results that are there are given as ever.
    /// Items on their way are stopped, or never start, and give an error of kind
    /// [`Cancelled`](crate::ErrorKind::Cancelled) in their place. No more are taken; if there are any, such an error in
    /// the place of the first of them is the last result. Given several times, any of the tokens does it.
    pub fn cancel_on(mut self, token: impl std::borrow::Borrow<CancellationToken>) -> Self {
        let token = token.borrow().clone();
        self.option("cancel_on", |map| map.tokens.push(token));
        self
    }

    /// How long an item may go on after it was told to stop: see [`Run::grace`](crate::Run::grace).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.option("grace", |map| map.options.grace = grace);
        self
    }

    /// Sets an option, or notes that it came too late: no further item is taken, and the stream ends with that error.
    fn option(&mut self, name: &str, set: impl FnOnce(&mut Self)) {
        match self.has_begun() {
            false => set(self),
            true => {
                self.misuse(format!("the option `{name}` was set after the first poll; set options before awaiting"))
            }
        }
    }
}
