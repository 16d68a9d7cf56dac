//! A board as the participant sees it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use crate::queue::key::QueueState;

use super::board::{Memory, join, split};
use super::layout::{
    ACK_FROM, CLAIM, CREDIT_BYTES, CREDITS, GONE, NEEDS, NOTIFY, RECEIVERS, SENDERS, STATE, STATE_CLOSED,
    STATE_DRAINED, STATE_RECEIVERS_GONE, STATE_SENDERS_GONE,
};

/// What came of an attempt to claim a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Claim {
    /// It is this process's for good.
    Taken,
    /// It may not be claimed: it was taken back. Its number will be stale once the hub delivers something else here.
    NotYet,
    /// It was taken back, and its number has been jumped over: drop it.
    Stale,
}

/// A participant's view of its board. Every call is one look or one atomic change, from any thread.
#[derive(Debug)]
pub(crate) struct ClientBoard {
    memory: Memory,
}

impl ClientBoard {
    pub(super) fn new(memory: Memory) -> ClientBoard {
        ClientBoard { memory }
    }

    /// Takes the credit for one message; of `bytes`, if the queue has a limit on them (0 otherwise).
    pub(crate) fn take_credit(&self, slot: u32, bytes: u64) -> bool {
        if !take(self.memory.of(slot, CREDITS), 1) {
            return false;
        }
        if bytes == 0 || take(self.memory.of(slot, CREDIT_BYTES), bytes) {
            return true;
        }
        // The hub may miss this one meanwhile when it counts, never see one too many.
        self.memory.of(slot, CREDITS).fetch_add(1, AcqRel);
        false
    }

    /// Puts back what [`take_credit`](Self::take_credit) took, unused. To be told by `Look`.
    pub(crate) fn put_back(&self, slot: u32, bytes: u64) {
        if bytes > 0 {
            self.memory.of(slot, CREDIT_BYTES).fetch_add(bytes, AcqRel);
        }
        self.memory.of(slot, CREDITS).fetch_add(1, AcqRel);
    }

    /// Puts back bytes only: what a message needed less than was taken for it. To be told by `Look`.
    pub(crate) fn put_back_bytes(&self, slot: u32, bytes: u64) {
        self.memory.of(slot, CREDIT_BYTES).fetch_add(bytes, AcqRel);
    }

    /// Says how many senders wait for room, and how many bytes the first of them needs (0 where that is not limited). To
    /// be told by `Look`.
    pub(crate) fn set_senders_waiting(&self, slot: u32, count: u32, needs: u64) {
        self.memory.of(slot, NEEDS).store(needs, Release);
        self.memory.of(slot, SENDERS).store(count.into(), Release);
    }

    /// Says how many receivers wait for a message. To be told by `Look`, except after a claim.
    pub(crate) fn set_receivers_waiting(&self, slot: u32, count: u32) {
        self.memory.of(slot, RECEIVERS).store(count.into(), Release);
    }

    /// Claims the delivery with this number: of this and the hub's revocation exactly one wins.
    pub(crate) fn claim(&self, slot: u32, number: u32) -> Claim {
        let word = self.memory.of(slot, CLAIM);
        let mut seen = word.load(Acquire);
        loop {
            let (next, limit) = split(seen);
            if number != next {
                // Numbers go round: what is less than half the circle behind is behind.
                let behind = next.wrapping_sub(number) < 1 << 31;
                return if behind { Claim::Stale } else { Claim::NotYet };
            }
            if next == limit {
                return Claim::NotYet;
            }
            match word.compare_exchange_weak(seen, join(next.wrapping_add(1), limit), AcqRel, Acquire) {
                Ok(_) => return Claim::Taken,
                Err(now) => seen = now,
            }
        }
    }

    /// The number of the next claim.
    pub(crate) fn next_claim(&self, slot: u32) -> u32 {
        split(self.memory.of(slot, CLAIM).load(Acquire)).0
    }

    /// Says that from this claim on everything is to be acknowledged. Once a slot, before that claim.
    pub(crate) fn set_ack_from(&self, slot: u32, number: u32) {
        self.memory.of(slot, ACK_FROM).store(join(number, 1), Release);
    }

    /// Whether the claims so far have reached what the hub asked to be told of, and it has not been told yet: then write
    /// `Look`. `told` is the generation that was told last (0 at first), kept by the caller for each slot. Call after
    /// every claim.
    pub(crate) fn look_is_due(&self, slot: u32, told: &mut u32) -> bool {
        // After the claim, as the hub looks at the claims after it has asked: one of the two sees the other.
        fence(SeqCst);
        let (at, generation) = split(self.memory.of(slot, NOTIFY).load(Acquire));
        // 0 is "never".
        if generation == 0 || generation == *told || self.next_claim(slot).wrapping_sub(at) >= 1 << 31 {
            return false;
        }
        *told = generation;
        true
    }

    /// What can no longer happen to the slot's queue.
    pub(crate) fn state(&self, slot: u32) -> QueueState {
        let bits = self.memory.of(slot, STATE).load(Acquire);
        QueueState {
            closed: bits & STATE_CLOSED != 0,
            senders_gone: bits & STATE_SENDERS_GONE != 0,
            receivers_gone: bits & STATE_RECEIVERS_GONE != 0,
            drained: bits & STATE_DRAINED != 0,
        }
    }

    /// Whether the hub has cut this participant off.
    pub(crate) fn is_gone(&self) -> bool {
        self.memory.word(GONE).load(Acquire) != 0
    }
}

/// Takes so many, or none.
fn take(word: &AtomicU64, count: u64) -> bool {
    word.fetch_update(AcqRel, Acquire, |there| there.checked_sub(count)).is_ok()
}
