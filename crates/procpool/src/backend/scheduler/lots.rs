//! Lots: tasks that are many items to everybody else.
//!
//! A lot is queued, offered, claimed and answered as one task. It differs in what becomes of it when its worker ends, or
//! is stuck with one of its items: the items that have not begun are a task of their own then, with the rank of the old
//! one. Items that have ended are no business of the scheduler.

use std::time::Duration;

use super::api::{Action, Batch, Now, OfferId, TaskId, TaskOptions, WorkerId};
use super::core::{Scheduler, Turn};
use super::life::{Assignment, Life};
use super::payload::{LOT_NUMBERS, Lost, Payload};
use super::queue::Rank;
use super::tasks::{Place, Task};
use super::timers::Timer;

/// How long a worker may be with a lot before those items are taken away from it that it has not begun: ten times what the
/// whole lot was to take.
const STUCK: Duration = Duration::from_millis(10);

/// What an item of a lot has at the least to end by itself: it is a short one, and its worker worth more.
const LOT_GRACE: Duration = Duration::from_millis(2);

/// How many lots a worker has in hand: one that it runs, and one that is there when that is over.
pub(crate) const LOTS_IN_HAND: Batch = Batch::UpTo(2);

impl<P: Payload> Scheduler<P> {
    /// The number of the next task. Lots take more of them, so that each item has one.
    pub(super) fn number(&mut self, is_lot: bool) -> TaskId {
        if is_lot {
            self.next_task = self.next_task.next_multiple_of(LOT_NUMBERS);
        }
        let id = TaskId(self.next_task);
        self.next_task += if is_lot { LOT_NUMBERS } else { 1 };
        id
    }

    /// The number of a piece that begins with this item: that of the item, or the next one that is free. A worker may have
    /// been relieved of all items of its lot, and that lot is a task until the worker says that it is through with it.
    fn number_of_piece(&self, of: TaskId, first: u64) -> TaskId {
        let mut id = TaskId(of.0 / LOT_NUMBERS * LOT_NUMBERS + first);
        // A lot that ends just now is no task any more, and its number not free yet.
        while self.tasks.contains_key(&id) || self.pieces.contains(&id) {
            id.0 += 1;
        }
        id
    }

    /// The tasks that were made of what a lot had left, by the lot's number.
    pub(super) fn pieces_of(&self, id: TaskId) -> Vec<TaskId> {
        if self.pieces.is_empty() || !id.0.is_multiple_of(LOT_NUMBERS) {
            return Vec::new();
        }
        self.pieces.range(id..TaskId(id.0 + LOT_NUMBERS)).copied().collect()
    }

    /// A task ends, which may be a lot.
    pub(super) fn forget_lot(&mut self, id: TaskId, task: &Task<P>) {
        if P::is_lot(&task.job) {
            self.lots = self.lots.saturating_sub(1);
            self.counts.submitted += P::items(&task.job);
            self.pieces.remove(&id);
        }
    }

    /// How many items those lots have that are still here.
    pub(super) fn items_of_lots(&self) -> u64 {
        if self.lots == 0 {
            return 0;
        }
        self.tasks.values().filter(|task| P::is_lot(&task.job)).map(|task| P::items(&task.job)).sum()
    }

    /// Counts of tasks that are queued, wait and run, with items instead of lots.
    pub(super) fn with_items(&self, (queued, waiting, running): (usize, usize, usize)) -> (usize, usize, usize) {
        let (mut more_queued, mut more_waiting, mut over) = (0, 0, 0);
        if self.lots > 0 {
            for task in self.tasks.values().filter(|task| P::is_lot(&task.job)) {
                let items = P::open_items(&task.job);
                match task.place {
                    // All of them have been answered; that it is over is on its way.
                    Place::Assigned(_) if items == 0 => over += 1,
                    Place::Queued if self.queue.is_waiting(task.rank) => more_waiting += items.saturating_sub(1),
                    _ => more_queued += items.saturating_sub(1),
                }
            }
        }
        (queued + more_queued, waiting + more_waiting, running.saturating_sub(over))
    }

