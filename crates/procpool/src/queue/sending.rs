//! Sends on their way.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::client::{Encoded, Place, Sending};
use super::error::{SendError, SendTimeoutError};
use super::handle::Handle;
use super::travel;
use crate::task::Ship;
use crate::task::codec::{self, CodecError};

/// A value as it is sent.
pub(super) fn encoded<T: Ship>(value: &T) -> Result<Encoded, CodecError> {
    let mut body = Vec::new();
    let (encoded, handles) = travel::collecting(|| codec::encode(value, &mut body));
    encoded?;
    Ok(Encoded { body: body.into(), handles })
}

/// A value that is being sent, and kept beside so that it can be given back.
pub(super) enum Outgoing<'a, T> {
    /// `Place`: it goes to where room is held for it.
    Fresh(&'a Handle, Option<Place>, T),
    Going(Sending, T),
    Over,
}

impl<'a, T: Ship> Outgoing<'a, T> {
    /// Encodes the value, unless that has been done.
    fn start(&mut self) -> Result<(), SendError<T>> {
        match mem::replace(self, Outgoing::Over) {
            Outgoing::Fresh(handle, place, value) => {
                let side = match handle.side() {
                    Ok(side) => side,
                    Err(error) => return Err(SendError::Unavailable { value, error }),
                };
                let message = match encoded(&value) {
                    Ok(message) => message,
                    Err(error) => return Err(SendError::Encode { value, error }),
                };
                let sending = match place {
                    Some(place) => place.send(message),
                    None => Sending::new(side, message),
                };
                *self = Outgoing::Going(sending, value);
            }
            other => *self = other,
        }
        Ok(())
    }

    /// The value, once it will not be sent any more.
    fn abandon(&mut self) -> Option<T> {
        match mem::replace(self, Outgoing::Over) {
            Outgoing::Fresh(_, _, value) | Outgoing::Going(_, value) => Some(value),
            Outgoing::Over => None,
        }
    }

    fn settle(&mut self, sent: Result<(), super::client::Refused>) -> Result<(), SendError<T>> {
        match (sent, self.abandon()) {
            (Err(why), Some(value)) => Err(SendError::refused(value, why)),
            _ => Ok(()),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.start()?;
        let Outgoing::Going(sending, _) = self else { return Poll::Pending };
        let sent = ready!(sending.poll(context));
        Poll::Ready(self.settle(sent))
    }

    /// Sends at once, or gives the value back.
    pub(super) fn attempt(mut self) -> Result<Option<T>, SendError<T>> {
        self.start()?;
        let Outgoing::Going(sending, _) = &mut self else { return Ok(None) };
        match sending.attempt() {
            Ok(false) => Ok(self.abandon()),
            Ok(true) => Ok(None),
            Err(why) => self.settle(Err(why)).map(|()| None),
        }
    }

    /// Sends by the deadline, or gives the value back.
    pub(super) fn wait(mut self, deadline: Option<Instant>) -> Result<Option<T>, SendError<T>> {
        self.start()?;
        let Outgoing::Going(sending, _) = &mut self else { return Ok(None) };
        match sending.wait(deadline) {
            Ok(false) => Ok(self.abandon()),
            Ok(true) => Ok(None),
            Err(why) => self.settle(Err(why)).map(|()| None),
        }
    }
}

/// A message on its way; what [`Sender::send`](super::Sender::send) and [`Permit::send`](super::Permit::send) return.
///
/// Cancel safe: dropped before it is ready, the message has not been sent, nor any part of it.
// Not `Send`: with another public `Send` in sight, rustc writes `std::marker::Send` in everybody's error messages.
#[must_use = "futures do nothing unless they are awaited"]
pub struct SendFuture<'a, T>(pub(super) Outgoing<'a, T>);

/// Nothing in it is pinned: the value is only ever moved.
impl<T> Unpin for SendFuture<'_, T> {}

impl<T: Ship> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture").finish_non_exhaustive()
    }
}

/// A message on its way, with a limit; what [`Sender::send_timeout`](super::Sender::send_timeout) returns.
///
/// Cancel safe: dropped before it is ready, or out of time, the message has not been sent, nor any part of it.
#[must_use = "futures do nothing unless they are awaited"]
pub struct SendTimeout<'a, T> {
    outgoing: Outgoing<'a, T>,
    alarm: Alarm,
}

impl<T> Unpin for SendTimeout<'_, T> {}

impl<'a, T> SendTimeout<'a, T> {
    pub(super) fn new(outgoing: Outgoing<'a, T>, timeout: Duration) -> Self {
        SendTimeout { outgoing, alarm: Alarm::after(timeout) }
    }
}

impl<T: Ship> Future for SendTimeout<'_, T> {
    type Output = Result<(), SendTimeoutError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(sent) = this.outgoing.poll(context) {
            return Poll::Ready(sent.map_err(Into::into));
        }
        let up = ready!(this.alarm.poll(context));
        let Some(value) = this.outgoing.abandon() else { return Poll::Pending };
        Poll::Ready(Err(match up {
            Ok(()) => SendTimeoutError::TimedOut(value),
            Err(error) => SendTimeoutError::Unavailable { value, error },
        }))
    }
}

impl<T> fmt::Debug for SendTimeout<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendTimeout").field("alarm", &self.alarm).finish_non_exhaustive()
    }
}
