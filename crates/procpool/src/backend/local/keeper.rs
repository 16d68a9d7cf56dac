//! The one thread of a pool that spawns, signals and reaps its workers, and tells the scheduler the time.
//!
//! It outlives the pool's handles and runtime: it ends when the scheduler says that no task and no worker is left. That
//! settles `Drop` without a runtime, zombies, pid reuse (a pid is signalled only before this thread has reaped it), and
//! time limits on a runtime that is blocked.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::driver::{Receiver, drive, stillborn};
use super::link::Link;
use super::outbox::Outgoing;
use super::tee::Tee;
use crate::backend::job::Death;
use crate::backend::scheduler::{Event, Now, WorkerId};
use crate::backend::worker_name;
use crate::config::{ProcessConfig, Stdio};
use crate::entry;
use crate::error::{Exit, WorkerPanic};
use crate::panics;
use crate::process::Watch;
use crate::queue::Guest;
use crate::sync::lock;
use crate::sys::poll::{Poller, Token, Waker};
use crate::sys::process::{Child, WorkerCommand};
use crate::sys::readiness::Readiness;
use crate::sys::sink::Printed;
use crate::sys::socket::Input;
use crate::sys::{process, socket};
use crate::wire::frame::Kind;
use crate::wire::message::Setup;
use crate::wire::page::ParentPage;

/// What the keeper is asked to do.
pub(super) enum Command {
    Spawn {
        worker: WorkerId,
        watch: Option<Arc<Watch>>,
    },
    Kill {
        worker: WorkerId,
    },
    /// Nothing more comes from this worker: it is dead, or will be.
    Hangup {
        worker: WorkerId,
    },
    /// No task and no worker is left.
    End,
}

/// How others reach the keeper.
pub(super) struct KeeperHandle {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
}

impl KeeperHandle {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(KeeperHandle { commands: Mutex::default(), waker: Waker::new()? })
    }

    /// Leaves a command. Memory only: call [`wake`](Self::wake) when no lock is held.
    pub(super) fn push(&self, command: Command) {
        lock(&self.commands).push(command);
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }
}

/// The keeper's own state; lives on its thread.
pub(super) struct Keeper {
    receiver: Arc<Receiver>,
    poller: Poller,
    config: Arc<ProcessConfig>,
    tees: Tees,
    wards: HashMap<WorkerId, Ward>,
    /// Which ward a token of the poller means, and the three after it: `PIDFD`, `STDOUT`, `STDERR` and `QUEUES` of the
    /// same one.
    tokens: HashMap<u64, WorkerId>,
    next_token: u64,
    ended: bool,
}

/// Where captured output is passed on to, if it is.
struct Tees {
    stdout: Option<Arc<Tee>>,
    stderr: Option<Arc<Tee>>,
}

/// One living (or not yet buried) worker.
struct Ward {
    token: u64,
    child: Child,
    link: Arc<Link>,
    driver: AbortHandle,
    watch: Option<Arc<Watch>>,
    killed: Killed,
    queues: Queues,
}

/// How far a worker is with queues. (Few ever use one, and those that do are then no business of the keeper's.)
enum Queues {
    /// It has not used any: this end of its second socket is watched for a first byte.
    Unused(OwnedFd),
    /// It is known where the queues are.
    Introduced(Guest),
    /// It has closed its end, or could not be introduced.
    Closed,
}

/// Whether the keeper has killed a worker, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    No,
    /// The scheduler said so.
    Ordered,
    /// It closed its socket before anybody told it to end.
    HungUp,
}

const WAKER: u64 = u64::MAX;

/// Tokens come in fours, one four a worker.
const PIDFD: u64 = 0;
const STDOUT: u64 = 1;
const STDERR: u64 = 2;
const QUEUES: u64 = 3;
const TOKENS: u64 = 4;

