//! The scheduler itself: what it knows, and where its events go.

use std::collections::BTreeSet;
use std::time::Duration;

use super::api::{
    Action, Admission, Closing, Counts, Event, Now, OfferId, Placement, Resolution, SchedulerConfig, TaskId,
    TaskOptions, TaskPhase, Unavailable, WorkerId, WorkerPhase, WorkerView,
};
use super::closing::Close;
use super::facts::Fact;
use super::life::{Life, Stop};
use super::pace::Pace;
use super::payload::Payload;
use super::queue::{Entry, Queue};
use super::reservations::Reservations;
use super::starts::Starts;
use super::tasks::{Place, Task, Tasks};
use super::timers::{Timer, Timers};
use super::workers::{Worker, Workers};

/// Decides who runs what. Told facts by [`handle`](Self::handle), it answers with decisions and never waits.
///
/// Each call changes what the event is about and then *settles*: idle workers get queued tasks, missing workers are
/// started, what cannot be had is refused, a close is carried on. Settling looks at the state alone and not at the
/// event that led to it, so there is no event after which somebody could be forgotten.
pub(crate) struct Scheduler<P: Payload> {
    pub(super) config: SchedulerConfig,
    pub(super) tasks: Tasks<P>,
    pub(super) queue: Queue,
    pub(super) reservations: Reservations,
    pub(super) workers: Workers,
    pub(super) timers: Timers,
    pub(super) starts: Starts<P>,
    /// Asked to keep the minimum.
    pub(super) warm: bool,
    /// Somebody waits for `Warmed`.
    pub(super) warming: bool,
    pub(super) close: Option<Close>,
    /// The settings of the timers that exist once.
    pub(super) claims_timer: Option<Now>,
    pub(super) idle_timer: Option<Now>,
    pub(super) counts: Counts,
    pub(super) pace: Pace,
    /// How many of the tasks are lots.
    pub(super) lots: usize,
    /// The tasks that were made of the rest of a lot.
    pub(super) pieces: BTreeSet<TaskId>,
    pub(super) next_task: u64,
    pub(super) next_reservation: u64,
    pub(super) next_offer: u64,
}

/// What a call has to work with: the time, and where its decisions go.
pub(super) struct Turn<'a, P: Payload> {
    pub(super) now: Now,
    pub(super) actions: &'a mut Vec<Action<P>>,
}

impl<P: Payload> Turn<'_, P> {
    pub(super) fn act(&mut self, action: Action<P>) {
        self.actions.push(action);
    }

    pub(super) fn tell(&mut self, fact: Fact<P>) {
        self.actions.push(Action::Tell(fact));
    }
}

impl<P: Payload> Scheduler<P> {
    /// A pool without workers; nothing is started before the first task or [`Event::Warm`].
    pub(crate) fn new(config: SchedulerConfig) -> Self {
        Scheduler {
            queue: Queue::new(&config),
            reservations: Reservations::default(),
            config,
            tasks: Tasks::default(),
            workers: Workers::default(),
            timers: Timers::default(),
            starts: Starts::new(),
            warm: false,
            warming: false,
            close: None,
            claims_timer: None,
            idle_timer: None,
            counts: Counts::default(),
            pace: Pace::default(),
            lots: 0,
            pieces: BTreeSet::new(),
            next_task: 0,
            next_reservation: 0,
            next_offer: 0,
        }
    }

    /// Takes a task. A refusal comes as [`Action::Resolve`] too, so that there is one way for a task to end.
    pub(crate) fn submit(
        &mut self,
        job: P::Job,
        options: TaskOptions,
        now: Now,
        actions: &mut Vec<Action<P>>,
    ) -> TaskId {
        let turn = &mut Turn { now, actions };
        let is_lot = P::is_lot(&job);
        let id = self.number(is_lot);
        if is_lot {
            self.lots += 1;
        } else {
            self.counts.submitted += 1;
        }
        // From here on the place is the task's, or free.
        let reserved = match options.admission {
            Admission::Wait | Admission::Bounded => false,
            Admission::Reserved(reservation) => self.unreserve(reservation),
        };
        let dedicated = options.placement == Placement::Dedicated;
        let rank = self.queue.rank(now, options.priority);
        let task = Task::new(job, options, rank, now);
        let refusal = match self.refusal() {
            Some(Unavailable::Closed) => Some(Resolution::Unavailable(Unavailable::Closed)),
            Some(why) if !dedicated => Some(Resolution::Unavailable(why)),
            _ if dedicated => None,
            _ => match self.free_worker() {
                Some(_) => None,
                None if reserved => {
                    self.queue.enter_anyway(rank, id);
                    None
                }
                None => match self.queue.enter(rank, id, options.admission) {
                    Entry::Admitted => None,
                    Entry::Full => Some(Resolution::QueueFull),
                },
            },
        };
        if let Some(refusal) = refusal {
            self.end(id, task, refusal, turn);
        } else {
            self.accept(id, task, turn);
        }
        if reserved {
            self.queue.promote();
        }
        self.settle(turn);
        id
    }

