//! The lock around the scheduler, and the carrying out of its decisions: the part that both backends share.
//!
//! One rule keeps it fast and free of deadlocks: under the lock only memory is touched. What wakes, drops or encodes
//! foreign values, or calls the kernel, is collected in an [`After`] and done once the lock is released.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::after::After;
use super::alarms::Alarms;
use super::demands::{Batching, Demands, Lots};
use super::job::{Death, Submission, Work};
use super::linger::{Lingering, PATIENCE};
use super::news::{self, News};
use super::outcome::outcome;
use super::record::Record;
use super::scheduler::{
    Action, Batch, Booking, CancelReason, Closing, Event, Evidence, Fact, Now, OfferId, Overdue, Patience, Placement,
    ReservationId, Resolution, Scheduler, SchedulerConfig, TaskId, TaskOptions, Unavailable, WorkerId,
};
use super::seam::{Backend, Reserving};
use super::stall::{Stall, Stalled};
use super::view;
use crate::error::{PoolError, PoolErrorKind, RunError};
use crate::pool::{Event as PoolEvent, Events, Report, Shutdown, Snapshot, Stats};
use crate::process::Watch;
use crate::queue::waiting::Reading;
use crate::sync::lock;
use crate::sys::clock;
use crate::task::Naming;
use crate::wire::page::LotState;
use crate::wire::progress::MOST_ITEMS;

/// A kind of worker: processes, or threads. Called under the engine's lock, so nothing here may block or call the
/// kernel; what must is put into `later`.
pub(crate) trait Workers: Send + 'static {
    /// What is to be done once the lock is released.
    type Later: Default + Send;
    /// The way to one worker.
    type Companion;

    fn spawn(&mut self, worker: WorkerId, watch: Option<Arc<Watch>>, later: &mut Self::Later);
    fn offer(&mut self, worker: WorkerId, offer: OfferId, task: &Offered<'_>, later: &mut Self::Later);
    fn revoke(&mut self, worker: WorkerId, offer: OfferId, now: Now, later: &mut Self::Later) -> Evidence;
    fn inspect(&mut self, worker: WorkerId, offer: OfferId, now: Now) -> Evidence;
    fn set_cancel(&mut self, worker: WorkerId, offer: OfferId);
    /// Says how far a worker is with a lot.
    fn look_at_lot(&self, _worker: WorkerId, _offer: OfferId) -> LotState {
        LotState::Nonsense
    }
    /// The same, and lets it begin no further item.
    fn stop_lot(&mut self, _worker: WorkerId, _offer: OfferId) -> LotState {
        LotState::Nonsense
    }
    /// `overdue`: what its death is to be explained with.
    fn kill(&mut self, worker: WorkerId, overdue: Option<Overdue>, later: &mut Self::Later);
    fn retire(&mut self, worker: WorkerId, later: &mut Self::Later);
    /// The scheduler wants to be told the time at `deadline`.
    fn set_deadline(&mut self, deadline: Option<Now>, later: &mut Self::Later);
    /// No task and no worker is left.
    fn closed(&mut self, later: &mut Self::Later);
    fn pid(&self, worker: WorkerId) -> Option<u32>;
    /// Who waits in a queue call there, as the worker says.
    fn waits(&self, worker: WorkerId) -> Reading;
    /// The way to a worker, for whoever is to look by himself for what it answers; `None` where others must.
    fn companion(&self, worker: WorkerId) -> Option<Self::Companion>;
    /// Looks at what the worker sends for so long, unless it is done before. No lock is held.
    fn linger(companion: Self::Companion, patience: Duration, is_done: &dyn Fn() -> bool);
    /// Does what was put off; no lock is held.
    fn finish(later: Self::Later);
}

/// What a caller of `ready` is told.
pub(super) type Warm = Result<(), PoolError>;
/// What somebody is told who waits for a place in the queue.
pub(super) type Placed = Result<(), RunError>;

