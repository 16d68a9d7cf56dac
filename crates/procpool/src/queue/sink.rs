//! A sender as a sink.

use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, ready};

use futures::Sink;

use super::client::{Place, Reserving, Sending};
use super::error::SendError;
use super::sender::Sender;
use super::sending::encoded;
use crate::task::Ship;

/// How far a sink is with its next message.
#[derive(Debug, Default)]
pub(super) enum Sinking {
    #[default]
    Idle,
    /// It waits for room.
    Reserving(Reserving),
    /// Room is held.
    Ready(Place),
    Sending(Sending),
}

impl<T: Ship> Sender<T> {
    fn sinking(&mut self) -> &mut Sinking {
        self.sink.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        let sinking = self.sinking();
        if let Sinking::Sending(sending) = sinking {
            let sent = ready!(sending.poll(context));
            *sinking = Sinking::Idle;
            sent.map_err(|why| SendError::refused((), why))?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Nothing in it is pinned.
impl<T> Unpin for Sender<T> {}

/// Each message has left this process once the sink is flushed.
impl<T: Ship> Sink<T> for Sender<T> {
    type Error = SendError<()>;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        ready!(self.poll_sent(context))?;
        let this = &mut *self;
        let sinking = this.sink.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Sinking::Idle = sinking {
            let side = this.handle.side().map_err(|error| SendError::Unavailable { value: (), error })?;
            *sinking = Sinking::Reserving(Reserving::new(side));
        }
        if let Sinking::Reserving(reserving) = sinking {
            let reserved = ready!(reserving.poll(context));
            *sinking = Sinking::Idle;
            *sinking = Sinking::Ready(reserved.map_err(|why| SendError::refused((), why))?);
        }
        Poll::Ready(Ok(()))
    }

    /// # Panics
    /// If the sink was not ready.
    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), SendError<()>> {
        let sinking = self.sinking();
        let Sinking::Ready(place) = std::mem::take(sinking) else {
            panic!("`start_send` was called on a sink that is not ready")
        };
        let message = encoded(&value).map_err(|error| SendError::Encode { value: (), error })?;
        *sinking = Sinking::Sending(place.send(message));
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        self.poll_sent(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        self.poll_sent(context)
    }
}
