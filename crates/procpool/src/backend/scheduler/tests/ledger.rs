//! What must be true of every decision, whatever the world does: kept apart from the scheduler's own books.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::*;
use super::items::Lots;
use super::job::Test;

#[derive(Debug)]
pub(super) struct TaskRecord {
    pub(super) options: TaskOptions,
    pub(super) submitted: Now,
    /// When somebody asked for it: earlier, where it is made of what was left of a lot.
    pub(super) asked: Now,
    /// Its place among all tasks, in the order in which they came to be.
    pub(super) born: u64,
    /// Which lot it is a part of.
    pub(super) lot: Option<u64>,
    /// Claims that the world saw: how often its code ran.
    pub(super) runs: u32,
    pub(super) last_claim: Now,
    pub(super) offered: bool,
    /// Workers that ended or were silent when it was its turn to be claimed, and in which attempt.
    pub(super) lost_unclaimed: (u32, u32),
    /// The same, in all attempts.
    pub(super) lost_in_all: u32,
    pub(super) resolved: bool,
    pub(super) cancel_asked: bool,
    /// A worker broke the page while it had this task.
    pub(super) obscured: bool,
    /// Made of what was left of a lot, by this call to the scheduler.
    pub(super) made_by: u64,
    /// Its worker has said that it is through with it.
    pub(super) ended: bool,
    /// Of a lot: the worker that has it has answered an item.
    pub(super) moved: bool,
}

impl TaskRecord {
    pub(super) fn new(options: TaskOptions, now: Now, born: u64) -> TaskRecord {
        TaskRecord {
            options,
            submitted: now,
            asked: now,
            born,
            lot: None,
            runs: 0,
            last_claim: now,
            offered: false,
            lost_unclaimed: (1, 0),
            lost_in_all: 0,
            resolved: false,
            cancel_asked: false,
            obscured: false,
            made_by: 0,
            ended: false,
            moved: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct WorkerRecord {
    pub(super) placement: Placement,
    pub(super) ready: bool,
    pub(super) retired: bool,
    pub(super) killed: bool,
    pub(super) gone: bool,
    /// It got ready before anybody killed it.
    pub(super) welcome: bool,
    /// It has said that it cannot go on.
    pub(super) worn: bool,
    /// Its end was told.
    pub(super) told: bool,
    /// The offers in its hand, in the order in which it got them.
    pub(super) held: Vec<(OfferId, TaskId)>,
    pub(super) revoking: BTreeSet<OfferId>,
    /// Those of them that have not been answered.
    pub(super) pending: BTreeSet<OfferId>,
    /// The first of them was asked to stop.
    pub(super) stopping: bool,
    /// The first of them that was taken back last.
    pub(super) lost: Option<TaskId>,
    pub(super) answered: u32,
}

/// A reservation that has been neither used nor given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReservationRecord {
    pub(super) asked: Now,
    pub(super) limit: Option<Duration>,
    pub(super) held: bool,
}

/// The books: who was told what.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) tasks: BTreeMap<TaskId, TaskRecord>,
    pub(super) unresolved: BTreeSet<TaskId>,
    pub(super) workers: BTreeMap<WorkerId, WorkerRecord>,
    pub(super) present: BTreeSet<WorkerId>,
    pub(super) reservations: BTreeMap<ReservationId, ReservationRecord>,
    pub(super) granted: u64,
    pub(super) max: u32,
    pub(super) spares: u32,
    pub(super) asked: bool,
    pub(super) warming: bool,
    pub(super) closing: bool,
    /// Told to drop what has not begun: from then on nothing may begin.
    pub(super) dropping: bool,
    /// When a close runs out of patience.
    pub(super) deadline: Option<Now>,
    pub(super) max_offers: u32,
    pub(super) max_depth: u32,
    pub(super) max_tasks: Option<u32>,
    pub(super) ageing: Duration,
    pub(super) closed: bool,
    /// The next number of an offer, at the least.
    pub(super) offers: u64,
    /// Offers to workers that had others in hand, and how many of all were taken back.
    pub(super) ahead: u64,
    pub(super) reclaimed: u64,
    pub(super) resolved: u64,
    pub(super) lots: Lots,
    /// The call to the scheduler that has made the decision in question.
    pub(super) decider: u64,
    /// Tasks that are no lots.
    pub(super) plain: u64,
}

impl Ledger {
    pub(super) fn submitted(&mut self, id: TaskId, record: TaskRecord) {
        // A number in a lot may be free again.
        let before = self.tasks.insert(id, record);
        assert!(before.is_none_or(|before| before.resolved && before.lot.is_some()), "task id used twice");
        self.unresolved.insert(id);
        self.asked = true;
    }