/// A task on its way to a worker.
pub(crate) struct Offered<'a> {
    pub(crate) task: TaskId,
    pub(crate) job: &'a Submission,
    pub(crate) attempt: u32,
    pub(crate) now: Now,
}

/// A pool's scheduler and workers behind one short lock.
pub(crate) struct Engine<W: Workers> {
    /// The clock's reading when the pool was made; [`Now`] counts from here.
    epoch_ns: u64,
    demands: Demands,
    runtime: Handle,
    /// What the scheduler said last about how many tasks a worker is to have in hand.
    depth: AtomicU32,
    /// And about how many items a lot is to have.
    lot_size: AtomicU32,
    /// What goes on for a moment after the pool has ended: each is closed when it is over.
    afterwards: OnceLock<Vec<watch::Receiver<()>>>,
    lingering: Lingering,
    state: Mutex<State<W>>,
}

pub(super) struct State<W: Workers> {
    pub(super) scheduler: Scheduler<Work>,
    pub(super) workers: W,
    /// Decisions not carried out yet. Two buffers that swap, so that the hot path allocates neither.
    pub(super) actions: Vec<Action<Work>>,
    batch: Vec<Action<Work>>,
    alarms: Alarms,
    stall: Stall,
    pub(super) record: Record,
    pub(super) news: News,
    /// Those who wait for a place in the queue.
    reserving: HashMap<ReservationId, oneshot::Sender<Placed>>,
    warming: Vec<oneshot::Sender<Warm>>,
    closing: Vec<oneshot::Sender<Report>>,
    told_to_close: bool,
    closed: bool,
}

impl<W: Workers> Engine<W> {
    /// `workers` is given the clock's reading that [`Now`] counts from.
    pub(crate) fn new(
        config: SchedulerConfig,
        demands: Demands,
        runtime: Handle,
        workers: impl FnOnce(u64) -> W,
    ) -> Self {
        let epoch_ns = clock::monotonic_ns();
        Engine {
            epoch_ns,
            demands,
            runtime,
            depth: AtomicU32::new(1),
            lot_size: AtomicU32::new(0),
            afterwards: OnceLock::new(),
            lingering: Lingering::new(demands.lingering),
            state: Mutex::new(State {
                scheduler: Scheduler::new(config),
                workers: workers(epoch_ns),
                actions: Vec::new(),
                batch: Vec::new(),
                alarms: Alarms::default(),
                stall: Stall::default(),
                record: Record::new(demands.timings),
                news: News::default(),
                reserving: HashMap::new(),
                warming: Vec::new(),
                closing: Vec::new(),
                told_to_close: false,
                closed: false,
            }),
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.at(clock::monotonic_ns())
    }

    /// A reading of the monotonic clock as the scheduler counts it.
    pub(crate) fn at(&self, monotonic_ns: u64) -> Now {
        Now(Duration::from_nanos(monotonic_ns.saturating_sub(self.epoch_ns)))
    }

    /// The pool's end is to wait until these are closed.
    pub(crate) fn end_after(&self, these: Vec<watch::Receiver<()>>) {
        // Told once, when the pool is made.
        let _ = self.afterwards.set(these);
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Tells the scheduler a fact and carries out what it decides.
    pub(crate) fn handle(&self, event: Event<Work>) {
        self.update(|state, now| state.scheduler.handle(event, now, &mut state.actions));
    }

    /// Changes the workers together with a fact about them, so that nobody sees one without the other.
    pub(crate) fn handle_with(&self, change: impl FnOnce(&mut W) -> Option<Event<Work>>) {
        self.update(|state, now| {
            if let Some(event) = change(&mut state.workers) {
                state.scheduler.handle(event, now, &mut state.actions);
            }
        });
    }

    /// Looks at the workers.
    pub(crate) fn with_workers<R>(&self, look: impl FnOnce(&mut W) -> R) -> R {
        look(&mut lock(&self.state).workers)
    }

    /// A worker is gone: its page is read for the offers that it held, under the same lock as the verdict.
    pub(crate) fn exited(&self, worker: WorkerId, death: Arc<Death>, remove: impl FnOnce(&mut W)) {
        self.update(|state, now| {
            let held: Vec<_> = state.scheduler.offers_of(worker).collect();
            let evidence = held.into_iter().map(|offer| (offer, state.last_evidence(worker, offer, now))).collect();
            remove(&mut state.workers);
            let event = Event::Exited { worker, evidence, death };
            state.scheduler.handle(event, now, &mut state.actions);
        });
    }

    /// When the scheduler wants to be told the time; `armed` is called with it under the lock.
    pub(crate) fn arm(&self, armed: impl FnOnce(&mut W, Option<Now>)) {
        let mut state = lock(&self.state);
        let deadline = state.next_deadline();
        armed(&mut state.workers, deadline);
    }

    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State<W>, Now) -> R) -> R {
        self.update_by(|state, now, after| {
            let result = change(state, now);
            state.carry_out(now, after);
            result
        })
    }

