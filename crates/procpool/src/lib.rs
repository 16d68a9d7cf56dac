//! Multiprocessing for async Rust.

// The macros name the crate by `::procpool`, also in its own tests.
#[cfg(test)]
extern crate self as procpool;

mod task;

pub use procpool_macros::{main, task};
pub use task::{Call, InitOutput, Job, Ship, Task};

/// Stand-in until the entry is merged.
#[doc(hidden)]
pub fn init() {}

/// What the macros expand to. Not part of the API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::task::{
        Borrowed, Lend, LendThrough, Lendable, Lent, Named, Parts, Registration, TASKS, argument,
        assert_named, call, lend, result,
    };
    pub use linkme;
    pub use procpool_macros::call_engine;
    pub use serde;
    pub use tokio;
}
