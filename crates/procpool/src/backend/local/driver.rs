//! Moves the bytes of one worker whenever its socket is ready, as a small task on the pool's runtime.

use std::sync::Arc;
use std::time::Duration;

use super::etiquette::Etiquette;
use super::inbox::{Arrival, Received};
use super::keeper::{Command, KeeperHandle};
use super::link::Link;
use super::outbox::{Order, Outgoing};
use super::processes::Processes;
use crate::backend::job::{Death, Work};
use crate::backend::scheduler::{Event, OfferId};
use crate::backend::{Answered, Engine, worker_name};
use crate::config::Hook;
use crate::panics;
use crate::queue::travel::Carried;
use crate::sys::readiness::Readiness;
use crate::wire::frame::{Kind, Message};
use crate::wire::message::{ExeIdentity, Hello, INIT_STEP, PROTOCOL, ReplyBody, STATE_STEP};

/// How often [`Receiver::drain`] calls [`Receiver::receive`], which takes up to a megabyte: far more than a socket holds.
const DRAIN_ROUNDS: usize = 16;

/// What drivers and keeper need to understand what a worker sends.
pub(super) struct Receiver {
    pub(super) engine: Arc<Engine<Processes>>,
    pub(super) keeper: Arc<KeeperHandle>,
    pub(super) init: Option<Arc<Hook>>,
    /// Workers have it in their set-up; the handles of queues in it are kept for them here.
    #[expect(dead_code, reason = "its drop is its use")]
    pub(super) exit: Option<Arc<Hook>>,
    pub(super) state: Option<Arc<Hook>>,
    /// What the workers run, if it is this program.
    pub(super) exe: Option<ExeIdentity>,
}

impl Receiver {
    /// What a worker of this pool may say.
    pub(super) fn etiquette(&self) -> Etiquette {
        if self.state.is_some() { Etiquette::with_state() } else { Etiquette::default() }
    }

    /// Reads what has come from a worker and tells the engine; and writes on, if that was what the worker rang for: whoever
    /// reads takes the bell away from everybody else.
    pub(super) fn receive(&self, link: &Arc<Link>) -> Received {
        let mut answers = Answers::default();
        let received = match link.receive(|arrival| self.hear(link, arrival, &mut answers)) {
            Ok(received) => received,
            Err(fault) => {
                self.condemn(link, fault);
                Received::Ended
            }
        };
        link.resume_by_ring();
        received
    }

    /// Reads what has come from a worker, but no more than it can have sent before this began: who writes without end
    /// (a worker, or something that it left behind with its socket) must not hold up the keeper.
    pub(super) fn drain(&self, link: &Arc<Link>) {
        for _ in 0..DRAIN_ROUNDS {
            if self.receive(link) != Received::More {
                return;
            }
        }
    }

    /// Looks at what comes from a worker, for a caller who waits for nothing else.
    pub(super) fn linger(&self, link: &Arc<Link>, patience: Duration, is_done: &dyn Fn() -> bool) {
        let mut answers = Answers::default();
        if let Err(fault) = link.linger(patience, is_done, |arrival| self.hear(link, arrival, &mut answers)) {
            self.condemn(link, fault);
        }
    }

    /// What the driver does with what it has read. `false`: there is nothing more to come.
    fn go_on(&self, link: &Link, received: Received) -> bool {
        if received == Received::Ended {
            // Dead, or it closed its socket: the keeper finds out, and sees to it that it is dead.
            self.keeper.push(Command::Hangup { worker: link.worker });
            self.keeper.wake();
        }
        received != Received::Ended
    }

    fn hear(&self, link: &Arc<Link>, arrival: Arrival, answers: &mut Answers) -> Result<(), String> {
        match arrival {
            Arrival::Message(message) => self.understand(link, message, answers),
            Arrival::Values(values) => {
                answers.items.push(Answered::Values(values));
                Ok(())
            }
            Arrival::Pause => self.tell(link, answers),
        }
    }

    /// Tells the engine of the answers that were read together.
    fn tell(&self, link: &Link, answers: &mut Answers) -> Result<(), String> {
        let told = self.engine.handle_answers(link.worker, &mut answers.items, &mut answers.events);
        answers.carried.clear();
        told
    }

