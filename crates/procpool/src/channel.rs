//! A link between two: what one end sends, the other receives.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::queue::{
    self, Receiver, Recv, RecvError, RecvTimeout, RecvTimeoutError, SendError, SendFuture, SendTimeout,
    SendTimeoutError, Sender, TryRecvError, TrySendError,
};
use crate::task::Ship;

/// How many messages wait in each direction at most.
pub const CAPACITY: usize = 64;

/// Makes a link with two ends: the first sends `A`s and receives `B`s, the second the other way round.
///
/// It is two queues of [`CAPACITY`] messages. Each end travels as handles of [queues](queue) do.
///
/// ```standalone_crate
/// use procpool::channel::{self, Duplex};
/// use procpool::{Process, call};
///
/// fn lengths(link: Duplex<usize, String>) {
///     while let Ok(word) = link.recv_blocking() {
///         if link.send_blocking(word.len()).is_err() {
///             return;
///         }
///     }
/// }
///
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (link, theirs) = channel::duplex::<String, usize>();
///     let process = Process::spawn(call!(lengths(theirs)))?;
///     link.send("seven".into()).await?;
///     assert_eq!(link.recv().await?, 5);
///     drop(link); // which ends the loop
///     process.join().await?;
///     Ok(())
/// }
/// ```
pub fn duplex<A: Ship, B: Ship>() -> (Duplex<A, B>, Duplex<B, A>) {
    let (to_second, from_first) = queue::bounded(CAPACITY);
    let (to_first, from_second) = queue::bounded(CAPACITY);
    (Duplex { sender: to_second, receiver: from_second }, Duplex { sender: to_first, receiver: from_first })
}

/// One end of a link; made by [`duplex`]. It sends `A`s and receives `B`s. Once one end is gone, the other receives what
/// is left and then [`Disconnected`](RecvError::Disconnected), and cannot send any more.
///
/// It has no clones, so that "the other end is gone" is the work of one; [`split`](Self::split) it to share it.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Duplex<A, B> {
    sender: Sender<A>,
    receiver: Receiver<B>,
}

impl<A: Ship, B: Ship> Duplex<A, B> {
    /// Sends a message to the other end. Waits while [`CAPACITY`] of them wait there.
    ///
    /// # Errors
    /// As [`Sender::send`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message has not been sent.
    pub fn send(&self, value: A) -> SendFuture<'_, A> {
        self.sender.send(value)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    pub fn try_send(&self, value: A) -> Result<(), TrySendError<A>> {
        self.sender.try_send(value)
    }

    /// Sends a message if there is room within this time.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    ///
    /// # Panics
    /// As [`Sender::send_timeout`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message has not been sent.
    pub fn send_timeout(&self, value: A, timeout: Duration) -> SendTimeout<'_, A> {
        self.sender.send_timeout(value, timeout)
    }

    /// Sends a message. Blocks this thread while there is no room.
    ///
    /// # Errors
    /// As [`Sender::send_blocking`].
    pub fn send_blocking(&self, value: A) -> Result<(), SendError<A>> {
        self.sender.send_blocking(value)
    }

    /// Sends a message if there is room within this time. Blocks this thread meanwhile.
    ///
    /// # Errors
    /// As [`Sender::send_timeout_blocking`].
    pub fn send_timeout_blocking(&self, value: A, timeout: Duration) -> Result<(), SendTimeoutError<A>> {
        self.sender.send_timeout_blocking(value, timeout)
    }

    /// Takes the next message from the other end. Waits while there is none.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no message has been taken.
    pub fn recv(&self) -> Recv<'_, B> {
        self.receiver.recv()
    }

    /// Takes the next message if there is one now.
    ///
    /// # Errors
    /// As [`Receiver::try_recv`].
    pub fn try_recv(&self) -> Result<B, TryRecvError> {
        self.receiver.try_recv()
    }

    /// Takes the next message if there is one within this time.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    ///
    /// # Panics
    /// As [`Receiver::recv_timeout`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no message has been taken.
    pub fn recv_timeout(&self, timeout: Duration) -> RecvTimeout<'_, B> {
        self.receiver.recv_timeout(timeout)
    }

    /// Takes the next message. Blocks this thread while there is none.
    ///
    /// # Errors
    /// As [`Receiver::recv_blocking`].
    pub fn recv_blocking(&self) -> Result<B, RecvError> {
        self.receiver.recv_blocking()
    }

    /// Takes the next message if there is one within this time. Blocks this thread meanwhile.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout_blocking`].
    pub fn recv_timeout_blocking(&self, timeout: Duration) -> Result<B, RecvTimeoutError> {
        self.receiver.recv_timeout_blocking(timeout)
    }

    /// The two directions apart, as handles of ordinary queues.
    pub fn split(self) -> (Sender<A>, Receiver<B>) {
        (self.sender, self.receiver)
    }
}

impl<A, B> fmt::Debug for Duplex<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex").finish_non_exhaustive()
    }
}