impl Keeper {
    pub(super) fn new(receiver: Arc<Receiver>, config: Arc<ProcessConfig>) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(receiver.keeper.waker.as_fd(), Token(WAKER))?;
        let tee = |stdio, printed| (stdio == Stdio::Tee).then(|| Tee::start(printed)).flatten();
        let tees = Tees { stdout: tee(config.stdout, Printed::Stdout), stderr: tee(config.stderr, Printed::Stderr) };
        Ok(Keeper {
            receiver,
            poller,
            config,
            tees,
            wards: HashMap::new(),
            tokens: HashMap::new(),
            next_token: 0,
            ended: false,
        })
    }

    /// What ends when all that was to be passed on has been.
    pub(super) fn passed_on(&self) -> Vec<watch::Receiver<()>> {
        let tees = [&self.tees.stdout, &self.tees.stderr];
        tees.into_iter().flatten().filter_map(|tee| tee.done()).collect()
    }

    /// Works until no task and no worker is left.
    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        while !(self.ended && self.wards.is_empty()) {
            let timeout = self.next_wait();
            ready.clear();
            if let Err(error) = self.poller.wait(&mut ready, timeout) {
                // Nothing but a broken descriptor table gets here. Going on without waiting would burn a core, and
                // stopping would leave workers unreaped, so this waits on the clock instead.
                panics::by_the_way(|| tracing::error!(target: "procpool::worker", %error, "the keeper cannot wait"));
                std::thread::park_timeout(Duration::from_millis(10));
            }
            if ready.contains(&Token(WAKER)) {
                self.receiver.keeper.waker.drain();
            }
            for command in self.receiver.keeper.take() {
                self.obey(command);
            }
            for &Token(token) in ready.iter().filter(|token| token.0 != WAKER) {
                let Some(&worker) = self.tokens.get(&(token - token % TOKENS)) else { continue };
                match token % TOKENS {
                    STDOUT => self.listen(worker, Printed::Stdout),
                    STDERR => self.listen(worker, Printed::Stderr),
                    QUEUES => self.introduce(worker),
                    _ => self.bury(worker),
                }
            }
            self.tick();
        }
        // Also where somebody still holds a worker's link.
        for tee in [&self.tees.stdout, &self.tees.stderr].into_iter().flatten() {
            tee.end();
        }
    }

    fn next_wait(&self) -> Option<Duration> {
        let engine = &self.receiver.engine;
        let mut deadline = None;
        engine.arm(|workers, next| {
            workers.armed(next);
            deadline = next;
        });
        deadline.map(|Now(at)| at.saturating_sub(engine.now().0))
    }

    /// Tells the scheduler the time, once something is due. What has arrived is read first: this process may have
    /// been stopped for longer than a task's limit while its result waited in the socket, and then the result counts.
    fn tick(&mut self) {
        let engine = &self.receiver.engine;
        let mut due = false;
        engine.arm(|_, next| due = next.is_some_and(|next| next <= engine.now()));
        if due {
            for link in engine.with_workers(|workers| workers.links()) {
                self.receiver.drain(&link);
            }
            engine.handle(Event::Tick);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Spawn { worker, watch } => self.spawn(worker, watch),
            Command::Kill { worker } => {
                if let Some(ward) = self.wards.get_mut(&worker) {
                    ward.killed = Killed::Ordered;
                    kill(&ward.child);
                }
            }
            Command::Hangup { worker } => {
                // One that was killed hangs up, too, which is no news; nor is it when it dies of something else.
                if let Some(ward) = self.wards.get_mut(&worker)
                    && ward.killed == Killed::No
                    && !ward.child.is_ending()
                {
                    ward.killed = Killed::HungUp;
                    kill(&ward.child);
                }
            }
            Command::End => self.ended = true,
        }
    }

    fn spawn(&mut self, worker: WorkerId, watch: Option<Arc<Watch>>) {
        let name = worker_name(worker);
        if let Err(error) = self.try_spawn(worker, &name, watch.clone()) {
            panics::by_the_way(
                || tracing::warn!(target: "procpool::worker", worker = name, %error, "worker cannot be spawned"),
            );
            let detail = match &self.config.program {
                Some(program) => format!("the program `{}` could not be started: {error}", program.display()),
                None => format!("its process could not be started: {error}"),
            };
            if let Some(watch) = watch {
                watch.failed(detail.clone());
            }
            let death = stillborn(name, detail);
            self.receiver.engine.handle_with(|workers| {
                workers.detach(worker);
                Some(Event::SpawnFailed { worker, death })
            });
        }
    }

    fn try_spawn(&mut self, worker: WorkerId, name: &str, watch: Option<Arc<Watch>>) -> std::io::Result<()> {
        let (ours, theirs) = socket::pair()?;
        let (queues, their_queues) = socket::pair()?;
        let (page, page_fd) = ParentPage::create()?;
        let mut child = process::spawn(WorkerCommand {
            socket: theirs,
            program: self.config.program.clone(),
            arg0: entry::marker(name),
            env: self.config.env.clone(),
            cwd: self.config.current_dir.clone(),
            stdout: self.config.stdout.into(),
            stderr: self.config.stderr.into(),
        })?;
        let pid = child.pid();
        let carrier = self.config.setup.carrier;
        let link = Link::new(worker, pid, page, ours, carrier, self.config.max_message, self.receiver.etiquette());
        let link = Arc::new(if self.config.captures() { link.with_output() } else { link });
        let placed =
            self.place(worker, name, &mut child, &link, &[page_fd.as_fd(), their_queues.as_fd()], queues.as_fd());
        let (token, ready, pidfd) = match placed {
            Ok(placed) => placed,
            Err(error) => {
                end_unwatched(&mut child);
                return Err(error);
            }
        };
        if let Some(watch) = &watch {
            watch.spawned(pid, pidfd);
        }
        panics::by_the_way(|| {
            tracing::debug!(
                target: "procpool::worker", parent: &link.span,
                worker = name, pid, generation = worker.generation, "worker spawned"
            )
        });
        // Known to the engine before its first message can be read.
        let engine = &self.receiver.engine;
        engine.handle_with(|workers| {
            workers.attach(worker, Arc::clone(&link));
            Some(Event::Spawned { worker })
        });
        let driver = engine.runtime().spawn(drive(Arc::clone(&self.receiver), Arc::clone(&link), ready)).abort_handle();
        self.tokens.insert(token, worker);
        let queues = Queues::Unused(queues);
        self.wards.insert(worker, Ward { token, child, link, driver, watch, killed: Killed::No, queues });
        Ok(())
    }

    /// Registers a fresh child with both pollers and sends it what it needs to begin.
    fn place(
        &mut self,
        worker: WorkerId,
        name: &str,
        child: &mut Child,
        link: &Arc<Link>,
        passengers: &[BorrowedFd<'_>],
        queues: BorrowedFd<'_>,
    ) -> std::io::Result<(u64, Readiness, OwnedFd)> {
        // One that is gone already, and collected by somebody else, cannot be watched: it was not started.
        let Some(pidfd) = child.pidfd() else { return Err(std::io::Error::other(Exit::Unknown.to_string())) };
        let for_watch = pidfd.try_clone_to_owned()?;
        let ready = {
            let _context = self.receiver.engine.runtime().enter();
            Readiness::new(link.socket())?
        };
        let setup = Setup {
            name: name.to_owned(),
            slot: worker.slot,
            generation: worker.generation,
            ..self.config.setup.clone()
        };
        let body = setup.encode().map_err(std::io::Error::other)?;
        link.open(Outgoing { body: body.into(), ..Outgoing::new(Kind::Setup, 0) }, passengers)?;
        let token = self.next_token;
        self.next_token += TOKENS;
        if let Some(output) = &link.output {
            let (stdout, stderr) = (self.tees.stdout.clone(), self.tees.stderr.clone());
            if let Some(pipe) = child.take_stdout() {
                output.add(Printed::Stdout, pipe, stdout, &self.poller, Token(token + STDOUT))?;
            }
            if let Some(pipe) = child.take_stderr() {
                output.add(Printed::Stderr, pipe, stderr, &self.poller, Token(token + STDERR))?;
            }
        }
        if let Some(pidfd) = child.pidfd() {
            self.poller.add(pidfd, Token(token + PIDFD))?;
        }
        self.poller.add(queues, Token(token + QUEUES))?;
        Ok((token, ready, for_watch))
    }

    fn listen(&mut self, worker: WorkerId, printed: Printed) {
        if let Some(ward) = self.wards.get(&worker)
            && let Some(output) = &ward.link.output
        {
            output.listen(printed, &self.poller);
        }
    }

    /// A worker uses a queue for the first time, or has closed its end.
    fn introduce(&mut self, worker: WorkerId) {
        let Some(ward) = self.wards.get_mut(&worker) else { return };
        let input = match &ward.queues {
            Queues::Unused(socket) => socket::peek(socket),
            _ => return,
        };
        if input == Input::Nothing {
            return;
        }
        let Queues::Unused(socket) = std::mem::replace(&mut ward.queues, Queues::Closed) else { return };
        forget(&self.poller, socket.as_fd());
        // At its end without a byte: it is about to be over.
        if input == Input::Bytes
            && let Some(guest) = Guest::introduce(socket)
        {
            ward.queues = Queues::Introduced(guest);
        }
    }

    /// A worker has ended. In this order: what it sent counts; its page tells what it was doing; what it left running
    /// is killed while its unreaped pid still guards the process group's number; then it is reaped, so that whoever
    /// reads the error finds nothing left; and then the scheduler is told.
    fn bury(&mut self, worker: WorkerId) {
        let Some(ward) = self.wards.get(&worker) else { return };
        let exit = match ward.child.peek_exit() {
            Ok(Some(exit)) => Exit::from(exit),
            Ok(None) => return,
            Err(_) => Exit::Unknown,
        };
        let Some(mut ward) = self.wards.remove(&worker) else { return };
        self.tokens.remove(&ward.token);
        self.receiver.drain(&ward.link);
        // Does nothing when somebody else has reaped it: its number may be another's by now.
        kill(&ward.child);
        let stderr = ward.link.output.as_ref().map(|output| output.last_words(&self.poller)).unwrap_or_default();
        if let Some(pidfd) = ward.child.pidfd() {
            forget(&self.poller, pidfd);
        }
        if let Err(error) = ward.child.reap() {
            panics::by_the_way(
                || tracing::error!(target: "procpool::worker", pid = ward.child.pid(), %error, "worker cannot be reaped"),
            );
        }
        ward.driver.abort();
        let detail = ward.link.fault().or_else(|| {
            let killed = exit.signal() == Some(libc::SIGKILL);
            (ward.killed == Killed::HungUp && killed)
                .then(|| "it closed its connection to the pool, so it was killed".to_owned())
        });
        // A program of this crate's says hello before it can be at fault for anything else.
        let detail = match &self.config.program {
            Some(program) if !ward.link.has_greeted() => Some(imposter(program, detail)),
            _ => detail,
        };
        let name = worker_name(worker);
        panics::by_the_way(|| {
            tracing::debug!(
                target: "procpool::worker", parent: &ward.link.span,
                worker = name, pid = ward.child.pid(), %exit, detail, "worker ended"
            )
        });
        let panic: Option<WorkerPanic> = ward.link.page.panic_report().map(Into::into);
        let death = Arc::new(Death {
            worker: name,
            pid: Some(ward.child.pid()),
            exit: Some(exit),
            limit: self.config.setup.explain(exit, panic.is_some(), &stderr),
            panic,
            stderr,
            detail,
            step: ward.link.page.step(),
        });
        self.receiver.engine.exited(worker, death, |workers| workers.detach(worker));
        // Its answers have been handled, so that what it left for somebody in one of them has been taken over.
        match ward.queues {
            Queues::Introduced(guest) => guest.buried(),
            // It has never heard of a queue, so nothing of it is left at one.
            Queues::Unused(socket) => forget(&self.poller, socket.as_fd()),
            Queues::Closed => {}
        }
        if let Some(watch) = ward.watch {
            watch.exited(exit);
        }
    }
}

