//! The pools that nobody made: the global one, and the one behind `Process`.
//!
//! They live on a thread and a runtime of their own, never on the first caller's: every `#[tokio::test]` has a runtime
//! of its own, and a pool ends with its runtime.

use std::sync::{Arc, Mutex};

use tokio::runtime::{Builder, Handle};

use super::handle::Pool;
use super::join_handle::JoinHandle;
use super::program::check_entry;
use crate::backend::Backend;
use crate::error::{ErrorKind, Facts, PoolError, PoolErrorKind, RunError, Started};
use crate::sync::lock;
use crate::task::Job;

#[derive(Default)]
struct Services {
    runtime: Option<Handle>,
    pool: Option<Pool>,
    processes: Option<Pool>,
}

static SERVICES: Mutex<Services> = Mutex::new(Services { runtime: None, pool: None, processes: None });

impl Services {
    fn runtime(&mut self) -> Result<Handle, PoolError> {
        if let Some(handle) = &self.runtime {
            return Ok(handle.clone());
        }
        let os = |error: std::io::Error| {
            PoolError::new(PoolErrorKind::Os, "cannot start the global pool").with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(os)?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("procpool-global".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .map_err(os)?;
        self.runtime = Some(handle.clone());
        Ok(handle)
    }
}

/// A service is made at first use; a failure is told and not remembered, so that the next use tries again.
fn service(
    pick: fn(&mut Services) -> &mut Option<Pool>,
    make: fn(Handle) -> Result<Pool, PoolError>,
) -> Result<Pool, PoolError> {
    let mut services = lock(&SERVICES);
    if let Some(pool) = pick(&mut services) {
        return Ok(pool.clone());
    }
    // Before a thread is started for nothing.
    check_entry()?;
    let runtime = services.runtime()?;
    let pool = make(runtime)?;
    Ok(pick(&mut services).insert(pool).clone())
}

/// The backend of all one-off processes.
pub(crate) fn processes() -> Result<Arc<dyn Backend>, PoolError> {
    let pool =
        service(|services| &mut services.processes, |runtime| Pool::builder().processes_only().build_on(runtime))?;
    Ok(Arc::clone(pool.handle().backend()))
}

/// Calls a function in a worker of the global pool: starts now; the handle can be awaited, aborted or dropped.
///
/// The counterpart of [`tokio::task::spawn_blocking`] for work that must be stoppable or may crash. The global pool is
/// made at first use, has one worker a core, lives on a thread of its own and so can be used from any runtime, and
/// outside of one. For limits, sizes and an orderly end make a [`Pool`](crate::Pool).
///
/// # Errors
/// Through the handle, also when the global pool cannot be made (kind
/// [`StartFailed`](crate::ErrorKind::StartFailed)).
///
/// ```no_run
/// use procpool::{call, spawn_blocking_process};
/// # fn power(x: u64) -> u64 { x }
/// # async fn f() -> Result<(), procpool::RunError> {
/// let handles: Vec<_> = (1..=8).map(|x| spawn_blocking_process(call!(power(x)))).collect();
/// for result in futures::future::join_all(handles).await {
///     println!("{}", result?);
/// }
/// # Ok(()) }
/// ```
pub fn spawn_blocking_process<J: Job<Output: Send + 'static>>(job: J) -> JoinHandle<J::Output> {
    match service(|services| &mut services.pool, |runtime| Pool::builder().build_on(runtime)) {
        Ok(pool) => pool.spawn(job),
        Err(error) => {
            let facts = Facts { detail: Some(error.to_string()), source: Some(error.into()), ..Facts::default() };
            JoinHandle::failed(RunError::new(ErrorKind::StartFailed, Started::No, facts))
        }
    }
}
