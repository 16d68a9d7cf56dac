//! Giving tasks to workers, and learning what became of them.

use std::time::Duration;

use super::api::{Action, Batch, Began, Evidence, Now, OfferId, Placement, Resolution, TaskId, WorkerId};
use super::core::{Scheduler, Turn};
use super::life::{Assignment, Claim, Halt, Life, Stage, Stop, Withdraw};
use super::payload::Payload;
use super::tasks::{Place, Task};
use super::timers::Timer;

/// How long an answer may take to be read after its worker has said that all of it was sent. It is in the socket by
/// then, and the shell reads sockets before it lets time pass: a worker that lets this run out has lied.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How long an unclaimed offer is left alone before its run limit is looked into again, however short that is: else
/// a limit of zero would mean looking all the time.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl<P: Payload> Scheduler<P> {
    /// Hands a task to a worker that is idle (or has just become ready for it).
    pub(super) fn offer(&mut self, worker: WorkerId, id: TaskId, turn: &mut Turn<'_, P>) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let offer = OfferId(self.next_offer);
        self.next_offer += 1;
        task.has_waited(turn.now);
        task.place = Place::Assigned(worker);
        let run_limit = task.options.run_limit;
        let held = Assignment::new(id, offer, task.rank, task.options.batch, turn.now);
        self.workers.change(worker, turn.now, |_| (Life::Busy(held), ()));
        if let Some(limit) = run_limit {
            // It cannot be claimed before now, so nothing has to be looked at sooner.
            self.arm_worker(worker, turn.now.after(limit));
        }
        self.watch_lot(worker, turn);
        self.watch_claims(turn.now);
        turn.act(Action::Offer { worker, offer, task: id });
    }

    /// The claim watch costs the hot path one comparison: while its timer is armed, it is armed for some offer that
    /// is older than this one.
    pub(super) fn watch_claims(&mut self, offered: Now) {
        if self.claims_timer.is_none() {
            let at = offered.after(self.config.claim_limit);
            self.timers.arm(&mut self.claims_timer, at, Timer::Claims);
        }
    }

    /// The claim watch looks at what has not been claimed for too long, and sleeps until the next offer can be.
    pub(super) fn claims_due(&mut self, turn: &mut Turn<'_, P>) {
        self.claims_timer = None;
        let mut next: Option<Now> = None;
        for worker in self.workers.ids() {
            let Some(Life::Busy(held)) = self.workers.get_mut(worker).map(|worker| &mut worker.life) else {
                continue;
            };
            if !held.unverified() {
                continue;
            }
            let due = held.since.after(self.config.claim_limit);
            if due <= turn.now {
                held.watched = true;
                turn.act(Action::Inspect { worker, offer: held.offer });
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        if let Some(at) = next {
            self.timers.arm(&mut self.claims_timer, at, Timer::Claims);
        }
    }

    /// An answer has arrived. It counts in every phase in which the offer is still held: also when the task is being
    /// stopped, and when its worker is being killed.
    pub(super) fn replied(&mut self, worker: WorkerId, offer: OfferId, reply: P::Reply, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        let Some(position) = entry.position(offer) else {
            return;
        };
        if entry.hand().nth(position).is_none_or(|held| held.claim == Claim::Revoked) {
            return;
        }
        entry.tasks_done = entry.tasks_done.saturating_add(1);
        // Answers come in the order of the offers; those that are being taken back are passed over.
        let passed_over = entry.hand().take(position).any(|held| !held.revoking);
        let held = match position.checked_sub(1) {
            None => self.release(worker, turn),
            Some(index) => self.workers.remove_ahead(worker, index),
        };
        let Some(held) = held else { return };
        if let Some(task) = self.tasks.remove(&held.task) {
            if task.options.batch != Batch::One {
                let (count, time) = P::effort(&task.job, &reply, turn.now.since(held.since));
                self.pace.took_all(count, time);
            }
            // A lot that was stopped ends without some of its items.
            let resolution = match held.stop.filter(|_| P::is_lot(&task.job)) {
                Some(stop) => Self::halted(&task, stop.halt, Began::Yes, None),
                None => Resolution::Replied { worker, reply },
            };
            self.end(held.task, task, resolution, turn);
        }
        if passed_over {
            self.kill(worker, turn);
        } else if position == 0 {
            self.go_on(worker, turn);
        }
    }

    /// The first offer has left a worker's hand: the next one's turn has come, if there is one.
    fn go_on(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let Some((held, task)) = self.held(worker) else {
            self.after_task(worker, turn);
            return;
        };
        held.since = turn.now;
        task.has_waited(turn.now);
        let run_limit = task.options.run_limit.filter(|_| held.stop.is_none());
        match held.claim {
            Claim::Unknown => {
                if let Some(limit) = run_limit {
                    // It may have been claimed a little earlier; the page will tell.
                    self.arm_worker(worker, turn.now.after(limit));
                }
                self.watch_claims(turn.now);
                self.watch_lot(worker, turn);
            }
            Claim::At(_) => {
                self.claimed(worker, turn);
                self.watch_lot(worker, turn);
            }
            Claim::Done => self.arm_worker(worker, turn.now.after(ANSWER_LIMIT)),
            Claim::Revoked | Claim::Nonsense => {}
        }
    }

    /// Takes the offer out of a worker's hand.
    pub(super) fn release(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) -> Option<Assignment> {
        let held = self.workers.release(worker, turn.now)?;
        self.disarm_worker(worker);
        Some(held)
    }

    /// Evidence about an offer. What is decided depends on what is known and wanted now, and not on the question that
    /// was asked: questions and answers may cross with cancels, time limits and each other.
    pub(super) fn evidence(&mut self, worker: WorkerId, offer: OfferId, evidence: Evidence, turn: &mut Turn<'_, P>) {
        // A dying worker is looked at once more when it is gone; that is when its tasks are judged.
        let Some(Life::Busy(held)) = self.workers.get_mut(worker).map(|worker| &mut worker.life) else {
            return;
        };
        if held.offer != offer {
            return self.evidence_ahead(worker, offer, evidence, turn);
        }
        held.watched = false;
        if std::mem::take(&mut held.suspected) {
            self.relieve(worker, evidence, turn);
        }
        let Some((held, _)) = self.held(worker) else {
            return;
        };
        match (held.claim, evidence) {
            (Claim::Unknown, Evidence::Offered { since }) => {
                held.since = held.since.max(since.min(turn.now));
                self.still_offered(worker, turn);
            }
            (Claim::Unknown, Evidence::Revoked) => self.withdrawn(worker, turn),
            (Claim::Unknown | Claim::At(_), Evidence::Claimed { at }) => {
                // The first value counts, so that a worker cannot push its time limit before it.
                if held.claim == Claim::Unknown {
                    held.claim = Claim::At(at.min(turn.now));
                }
                self.claimed(worker, turn);
            }
            (Claim::Unknown | Claim::At(_), Evidence::Done) => self.done(worker, turn),
            (Claim::Done, Evidence::Done) | (Claim::Revoked, _) => {}
            // A value that cannot be, or a page that went backwards.
            (Claim::Nonsense, _) | (_, Evidence::Nonsense) | (Claim::At(_) | Claim::Done, _) => {
                held.claim = Claim::Nonsense;
                self.kill(worker, turn);
            }
        }
    }

    /// The worker is past its first task: the answer is on its way.
    pub(super) fn done(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        if let Some((held, _)) = self.held(worker) {
            held.claim = Claim::Done;
            self.claim_known(worker);
            self.arm_worker(worker, turn.now.after(ANSWER_LIMIT));
        }
    }

    /// Not claimed yet: the run has not begun, but the worker may be silent.
    fn still_offered(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let claim_limit = self.config.claim_limit;
        let Some((held, task)) = self.held(worker) else {
            return;
        };
        if held.revoking {
            return;
        }
        let (offer, overdue) = (held.offer, held.since.after(claim_limit));
        let run_limit = task.options.run_limit.filter(|_| held.stop.is_none());
        if let Some(limit) = run_limit {
            self.arm_worker(worker, turn.now.after(limit.max(LOOK_AGAIN)));
        }
        if overdue <= turn.now {
            if let Some((held, _)) = self.held(worker) {
                held.silent = true;
                held.revoking = true;
            }
            // From the last to the first: if nothing could be claimed to the end, nothing runs.
            self.revoke_ahead(worker, turn);
            turn.act(Action::Revoke { worker, offer });
        } else if self.claims_timer.is_none_or(|at| overdue < at) {
            self.timers.arm(&mut self.claims_timer, overdue, Timer::Claims);
        }
    }

    /// The first claim is known: what was only to happen to an unclaimed task is off.
    fn claim_known(&mut self, worker: WorkerId) {
        let Some((held, task)) = self.held(worker) else {
            return;
        };
        held.revoking = false;
        held.silent = false;
        held.withdraw = None;
        let (id, mut timer) = (held.task, task.queue_timer.take());
        self.timers.disarm(&mut timer, Timer::Queue(id));
    }

    /// The task runs. If it is to stop, that goes on; otherwise its run limit has something to count from.
    pub(super) fn claimed(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        self.claim_known(worker);
        let Some((held, task)) = self.held(worker) else {
            return;
        };
        let Claim::At(at) = held.claim else { return };
        match (held.stop.map(|stop| stop.stage), task.options.run_limit) {
            (Some(Stage::Revoking), _) => self.give_grace(worker, turn),
            (Some(Stage::Confirming), _) => self.kill(worker, turn),
            (Some(Stage::Grace), _) | (None, None) => {}
            (None, Some(limit)) => {
                let due = at.after(limit);
                if due <= turn.now {
                    held.stop = Some(Stop { halt: Halt::RunLimit(limit), stage: Stage::Revoking });
                    self.give_grace(worker, turn);
                } else {
                    self.arm_worker(worker, due);
                }
            }
        }
    }

    /// The offer was taken back: the task is free, and so is the worker, unless it was taken back for being silent.
    fn withdrawn(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let config = self.config;
        let Some((held, task)) = self.held(worker) else {
            return;
        };
        let max_offers = task.max_offers(&config);
        let ends = held.stop.is_some() || held.withdraw.is_some();
        if held.silent && !ends && task.offers + 1 >= max_offers {
            // It fails, and its error names the worker's death: so it stays in the worker's hand until that is known.
            held.claim = Claim::Revoked;
            self.kill_silent(worker, turn);
            return;
        }
        let Some(held) = self.release(worker, turn) else {
            return;
        };
        self.reclaimed(&held, turn);
        if held.silent {
            self.kill_silent(worker, turn);
        } else {
            self.go_on(worker, turn);
        }
    }

    /// What becomes of a task whose offer was taken back.
    pub(super) fn reclaimed(&mut self, held: &Assignment, turn: &mut Turn<'_, P>) {
        let Some(mut task) = self.tasks.remove(&held.task) else {
            return;
        };
        task.offers += u32::from(held.silent);
        match self.unbegun_end(held, &task) {
            Some(resolution) => self.end(held.task, task, resolution, turn),
            None => self.requeue(held.task, task, turn),
        }
    }

    /// How a task ends that turned out not to be claimed; `None` if it is to be offered again.
    pub(super) fn unbegun_end(&self, held: &Assignment, task: &Task<P>) -> Option<Resolution<P>> {
        match (held.stop, held.withdraw) {
            (Some(stop), _) => Some(Self::halted(task, stop.halt, Began::No, None)),
            (None, Some(Withdraw::QueueLimit(limit))) => Some(Resolution::QueueTimedOut { limit }),
            (None, Some(Withdraw::ShutDown)) => Some(Self::halted(task, Halt::ShutDown, Began::No, None)),
            (None, None) => None,
        }
    }

    /// A task that lost its worker goes back to where it was in the queue: it has had its turn to wait. A dedicated
    /// one gets a fresh worker.
    pub(super) fn requeue(&mut self, id: TaskId, mut task: Task<P>, turn: &mut Turn<'_, P>) {
        if self.close.as_ref().is_some_and(|close| close.drops_queued()) {
            let resolution = Self::halted(&task, Halt::ShutDown, Began::No, None);
            self.end(id, task, resolution, turn);
            return;
        }
        let dedicated = task.options.placement == Placement::Dedicated;
        task.has_waited(turn.now);
        task.place = Place::Queued;
        if !dedicated {
            self.queue.enter_anyway(task.rank, id);
        }
        self.tasks.insert(id, task);
        if dedicated {
            self.spawn_dedicated(id, turn);
        }
    }

    /// The offer in the hand of a busy worker, with its task.
    pub(super) fn held(&mut self, worker: WorkerId) -> Option<(&mut Assignment, &mut Task<P>)> {
        let Life::Busy(held) = &mut self.workers.get_mut(worker)?.life else {
            return None;
        };
        let task = self.tasks.get_mut(&held.task)?;
        Some((held, task))
    }

    pub(super) fn arm_worker(&mut self, worker: WorkerId, at: Now) {
        if let Some(entry) = self.workers.get_mut(worker) {
            self.timers.arm(&mut entry.timer, at, Timer::Worker(worker));
        }
    }

    pub(super) fn disarm_worker(&mut self, worker: WorkerId) {
        if let Some(entry) = self.workers.get_mut(worker) {
            self.timers.disarm(&mut entry.timer, Timer::Worker(worker));
        }
    }
}
