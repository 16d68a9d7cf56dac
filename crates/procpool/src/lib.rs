//! Multiprocessing for async Rust.

// The macros name the crate by `::procpool`, also in its own tests.
#[cfg(test)]
extern crate self as procpool;

mod backend;
mod config;
mod current;
mod entry;
mod error;
mod map;
mod panics;
mod pool;
mod process;
mod sync;
mod sys;
mod task;
mod wire;
mod worker;

pub use config::{Stderr, Workers};
pub use current::{Current, current};
pub use entry::init;
pub use error::{ErrorKind, Exit, PoolError, PoolErrorKind, RunError, Started, WorkerPanic};
pub use map::{Map, MapFuture};
pub use pool::{
    AbortHandle, JoinHandle, Pool, PoolBuilder, Report, Run, Shutdown, Snapshot, TaskSnapshot, WorkerSnapshot,
    WorkerState, spawn_blocking_process,
};
pub use process::Process;
pub use procpool_macros::{main, task};
pub use task::any_error::AnyError;
pub use task::codec::CodecError;
pub use task::json::Json;
pub use task::{Call, InitOutput, Job, Ship, Task};

/// What the macros expand to. Not part of the API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::task::{
        Borrowed, Lend, LendThrough, Lendable, Lent, Named, Parts, Registration, TASKS, assert_named, lend, travels,
    };
    pub use crate::task::{
        call_0, call_1, call_2, call_3, call_4, call_5, call_6, call_7, call_8, call_9, call_10, call_11, call_12,
    };
    pub use linkme;
    pub use procpool_macros::call_engine;
    pub use serde;
    pub use tokio;
}
