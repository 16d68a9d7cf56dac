//! Messages that are to be acknowledged.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::client::Side;
use super::error::AckError;

/// What is owed for a delivery. Dropped, it says that the message was not wanted.
#[derive(Debug)]
pub(super) struct Receipt {
    side: Side,
    delivery: u32,
    redelivered: u32,
    given: bool,
}

impl Receipt {
    pub(super) fn new(side: Side, delivery: u32, redelivered: u32) -> Self {
        Receipt { side, delivery, redelivered, given: false }
    }

    fn give(&mut self) -> Result<(), AckError> {
        match std::mem::replace(&mut self.given, true) {
            true => Err(AckError::AlreadyAcknowledged),
            false => Ok(()),
        }
    }

    pub(super) fn ack(&mut self) -> Result<(), AckError> {
        self.give()?;
        self.side.ack(self.delivery).map_err(|why| AckError::Unavailable(why.into()))
    }

    fn nack(&mut self) -> Result<(), AckError> {
        self.give()?;
        self.side.nack(self.delivery).map_err(|why| AckError::Unavailable(why.into()))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        // Where it fails, this process is cut off, and the message has gone to others already.
        let _ = self.nack();
    }
}

/// A message that is to be acknowledged; made by [`Receiver::recv_acked`](super::Receiver::recv_acked).
///
/// It is a smart pointer to the value. Dropped unacknowledged, or when its process dies, the message goes back to where it
/// was in the queue, and somebody gets it again. It counts against the queue's capacity for so long.
#[must_use = "dropped, it is not acknowledged, and comes again"]
pub struct Delivery<T> {
    value: T,
    receipt: Receipt,
}

impl<T> Delivery<T> {
    pub(super) fn new(value: T, receipt: Receipt) -> Self {
        Delivery { value, receipt }
    }

    /// How many times it was delivered before, to here or elsewhere.
    pub fn redelivered(&self) -> u32 {
        self.receipt.redelivered
    }

    /// Acknowledges it: it is done with, and comes to nobody again.
    ///
    /// # Errors
    /// It was acknowledged before (positively or negatively), or queues cannot be used here any more.
    pub fn ack(&mut self) -> Result<(), AckError> {
        self.receipt.ack()
    }

    /// Gives it back: somebody gets it again, perhaps this receiver. The value here stays.
    ///
    /// # Errors
    /// It was acknowledged before (positively or negatively), or queues cannot be used here any more.
    pub fn nack(&mut self) -> Result<(), AckError> {
        self.receipt.nack()
    }

    /// Acknowledges it, unless that has been done, and gives the value.
    pub fn into_inner(self) -> T {
        let Delivery { value, mut receipt } = self;
        // The value is wanted in any case; a message that cannot be acknowledged comes again.
        let _ = receipt.ack();
        value
    }

    /// Acknowledges it when the guard is dropped, except by a panic: then it comes again.
    ///
    /// ```standalone_crate
    /// #[procpool::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let (sender, receiver) = procpool::queue::bounded(1);
    ///     sender.send(7).await?;
    ///     {
    ///         let number = receiver.recv_acked().await?.ack_on_drop();
    ///         assert_eq!(*number, 7);
    ///     }
    ///     sender.join().await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn ack_on_drop(self) -> AckOnDrop<T> {
        AckOnDrop { delivery: self, panicking: std::thread::panicking() }
    }
}

impl<T> Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Delivery<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redelivered = &self.receipt.redelivered;
        f.debug_struct("Delivery").field("value", &self.value).field("redelivered", redelivered).finish_non_exhaustive()
    }
}

/// A message that is acknowledged when this is dropped; made by [`Delivery::ack_on_drop`].
#[must_use = "it is acknowledged when this is dropped"]
pub struct AckOnDrop<T> {
    delivery: Delivery<T>,
    /// Its thread was unwinding when this was made: then that says nothing when this is dropped.
    panicking: bool,
}

impl<T> AckOnDrop<T> {
    /// How many times it was delivered before, to here or elsewhere.
    pub fn redelivered(&self) -> u32 {
        self.delivery.redelivered()
    }
}

impl<T> Drop for AckOnDrop<T> {
    fn drop(&mut self) {
        if self.panicking || !std::thread::panicking() {
            // A message that cannot be acknowledged comes again.
            let _ = self.delivery.ack();
        }
    }
}

impl<T> Deref for AckOnDrop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.delivery
    }
}

impl<T> DerefMut for AckOnDrop<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.delivery
    }
}

impl<T: fmt::Debug> fmt::Debug for AckOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AckOnDrop").field(&self.delivery).finish()
    }
}