    pub(super) fn live(&self, id: WorkerId) -> &WorkerRecord {
        let worker = self.workers.get(&id).unwrap_or_else(|| panic!("{id:?} is unknown"));
        assert!(!worker.gone, "{id:?} is gone");
        worker
    }

    /// Checks one decision against the books and enters it.
    pub(super) fn enter(&mut self, action: &Action<Test>, now: Now, attempt: impl Fn(TaskId) -> u32) {
        match action {
            Action::Spawn { worker, placement } => self.spawn(*worker, *placement),
            Action::Offer { worker, offer, task } => self.offer(*worker, *offer, *task, attempt(*task)),
            Action::Revoke { worker, offer } => {
                self.asks_about(*worker, *offer);
                let worker = self.workers.get_mut(worker).unwrap();
                assert!(worker.revoking.insert(*offer), "revoked twice");
                worker.pending.insert(*offer);
            }
            Action::Inspect { worker, offer } => self.asks_about_first(*worker, *offer),
            Action::Relieve { worker, offer } => {
                self.asks_about_first(*worker, *offer);
                let (_, task) = self.workers[worker].held[0];
                assert!(self.tasks[&task].lot.is_some(), "{task:?} is no lot");
            }
            Action::SetCancel { worker, offer } => {
                self.asks_about_first(*worker, *offer);
                self.workers.get_mut(worker).unwrap().stopping = true;
            }
            Action::Kill { worker, overdue } => {
                let record = self.live(*worker);
                assert!(!record.killed, "{worker:?} killed twice");
                let rest = record.held.iter().skip(1);
                assert!(
                    rest.map(|(offer, _)| offer).all(|offer| record.revoking.contains(offer)),
                    "{worker:?} is killed with tasks in hand that nobody tried to save"
                );
                if let (Some(Overdue::Claim(_)), Some(task)) = (overdue, record.lost) {
                    self.lost_unclaimed(task, attempt(task));
                }
                self.workers.get_mut(worker).unwrap().killed = true;
            }
            Action::Retire { worker } => {
                let record = self.live(*worker);
                assert!(record.ready && !record.killed && !record.retired && record.held.is_empty());
                self.workers.get_mut(worker).unwrap().retired = true;
            }
            Action::Resolve { task, resolution, attempts, timing, .. } => {
                self.resolve(*task, resolution, *attempts, now);
                self.check_timing(*task, resolution, *timing, now);
            }
            Action::Tell(fact) => self.told(fact),
            Action::Warmed { result } => {
                assert!(self.warming, "nobody asked");
                assert!(self.closing || !matches!(result, Err(Unavailable::Closed)));
                self.warming = false;
            }
            Action::Reserved { reservation, result } => self.reserved(*reservation, result, now),
            Action::Closed => {
                assert!(self.closing && !self.closed, "closed twice, or for no reason");
                assert!(self.unresolved.is_empty() && self.present.is_empty());
                self.closed = true;
            }
        }
        assert!(
            !self.closed || matches!(action, Action::Closed | Action::Resolve { .. } | Action::Warmed { .. }),
            "work after the end"
        );
    }

