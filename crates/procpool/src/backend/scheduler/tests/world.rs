//! A world for the scheduler to rule over: workers that work, crash, hang, fall silent and lie, in virtual time.

use std::collections::BTreeMap;

use super::super::life::Life;
use super::super::*;
use super::job::{Job, Test};
use super::ledger::{Ledger, ReservationRecord, TaskRecord, ms};
use super::process::{Answer, Ending, Happening, Process};
use super::show::show;
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
    /// Tasks take less than this, in milliseconds.
    pub(super) slow: u64,
    pub(super) stray: u64,
    /// Submissions that are lots.
    pub(super) lots: u64,
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
    pub(super) processes: BTreeMap<WorkerId, Process>,
    pub(super) actions: Vec<Action<Test>>,
    /// Which call to the scheduler has decided each of them.
    deciders: Vec<u64>,
    calls: u64,
    pub(super) acted: u64,
}

impl World {
    pub(super) fn new(config: SchedulerConfig, faults: Faults, source: Source) -> Self {
        World {
            scheduler: Scheduler::new(config),
            ledger: Ledger {
                max: config.max_workers.max(1),
                spares: config.spares,
                max_offers: config.max_offers,
                max_depth: config.max_depth,
                max_tasks: config.max_tasks,
                ageing: config.ageing,
                ..Ledger::default()
            },
            source,
            faults,
            now: Now::default(),
            events: 0,
            trace: None,
            agenda: BTreeMap::new(),
            sequence: 0,
            processes: BTreeMap::new(),
            actions: Vec::new(),
            deciders: Vec::new(),
            calls: 0,
            acted: 0,
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} {}", self.now.0.as_millis(), line()));
        }
    }

    pub(super) fn plan(&mut self, worker: WorkerId, delay: u64, what: Happening) {
        self.sequence += 1;
        self.agenda.insert((self.now.after(ms(delay)), self.sequence), (worker, what));
    }

    pub(super) fn submit(&mut self, options: TaskOptions) {
        let born = self.ledger.lots.births.next();
        self.hand_in(Job::Plain, options, |ledger, id, now| {
            ledger.submitted(id, TaskRecord::new(options, now, born));
            ledger.plain += 1;
        });
    }

    pub(super) fn hand_in(&mut self, job: Job, options: TaskOptions, enter: impl FnOnce(&mut Ledger, TaskId, Now)) {
        let before = self.scheduler.queue.sizes().1 + self.scheduler.reservations().1;
        if let Admission::Reserved(id) = options.admission {
            self.ledger.reservations.remove(&id);
        }
        let mut actions = std::mem::take(&mut self.actions);
        let id = self.scheduler.submit(job, options, self.now, &mut actions);
        self.note(|| format!("submit {id:?} {options:?}"));
        enter(&mut self.ledger, id, self.now);
        let full = actions.iter().any(
            |action| matches!(action, Action::Resolve { task, resolution: Resolution::QueueFull, .. } if *task == id),
        );
        assert!(!full || before >= self.scheduler.config.waiting_limit, "refused beside a free place");
        assert!(!full || options.admission != Admission::Bounded, "refused although it holds back by itself");
        self.actions = actions;
        self.after_event();
    }

    pub(super) fn reserve(&mut self, patience: Patience) {
        let result = self.scheduler.reserve(patience, self.now);
        self.note(|| format!("reserve {patience:?}: {result:?}"));
        let limit = if let Patience::Wait { limit, .. } = patience { limit } else { None };
        let (id, held) = match result {
            Ok(Booking::Held(id)) => (id, true),
            Ok(Booking::Waiting(id)) => (id, false),
            Err(Refused::TimedOut(_)) => panic!("at once"),
            Err(Refused::QueueFull | Refused::Unavailable(_)) => return,
        };
        let record = ReservationRecord { asked: self.now, limit, held };
        assert!(self.ledger.reservations.insert(id, record).is_none(), "reservation id used twice");
        self.after_event();
    }

    pub(super) fn tell(&mut self, event: Event<Test>) {
        self.note(|| format!("{event:?}"));
        match &event {
            Event::Warm => (self.ledger.asked, self.ledger.warming) = (true, true),
            Event::Resize { min, max } => self.ledger.max = (*max).max(*min).max(1),
            Event::Unreserve { reservation } => drop(self.ledger.reservations.remove(reservation)),
            Event::Close { how } => self.ledger.close(*how),
            Event::Cancel { task, .. } => self.ledger.cancelled(*task),
            Event::Tick => self.ledger.lots.time_passes(self.now),
            _ => {}
        }
        let tick = matches!(event, Event::Tick);
        let mut actions = std::mem::take(&mut self.actions);
        self.scheduler.handle(event, self.now, &mut actions);
        self.actions = actions;
        if tick {
            // What is handed over now may have no time to run at all.
            let offers = self.actions.iter().any(|action| matches!(action, Action::Offer { .. }));
            let left = self.scheduler.next_deadline().filter(|at| *at <= self.now);
            assert!(left.is_none_or(|at| offers && at == self.now), "a due timer was left");
        }
        self.after_event();
        if tick {
            self.ledger.check_patience(self.now);
        }
    }

    /// Enters and carries out all decisions, then checks what must hold after every event.
    fn after_event(&mut self) {
        self.events += 1;
        self.decided();
        // What is carried out may lead to more.
        while !self.actions.is_empty() {
            let deciders = std::mem::take(&mut self.deciders);
            for (action, call) in std::mem::take(&mut self.actions).into_iter().zip(deciders) {
                self.ledger.decider = call;
                self.acted += 1;
                self.note(|| format!("    {}", show(&action)));
                if let Action::Resolve { task, job: Job::Lot(part), .. } = &action {
                    self.ledger.meet(*task, part, self.now);
                }
                self.ledger.enter(&action, self.now, |task| self.scheduler.attempt(task));
                self.carry_out(action);
            }
        }
        let s = &self.scheduler;
        let counts = s.counts();
        let outcomes = counts.replied + counts.cancelled + counts.timed_out + counts.queue_timed_out;
        let outcomes = outcomes + counts.worker_died + counts.queue_full + counts.unavailable + counts.shut_down;
        assert_eq!(s.tasks.len(), self.ledger.unresolved.len(), "a task is lost, or made up");
        self.ledger.check_items(s);
        assert_eq!(self.ledger.resolved, outcomes);
        assert_eq!(counts.workers_spawned - counts.workers_ended, s.workers.present() as u64);
        assert_eq!(self.ledger.present.len(), s.workers.present());
        let told = self.ledger.workers.values().filter(|worker| worker.told).count();
        assert_eq!(counts.workers_ended, told as u64, "an end was not told");
        let (busy, ready) = s.worker_time(self.now);
        assert!(busy <= ready);
        assert!(s.free_worker().is_none() || s.queue.len() == 0, "somebody waits beside an idle worker");
        self.ledger.check_queue(s);
        let behind = self.ledger.present.iter().map(|id| self.ledger.workers[id].held.len().saturating_sub(1));
        assert_eq!(behind.sum::<usize>(), s.workers.ahead());
        let keeps = s
            .workers
            .iter()
            .any(|(_, worker)| matches!(worker.life, Life::Busy(_)) && worker.ahead.iter().any(|held| held.is_free()));
        assert!(!keeps || s.workers.tally().kept() <= s.most_workers(), "one too many has more than its task");
    }

    /// The scheduler has been told something, which may have made tasks of the rest of a lot.
    pub(super) fn decided(&mut self) {
        self.calls += 1;
        self.deciders.resize(self.actions.len(), self.calls);
        self.ledger.decider = self.calls;
        self.meet_parts();
    }

    fn carry_out(&mut self, action: Action<Test>) {
        match action {
            Action::Spawn { worker, .. } => {
                let process = Process::new(self.now);
                self.processes.insert(worker, process);
                let delay = self.source.pick(5);
                self.plan(worker, delay, Happening::Spawned);
            }
            Action::Offer { worker, offer, task } => {
                let silent = self.source.chance(self.faults.silent);
                let process = self.processes.get_mut(&worker).unwrap();
                process.page.insert(offer.slot(), (offer, task, Evidence::Offered { since: self.now }));
                process.inbox.push_back(offer);
                process.silent |= silent;
                self.offer_lot(worker, offer);
                let process = &self.processes[&worker];
                if process.alive && !process.silent {
                    self.look(worker);
                } else if self.source.chance(self.faults.crash) {
                    let delay = self.source.pick(12);
                    self.plan(worker, delay, Happening::Dies("before its claim"));
                }
            }
            Action::Revoke { worker, offer } => {
                let page = &mut self.processes.get_mut(&worker).unwrap().page;
                if let Some((on_page, _, slot)) = page.get_mut(&offer.slot())
                    && *on_page == offer
                    && matches!(slot, Evidence::Offered { .. })
                {
                    *slot = Evidence::Revoked;
                }
                self.read_page(worker, offer);
            }
            Action::Inspect { worker, offer } => self.read_page(worker, offer),
            Action::Relieve { worker, offer } => self.relieve(worker, offer),
            Action::SetCancel { worker, offer } => {
                let is_lot = self.cancel_lot(worker, offer);
                if self.source.chance(30) {
                    let delay = self.source.pick(10);
                    let ends = Happening::Ends(offer, Ending::Answers);
                    self.plan(worker, delay, if is_lot { Happening::GoesOn(offer) } else { ends });
                }
            }
            Action::Kill { worker, .. } => {
                let delay = self.source.pick(3);
                self.plan(worker, delay, Happening::Dies("killed"));
            }
            Action::Retire { worker } => {
                if !self.source.chance(self.faults.hang) {
                    let delay = self.source.pick(10);
                    self.plan(worker, delay, Happening::Dies("retired"));
                }
            }
            Action::Resolve { task, job, resolution, .. } => {
                self.end_lot(task, job, &resolution);
                let runs = |process: &&Process| process.alive && process.running == Some(task);
                assert!(self.processes.values().find(runs).is_none(), "{task:?} is resolved and still runs");
            }
            Action::Reserved { .. } | Action::Warmed { .. } | Action::Closed | Action::Tell(_) => {}
        }
    }

    /// The shell looks now; the scheduler may learn of it a little later, but in the order of its questions.
    fn read_page(&mut self, worker: WorkerId, offer: OfferId) {
        let slot = *self.processes.get_mut(&worker).and_then(|process| process.slot(offer)).expect("no such offer").1;
        let evidence = self.seen(worker, offer, slot);
        let delay = if self.source.chance(20) { self.source.pick(4) } else { 0 };
        let process = self.processes.get_mut(&worker).unwrap();
        process.answered = process.answered.max(self.now.after(ms(delay)));
        self.sequence += 1;
        self.agenda.insert((process.answered, self.sequence), (worker, Happening::Evidence(offer, evidence)));
    }

    /// Nothing will happen for an hour.
    pub(super) fn is_at_rest(&self) -> bool {
        self.agenda.is_empty() && self.scheduler.next_deadline().is_none_or(|at| at.since(self.now) > ms(3_600_000))
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
    pub(super) fn drain(&mut self) {
        let sent: Vec<_> = self
            .agenda
            .iter()
            .filter(|(_, (_, what))| matches!(what, Happening::Answer(..)))
            .map(|(&key, _)| key)
            .collect();
        for key in sent {
            if let Some((worker, Happening::Answer(offer, answer))) = self.agenda.remove(&key) {
                self.answer(worker, offer, answer);
            }
        }
    }

    /// The others of its answers that have arrived by now are read with it.
    pub(super) fn answer(&mut self, worker: WorkerId, offer: OfferId, answer: Answer) {
        let record = self.ledger.workers.get_mut(&worker).unwrap();
        if record.gone || self.processes.get(&worker).is_none_or(|process| process.cut_off) {
            return;
        }
        // One in many loses its state in a task, and says so with its answer.
        if self.source.chance(2) {
            record.worn = true;
            self.tell(Event::Worn { worker });
        }
        let mut answers = vec![(offer, answer)];
        let until = (self.now, u64::MAX);
        self.agenda.retain(|&at, (from, what)| match what {
            Happening::Answer(offer, answer) if at <= until && *from == worker => {
                answers.push((*offer, *answer));
                false
            }
            _ => true,
        });
        if self.read(worker, &answers).is_err() {
            self.processes.get_mut(&worker).unwrap().cut_off = true;
            return self.tell(Event::Broken { worker });
        }
        let ended = answers.into_iter().filter_map(|(offer, answer)| match answer {
            Answer::Task(task) => Some((offer, task)),
            Answer::Items(_) => None,
        });
        let mut answers = ended.peekable();
        while answers.peek().is_some() {
            let ledger = &mut self.ledger;
            let mut events = answers.by_ref().map(|(offer, task)| {
                let record = ledger.workers.get_mut(&worker).unwrap();
                if record.held.first() == Some(&(offer, task)) {
                    record.stopping = false;
                }
                if record.held.contains(&(offer, task)) {
                    record.answered += 1;
                    ledger.tasks.get_mut(&task).unwrap().ended = true;
                }
                record.held.retain(|held| *held != (offer, task));
                Event::Replied { worker, offer, reply: (task, offer) }
            });
            self.scheduler.handle_some(&mut events, self.now, &mut self.actions);
            self.note(|| format!("answers of {worker:?}, from {offer:?}"));
            self.after_event();
        }
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
        let held = self.ledger.workers.get(&worker).map_or(&[][..], |record| &record.held);
        let stale = held.iter().all(|(offer, _)| *offer != old);
        let gone = self.ledger.workers.get(&worker).is_none_or(|record| record.gone);
        let evidence = self.source.of(&[Evidence::Revoked, Evidence::Done, Evidence::Nonsense]);
        match self.source.pick(6) {
            0 if stale => self.tell(Event::Replied { worker, offer: old, reply: (TaskId(u64::MAX), old) }),
            1 if stale => self.tell(Event::Evidence { worker, offer: old, evidence }),
            2 if gone => self.tell(Event::Exited { worker, evidence: vec![(old, evidence)], death: "again" }),
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
        let ahead = s.workers.ahead();
        assert_eq!(queued, s.queue.len() + ahead, "a task waits for something that will not come");
        assert!(ahead == 0 || s.free_worker().is_none(), "a task waits behind another, beside an idle worker");
        assert!(queued == 0 || s.workers.tally().ready >= self.ledger.max, "a task waits, and there is room");
        for id in &self.ledger.unresolved {
            let task = &self.ledger.tasks[id];
            let limit = task.options.run_limit.is_some_and(|limit| limit < Now::NEVER.0);
            assert!(!task.cancel_asked, "{id:?} was cancelled, and that is all");
            assert!(!hung(id) || !limit, "{id:?} runs without end, against its limit");
            let items = s.job(*id).map_or(0, Test::open_items);
            assert!(!hung(id) || items <= 1, "items of {id:?} wait behind one that does not end");
        }
        let (tally, config) = (s.workers.tally(), &s.config);
        if s.workers.top_idle().is_some() {
            assert!(tally.kept() <= self.ledger.max + config.spares, "too many stay");
            let kept = config.idle_timeout.is_none()
                || tally.kept() <= s.workers.busy().max(config.min_workers) + config.spares;
            assert!(kept, "idle, not needed, and still there");
        }
        // Whoever is with one item of a lot for ever is asked again and again, ever more seldom.
        let asked = |id: &TaskId| hung(id) && self.ledger.tasks[id].lot.is_some();
        let is_asked = self.ledger.unresolved.iter().any(asked);
        assert_eq!(tally.starting + tally.failing + tally.dying + tally.leaving, 0);
        let limited = |record: &ReservationRecord| record.limit.is_some_and(|limit| limit < Now::NEVER.0);
        assert!(!self.ledger.reservations.values().any(|record| !record.held && limited(record)), "waits too long");
        assert!(!self.ledger.warming, "nobody said whether the pool is warm");
        assert!(is_asked || s.next_deadline().is_none());
    }
}