    /// An accepted task goes where it can: to its own worker, to an idle one, or it is in the queue already.
    fn accept(&mut self, id: TaskId, mut task: Task<P>, turn: &mut Turn<'_, P>) {
        if let Some(limit) = task.options.queue_limit {
            self.timers.arm(&mut task.queue_timer, turn.now.after(limit), Timer::Queue(id));
        }
        if let Some(deadline) = task.options.deadline {
            self.timers.arm(&mut task.deadline_timer, turn.now.after(deadline.left), Timer::Deadline(id));
        }
        let dedicated = task.options.placement == Placement::Dedicated;
        self.tasks.insert(id, task);
        if dedicated {
            self.spawn_dedicated(id, turn);
        } else if let Some(worker) = self.free_worker() {
            self.offer(worker, id, turn);
        }
    }

    /// Tells a fact, and appends what is to be done about it. Facts about workers, tasks and offers that are no more
    /// are ignored: they crossed with the decision that ended them.
    pub(crate) fn handle(&mut self, event: Event<P>, now: Now, actions: &mut Vec<Action<P>>) {
        self.handle_some(&mut std::iter::once(event), now, actions);
    }

    /// The same for facts that were learnt together; what follows from them is looked at once. Takes no more of them than
    /// up to the first that asks for anything but to be told: the others may be about what is to be done.
    pub(crate) fn handle_some(
        &mut self,
        events: &mut impl Iterator<Item = Event<P>>,
        now: Now,
        actions: &mut Vec<Action<P>>,
    ) {
        let turn = &mut Turn { now, actions };
        for event in events {
            let known = turn.actions.len();
            self.learn(event, turn);
            let is_news = |action: &Action<P>| matches!(action, Action::Resolve { .. } | Action::Tell(_));
            if !turn.actions.iter().skip(known).all(is_news) {
                break;
            }
        }
        self.pace.settle();
        self.settle(turn);
    }

    fn learn(&mut self, event: Event<P>, turn: &mut Turn<'_, P>) {
        match event {
            Event::Cancel { task, why } => self.cancel(task, why, turn),
            Event::Spawned { worker } => self.spawned(worker, turn),
            Event::SpawnFailed { worker, death } => self.exited(worker, &[], death, turn),
            Event::Booted { worker } => self.booted(worker, turn),
            Event::Ready { worker } => self.ready(worker, turn),
            Event::Worn { worker } => self.worn(worker, turn),
            Event::Replied { worker, offer, reply } => self.replied(worker, offer, reply, turn),
            Event::Relieved { worker, offer, rest } => self.relieved(worker, offer, rest, turn),
            Event::Evidence { worker, offer, evidence } => self.evidence(worker, offer, evidence, turn),
            Event::Broken { worker } => self.broken(worker, turn),
            Event::Exited { worker, evidence, death } => self.exited(worker, &evidence, death, turn),
            Event::Warm => self.warm(turn),
            Event::Resize { min, max } => self.resize(min, max, turn),
            Event::Close { how } => self.close(how, turn),
            Event::Unreserve { reservation } => {
                if self.unreserve(reservation) {
                    self.queue.promote();
                }
            }
            Event::Tick => {
                while let Some(timer) = self.timers.pop_due(turn.now) {
                    self.fire(timer, turn);
                }
            }
        }
    }

    fn fire(&mut self, timer: Timer, turn: &mut Turn<'_, P>) {
        match timer {
            Timer::Worker(worker) => self.worker_due(worker, turn),
            Timer::Queue(task) => self.queue_due(task, turn),
            Timer::Reservation(reservation) => self.reservation_due(reservation, turn),
            Timer::Deadline(task) => self.deadline_due(task, turn),
            Timer::Claims => self.claims_due(turn),
            Timer::Idle => self.idle_due(),
            // Settling starts the next worker, if anybody wants one.
            Timer::Backoff => self.starts.blocked = None,
            Timer::Close => {
                if let Some(close) = &mut self.close {
                    close.timer = None;
                }
                self.close(Closing::Kill, turn);
            }
        }
    }

