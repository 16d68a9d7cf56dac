//! What happens in a pool, as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;

use super::report::{Report, Shutdown};
use crate::error::{ErrorKind, Exit};
use crate::sync::lock;

/// How many events wait for a slow reader, before the oldest are left out.
const CAPACITY: usize = 1024;

/// Something that happened in a pool: told by [`Pool::events`](crate::Pool::events).
///
/// A few for each worker, one for each task that *failed*, none for tasks that gave a value. `worker` is a name such as
/// `worker-3`; `pid` is `None` for in-process workers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A worker's process exists.
    #[non_exhaustive]
    WorkerStarted {
        /// Its name.
        worker: String,
        /// Its process.
        pid: Option<u32>,
        /// How many workers this slot had before.
        generation: u32,
    },
    /// A worker takes tasks from now on: its `init` job, if there is one, has succeeded.
    #[non_exhaustive]
    WorkerReady {
        /// Its name.
        worker: String,
        /// Its process.
        pid: Option<u32>,
        /// How many workers this slot had before.
        generation: u32,
        /// How long that took, from the decision to start it.
        took: Duration,
    },
    /// A worker is gone. One whose process could not be made has only this event.
    #[non_exhaustive]
    WorkerEnded {
        /// Its name.
        worker: String,
        /// Its process.
        pid: Option<u32>,
        /// How many workers this slot had before.
        generation: u32,
        /// Why it ended.
        why: WorkerEnd,
        /// How its process ended, as far as there was one.
        exit: Option<Exit>,
        /// What is known, in one line; also its panic and its last lines on stderr, where it had any.
        detail: String,
        /// How many tasks it has answered.
        tasks_done: u32,
    },
    /// Workers do not get ready, or die at once: for this long none is started. The pool then tries again by itself.
    #[non_exhaustive]
    StartsPaused {
        /// How long.
        pause: Duration,
        /// How many times in a row workers failed to start; 0 if one got ready and died before its first task.
        failures: u32,
    },
    /// A task panicked, ran over its limit, lost its worker, or its values could not be carried. (Not: it gave a value, a
    /// returned `Err` too; it was cancelled, refused, or dropped by a shutdown.)
    #[non_exhaustive]
    TaskFailed {
        /// Its number in this pool.
        task: u64,
        /// Its name.
        name: String,
        /// What kind of failure.
        kind: ErrorKind,
        /// Who had it, if somebody did.
        worker: Option<String>,
        /// The message of the error that its caller gets.
        message: String,
    },
    /// [`Pool::resize`](crate::Pool::resize) was called.
    #[non_exhaustive]
    Resized {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
    /// The pool begins to end, or ends in a harsher way than before; [`Shutdown::Kill`] too where the time to drain is
    /// up.
    Closing(Shutdown),
    /// The pool has ended, with this report. Nothing comes after it.
    Closed(Report),
    /// The reader was too slow: so many events are left out here.
    Missed(u64),
}

/// Why a worker ended. The first reason counts: one that is killed because its exit hook takes too long was let go for
/// another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerEnd {
    /// It was never ready: it died, its `init` job failed, or that took too long. Watch this one.
    StartFailed,
    /// It had done its [`max_tasks`](crate::PoolBuilder::max_tasks).
    Recycled,
    /// A task that panicked cost it its [state](crate::StatePool).
    StateLost,
    /// Nobody needed it for the [`idle_timeout`](crate::PoolBuilder::idle_timeout).
    Idle,
    /// The pool was made smaller.
    Resized,
    /// The pool ends.
    Closed,
    /// It was killed to stop its task, which was cancelled or ran over its limit.
    Stopped,
    /// It did not pick up its task within the [`claim_timeout`](crate::PoolBuilder::claim_timeout).
    Unresponsive,
    /// It ended, and nobody had told it to: its task crashed it or called `exit`, somebody killed it, or it broke the
    /// protocol. Watch this one.
    Died,
}