    fn reserved(&mut self, id: ReservationId, result: &Result<(), Refused<Test>>, now: Now) {
        let record = self.reservations.get_mut(&id).expect("an answer that nobody waits for");
        assert!(!record.held, "answered twice");
        match result {
            Ok(()) => {
                record.held = true;
                self.granted += 1;
                return;
            }
            Err(Refused::QueueFull) => panic!("it had its turn"),
            Err(Refused::TimedOut(limit)) => {
                assert_eq!(Some(*limit), record.limit);
                assert!(now >= record.asked.after(*limit), "timed out too soon");
            }
            Err(Refused::Unavailable(why)) => assert!(self.closing || !matches!(why, Unavailable::Closed)),
        }
        self.reservations.remove(&id);
    }

    fn spawn(&mut self, id: WorkerId, placement: Placement) {
        assert!(self.asked, "a worker before anybody asked");
        let shared = |worker: &&WorkerRecord| worker.placement == Placement::Shared;
        let present = self.present.iter().map(|id| &self.workers[id]);
        let all = present.clone().filter(shared).count() as u32;
        let live = present.filter(shared).filter(|worker| !worker.retired).count() as u32;
        if placement == Placement::Shared {
            let most = self.max + self.spares;
            assert!(live < most && all < 2 * most, "{live} live, {all} in all, at most {most}");
        }
        assert!(!self.present.iter().any(|other| other.slot == id.slot), "slot used twice");
        let lower_free = (0..id.slot).any(|slot| !self.present.iter().any(|other| other.slot == slot));
        assert!(!lower_free, "not the lowest free slot");
        let record = WorkerRecord {
            placement,
            ready: false,
            retired: false,
            killed: false,
            gone: false,
            welcome: false,
            worn: false,
            told: false,
            held: Vec::new(),
            revoking: BTreeSet::new(),
            pending: BTreeSet::new(),
            stopping: false,
            lost: None,
            answered: 0,
        };
        assert!(self.workers.insert(id, record).is_none(), "worker id used twice");
        self.present.insert(id);
    }

    fn offer(&mut self, id: WorkerId, offer: OfferId, task: TaskId, attempt: u32) {
        assert!(offer.0 >= self.offers, "offer ids count up");
        self.offers = offer.0 + 1;
        let worker = self.live(id);
        assert!(worker.ready && !worker.retired && !worker.killed, "offer to a worker that cannot take it");
        if !worker.held.is_empty() {
            self.check_ahead(id, offer, task);
        } else if worker.placement == Placement::Shared {
            assert!(self.busy() < self.max, "{id:?} is one too many at work");
        }
        let worker = self.live(id);
        let holder = self.present.iter().find(|id| self.workers[id].held.iter().any(|(_, held)| *held == task));
        assert!(holder.is_none(), "{task:?} in two hands");
        assert!(!worker.worn, "offer to a worker that cannot go on");
        let placement = worker.placement;
        self.ahead += u64::from(!worker.held.is_empty());
        let record = self.tasks.get_mut(&task).unwrap();
        assert!(!record.resolved, "offer of a task that is over");
        assert_eq!(record.options.placement, placement);
        // A reservation that is before others in line may need that the queue moves.
        let booked = self.reservations.values().any(|reservation| !reservation.held);
        let in_order = placement == Placement::Dedicated || booked || self.is_next(task);
        assert!(in_order, "{task:?} jumps the queue");
        let record = self.tasks.get_mut(&task).unwrap();
        // A lot goes on after a worker's end, with what had not begun.
        let goes_on = record.lot.is_some();
        assert!(goes_on || record.runs < attempt, "{task:?} ran {} times before attempt {attempt}", record.runs);
        assert!(!goes_on || !self.lots.is_over(record.lot), "{task:?} is of a lot that was to end");
        (record.offered, record.moved) = (true, false);
        let max_offers = if placement == Placement::Dedicated { 1 } else { self.max_offers };
        let (of, losses) = record.lost_unclaimed;
        assert!(of < attempt || losses < max_offers, "{task:?} was offered too often");
        let worker = self.workers.get_mut(&id).unwrap();
        worker.held.push((offer, task));
    }

