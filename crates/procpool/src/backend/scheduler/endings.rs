//! What a worker's end means for the task it held and for the workers to come.

use std::collections::VecDeque;
use std::iter;
use std::time::Duration;

use super::api::{Began, Evidence, OfferId, Placement, Resolution, TaskId, Unavailable, WorkerId};
use super::core::{Scheduler, Turn};
use super::facts::{End, Fact};
use super::life::{Assignment, Before, Halt, Hold, Life};
use super::payload::{Lost as LostItems, Payload};
use super::stopping::Kill;
use super::tasks::{Lost, Task};
use super::timers::Timer;

/// How an offer lost its worker.
struct Loss<P: Payload> {
    worker: WorkerId,
    evidence: Option<Evidence>,
    death: P::Death,
    /// By order.
    killed: bool,
    /// It was this offer's turn to be claimed, if it was not claimed already.
    first: bool,
}

impl<P: Payload> Scheduler<P> {
    /// A worker broke the protocol: there is nothing more to be had from it.
    pub(super) fn broken(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        match self.workers.get(worker).map(|worker| &worker.life) {
            // A worker on its way out may close what it likes; its time limit stands.
            None | Some(Life::Retiring | Life::Dying { .. }) => {}
            Some(Life::Starting { .. }) => self.kill_for(worker, Kill { to_blame: true, ..Kill::default() }, turn),
            Some(Life::Idle | Life::Busy(_)) => self.kill(worker, turn),
        }
    }

    /// A worker is gone (or never came to be): the moment of truth for its tasks.
    pub(super) fn exited(
        &mut self,
        id: WorkerId,
        evidence: &[(OfferId, Evidence)],
        death: P::Death,
        turn: &mut Turn<'_, P>,
    ) {
        self.disarm_worker(id);
        let Some(worker) = self.workers.remove(id, turn.now) else {
            return;
        };
        self.counts.workers_ended += 1;
        let why = worker.end.unwrap_or(match worker.life {
            Life::Starting { .. } => End::StartFailed,
            _ => End::Died,
        });
        turn.tell(Fact::Ended { worker: id, why, tasks_done: worker.tasks_done, death: death.clone() });
        let shared = worker.placement == Placement::Shared;
        match worker.life {
            Life::Starting { bound: Some(task), .. } => self.unborn(id, task, None, death, turn),
            Life::Starting { bound: None, .. } => self.start_failed(death, turn),
            Life::Idle if shared && worker.tasks_done == 0 => self.faltered(turn),
            // Somebody killed an idle worker, or it left as it was told: nobody's failure.
            Life::Idle | Life::Retiring => {}
            Life::Busy(first) => self.orphans(id, (first, worker.ahead), evidence, &death, false, turn),
            Life::Dying { hold, was } => match hold {
                Hold::Offer(first) => self.orphans(id, (first, worker.ahead), evidence, &death, true, turn),
                Hold::Bound(task, halt) => self.unborn(id, task, halt, death, turn),
                Hold::Nothing if was == Before::FailingStart && shared => self.start_failed(death, turn),
                Hold::Nothing => {}
            },
        }
    }

    /// A shared worker died before it was ready, and nobody asked for it.
    fn start_failed(&mut self, death: P::Death, turn: &mut Turn<'_, P>) {
        if let Some(pause) = self.starts.failed(death, &self.config) {
            self.pause_starts(pause, turn);
        }
    }

    /// A worker died idle before its first task. That may be anybody's doing, so it is no failed start; but what the
    /// initialiser left running may also have ended it, as it will end the next one, hence a pause before that.
    fn faltered(&mut self, turn: &mut Turn<'_, P>) {
        if let Some(pause) = self.starts.faltered(&self.config) {
            self.pause_starts(pause, turn);
        }
    }

    fn pause_starts(&mut self, pause: Duration, turn: &mut Turn<'_, P>) {
        self.timers.arm(&mut self.starts.blocked, turn.now.after(pause), Timer::Backoff);
        turn.tell(Fact::StartsPaused { pause, failures: self.starts.failures() });
    }

