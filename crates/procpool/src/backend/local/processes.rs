//! The engine's decisions about workers, for child processes.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::driver::Receiver;
use super::keeper::{Command, KeeperHandle};
use super::link::Link;
use super::outbox::{Order, Outgoing};
use super::output::Owner;
use crate::backend::engine::{Offered, Workers};
use crate::backend::scheduler::{Evidence, Now, OfferId, Overdue, WorkerId};
use crate::process::Watch;
use crate::queue::waiting::Reading;
use crate::wire::frame::Kind;
use crate::wire::message::task_head;
use crate::wire::page::{LotState, SlotState};

/// The links of a pool's workers, by slot, and the way to the keeper.
pub(super) struct Processes {
    seats: Vec<Option<Seat>>,
    keeper: Arc<KeeperHandle>,
    /// For callers who look for their answer themselves.
    receiver: Weak<Receiver>,
    /// What the engine's clock counts from.
    epoch_ns: u64,
    /// When the keeper will look at the clock by itself.
    armed: Option<Now>,
}

/// One worker, from the decision to start it until it is reaped.
struct Seat {
    worker: WorkerId,
    /// There once the process is.
    link: Option<Arc<Link>>,
    /// When it was given the tasks that it may have in hand, oldest first. Answered ones stay for a while.
    offered: VecDeque<(OfferId, Now)>,
}

impl Seat {
    /// Notes that it is given a task, and forgets those that are over.
    fn give(&mut self, offer: OfferId, now: Now) {
        if let Some(link) = &self.link {
            let is_over = |offer| !matches!(link.page.inspect(offer), SlotState::Offered | SlotState::Claimed { .. });
            // Whatever the page says, no more than its slots can be in hand.
            while self.offered.len() >= OfferId::SLOTS
                || self.offered.front().is_some_and(|&(oldest, _)| is_over(oldest))
            {
                self.offered.pop_front();
            }
        }
        self.offered.push_back((offer, now));
    }

    fn offered_at(&self, offer: OfferId) -> Now {
        let found = self.offered.iter().rev().find(|(given, _)| *given == offer);
        found.map_or(Now::default(), |&(_, at)| at)
    }
}

/// What happens after the lock is released.
#[derive(Default)]
pub(super) struct Later {
    flush: Vec<Arc<Link>>,
    wake: Option<Arc<KeeperHandle>>,
    /// Whom lines belonged to until now; dropped where a subscriber may be called.
    former: Vec<Arc<Owner>>,
}

impl Processes {
    pub(super) fn new(keeper: Arc<KeeperHandle>, epoch_ns: u64) -> Self {
        Processes { seats: Vec::new(), keeper, receiver: Weak::new(), epoch_ns, armed: None }
    }

    /// Who understands what workers send.
    pub(super) fn set_receiver(&mut self, receiver: Weak<Receiver>) {
        self.receiver = receiver;
    }

    fn seat(&self, worker: WorkerId) -> Option<&Seat> {
        self.seats.get(worker.slot as usize)?.as_ref().filter(|seat| seat.worker == worker)
    }

    fn seat_mut(&mut self, worker: WorkerId) -> Option<&mut Seat> {
        self.seats.get_mut(worker.slot as usize)?.as_mut().filter(|seat| seat.worker == worker)
    }

    fn link(&self, worker: WorkerId) -> Option<&Arc<Link>> {
        self.seat(worker)?.link.as_ref()
    }

    /// The process exists.
    pub(super) fn attach(&mut self, worker: WorkerId, link: Arc<Link>) {
        if let Some(seat) = self.seat_mut(worker) {
            seat.link = Some(link);
        }
    }

    /// The process is gone, or never came to be.
    pub(super) fn detach(&mut self, worker: WorkerId) {
        if self.seat(worker).is_some() {
            self.seats[worker.slot as usize] = None;
        }
    }

    /// Every link there is.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        self.seats.iter().flatten().filter_map(|seat| seat.link.clone()).collect()
    }

    /// The keeper is about to wait until `deadline`.
    pub(super) fn armed(&mut self, deadline: Option<Now>) {
        self.armed = deadline;
    }

    fn command(&self, command: Command, later: &mut Later) {
        self.keeper.push(command);
        later.wake = Some(Arc::clone(&self.keeper));
    }

    /// A reading of the shared page, made harmless.
    fn evidence(&self, link: &Link, state: SlotState, offered_at: Now, now: Now) -> Evidence {
        let at = |ns: u64| {
            let at = Now(std::time::Duration::from_nanos(ns.saturating_sub(self.epoch_ns)));
            at.clamp(offered_at, now.max(offered_at))
        };
        match state {
            SlotState::Offered => Evidence::Offered { since: at(link.moved_ns()) },
            SlotState::Revoked => Evidence::Revoked,
            SlotState::Claimed { at_ns } => Evidence::Claimed { at: at(at_ns) },
            SlotState::Done => Evidence::Done,
            SlotState::Nonsense => Evidence::Nonsense,
        }
    }
}

