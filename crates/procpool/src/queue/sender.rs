//! The handle with which messages are sent.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::alarm::deadline;
use super::asking::{self, Join, Len};
use super::client::Question;
use super::error::{SendError, SendTimeoutError, TrySendError, Unavailable};
use super::handle::Handle;
use super::key::Role;
use super::permit::Reserve;
use super::receiver::Receiver;
use super::sending::{Outgoing, SendFuture, SendTimeout};
use super::sink::Sinking;
use crate::task::Ship;

/// Sends messages into a queue. Clones send into the same one.
///
/// It travels in arguments and results of tasks (also deep inside of them), in [`Shared`](crate::Shared) values and in
/// messages of queues; encoding it elsewhere is an error that says so. While it is on its way it counts as a sender.
///
/// A send that has returned `Ok` is never lost by the death of this process. One [`Sink`](futures::Sink) each clone is
/// this as well: closing that flushes it, and neither closes the queue nor drops the sender.
///
/// Calls whose names end in `blocking` are for code that is not async, such as tasks: they block their thread, and inside
/// of an async function all that this thread would do.
pub struct Sender<T> {
    pub(super) handle: Handle,
    /// In a mutex only so that a sender can be shared: a sink is polled by `&mut`.
    pub(super) sink: Mutex<Sinking>,
    message: PhantomData<fn(T)>,
}

impl<T: Ship> Sender<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Sender { handle, sink: Mutex::default(), message: PhantomData }
    }

    fn outgoing(&self, value: T) -> Outgoing<'_, T> {
        Outgoing::Fresh(&self.handle, None, value)
    }

    /// Sends a message. Waits while the queue is full; who waits first is served first.
    ///
    /// Once this is ready, the whole message has left this process's memory. It is encoded when this is first polled.
    ///
    /// # Errors
    /// The queue is closed, or nobody is left who could receive; the value does not encode, or takes too many bytes; queues
    /// cannot be used here. Each gives the value back.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message has not been sent, nor any part of it.
    pub fn send(&self, value: T) -> SendFuture<'_, T> {
        SendFuture(self.outgoing(value))
    }

    /// Sends a message if there is room now. It may ask the broker, which takes a moment.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full), and what [`send`](Self::send) may say.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.outgoing(value).attempt()? {
            None => Ok(()),
            Some(value) => Err(TrySendError::Full(value)),
        }
    }

    /// Sends a message if there is room within this time, counted from this call.
    ///
    /// # Errors
    /// [`TimedOut`](SendTimeoutError::TimedOut), and what [`send`](Self::send) may say; `Unavailable` where it has to wait
    /// and no tokio runtime is there.
    ///
    /// # Panics
    /// If it has to wait and the runtime's timer is not enabled, as all of tokio's timeouts do.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_timeout(&self, value: T, timeout: Duration) -> SendTimeout<'_, T> {
        SendTimeout::new(self.outgoing(value), timeout)
    }

    /// Sends a message. Blocks this thread while the queue is full.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        self.outgoing(value).wait(None).map(drop)
    }

    /// Sends a message if there is room within this time. Blocks this thread while the queue is full.
    ///
    /// # Errors
    /// [`TimedOut`](SendTimeoutError::TimedOut), and what [`send`](Self::send) may say.
    pub fn send_timeout_blocking(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        match self.outgoing(value).wait(deadline(timeout))? {
            None => Ok(()),
            Some(value) => Err(SendTimeoutError::TimedOut(value)),
        }
    }

    /// Waits for room, and holds it: for a message that is not worth making before. In a queue with a limit in bytes, the
    /// room is for the largest message that it takes.
    ///
    /// # Errors
    /// As [`send`](Self::send), without a value.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, its turn goes to others.
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve::of(&self.handle)
    }

    /// Closes the queue for all senders. What was sent can still be received.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether somebody has closed the queue.
    pub fn is_closed(&self) -> bool {
        self.handle.state().closed
    }

    /// Whether no receiver is left anywhere.
    pub fn is_disconnected(&self) -> bool {
        self.handle.state().receivers_gone
    }

    /// How many messages the queue holds at most.
    pub fn capacity(&self) -> usize {
        self.handle.capacity()
    }

    /// How many messages wait to be received: none that somebody has in hand. Others may change that at any time.
    ///
    /// # Errors
    /// Queues cannot be used here.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub fn len(&self) -> Len<'_> {
        Len::of(&self.handle)
    }

    /// The same; blocks this thread for a moment.
    ///
    /// # Errors
    /// Queues cannot be used here.
    pub fn len_blocking(&self) -> Result<usize, Unavailable> {
        asking::ask(&self.handle, Question::Len).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Waits until all that was sent has been received, and acknowledged where it was received to be.
    ///
    /// # Errors
    /// Queues cannot be used here.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub fn join(&self) -> Join<'_> {
        Join::of(&self.handle)
    }

    /// The same; blocks this thread.
    ///
    /// # Errors
    /// Queues cannot be used here.
    pub fn join_blocking(&self) -> Result<(), Unavailable> {
        asking::ask(&self.handle, Question::Join).map(drop)
    }

    /// Whether the other one sends into the same queue.
    pub fn same_queue(&self, other: &Sender<T>) -> bool {
        self.handle.is_of_queue_of(&other.handle)
    }

    /// Whether what is sent here is received there.
    pub fn leads_to(&self, receiver: &Receiver<T>) -> bool {
        self.handle.is_of_queue_of(&receiver.handle)
    }
}

impl<T> Clone for Sender<T> {
    /// Another sender. What this one has begun as a sink stays its own.
    fn clone(&self) -> Self {
        Sender { handle: self.handle.clone(), sink: Mutex::default(), message: PhantomData }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.show("Sender", f)
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = Handle::deserialize(deserializer, Role::Sender)?;
        Ok(Sender { handle, sink: Mutex::default(), message: PhantomData })
    }
}