    /// A dedicated worker is gone before it was ready. There is no backoff: each was asked for by somebody, who now
    /// learns why there is none.
    fn unborn(&mut self, worker: WorkerId, id: TaskId, halt: Option<Halt>, death: P::Death, turn: &mut Turn<'_, P>) {
        let Some(task) = self.tasks.remove(&id) else {
            return;
        };
        let resolution = match halt {
            Some(halt) => Self::halted(&task, halt, Began::No, Some((worker, death))),
            None => {
                return self.end_unavailable(id, task, Unavailable::StartFailed { failures: 1, death }, turn);
            }
        };
        self.end(id, task, resolution, turn);
    }

    /// Ends a task for which there is no worker. If it was in an earlier attempt, it did not fail for want of a
    /// worker: it failed then, and can only not be tried again.
    pub(super) fn end_unavailable(
        &mut self,
        id: TaskId,
        mut task: Task<P>,
        why: Unavailable<P>,
        turn: &mut Turn<'_, P>,
    ) {
        let resolution = match task.lost.take() {
            Some(lost) => Resolution::WorkerDied { worker: lost.worker, began: lost.began, death: lost.death },
            None => Resolution::Unavailable(why),
        };
        self.end(id, task, resolution, turn);
    }

    /// A worker is gone with offers in hand.
    fn orphans(
        &mut self,
        worker: WorkerId,
        (first, ahead): (Assignment, VecDeque<Assignment>),
        evidence: &[(OfferId, Evidence)],
        death: &P::Death,
        killed: bool,
        turn: &mut Turn<'_, P>,
    ) {
        let found = |offer| evidence.iter().find(|(about, _)| *about == offer).map(|&(_, evidence)| evidence);
        // Done comes before the next claim: nobody runs two at a time.
        let claimed = evidence.iter().filter(|(_, evidence)| matches!(evidence, Evidence::Claimed { .. }));
        let liar = claimed.count() > 1;
        for (position, held) in iter::once(first).chain(ahead).enumerate() {
            let evidence = found(held.offer).map(|evidence| match evidence {
                Evidence::Claimed { .. } if liar => Evidence::Nonsense,
                other => other,
            });
            let loss = Loss { worker, evidence, death: death.clone(), killed, first: position == 0 };
            self.bereaved(held, loss, turn);
        }
    }

    /// An offer has lost its worker.
    fn bereaved(&mut self, held: Assignment, loss: Loss<P>, turn: &mut Turn<'_, P>) {
        let Loss { worker, evidence, death, killed, first } = loss;
        let id = held.task;
        let Some(mut task) = self.tasks.remove(&id) else {
            return;
        };
        let began = held.began(evidence);
        // That it was to end explains its end, whatever killed it in the end.
        if let Some(stop) = held.stop {
            let who = (killed || began != Began::No).then_some((worker, death));
            let resolution = Self::halted(&task, stop.halt, began, who);
            self.end(id, task, resolution, turn);
            return;
        }
        if began == Began::No {
            if let Some(resolution) = self.unbegun_end(&held, &task) {
                self.end(id, task, resolution, turn);
                return;
            }
            // Only to the one whose turn it was: the others may have had nothing but bad company.
            task.offers += u32::from(first);
            if task.offers < task.max_offers(&self.config) {
                self.requeue(id, task, turn);
                return;
            }
        }
        if began == Began::Yes && P::is_lot(&task.job) && self.bereaved_lot(id, &mut task, turn) {
            task.offers = if P::lost(&task.job) == LostItems::None { 0 } else { task.offers + u32::from(first) };
            if task.offers < task.max_offers(&self.config) {
                self.requeue(id, task, turn);
                return;
            }
            self.end(id, task, Resolution::WorkerDied { worker, began: Began::No, death }, turn);
            return;
        }
        if began != Began::No {
            // Until here; if there is no further attempt, nothing is left to be added.
            task.has_run(turn.now);
        }
        let began = task.began(began);
        let dropped = self.close.as_ref().is_some_and(|close| close.drops_queued());
        let is_final = began == Began::Yes && P::is_final(&death);
        if task.attempt > task.options.retries || dropped || is_final {
            self.end(id, task, Resolution::WorkerDied { worker, began, death }, turn);
            return;
        }
        // The queue limit is about the first claim; after that it has no say.
        self.timers.disarm(&mut task.queue_timer, Timer::Queue(id));
        task.attempt += 1;
        task.offers = 0;
        task.lost = Some(Box::new(Lost { worker, began, death }));
        self.counts.retried += 1;
        self.requeue(id, task, turn);
    }
}
