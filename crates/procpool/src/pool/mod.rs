//! Pools as users see them.

mod builder;
mod events;
mod global;
mod handle;
mod histogram;
mod inputs;
mod join_handle;
mod permit;
mod program;
mod report;
mod run;
#[cfg(feature = "tower")]
mod service;
mod shared;
mod snapshot;
mod spin;
mod state_pool;
mod stats;
mod submit;

pub use crate::queue::waiting::QueueCall;
pub use builder::PoolBuilder;
pub use events::{Event, Events, WorkerEnd};
pub(crate) use events::{Post, Sent, events};
pub(crate) use global::processes;
pub use global::spawn_blocking_process;
pub use handle::Pool;
pub(crate) use handle::PoolHandle;
pub use histogram::Histogram;
pub use join_handle::{AbortHandle, JoinHandle};
pub use permit::{Permit, Reserve};
pub use report::{Report, Shutdown};
pub use run::Run;
pub(crate) use run::{Due, RunOptions};
#[cfg(feature = "tower")]
pub use service::PoolService;
pub(crate) use shared::share;
pub use snapshot::{Snapshot, TaskSnapshot, WaitReason, WorkerSnapshot, WorkerState};
pub use spin::Spin;
pub use state_pool::StatePool;
pub use stats::{EndCounts, Stats, WorkerCounts};
pub(crate) use submit::{
    Code, Terms, Ticket, encode, for_scheduler, hand_over, read, submit, undecodable, unencodable,
};