    /// `change` carries out what it decides.
    pub(super) fn update_by<R>(&self, change: impl FnOnce(&mut State<W>, Now, &mut After<W>) -> R) -> R {
        let mut after = After::new();
        let result = {
            let mut state = lock(&self.state);
            let now = self.now();
            let result = change(&mut state, now, &mut after);
            self.depth.store(state.scheduler.auto_depth(), Ordering::Relaxed);
            self.lot_size.store(state.scheduler.lot_size(), Ordering::Relaxed);
            result
        };
        after.finish();
        result
    }
}

impl<W: Workers> State<W> {
    pub(super) fn carry_out(&mut self, now: Now, after: &mut After<W>) {
        while !self.actions.is_empty() {
            let mut batch = std::mem::take(&mut self.batch);
            std::mem::swap(&mut batch, &mut self.actions);
            for action in batch.drain(..) {
                self.perform(action, now, after);
            }
            self.batch = batch;
        }
        self.alarms.due(now, &mut after.rung);
        self.look_for_stall(now, after);
        let deadline = self.next_deadline();
        self.workers.set_deadline(deadline, &mut after.later);
    }

    fn look_for_stall(&mut self, now: Now, after: &mut After<W>) {
        let State { scheduler, workers, stall, .. } = self;
        let held_up = scheduler.is_held_up();
        let stalled = stall
            .note(held_up, now, || scheduler.busy_workers().map(|worker| (worker, workers.waits(worker))).collect());
        if let Some(workers) = stalled {
            after.stalled = Some(Stalled { workers, tasks: scheduler.waits_for_workers() });
        }
    }

    fn next_deadline(&self) -> Option<Now> {
        [self.scheduler.next_deadline(), self.alarms.next(), self.stall.next()].into_iter().flatten().min()
    }

