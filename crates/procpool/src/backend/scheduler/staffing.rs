//! How many workers there are: start, growth, shrinking, replacement.

use std::time::Duration;

use super::api::{Action, Now, Placement, TaskId, Unavailable, WorkerId};
use super::core::{Scheduler, Turn};
use super::facts::{End, Fact};
use super::life::Life;
use super::payload::Payload;
use super::tasks::Place;
use super::timers::Timer;

impl<P: Payload> Scheduler<P> {
    /// Refuses what cannot be had, starts the workers that are missing, and keeps an eye on those that are too many.
    pub(super) fn staff(&mut self, turn: &mut Turn<'_, P>) {
        if self.close.is_none() {
            self.answer_warm(turn);
            self.watch_idle(turn);
        }
        if self.queue.wants_anything() && self.close.as_ref().is_none_or(|close| !close.drops_queued()) {
            self.refuse_pending(turn);
        }
        while self.wants_worker() && self.may_spawn() {
            self.spawn(Placement::Shared, None, turn);
        }
    }

    /// Whether another worker is called for. Each queued task calls for one that is not there, and so does each that
    /// lies behind another in a worker's hand; a burst of submissions starts as many workers as can be used, and a lone
    /// one a single worker. Once the pool is used, its spare workers come on top of those.
    fn wants_worker(&self) -> bool {
        let (tally, busy) = (self.workers.tally(), self.workers.busy());
        // What is not to begin any more wants nobody, though it may still be in the hands of the dying.
        let dropped = self.close.as_ref().is_some_and(|close| close.drops_queued());
        let wanting = match self.queue.len() + self.workers.ahead() {
            waiting if !dropped && self.free_worker().is_none() => u32::try_from(waiting).unwrap_or(u32::MAX),
            _ => 0,
        };
        let demanded = busy.saturating_add(wanting).min(self.max_workers());
        if tally.kept() < demanded {
            return true;
        }
        if self.close.is_some() {
            return false;
        }
        // Nobody waits, so what cannot be had at all is let be until somebody asks.
        let hopeless = !self.warming && tally.ready == 0 && self.starts.hopeless(&self.config);
        let least = if self.warm { self.config.min_workers } else { 0 };
        !hopeless && tally.kept() < demanded.max(least).saturating_add(self.spares())
    }

    /// How many spare workers are to be there just now: none in a pool that nobody has used.
    fn spares(&self) -> u32 {
        if self.warm || self.counts.submitted > 0 { self.config.spares } else { 0 }
    }

    /// The worker that is to have the next task: the one that worked last. `None` also while as many have tasks as may.
    pub(super) fn free_worker(&self) -> Option<WorkerId> {
        if self.has_room() { self.workers.top_idle() } else { None }
    }

    /// Whether one more worker may have a task.
    pub(crate) fn has_room(&self) -> bool {
        self.workers.busy() < self.max_workers()
    }

    /// Whether one may be started. Retiring workers have their replacement at once, so that throughput does not dip
    /// while they run their exit hooks; but if those hooks are slow and workers short-lived, processes would pile up:
    /// so there are never more than twice as many as there may be.
    fn may_spawn(&self) -> bool {
        let tally = self.workers.tally();
        let max = self.most_workers();
        tally.live() < max
            && tally.live() + tally.leaving < max.saturating_mul(2)
            // A start that has failed counts until its worker is gone: only then is it known, and is there a pause.
            && tally.starting + tally.failing < self.starts.at_a_time()
    }

    /// How many may have tasks at a time.
    pub(super) fn max_workers(&self) -> u32 {
        self.config.max_workers.max(self.config.min_workers).max(1)
    }

    /// How many there may be, the spare ones included.
    pub(super) fn most_workers(&self) -> u32 {
        self.max_workers().saturating_add(self.config.spares)
    }

    fn spawn(&mut self, placement: Placement, bound: Option<TaskId>, turn: &mut Turn<'_, P>) -> WorkerId {
        let worker = self.workers.add(placement, Life::Starting { booted: false, bound }, turn.now);
        self.arm_worker(worker, turn.now.after(self.config.start_limit));
        self.counts.workers_spawned += 1;
        turn.act(Action::Spawn { worker, placement });
        worker
    }

