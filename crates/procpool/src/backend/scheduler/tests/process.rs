//! The workers of a simulated world, and what the shell is to learn of them.

use super::super::*;
use super::world::World;

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
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
pub(super) enum Ending {
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
pub(super) struct Process {
    pub(super) exists: bool,
    pub(super) alive: bool,
    pub(super) dying: Option<&'static str>,
    pub(super) page: Option<(OfferId, TaskId, Evidence)>,
    pub(super) running: Option<TaskId>,
    /// When the last question about its page is answered.
    pub(super) answered: Now,
}

impl World {
    pub(super) fn happen(&mut self, worker: WorkerId, what: Happening) {
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
        self.ledger.claimed(worker, task, self.scheduler.attempt(task), now);
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
}
