//! The worker's main loop.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::link::Link;
use super::panics;
use super::start::{EXIT_BROKEN, fail};
use crate::backend::scheduler::OfferId;
use crate::current::{self, Running};
use crate::queue;
use crate::queue::client::Side;
use crate::queue::travel::{self, Carried};
use crate::sandbox::Fenced;
use crate::sys::cpu_timer::CpuTimer;
use crate::sys::fork::Original;
use crate::sys::process;
use crate::sys::sealed::SealedBytes;
use crate::task::attachment::Content;
use crate::task::{Code, CodeName, Fault, Naming, WireEntry, apart, state, store};
use crate::wire::frame::Kind;
use crate::wire::memory::MemoryBody;
use crate::wire::message::{EncodedJob, INIT_STEP, PanicReport, ReplyBody, STATE_STEP, Setup, parse_task_head};
use crate::wire::page::WorkerPage;

/// A reply's buffer is used again for the next one, unless it has grown beyond this.
const KEEP_BUFFER: usize = 1 << 20;

/// The exit code of a worker whose exit hook panicked; that of any Rust program that panics.
const EXIT_PANICKED: i32 = 101;

pub(super) struct Worker {
    pub(super) link: Link,
    pub(super) page: &'static WorkerPage,
    naming: Naming,
    max_message: u64,
    pub(super) reply: Vec<u8>,
    /// What the result in `reply` has apart.
    pub(super) apart: Bytes,
    /// What an item of the last lot took; at first so much that each is taken for a long one.
    pub(super) item_ns: u64,
    /// This process, and none that was forked from it.
    original: Original,
    /// What each task may use of the processor.
    cpu: Option<(CpuTimer, Duration)>,
}

/// What a task has printed is out before its caller hears of it: an unfinished line, since a line is at once. Nobody to
/// print to is no reason to fail.
pub(super) fn print() {
    let _ = std::io::stdout().flush();
}

/// Runs the initialiser, then tasks until the parent says that it is enough.
pub(super) fn serve(link: Link, setup: Setup, page: &'static WorkerPage, fenced: Option<Fenced>) -> ! {
    let Setup { name, max_message, init, exit, exe, limits, last_step, .. } = setup;
    let naming = if exe.is_some() { Naming::ByPlace } else { Naming::ByName };
    let (reply, apart, original) = (Vec::new(), Bytes::new(), Original::here());
    let cpu = limits.cpu_time.map(|time| match CpuTimer::new() {
        Ok(timer) => (timer, time),
        Err(error) => fail(&name, "limit its processor time", error),
    });
    let mut fence = Fence { last_step, fenced };
    let mut worker = Worker { link, page, naming, max_message, reply, apart, item_ns: u64::MAX, original, cpu };
    worker.initialise(init);
    fence.close_after(INIT_STEP, &name);
    worker.send(Kind::InitDone, INIT_STEP);
    loop {
        // An end of the stream, an error, a frame that makes no sense: there is no parent to work for.
        let Ok(message) = worker.link.receive() else { process::kill_own_group() };
        match message.kind {
            // A state is made once in a worker's life, under the limits of a start; this life is over, and the parent was
            // told with the panic. What it has handed over meanwhile is not claimed, and taken back.
            Kind::Task if state::is_lost() => {}
            Kind::Task => worker.task(OfferId(message.id), message.body, message.apart, &name),
            Kind::State => {
                worker.make_state(&message.body);
                fence.close_after(STATE_STEP, &name);
                worker.send(Kind::InitDone, STATE_STEP);
            }
            Kind::Shared => store::put(message.id, Content::Bytes(message.body)),
            Kind::Memory => worker.map(message.id, &message.body, &name),
            Kind::Forget => store::forget(message.id),
            Kind::Retire => worker.retire(exit, &name),
            _ => fail(&name, "understand its parent", "it sent a message of the wrong kind"),
        }
    }
}

/// What is still open of a worker's sandbox until tasks may come.
struct Fence {
    last_step: u64,
    fenced: Option<Fenced>,
}

impl Fence {
    fn close_after(&mut self, step: u64, name: &str) {
        if step == self.last_step
            && let Some(fenced) = self.fenced.take()
        {
            fenced.close(name).unwrap_or_else(|error| fail(name, "enter its sandbox", error));
        }
    }
}

