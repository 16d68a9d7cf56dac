//! The settings of a pool, checked.

use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::failure;
use crate::backend::scheduler::{OfferId, SchedulerConfig};
use crate::error::{PoolError, PoolErrorKind};
use crate::panics;
use crate::queue::client::Side;
use crate::queue::travel;
use crate::sys::process;
use crate::task::{CodeName, Entry, InitOutput, Job, Naming, Parts, apart};
use crate::wire::message::{EncodedJob, ReplyBody, Setup};

/// The most workers a pool can have.
pub(crate) const MAX_WORKERS: u32 = 4096;

/// How many workers a pool has: a fixed number (`4`) or a range (`1..=4`) that it grows and shrinks within.
///
/// ```
/// use procpool::Workers;
/// assert_eq!(Workers::from(4), Workers::from(4..=4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Workers {
    min: usize,
    max: usize,
}

impl Workers {
    pub(crate) fn min(self) -> u32 {
        self.min as u32
    }

    pub(crate) fn max(self) -> u32 {
        self.max as u32
    }

    /// The same, if a pool can have that many.
    pub(crate) fn checked(self) -> Result<Self, PoolError> {
        let Workers { min, max } = self;
        if min > max {
            return Err(invalid(format!(
                "workers is the empty range {min}..={max}; its start must not exceed its end"
            )));
        }
        if max == 0 || max > MAX_WORKERS as usize {
            return Err(invalid(format!("workers is {max}; it must be from 1 to {MAX_WORKERS}")));
        }
        Ok(self)
    }
}

impl From<usize> for Workers {
    fn from(count: usize) -> Self {
        Workers { min: count, max: count }
    }
}

impl From<RangeInclusive<usize>> for Workers {
    fn from(range: RangeInclusive<usize>) -> Self {
        Workers { min: *range.start(), max: *range.end() }
    }
}

/// Where the stdout or the stderr of workers goes: for [`PoolBuilder::stdout`](crate::PoolBuilder::stdout) and
/// [`PoolBuilder::stderr`](crate::PoolBuilder::stderr).
///
/// **Captured** output becomes tracing events, one a line, with the target `procpool::stdout` or `procpool::stderr` and
/// the fields `worker`, `pid`, `task` (its number) and `name` (the task's; both are missing between tasks), in the span
/// of the task. What a task has printed and flushed is told before its caller hears of its result. (Rust's `println!` and
/// `eprintln!` need no flush; what C code keeps in a buffer comes when it lets go of it.)
///
/// A line is what ends in `\n` or `\r\n`, and what is left when its task or its worker ends. Of longer lines an event
/// has the first 1,024 bytes; bytes that are not UTF-8 are replaced; escape sequences stay. A worker that prints faster
/// than this program reads waits, as at any pipe. (A subscriber of tracing that blocks holds up the pool.) A pool that
/// captures hands each worker one task at a time, or a line could not be told to be this task's or the next one's.
///
/// ```no_run
/// # fn f() -> Result<(), procpool::PoolError> {
/// use procpool::{Pool, Stdio};
/// let pool = Pool::builder().stdout(Stdio::Tee).stderr(Stdio::Capture).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stdio {
    /// Where the parent's goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To tracing. The last lines on stderr of a worker that dies are in the error, too:
    /// [`RunError::stderr`](crate::RunError::stderr).
    Capture,
    /// As `Capture`, and also where the parent's goes: line by line, so that lines of several workers never mix (one of
    /// more than 4,096 bytes may). Nothing waits for whoever reads the parent's output: up to 256 KiB are kept for them,
    /// and what does not fit is dropped, with a line that says how many lines that was. What is kept when
    /// the pool ends is still written, and [`Pool::shutdown`](crate::Pool::shutdown) waits for that: a reader who then
    /// takes nothing for a second, or not all in two, loses the rest.
    Tee,
}

impl Stdio {
    pub(crate) fn is_captured(self) -> bool {
        matches!(self, Stdio::Capture | Stdio::Tee)
    }
}

