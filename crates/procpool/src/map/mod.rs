//! One function over many items.

mod filling;
mod future;
mod group;
mod input;
mod limits;
mod lots;
mod maker;
mod options;
mod progress;
mod rate;
mod running;
mod stream;
mod tracker;
mod window;

pub use future::MapFuture;
pub use input::{Fallible, Input, Streamed};
pub use progress::{Progress, ProgressStream};
pub use stream::Map;