/// Why a worker never said hello, where the user chose what it runs: most likely it is none.
fn imposter(program: &Path, fault: Option<String>) -> String {
    let program = program.display();
    let fault = fault.unwrap_or_else(|| "it ended before it said hello".to_owned());
    format!("{fault}; does the program `{program}` call procpool::init() (or worker_main()) first in main?")
}

/// Kills a worker and its group. It may have ended meanwhile, which is no harm; anything else is told to tracing.
fn kill(child: &Child) {
    if let Err(error) = child.kill_group() {
        panics::by_the_way(
            || tracing::error!(target: "procpool::worker", pid = child.pid(), %error, "worker cannot be killed"),
        );
    }
}

/// Ends a child that was started and then could not be watched.
fn end_unwatched(child: &mut Child) {
    kill(child);
    if let Err(error) = child.reap() {
        panics::by_the_way(
            || tracing::error!(target: "procpool::worker", pid = child.pid(), %error, "worker cannot be reaped"),
        );
    }
}

/// Takes a descriptor out of the poller. It is closed next, so a failure changes nothing.
fn forget(poller: &Poller, fd: BorrowedFd<'_>) {
    if let Err(error) = poller.remove(fd) {
        panics::by_the_way(|| tracing::debug!(target: "procpool::worker", %error, "descriptor was not polled"));
    }
}
