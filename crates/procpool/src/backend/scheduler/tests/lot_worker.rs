//! What a simulated worker does with a lot (`worker/lot.rs`): it claims, runs and answers its items one by one, and is held
//! up, dies, hangs or lies on any step of that way.

use std::sync::atomic::Ordering;

use super::super::*;
use super::process::{Answer, Happening};
use super::world::World;

/// A lot in the hands of its worker.
#[derive(Debug)]
pub(super) struct InLot {
    offer: OfferId,
    task: TaskId,
    items: Vec<u32>,
    /// The one that runs, or is next.
    item: u32,
    runs: bool,
    /// What goes wrong with it, and when it is this item's turn; the one behind the last is none.
    fault: Option<(u32, Fault)>,
}

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Before the claim of the item, for so many milliseconds.
    IsHeldUp(u64),
    /// Before the claim of the item.
    Crashes,
    /// In the item; behind the last one, before the answer that ends the lot.
    CrashesWithIt,
    Hangs,
    /// It leaves a word that cannot be.
    BreaksTheWord,
    BreaksThePage,
    /// It answers an item that it has not begun.
    AnswersTooMuch,
    /// It ends the lot without the others.
    EndsEarly,
    /// It claims the next item before it has answered this one.
    Grabs,
    /// It says that it is through with the lot, and has not said so to the parent.
    PretendsToBeDone,
}

impl World {
    pub(super) fn begins_lot(&mut self, worker: WorkerId, offer: OfferId, task: TaskId) {
        let items = self.processes.get_mut(&worker).and_then(|process| process.frames.remove(&offer)).unwrap();
        let fault = if self.source.chance(self.faults.crash) {
            Some(self.source.of(&[Fault::Crashes, Fault::CrashesWithIt]))
        } else if self.source.chance(self.faults.hang) {
            Some(Fault::Hangs)
        } else if self.source.chance(self.faults.lie) {
            Some(self.source.of(&[
                Fault::BreaksTheWord,
                Fault::BreaksThePage,
                Fault::AnswersTooMuch,
                Fault::EndsEarly,
                Fault::Grabs,
                Fault::PretendsToBeDone,
            ]))
        } else if self.source.chance(20) {
            Some(Fault::IsHeldUp(self.source.pick(40)))
        } else {
            None
        };
        let at = self.source.pick(items.len() as u64 + 1) as u32;
        // A worker that has begun with none of them can be relieved of them all.
        let at = if matches!(fault, Some(Fault::IsHeldUp(_))) && self.source.chance(50) { 0 } else { at };
        let fault = fault.map(|fault| (at, fault));
        let lot = InLot { offer, task, items, item: 0, runs: false, fault };
        self.processes.get_mut(&worker).unwrap().lot = Some(lot);
        let delay = self.source.pick(2);
        self.plan(worker, delay, Happening::GoesOn(offer));
    }

    /// The worker has run the item that it was with, if it was with one, and goes on as far as it gets just now.
    pub(super) fn goes_on(&mut self, worker: WorkerId, offer: OfferId) {
        let mut answered = 0;
        loop {
            let process = self.processes.get_mut(&worker).unwrap();
            let Some(lot) = process.lot.as_mut().filter(|lot| lot.offer == offer) else { return };
            if std::mem::take(&mut lot.runs) {
                lot.item += 1;
                answered += 1;
            }
            let (task, item) = (lot.task, lot.item);
            let fault = lot.fault.filter(|(at, _)| *at == item).map(|(_, fault)| fault);
            match fault {
                Some(Fault::IsHeldUp(delay)) => {
                    lot.fault = None;
                    self.send_items(worker, offer, answered);
                    self.plan(worker, delay, Happening::GoesOn(offer));
                    return;
                }
                Some(Fault::Crashes) => {
                    self.send_items(worker, offer, answered);
                    self.dies(worker, "crashed between two items");
                    return;
                }
                None | Some(Fault::CrashesWithIt | Fault::Hangs) => {}
                Some(lie) => {
                    self.lies(worker, (offer, task), lie, answered);
                    return;
                }
            }
            let number = lot.items.get(item as usize).copied();
            let Some(number) = number.filter(|_| process.progress(offer).claim(item)) else {
                self.send_items(worker, offer, answered);
                self.ends_lot(worker, offer, fault);
                return;
            };
            self.begins_item(worker, task, number);
            if fault.is_some() {
                self.send_items(worker, offer, answered);
                if fault == Some(Fault::CrashesWithIt) {
                    let delay = self.source.pick(self.faults.slow);
                    self.plan(worker, delay, Happening::Dies("crashed in an item"));
                }
                return;
            }
            if self.source.chance(30) {
                let delay = self.source.pick(self.faults.slow);
                self.send_items(worker, offer, answered);
                self.plan(worker, delay, Happening::GoesOn(offer));
                return;
            }
        }
    }

