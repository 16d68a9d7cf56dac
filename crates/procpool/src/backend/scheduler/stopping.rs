//! Stopping tasks: cancels and time limits, from the polite to the final.

use std::time::Duration;

use super::api::{Action, Began, CancelReason, Overdue, Resolution, TaskId, WorkerId};
use super::core::{Scheduler, Turn};
use super::facts::End;
use super::life::{Claim, Halt, Hold, Life, Stage, Stop, Withdraw};
use super::payload::Payload;
use super::tasks::{Place, Task};

/// Why a worker is killed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kill {
    /// Why the task ends that it was only to get.
    pub(super) halt: Option<Halt>,
    /// A start that ends like this counts as failed.
    pub(super) to_blame: bool,
    /// The limit that it has passed.
    pub(super) overdue: Option<Overdue>,
}

impl<P: Payload> Scheduler<P> {
    pub(super) fn cancel(&mut self, id: TaskId, why: CancelReason, turn: &mut Turn<'_, P>) {
        self.halt(id, Halt::Cancel(why), turn);
        // The last ones first, as ever.
        for piece in self.pieces_of(id).into_iter().rev().filter(|piece| *piece != id) {
            self.halt(piece, Halt::Cancel(why), turn);
        }
    }

    /// Ends a task wherever it is: at once where no worker has it, otherwise as soon as it is certain that it does
    /// not run.
    pub(super) fn halt(&mut self, id: TaskId, halt: Halt, turn: &mut Turn<'_, P>) {
        let Some(place) = self.tasks.get(&id).map(|task| task.place) else {
            return;
        };
        match place {
            Place::Queued => {
                let Some(task) = self.tasks.remove(&id) else {
                    return;
                };
                self.queue.remove(task.rank);
                let resolution = Self::halted(&task, halt, Began::No, None);
                self.end(id, task, resolution, turn);
            }
            Place::Bound(worker) => self.halt_bound(worker, halt, turn),
            Place::Assigned(worker) => self.stop(worker, id, halt, turn),
        }
    }

    /// The resolution of a task that was stopped.
    pub(super) fn halted(
        task: &Task<P>,
        halt: Halt,
        began: Began,
        killed: Option<(WorkerId, P::Death)>,
    ) -> Resolution<P> {
        let began = task.began(began);
        match halt {
            Halt::Cancel(why) => Resolution::Cancelled { why, began, killed },
            Halt::RunLimit(limit) => Resolution::TimedOut { limit, killed },
            Halt::QueueLimit(limit) => Resolution::QueueTimedOut { limit },
            Halt::ShutDown => Resolution::ShutDown { began },
        }
    }

    /// A dedicated worker whose task is not wanted any more before it was ready.
    pub(super) fn halt_bound(&mut self, worker: WorkerId, halt: Halt, turn: &mut Turn<'_, P>) {
        match self.workers.get_mut(worker).map(|worker| &mut worker.life) {
            Some(Life::Starting { .. }) => self.kill_for(worker, Kill { halt: Some(halt), ..Kill::default() }, turn),
            // It is being killed already. The first reason counts; having failed to start is none of the task's.
            Some(Life::Dying { hold: Hold::Bound(_, why), .. }) => {
                why.get_or_insert(halt);
            }
            _ => {}
        }
    }

    /// Stops a task that was offered. The first reason counts.
    fn stop(&mut self, worker: WorkerId, id: TaskId, halt: Halt, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        let busy = matches!(entry.life, Life::Busy(_));
        let Some((position, held)) = entry.held_for(id) else {
            return;
        };
        if held.stop.is_some() {
            return;
        }
        let offer = held.offer;
        // An answer that is on its way counts; until it comes, or its time is up, there is nothing to do.
        let stage = if held.claim == Claim::Done { Stage::Confirming } else { Stage::Revoking };
        held.stop = Some(Stop { halt, stage });
        if !busy {
            return;
        }
        let claim = held.claim;
        if held.is_free() {
            held.revoking = true;
            turn.act(Action::Revoke { worker, offer });
        }
        // What is found to have begun behind another goes on once the answer to that one is here: it is on its way.
        if position == 0 {
            entry.since = turn.now;
            if let Claim::At(_) = claim {
                self.give_grace(worker, turn);
            }
        }
    }

    /// The task runs and is to end: it is told so, and has its grace to do it. Those behind it go elsewhere.
    pub(super) fn give_grace(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let Some((held, task)) = self.held(worker) else {
            return;
        };
        let Some(stop) = &mut held.stop else { return };
        stop.stage = Stage::Grace;
        let (offer, grace) = (held.offer, Self::grace(task));
        // The answers come before that to the last look: by then it is known whether the worker is past this task.
        self.revoke_ahead(worker, turn);
        turn.act(Action::SetCancel { worker, offer });
        if grace == Duration::ZERO {
            self.confirm(worker, turn);
        } else {
            self.arm_worker(worker, turn.now.after(grace));
        }
    }

    /// Before the kill: a last look. A task that is done by then is not worth a worker.
    fn confirm(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let Some((held, _)) = self.held(worker) else {
            return;
        };
        let Some(stop) = &mut held.stop else { return };
        stop.stage = Stage::Confirming;
        let offer = held.offer;
        turn.act(Action::Inspect { worker, offer });
    }