    /// A worker was lost while it was this task's turn to be claimed.
    pub(super) fn lost_unclaimed(&mut self, task: TaskId, attempt: u32) {
        let record = self.tasks.get_mut(&task).unwrap();
        let (of, losses) = record.lost_unclaimed;
        record.lost_unclaimed = (attempt, if of == attempt { losses + 1 } else { 1 });
        record.lost_in_all += 1;
    }

    fn asks_about(&self, id: WorkerId, offer: OfferId) {
        let worker = self.live(id);
        assert!(!worker.killed, "asked about the offer of a dead worker");
        assert!(worker.held.iter().any(|(held, _)| *held == offer), "asked about an offer that is over");
    }

    fn asks_about_first(&self, id: WorkerId, offer: OfferId) {
        self.asks_about(id, offer);
        assert_eq!(self.workers[&id].held[0].0, offer, "it is not this one's turn");
    }

    /// The scheduler is told what the page says; it may have an offer back.
    pub(super) fn evidence(&mut self, id: WorkerId, offer: OfferId, evidence: Evidence) {
        let worker = self.workers.get_mut(&id).unwrap();
        worker.pending.remove(&offer);
        if evidence != Evidence::Revoked {
            return;
        }
        let Some(position) = worker.held.iter().position(|(held, _)| *held == offer) else { return };
        if position == 0 {
            worker.lost = Some(worker.held[0].1);
            worker.stopping = false;
        }
        if !worker.killed {
            worker.held.remove(position);
            self.reclaimed += 1;
        }
    }

    /// The world saw a claim.
    pub(super) fn claimed(&mut self, worker: WorkerId, task: TaskId, attempt: u32, now: Now) {
        // A worker that is being killed may get to it yet; its evidence will say so.
        let doomed = self.workers[&worker].killed;
        assert!(doomed || !self.dropping, "{task:?} begins after all such were dropped");
        let record = self.tasks.get_mut(&task).unwrap();
        assert!(!record.resolved, "{task:?} runs after it was resolved");
        record.runs += 1;
        record.last_claim = now;
        if record.lot.is_none() {
            assert!(record.runs <= attempt, "{task:?} ran twice in one attempt");
            assert!(record.runs <= 1 + record.options.retries, "{task:?} ran too often");
        }
    }

    fn resolve(&mut self, id: TaskId, resolution: &Resolution<Test>, attempts: u32, now: Now) {
        let record = self.tasks.get_mut(&id).expect("resolved, but never submitted");
        assert!(!record.resolved, "{id:?} resolved twice");
        record.resolved = true;
        self.unresolved.remove(&id);
        self.resolved += 1;
        let record = &self.tasks[&id];
        let options = &record.options;
        assert!((1..=1 + options.retries).contains(&attempts), "{attempts} attempts");
        let gone = |worker: &WorkerId| assert!(self.workers[worker].gone, "resolved before {worker:?} was gone");
        // Of a lot, each item is judged by itself.
        let is_lot = record.lot.is_some();
        let truth = |began: &Began| match began {
            Began::No | Began::Yes if is_lot => {}
            Began::No => assert_eq!(record.runs, 0, "{id:?} did begin"),
            Began::Yes => assert!(record.runs > 0, "{id:?} did not begin"),
            Began::Unknown => assert!(record.obscured, "{id:?}: the facts were there"),
        };
        match resolution {
            Resolution::Replied { reply, worker } => {
                assert_eq!(reply.0, id, "somebody else's answer");
                assert!(record.runs > 0);
                assert!(!self.workers[worker].gone);
            }
            Resolution::Cancelled { why, began, killed } => {
                match (why, options.deadline) {
                    (CancelReason::Deadline(whole), Some(deadline)) => {
                        assert_eq!(*whole, deadline.whole);
                        assert!(now >= record.asked.after(deadline.left), "its deadline had not passed");
                    }
                    _ => assert!(record.cancel_asked),
                }
                truth(began);
                killed.iter().for_each(|(worker, _)| gone(worker));
            }
            Resolution::TimedOut { limit, killed } => {
                assert_eq!(Some(*limit), options.run_limit);
                assert!(record.runs > 0 && now >= record.last_claim.after(*limit), "timed out too soon");
                killed.iter().for_each(|(worker, _)| gone(worker));
            }
            Resolution::QueueTimedOut { limit } => {
                assert_eq!(Some(*limit), options.queue_limit);
                assert!(record.runs == 0 && now >= record.submitted.after(*limit), "timed out too soon");
            }
            Resolution::WorkerDied { worker, began, .. } => {
                truth(began);
                gone(worker);
                let max_offers = if options.placement == Placement::Dedicated { 1 } else { self.max_offers };
                assert!(*began != Began::No || record.lost_in_all >= max_offers, "{id:?} fails for another's crash");
            }
            Resolution::QueueFull => assert!(!record.offered),
            Resolution::Unavailable(why) => {
                assert!(is_lot || record.runs == 0);
                assert!(self.closing || !matches!(why, Unavailable::Closed));
            }
            Resolution::ShutDown { began } => {
                assert!(self.closing);
                truth(began);
            }
        }
    }