    fn begins_item(&mut self, worker: WorkerId, task: TaskId, number: u32) {
        self.ledger.item_begins(task, number);
        if let Some(lot) = self.processes.get_mut(&worker).and_then(|process| process.lot.as_mut()) {
            lot.runs = true;
        }
        self.note(|| format!("  ({worker:?} begins item {number} of {task:?})"));
    }

    fn send_items(&mut self, worker: WorkerId, offer: OfferId, count: u32) {
        if count > 0 {
            self.send(worker, offer, Answer::Items(count));
        }
    }

    /// There is no further item, or the parent wants none begun.
    fn ends_lot(&mut self, worker: WorkerId, offer: OfferId, fault: Option<Fault>) {
        let process = self.processes.get_mut(&worker).unwrap();
        let Some(lot) = process.lot.take() else { return };
        process.progress(offer).rest(lot.item);
        match fault {
            Some(Fault::CrashesWithIt) => return self.dies(worker, "crashed behind its items"),
            // In its own code, between the last item and the answer: for ever.
            Some(Fault::Hangs) => return,
            _ => {}
        }
        process.running = None;
        self.send(worker, offer, Answer::Task(lot.task));
        if self.source.chance(self.faults.crash / 4) {
            return self.dies(worker, "crashed before it said that it had answered");
        }
        if let Some((_, slot)) = self.processes.get_mut(&worker).unwrap().slot(offer) {
            *slot = Evidence::Done;
        }
        self.look(worker);
    }

    fn lies(&mut self, worker: WorkerId, (offer, task): (OfferId, TaskId), lie: Fault, mut answered: u32) {
        let process = self.processes.get_mut(&worker).unwrap();
        let Some(lot) = process.lot.take() else { return };
        let (item, next) = (lot.items.get(lot.item as usize), lot.items.get(lot.item as usize + 1));
        process.silent = true;
        process.running = None;
        if lie != Fault::PretendsToBeDone {
            self.ledger.tasks.get_mut(&task).unwrap().obscured = true;
        }
        match lie {
            Fault::BreaksTheWord => {
                let any = self.source.pick(u64::MAX);
                process.words[&offer.slot()].store(any, Ordering::Release);
            }
            Fault::BreaksThePage | Fault::PretendsToBeDone => {
                let value = if lie == Fault::BreaksThePage { Evidence::Nonsense } else { Evidence::Done };
                process.page.entry(offer.slot()).and_modify(|(_, _, slot)| *slot = value);
            }
            Fault::AnswersTooMuch => answered += 1,
            Fault::Grabs => {
                let claims = [(item, lot.item), (next, lot.item + 1)];
                for (number, item) in claims {
                    if let Some(&number) = number.filter(|_| self.processes[&worker].progress(offer).claim(item)) {
                        self.begins_item(worker, task, number);
                    }
                }
            }
            _ => {}
        }
        self.note(|| format!("  ({worker:?} lies about {offer:?}: {lie:?})"));
        self.send_items(worker, offer, answered);
        if lie == Fault::EndsEarly {
            self.send(worker, offer, Answer::Task(task));
        }
        // Whoever looks finds nonsense; if nobody does, the worker is found out by its socket.
        let delay = 50 + self.source.pick(100);
        self.plan(worker, delay, Happening::Broken);
    }
}
