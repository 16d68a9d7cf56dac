//! The handle with which messages are received.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::alarm::deadline;
use super::asking::{self, Join, Len};
use super::client::{Question, Receiving, Taking};
use super::delivery::Delivery;
use super::error::{RecvError, RecvTimeoutError, TryRecvError, Unavailable};
use super::handle::Handle;
use super::iter::Iter;
use super::key::Role;
use super::receiving::{self, Recv, RecvAcked, RecvTimeout};
use super::stream::Streaming;
use crate::task::Ship;

/// Receives messages from a queue. Clones receive from the same one: each message goes to one receiver.
///
/// It travels in arguments and results of tasks (also deep inside of them), in [`Shared`](crate::Shared) values and in
/// messages of queues; encoding it elsewhere is an error that says so. While it is on its way it counts as a receiver.
///
/// It is a [`Stream`](futures::Stream) as well, each clone one of its own, which ends when the queue has, and an
/// iterator ([`iter`](Self::iter)) in code that is not async.
///
/// Calls whose names end in `blocking` are for code that is not async, such as tasks: they block their thread, and inside
/// of an async function all that this thread would do.
pub struct Receiver<T> {
    pub(super) handle: Handle,
    pub(super) stream: Streaming,
    message: PhantomData<fn() -> T>,
}