    fn understand(&self, link: &Arc<Link>, message: Message, answers: &mut Answers) -> Result<(), String> {
        let worker = link.worker;
        let is_answer = matches!(message.kind, Kind::Reply | Kind::Item);
        if !message.apart.is_empty() && !is_answer {
            return Err("it broke the protocol: a message came in parts that never does".to_owned());
        }
        if !is_answer {
            self.tell(link, answers)?;
        }
        match message.kind {
            Kind::Hello => {
                link.greet();
                self.judge_hello(link, &message).map_err(|fault| format!("its hello is wrong: {fault}"))?;
                self.engine.handle(Event::Booted { worker });
            }
            Kind::InitDone => {
                let step = message.id;
                settle(link);
                self.judge_init(message)?;
                // Only now: a state is not made in a worker whose initialiser failed.
                if let Some(state) = self.state.as_ref().filter(|_| step == INIT_STEP) {
                    let (head, body) = (state.entry().to_bytes(), state.arguments().clone());
                    link.push(Order::Send(Outgoing { head, body, ..Outgoing::new(Kind::State, 0) }));
                    link.flush();
                    return Ok(());
                }
                panics::by_the_way(|| {
                    tracing::debug!(
                        target: "procpool::worker", parent: &link.span,
                        worker = worker_name(worker), pid = link.pid, "worker ready"
                    )
                });
                self.engine.handle(Event::Ready { worker });
            }
            Kind::Reply => {
                settle(link);
                let mut reply = ReplyBody::decode_with(message.body, message.apart)
                    .map_err(|fault| format!("its answer makes no sense: {fault}"))?;
                if reply.is_last() {
                    answers.events.push(Event::Worn { worker });
                }
                answers.carried.extend(reply.adopt());
                answers.events.push(Event::Replied { worker, offer: OfferId(message.id), reply });
            }
            Kind::Item => {
                let mut reply = ReplyBody::decode_with(message.body, message.apart)
                    .map_err(|fault| format!("its answer makes no sense: {fault}"))?;
                answers.carried.extend(reply.adopt());
                answers.items.push(Answered::One { offer: message.id, reply });
            }
            // The assembler lets through only what a worker may send.
            Kind::Setup | Kind::Task | Kind::Retire | Kind::State | Kind::Shared | Kind::Forget | Kind::Memory => {}
        }
        Ok(())
    }

    /// Whether the worker runs the same program and speaks the same protocol: otherwise offsets mean something else.
    fn judge_hello(&self, link: &Link, message: &Message) -> Result<(), String> {
        let protocol = Hello::protocol_of(&message.body).map_err(|fault| fault.to_string())?;
        if protocol != PROTOCOL {
            return Err(format!(
                "it speaks protocol {protocol}, this side {PROTOCOL}: build both with the same version of procpool"
            ));
        }
        let hello = Hello::decode(&message.body).map_err(|fault| fault.to_string())?;
        if hello.pid != link.pid {
            return Err(format!("it says that it is process {}", hello.pid));
        }
        if self.exe.as_ref().is_some_and(|exe| *exe != hello.exe) {
            return Err("it runs another executable".into());
        }
        Ok(())
    }

    /// Whether the initialiser, or the making of the state, went well.
    fn judge_init(&self, message: Message) -> Result<(), String> {
        let step = message.id;
        let mut reply =
            ReplyBody::decode(message.body).map_err(|fault| format!("its answer makes no sense: {fault}"))?;
        let _carried = reply.adopt();
        let hook = if step == STATE_STEP { &self.state } else { &self.init };
        hook.as_ref().map_or(Ok(()), |hook| hook.judge(reply))
    }

    fn condemn(&self, link: &Link, fault: String) {
        panics::by_the_way(|| {
            tracing::warn!(
                target: "procpool::worker", parent: &link.span,
                worker = worker_name(link.worker), pid = link.pid, fault, "worker condemned"
            )
        });
        link.blame(fault);
        self.engine.handle(Event::Broken { worker: link.worker });
    }
}

/// Answers that have been read and not told to the engine yet.
#[derive(Default)]
struct Answers {
    events: Vec<Event<Work>>,
    /// Those to items of lots: before the others.
    items: Vec<Answered>,
    /// Kept until the engine's lock is released: an answer that nobody wants is dropped under it.
    carried: Vec<Carried>,
}

/// What the worker has printed so far is told before its answer is: whoever hears of a result has its task's lines.
fn settle(link: &Link) {
    if let Some(output) = &link.output {
        output.settle();
    }
}

/// Reads and writes until the worker ends; dropped by the keeper once it is reaped.
pub(super) async fn drive(receiver: Arc<Receiver>, link: Arc<Link>, ready: Readiness) {
    loop {
        tokio::select! {
            guard = ready.readable() => {
                let Ok(mut guard) = guard else { return };
                let received = receiver.receive(&link);
                if !receiver.go_on(&link, received) {
                    return;
                }
                match received {
                    // A worker that writes as fast as this reads does not get this thread for itself: tokio's budget
                    // knows nothing of reads that do not go through it.
                    Received::More => tokio::task::yield_now().await,
                    Received::Drained | Received::Ended => guard.clear_ready(),
                }
            }
            guard = ready.writable(), if link.is_stalled_at_socket() => {
                let Ok(mut guard) = guard else { return };
                if link.resume() {
                    guard.clear_ready();
                }
            }
            () = link.until_nudged() => {
                let received = receiver.receive(&link);
                if !receiver.go_on(&link, received) {
                    return;
                }
                // The socket may have nothing to tell.
                if received == Received::More {
                    link.nudge();
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// How a worker's name and number are shown in a death that never had a process.
pub(super) fn stillborn(worker: String, detail: String) -> Arc<Death> {
    Arc::new(Death { worker, detail: Some(detail), ..Death::default() })
}
