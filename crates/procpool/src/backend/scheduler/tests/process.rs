//! The workers of a simulated world, and what the shell is to learn of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicU64;

use super::super::*;
use super::ledger::ms;
use super::lot_worker::InLot;
use super::world::World;

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    Spawned,
    Booted,
    Ready,
    /// The worker looks into its socket.
    Claims,
    Ends(OfferId, Ending),
    /// It has run an item of the lot that it has, and goes on with that.
    GoesOn(OfferId),
    Answer(OfferId, Answer),
    Evidence(OfferId, Evidence),
    Broken,
    /// The process ends; the shell learns of it later.
    Dies(&'static str),
    Exited,
}

/// What arrives from a worker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Task(TaskId),
    /// So many items of a lot.
    Items(u32),
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Answers,
    Crashes,
    /// It writes its answer, and dies before it says so.
    AnswersAndCrashes,
    Hangs,
    /// Says that it has answered, and has not.
    PretendsToBeDone,
    BreaksThePage,
    /// Claims the next one before it is done with this.
    Grabs,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) exists: bool,
    pub(super) alive: bool,
    pub(super) dying: Option<&'static str>,
    /// By slot.
    pub(super) page: BTreeMap<usize, (OfferId, TaskId, Evidence)>,
    /// The frames on their way to it.
    pub(super) inbox: VecDeque<OfferId>,
    /// It is about to look for the next one.
    looking: bool,
    /// It does not look any more.
    pub(super) silent: bool,
    pub(super) running: Option<TaskId>,
    /// The lots on their way to it.
    pub(super) frames: BTreeMap<OfferId, Vec<u32>>,
    /// The second word of each slot.
    pub(super) words: BTreeMap<usize, AtomicU64>,
    /// The lot that it is at.
    pub(super) lot: Option<InLot>,
    /// It broke the protocol: nothing is read from it any more.
    pub(super) cut_off: bool,
    /// When the last question about its page is answered.
    pub(super) answered: Now,
    /// When its last answer arrives.
    sent: Now,
}

impl Process {
    pub(super) fn new(now: Now) -> Self {
        Process {
            exists: false,
            alive: true,
            dying: None,
            page: BTreeMap::new(),
            inbox: VecDeque::new(),
            looking: false,
            silent: false,
            running: None,
            frames: BTreeMap::new(),
            words: BTreeMap::new(),
            lot: None,
            cut_off: false,
            answered: now,
            sent: now,
        }
    }

    /// The state of an offer, if its slot is still about it.
    pub(super) fn slot(&mut self, offer: OfferId) -> Option<(TaskId, &mut Evidence)> {
        let (on_page, task, slot) = self.page.get_mut(&offer.slot())?;
        (*on_page == offer).then_some((*task, slot))
    }
}