    /// Starts the worker of a dedicated task.
    pub(super) fn spawn_dedicated(&mut self, id: TaskId, turn: &mut Turn<'_, P>) {
        let worker = self.spawn(Placement::Dedicated, Some(id), turn);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.place = Place::Bound(worker);
        }
    }

    /// Everybody who waits for a worker is told that there is none, if that is so.
    fn refuse_pending(&mut self, turn: &mut Turn<'_, P>) {
        let Some(why) = self.unavailable() else {
            return;
        };
        // They first: nobody is to be let in by the end of the others.
        self.refuse_bookings(&why, turn);
        while let Some(id) = self.queue.pop() {
            if let Some(task) = self.tasks.remove(&id) {
                self.end_unavailable(id, task, why.clone(), turn);
            }
        }
    }

    /// Whether no worker is ready or coming, and for now none will be started. While somebody works, or may come to,
    /// tasks stay queued for them.
    pub(super) fn unavailable(&self) -> Option<Unavailable<P>> {
        if self.workers.tally().kept() > 0 {
            return None;
        }
        self.starts.refusal(&self.config)
    }

    /// The process exists.
    pub(super) fn spawned(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        if self.workers.get(worker).is_some() {
            turn.tell(Fact::Started { worker });
        }
    }

    /// The worker said hello; its initialiser runs.
    pub(super) fn booted(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let booted = self.workers.change(worker, turn.now, |life| match life {
            Life::Starting { booted: false, bound } => (Life::Starting { booted: true, bound }, true),
            other => (other, false),
        });
        if booted == Some(true) {
            self.arm_worker(worker, turn.now.after(self.config.init_limit));
        }
    }

    /// The worker takes tasks.
    pub(super) fn ready(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let started = self.workers.change(worker, turn.now, |life| match life {
            Life::Starting { bound, .. } => (Life::Idle, Some(bound)),
            other => (other, None),
        });
        let Some(Some(bound)) = started else { return };
        self.disarm_worker(worker);
        let took = self.workers.get(worker).map_or(Duration::ZERO, |entry| turn.now.since(entry.born));
        turn.tell(Fact::Ready { worker, took });
        if let Some(task) = bound {
            // Its task is there: had it ended, the worker would have been killed.
            self.offer(worker, task, turn);
            return;
        }
        self.starts.succeeded();
        self.timers.disarm(&mut self.starts.blocked, Timer::Backoff);
        self.after_task(worker, turn);
    }

    /// The worker is to be replaced as soon as it has answered. What it was given ahead it does not take any more.
    pub(super) fn worn(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker) else {
            return;
        };
        entry.worn = true;
        if matches!(entry.life, Life::Idle) {
            self.after_task(worker, turn);
        } else {
            self.revoke_ahead(worker, turn);
        }
    }

    /// A worker has nothing in hand: it stays for the next task, or it goes.
    ///
    /// When the pool was made smaller, whoever is free first goes until the size is right: no task is disturbed, and
    /// those who stay keep their names.
    pub(super) fn after_task(&mut self, worker: WorkerId, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get(worker) else {
            return;
        };
        let spent = self.config.max_tasks.is_some_and(|max| entry.tasks_done >= max);
        let dedicated = entry.placement == Placement::Dedicated;
        if entry.worn {
            self.retire(worker, End::Worn, turn);
        } else if spent || dedicated {
            self.retire(worker, End::Recycled, turn);
        } else if self.workers.tally().kept() > self.most_workers() {
            self.retire(worker, End::Resized, turn);
        }
    }

    /// Lets an idle worker go.
    pub(super) fn retire(&mut self, worker: WorkerId, why: End, turn: &mut Turn<'_, P>) {
        let retired = self.workers.change(worker, turn.now, |life| match life {
            Life::Idle => (Life::Retiring, true),
            other => (other, false),
        });
        if retired == Some(true) {
            self.workers.ends(worker, why);
            self.arm_worker(worker, turn.now.after(self.config.exit_limit));
            turn.act(Action::Retire { worker });
        }
    }

    pub(super) fn warm(&mut self, turn: &mut Turn<'_, P>) {
        if self.close.is_some() {
            turn.act(Action::Warmed { result: Err(Unavailable::Closed) });
            return;
        }
        self.warm = true;
        self.warming = true;
    }

    fn answer_warm(&mut self, turn: &mut Turn<'_, P>) {
        if !self.warming {
            return;
        }
        let result = if self.workers.tally().ready >= self.config.min_workers {
            Ok(())
        // Also while others work: whoever waits for the minimum would otherwise wait as long as the trouble lasts.
        } else if let Some(why) = self.starts.refusal(&self.config) {
            Err(why)
        } else {
            return;
        };
        self.warming = false;
        turn.act(Action::Warmed { result });
    }

    /// Another size. Of workers that are too many those go first that are not ready: they have done nothing, and would
    /// only become ready to be told to go. Then idle ones, the longest idle first: they are the coldest. The others go
    /// when their task is over: that one, and not all that lies behind it, so every hand gives that back. Nobody is given
    /// anything ahead again before the size is right.
    pub(super) fn resize(&mut self, min: u32, max: u32, turn: &mut Turn<'_, P>) {
        if !self.is_over() {
            turn.tell(Fact::Resized { min, max });
        }
        self.config.min_workers = min;
        self.config.max_workers = max;
        while self.workers.tally().kept() > self.most_workers() {
            if let Some(worker) = self.workers.latest_start() {
                self.workers.ends(worker, End::Resized);
                self.kill(worker, turn);
            } else if let Some((_, worker)) = self.workers.longest_idle() {
                self.retire(worker, End::Resized, turn);
            } else {
                for worker in self.workers.ids() {
                    self.revoke_ahead(worker, turn);
                }
                break;
            }
        }
    }

    /// How long the longest idle worker may stay, if there are more than are kept.
    fn idle_deadline(&self) -> Option<(Now, WorkerId)> {
        let timeout = self.config.idle_timeout?;
        let (tally, busy) = (self.workers.tally(), self.workers.busy());
        if tally.kept() <= busy.max(self.config.min_workers).saturating_add(self.spares()) {
            return None;
        }
        let (since, worker) = self.workers.longest_idle()?;
        Some((since.after(timeout), worker))
    }

    /// Arms the idle timer when it is not: while it is, it is due no later than any worker could be. Who was kept as a
    /// spare worker beyond its time goes as soon as fewer are needed.
    fn watch_idle(&mut self, turn: &mut Turn<'_, P>) {
        if self.config.idle_timeout.is_none() || self.idle_timer.is_some() {
            return;
        }
        self.retire_idle(turn);
        if let Some((at, _)) = self.idle_deadline() {
            self.timers.arm(&mut self.idle_timer, at, Timer::Idle);
        }
    }

    /// Settling lets go whom nobody has needed for long, and arms the timer again for the next one.
    pub(super) fn idle_due(&mut self) {
        self.idle_timer = None;
    }

    fn retire_idle(&mut self, turn: &mut Turn<'_, P>) {
        while let Some((at, worker)) = self.idle_deadline() {
            if at > turn.now {
                break;
            }
            self.retire(worker, End::Idle, turn);
        }
    }
}
