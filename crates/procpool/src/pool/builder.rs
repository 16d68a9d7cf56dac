//! Settings of a pool, before it is made.

use std::borrow::Borrow;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::handle::Pool;
use super::program::{absolute, check_entry, check_program};
use super::report::Shutdown;
use super::spin::Spin;
use crate::backend::local::{LocalConfig, start as start_processes};
use crate::backend::scheduler::SchedulerConfig;
use crate::backend::threads::{ThreadsConfig, start as start_threads};
use crate::backend::{Backend, Timings};
use crate::config::{Hook, MAX_WORKERS, ProcessConfig, Stdio, Workers, default_scheduler, defaults, invalid};
use crate::entry;
use crate::error::{PoolError, PoolErrorKind};
use crate::limits::Limits;
use crate::sandbox::Sandbox;
use crate::sys::process::EnvChanges;
use crate::task::{InitOutput, Job, Naming};
use crate::wire::message::{Carrier, ExeIdentity, INIT_STEP, PROTOCOL, STATE_STEP, Setup, SignalPolicy};

/// Settings of a pool: made by [`Pool::builder`](crate::Pool::builder). Everything has a default; what is wrong is
/// told by [`build`](Self::build), by name and with the range that is right.
///
/// ```no_run
/// # fn connect(url: String) -> Result<(), String> { Ok(()) }
/// # fn f() -> Result<(), procpool::PoolError> {
/// use procpool::{Pool, Stdio, call};
/// use std::time::Duration;
///
/// let pool = Pool::builder()
///     .workers(1..=4)
///     .idle_timeout(Duration::from_secs(30))
///     .max_tasks(1000)
///     .env("LANG", "C")
///     .stderr(Stdio::Capture)
///     .init(call!(connect("db://local".to_string())))
///     .build()?;
/// # Ok(()) }
/// ```
#[must_use = "a builder makes nothing until `build`"]
pub struct PoolBuilder {
    workers: Option<Workers>,
    scheduler: SchedulerConfig,
    max_message: u64,
    program: Option<PathBuf>,
    env: EnvChanges,
    current_dir: Option<PathBuf>,
    stdout: Stdio,
    stderr: Stdio,
    core_dumps: bool,
    limits: Limits,
    sandbox: Option<Sandbox>,
    timings: Timings,
    spin: Spin,
    shutdown_on: Vec<(CancellationToken, Shutdown)>,
    init: Option<Result<Hook, PoolError>>,
    exit: Option<Result<Hook, PoolError>>,
    state: Option<Hook>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Processes,
    /// One process a task, none shared.
    ProcessesOnly,
    Threads,
}

impl PoolBuilder {
    pub(crate) fn new() -> Self {
        PoolBuilder {
            workers: None,
            scheduler: default_scheduler(1),
            max_message: defaults::MAX_MESSAGE,
            program: None,
            env: EnvChanges::default(),
            current_dir: None,
            stdout: Stdio::default(),
            stderr: Stdio::default(),
            core_dumps: false,
            limits: Limits::default(),
            sandbox: None,
            timings: Timings::default(),
            spin: Spin::default(),
            shutdown_on: Vec::new(),
            init: None,
            exit: None,
            state: None,
            kind: Kind::Processes,
        }
    }

    /// How many workers, at most 4096: a number, or a range such as `1..=4` within which the pool grows when tasks wait.
    /// Shrinking takes an [`idle_timeout`](Self::idle_timeout). The minimum is what [`Pool::ready`] starts and then
    /// keeps. Default: one a core; inside a worker, one.
    pub fn workers(mut self, workers: impl Into<Workers>) -> Self {
        self.workers = Some(workers.into());
        self
    }