    /// Derives from the state what is to be done next. Cheap when there is nothing.
    fn settle(&mut self, turn: &mut Turn<'_, P>) {
        self.queue.set_ahead(self.workers.ahead());
        while let Some(worker) = self.free_worker() {
            let Some(task) = self.queue.pop() else { break };
            if !self.outwaited(task, turn) {
                self.offer(worker, task, turn);
            }
        }
        self.look_ahead(turn);
        self.answer_granted(turn);
        self.staff(turn);
        self.settle_close(turn);
    }

    /// Ends a task out of the queue whose time to wait is over, though its timer has not fired yet: it must not start any
    /// more.
    pub(super) fn outwaited(&mut self, id: TaskId, turn: &mut Turn<'_, P>) -> bool {
        let task = self.tasks.get(&id).filter(|task| task.is_overdue(turn.now));
        let Some(limit) = task.and_then(|task| task.options.queue_limit) else {
            return false;
        };
        if let Some(task) = self.tasks.remove(&id) {
            self.end(id, task, Resolution::QueueTimedOut { limit }, turn);
        }
        true
    }

    /// Why a submission is refused, if it is.
    pub(super) fn refusal(&self) -> Option<Unavailable<P>> {
        if self.close.is_some() {
            return Some(Unavailable::Closed);
        }
        self.unavailable()
    }

    /// The one way for a task to end.
    pub(super) fn end(&mut self, id: TaskId, mut task: Task<P>, resolution: Resolution<P>, turn: &mut Turn<'_, P>) {
        self.timers.disarm(&mut task.queue_timer, Timer::Queue(id));
        self.timers.disarm(&mut task.deadline_timer, Timer::Deadline(id));
        self.forget_lot(id, &task);
        let count = match &resolution {
            Resolution::Replied { .. } => &mut self.counts.replied,
            Resolution::Cancelled { .. } => &mut self.counts.cancelled,
            Resolution::TimedOut { .. } => &mut self.counts.timed_out,
            Resolution::QueueTimedOut { .. } => &mut self.counts.queue_timed_out,
            Resolution::WorkerDied { .. } => &mut self.counts.worker_died,
            Resolution::QueueFull => &mut self.counts.queue_full,
            Resolution::Unavailable(_) => &mut self.counts.unavailable,
            Resolution::ShutDown { .. } => &mut self.counts.shut_down,
        };
        *count += 1;
        let timing = task.timing(&resolution, turn.now);
        turn.act(Action::Resolve { task: id, job: task.job, resolution, attempts: task.attempt, timing });
    }

