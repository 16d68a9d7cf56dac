//! A world for the scheduler to rule over: workers that work, crash, hang, fall silent and lie, in virtual time.

use std::collections::{BTreeMap, VecDeque};

use super::super::*;
use super::ledger::{Ledger, Test, ms};
use super::source::Source;

/// How bad this world is, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) spawn: u64,
    pub(super) start: u64,
    pub(super) silent: u64,
    pub(super) crash: u64,
    pub(super) hang: u64,
    pub(super) lie: u64,
    pub(super) stray: u64,
}

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Spawned,
    Booted,
    Ready,
    Claims(OfferId),
    Ends(OfferId, Ending),
    Answer(OfferId, TaskId),
    Evidence(OfferId, Evidence),
    Broken,
    /// The process ends; the shell learns of it later.
    Dies(&'static str),
    Exited,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Answers,
    Crashes,
    /// It writes its answer, and dies before it says so.
    AnswersAndCrashes,
    Hangs,
    /// Says that it has answered, and has not.
    PretendsToBeDone,
    BreaksThePage,
}

#[derive(Debug)]
struct Process {
    exists: bool,
    alive: bool,
    dying: Option<&'static str>,
    page: Option<(OfferId, TaskId, Evidence)>,
    running: Option<TaskId>,
    /// When the last question about its page is answered.
    answered: Now,
}

pub(super) struct World {
    pub(super) scheduler: Scheduler<Test>,
    pub(super) ledger: Ledger,
    pub(super) source: Source,
    pub(super) faults: Faults,
    pub(super) now: Now,
    pub(super) events: u64,
    pub(super) trace: Option<Vec<String>>,
    agenda: BTreeMap<(Now, u64), (WorkerId, Happening)>,
    sequence: u64,
    processes: BTreeMap<WorkerId, Process>,
    actions: Vec<Action<Test>>,
    pub(super) acted: u64,
}