    fn perform(&mut self, action: Action<Work>, now: Now, after: &mut After<W>) {
        let Some(action) = self.perform_for_lot(action, now, after) else { return };
        let later = &mut after.later;
        match action {
            Action::Spawn { worker, placement } => {
                let watch = match placement {
                    Placement::Shared => None,
                    Placement::Dedicated => self.scheduler.dedicated_job(worker).and_then(|job| job.watch.clone()),
                };
                self.workers.spawn(worker, watch, later);
            }
            Action::Offer { worker, offer, task } => {
                let attempt = self.scheduler.attempt(task);
                if let Some(job) = self.scheduler.job(task) {
                    self.workers.offer(worker, offer, &Offered { task, job, attempt, now }, later);
                }
            }
            Action::Revoke { worker, offer } => {
                let slot = self.workers.revoke(worker, offer, now, later);
                let evidence = self.seen(worker, offer, slot);
                self.scheduler.handle(Event::Evidence { worker, offer, evidence }, now, &mut self.actions);
            }
            Action::Inspect { worker, offer } => {
                let slot = self.workers.inspect(worker, offer, now);
                let evidence = self.seen(worker, offer, slot);
                self.scheduler.handle(Event::Evidence { worker, offer, evidence }, now, &mut self.actions);
            }
            Action::SetCancel { worker, offer } => self.workers.set_cancel(worker, offer),
            // About lots only.
            Action::Relieve { .. } => {}
            Action::Kill { worker, overdue } => self.workers.kill(worker, overdue, later),
            Action::Retire { worker } => self.workers.retire(worker, later),
            Action::Resolve { task, job, resolution, attempts, timing } => {
                let workers = &self.workers;
                let refused = matches!(resolution, Resolution::Unavailable(_));
                let result = outcome(&job, resolution, attempts, |worker| workers.pid(worker));
                self.record.resolved(&result, refused, timing);
                self.news.tell(&mut after.readers, || news::failure(task, &job, &result));
                after.resolved.push((task, job, result));
            }
            Action::Tell(fact) => {
                if let Fact::Ended { why, .. } = &fact {
                    self.record.ended(*why);
                }
                let workers = &self.workers;
                self.news.tell(&mut after.readers, || Some(news::event(fact, now, |worker| workers.pid(worker))));
            }
            Action::Reserved { reservation, result } => {
                let result = result.map_err(|why| super::outcome::refusal(&why));
                after.reserved.extend(self.reserving.remove(&reservation).map(|waiter| (waiter, result)));
            }
            Action::Warmed { result } => {
                for waiter in self.warming.drain(..) {
                    after.warmed.push((waiter, result.clone().map_err(|why| unavailable(&why))));
                }
            }
            Action::Closed => {
                self.closed = true;
                self.workers.closed(later);
                // Nobody will look at the clock any more.
                self.alarms.clear(&mut after.rung);
                let report = self.report();
                self.news.tell(&mut after.readers, || Some(PoolEvent::Closed(report)));
                self.news.end(&mut after.readers);
                after.ended.extend(self.closing.drain(..).map(|waiter| (waiter, report)));
            }
        }
    }

    fn report(&self) -> Report {
        self.record.report(&self.scheduler.counts())
    }
}

/// Why a pool cannot be warmed.
fn unavailable(why: &Unavailable<Work>) -> PoolError {
    match why {
        Unavailable::StartFailed { failures, death } => PoolError::new(
            PoolErrorKind::StartFailed,
            format!("no worker could be started, {failures} times in a row; the last one: {}", death.describe()),
        ),
        Unavailable::Closed => PoolError::new(PoolErrorKind::Closed, "the pool is shut down"),
    }
}

impl<W: Workers> Backend for Engine<W> {
    fn submit(&self, job: Submission, mut options: TaskOptions) -> TaskId {
        if self.demands.batching == Batching::OneAtATime {
            options.batch = Batch::One;
        }
        self.update(|state, now| state.scheduler.submit(job, options, now, &mut state.actions))
    }

    fn reserve(&self, patience: Patience) -> Result<Reserving, RunError> {
        self.update(|state, now| match state.scheduler.reserve(patience, now) {
            Ok(Booking::Held(id)) => Ok(Reserving::Held(id)),
            Ok(Booking::Waiting(id)) => {
                let (sender, receiver) = oneshot::channel();
                state.reserving.insert(id, sender);
                Ok(Reserving::Waiting(id, receiver))
            }
            Err(why) => Err(super::outcome::refusal(&why)),
        })
    }

    fn unreserve(&self, reservation: ReservationId) {
        let waiter = self.update(|state, now| {
            state.scheduler.handle(Event::Unreserve { reservation }, now, &mut state.actions);
            state.reserving.remove(&reservation)
        });
        // Its drop may wake somebody, so not under the lock.
        drop(waiter);
    }

    fn cancel(&self, task: TaskId, why: CancelReason) {
        self.handle(Event::Cancel { task, why });
    }

