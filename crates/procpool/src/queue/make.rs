//! How queues are made.

use super::handle::Handle;
use super::key::Shape;
use super::receiver::Receiver;
use super::sender::Sender;
use crate::config::defaults;
use crate::task::Ship;

/// Makes a queue of so many messages.
///
/// Those count that were sent and not received yet, and those that were received
/// [to be acknowledged](Receiver::recv_acked) and have not been. Making a queue takes no round trip, in workers neither.
///
/// # Panics
/// If `capacity` is 0, or over `u32::MAX`.
///
/// ```standalone_crate
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (sender, receiver) = procpool::queue::bounded(2);
///     sender.send("a".to_string()).await?;
///     assert_eq!(receiver.recv().await?, "a");
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn bounded<T: Ship>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    builder().capacity(capacity).build()
}

/// Makes a queue of so many messages, which together take at most so many bytes, encoded. A message that alone takes more
/// is refused when it is sent.
///
/// # Panics
/// If `capacity` is 0 or over `u32::MAX`, or if `bytes` is 0.
#[track_caller]
pub fn bounded_bytes<T: Ship>(capacity: usize, bytes: u64) -> (Sender<T>, Receiver<T>) {
    builder().capacity(capacity).bytes(bytes).build()
}

/// A queue with other limits than the usual ones.
pub fn builder() -> Builder {
    Builder { capacity: 1024, bytes: None, max_message: defaults::MAX_MESSAGE }
}

/// The limits of a queue that is to be made; see [`builder`].
///
/// ```standalone_crate
/// #[procpool::main]
/// async fn main() {
///     let (sender, _receiver) = procpool::queue::builder().capacity(8).max_message(1 << 20).build::<Vec<u8>>();
///     assert_eq!(sender.capacity(), 8);
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes a queue when `build` is called"]
pub struct Builder {
    capacity: usize,
    bytes: Option<u64>,
    max_message: u64,
}

impl Builder {
    /// How many messages it holds. 1024 unless told.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// How many bytes all its messages take at most, encoded. Unless told, only their number is limited.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// How many bytes one message takes at most, encoded. 2 GiB unless told.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// Makes the queue.
    ///
    /// # Panics
    /// If the capacity is 0 or over `u32::MAX`, or if there is to be room for no byte.
    #[track_caller]
    pub fn build<T: Ship>(self) -> (Sender<T>, Receiver<T>) {
        let Builder { capacity, bytes, max_message } = self;
        assert!(capacity > 0, "a queue holds at least one message: its capacity cannot be 0");
        assert!(bytes != Some(0), "a queue holds at least one byte: its limit in bytes cannot be 0");
        let Ok(capacity) = u32::try_from(capacity) else {
            panic!("a queue holds at most {} messages: its capacity cannot be {capacity}", u32::MAX)
        };
        let (sender, receiver) = Handle::pair(Shape { capacity, bytes, max_message });
        (Sender::new(sender), Receiver::new(receiver))
    }
}