impl World {
    pub(super) fn new(config: SchedulerConfig, faults: Faults, source: Source) -> Self {
        World {
            scheduler: Scheduler::new(config),
            ledger: Ledger { max: config.max_workers.max(1), ..Ledger::default() },
            source,
            faults,
            now: Now::default(),
            events: 0,
            trace: None,
            agenda: BTreeMap::new(),
            sequence: 0,
            processes: BTreeMap::new(),
            actions: Vec::new(),
            acted: 0,
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} {}", self.now.0.as_millis(), line()));
        }
    }

    fn plan(&mut self, worker: WorkerId, delay: u64, what: Happening) {
        self.sequence += 1;
        self.agenda.insert((self.now.after(ms(delay)), self.sequence), (worker, what));
    }

    pub(super) fn submit(&mut self, options: TaskOptions) -> TaskId {
        let before = self.scheduler.queue.sizes();
        let mut actions = std::mem::take(&mut self.actions);
        let id = self.scheduler.submit(self.events, options, self.now, &mut actions);
        self.note(|| format!("submit {id:?} {options:?}"));
        self.ledger.submitted(id, options, self.now);
        let full = actions.iter().any(
            |action| matches!(action, Action::Resolve { task, resolution: Resolution::QueueFull, .. } if *task == id),
        );
        assert!(!full || before.1 == self.scheduler.config.waiting_limit, "refused beside a free place");
        self.actions = actions;
        self.after_event();
        id
    }

    pub(super) fn unreserve(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        self.scheduler.unreserve(self.now, &mut actions);
        self.note(|| "unreserve".into());
        self.actions = actions;
        self.after_event();
    }

    pub(super) fn tell(&mut self, event: Event<Test>) {
        self.note(|| format!("{event:?}"));
        match &event {
            Event::Warm => (self.ledger.asked, self.ledger.warming) = (true, true),
            Event::Resize { min, max } => self.ledger.max = (*max).max(*min).max(1),
            Event::Close { .. } => self.ledger.closing = true,
            Event::Cancel { task, .. } => {
                if let Some(task) = self.ledger.tasks.get_mut(task) {
                    task.cancel_asked = true;
                }
            }
            _ => {}
        }
        let tick = matches!(event, Event::Tick);
        let mut actions = std::mem::take(&mut self.actions);
        self.scheduler.handle(event, self.now, &mut actions);
        self.actions = actions;
        if tick {
            assert!(self.scheduler.next_deadline().is_none_or(|at| at > self.now), "a due timer was left");
        }
        self.after_event();
    }

    /// Enters and carries out all decisions, then checks what must hold after every event.
    fn after_event(&mut self) {
        self.events += 1;
        let actions: VecDeque<_> = self.actions.drain(..).collect();
        self.acted += actions.len() as u64;
        for action in actions {
            self.note(|| format!("    {}", show(&action)));
            self.ledger.enter(&action, self.now, |task| self.scheduler.attempt(task));
            self.carry_out(action);
        }
        let s = &self.scheduler;
        let counts = s.counts();
        let outcomes = counts.replied + counts.cancelled + counts.timed_out + counts.queue_timed_out;
        let outcomes = outcomes + counts.worker_died + counts.queue_full + counts.unavailable + counts.shut_down;
        assert_eq!(counts.submitted, outcomes + s.tasks.len() as u64, "the numbers do not add up");
        assert_eq!(self.ledger.resolved, outcomes);
        assert_eq!(counts.workers_spawned - counts.workers_ended, s.workers.present() as u64);
        assert_eq!(self.ledger.present.len(), s.workers.present());
        assert!(s.workers.top_idle().is_none() || s.queue.len() == 0, "somebody waits beside an idle worker");
        self.ledger.check_queue(s);
    }

    fn carry_out(&mut self, action: Action<Test>) {
        match action {
            Action::Spawn { worker, .. } => {
                let process =
                    Process { exists: false, alive: true, dying: None, page: None, running: None, answered: self.now };
                self.processes.insert(worker, process);
                let delay = self.source.pick(5);
                self.plan(worker, delay, Happening::Spawned);
            }
            Action::Offer { worker, offer, task } => {
                let process = self.processes.get_mut(&worker).unwrap();
                process.page = Some((offer, task, Evidence::Offered { since: self.now }));
                if process.alive && !self.source.chance(self.faults.silent) {
                    let delay = self.source.pick(6);
                    self.plan(worker, delay, Happening::Claims(offer));
                } else if self.source.chance(self.faults.crash) {
                    let delay = self.source.pick(12);
                    self.plan(worker, delay, Happening::Dies("before its claim"));
                }
            }
            Action::Revoke { worker, offer } => {
                if let Some((on_page, _, slot)) = &mut self.processes.get_mut(&worker).unwrap().page
                    && *on_page == offer
                    && matches!(slot, Evidence::Offered { .. })
                {
                    *slot = Evidence::Revoked;
                }
                self.read_page(worker, offer);
            }
            Action::Inspect { worker, offer } => self.read_page(worker, offer),
            Action::SetCancel { worker, offer } => {
                if self.source.chance(30) {
                    let delay = self.source.pick(10);
                    self.plan(worker, delay, Happening::Ends(offer, Ending::Answers));
                }
            }
            Action::Kill { worker } => {
                let delay = self.source.pick(3);
                self.plan(worker, delay, Happening::Dies("killed"));
            }
            Action::Retire { worker } => {
                if !self.source.chance(self.faults.hang) {
                    let delay = self.source.pick(10);
                    self.plan(worker, delay, Happening::Dies("retired"));
                }
            }
            Action::Resolve { task, .. } => {
                let runs = |process: &&Process| process.alive && process.running == Some(task);
                assert!(self.processes.values().find(runs).is_none(), "{task:?} is resolved and still runs");
            }
            Action::Warmed { .. } | Action::Closed => {}
        }
    }

    /// The shell looks now; the scheduler may learn of it a little later, but in the order of its questions.
    fn read_page(&mut self, worker: WorkerId, offer: OfferId) {
        let delay = if self.source.chance(20) { self.source.pick(4) } else { 0 };
        let process = self.processes.get_mut(&worker).unwrap();
        let Some((on_page, _, evidence)) = process.page else { panic!("no page") };
        assert_eq!(on_page, offer);
        process.answered = process.answered.max(self.now.after(ms(delay)));
        self.sequence += 1;
        self.agenda.insert((process.answered, self.sequence), (worker, Happening::Evidence(offer, evidence)));
    }

    /// Lets the next thing happen: an entry of the agenda, or a timer. False if there is neither.
    pub(super) fn step(&mut self) -> bool {
        let next = self.agenda.first_key_value().map(|(&key, _)| key);
        let deadline = self.scheduler.next_deadline();
        match (next, deadline) {
            (None, None) => return false,
            (Some((at, _)), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                // Now and then the whole service was stopped for a while.
                self.now = self.now.max(at);
                if self.source.chance(self.faults.stray) && self.source.chance(5) {
                    self.now = self.now.after(ms(self.source.pick(300)));
                }
                let Some((_, (worker, what))) = self.agenda.pop_first() else {
                    return false;
                };
                self.happen(worker, what);
            }
            (_, deadline) => {
                self.now = self.now.max(deadline.unwrap_or_default());
                self.drain();
                self.tell(Event::Tick);
            }
        }
        true
    }

    /// The shell's promise: what has been sent is read before time passes, and before an exit is told.
    fn drain(&mut self) {
        let sent: Vec<_> = self
            .agenda
            .iter()
            .filter(|(_, (_, what))| matches!(what, Happening::Answer(..)))
            .map(|(&key, _)| key)
            .collect();
        for key in sent {
            if let Some((worker, Happening::Answer(offer, task))) = self.agenda.remove(&key) {
                self.answer(worker, offer, task);
            }
        }
    }

    fn answer(&mut self, worker: WorkerId, offer: OfferId, task: TaskId) {
        let record = self.ledger.workers.get_mut(&worker).unwrap();
        if record.gone {
            return;
        }
        if record.held == Some((offer, task)) {
            record.held = None;
        }
        self.tell(Event::Replied { worker, offer, reply: (task, offer) });
    }

    fn happen(&mut self, worker: WorkerId, what: Happening) {
        let (alive, exists) =
            self.processes.get(&worker).map_or((false, false), |process| (process.alive, process.exists));
        match what {
            Happening::Spawned => self.spawned(worker),
            Happening::Answer(offer, task) => self.answer(worker, offer, task),
            Happening::Evidence(offer, evidence) => {
                let record = self.ledger.workers.get_mut(&worker).unwrap();
                if evidence == Evidence::Revoked && !record.killed && record.held.is_some_and(|(held, _)| held == offer)
                {
                    record.held = None;
                }
                self.tell(Event::Evidence { worker, offer, evidence });
            }
            Happening::Exited => self.exited(worker),
            _ if !alive => {}
            Happening::Dies(why) if exists => self.dies(worker, why),
            // Killed before there was a process: it is once there is.
            Happening::Dies(_) => self.plan(worker, 1, what),
            Happening::Booted => {
                self.tell(Event::Booted { worker });
                self.go_on_or(worker, Happening::Ready);
            }
            Happening::Ready => {
                self.ledger.workers.get_mut(&worker).unwrap().ready = true;
                self.tell(Event::Ready { worker });
            }
            Happening::Broken => self.tell(Event::Broken { worker }),
            Happening::Claims(offer) => self.claims(worker, offer),
            Happening::Ends(offer, how) => self.ends(worker, offer, how),
        }
    }

    fn spawned(&mut self, worker: WorkerId) {
        if self.source.chance(self.faults.spawn) {
            self.processes.remove(&worker);
            self.ledger.workers.get_mut(&worker).unwrap().gone = true;
            self.ledger.present.remove(&worker);
            self.tell(Event::SpawnFailed { worker, death: "no process" });
            return;
        }
        self.processes.get_mut(&worker).unwrap().exists = true;
        self.tell(Event::Spawned { worker });
        self.go_on_or(worker, Happening::Booted);
    }

    /// The next step of a start, unless the worker dies, hangs or breaks the protocol instead.
    fn go_on_or(&mut self, worker: WorkerId, next: Happening) {
        let delay = self.source.pick(8);
        if !self.source.chance(self.faults.start) {
            self.plan(worker, delay, next);
            return;
        }
        match self.source.pick(3) {
            0 => self.plan(worker, delay, Happening::Dies("while it started")),
            1 => self.plan(worker, delay, Happening::Broken),
            _ => {}
        }
    }

    fn claims(&mut self, worker: WorkerId, offer: OfferId) {
        let now = self.now;
        let process = self.processes.get_mut(&worker).unwrap();
        let Some((on_page, task, slot)) = &mut process.page else {
            return;
        };
        if *on_page != offer || !matches!(slot, Evidence::Offered { .. }) {
            return;
        }
        let task = *task;
        *slot = Evidence::Claimed { at: now };
        process.running = Some(task);
        self.ledger.claimed(task, self.scheduler.attempt(task), now);
        self.note(|| format!("  ({worker:?} claims {offer:?} {task:?})"));
        let how = if self.source.chance(self.faults.crash) {
            self.source.of(&[Ending::Crashes, Ending::AnswersAndCrashes])
        } else if self.source.chance(self.faults.hang) {
            Ending::Hangs
        } else if self.source.chance(self.faults.lie) {
            self.source.of(&[Ending::PretendsToBeDone, Ending::BreaksThePage])
        } else {
            Ending::Answers
        };
        let delay = self.source.pick(30);
        self.plan(worker, delay, Happening::Ends(offer, how));
    }

    fn ends(&mut self, worker: WorkerId, offer: OfferId, how: Ending) {
        let process = self.processes.get_mut(&worker).unwrap();
        let Some((on_page, task, slot)) = &mut process.page else {
            return;
        };
        if *on_page != offer || !matches!(slot, Evidence::Claimed { .. }) {
            return;
        }
        let task = *task;
        match how {
            Ending::Hangs => return,
            Ending::BreaksThePage => *slot = Evidence::Nonsense,
            Ending::Answers | Ending::PretendsToBeDone => *slot = Evidence::Done,
            Ending::Crashes | Ending::AnswersAndCrashes => {}
        }
        if how != Ending::Crashes {
            process.running = None;
        }
        if how == Ending::BreaksThePage {
            self.ledger.tasks.get_mut(&task).unwrap().obscured = true;
        }
        // Whoever looks finds nonsense; if nobody does, the worker is found out by its socket.
        if matches!(how, Ending::BreaksThePage | Ending::PretendsToBeDone) {
            let delay = 50 + self.source.pick(100);
            self.plan(worker, delay, Happening::Broken);
        }
        if matches!(how, Ending::Answers | Ending::AnswersAndCrashes) {
            let delay = self.source.pick(4);
            self.plan(worker, delay, Happening::Answer(offer, task));
        }
        if matches!(how, Ending::Crashes | Ending::AnswersAndCrashes) {
            self.dies(worker, "crashed");
        }
    }

    fn dies(&mut self, worker: WorkerId, why: &'static str) {
        let process = self.processes.get_mut(&worker).unwrap();
        process.alive = false;
        process.dying = Some(why);
        self.note(|| format!("  ({worker:?} dies: {why})"));
        let delay = self.source.pick(5);
        self.plan(worker, delay, Happening::Exited);
    }

    fn exited(&mut self, worker: WorkerId) {
        self.drain();
        let Some(process) = self.processes.remove(&worker) else {
            return;
        };
        let held = self.scheduler.offer_of(worker).map(|(offer, _)| offer);
        let evidence = process.page.filter(|(offer, ..)| Some(*offer) == held).map(|(.., evidence)| evidence);
        let record = self.ledger.workers.get_mut(&worker).unwrap();
        record.gone = true;
        record.held = None;
        self.ledger.present.remove(&worker);
        self.tell(Event::Exited { worker, evidence, death: process.dying.unwrap_or("?") });
    }

    /// Something out of order: late, doubled, or about somebody who never was.
    pub(super) fn stray(&mut self) {
        let workers: Vec<_> = self.ledger.workers.keys().rev().take(8).copied().collect();
        let worker = if workers.is_empty() || self.source.chance(10) {
            WorkerId { slot: self.source.pick(9) as u32, generation: 77_777 }
        } else {
            self.source.of(&workers)
        };
        let old = OfferId(self.source.pick(self.ledger.offers + 1));
        let held = self.ledger.workers.get(&worker).and_then(|record| record.held);
        let stale = held.is_none_or(|(offer, _)| offer != old);
        let gone = self.ledger.workers.get(&worker).is_none_or(|record| record.gone);
        let evidence = self.source.of(&[Evidence::Revoked, Evidence::Done, Evidence::Nonsense]);
        match self.source.pick(6) {
            0 if stale => self.tell(Event::Replied { worker, offer: old, reply: (TaskId(u64::MAX), old) }),
            1 if stale => self.tell(Event::Evidence { worker, offer: old, evidence }),
            2 if gone => self.tell(Event::Exited { worker, evidence: Some(evidence), death: "again" }),
            3 if gone => self.tell(Event::Ready { worker }),
            4 if !gone => self.plan(worker, 0, Happening::Dies("shot by a stranger")),
            5 => self.tell(Event::Broken { worker }),
            _ => self.tell(Event::Tick),
        }
    }

    /// Nothing will happen any more: then nobody may be waiting for it, save for those whose tasks never end.
    pub(super) fn check_quiet(&self) {
        let s = &self.scheduler;
        let hung = |id: &TaskId| self.processes.values().any(|process| process.running == Some(*id));
        let queued = self.ledger.unresolved.iter().filter(|id| !hung(id)).count();
        assert_eq!(queued, s.queue.len(), "a task waits for something that will not come");
        assert!(queued == 0 || s.workers.tally().ready >= self.ledger.max, "a task waits, and there is room");
        assert!(!self.ledger.warming, "nobody said whether the pool is warm");
        assert_eq!(s.next_deadline(), None);
    }
}

