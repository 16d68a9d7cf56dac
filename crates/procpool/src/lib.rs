//! Multiprocessing for async Rust.

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