impl<T: Ship> Receiver<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Receiver { handle, stream: Streaming::default(), message: PhantomData }
    }

    /// Takes the next message. Waits while there is none; who waits first is served first.
    ///
    /// Messages of one sender come in the order in which they were sent.
    ///
    /// # Errors
    /// The queue is closed, or no sender is left, and it is empty; the message does not decode, and is gone; queues cannot
    /// be used here.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no message has been taken.
    pub fn recv(&self) -> Recv<'_, T> {
        self.stream.leave();
        Recv::of(self)
    }

    /// Takes the next message if there is one now. It may ask the broker, which takes a moment.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and what [`recv`](Self::recv) may say.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.stream.leave();
        let side = self.handle.side().map_err(TryRecvError::Unavailable)?;
        let received = Receiving::new(side, Taking::Done).attempt().map_err(RecvError::from)?;
        let received = received.ok_or(TryRecvError::Empty)?;
        Ok(receiving::taken(side, &received)?)
    }

    /// Takes the next message if there is one within this time, counted from this call.
    ///
    /// # Errors
    /// [`TimedOut`](RecvTimeoutError::TimedOut), and what [`recv`](Self::recv) may say; `Unavailable` where it has to wait
    /// and no tokio runtime is there.
    ///
    /// # Panics
    /// If it has to wait and the runtime's timer is not enabled, as all of tokio's timeouts do.
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> RecvTimeout<'_, T> {
        self.stream.leave();
        RecvTimeout::of(self, timeout)
    }

    /// Takes the next message. Blocks this thread while there is none.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_blocking(&self) -> Result<T, RecvError> {
        // Without a deadline it does not run out of time.
        self.wait(None)?.ok_or_else(|| RecvError::Unavailable(Unavailable::new("a wait ended before its time")))
    }

    /// Takes the next message if there is one within this time. Blocks this thread while there is none.
    ///
    /// # Errors
    /// [`TimedOut`](RecvTimeoutError::TimedOut), and what [`recv`](Self::recv) may say.
    pub fn recv_timeout_blocking(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.wait(deadline(timeout))?.ok_or(RecvTimeoutError::TimedOut)
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Option<T>, RecvError> {
        self.stream.leave();
        let side = self.handle.side().map_err(RecvError::Unavailable)?;
        let received = Receiving::new(side, Taking::Done).wait(deadline)?;
        received.map(|received| receiving::taken(side, &received)).transpose()
    }

    /// Takes the next message, to be acknowledged: until then it is kept, and given to others if this process dies or does
    /// not want it. A message may so come more than once; [`Delivery::redelivered`] tells.
    ///
    /// # Errors
    /// As [`recv`](Self::recv). A message that does not decode counts as acknowledged.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no message has been taken.
    ///
    /// ```standalone_crate
    /// #[procpool::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let (sender, receiver) = procpool::queue::bounded(2);
    ///     sender.send(7).await?;
    ///     drop(receiver.recv_acked().await?); // not acknowledged, so it comes again
    ///     let mut delivery = receiver.recv_acked().await?;
    ///     assert_eq!((*delivery, delivery.redelivered()), (7, 1));
    ///     delivery.ack()?;
    ///     sender.join().await?; // nothing is left to be done
    ///     Ok(())
    /// }
    /// ```
    pub fn recv_acked(&self) -> RecvAcked<'_, T> {
        self.stream.leave();
        RecvAcked::of(self)
    }

    /// The same, if there is a message now. It may ask the broker, which takes a moment.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and what [`recv_acked`](Self::recv_acked) may say.
    pub fn try_recv_acked(&self) -> Result<Delivery<T>, TryRecvError> {
        self.stream.leave();
        let side = self.handle.side().map_err(TryRecvError::Unavailable)?;
        let received = Receiving::new(side, Taking::ToAcknowledge).attempt().map_err(RecvError::from)?;
        let received = received.ok_or(TryRecvError::Empty)?;
        Ok(receiving::delivered(side, &received)?)
    }

    /// The same; blocks this thread while there is no message.
    ///
    /// # Errors
    /// As [`recv_acked`](Self::recv_acked).
    pub fn recv_acked_blocking(&self) -> Result<Delivery<T>, RecvError> {
        // Without a deadline it does not run out of time.
        self.wait_acked(None)?.ok_or_else(|| RecvError::Unavailable(Unavailable::new("a wait ended before its time")))
    }

    /// The same, if there is a message within this time. (In async code put [`recv_acked`](Self::recv_acked) into a timeout
    /// of tokio's: dropped, it has taken none.)
    ///
    /// # Errors
    /// [`TimedOut`](RecvTimeoutError::TimedOut), and what [`recv_acked`](Self::recv_acked) may say.
    pub fn recv_acked_timeout_blocking(&self, timeout: Duration) -> Result<Delivery<T>, RecvTimeoutError> {
        self.wait_acked(deadline(timeout))?.ok_or(RecvTimeoutError::TimedOut)
    }

    fn wait_acked(&self, deadline: Option<Instant>) -> Result<Option<Delivery<T>>, RecvError> {
        self.stream.leave();
        let side = self.handle.side().map_err(RecvError::Unavailable)?;
        let received = Receiving::new(side, Taking::ToAcknowledge).wait(deadline)?;
        received.map(|received| receiving::delivered(side, &received)).transpose()
    }

    /// The messages one after the other, until the queue has ended. Each step blocks this thread while there is none.
    ///
    /// ```standalone_crate
    /// #[procpool::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let (sender, receiver) = procpool::queue::bounded(2);
    ///     sender.send(1).await?;
    ///     sender.send(2).await?;
    ///     drop(sender);
    ///     assert_eq!(receiver.iter().collect::<Result<Vec<i32>, _>>()?, [1, 2]);
    ///     Ok(())
    /// }
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::of(self)
    }

    /// Closes the queue for all senders. What was sent can still be received.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether somebody has closed the queue.
    pub fn is_closed(&self) -> bool {
        self.handle.state().closed
    }

    /// Whether no sender is left anywhere. There may still be messages.
    pub fn is_disconnected(&self) -> bool {
        self.handle.state().senders_gone
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

    /// Whether the other one receives from the same queue.
    pub fn same_queue(&self, other: &Receiver<T>) -> bool {
        self.handle.is_of_queue_of(&other.handle)
    }
}

impl<T> Clone for Receiver<T> {
    /// Another receiver. What this one has begun as a stream stays its own.
    fn clone(&self) -> Self {
        Receiver { handle: self.handle.clone(), stream: Streaming::default(), message: PhantomData }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.show("Receiver", f)
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = Handle::deserialize(deserializer, Role::Receiver)?;
        Ok(Receiver { handle, stream: Streaming::default(), message: PhantomData })
    }
}
