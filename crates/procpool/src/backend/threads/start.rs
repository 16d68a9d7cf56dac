//! Puts a pool of threads together.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::clock::{Clock, ClockHandle};
use super::workers::Threads;
use crate::backend::scheduler::SchedulerConfig;
use crate::backend::{Backend, Batching, Demands, Engine, Lots, Timings, tie_to_runtime};
use crate::config::Hook;
use crate::error::{PoolError, PoolErrorKind};
use crate::task::Naming;

/// What a pool of threads is made from.
pub(crate) struct ThreadsConfig {
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) timings: Timings,
    pub(crate) init: Option<Arc<Hook>>,
    pub(crate) exit: Option<Arc<Hook>>,
    pub(crate) state: Option<Arc<Hook>>,
    pub(crate) max_message: u64,
}

/// Starts the clock; workers follow when they are needed. The pool lives on `runtime`, and ends with it.
pub(crate) fn start(config: ThreadsConfig, runtime: Handle) -> Result<Arc<dyn Backend>, PoolError> {
    let ThreadsConfig { scheduler, timings, init, exit, state, max_message } = config;
    // A thread that is handed its next task ahead gains nothing that would be worth a page of its own.
    let scheduler = SchedulerConfig { max_depth: 1, ..scheduler };
    let handle = Arc::new(ClockHandle::default());
    let demands = Demands {
        max_message,
        naming: Naming::ByPlace,
        batching: Batching::Allowed,
        timings,
        lingering: false,
        lots: Lots::Never,
    };
    let engine = Arc::new(Engine::new(scheduler, demands, runtime, |_| Threads::new(Arc::clone(&handle))));
    let clock = Clock { engine: Arc::clone(&engine), handle, init, exit, state, max_message };
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    std::thread::Builder::new()
        .name("procpool-clock".into())
        .spawn(move || {
            clock.run();
            told.notify_one();
        })
        .map_err(|error| {
            PoolError::new(PoolErrorKind::Os, format!("cannot start the clock thread: {error}")).with_source(error)
        })?;
    // Last: a pool that could not be made leaves nothing on the runtime.
    tie_to_runtime(&engine, ended);
    Ok(engine)
}