impl Workers for Processes {
    type Later = Later;
    type Companion = (Arc<Receiver>, Arc<Link>);

    fn spawn(&mut self, worker: WorkerId, watch: Option<Arc<Watch>>, later: &mut Later) {
        let slot = worker.slot as usize;
        if self.seats.len() <= slot {
            self.seats.resize_with(slot + 1, || None);
        }
        // A slot is free only once its worker has been buried, and buried workers are detached.
        self.seats[slot] = Some(Seat { worker, link: None, offered: VecDeque::new() });
        self.command(Command::Spawn { worker, watch }, later);
    }

    fn offer(&mut self, worker: WorkerId, offer: OfferId, task: &Offered<'_>, later: &mut Later) {
        let Some(seat) = self.seat_mut(worker) else { return };
        seat.give(offer, task.now);
        let Some(link) = seat.link.clone() else { return };
        if let Some(output) = &link.output {
            let job = task.job;
            let owner = Owner { task: task.task, name: job.name.clone(), span: job.span.clone() };
            later.former.extend(output.begin(owner));
        }
        let head = task_head(&task.job.entry, task.attempt, task.task.0, task.job.name.as_str());
        for attachment in &task.job.shared {
            link.share(attachment);
        }
        if task.job.lot.is_some() {
            link.page.begin_lot(offer);
        }
        let (body, apart) = (task.job.arguments.clone(), task.job.apart.clone());
        link.offer(offer, Outgoing { head, body, apart, ..Outgoing::new(Kind::Task, offer.0) });
        // Tasks that are handed to a worker one after the other leave in one write.
        if later.flush.last().is_none_or(|last| !Arc::ptr_eq(last, &link)) {
            later.flush.push(link);
        }
    }

    fn revoke(&mut self, worker: WorkerId, offer: OfferId, now: Now, later: &mut Later) -> Evidence {
        let Some(seat) = self.seat(worker) else { return Evidence::Revoked };
        let Some(link) = &seat.link else { return Evidence::Revoked };
        let state = link.page.revoke(offer);
        if state == SlotState::Revoked {
            if let Some(output) = &link.output {
                later.former.extend(output.end());
            }
            // What has not left yet need not leave.
            link.revoked(offer);
            later.flush.push(Arc::clone(link));
        }
        self.evidence(link, state, seat.offered_at(offer), now)
    }

    fn inspect(&mut self, worker: WorkerId, offer: OfferId, now: Now) -> Evidence {
        let Some(seat) = self.seat(worker) else { return Evidence::Revoked };
        let Some(link) = &seat.link else { return Evidence::Revoked };
        self.evidence(link, link.page.inspect(offer), seat.offered_at(offer), now)
    }

    fn set_cancel(&mut self, worker: WorkerId, offer: OfferId) {
        if let Some(link) = self.link(worker) {
            link.page.set_cancel(offer);
        }
    }

    fn look_at_lot(&self, worker: WorkerId, offer: OfferId) -> LotState {
        self.link(worker).map_or(LotState::Nonsense, |link| link.page.lot(offer))
    }

    fn stop_lot(&mut self, worker: WorkerId, offer: OfferId) -> LotState {
        self.link(worker).map_or(LotState::Nonsense, |link| link.page.stop_lot(offer))
    }

    fn kill(&mut self, worker: WorkerId, overdue: Option<Overdue>, later: &mut Later) {
        if let (Some(overdue), Some(link)) = (overdue, self.link(worker)) {
            link.blame(overdue.to_string());
        }
        self.command(Command::Kill { worker }, later);
    }

    fn retire(&mut self, worker: WorkerId, later: &mut Later) {
        if let Some(link) = self.link(worker).cloned() {
            link.push(Order::Send(Outgoing::new(Kind::Retire, 0)));
            later.flush.push(link);
        }
    }

    fn set_deadline(&mut self, deadline: Option<Now>, later: &mut Later) {
        // A later deadline needs no word: the keeper wakes at the old one and sees.
        if let Some(deadline) = deadline
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.armed = Some(deadline);
            later.wake = Some(Arc::clone(&self.keeper));
        }
    }

    fn closed(&mut self, later: &mut Later) {
        self.command(Command::End, later);
    }

    fn pid(&self, worker: WorkerId) -> Option<u32> {
        self.link(worker).map(|link| link.pid)
    }

    fn waits(&self, worker: WorkerId) -> Reading {
        self.link(worker).map_or_else(Reading::default, |link| Reading(link.page.waits()))
    }

    fn companion(&self, worker: WorkerId) -> Option<Self::Companion> {
        Some((self.receiver.upgrade()?, Arc::clone(self.link(worker)?)))
    }

    fn linger((receiver, link): Self::Companion, patience: Duration, is_done: &dyn Fn() -> bool) {
        receiver.linger(&link, patience, is_done);
    }

    fn finish(later: Later) {
        for link in later.flush {
            link.flush();
        }
        if let Some(keeper) = later.wake {
            keeper.wake();
        }
    }
}
