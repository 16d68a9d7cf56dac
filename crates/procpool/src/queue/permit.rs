//! Room for a message, before there is one.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::client::{Place, Reserving};
use super::error::SendError;
use super::handle::Handle;
use super::sending::{Outgoing, SendFuture};
use crate::task::Ship;

/// Room for one message, held; made by [`Sender::reserve`](super::Sender::reserve). Dropped, it is given back.
#[must_use = "the room is given back when this is dropped"]
pub struct Permit<'a, T> {
    handle: &'a Handle,
    place: Place,
    message: PhantomData<fn(T)>,
}

impl<'a, T: Ship> Permit<'a, T> {
    /// Sends a message to where the room is. It never waits for others to receive.
    ///
    /// # Errors
    /// As [`Sender::send`](super::Sender::send).
    pub fn send(self, value: T) -> SendFuture<'a, T> {
        SendFuture(Outgoing::Fresh(self.handle, Some(self.place), value))
    }

    /// The same, in code that is not async.
    ///
    /// # Errors
    /// As [`Sender::send`](super::Sender::send).
    pub fn send_blocking(self, value: T) -> Result<(), SendError<T>> {
        Outgoing::Fresh(self.handle, Some(self.place), value).wait(None).map(drop)
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Waits for room; what [`Sender::reserve`](super::Sender::reserve) returns.
///
/// Cancel safe: dropped before it is ready, its turn goes to others.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Reserve<'a, T> {
    handle: &'a Handle,
    reserving: Option<Reserving>,
    message: PhantomData<fn(T)>,
}

impl<'a, T> Reserve<'a, T> {
    pub(super) fn of(handle: &'a Handle) -> Self {
        Reserve { handle, reserving: None, message: PhantomData }
    }
}

impl<'a, T: Ship> Future for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let reserving = match &mut this.reserving {
            Some(reserving) => reserving,
            none => match this.handle.side() {
                Ok(side) => none.insert(Reserving::new(side)),
                Err(error) => return Poll::Ready(Err(SendError::Unavailable { value: (), error })),
            },
        };
        let reserved = ready!(reserving.poll(context));
        let held = |place| Permit { handle: this.handle, place, message: PhantomData };
        Poll::Ready(reserved.map(held).map_err(|why| SendError::refused((), why)))
    }
}

impl<T> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").finish_non_exhaustive()
    }
}
