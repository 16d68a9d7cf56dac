//! Tasks ahead: what a busy worker is given before it has answered, and how it is taken back.
//!
//! A hand-over ahead saves a worker the wait for its next task, and both sides a wake-up for each. It decides nothing:
//! until a worker claims an offer it can be revoked, and it is whenever that would serve somebody better.

use super::api::{Action, Batch, Evidence, OfferId, Placement, TaskId, WorkerId};
use super::core::{Scheduler, Turn};
use super::life::{Assignment, Claim, Life};
use super::payload::Payload;
use super::queue::Rank;
use super::tasks::Place;
use super::timers::Timer;
use super::workers::Worker;

impl<P: Payload> Scheduler<P> {
    /// Once idle workers have been given what there is: busy ones are given what is left, or those that are still idle
    /// what lies with the busy ones.
    pub(super) fn look_ahead(&mut self, turn: &mut Turn<'_, P>) {
        self.suspect(turn);
        let idle = self.free_worker().is_some();
        if idle && self.workers.ahead() > 0 {
            self.share(turn);
        } else if !idle && self.queue.len() > 0 && self.config.max_depth > 1 {
            self.make_way(turn);
            self.fill_hands(turn);
        }
    }

    /// How many tasks a worker may have in hand when it gets one of this kind.
    fn depth(&self, batch: Batch) -> usize {
        let depth = match batch {
            Batch::One => 1,
            Batch::UpTo(most) => most.clamp(1, self.config.max_depth),
            Batch::Auto => self.auto_depth(),
        };
        depth as usize
    }

    /// Gives tasks of the queue to workers that have others in hand, fewest first. The order of the queue is kept: when
    /// the next one cannot be given ahead, nobody passes it, so that it has the first worker that runs out.
    fn fill_hands(&mut self, turn: &mut Turn<'_, P>) {
        let tally = self.workers.tally();
        // Some worker is to go, and goes when it has nothing in hand.
        if tally.kept() > self.most_workers() {
            return;
        }
        let mut hungry = false;
        // As many as can are left for the workers that are starting.
        while self.queue.len() > tally.starting as usize
            && let Some(id) = self.queue.first_ahead()
            && let Some(task) = self.tasks.get(&id)
        {
            if task.is_overdue(turn.now) {
                self.queue.pop();
                self.outwaited(id, turn);
                continue;
            }
            let (batch, rank) = (task.options.batch, task.rank);
            let depth = self.depth(batch);
            let Some((in_hand, worker)) = self.emptiest_hand(depth, batch, rank, turn) else {
                return;
            };
            // Hands are filled when one of them is half empty, and all of them then: many tasks leave in one write.
            hungry |= in_hand <= (depth / 2).max(1);
            if !hungry {
                return;
            }
            self.queue.lend();
            self.offer_ahead(worker, id, turn);
        }
    }

    /// The worker with the fewest tasks in hand that may have another.
    fn emptiest_hand(&self, depth: usize, batch: Batch, rank: Rank, turn: &Turn<'_, P>) -> Option<(usize, WorkerId)> {
        let max_tasks = self.config.max_tasks;
        let may_have = |worker: &Worker| {
            let Life::Busy(first) = &worker.life else { return false };
            let in_hand = 1 + worker.ahead.len();
            let last_one = max_tasks.is_some_and(|max| in_hand >= max.saturating_sub(worker.tasks_done) as usize);
            // Behind one that has turned out long is no good place; but who names a number is to have it.
            let slow = batch == Batch::Auto && first.is_slow(turn.now);
            let last = worker.ahead.back();
            worker.placement == Placement::Shared
                && in_hand < depth
                && !(worker.worn || last_one || slow)
                && first.stop.is_none()
                && !first.revoking
                && last.is_none_or(|last| !last.revoking && last.rank < rank)
        };
        let hands = self.workers.iter().filter(|(_, worker)| may_have(worker));
        hands.map(|(id, worker)| (1 + worker.ahead.len(), id)).min_by_key(|&(in_hand, id)| (in_hand, id.slot))
    }

    /// Hands a task to a worker that is busy with another.
    fn offer_ahead(&mut self, worker: WorkerId, id: TaskId, turn: &mut Turn<'_, P>) {
        let Some(offer) = self.offer_beside(worker) else {
            return;
        };
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.has_waited(turn.now);
        task.place = Place::Assigned(worker);
        let held = Assignment::new(id, offer, task.rank, task.options.batch, turn.now);
        self.workers.push_ahead(worker, held);
        turn.act(Action::Offer { worker, offer, task: id });
    }