impl Worker {
    fn initialise(&mut self, init: Option<EncodedJob>) {
        match init {
            Some(job) => self.run(&job.entry, &job.arguments),
            None => {
                self.reply.clear();
                self.reply.push(ReplyBody::VALUE_TAG);
            }
        }
        // A panic that the parent hears of here is no news about the first task.
        self.page.forget_steps();
    }

    /// Makes the state that tasks will use. `body` names the code, and then come its arguments.
    fn make_state(&mut self, body: &[u8]) {
        let (entry, arguments) = body.split_at_checked(WireEntry::LEN).unwrap_or((body, &[]));
        self.run(entry, arguments);
        self.page.forget_steps();
    }

    /// Maps memory that tasks will name. Where that fails they will hear of it: nothing has been claimed yet.
    fn map(&mut self, key: u64, body: &[u8], name: &str) {
        let len = match MemoryBody::decode(body) {
            Some(MemoryBody::Comes(len)) => len,
            Some(MemoryBody::Lost(why)) => return store::lose(key, why),
            None => fail(name, "understand its parent", "it sent memory of no length"),
        };
        let Ok(passenger) = self.link.receive_passenger() else { process::kill_own_group() };
        match passenger.and_then(|file| SealedBytes::receive(file, len)) {
            Ok(memory) => store::put(key, Content::Sealed(Arc::new(memory))),
            Err(error) => store::lose(key, error.to_string()),
        }
    }

    fn task(&mut self, offer: OfferId, body: Bytes, apart: Vec<u8>, name: &str) {
        // Before anything of it is looked at: from here on, whatever happens is this task's doing.
        if !self.page.claim(offer) {
            return;
        }
        let (head, start) = match parse_task_head(&body) {
            Ok(parsed) => parsed,
            Err(error) => fail(name, "understand its parent", error),
        };
        if head.attempt == 0 {
            return self.lot(offer, &head, &body[start..]);
        }
        current::set_running(Some(Running { task: head.task, attempt: head.attempt, offer }));
        self.limit(name);
        apart::coming(apart, || self.run(head.entry, &body[start..]));
        self.unlimit(name);
        current::set_running(None);
        // A big argument's memory is given back before the reply is waited for.
        drop(body);
        self.send(Kind::Reply, offer.0);
        // Only now: whatever a worker says is done has left it.
        self.page.done(offer);
    }

    /// From here on the processor's time is the task's.
    fn limit(&self, name: &str) {
        if let Some((timer, time)) = &self.cpu {
            timer.set(*time).unwrap_or_else(|error| fail(name, "limit its processor time", error));
        }
    }

    fn unlimit(&self, name: &str) {
        if let Some((timer, _)) = &self.cpu {
            timer.unset().unwrap_or_else(|error| fail(name, "end the limit of its processor time", error));
        }
    }

    /// Writes the whole reply. Where that fails there is no parent any more, or a task has closed the socket.
    fn send(&mut self, kind: Kind, id: u64) {
        self.settle(kind);
        if self.link.send_with(kind, id, &self.reply, &self.apart).is_err() {
            process::kill_own_group();
        }
        self.clear();
    }

    /// What is to be done before an answer leaves.
    pub(super) fn settle(&mut self, kind: Kind) {
        // Handles that came with the task, or leave with its answer, are this process's before the parent lets go of its
        // own; and what the task has acknowledged is acknowledged before it is done.
        queue::client::settle_if_open();
        if kind != Kind::Item {
            print();
        }
        if !matches!(kind, Kind::Reply | Kind::Item) {
            // What a start has to tell is judged as one piece.
            self.reply.extend_from_slice(&std::mem::take(&mut self.apart));
        }
    }

    /// What is to be done once it has left.
    pub(super) fn clear(&mut self) {
        if !self.apart.is_empty() {
            self.apart = Bytes::new();
        }
        if self.reply.capacity() > KEEP_BUFFER {
            self.reply = Vec::new();
        }
    }

    /// Runs a job, and leaves what came of it in `reply`.
    fn run(&mut self, entry: &[u8], arguments: &[u8]) {
        let code = self.find(entry);
        self.run_code(code.as_ref(), arguments);
    }