    /// Every moment of a task's life was spent in one way or the other.
    fn check_timing(&self, id: TaskId, resolution: &Resolution<Test>, timing: Timing, now: Now) {
        let record = &self.tasks[&id];
        let Some(waited) = timing.waited else {
            assert!(resolution.is_refusal() && timing.ran.is_none(), "{id:?} has no time of waiting");
            return;
        };
        assert_eq!(waited + timing.ran.unwrap_or_default(), now.since(record.submitted), "time of {id:?} was lost");
        // What is left of a lot has waited, whoever had begun with it before.
        let is_unknown = record.obscured || (record.lot.is_some() && !record.ended);
        assert!(is_unknown || timing.ran.is_some() == (record.runs > 0), "{id:?}: {timing:?}");
    }

    fn told(&mut self, fact: &Fact<Test>) {
        match fact {
            Fact::Started { worker } => assert!(!self.live(*worker).ready),
            Fact::Ready { worker, .. } => {
                assert!(self.live(*worker).ready);
                self.workers.get_mut(worker).unwrap().welcome = true;
            }
            Fact::Ended { worker, why, .. } => {
                assert!(!std::mem::replace(&mut self.workers.get_mut(worker).unwrap().told, true), "ended twice");
                let record = &self.workers[worker];
                assert!(record.gone, "ended before it was gone");
                let (asked, died) = (record.killed || record.retired, matches!(why, End::Died | End::StartFailed));
                assert!(asked || died, "{worker:?} ended of {why:?}, and nobody had asked it to");
                let unborn = [End::StartFailed, End::Stopped, End::Closed, End::Resized];
                assert!(record.welcome || unborn.contains(why), "{why:?}");
                assert!(!record.welcome || *why != End::StartFailed, "{worker:?} was ready");
            }
            Fact::Closing { .. } => assert!(self.closing),
            Fact::StartsPaused { .. } | Fact::Resized { .. } => {}
        }
    }

    /// Told how to close.
    pub(super) fn close(&mut self, how: Closing) {
        self.closing = true;
        self.reservations.retain(|_, reservation| !reservation.held);
        let deadline = match how {
            Closing::Drain { deadline } => deadline,
            Closing::DropQueued { deadline } => {
                self.dropping = true;
                deadline
            }
            Closing::Kill => {
                self.dropping = true;
                None
            }
        };
        self.deadline = self.deadline.into_iter().chain(deadline).min();
    }

    /// When a close has run out of patience, nobody is left who was not killed.
    pub(super) fn check_patience(&self, now: Now) {
        if self.deadline.is_some_and(|at| at <= now) {
            assert!(self.present.iter().all(|id| self.workers[id].killed), "the deadline has passed");
        }
    }
}

/// Milliseconds, as the tests count.
pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
