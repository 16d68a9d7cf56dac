//! A receiver as a stream.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::stream::FusedStream;

use super::client::{Receiving, Taking};
use super::error::RecvError;
use super::receiver::Receiver;
use super::receiving::taken;
use crate::sync::lock;
use crate::task::Ship;

/// The receive that a stream keeps between two polls.
#[derive(Debug, Default)]
pub(super) struct Streaming {
    receiving: Mutex<Option<Receiving>>,
    /// Spares all who use no stream the mutex.
    waits: AtomicBool,
    ended: bool,
}

impl Streaming {
    /// Whoever receives in another way does not stream now: otherwise the stream, which nobody polls, would be first in
    /// line, and the messages be kept for it.
    pub(super) fn leave(&self) {
        if self.waits.load(Ordering::Relaxed) {
            let left = lock(&self.receiving).take();
            self.waits.store(false, Ordering::Relaxed);
            drop(left);
        }
    }
}

/// Nothing in it is pinned.
impl<T> Unpin for Receiver<T> {}

/// Ends when the queue has. Dropped, or not polled any more, it takes no message with it.
impl<T: Ship> Stream for Receiver<T> {
    type Item = Result<T, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Receiver { handle, stream, .. } = &mut *self;
        if stream.ended {
            return Poll::Ready(None);
        }
        let side = match handle.side() {
            Ok(side) => side,
            Err(error) => {
                stream.ended = true;
                return Poll::Ready(Some(Err(RecvError::Unavailable(error))));
            }
        };
        let kept = stream.receiving.get_mut().unwrap_or_else(PoisonError::into_inner);
        *stream.waits.get_mut() = true;
        let receiving = kept.get_or_insert_with(|| Receiving::new(side, Taking::Done));
        let received = ready!(receiving.poll(context));
        *kept = None;
        *stream.waits.get_mut() = false;
        Poll::Ready(match received.map_err(RecvError::from) {
            Ok(received) => Some(taken(side, &received)),
            Err(error) => {
                stream.ended = true;
                (!error.is_final()).then_some(Err(error))
            }
        })
    }
}

impl<T: Ship> FusedStream for Receiver<T> {
    fn is_terminated(&self) -> bool {
        self.stream.ended
    }
}
