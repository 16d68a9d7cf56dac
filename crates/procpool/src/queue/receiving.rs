//! Receives on their way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::alarm::Alarm;
use super::client::{Received, Receiving, Side, Taking};
use super::delivery::{Delivery, Receipt};
use super::error::{RecvError, RecvTimeoutError};
use super::handle::Handle;
use super::receiver::Receiver;
use crate::task::Ship;
use crate::task::codec::{self, CodecError};

/// Decodes a message. The broker keeps the handles in it until they have been attached here, or the attempt is over: also
/// where decoding, which is the users' code, panics.
fn decoded<T: Ship>(side: &Side, received: &Received) -> Result<T, CodecError> {
    struct Opened<'a>(&'a Side, u32);

    impl Drop for Opened<'_> {
        fn drop(&mut self) {
            self.0.opened(self.1);
        }
    }

    let _opened = received.handles.then(|| Opened(side, received.delivery));
    codec::decode(&received.body)
}

/// A message that is done with once it is here.
pub(super) fn taken<T: Ship>(side: &Side, received: &Received) -> Result<T, RecvError> {
    decoded(side, received).map_err(RecvError::Decode)
}

/// A message that is to be acknowledged.
pub(super) fn delivered<T: Ship>(side: &Side, received: &Received) -> Result<Delivery<T>, RecvError> {
    // Where decoding panics, it is dropped: others may have more luck.
    let mut receipt = Receipt::new(side.clone(), received.delivery, received.redelivered);
    match decoded(side, received) {
        Ok(value) => Ok(Delivery::new(value, receipt)),
        Err(error) => {
            // It would decode nowhere else, either, and come again for ever.
            let _ = receipt.ack();
            Err(RecvError::Decode(error))
        }
    }
}

/// A receive that begins when it is first polled.
#[derive(Debug)]
struct Incoming<'a> {
    handle: &'a Handle,
    receiving: Option<Receiving>,
}

impl<'a> Incoming<'a> {
    fn poll(&mut self, taking: Taking, context: &mut Context<'_>) -> Poll<Result<(&'a Side, Received), RecvError>> {
        let side = self.handle.side().map_err(RecvError::Unavailable)?;
        let receiving = self.receiving.get_or_insert_with(|| Receiving::new(side, taking));
        let received = ready!(receiving.poll(context));
        self.receiving = None;
        Poll::Ready(received.map(|received| (side, received)).map_err(Into::into))
    }
}

macro_rules! receives {
    ($($(#[$meta:meta])* $name:ident)*) => { $(
        $(#[$meta])*
        #[must_use = "futures do nothing unless they are awaited"]
        pub struct $name<'a, T> {
            incoming: Incoming<'a>,
            message: std::marker::PhantomData<fn() -> T>,
        }

        impl<'a, T: Ship> $name<'a, T> {
            pub(super) fn of(receiver: &'a Receiver<T>) -> Self {
                let incoming = Incoming { handle: &receiver.handle, receiving: None };
                $name { incoming, message: std::marker::PhantomData }
            }
        }

        impl<T> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )* };
}

receives! {
    /// Waits for a message; what [`Receiver::recv`] returns.
    ///
    /// Cancel safe: dropped before it is ready, no message has been taken.
    Recv

    /// Waits for a message that is to be acknowledged; what [`Receiver::recv_acked`] returns.
    ///
    /// Cancel safe: dropped before it is ready, no message has been taken.
    RecvAcked
}

impl<T: Ship> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (side, received) = ready!(self.incoming.poll(Taking::Done, context))?;
        Poll::Ready(taken(side, &received))
    }
}

impl<T: Ship> Future for RecvAcked<'_, T> {
    type Output = Result<Delivery<T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (side, received) = ready!(self.incoming.poll(Taking::ToAcknowledge, context))?;
        Poll::Ready(delivered(side, &received))
    }
}

/// Waits for a message for so long; what [`Receiver::recv_timeout`] returns.
///
/// Cancel safe: dropped before it is ready, or out of time, no message has been taken.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct RecvTimeout<'a, T> {
    recv: Recv<'a, T>,
    alarm: Alarm,
}

impl<'a, T: Ship> RecvTimeout<'a, T> {
    pub(super) fn of(receiver: &'a Receiver<T>, timeout: Duration) -> Self {
        RecvTimeout { recv: Recv::of(receiver), alarm: Alarm::after(timeout) }
    }
}

impl<T: Ship> Future for RecvTimeout<'_, T> {
    type Output = Result<T, RecvTimeoutError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(received) = Pin::new(&mut this.recv).poll(context) {
            return Poll::Ready(received.map_err(Into::into));
        }
        let up = ready!(this.alarm.poll(context));
        Poll::Ready(Err(up.map_or_else(RecvTimeoutError::Unavailable, |()| RecvTimeoutError::TimedOut)))
    }
}
