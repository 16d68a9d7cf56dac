//! What runs the tasks, and all that the suite has to know about it.

use procpool::{ErrorKind, Exit, Pool, PoolBuilder, RunError};
use procpool_tests::tasks::Identity;

/// What runs the tasks of a pool.
///
/// Threads cannot do what only the death of a process can:
/// - a task that crashes, or ends the process, takes the program along, so there is nothing to test and nothing that
///   `retries` could be about;
/// - a task that is stopped is abandoned: its caller is told in time and its worker is replaced, but it goes on until it
///   returns by itself;
/// - a panic is told without its place and backtrace, since the hook of panics belongs to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Processes,
    Threads,
}

impl Backend {
    pub(crate) fn builder(self) -> PoolBuilder {
        match self {
            Backend::Processes => Pool::builder(),
            Backend::Threads => Pool::builder().in_process(),
        }
    }

    /// A pool with so many workers.
    pub(crate) fn pool(self, workers: usize) -> Pool {
        self.builder().workers(workers).build().unwrap()
    }

    /// Whether its workers can die: of a crash, or because a task that goes on is to end.
    pub(crate) fn can_die(self) -> bool {
        self == Backend::Processes
    }

    /// The pid that snapshots and errors give for what a task saw of itself.
    pub(crate) fn pid(self, worker: &Identity) -> Option<u32> {
        (self == Backend::Processes).then_some(worker.pid)
    }

    /// A task ran where this backend runs tasks.
    pub(crate) fn assert_at_home(self, worker: &Identity) {
        let (pid, thread) = (std::process::id(), format!("{:?}", std::thread::current().id()));
        match self {
            Backend::Processes => assert_ne!(worker.pid, pid),
            Backend::Threads => assert_eq!((worker.pid, worker.thread == thread), (pid, false)),
        }
    }

    /// A task was stopped while it ran: the error says so, and (for a process) how its worker ended.
    pub(crate) fn assert_stopped(self, error: &RunError, kind: ErrorKind, pid: u32) {
        assert_eq!((error.kind(), error.attempts()), (kind, 1), "{error}");
        assert_eq!(error.worker(), Some("worker-0"), "{error}");
        match self {
            Backend::Processes => {
                assert_eq!((error.pid(), error.exit().and_then(Exit::signal_name)), (Some(pid), Some("SIGKILL")));
            }
            Backend::Threads => assert_eq!((error.pid(), error.exit()), (None, None)),
        }
    }
}
