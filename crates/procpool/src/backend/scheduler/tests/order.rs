//! Who goes before whom: what the books say about the queue, and about tasks behind others in a worker's hand.

use std::collections::BTreeSet;

use super::super::*;
use super::job::Test;
use super::ledger::{Ledger, WorkerRecord};

impl Ledger {
    /// What must be true of an offer to a worker that has others in hand.
    pub(super) fn check_ahead(&self, id: WorkerId, offer: OfferId, task: TaskId) {
        let worker = self.live(id);
        let in_hand = worker.held.len();
        let most = match self.tasks[&task].options.batch {
            Batch::One => 1,
            Batch::UpTo(most) => most.min(self.max_depth),
            Batch::Auto => self.max_depth,
        };
        assert!(in_hand < most as usize, "{in_hand} in hand, and {task:?} behind them; at most {most}");
        let idle = |other: &WorkerRecord| {
            let able = other.ready && !other.killed && !other.retired;
            other.placement == Placement::Shared && able && other.held.is_empty()
        };
        let idle = self.present.iter().any(|id| idle(&self.workers[id]));
        assert!(!idle || self.busy() >= self.max, "{task:?} waits beside an idle worker");
        assert!(worker.placement == Placement::Shared && !worker.stopping, "{id:?} is no good place to wait");
        assert!(!worker.pending.contains(&worker.held[0].0), "{id:?} may be silent");
        assert!(worker.held.iter().all(|(held, _)| held.slot() != offer.slot()), "two offers in one slot");
        assert!(self.max_tasks.is_none_or(|max| worker.answered + (in_hand as u32) < max), "too many for it");
        let behind = worker.held.iter().skip(1).all(|(_, held)| self.goes_before(*held, task));
        assert!(behind, "{task:?} waits behind what is less urgent");
    }

    /// How many shared workers that are to live have tasks.
    pub(super) fn busy(&self) -> u32 {
        let shared =
            self.present.iter().map(|id| &self.workers[id]).filter(|worker| worker.placement == Placement::Shared);
        shared.filter(|worker| !worker.killed && !worker.held.is_empty()).count() as u32
    }

    /// Whether one task is to be next before another, age and priority weighed against each other.
    fn goes_before(&self, one: TaskId, other: TaskId) -> bool {
        let (task, record) = (&self.tasks[&other], &self.tasks[&one]);
        let levels = i64::from(record.options.priority) - i64::from(task.options.priority);
        let worth = self.ageing.saturating_mul(levels.unsigned_abs() as u32);
        let (mine, theirs) = (task.asked.0, record.asked.0);
        let mine = if levels >= 0 { mine.saturating_add(worth) } else { mine };
        let theirs = if levels < 0 { theirs.saturating_add(worth) } else { theirs };
        mine.cmp(&theirs).then(task.born.cmp(&record.born)).is_gt()
    }

    /// Whether nobody who waits goes before this one, age and priority weighed against each other, pair by pair.
    pub(super) fn is_next(&self, id: TaskId) -> bool {
        let held: BTreeSet<TaskId> = self.held().collect();
        !self.unresolved.iter().any(|other| {
            let record = &self.tasks[other];
            // One that nobody took stays with the last worker until that is dead.
            let waits =
                !held.contains(other) && record.made_by <= self.decider && record.lost_unclaimed.1 < self.max_offers;
            waits && record.options.placement == Placement::Shared && self.goes_before(*other, id)
        })
    }

    /// The tasks in the hands of workers.
    pub(super) fn held(&self) -> impl Iterator<Item = TaskId> {
        self.present.iter().flat_map(|id| &self.workers[id].held).map(|(_, task)| *task)
    }

    /// What the books say about the limits of the queue.
    pub(super) fn check_queue(&self, scheduler: &Scheduler<Test>) {
        let (queued, waiting, reserved) = scheduler.queue.sizes();
        let limit = scheduler.config.queue_limit;
        let held: BTreeSet<TaskId> = self.held().collect();
        let back = self.unresolved.iter().filter(|id| self.tasks[id].offered && !held.contains(id)).count();
        assert!(queued + reserved <= limit + back, "{queued} queued, {reserved} reserved, limit {limit}");
        let bookings = self.reservations.values().filter(|reservation| !reservation.held).count();
        // Places that were not used when the pool closed are void.
        let places = if self.closing { 0 } else { self.reservations.len() - bookings };
        assert_eq!(scheduler.reservations(), (places, bookings), "places are lost, or made up");
        let bounded = |id: &&TaskId| self.tasks[*id].options.admission == Admission::Bounded;
        let excess = self.unresolved.iter().filter(bounded).count();
        assert!(waiting + bookings <= scheduler.config.waiting_limit + excess);
        // What lies behind another in a hand has kept its place.
        let ahead: usize = self.present.iter().map(|id| self.workers[id].held.len().saturating_sub(1)).sum();
        let taken = queued + reserved + ahead;
        assert!(waiting + bookings == 0 || taken >= limit, "somebody waits beside a free place");
    }
}