    /// A worker's own timer is due.
    pub(super) fn worker_due(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        entry.timer = None;
        match &mut entry.life {
            Life::Starting { booted, .. } => {
                let overdue = match booted {
                    false => Overdue::Hello(self.config.start_limit),
                    true => Overdue::Init(self.config.init_limit),
                };
                self.kill_for(worker, Kill { halt: None, to_blame: true, overdue: Some(overdue) }, turn);
            }
            Life::Retiring => {
                let overdue = Some(Overdue::Exit(self.config.exit_limit));
                self.kill_for(worker, Kill { overdue, ..Kill::default() }, turn);
            }
            Life::Idle | Life::Dying { .. } => {}
            Life::Busy(held) => match (held.claim, held.stop.map(|stop| stop.stage)) {
                // It said that its answer was sent; it was not.
                (Claim::Done | Claim::Revoked | Claim::Nonsense, _) => self.kill(worker, turn),
                (_, Some(Stage::Grace)) => self.confirm(worker, turn),
                // The shell owes an answer.
                (_, Some(Stage::Revoking | Stage::Confirming)) => {}
                // The run limit counts from the claim, and only the page knows when that was.
                (_, None) => {
                    let offer = held.offer;
                    if !self.look_at_lot(worker, turn) {
                        turn.act(Action::Inspect { worker, offer });
                    }
                }
            },
        }
    }

    /// A task was not claimed in time, as far as is known.
    pub(super) fn queue_due(&mut self, id: TaskId, turn: &mut Turn<'_, P>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.queue_timer = None;
        let Some(limit) = task.options.queue_limit else {
            return;
        };
        match task.place {
            Place::Queued | Place::Bound(_) => self.halt(id, Halt::QueueLimit(limit), turn),
            Place::Assigned(worker) => self.withdraw(worker, id, Withdraw::QueueLimit(limit), turn),
        }
    }

    /// The time that a task shares with others is up.
    pub(super) fn deadline_due(&mut self, id: TaskId, turn: &mut Turn<'_, P>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.deadline_timer = None;
        if let Some(deadline) = task.options.deadline {
            self.cancel(id, CancelReason::Deadline(deadline.whole), turn);
        }
    }

    /// Ends an offered task unless it has been claimed.
    pub(super) fn withdraw(&mut self, worker: WorkerId, id: TaskId, why: Withdraw, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        let busy = matches!(entry.life, Life::Busy(_));
        let Some((_, held)) = entry.held_for(id) else {
            return;
        };
        if !matches!(held.claim, Claim::Unknown | Claim::Revoked) {
            return;
        }
        held.withdraw.get_or_insert(why);
        if busy && !held.revoking {
            held.revoking = true;
            turn.act(Action::Revoke { worker, offer: held.offer });
        }
    }

    /// Kills a worker for what it does, or for what is wanted of the pool.
    pub(super) fn kill(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        self.kill_for(worker, Kill::default(), turn);
    }

    /// Kills a worker that has not taken the task it was offered.
    pub(super) fn kill_silent(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let overdue = Some(Overdue::Claim(self.config.claim_limit));
        self.kill_for(worker, Kill { overdue, ..Kill::default() }, turn);
    }

    /// Kills a worker, if that has not been done. What it holds is judged when it is gone; what has not begun is not
    /// to begin between now and then.
    pub(super) fn kill_for(&mut self, worker: WorkerId, why: Kill, turn: &mut Turn<'_, P>) {
        self.revoke_ahead(worker, turn);
        let end = self.workers.get(worker).map(|entry| self.end_by_kill(&entry.life, why));
        let killed = self.workers.change(worker, turn.now, |life| {
            let alive = !matches!(life, Life::Dying { .. });
            (life.kill(why.halt, why.to_blame), alive)
        });
        if killed == Some(true) {
            self.disarm_worker(worker);
            if let Some(end) = end {
                self.workers.ends(worker, end);
            }
            turn.act(Action::Kill { worker, overdue: why.overdue });
        }
    }

    /// What a worker that is killed now will have ended of.
    fn end_by_kill(&self, life: &Life, why: Kill) -> End {
        match life {
            Life::Starting { .. } if why.to_blame => End::StartFailed,
            // Nobody kills it for its own sake: it dies with its task, or with the pool.
            Life::Starting { .. } => match why.halt {
                Some(Halt::Cancel(_) | Halt::RunLimit(_) | Halt::QueueLimit(_)) => End::Stopped,
                Some(Halt::ShutDown) | None => End::Closed,
            },
            _ if matches!(why.overdue, Some(Overdue::Claim(_))) => End::Silent,
            Life::Busy(held) => match held.stop.map(|stop| stop.halt) {
                _ if held.claim == Claim::Nonsense => End::Died,
                Some(Halt::ShutDown) => End::Closed,
                Some(_) => End::Stopped,
                None => End::Died,
            },
            _ if self.kills_all() => End::Closed,
            _ => End::Died,
        }
    }
}
