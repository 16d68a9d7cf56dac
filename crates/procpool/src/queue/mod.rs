//! Queues between processes: many producers, many consumers, bounded, async.
//!
//! [`bounded`] makes a queue and its first two handles. Both can be cloned, and both travel: in the arguments and results
//! of tasks, in [shared](crate::Shared) values, and in messages of queues. Whoever has a handle uses the queue, in
//! whichever process of the program that is; the queue lives as long as one is left.
//!
//! ```standalone_crate
//! use procpool::queue::{self, Sender};
//! use procpool::{Pool, call};
//!
//! fn count(numbers: Sender<u32>, to: u32) {
//!     for number in 0..to {
//!         // Waits while the queue is full, and says so once nobody receives any more.
//!         if numbers.send_blocking(number).is_err() {
//!             return;
//!         }
//!     }
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Pool::new()?;
//!     let (sender, receiver) = queue::bounded(16);
//!     let counting = pool.spawn(call!(count(sender, 100)));
//!     let mut sum = 0;
//!     // Until the last sender is gone, which the task took with it.
//!     while let Ok(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 4950);
//!     counting.await?;
//!     Ok(())
//! }
//! ```

mod alarm;
mod asking;
mod broker;
pub(crate) mod client;
mod delivery;
mod error;
mod guest;
mod handle;
mod hub;
mod iter;
mod key;
mod link;
mod make;
mod permit;
mod receiver;
mod receiving;
mod sender;
mod sending;
mod sink;
mod stream;
pub(crate) mod travel;
pub(crate) mod waiting;
mod wire;

pub use asking::{Join, Len};
pub use delivery::{AckOnDrop, Delivery};
pub use error::{
    AckError, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, Unavailable,
};
pub(crate) use guest::Guest;
pub use iter::{IntoIter, Iter};
pub use make::{Builder, bounded, bounded_bytes, builder};
pub use permit::{Permit, Reserve};
pub use receiver::Receiver;
pub use receiving::{Recv, RecvAcked, RecvTimeout};
pub use sender::Sender;
pub use sending::{SendFuture, SendTimeout};
