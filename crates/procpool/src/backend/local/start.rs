//! Puts a pool of child processes together.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::driver::Receiver;
use super::keeper::{Keeper, KeeperHandle};
use super::processes::Processes;
use crate::backend::scheduler::SchedulerConfig;
use crate::backend::{Backend, Batching, Demands, Engine, Lots, Timings, tie_to_runtime};
use crate::config::{Hook, ProcessConfig};
use crate::error::{PoolError, PoolErrorKind};
use crate::sys::{readiness, socket};
use crate::task::Naming;

/// What a pool of processes is made from.
pub(crate) struct LocalConfig {
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) timings: Timings,
    pub(crate) process: ProcessConfig,
    pub(crate) init: Option<Arc<Hook>>,
    pub(crate) exit: Option<Arc<Hook>>,
    pub(crate) state: Option<Arc<Hook>>,
}

/// Starts the keeper; workers follow when they are needed. The pool lives on `runtime`, and ends with it.
pub(crate) fn start(config: LocalConfig, runtime: Handle) -> Result<Arc<dyn Backend>, PoolError> {
    let os = |what: &'static str| {
        move |error: std::io::Error| PoolError::new(PoolErrorKind::Os, format!("{what}: {error}")).with_source(error)
    };
    let LocalConfig { scheduler, timings, process, init, exit, state } = config;
    // Asked here, where it is the caller's error, and not on the keeper's thread at the first worker.
    let (probe, _) = socket::pair().map_err(os("cannot make a pair of sockets"))?;
    {
        let _context = runtime.enter();
        if !readiness::is_possible(Arc::new(probe)) {
            return Err(PoolError::new(
                PoolErrorKind::NoRuntime,
                "this tokio runtime has no I/O driver, which a pool of processes needs: build it with enable_io() or \
                 enable_all()",
            ));
        }
    }
    let keeper = Arc::new(KeeperHandle::new().map_err(os("cannot make an eventfd"))?);
    let batching = if process.captures() { Batching::OneAtATime } else { Batching::Allowed };
    let naming = if process.program.is_some() { Naming::ByName } else { Naming::ByPlace };
    let lingering = process.setup.spin_us > 0;
    let is_plain = batching == Batching::Allowed && scheduler.max_tasks.is_none() && scheduler.max_depth > 1;
    let is_timed = process.setup.limits.cpu_time.is_some();
    let lots = if is_plain && !is_timed && state.is_none() { Lots::Allowed } else { Lots::Never };
    let demands = Demands { max_message: process.max_message, naming, batching, timings, lingering, lots };
    let engine =
        Arc::new(Engine::new(scheduler, demands, runtime, |epoch_ns| Processes::new(Arc::clone(&keeper), epoch_ns)));
    let exe = process.setup.exe.clone();
    let receiver = Arc::new(Receiver { engine: Arc::clone(&engine), keeper, init, exit, state, exe });
    engine.with_workers(|workers| workers.set_receiver(Arc::downgrade(&receiver)));
    let thread = Keeper::new(receiver, Arc::new(process)).map_err(os("cannot make an epoll instance"))?;
    engine.end_after(thread.passed_on());
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    std::thread::Builder::new()
        .name("procpool-keeper".into())
        .spawn(move || {
            thread.run();
            told.notify_one();
        })
        .map_err(os("cannot start the keeper thread"))?;
    // Last: a pool that could not be made leaves nothing on the runtime.
    tie_to_runtime(&engine, ended);
    Ok(engine)
}