impl From<Stdio> for process::Stream {
    fn from(stdio: Stdio) -> Self {
        match stdio {
            Stdio::Inherit => process::Stream::Inherit,
            Stdio::Null => process::Stream::Null,
            Stdio::Capture | Stdio::Tee => process::Stream::Pipe,
        }
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> PoolError {
    PoolError::new(PoolErrorKind::InvalidConfig, message)
}

/// How worker processes are made.
#[derive(Clone)]
pub(crate) struct ProcessConfig {
    /// What workers run, if it is not this executable.
    pub(crate) program: Option<PathBuf>,
    pub(crate) env: process::EnvChanges,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
    pub(crate) max_message: u64,
    /// What every worker is told; name and number are filled in for each.
    pub(crate) setup: Setup,
}

impl ProcessConfig {
    /// Whether any output of the workers is read here.
    pub(crate) fn captures(&self) -> bool {
        self.stdout.is_captured() || self.stderr.is_captured()
    }
}

/// A job that workers run at their start or end.
pub(crate) struct Hook {
    name: String,
    /// `the init job`: what it is called in errors.
    title: &'static str,
    code: Entry,
    /// Its name where workers run this executable, or are threads.
    entry: CodeName,
    arguments: Bytes,
    /// The handles of queues that the arguments name, alive for as long as workers may start.
    #[expect(dead_code, reason = "its drop is its use")]
    handles: Vec<Side>,
    judge: Box<dyn Fn(ReplyBody) -> Result<(), String> + Send + Sync>,
}

impl Hook {
    /// Encodes a job, once for all workers.
    pub(crate) fn new<J>(title: &'static str, job: J) -> Result<Self, PoolError>
    where
        J: Job,
        J::Output: InitOutput,
    {
        Hook::of_parts(title, job.into_parts())
    }

    /// The same, of a job that users cannot write.
    pub(crate) fn of_parts<R: InitOutput>(title: &'static str, parts: Parts<R>) -> Result<Self, PoolError> {
        let Parts { entry, name, arguments, decode } = parts;
        let wrong = |error: &dyn fmt::Display| invalid(format!("{title} `{}`: {error}", name.as_str()));
        let code = entry;
        let entry = code.name(Naming::ByPlace).map_err(|error| wrong(&error))?;
        let mut bytes = Vec::new();
        let (encoded, handles) = travel::collecting(|| arguments.encode(&mut bytes));
        encoded.map_err(|error| wrong(&error))?;
        let judge = move |reply| match failure(reply) {
            Ok((value, apart, _carried)) => match apart::coming(apart, || decode(&value)).0 {
                Ok(output) => output.into_result(),
                Err(error) => Err(format!("its result: {error}")),
            },
            Err(failure) => Err(match failure.panic {
                Some(panic) => format!("it panicked: {}", crate::error::WorkerPanic::from(panic)),
                None => failure.detail.unwrap_or_else(|| format!("{:?}", failure.kind)),
            }),
        };
        Ok(Hook {
            name: name.as_str().to_owned(),
            title,
            code,
            entry,
            arguments: bytes.into(),
            handles,
            judge: Box::new(judge),
        })
    }

    /// Whether the worker's answer says that all went well; otherwise what to tell people. Decoding it runs the user's
    /// code, here in the parent, on a thread that others depend on: a panic is a verdict, too.
    pub(crate) fn judge(&self, reply: ReplyBody) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| (self.judge)(reply)))
            .unwrap_or_else(|panic| Err(format!("its result could not be looked at: {}", panics::message(panic))))
            .map_err(|why| format!("{} `{}` failed: {why}", self.title, self.name))
    }

    /// The job for workers that find code in this way.
    pub(crate) fn encoded(&self, naming: Naming) -> Result<EncodedJob, PoolError> {
        let Hook { title, name, .. } = self;
        let entry = self.code.name(naming).map_err(|error| invalid(format!("{title} `{name}`: {error}")))?;
        Ok(EncodedJob { entry: entry.to_bytes(), name: name.clone(), arguments: self.arguments.to_vec() })
    }

    pub(crate) fn entry(&self) -> &CodeName {
        &self.entry
    }

    pub(crate) fn arguments(&self) -> &Bytes {
        &self.arguments
    }
}

/// The defaults, each said once.
pub(crate) mod defaults {
    use super::Duration;

    /// Tasks in the queue.
    pub(crate) const QUEUE_LIMIT: usize = 1024;
    /// Submissions that wait for a place in the queue.
    pub(crate) const MAX_WAITING: usize = 1 << 20;
    /// One level of priority is worth so much waiting. Longer than tasks wait in a pool that keeps up, so that there
    /// priorities alone decide; short enough that in one that does not, nobody is forgotten within a minute or two.
    pub(crate) const AGEING: Duration = Duration::from_secs(10);
    /// From spawning a worker to its hello.
    pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(30);
    /// For the `init` job.
    pub(crate) const INIT_TIMEOUT: Duration = Duration::from_secs(60);
    /// For the exit hook and the end of the process.
    pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_secs(10);
    /// From handing a task to an idle worker until it takes it.
    pub(crate) const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
    /// An unclaimed task is handed out this often: once, and again three times.
    pub(crate) const MAX_OFFERS: u32 = 4;
    /// Deaths before Ready in a row, after which waiting tasks fail.
    pub(crate) const START_FAILURES: u32 = 3;
    /// The pause after the first of them.
    pub(crate) const BACKOFF: Duration = Duration::from_millis(50);
    /// The longest pause.
    pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(10);
    /// Bytes of one task's arguments, or of its result.
    pub(crate) const MAX_MESSAGE: u64 = 2 << 30;
}

/// The scheduler's settings before the builder changes them.
pub(crate) fn default_scheduler(workers: u32) -> SchedulerConfig {
    SchedulerConfig {
        min_workers: workers,
        max_workers: workers,
        spares: 0,
        queue_limit: defaults::QUEUE_LIMIT,
        waiting_limit: defaults::MAX_WAITING,
        ageing: defaults::AGEING,
        idle_timeout: None,
        max_tasks: None,
        start_limit: defaults::START_TIMEOUT,
        init_limit: defaults::INIT_TIMEOUT,
        exit_limit: defaults::EXIT_TIMEOUT,
        claim_limit: defaults::CLAIM_TIMEOUT,
        max_offers: defaults::MAX_OFFERS,
        max_depth: OfferId::SLOTS as u32,
        start_failures: defaults::START_FAILURES,
        backoff: defaults::BACKOFF,
        max_backoff: defaults::MAX_BACKOFF,
    }
}
