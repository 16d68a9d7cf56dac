//! One process for one call.

use std::borrow::Borrow;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backend::scheduler::{Admission, Placement};
use crate::error::{Exit, PoolError, PoolErrorKind, RunError};
use crate::pool::{JoinHandle, RunOptions, Terms, processes, submit};
use crate::sync::lock;
use crate::sys;
use crate::task::Job;

/// One fresh process for one call: Python's `multiprocessing.Process`, with a result.
///
/// Unlike a pool's workers it does not ignore SIGTERM, SIGINT and SIGHUP. Dropping the handle detaches: the process
/// goes on until its call returns. It ends with this process.
///
/// ```no_run
/// use procpool::{Process, call};
///
/// fn power(x: u64) -> u128 {
///     (x as u128).pow(x as u32)
/// }
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let process = Process::spawn(call!(power(4)))?;
/// println!("process {}", process.id());
/// assert_eq!(process.join().await?, 256);
/// # Ok(()) }
/// ```
pub struct Process<R> {
    handle: JoinHandle<R>,
    watch: Arc<Watch>,
    pid: u32,
}

impl<R: Send + 'static> Process<R> {
    /// Starts a process that makes this call. It blocks for as long as starting a process takes (less than a
    /// millisecond, as a rule), like [`std::process::Command::spawn`]. Needs no runtime.
    ///
    /// # Errors
    /// If `procpool::init()` was not called first in `main`, two tasks have the same stable name, nested too deep, or when
    /// the process cannot be started. Also, of kind [`StartFailed`](PoolErrorKind::StartFailed) with the [`RunError`] as
    /// its source, when the call itself cannot be sent (arguments that cannot be encoded).
    pub fn spawn<J: Job<Output = R>>(job: J) -> Result<Process<R>, PoolError> {
        let backend = processes()?;
        let watch = Arc::new(Watch::new());
        let terms =
            Terms { placement: Placement::Dedicated, admission: Admission::Wait, watch: Some(Arc::clone(&watch)) };
        let parts = job.into_parts();
        let ticket = submit(&backend, parts, &RunOptions::default(), terms)
            .map_err(|error| PoolError::new(PoolErrorKind::StartFailed, error.to_string()).with_source(error))?;
        let pid = watch.wait_started().map_err(|why| PoolError::new(PoolErrorKind::StartFailed, why))?;
        Ok(Process { handle: JoinHandle::started(ticket), watch, pid })
    }
}

impl<R> Process<R> {
    /// Its process id. After its end the number may belong to somebody else.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// As for a task of a pool: a panic, a death (with exit code or signal), a kill. Of kind
    /// [`StartFailed`](crate::ErrorKind::StartFailed) when the process ended before it could make the call.
    ///
    /// # Cancel safety
    /// Dropped, the process goes on, and its result is lost.
    pub async fn join(self) -> Result<R, RunError> {
        self.handle.await
    }

    /// Waits until the process has ended and been reaped, and says how it ended. Can be called any number of times. A
    /// process whose call returned, or panicked, ends with code 0.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn wait(&self) -> Exit {
        self.watch.exit().await
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn try_wait(&self) -> Option<Exit> {
        self.watch.try_exit()
    }

    /// Kills it, and everything in its process group. [`join`](Self::join) then gives an error that
    /// [`is_cancelled`](RunError::is_cancelled), or the result, if the call was faster.
    pub fn kill(&self) {
        self.handle.abort();
    }

    /// Kills it, as [`kill`](Self::kill) does, when this token is cancelled; also when this handle is gone by then. Given
    /// several times, any of the tokens does.
    ///
    /// ```no_run
    /// # fn f(stop: tokio_util::sync::CancellationToken) -> Result<(), procpool::PoolError> {
    /// # fn serve() {}
    /// let process = procpool::Process::spawn(procpool::call!(serve()))?.cancel_on(&stop);
    /// # drop(process); Ok(()) }
    /// ```
    #[must_use = "it gives the handle back"]
    pub fn cancel_on(self, token: impl Borrow<CancellationToken>) -> Self {
        let watch = Arc::clone(&self.watch);
        self.handle.stop_on(token.borrow().clone(), async move { watch.exit().await });
        self
    }

    /// Asks it to end: sends SIGTERM, which ends it unless its code handles that signal.
    ///
    /// # Errors
    /// When the signal cannot be sent. A process that has ended already is no error.
    pub fn terminate(&self) -> std::io::Result<()> {
        self.watch.terminate()
    }

    /// Whether the result (or error) is there.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("id", &self.pid).field("exit", &self.try_wait()).finish()
    }
}

/// What the keeper tells about one process.
pub(crate) struct Watch {
    life: Mutex<Life>,
    changed: Condvar,
    exit: watch::Sender<Option<Exit>>,
}

enum Life {
    Starting,
    Running {
        pid: u32,
        pidfd: OwnedFd,
    },
    Failed(String),
    /// A short call may be over before `Process::spawn` has looked: it did start, and this was its number.
    Ended {
        pid: u32,
    },
}

impl Watch {
    fn new() -> Self {
        Watch { life: Mutex::new(Life::Starting), changed: Condvar::new(), exit: watch::Sender::new(None) }
    }

    fn set(&self, life: Life) {
        *lock(&self.life) = life;
        self.changed.notify_all();
    }

    /// The process exists; `pidfd` names it also when its number has gone to somebody else.
    pub(crate) fn spawned(&self, pid: u32, pidfd: OwnedFd) {
        self.set(Life::Running { pid, pidfd });
    }

    /// There will be no process.
    pub(crate) fn failed(&self, why: String) {
        self.set(Life::Failed(why));
    }

    /// The process has ended and been reaped.
    pub(crate) fn exited(&self, exit: Exit) {
        {
            let mut life = lock(&self.life);
            if let Life::Running { pid, .. } = *life {
                *life = Life::Ended { pid };
            }
        }
        self.exit.send_replace(Some(exit));
    }

    fn wait_started(&self) -> Result<u32, String> {
        let mut life = lock(&self.life);
        loop {
            match &*life {
                Life::Starting => life = self.changed.wait(life).unwrap_or_else(PoisonError::into_inner),
                Life::Running { pid, .. } | Life::Ended { pid } => return Ok(*pid),
                Life::Failed(why) => return Err(why.clone()),
            }
        }
    }

    async fn exit(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Unknown),
            // The sender is in `self`.
            Err(_) => Exit::Unknown,
        }
    }

    fn try_exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    fn terminate(&self) -> std::io::Result<()> {
        match &*lock(&self.life) {
            Life::Running { pidfd, .. } => sys::process::terminate(pidfd.as_fd()),
            Life::Starting | Life::Failed(_) | Life::Ended { .. } => Ok(()),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("exit", &self.try_exit()).finish_non_exhaustive()
    }
}