    /// When [`Event::Tick`] is due next, at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Now> {
        self.timers.next()
    }

    /// What an unresolved task is to run.
    pub(crate) fn job(&self, task: TaskId) -> Option<&P::Job> {
        self.tasks.get(&task).map(|task| &task.job)
    }

    /// Until when no worker is started, after some died before they were ready.
    pub(crate) fn starts_paused_until(&self) -> Option<Now> {
        self.starts.blocked
    }

    /// What a worker that has not answered yet was started for, if it is a dedicated one.
    pub(crate) fn dedicated_job(&self, worker: WorkerId) -> Option<&P::Job> {
        match self.workers.get(worker)?.life {
            Life::Starting { bound: Some(task), .. } => self.job(task),
            _ => None,
        }
    }

    /// The same, for whoever keeps the account of it.
    pub(crate) fn job_mut(&mut self, task: TaskId) -> Option<&mut P::Job> {
        self.tasks.get_mut(&task).map(|task| &mut task.job)
    }

    /// The attempt that an unresolved task is in: 1 for the first, and for tasks that are not known.
    pub(crate) fn attempt(&self, task: TaskId) -> u32 {
        self.tasks.get(&task).map_or(1, |task| task.attempt)
    }

    /// How many tasks of [`Batch::Auto`](super::api::Batch::Auto) a worker may have in hand just now.
    pub(crate) fn auto_depth(&self) -> u32 {
        self.pace.depth(self.config.max_depth)
    }

    /// How many items a lot is to have just now; 0 where there are to be none.
    pub(crate) fn lot_size(&self) -> u32 {
        self.pace.lot()
    }

    /// The numbers so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts { submitted: self.counts.submitted + self.items_of_lots(), ..self.counts }
    }

    /// The worker time that went into tasks, and that there was: of shared workers that were ready.
    pub(crate) fn worker_time(&self, now: Now) -> (Duration, Duration) {
        self.workers.usage(now)
    }

    /// How many tasks are in the queue (or behind another in a worker's hand, or have a worker of their own that is
    /// starting), wait for a place in it, and are what a worker is busy with.
    pub(crate) fn task_counts(&self) -> (usize, usize, usize) {
        let waiting = self.queue.waiting();
        let starting = self.workers.iter().filter(|(_, worker)| worker.life.bound().is_some()).count();
        let queued = (self.queue.len() - waiting) + self.workers.ahead() + starting;
        self.with_items((queued, waiting, self.tasks.len().saturating_sub(queued + waiting)))
    }

    /// How many tasks wait for a worker: in the queue, for a place in it, or behind another in a worker's hand.
    pub(crate) fn waits_for_workers(&self) -> usize {
        self.queue.len() + self.workers.ahead()
    }

    /// Whether tasks wait because every shared worker has one already, and nobody is about to come or go.
    pub(crate) fn is_held_up(&self) -> bool {
        let tally = self.workers.tally();
        self.waits_for_workers() > 0
            && self.free_worker().is_none()
            && tally.ready > 0
            && tally.ready == tally.live()
            && self.starts.blocked.is_none()
    }

    /// Who has this task, if there is no other one.
    pub(crate) fn only_worker(&self, task: TaskId) -> Option<WorkerId> {
        match self.tasks.get(&task)?.place {
            Place::Assigned(worker) if self.tasks.len() == 1 => Some(worker),
            _ => None,
        }
    }

    /// The shared workers that have a task, by slot.
    pub(crate) fn busy_workers(&self) -> impl Iterator<Item = WorkerId> {
        let busy = |worker: &Worker| worker.placement == Placement::Shared && matches!(worker.life, Life::Busy(_));
        self.workers.iter().filter(move |(_, worker)| busy(worker)).map(|(id, _)| id)
    }

    /// All workers that have not ended, by slot.
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(|(id, worker)| WorkerView {
            worker: id,
            phase: match &worker.life {
                Life::Starting { booted: false, .. } => WorkerPhase::Starting,
                Life::Starting { booted: true, .. } => WorkerPhase::Initialising,
                Life::Idle => WorkerPhase::Idle,
                Life::Busy(held) => match held.stop {
                    Some(Stop { .. }) => WorkerPhase::Stopping { task: held.task },
                    None => WorkerPhase::Busy { task: held.task },
                },
                Life::Retiring => WorkerPhase::Retiring,
                Life::Dying { .. } => WorkerPhase::Dying,
            },
            since: worker.since,
            tasks_done: worker.tasks_done,
        })
    }

    /// All unresolved tasks, in the order of their ranks, with the instant since which they are in their phase.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (TaskId, TaskPhase, Now, &P::Job)> {
        let mut tasks: Vec<_> = self.tasks.iter().collect();
        tasks.sort_unstable_by_key(|(_, task)| task.rank);
        tasks.into_iter().map(|(&id, task)| {
            let phase = match task.place {
                Place::Queued if self.queue.is_waiting(task.rank) => TaskPhase::Waiting,
                Place::Queued | Place::Bound(_) => TaskPhase::Queued,
                Place::Assigned(worker) if self.runs(worker, id) => TaskPhase::Assigned { worker },
                // It waits behind another, and may yet run elsewhere.
                Place::Assigned(_) => TaskPhase::Queued,
            };
            (id, phase, task.since, &task.job)
        })
    }

    /// Whether this task is the first in the worker's hand.
    pub(super) fn runs(&self, worker: WorkerId, task: TaskId) -> bool {
        let first = self.workers.get(worker).and_then(|worker| worker.life.assignment());
        first.is_some_and(|held| held.task == task)
    }

    /// The offers that this worker has in hand, also while it is dying with them, in the order in which it will claim
    /// them.
    pub(crate) fn offers_of(&self, worker: WorkerId) -> impl Iterator<Item = OfferId> {
        self.workers.get(worker).into_iter().flat_map(|worker| worker.hand().map(|held| held.offer))
    }

    /// The task behind an offer that a worker has in hand.
    pub(crate) fn task_of(&self, worker: WorkerId, offer: OfferId) -> Option<TaskId> {
        self.workers.get(worker)?.hand().find(|held| held.offer == offer).map(|held| held.task)
    }
}
