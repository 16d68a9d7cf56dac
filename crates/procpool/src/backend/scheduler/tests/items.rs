//! What must be true of lots and their items, by the same books: each item begins at most once and ends once, nobody is
//! blamed for what he was not seen to begin, and a lot that was to end does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::*;
use super::job::{Births, Part, Test};
use super::ledger::{Ledger, TaskRecord};
use crate::backend::lot::{Home, Lot, Piece};
use crate::backend::{Ending, Observer};
use crate::wire::lot::push_arguments;

/// The lots that there have been.
pub(super) struct Lots {
    records: BTreeMap<u64, LotRecord>,
    pub(super) births: Births,
    home: Arc<Home>,
    lost: Arc<Dropped>,
    /// How many items there have been, and how many of them have not ended.
    pub(super) items: u64,
    pub(super) open: usize,
    pub(super) seen: Seen,
}

/// What has happened, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) answered: u64,
    /// Items that were lost with their worker.
    pub(super) blamed: u64,
    /// Items of which it is unknown whether they began.
    pub(super) unknown: u64,
    /// Items that had not begun when their lot was cancelled.
    pub(super) spared: u64,
    /// Tasks that were made of what was left of a lot.
    pub(super) parts: u64,
    /// Of those, the ones that were made of all of it.
    pub(super) whole: u64,
}

/// Counts items that end because the account of their lot was dropped: there are none.
#[derive(Debug, Default)]
struct Dropped(AtomicU64);

impl Observer for Dropped {
    fn ended(&self, _: Ending) {}

    fn ended_many(&self, values: u64, failures: u64) {
        self.0.fetch_add(values + failures, Ordering::Relaxed);
    }
}

struct LotRecord {
    lot: Arc<Lot>,
    /// The number of its first task, and of all of it to whoever submitted it.
    base: TaskId,
    options: TaskOptions,
    asked: Now,
    items: Vec<Item>,
    cancelled: bool,
    /// It was to end, for whatever reason.
    over: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Item {
    begun: bool,
    ended: bool,
}

impl std::fmt::Debug for Lots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lots").field("items", &self.items).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Default for Lots {
    fn default() -> Lots {
        let lost = Arc::new(Dropped::default());
        Lots {
            records: BTreeMap::new(),
            births: Births::default(),
            home: Arc::new(Home::new(Arc::clone(&lost) as _)),
            lost,
            items: 0,
            open: 0,
            seen: Seen::default(),
        }
    }
}

impl Lots {
    /// A new lot of so many items, each of which has its number for an argument.
    pub(super) fn make(&self, items: u32) -> (Arc<Lot>, Part) {
        let lot = Lot::new(&self.home, &arguments(0));
        assert!((1..items).all(|item| lot.add(&arguments(item), items).is_ok()));
        let part = Part::of(self.records.len() as u64, &self.births, Piece::of(&lot));
        (lot, part)
    }

    pub(super) fn is_over(&self, lot: Option<u64>) -> bool {
        lot.is_some_and(|lot| self.records[&lot].over)
    }

    /// Nothing was forgotten without a word.
    pub(super) fn check(&self) {
        assert_eq!(self.lost.0.load(Ordering::Relaxed), 0, "items were lost");
    }

    /// Notes whose time is up, before the scheduler is told the time.
    pub(super) fn time_passes(&mut self, now: Now) {
        for record in self.records.values_mut() {
            record.over |= record.options.deadline.is_some_and(|deadline| record.asked.after(deadline.left) <= now);
        }
    }
}

impl Ledger {
    pub(super) fn submitted_lot(&mut self, base: TaskId, (lot, born): (Arc<Lot>, u64), options: TaskOptions, now: Now) {
        let number = self.lots.records.len() as u64;
        let record = TaskRecord { lot: Some(number), ..TaskRecord::new(options, now, born) };
        self.submitted(base, record);
        assert!(base.0.is_multiple_of(LOT_NUMBERS));
        let record = LotRecord { lot, base, options, asked: now, items: Vec::new(), cancelled: false, over: false };
        self.lots.records.insert(number, record);
    }

    /// It has so many more.
    pub(super) fn items_added(&mut self, lot: u64, count: u32) {
        let record = self.lots.records.get_mut(&lot).unwrap();
        record.items.extend((0..count).map(|_| Item::default()));
        self.lots.items += u64::from(count);
        self.lots.open += count as usize;
    }

    /// Puts one more into a lot, if it still takes any.
    pub(super) fn try_add(&mut self, task: TaskId) {
        let record = &self.tasks[&task];
        let Some(lot) = record.lot else { return };
        let (was_offered, record) = (record.offered, &self.lots.records[&lot]);
        let item = record.items.len() as u32;
        if record.lot.add(&arguments(item), 64).is_ok() {
            assert!(!was_offered, "an item is added to a lot that was handed over");
            self.items_added(lot, 1);
        }
    }

    /// What a user calls this task, who does not know of parts.
    pub(super) fn known_as(&self, task: TaskId) -> TaskId {
        self.tasks[&task].lot.map_or(task, |lot| self.lots.records[&lot].base)
    }

