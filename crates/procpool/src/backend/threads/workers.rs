//! The engine's decisions about workers, for threads.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::{ClockHandle, Command};
use super::desk::{Assignment, Desk, Order};
use crate::backend::engine::{Offered, Workers};
use crate::backend::scheduler::{Evidence, Now, OfferId, Overdue, WorkerId};
use crate::process::Watch;
use crate::queue::waiting::Reading;

pub(super) struct Threads {
    seats: Vec<Option<(WorkerId, Arc<Desk>)>>,
    clock: Arc<ClockHandle>,
    armed: Option<Now>,
}

#[derive(Default)]
pub(super) struct Later {
    ring: Vec<Arc<Desk>>,
    wake: Option<Arc<ClockHandle>>,
}

impl Threads {
    pub(super) fn new(clock: Arc<ClockHandle>) -> Self {
        Threads { seats: Vec::new(), clock, armed: None }
    }

    fn desk(&self, worker: WorkerId) -> Option<&Arc<Desk>> {
        let (seated, desk) = self.seats.get(worker.slot as usize)?.as_ref()?;
        (*seated == worker).then_some(desk)
    }

    /// The worker is gone, as far as the pool is concerned.
    pub(super) fn detach(&mut self, worker: WorkerId) {
        if self.desk(worker).is_some() {
            self.seats[worker.slot as usize] = None;
        }
    }

    pub(super) fn armed(&mut self, deadline: Option<Now>) {
        self.armed = deadline;
    }

    fn command(&self, command: Command, later: &mut Later) {
        self.clock.push(command);
        later.wake = Some(Arc::clone(&self.clock));
    }
}

impl Workers for Threads {
    type Later = Later;
    type Companion = Infallible;

    fn spawn(&mut self, worker: WorkerId, _watch: Option<Arc<Watch>>, later: &mut Later) {
        let slot = worker.slot as usize;
        if self.seats.len() <= slot {
            self.seats.resize_with(slot + 1, || None);
        }
        let desk = Arc::new(Desk::new());
        self.seats[slot] = Some((worker, Arc::clone(&desk)));
        self.command(Command::Spawn { worker, desk }, later);
    }

    fn offer(&mut self, worker: WorkerId, offer: OfferId, task: &Offered<'_>, later: &mut Later) {
        let Some(desk) = self.desk(worker) else { return };
        let assignment = Assignment {
            offer,
            task: task.task.0,
            attempt: task.attempt,
            entry: task.job.entry,
            arguments: task.job.arguments.clone(),
            apart: task.job.apart.clone(),
        };
        for attachment in &task.job.shared {
            desk.share(attachment);
        }
        desk.offer(assignment, task.now);
        later.ring.push(Arc::clone(desk));
    }

    fn revoke(&mut self, worker: WorkerId, offer: OfferId, _now: Now, _later: &mut Later) -> Evidence {
        self.desk(worker).map_or(Evidence::Revoked, |desk| desk.revoke(offer))
    }

    fn inspect(&mut self, worker: WorkerId, offer: OfferId, _now: Now) -> Evidence {
        self.desk(worker).map_or(Evidence::Revoked, |desk| desk.inspect(offer))
    }

    fn set_cancel(&mut self, worker: WorkerId, offer: OfferId) {
        if let Some(desk) = self.desk(worker) {
            desk.set_cancel(offer);
        }
    }

    fn kill(&mut self, worker: WorkerId, overdue: Option<Overdue>, later: &mut Later) {
        self.command(Command::Abandon { worker, overdue }, later);
    }

    fn retire(&mut self, worker: WorkerId, later: &mut Later) {
        if let Some(desk) = self.desk(worker) {
            desk.order(Order::Retire);
            later.ring.push(Arc::clone(desk));
        }
    }

    fn set_deadline(&mut self, deadline: Option<Now>, later: &mut Later) {
        if let Some(deadline) = deadline
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.armed = Some(deadline);
            later.wake = Some(Arc::clone(&self.clock));
        }
    }

    fn closed(&mut self, later: &mut Later) {
        self.command(Command::End, later);
    }

    fn pid(&self, _worker: WorkerId) -> Option<u32> {
        None
    }

    fn waits(&self, worker: WorkerId) -> Reading {
        self.desk(worker).map_or_else(Reading::default, |desk| Reading(desk.waits.load(Ordering::Acquire)))
    }

    fn companion(&self, _: WorkerId) -> Option<Infallible> {
        None
    }

    fn linger(companion: Infallible, _: Duration, _: &dyn Fn() -> bool) {
        match companion {}
    }

    fn finish(later: Later) {
        for desk in later.ring {
            desk.ring();
        }
        if let Some(clock) = later.wake {
            clock.wake();
        }
    }
}

impl Threads {
    /// The desk of a worker that is to be abandoned.
    pub(super) fn take(&mut self, worker: WorkerId) -> Option<Arc<Desk>> {
        self.desk(worker).cloned()
    }
}