    pub(super) fn find(&self, entry: &[u8]) -> Result<Code, String> {
        CodeName::find(entry, self.naming).map_err(|error| error.to_string())
    }

    /// The same for code that has been looked for.
    pub(super) fn run_code(&mut self, code: Result<&Code, &String>, arguments: &[u8]) {
        self.reply.clear();
        let outcome = code.map_err(|why| ReplyBody::UnknownCode(why.clone()));
        let outcome = outcome.and_then(|code| self.call(code, arguments));
        let handles = travel::take_result();
        if let Some(apart) = apart::take_result() {
            self.apart = apart.into_bytes();
        }
        // A task may have forked, and a child that returns from the task gets here, too. It has the socket, where its
        // answer would be a second one, and the next task's bytes half its own.
        if !self.original.is_here() {
            process::leave();
        }
        let outcome = outcome.and_then(|()| {
            let len = ((self.reply.len() + self.apart.len()) as u64).saturating_sub(1);
            let limit = self.max_message;
            if len > limit { Err(ReplyBody::TooLarge { len, limit }) } else { self.park(handles) }
        });
        if let Err(failure) = outcome {
            self.reply.clear();
            self.apart = Bytes::new();
            failure.encode(&mut self.reply);
        }
    }

    /// Leaves the handles that the result names behind for whoever reads it: this process lets go of its own.
    fn park(&mut self, handles: Option<Vec<Side>>) -> Result<(), ReplyBody> {
        if let Some(handles) = handles {
            let key = Carried::park(&handles).map_err(|why| ReplyBody::Unencodable(why.to_string()))?;
            ReplyBody::carry(key, &mut self.reply);
        }
        Ok(())
    }

    /// Runs code, with its result after the tag in `reply`; says what went wrong otherwise.
    fn call(&mut self, code: &Code, arguments: &[u8]) -> Result<(), ReplyBody> {
        let page = self.page;
        let reply = &mut self.reply;
        reply.push(ReplyBody::VALUE_TAG);
        panics::forget();
        // The reply is the only thing of ours that a panic can leave half-changed, and it is then thrown away.
        let outcome = catch_unwind(AssertUnwindSafe(|| code.run(arguments, reply, page.steps())));
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Fault::Decode(error))) => Err(ReplyBody::Undecodable(error.to_string())),
            Ok(Err(Fault::NoState(why))) => Err(ReplyBody::UnknownCode(why.to_string())),
            Ok(Err(Fault::Encode(error))) => Err(ReplyBody::Unencodable(error.to_string())),
            Err(payload) => {
                let report = panics::report(payload);
                Err(ReplyBody::Panicked(PanicReport { state_lost: state::is_lost(), ..report }))
            }
        }
    }

    /// Runs the exit hook, drops the state, and ends: with code 0, unless one of them failed.
    fn retire(&mut self, exit: Option<EncodedJob>, name: &str) -> ! {
        let code = exit.map_or(0, |job| self.leave(&job, name));
        let dropped = state::discard();
        // What the hook and the state's end told the queues leaves with them.
        queue::client::settle_if_open();
        std::process::exit(if dropped.is_err() { EXIT_PANICKED } else { code })
    }

    /// Runs the exit hook, and says what the process is to end with.
    fn leave(&mut self, job: &EncodedJob, name: &str) -> i32 {
        self.run(&job.entry, &job.arguments);
        let outcome = ReplyBody::decode(Bytes::from(std::mem::take(&mut self.reply)));
        match outcome {
            // Its words are on stderr: the hook of panics printed them.
            Ok(ReplyBody::Panicked(_)) => EXIT_PANICKED,
            Ok(ReplyBody::Undecodable(why) | ReplyBody::Unencodable(why) | ReplyBody::UnknownCode(why)) => {
                fail(name, "run its exit hook", why)
            }
            Ok(
                ReplyBody::Value(_) | ReplyBody::Apart { .. } | ReplyBody::Carrying { .. } | ReplyBody::TooLarge { .. },
            ) => 0,
            Err(_) => EXIT_BROKEN,
        }
    }
}