/// What happens in a pool, as a `Stream` of [`Event`]s: made by [`Pool::events`](crate::Pool::events).
///
/// It begins with what happens next, and ends when the pool has ended. It does not keep the pool alive. Events come in
/// the order in which they were decided; whoever sees the result of a call finds what led to it in the stream. A reader
/// that is too slow costs a bounded amount of memory: of more than 1024 events that wait the oldest are left out, and
/// [`Event::Missed`] tells how many.
///
/// # Cancel safety
/// Nothing is lost when `next()` is dropped.
#[must_use = "a stream does nothing until it is read"]
pub struct Events {
    mailbox: Arc<Mailbox>,
}

/// What an [`Events`] and its pool share. Its lock is held for one look; events are plain values, so nothing foreign
/// runs under it.
#[derive(Default)]
struct Mailbox(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    events: VecDeque<Event>,
    missed: u64,
    reader: Option<Waker>,
    /// No more events come.
    ended: bool,
    /// Nobody reads any more.
    abandoned: bool,
}

/// The pool's end of an [`Events`].
pub(crate) struct Post(Arc<Mailbox>);

/// Whether somebody still reads.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Whoever waits for it is to be woken when no lock is held.
    Yes(Option<Waker>),
    Abandoned,
}

pub(crate) fn events() -> (Post, Events) {
    let mailbox = Arc::<Mailbox>::default();
    (Post(Arc::clone(&mailbox)), Events { mailbox })
}

impl Post {
    /// Leaves an event. Touches memory only.
    pub(crate) fn send(&self, event: Event) -> Sent {
        let mut mailbox = lock(&self.0.0);
        if mailbox.abandoned {
            return Sent::Abandoned;
        }
        if mailbox.events.len() >= CAPACITY {
            mailbox.events.pop_front();
            mailbox.missed += 1;
        }
        mailbox.events.push_back(event);
        Sent::Yes(mailbox.reader.take())
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) -> Option<Waker> {
        let mut mailbox = lock(&self.0.0);
        mailbox.ended = true;
        mailbox.reader.take()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut mailbox = lock(&self.mailbox.0);
        if mailbox.missed > 0 {
            return Poll::Ready(Some(Event::Missed(std::mem::take(&mut mailbox.missed))));
        }
        if let Some(event) = mailbox.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if mailbox.ended {
            return Poll::Ready(None);
        }
        let before = mailbox.reader.replace(context.waker().clone());
        drop(mailbox);
        // Foreign code, as all of a waker is.
        drop(before);
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let rest = {
            let mut mailbox = lock(&self.mailbox.0);
            mailbox.abandoned = true;
            (mailbox.reader.take(), std::mem::take(&mut mailbox.events))
        };
        drop(rest);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mailbox = lock(&self.mailbox.0);
        f.debug_struct("Events").field("waiting", &mailbox.events.len()).field("ended", &mailbox.ended).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn a_slow_reader_learns_how_much_it_missed() {
        let (post, mut events) = events();
        let resized = |max| Event::Resized { min: 0, max };
        for number in 0..CAPACITY as u32 + 7 {
            assert!(matches!(post.send(resized(number)), Sent::Yes(None)));
        }
        assert!(post.end().is_none());
        let told: Vec<Event> = events.by_ref().collect().now_or_never().unwrap();
        assert_eq!(told.len(), CAPACITY + 1);
        assert_eq!(told[..2], [Event::Missed(7), resized(7)]);
        assert_eq!(told.last(), Some(&resized(CAPACITY as u32 + 6)));
        assert_eq!(events.next().now_or_never(), Some(None));
    }

    #[test]
    fn whoever_has_gone_is_sent_nothing() {
        let (post, events) = events();
        drop(events);
        assert!(matches!(post.send(Event::Missed(0)), Sent::Abandoned));
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let (post, mut events) = events();
        assert_eq!(events.next().now_or_never(), None);
        assert!(matches!(post.send(Event::Missed(1)), Sent::Yes(Some(_))));
        assert_eq!(events.next().now_or_never(), Some(Some(Event::Missed(1))));
        assert_eq!(events.next().now_or_never(), None);
        assert!(post.end().is_some());
    }
}