    /// A number for an offer whose slot of the page no other in the worker's hand has; those between are never used.
    fn offer_beside(&mut self, worker: WorkerId) -> Option<OfferId> {
        let taken = self.workers.get(worker)?.hand().fold(0_u64, |taken, held| taken | 1 << held.offer.slot());
        let first = OfferId(self.next_offer);
        // A hand that may have another has a slot left.
        let skip = taken.rotate_right(first.slot() as u32).trailing_ones();
        let offer = OfferId(first.0 + u64::from(skip));
        self.next_offer = offer.0 + 1;
        Some(offer)
    }

    /// Somebody more urgent than what lies in hands is next: one worker gives back all that lies behind its present
    /// task, so that it is free when that ends. Others run out in their time, since nothing is given ahead meanwhile.
    fn make_way(&mut self, turn: &mut Turn<'_, P>) {
        if self.workers.ahead() == 0 {
            return;
        }
        let Some(rank) = self.queue.first().and_then(|id| self.tasks.get(&id)).map(|task| task.rank) else {
            return;
        };
        let mut best = None;
        for (id, worker) in self.workers.iter() {
            let Life::Busy(first) = &worker.life else { continue };
            match worker.ahead.front() {
                _ if worker.placement == Placement::Dedicated || first.stop.is_some() => {}
                None => return,
                Some(next) if next.revoking => return,
                Some(next) if next.rank > rank => {
                    let cost = (worker.ahead.len(), first.since, id);
                    if best.is_none_or(|best| cost < best) {
                        best = Some(cost);
                    }
                }
                Some(_) => {}
            }
        }
        if let Some((_, _, worker)) = best {
            self.revoke_ahead(worker, turn);
        }
    }

    /// A worker is idle, and nothing is queued: half of the longest hand is taken back, from its end, for those who have
    /// nothing. Half, so that few raids are enough when many short tasks are left, and one comes to an end.
    fn share(&mut self, turn: &mut Turn<'_, P>) {
        let mut best = None;
        for (id, worker) in self.workers.iter() {
            let Life::Busy(first) = &worker.life else { continue };
            // What is on its way back will do for now.
            if worker.ahead.iter().any(|held| held.revoking && held.stop.is_none() && held.withdraw.is_none()) {
                return;
            }
            let free = worker.ahead.iter().filter(|held| held.is_free()).count();
            let rank = (free, std::cmp::Reverse((first.since, id)));
            if free > 0 && best.is_none_or(|best| rank > best) {
                best = Some(rank);
            }
        }
        if let Some((free, std::cmp::Reverse((_, worker)))) = best {
            self.revoke_last(worker, free.div_ceil(2), turn);
        }
    }

    /// Takes back all that a worker has in hand behind its first task, as far as it has not been asked for already.
    pub(super) fn revoke_ahead(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        self.revoke_last(worker, usize::MAX, turn);
    }

    /// Takes back the last so many. From the end: a worker that goes on claiming meanwhile does so from the front.
    fn revoke_last(&mut self, worker: WorkerId, count: usize, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        if !matches!(entry.life, Life::Busy(_)) {
            return;
        }
        for held in entry.ahead.iter_mut().rev().filter(|held| held.is_free()).take(count) {
            held.revoking = true;
            turn.act(Action::Revoke { worker, offer: held.offer });
        }
    }

    /// Evidence about an offer behind the first: the answer to a revocation.
    pub(super) fn evidence_ahead(
        &mut self,
        worker: WorkerId,
        offer: OfferId,
        evidence: Evidence,
        turn: &mut Turn<'_, P>,
    ) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        let Some(index) = entry.ahead.iter().position(|held| held.offer == offer) else {
            return;
        };
        let held = &mut entry.ahead[index];
        let claim = match (held.claim, evidence) {
            (Claim::Unknown, Evidence::Revoked) => {
                if let Some(held) = self.workers.remove_ahead(worker, index) {
                    self.reclaimed(&held, turn);
                }
                return;
            }
            (Claim::Unknown, Evidence::Offered { .. }) | (Claim::Done, Evidence::Done) => return,
            (Claim::Unknown, Evidence::Claimed { at }) => Claim::At(at.min(turn.now)),
            (claim @ Claim::At(_), Evidence::Claimed { .. }) => claim,
            (Claim::Unknown | Claim::At(_), Evidence::Done) => Claim::Done,
            // A value that cannot be, or a page that went backwards.
            _ => {
                held.claim = Claim::Nonsense;
                return self.kill(worker, turn);
            }
        };
        held.claim = claim;
        held.revoking = false;
        held.withdraw = None;
        let id = held.task;
        if let Some(task) = self.tasks.get_mut(&id) {
            self.timers.disarm(&mut task.queue_timer, Timer::Queue(id));
        }
        // Each answer has left the worker before it claims the next task: so has that to the first one, unless that one
        // is being taken back, which will be answered, too.
        let first = self.held(worker).map(|(held, _)| (held.claim, held.revoking));
        if let Some((Claim::Unknown | Claim::At(_), false)) = first {
            self.done(worker, turn);
        }
    }
}