impl World {
    pub(super) fn happen(&mut self, worker: WorkerId, what: Happening) {
        let (alive, exists) =
            self.processes.get(&worker).map_or((false, false), |process| (process.alive, process.exists));
        match what {
            Happening::Spawned => self.spawned(worker),
            Happening::Answer(offer, answer) => self.answer(worker, offer, answer),
            Happening::Evidence(offer, evidence) => {
                self.ledger.evidence(worker, offer, evidence);
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
            Happening::Claims => self.claims(worker),
            Happening::Ends(offer, how) => self.ends(worker, offer, how),
            Happening::GoesOn(offer) => self.goes_on(worker, offer),
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

    /// The worker looks for its next task, unless it is at one.
    pub(super) fn look(&mut self, worker: WorkerId) {
        let process = self.processes.get_mut(&worker).unwrap();
        if process.looking || process.silent || process.running.is_some() || process.inbox.is_empty() {
            return;
        }
        process.looking = true;
        let delay = self.source.pick(6.min(self.faults.slow));
        self.plan(worker, delay, Happening::Claims);
    }

    /// Claims the next offer that has not been revoked.
    fn claim_next(&mut self, worker: WorkerId) -> Option<(OfferId, TaskId)> {
        let now = self.now;
        let process = self.processes.get_mut(&worker).unwrap();
        while let Some(offer) = process.inbox.pop_front() {
            let Some((task, slot)) = process.slot(offer) else { continue };
            if !matches!(slot, Evidence::Offered { .. }) {
                continue;
            }
            *slot = Evidence::Claimed { at: now };
            process.running = Some(task);
            self.ledger.claimed(worker, task, self.scheduler.attempt(task), now);
            self.note(|| format!("  ({worker:?} claims {offer:?} {task:?})"));
            return Some((offer, task));
        }
        None
    }

    fn claims(&mut self, worker: WorkerId) {
        self.processes.get_mut(&worker).unwrap().looking = false;
        let Some((offer, task)) = self.claim_next(worker) else { return };
        if self.processes[&worker].frames.contains_key(&offer) {
            return self.begins_lot(worker, offer, task);
        }
        let how = if self.source.chance(self.faults.crash) {
            self.source.of(&[Ending::Crashes, Ending::AnswersAndCrashes])
        } else if self.source.chance(self.faults.hang) {
            Ending::Hangs
        } else if self.source.chance(self.faults.lie) {
            self.source.of(&[Ending::PretendsToBeDone, Ending::BreaksThePage, Ending::Grabs])
        } else {
            Ending::Answers
        };
        let delay = self.source.pick(self.faults.slow);
        self.plan(worker, delay, Happening::Ends(offer, how));
    }

    fn ends(&mut self, worker: WorkerId, offer: OfferId, how: Ending) {
        let process = self.processes.get_mut(&worker).unwrap();
        let Some((task, slot)) = process.slot(offer) else { return };
        if !matches!(slot, Evidence::Claimed { .. }) {
            return;
        }
        match how {
            Ending::Hangs => return,
            Ending::BreaksThePage => *slot = Evidence::Nonsense,
            Ending::Answers | Ending::PretendsToBeDone => *slot = Evidence::Done,
            Ending::Crashes | Ending::AnswersAndCrashes | Ending::Grabs => {}
        }
        if how != Ending::Crashes {
            process.running = None;
        }
        if how == Ending::BreaksThePage {
            process.silent = true;
            self.ledger.tasks.get_mut(&task).unwrap().obscured = true;
        }
        if how == Ending::Grabs {
            process.silent = true;
            let other = self.claim_next(worker);
            for task in other.map(|(_, task)| task).into_iter().chain([task]) {
                self.ledger.tasks.get_mut(&task).unwrap().obscured = true;
            }
            if let Some((offer, task)) = other.filter(|(offer, _)| self.processes[&worker].frames.contains_key(offer)) {
                self.begins_lot(worker, offer, task);
            }
        }
        // Whoever looks finds nonsense; if nobody does, the worker is found out by its socket.
        if matches!(how, Ending::BreaksThePage | Ending::PretendsToBeDone | Ending::Grabs) {
            let delay = 50 + self.source.pick(100);
            self.plan(worker, delay, Happening::Broken);
        }
        if matches!(how, Ending::Answers | Ending::AnswersAndCrashes) {
            self.send(worker, offer, Answer::Task(task));
        }
        if matches!(how, Ending::Crashes | Ending::AnswersAndCrashes) {
            self.dies(worker, "crashed");
        } else {
            self.look(worker);
        }
    }

    /// Answers arrive one after the other, as they were written.
    pub(super) fn send(&mut self, worker: WorkerId, offer: OfferId, answer: Answer) {
        let at = self.now.after(ms(self.source.pick(4)));
        let process = self.processes.get_mut(&worker).unwrap();
        process.sent = process.sent.max(at);
        let delay = process.sent.0.saturating_sub(self.now.0);
        self.plan(worker, delay.as_millis() as u64, Happening::Answer(offer, answer));
    }

    pub(super) fn dies(&mut self, worker: WorkerId, why: &'static str) {
        let process = self.processes.get_mut(&worker).unwrap();
        process.alive = false;
        process.dying = Some(why);
        self.note(|| format!("  ({worker:?} dies: {why})"));
        let delay = self.source.pick(5);
        self.plan(worker, delay, Happening::Exited);
    }

    fn exited(&mut self, worker: WorkerId) {
        self.drain();
        let Some(mut process) = self.processes.remove(&worker) else {
            return;
        };
        let held: Vec<_> = self.scheduler.offers_of(worker).collect();
        let found: Vec<_> = held.into_iter().filter_map(|offer| Some((offer, *process.slot(offer)?.1))).collect();
        let evidence: Vec<_> =
            found.into_iter().map(|(offer, page)| (offer, self.last_evidence(worker, offer, &process, page))).collect();
        let unclaimed = |evidence: &Evidence| matches!(evidence, Evidence::Offered { .. } | Evidence::Revoked);
        let record = self.ledger.workers.get_mut(&worker).unwrap();
        record.gone = true;
        let first = std::mem::take(&mut record.held).first().map(|(_, task)| *task);
        if let Some(task) = first
            && evidence.first().is_some_and(|(_, evidence)| unclaimed(evidence))
        {
            self.ledger.lost_unclaimed(task, self.scheduler.attempt(task));
        }
        self.ledger.present.remove(&worker);
        self.tell(Event::Exited { worker, evidence, death: process.dying.unwrap_or("?") });
    }
}