    /// A user does not want this any more.
    pub(super) fn cancelled(&mut self, task: TaskId) {
        let Some(record) = self.tasks.get_mut(&task) else { return };
        record.cancel_asked = true;
        let Some(lot) = record.lot else { return };
        let of_lot = self.lots.records.get_mut(&lot).unwrap();
        (of_lot.cancelled, of_lot.over) = (true, true);
        for id in &self.unresolved {
            let record = self.tasks.get_mut(id).unwrap();
            record.cancel_asked |= record.lot == Some(lot);
        }
    }

    /// A part of a lot is a task, which may be new.
    pub(super) fn meet(&mut self, id: TaskId, part: &Part, now: Now) {
        if self.unresolved.contains(&id) {
            let record = &self.tasks[&id];
            assert_eq!((record.lot, record.born), (Some(part.lot), part.born), "{id:?} is two tasks");
            return;
        }
        let lot = &self.lots.records[&part.lot];
        assert!(lot.base <= id && id.0 < lot.base.0 + LOT_NUMBERS, "{id:?} is a number of another lot");
        let record = TaskRecord {
            lot: Some(part.lot),
            asked: lot.asked,
            cancel_asked: lot.cancelled,
            made_by: self.decider,
            // It has had its place.
            offered: true,
            ..TaskRecord::new(lot.options, now, part.born)
        };
        self.submitted(id, record);
        self.lots.seen.parts += 1;
    }

    fn item(&mut self, task: TaskId, item: u32) -> &mut Item {
        let lot = self.tasks[&task].lot.expect("it is no lot");
        let items = &mut self.lots.records.get_mut(&lot).unwrap().items;
        items.get_mut(item as usize).expect("there is no such item")
    }

    /// The world saw a claim.
    pub(super) fn item_begins(&mut self, task: TaskId, item: u32) {
        assert!(!self.tasks[&task].resolved, "an item of {task:?} begins after that was resolved");
        let record = self.item(task, item);
        assert!(!record.begun, "item {item} of {task:?} begins twice");
        assert!(!record.ended, "item {item} of {task:?} begins after its end");
        record.begun = true;
    }

    /// The shell has read so many answers.
    pub(super) fn items_answered(&mut self, task: TaskId, first: u32, count: u32) {
        for number in first..first + count {
            let item = *self.item(task, number);
            assert!(item.begun || self.tasks[&task].obscured, "item {number} of {task:?} was answered by nobody");
            self.item_is_over(task, number);
        }
        self.tasks.get_mut(&task).unwrap().moved = true;
        self.lots.seen.answered += u64::from(count);
    }

    fn item_is_over(&mut self, task: TaskId, number: u32) {
        let item = self.item(task, number);
        assert!(!item.ended, "item {number} of {task:?} ends twice");
        item.ended = true;
        self.lots.open -= 1;
    }

    /// An item ends without an answer, by the end of the task that it was a part of.
    pub(super) fn item_ends(&mut self, task: TaskId, number: u32, how: &Resolution<Test>) {
        let obscured = self.tasks[&task].obscured;
        let has_begun = self.item(task, number).begun;
        self.item_is_over(task, number);
        let began = match how {
            Resolution::Replied { .. } => panic!("item {number} of {task:?} has no answer"),
            Resolution::Cancelled { began, .. }
            | Resolution::WorkerDied { began, .. }
            | Resolution::ShutDown { began } => *began,
            Resolution::TimedOut { .. } => Began::Yes,
            Resolution::QueueTimedOut { .. } | Resolution::QueueFull | Resolution::Unavailable(_) => Began::No,
        };
        let is_true = match began {
            Began::Yes => has_begun,
            Began::No => !has_begun,
            Began::Unknown => obscured,
        };
        assert!(is_true, "item {number} of {task:?}: {has_begun}, and it is said {began:?}");
        let seen = &mut self.lots.seen;
        match how {
            _ if began == Began::Unknown => seen.unknown += 1,
            Resolution::WorkerDied { .. } if has_begun => seen.blamed += 1,
            Resolution::Cancelled { .. } if !has_begun => seen.spared += 1,
            _ => {}
        }
    }

    /// A worker is gone that had claimed this part of a lot, and nothing in it was lost with it.
    pub(super) fn lost_in_vain(&mut self, task: TaskId, was_first: bool) {
        let record = self.tasks.get_mut(&task).unwrap();
        if std::mem::take(&mut record.moved) {
            record.lost_unclaimed = (1, 0);
        } else if was_first {
            self.lost_unclaimed(task, 1);
        }
    }

    /// What is said of tasks with items instead of lots is true of the items.
    pub(super) fn check_items(&self, scheduler: &Scheduler<Test>) {
        self.lots.check();
        assert!(scheduler.pieces.iter().all(|id| self.unresolved.contains(id)), "a part is remembered that is over");
        assert_eq!(scheduler.counts().submitted, self.plain + self.lots.items, "the numbers do not add up");
        let plain = self.unresolved.iter().filter(|id| self.tasks[*id].lot.is_none()).count();
        assert_eq!(scheduler.lots, self.unresolved.len() - plain);
        let (queued, waiting, running) = scheduler.task_counts();
        assert_eq!(queued + waiting + running, plain + self.lots.open, "{queued} + {waiting} + {running}");
    }
}

/// Those of an item: its number.
fn arguments(item: u32) -> Vec<u8> {
    let mut out = Vec::new();
    push_arguments(&mut out, |out| out.extend_from_slice(&item.to_le_bytes()));
    out
}