    fn cancel_all(&self, tasks: &mut dyn Iterator<Item = TaskId>, why: CancelReason) {
        self.update(|state, now| {
            for task in tasks {
                state.scheduler.handle(Event::Cancel { task, why }, now, &mut state.actions);
            }
        });
    }

    fn warm(&self) -> oneshot::Receiver<Result<(), PoolError>> {
        let (sender, receiver) = oneshot::channel();
        self.update(|state, now| {
            state.warming.push(sender);
            state.scheduler.handle(Event::Warm, now, &mut state.actions);
        });
        receiver
    }

    fn resize(&self, min: u32, max: u32) {
        self.handle(Event::Resize { min, max });
    }

    fn shutdown(&self, how: Shutdown) -> oneshot::Receiver<Report> {
        let (sender, receiver) = oneshot::channel();
        let done = self.update(|state, now| {
            let how = match how {
                Shutdown::Drain => Closing::Drain { deadline: None },
                Shutdown::DrainFor(delay) => Closing::Drain { deadline: Some(now.after(delay)) },
                Shutdown::DropQueued => Closing::DropQueued { deadline: None },
                Shutdown::Kill => Closing::Kill,
            };
            state.told_to_close = true;
            if state.closed {
                return Some((sender, state.report()));
            }
            state.closing.push(sender);
            state.scheduler.handle(Event::Close { how }, now, &mut state.actions);
            None
        });
        if let Some((sender, report)) = done {
            let _ = sender.send(report);
        }
        receiver
    }

    fn release(&self) {
        self.update(|state, now| {
            state.told_to_close = true;
            let how = Closing::Drain { deadline: None };
            state.scheduler.handle(Event::Close { how }, now, &mut state.actions);
        });
    }

    fn snapshot(&self) -> Snapshot {
        let state = lock(&self.state);
        view::snapshot(&state.scheduler, &state.workers, self.now(), state.told_to_close)
    }

    fn stats(&self) -> Stats {
        let state = lock(&self.state);
        state.record.stats(&state.scheduler, self.now())
    }

    fn events(&self) -> Events {
        lock(&self.state).news.subscribe()
    }

    fn ended(&self) -> oneshot::Receiver<Report> {
        let (sender, receiver) = oneshot::channel();
        let mut state = lock(&self.state);
        if state.closed {
            // Nobody can be waiting on it yet.
            let _ = sender.send(state.report());
        } else {
            state.closing.push(sender);
        }
        receiver
    }

    fn passed_on(&self) -> BoxFuture<'static, ()> {
        let these = self.afterwards.get().cloned().unwrap_or_default();
        async {
            for mut end in these {
                while end.changed().await.is_ok() {}
            }
        }
        .boxed()
    }

    fn max_message(&self) -> u64 {
        self.demands.max_message
    }

    fn naming(&self) -> Naming {
        self.demands.naming
    }

    fn batch_hint(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    fn lot_hint(&self) -> u32 {
        if self.demands.lots == Lots::Never { 0 } else { self.lot_size.load(Ordering::Relaxed).min(MOST_ITEMS) }
    }

    fn linger(&self, task: TaskId, is_done: &dyn Fn() -> bool) {
        if !self.lingering.is_worth_it() {
            return;
        }
        let companion = {
            let state = lock(&self.state);
            state.scheduler.only_worker(task).and_then(|worker| state.workers.companion(worker))
        };
        if let Some(companion) = companion {
            W::linger(companion, PATIENCE, is_done);
            self.lingering.learn(is_done());
        }
    }

    fn alarm(&self, after: Duration) -> oneshot::Receiver<()> {
        self.update(|state, now| match state.closed {
            true => oneshot::channel().1,
            false => state.alarms.set(now.after(after)),
        })
    }

    fn watch(&self, future: BoxFuture<'static, ()>) {
        drop(self.runtime.spawn(future));
    }
}