    /// A lot has come to the front of a worker's hand.
    pub(super) fn watch_lot(&mut self, worker: WorkerId, turn: &Turn<'_, P>) {
        let is_watched = |(held, task): (&mut Assignment, &mut Task<P>)| held.stop.is_none() && P::is_lot(&task.job);
        if self.lots > 0 && self.held(worker).is_some_and(is_watched) {
            self.arm_worker(worker, turn.now.after(STUCK));
        }
    }

    /// How long a task may go on once it has been told to stop.
    pub(super) fn grace(task: &Task<P>) -> Duration {
        if P::is_lot(&task.job) { task.options.grace.max(LOT_GRACE) } else { task.options.grace }
    }

    /// It has been there for a while.
    pub(super) fn look_at_lot(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) -> bool {
        let Some((held, task)) = self.held(worker) else { return false };
        if !P::is_lot(&task.job) || task.options.run_limit.is_some() {
            return false;
        }
        let offer = held.offer;
        turn.act(Action::Relieve { worker, offer });
        true
    }

    /// The answer to that.
    pub(super) fn relieved(
        &mut self,
        worker: WorkerId,
        offer: OfferId,
        rest: Vec<(u64, P::Job)>,
        turn: &mut Turn<'_, P>,
    ) {
        let Some(id) = self.task_of(worker, offer) else { return };
        let is_settled = !rest.is_empty();
        // What was to end by the time that this was asked is to end now.
        let stop = self.workers.get_mut(worker).and_then(|worker| worker.held_for(id)?.1.stop);
        for (first, job) in rest {
            let piece = self.carry_on(id, first, job, turn);
            if let (Some(piece), Some(stop)) = (piece, stop) {
                self.halt(piece, stop.halt, turn);
            }
        }
        let Some(Life::Busy(held)) = self.workers.get(worker).map(|worker| &worker.life) else { return };
        if held.offer == offer && held.stop.is_none() && !is_settled {
            // Ever more seldom: it may be one long item.
            let pause = turn.now.since(held.since).max(STUCK);
            self.arm_worker(worker, turn.now.after(pause));
        }
    }

    /// What was left of a task is one of its own from now on, where that one was before.
    fn carry_on(&mut self, of: TaskId, first: u64, job: P::Job, turn: &mut Turn<'_, P>) -> Option<TaskId> {
        let task = self.tasks.get(&of)?;
        let (options, rank, deadline) = (task.options, task.rank, task.deadline_timer);
        Some(self.enter_piece(of, first, job, (options, rank, deadline), turn))
    }

    /// A piece of a lot enters the queue. Gives its number.
    pub(super) fn enter_piece(
        &mut self,
        of: TaskId,
        first: u64,
        job: P::Job,
        (options, rank, deadline): (TaskOptions, Rank, Option<Now>),
        turn: &mut Turn<'_, P>,
    ) -> TaskId {
        // Two that wait never have the same rank, and the old one may have to wait again.
        let rank = self.queue.rank_beside(rank);
        let mut task = Task::new(job, options, rank, turn.now);
        let id = self.number_of_piece(of, first);
        self.lots += 1;
        self.pieces.insert(id);
        if let Some(at) = deadline {
            self.timers.arm(&mut task.deadline_timer, at, Timer::Deadline(id));
        }
        self.requeue(id, task, turn);
        id
    }

    /// A lot that had begun has lost its worker. Gives back whether it goes on as it is: nothing is lost of it. Otherwise
    /// what had not begun goes on by itself.
    pub(super) fn bereaved_lot(&mut self, id: TaskId, task: &mut Task<P>, turn: &mut Turn<'_, P>) -> bool {
        if P::lost(&task.job) != Lost::Some {
            return P::open_items(&task.job) > 0;
        }
        if let Some((first, job)) = P::rest(&mut task.job) {
            self.enter_piece(id, first, job, (task.options, task.rank, task.deadline_timer), turn);
        }
        false
    }
}
