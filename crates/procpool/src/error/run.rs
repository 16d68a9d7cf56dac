//! The error of one task.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::Exit;

/// Why a task gave no result, with all that is known about it.
///
/// Printed plainly (`{}`) it is one line; with `{:#}` the worker's panic location, backtrace and last stderr lines
/// follow. The panic is also the [`source`](Error::source).
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) {
/// # fn risky(x: u32) -> u32 { x }
/// use procpool::{call, ErrorKind, Started};
/// match pool.run(call!(risky(4))).await {
///     Ok(value) => println!("{value}"),
///     Err(error) if error.started() == Started::No => println!("safe to try again: {error}"),
///     Err(error) if error.kind() == ErrorKind::WorkerDied => println!("crashed with {:?}", error.exit()),
///     Err(error) => println!("{error:#}"),
/// }
/// # }
/// ```
pub struct RunError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    started: Started,
    facts: Facts,
}

/// The facts about a failed task; what is not known stays at its default.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) task: Option<String>,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) worker: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) exit: Option<Exit>,
    pub(crate) panic: Option<WorkerPanic>,
    pub(crate) stderr: Vec<String>,
    /// What happened, where kind and the other facts do not say it.
    pub(crate) detail: Option<String>,
    pub(crate) limit: Option<Duration>,
    /// What its whole `map` was given, where that ended it.
    pub(crate) deadline: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) index: Option<usize>,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of thing a [`RunError`] tells of.
///
/// ```
/// use procpool::ErrorKind;
/// fn is_our_own_fault(kind: ErrorKind) -> bool {
///     matches!(kind, ErrorKind::Encode | ErrorKind::Decode | ErrorKind::TooLarge | ErrorKind::Misuse)
/// }
/// assert!(!is_our_own_fault(ErrorKind::WorkerDied));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The task panicked; its worker lives on.
    Panicked,
    /// The worker ended while it had the task: crashed, was killed from outside, called `exit`, or broke the protocol.
    WorkerDied,
    /// The task took more memory than the pool's [`Limits`](crate::Limits) allow, which ended its worker. The text says
    /// where that is a guess.
    MemoryLimit,
    /// The task used more time of the processor than the pool's [`Limits`](crate::Limits) allow, which ended its worker.
    CpuLimit,
    /// The task did what the pool's [`Sandbox`](crate::Sandbox) forbids, which ended its worker:
    /// [`kill_on_violation`](crate::Sandbox::kill_on_violation).
    SandboxViolation,
    /// The task ran longer than its `timeout` and was stopped; or the [`deadline`](crate::Map::deadline) of its `map`
    /// passed, before it ([`Started::No`]) or while it ran.
    TimedOut,
    /// The task did not start within its `queue_timeout`.
    QueueTimedOut,
    /// The task was stopped by `abort`, `kill` or a cancellation token, or its future was dropped.
    Cancelled,
    /// The queue is full (and the waiting list too, where waiting was allowed).
    QueueFull,
    /// An argument or the result cannot be encoded.
    Encode,
    /// An argument or the result cannot be decoded.
    Decode,
    /// An argument or the result is larger than the pool's `max_message`.
    TooLarge,
    /// The task's code cannot be named for the worker, or the worker could not find it.
    UnknownCode,
    /// No worker can be had: they die before they are ready, or cannot be started.
    StartFailed,
    /// The pool has been shut down, or its runtime has ended.
    Closed,
    /// The call itself was wrong, such as options set after the first poll.
    Misuse,
    /// What feeds a `map` panicked, or ended in an error: [`try_map`](crate::Pool::try_map) (then that is the
    /// [`source`](Error::source)).
    Input,
}

/// Whether the task's code had begun to run: what one needs to know before running it again elsewhere.
///
/// It is about the whole task: one that is cancelled before its second attempt did begin.
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) {
/// # fn charge(account: u64) {}
/// use procpool::{Started, call};
/// if let Err(error) = pool.run(call!(charge(7))).await {
///     match error.started() {
///         Started::No => println!("nothing happened, try again"),
///         Started::Yes | Started::Unknown => println!("look what happened first: {error}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Started {
    /// It never began, and never will.
    No,
    /// A worker had taken it.
    Yes,
    /// It may have begun: the evidence is broken, or nobody can tell any more.
    Unknown,
}

