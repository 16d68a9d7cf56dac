//! What can go wrong, one type a boundary: [`RunError`] for tasks, [`PoolError`] for pools and processes.

mod exit;
mod pool;
mod run;

pub use exit::Exit;
pub use pool::{PoolError, PoolErrorKind};
pub(crate) use run::Facts;
pub use run::{ErrorKind, RunError, Started, WorkerPanic};