    /// Workers beyond the minimum that have been idle for so long end. Default: never.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.scheduler.idle_timeout = Some(timeout);
        self
    }

    /// Spare workers, at most 4096: beyond those that are needed, so many are started, initialised and idle, and step in
    /// the moment a worker dies, is replaced, or one more is wanted. No more than [`workers`](Self::workers) have tasks at
    /// a time. Each costs what an idle worker costs. From the first task, or [`Pool::ready`], on. Default: none.
    pub fn spares(mut self, spares: u32) -> Self {
        self.scheduler.spares = spares;
        self
    }

    /// A worker is replaced after so many tasks, at least 1. Default: never. With 1, every task has a process of its own.
    pub fn max_tasks(mut self, tasks: u32) -> Self {
        self.scheduler.max_tasks = Some(tasks);
        self
    }

    /// How many tasks may be queued, that is, handed over and not yet any worker's turn; those that lie ready behind
    /// another in a worker's hand count. Further calls of `run` and `spawn` wait for a place; `try_run` fails. At least 1. Default: 1024.
    pub fn queue_limit(mut self, tasks: usize) -> Self {
        self.scheduler.queue_limit = tasks;
        self
    }

    /// How many calls may wait for a place in the queue; further ones fail with
    /// [`QueueFull`](crate::ErrorKind::QueueFull). Their arguments are encoded already and take memory. With 0, nobody
    /// waits. The items on their way in a map count, too, but are never refused: its [`window`](crate::Map::window) bounds
    /// them. Default: 1,048,576.
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.scheduler.waiting_limit = calls;
        self
    }

    /// How much waiting makes up for one level of [`priority`](crate::Run::priority): a task that has waited for so long
    /// goes before one that is submitted now with a priority one higher. So no task waits for ever, however many with
    /// higher priorities come. With `Duration::MAX`, priorities are strict. More than zero. Default: 10 s.
    pub fn ageing(mut self, interval: Duration) -> Self {
        self.scheduler.ageing = interval;
        self
    }

    /// How long a worker may take from its start to its hello, before its `init` job. Default: 30 s.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.scheduler.start_limit = timeout;
        self
    }

    /// A job that every worker runs before its first task; also each replacement. If it fails (`Err`, panic or death),
    /// the worker does not start; after three failed starts in a row the waiting tasks get the cause as their error
    /// ([`StartFailed`](crate::ErrorKind::StartFailed)), and the pool tries again after a pause.
    ///
    /// What it leaves behind for tasks is up to it: a static, a thread-local of the main thread, the environment.
    ///
    /// Handles of [queues](crate::queue) in its arguments are kept as long as the pool lives, since each new worker is given
    /// them; the same goes for the exit job and for what [states](crate::StatePool) are made of.
    pub fn init<J: Job>(mut self, job: J) -> Self
    where
        J::Output: InitOutput,
    {
        self.init = Some(Hook::new("the init job", job));
        self
    }

    /// How long the `init` job and the making of a [state](crate::StatePool) may take, together. Default: 60 s.
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.scheduler.init_limit = timeout;
        self
    }

    /// A job that every worker runs before it ends in order (not when it is killed or crashes). What it returns is not
    /// looked at.
    pub fn exit<J: Job>(mut self, job: J) -> Self
    where
        J::Output: InitOutput,
    {
        self.exit = Some(Hook::new("the exit job", job));
        self
    }

    /// How long a worker may take to end, its exit hook included; then it is killed. Default: 10 s.
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.scheduler.exit_limit = timeout;
        self
    }

    /// How long a ready worker may take to pick up a task that was handed to it. One that does not (because it has
    /// been stopped by a signal, say) loses the task to another worker and is replaced. Default: 10 s.
    pub fn claim_timeout(mut self, timeout: Duration) -> Self {
        self.scheduler.claim_limit = timeout;
        self
    }

    /// The most bytes that the encoded arguments of a task, or its result, may take; more is an error of kind
    /// [`TooLarge`](crate::ErrorKind::TooLarge). At least 1. Default: 2 GiB.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// Another program for the workers to run: smaller than this one, with other rights, linked in another way.
    ///
    /// That program knows tasks by name, so tasks of this pool (and its `init` and `exit` jobs) are values of
    /// [`#[procpool::task]`](macro@crate::task) functions. Others fail with
    /// [`UnknownCode`](crate::ErrorKind::UnknownCode) before anything is sent, as do `call!` and `map`, and there is no
    /// pool with a state. Both programs link the crate that defines the tasks, at the same version; what does not match is
    /// an error of the task, and says so. The worker's `main` calls [`init`](crate::init) first, or is nothing but
    /// [`worker_main`](crate::worker_main). This program need not call `init()`.
    ///
    /// The path is that of [`std::process::Command`]: a bare name is looked up in `PATH`, a relative path starts at
    /// this program's working directory as it is when the pool is made (also with [`current_dir`](Self::current_dir)). It is executed itself: a script that starts
    /// the worker is not one. What cannot be started, or is no worker, gives
    /// [`StartFailed`](crate::ErrorKind::StartFailed).
    ///
    /// ```no_run
    /// // In the crate `tasks`, which both programs use.
    /// #[procpool::task]
    /// pub fn thumbnail(image: Vec<u8>, width: u32) -> Vec<u8> {
    ///     image.into_iter().take(width as usize).collect()
    /// }
    ///
    /// // In the worker's `src/main.rs`: `use tasks as _; fn main() { procpool::worker_main() }`
    ///
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// // In this program.
    /// let pool = procpool::Pool::builder().program("/usr/lib/gallery/worker").build()?;
    /// let small = pool.run(thumbnail { image: vec![1, 2, 3], width: 2 }).await?;
    /// # Ok(()) }
    /// ```
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Sets an environment variable in the workers. By default they inherit the parent's environment.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.changes.push((key.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable in the workers.
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.env.changes.push((key.into(), None));
        self
    }

    /// Lets the workers begin with an empty environment; what [`env`](Self::env) sets is added, before or after.
    pub fn env_clear(mut self) -> Self {
        self.env.clear = true;
        self
    }

    /// The directory that workers run in. Default: the parent's.
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// Where the workers' stdout goes. Default: where the parent's goes.
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = stdout;
        self
    }

    /// Where the workers' stderr goes. Default: where the parent's goes.
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.stderr = stderr;
        self
    }

    /// Lets crashing workers write core dumps, as far as the system's limit allows. Default: they do not, since a
    /// service that fences crashes in would fill its disk.
    pub fn allow_core_dumps(mut self) -> Self {
        self.core_dumps = true;
        self
    }

    /// What each worker may use, by the kernel's word: see [`Limits`]. Default: what this process may.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use procpool::{ErrorKind, Limits, Pool, call};
    ///
    /// fn unpack(bytes: Vec<u8>) -> Vec<u8> {
    ///     # bytes
    ///     // …
    /// }
    ///
    /// # let bomb = Vec::new();
    /// let pool = Pool::builder().limits(Limits::new().memory(256 << 20)).build()?;
    /// match pool.run(call!(unpack(bomb))).await {
    ///     Err(error) if error.kind() == ErrorKind::MemoryLimit => println!("not with us: {error}"),
    ///     other => println!("{} bytes", other?.len()),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What tasks must not do, by the kernel's word: see [`Sandbox`]. Default: nothing is forbidden.
    ///
    /// ```no_run
    /// # fn f() -> Result<(), procpool::PoolError> {
    /// use procpool::{Pool, Sandbox};
    ///
    /// let pool = Pool::builder().sandbox(Sandbox::compute_only()).build()?;
    /// # drop(pool); Ok(()) }
    /// ```
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    /// Threads of this process instead of child processes: see [`Pool::in_process`](crate::Pool::in_process).
    /// Settings that only make sense for processes (program, environment, directory, stdout and stderr, core dumps) have
    /// no effect.
    pub fn in_process(mut self) -> Self {
        self.kind = Kind::Threads;
        self
    }

    pub(super) fn with_state(mut self, state: Hook) -> Self {
        self.state = Some(state);
        self
    }

    /// Whether those who wait for each other look for a moment before they sleep: a worker, for up to 50 µs, for its next
    /// task; whoever awaits the only call there is, for up to 10 µs, for the answer. To be woken takes longer than that,
    /// but looking takes time of the processor. Default: [`Spin::Auto`], which looks where it pays. Where frames go by
    /// sockets (`PROCPOOL_LINK=socket` in this program's environment, a debugging aid) nobody looks.
    pub fn spin(mut self, spin: Spin) -> Self {
        self.spin = spin;
        self
    }

    /// Does not record how long tasks wait and run, which [`Pool::stats`](crate::Pool::stats) then does not tell; it
    /// counts all the same. Saves 56 KiB of memory, and the few nanoseconds that it takes for each task.
    pub fn without_timings(mut self) -> Self {
        self.timings = Timings::Ignored;
        self
    }

    /// Shuts the pool down in this way when the token is cancelled: as [`Pool::shutdown_with`], which can still be called
    /// for its report. Given several times, each token has its way, and a harsher one overrides. With one that is cancelled
    /// already the pool is closed from the start.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use procpool::{Pool, Shutdown};
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let stop = CancellationToken::new(); // the one that all parts of a service share
    /// let pool = Pool::builder().shutdown_on(&stop, Shutdown::DrainFor(Duration::from_secs(10))).build()?;
    /// // …
    /// stop.cancelled().await;
    /// println!("{:?}", pool.shutdown().await?);
    /// # Ok(()) }
    /// ```
    pub fn shutdown_on(mut self, token: impl Borrow<CancellationToken>, how: Shutdown) -> Self {
        self.shutdown_on.push((token.borrow().clone(), how));
        self
    }

    pub(crate) fn processes_only(mut self) -> Self {
        self.kind = Kind::ProcessesOnly;
        self
    }

    /// Makes the pool. No process is started yet.
    ///
    /// # Errors
    /// As [`Pool::new`](crate::Pool::new), and of kind [`InvalidConfig`](crate::PoolErrorKind::InvalidConfig) for a
    /// setting that is out of range.
    pub fn build(self) -> Result<Pool, PoolError> {
        self.check()?;
        let runtime = Handle::try_current().map_err(|error| {
            PoolError::new(
                PoolErrorKind::NoRuntime,
                "a pool belongs to a tokio runtime, and there is none here: make it inside #[procpool::main], \
                 #[tokio::main], #[tokio::test] or Runtime::block_on",
            )
            .with_source(error)
        })?;
        self.build_on(runtime)
    }

    pub(crate) fn build_on(self, runtime: Handle) -> Result<Pool, PoolError> {
        self.check()?;
        let PoolBuilder { mut scheduler, workers, kind, timings, shutdown_on, init, exit, state, .. } = self;
        let workers = workers.unwrap_or_else(default_workers).checked()?;
        (scheduler.min_workers, scheduler.max_workers) = (workers.min(), workers.max());
        if kind == Kind::ProcessesOnly {
            (scheduler.min_workers, scheduler.max_workers, scheduler.spares) = (0, 0, 0);
        }
        let max_workers = scheduler.max_workers;
        let init = init.transpose()?.map(Arc::new);
        let exit = exit.transpose()?.map(Arc::new);
        let state = state.map(Arc::new);
        let backend = match kind {
            Kind::Threads => start_threads(
                ThreadsConfig { scheduler, timings, init, exit, state, max_message: self.max_message },
                runtime,
            )?,
            Kind::Processes | Kind::ProcessesOnly => {
                let mut env = self.env;
                if let Some(sandbox) = &self.sandbox {
                    sandbox.check()?;
                    env.clear |= sandbox.clears_env();
                }
                let program = self.program.map(absolute);
                if program.is_some() && state.is_some() {
                    return Err(invalid(
                        "a pool with a state cannot have a program: the functions of the state are named by their place \
                         in this one. Let an `init` job made by #[procpool::task] keep the state in a `static` there",
                    ));
                }
                let (naming, exe) = match &program {
                    Some(program) => {
                        check_program(program)?;
                        (Naming::ByName, None)
                    }
                    None => {
                        check_entry()?;
                        let exe = ExeIdentity::of_this_process().map_err(|error| {
                            let message = format!("cannot look at this program's executable: {error}");
                            PoolError::new(PoolErrorKind::Os, message).with_source(error)
                        })?;
                        (Naming::ByPlace, Some(exe))
                    }
                };
                let carrier = carrier();
                let setup = Setup {
                    protocol: PROTOCOL,
                    // Filled in for each worker.
                    name: String::new(),
                    slot: 0,
                    generation: 0,
                    depth: entry::depth() + 1,
                    max_message: self.max_message,
                    init: init.as_ref().map(|hook| hook.encoded(naming)).transpose()?,
                    exit: exit.as_ref().map(|hook| hook.encoded(naming)).transpose()?,
                    core_dumps: self.core_dumps,
                    limits: self.limits,
                    sandbox: self.sandbox,
                    last_step: if state.is_some() { STATE_STEP } else { INIT_STEP },
                    signals: if kind == Kind::Processes { SignalPolicy::Ignore } else { SignalPolicy::Default },
                    exe,
                    carrier,
                    spin_us: if carrier == Carrier::Rings { self.spin.worker_us(max_workers) } else { 0 },
                };
                let process = ProcessConfig {
                    program,
                    env,
                    current_dir: self.current_dir,
                    stdout: self.stdout,
                    stderr: self.stderr,
                    max_message: self.max_message,
                    setup,
                };
                start_processes(LocalConfig { scheduler, timings, process, init, exit, state }, runtime)?
            }
        };
        for (token, how) in shutdown_on {
            if token.is_cancelled() {
                // As for a call: nothing begins that is to be stopped. Whoever wants the report asks for it.
                drop(backend.shutdown(how));
                continue;
            }
            backend.watch(Box::pin(close_on(Arc::clone(&backend), token, how)));
        }
        Ok(Pool::from_backend(backend, max_workers))
    }

    fn check(&self) -> Result<(), PoolError> {
        let scheduler = &self.scheduler;
        if let Some(workers) = self.workers {
            workers.checked()?;
        }
        if scheduler.spares > MAX_WORKERS {
            return Err(invalid(format!("spares is {}; it must be at most {MAX_WORKERS}", scheduler.spares)));
        }
        self.limits.check()?;
        if self.kind == Kind::Threads && self.limits != Limits::default() {
            return Err(invalid(
                "limits are for processes; the threads of an in-process pool cannot have any".to_owned(),
            ));
        }
        if self.kind == Kind::Threads && self.sandbox.is_some() {
            return Err(invalid(
                "a sandbox is for processes; the threads of an in-process pool cannot have one".to_owned(),
            ));
        }
        let at_least_one: [(&str, u64); 3] = [
            ("max_tasks", scheduler.max_tasks.map_or(1, u64::from)),
            ("queue_limit", scheduler.queue_limit as u64),
            ("max_message", self.max_message),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(invalid(format!("{field} is 0; it must be at least 1")));
            }
        }
        let positive: [(&str, Option<Duration>); 6] = [
            ("ageing", Some(scheduler.ageing)),
            ("idle_timeout", scheduler.idle_timeout),
            ("start_timeout", Some(scheduler.start_limit)),
            ("init_timeout", Some(scheduler.init_limit)),
            ("exit_timeout", Some(scheduler.exit_limit)),
            ("claim_timeout", Some(scheduler.claim_limit)),
        ];
        for (field, value) in positive {
            if value.is_some_and(|value| value.is_zero()) {
                return Err(invalid(format!("{field} is zero; it must be longer")));
            }
        }
        Ok(())
    }
}

/// Waits for a token to close a pool, or for the pool's end.
async fn close_on(backend: Arc<dyn Backend>, token: CancellationToken, how: Shutdown) {
    let ended = backend.ended();
    if let Either::Left(_) = select(Box::pin(token.cancelled_owned()), ended).await {
        // Whoever wants the report asks for it.
        drop(backend.shutdown(how));
    }
}

/// A debugging aid: `socket` makes all frames go by sockets instead of shared memory.
const LINK: &str = "PROCPOOL_LINK";

fn carrier() -> Carrier {
    match std::env::var_os(LINK) {
        Some(value) if value == "socket" => Carrier::Socket,
        _ => Carrier::Rings,
    }
}

/// One worker a core; one inside a worker, since its siblings have the other cores.
fn default_workers() -> Workers {
    if entry::depth() > 0 {
        return Workers::from(1);
    }
    Workers::from(std::thread::available_parallelism().map_or(1, usize::from))
}

impl std::fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("scheduler", &self.scheduler)
            .finish_non_exhaustive()
    }
}