/// A panic as the worker saw it. Printed (`{}`) it is message and place; with `{:#}` the backtrace follows.
///
/// In a pool of threads only message and thread are known.
///
/// ```no_run
/// # fn f(error: procpool::RunError) {
/// if let Some(panic) = error.panic() {
///     println!("{} at {}", panic.message(), panic.location().unwrap_or("an unknown place"));
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerPanic {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
    pub(crate) thread: Option<String>,
}

impl WorkerPanic {
    /// The panic's message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the source it panicked, as `file:line:column`.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The worker's backtrace, when `RUST_BACKTRACE` asks for one.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// The name of the thread that panicked, if it has one.
    #[must_use]
    pub fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }
}

impl fmt::Display for WorkerPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(location) = &self.location {
            write!(f, ", at {location}")?;
        }
        match &self.backtrace {
            Some(backtrace) if f.alternate() => write!(f, "\n{}", backtrace.trim_end()),
            _ => Ok(()),
        }
    }
}

impl Error for WorkerPanic {}

impl RunError {
    pub(crate) fn new(kind: ErrorKind, started: Started, facts: Facts) -> Self {
        RunError(Box::new(Inner { kind, started, facts }))
    }

    /// The same error, about this task: for refusals that came before anybody looked at it.
    pub(crate) fn of_task(mut self, task: &str, location: Option<&'static Location<'static>>) -> Self {
        self.0.facts.task = Some(task.to_owned());
        self.0.facts.location = location;
        self
    }

    pub(crate) fn with_index(mut self, index: usize) -> Self {
        self.0.facts.index = Some(index);
        self
    }

    /// What kind of error this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the task's code had begun: with [`Started::No`] it is safe to run it again.
    #[must_use]
    pub fn started(&self) -> Started {
        self.0.started
    }

    /// Whether a time limit ended it, in the queue or while it ran.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::TimedOut | ErrorKind::QueueTimedOut)
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.0.kind == ErrorKind::Panicked
    }

    /// The task's name: the path in `call!`, the type of a `Task`, or what `.name(…)` said.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.0.facts.task.as_deref()
    }

    /// Where in *this* program the task was written, for tasks made by `call!`, `map` and their kin.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.facts.location
    }

    /// The name of the worker that had the task, such as `worker-3`.
    #[must_use]
    pub fn worker(&self) -> Option<&str> {
        self.0.facts.worker.as_deref()
    }

    /// The process id of the worker that had the task.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.0.facts.pid
    }

    /// How the worker ended, if it did.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.0.facts.exit
    }

    /// The panic, if the task panicked, or the last panic of a worker that then died.
    #[must_use]
    pub fn panic(&self) -> Option<&WorkerPanic> {
        self.0.facts.panic.as_ref()
    }

    /// The last lines that the worker wrote to stderr since it was given the task (at most 20, of at most 1,024 bytes),
    /// when the pool captures them ([`Stdio::Capture`](crate::Stdio::Capture) or `Tee`) and the worker died.
    #[must_use]
    pub fn stderr(&self) -> &[String] {
        &self.0.facts.stderr
    }

    /// The attempt in which it ended, from 1, also where that attempt had not begun; more than 1 only with
    /// [`retries`](crate::Run::retries). 0 if the task was never submitted to a pool.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.facts.attempts
    }

    /// Which item of a `map` or `run_all` failed, counted from 0.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        self.0.facts.index
    }
}

