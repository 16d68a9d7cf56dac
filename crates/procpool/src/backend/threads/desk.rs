//! What a worker thread and the engine share: the tasks on their way, and the state of the one that was offered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::backend::scheduler::{Evidence, Now, OfferId};
use crate::sync::lock;
use crate::task::CodeName;
use crate::task::attachment::{Attachment, Content, Holder, Known};

/// The states of an offer, as in the page that a worker process shares with its parent.
const OFFERED: u64 = 0;
const CLAIMED: u64 = 1;
const DONE: u64 = 2;
const REVOKED: u64 = 3;

/// One worker thread's desk.
#[derive(Debug)]
pub(super) struct Desk {
    orders: Mutex<VecDeque<Order>>,
    arrived: Condvar,
    /// The last offer, shifted by two, and its state.
    offer: AtomicU64,
    offered_at: Mutex<Now>,
    claimed_at: Mutex<Now>,
    /// Set for the offer that is asked to stop; read by `current().is_cancelled()`.
    pub(super) cancelled: Arc<AtomicBool>,
    /// Written by the worker: who waits in a queue call.
    pub(super) waits: Arc<AtomicU64>,
    abandoned: AtomicBool,
    /// The shared values that it was given.
    known: Known,
}

#[derive(Debug)]
pub(super) enum Order {
    Run(Assignment),
    /// A value that tasks will name by this key.
    Share(u64, Content),
    /// No task will name it any more.
    Forget(u64),
    Retire,
}

/// One task for a thread.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) offer: OfferId,
    pub(super) task: u64,
    pub(super) attempt: u32,
    pub(super) entry: CodeName,
    pub(super) arguments: Bytes,
    pub(super) apart: Bytes,
}

impl Desk {
    pub(super) fn new() -> Self {
        Desk {
            orders: Mutex::default(),
            arrived: Condvar::new(),
            offer: AtomicU64::new(REVOKED),
            offered_at: Mutex::default(),
            claimed_at: Mutex::default(),
            cancelled: Arc::default(),
            waits: Arc::default(),
            abandoned: AtomicBool::new(false),
            known: Known::default(),
        }
    }

    pub(super) fn offer(&self, assignment: Assignment, now: Now) {
        *lock(&self.offered_at) = now;
        self.cancelled.store(false, Ordering::Release);
        self.offer.store(assignment.offer.0 << 2 | OFFERED, Ordering::Release);
        self.order(Order::Run(assignment));
    }

    /// Leaves a value that a task will name, unless the thread has it.
    pub(super) fn share(self: &Arc<Self>, attachment: &Attachment) {
        if self.known.learn(attachment, || Arc::downgrade(self) as Weak<dyn Holder>) {
            self.order(Order::Share(attachment.key(), attachment.content().clone()));
        }
    }

    /// Leaves an order. Memory only: [`ring`](Self::ring) when no lock is held.
    pub(super) fn order(&self, order: Order) {
        lock(&self.orders).push_back(order);
    }

    /// Lets the thread look for orders.
    pub(super) fn ring(&self) {
        self.arrived.notify_one();
    }

    /// The next order; `None` once the thread is abandoned.
    pub(super) fn next(&self) -> Option<Order> {
        let mut orders = lock(&self.orders);
        loop {
            if self.abandoned.load(Ordering::Acquire) {
                return None;
            }
            if let Some(order) = orders.pop_front() {
                return Some(order);
            }
            orders = self.arrived.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn advance(&self, offer: OfferId, from: u64, to: u64) -> bool {
        let (from, to) = (offer.0 << 2 | from, offer.0 << 2 | to);
        self.offer.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes an offer, unless it was revoked.
    pub(super) fn claim(&self, offer: OfferId, now: Now) -> bool {
        *lock(&self.claimed_at) = now;
        self.advance(offer, OFFERED, CLAIMED)
    }

    pub(super) fn done(&self, offer: OfferId) {
        self.advance(offer, CLAIMED, DONE);
    }

    pub(super) fn revoke(&self, offer: OfferId) -> Evidence {
        if self.advance(offer, OFFERED, REVOKED) {
            return Evidence::Revoked;
        }
        self.inspect(offer)
    }

    pub(super) fn inspect(&self, offer: OfferId) -> Evidence {
        let word = self.offer.load(Ordering::Acquire);
        if word >> 2 != offer.0 {
            return Evidence::Nonsense;
        }
        match word & 3 {
            OFFERED => Evidence::Offered { since: *lock(&self.offered_at) },
            CLAIMED => Evidence::Claimed { at: *lock(&self.claimed_at) },
            DONE => Evidence::Done,
            _ => Evidence::Revoked,
        }
    }

    pub(super) fn set_cancel(&self, offer: OfferId) {
        if self.offer.load(Ordering::Acquire) >> 2 == offer.0 {
            self.cancelled.store(true, Ordering::Release);
        }
    }

    /// The thread is to end as soon as its task lets it.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.cancelled.store(true, Ordering::Release);
        // Under the lock, so that a thread that is about to wait sees it.
        let _orders = lock(&self.orders);
        self.arrived.notify_one();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

impl Holder for Desk {
    fn forget(&self, key: u64) {
        if self.known.unlearn(key) {
            self.order(Order::Forget(key));
            self.ring();
        }
    }
}