/// One line for an action.
pub(super) fn show(action: &Action<Test>) -> String {
    let name = |worker: &WorkerId| format!("{}.{}", worker.slot, worker.generation);
    match action {
        Action::Spawn { worker, placement } => format!("spawn {} {placement:?}", name(worker)),
        Action::Offer { worker, task, .. } => format!("offer {} t{}", name(worker), task.0),
        Action::Revoke { worker, .. } => format!("revoke {}", name(worker)),
        Action::Inspect { worker, .. } => format!("inspect {}", name(worker)),
        Action::SetCancel { worker, .. } => format!("set cancel {}", name(worker)),
        Action::Kill { worker } => format!("kill {}", name(worker)),
        Action::Retire { worker } => format!("retire {}", name(worker)),
        Action::Resolve { task, resolution, .. } => format!("t{} {}", task.0, show_end(resolution)),
        Action::Warmed { result: Ok(()) } => "warm".into(),
        Action::Warmed { result: Err(why) } => format!("not warm: {why:?}"),
        Action::Closed => "closed".into(),
    }
}

fn show_end(resolution: &Resolution<Test>) -> String {
    let by = |killed: &Option<(WorkerId, &'static str)>| {
        killed.map_or(String::new(), |(worker, death)| format!(", {}.{} {death}", worker.slot, worker.generation))
    };
    match resolution {
        Resolution::Replied { .. } => "replied".into(),
        Resolution::Cancelled { began, killed, .. } => {
            format!("cancelled, began {began:?}{}", by(killed))
        }
        Resolution::TimedOut { killed, .. } => format!("timed out{}", by(killed)),
        Resolution::QueueTimedOut { .. } => "queue timed out".into(),
        Resolution::WorkerDied { worker, began, death } => {
            format!("worker died, began {began:?}{}", by(&Some((*worker, death))))
        }
        Resolution::QueueFull => "queue full".into(),
        Resolution::Unavailable(Unavailable::Closed) => "closed".into(),
        Resolution::Unavailable(Unavailable::StartFailed { failures, death }) => {
            format!("start failed {failures}: {death}")
        }
        Resolution::ShutDown { began } => format!("shut down, began {began:?}"),
    }
}