impl Facts {
    fn write_task(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "task `{task}`")?,
            None => f.write_str("the task")?,
        }
        match self.index {
            Some(index) => write!(f, " (item {index})"),
            None => Ok(()),
        }
    }

    fn write_worker(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.worker.as_deref().unwrap_or("its worker"))?;
        match self.pid {
            Some(pid) => write!(f, " (pid {pid})"),
            None => Ok(()),
        }
    }

    fn write_summary(&self, kind: ErrorKind, started: Started, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_task(f)?;
        match kind {
            ErrorKind::Panicked => {
                f.write_str(" panicked in ")?;
                self.write_worker(f)?;
            }
            ErrorKind::WorkerDied => {
                f.write_str(match started {
                    Started::No => " was not run: ",
                    Started::Yes | Started::Unknown => " failed: ",
                })?;
                self.write_worker(f)?;
                match self.exit {
                    Some(exit) => write!(f, " ended with {exit}")?,
                    None => f.write_str(" ended")?,
                }
            }
            ErrorKind::MemoryLimit => {
                f.write_str(" ran out of memory in ")?;
                self.write_worker(f)?;
            }
            ErrorKind::CpuLimit => {
                f.write_str(" used up its processor time in ")?;
                self.write_worker(f)?;
            }
            ErrorKind::SandboxViolation => {
                f.write_str(" tried what is forbidden in ")?;
                self.write_worker(f)?;
            }
            ErrorKind::TimedOut if let Some(deadline) = self.deadline => {
                let what = match started {
                    Started::No => "was not started",
                    Started::Yes | Started::Unknown => "was stopped",
                };
                write!(f, " {what}: the deadline of {deadline:?} for the whole map has passed")?;
            }
            ErrorKind::TimedOut => {
                f.write_str(" ran longer than its limit")?;
                self.write_limit(f)?;
                f.write_str(" and was stopped")?;
            }
            ErrorKind::QueueTimedOut => {
                f.write_str(" did not start within its queue limit")?;
                self.write_limit(f)?;
            }
            ErrorKind::Cancelled => f.write_str(match started {
                Started::No => " was cancelled before it started",
                Started::Yes | Started::Unknown => " was cancelled while it ran, and stopped",
            })?,
            ErrorKind::QueueFull => f.write_str(" was refused: the pool's queue is full")?,
            ErrorKind::Encode => f.write_str(" has a value that cannot be encoded")?,
            ErrorKind::Decode => f.write_str(" has a value that cannot be decoded")?,
            ErrorKind::TooLarge => f.write_str(" has a value that is too large")?,
            ErrorKind::UnknownCode => f.write_str(" has code that a worker cannot find")?,
            ErrorKind::StartFailed => f.write_str(" was not run: no worker could be started")?,
            ErrorKind::Closed => f.write_str(match started {
                Started::No => " was not run: the pool is shut down",
                Started::Yes | Started::Unknown => " was stopped: the pool was shut down",
            })?,
            ErrorKind::Misuse => f.write_str(" was not run")?,
            ErrorKind::Input => f.write_str(" has no input")?,
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        match &self.panic {
            Some(panic) if kind == ErrorKind::Panicked => write!(f, ": {panic}"),
            // An init job's panic is why it failed, and has been told as that.
            Some(panic) if self.detail.as_ref().is_some_and(|detail| detail.contains(panic.message())) => Ok(()),
            Some(panic) => write!(f, "; its last panic: {panic}"),
            None => Ok(()),
        }
    }

    fn write_limit(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, " of {limit:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, started, facts } = &*self.0;
        facts.write_summary(*kind, *started, f)?;
        if f.alternate() {
            if let Some(location) = facts.location {
                write!(f, "\n  called at {location}")?;
            }
            if let Some(backtrace) = facts.panic.as_ref().and_then(WorkerPanic::backtrace) {
                write!(f, "\n  its backtrace:\n{}", backtrace.trim_end())?;
            }
            if facts.attempts > 1 {
                write!(f, "\n  after {} attempts", facts.attempts)?;
            }
            if !facts.stderr.is_empty() {
                f.write_str("\n  its last lines on stderr:")?;
                for line in &facts.stderr {
                    write!(f, "\n    {line}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RunError {
    /// As readable as `{:#}`, since `main` returning an error prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self:#}", self.0.kind)
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let facts = &self.0.facts;
        match (&facts.panic, &facts.source) {
            (Some(panic), _) => Some(panic),
            (None, Some(source)) => Some(&**source as &(dyn Error + 'static)),
            (None, None) => None,
        }
    }
}
