//! A board as the hub sees it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use crate::queue::broker::api::{ConsumerView, ProducerView};
use crate::queue::key::QueueState;

use super::board::{Memory, join, split};
use super::layout::{
    ACK_FROM, CLAIM, CREDIT_BYTES, CREDITS, NEEDS, NOTIFY, RECEIVERS, SENDERS, STATE, STATE_CLOSED, STATE_DRAINED,
    STATE_RECEIVERS_GONE, STATE_SENDERS_GONE,
};

/// Whether there is still something to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Armed {
    /// The client will write `Look`.
    Waiting,
    /// It has been reached already, and perhaps nobody will tell: behave as if `Look` had come.
    Reached,
}

/// The hub's view of a participant's board.
///
/// What the participant writes there is evidence at best. What cannot be is not believed: the call answers as if nothing
/// had changed, and [`nonsense`](HubBoard::nonsense) says what it was.
#[derive(Debug)]
pub(crate) struct HubBoard {
    memory: Memory,
    /// What is known of each slot that was used so far.
    slots: Vec<Known>,
    nonsense: Option<String>,
}

/// What stretches the halves on the board to whole numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The next claim, when it was seen last.
    next: u64,
    /// Where what may be claimed ends. Only the hub changes it.
    limit: u64,
    generation: u32,
}

impl HubBoard {
    pub(super) fn new(memory: Memory) -> HubBoard {
        HubBoard { memory, slots: Vec::new(), nonsense: None }
    }

    /// What the participant wrote that cannot be, if anything: it is to be cut off.
    pub(crate) fn nonsense(&self) -> Option<&str> {
        self.nonsense.as_deref()
    }

    /// Makes a slot as new, for another queue. Before the client is told that it is free.
    pub(crate) fn clear(&mut self, slot: u32) {
        for at in [CREDITS, CREDIT_BYTES, SENDERS, NEEDS, CLAIM, ACK_FROM, RECEIVERS, NOTIFY, STATE] {
            self.memory.of(slot, at).store(0, Release);
        }
        // Generations go on: the client may remember the last one of this slot.
        let known = self.known(slot);
        *known = Known { generation: known.generation, ..Known::default() };
    }

    /// The producer's side of the entry.
    pub(crate) fn producer(&mut self, slot: u32) -> ProducerView {
        let read = |at| self.memory.of(slot, at).load(Acquire);
        ProducerView {
            credits: small(read(CREDITS)),
            bytes: read(CREDIT_BYTES),
            waiting: small(read(SENDERS)),
            needs: read(NEEDS),
        }
    }

    /// Adds credits.
    pub(crate) fn grant(&mut self, slot: u32, messages: u32, bytes: u64) {
        // The bytes first: whoever sees the credit sees them.
        if bytes > 0 {
            self.memory.of(slot, CREDIT_BYTES).fetch_add(bytes, AcqRel);
        }
        self.memory.of(slot, CREDITS).fetch_add(messages.into(), AcqRel);
    }

    /// Takes back at most so many unused credits, and says how many these were.
    pub(crate) fn take_back(&mut self, slot: u32, messages: u32, bytes: u64) -> (u32, u64) {
        let messages = take_up_to(self.memory.of(slot, CREDITS), messages.into());
        let bytes = take_up_to(self.memory.of(slot, CREDIT_BYTES), bytes);
        (small(messages), bytes)
    }

    /// The consumer's side of the entry.
    pub(crate) fn consumer(&mut self, slot: u32) -> ConsumerView {
        let (known, _) = self.see(slot);
        let acked_from = match split(self.memory.of(slot, ACK_FROM).load(Acquire)) {
            (_, 0) => None,
            (low, _) => stretch(known.next, low),
        };
        ConsumerView { next: known.next, acked_from, waiting: small(self.memory.of(slot, RECEIVERS).load(Acquire)) }
    }

    /// The whole number of a delivery near what is claimed next, of which a record says the low half.
    pub(crate) fn stretch(&mut self, slot: u32, delivery: u32) -> Option<u64> {
        let (known, _) = self.see(slot);
        stretch(known.next, delivery)
    }

    /// Deliveries from `from` up to and without `to` may be claimed. `from` is where the last call ended, or, if all
    /// that was left has been claimed or taken back, any greater number.
    pub(crate) fn allow(&mut self, slot: u32, from: u64, to: u64) {
        loop {
            let (known, seen) = self.see(slot);
            // All that was left has been claimed by the participant's own account, if the broker jumps.
            let next = if from == known.limit { known.next } else { from };
            if from != known.limit && known.next != known.limit {
                self.nonsense.get_or_insert_with(|| format!("a claim at slot {slot} that was undone"));
                return;
            }
            if self.swap(slot, seen, next, to) {
                return;
            }
        }
    }

    /// Leaves at most `keep` deliveries to be claimed, and says from which number on nothing can be claimed any more. Of
    /// this and a claim exactly one wins.
    pub(crate) fn revoke(&mut self, slot: u32, keep: u32) -> u64 {
        loop {
            let (known, seen) = self.see(slot);
            let limit = known.limit.min(known.next.saturating_add(keep.into()));
            if limit == known.limit || self.swap(slot, seen, known.next, limit) {
                return limit;
            }
        }
    }

    /// Asks for a `Look` once every delivery before `at` has been claimed.
    pub(crate) fn arm(&mut self, slot: u32, at: u64) -> Armed {
        let known = self.known(slot);
        // 0 is "never".
        known.generation = known.generation.checked_add(1).unwrap_or(1);
        let word = join(at as u32, known.generation);
        self.memory.of(slot, NOTIFY).store(word, Release);
        // Before the look at the claims, as the client looks at this word after its claim: one of the two sees the other.
        fence(SeqCst);
        let (known, _) = self.see(slot);
        if known.next >= at { Armed::Reached } else { Armed::Waiting }
    }

    /// Shows what can no longer happen to the queue.
    pub(crate) fn show(&mut self, slot: u32, state: QueueState) {
        let bits = [
            (state.closed, STATE_CLOSED),
            (state.senders_gone, STATE_SENDERS_GONE),
            (state.receivers_gone, STATE_RECEIVERS_GONE),
            (state.drained, STATE_DRAINED),
        ];
        let bits = bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
        self.memory.of(slot, STATE).store(bits, Release);
    }

    fn known(&mut self, slot: u32) -> &mut Known {
        let index = slot as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Known::default());
        }
        &mut self.slots[index]
    }

    /// Reads the claims, and what is known after that; also the word as it was read, to swap it. A word that cannot be is
    /// answered by the word that should be there, so that a swap for it fails or repairs.
    fn see(&mut self, slot: u32) -> (Known, u64) {
        let seen = self.memory.of(slot, CLAIM).load(Acquire);
        let (next, limit) = split(seen);
        let known = self.known(slot);
        let claimed = u64::from(next.wrapping_sub(known.next as u32));
        if limit == known.limit as u32 && claimed <= known.limit - known.next {
            known.next += claimed;
            return (*known, seen);
        }
        let known = *known;
        self.nonsense.get_or_insert_with(|| format!("claims at slot {slot} that cannot be"));
        (known, seen)
    }

    /// Changes the claims from what was seen. `false`: something was claimed meanwhile.
    fn swap(&mut self, slot: u32, seen: u64, next: u64, limit: u64) -> bool {
        let word = join(next as u32, limit as u32);
        let swapped = self.memory.of(slot, CLAIM).compare_exchange(seen, word, AcqRel, Acquire).is_ok();
        // What cannot be is not worth another attempt: the participant might write it for ever.
        if swapped || self.nonsense.is_some() {
            let known = self.known(slot);
            (known.next, known.limit) = (next, limit);
            return true;
        }
        false
    }
}

/// Takes at most so many, and says how many.
fn take_up_to(word: &AtomicU64, count: u64) -> u64 {
    if count == 0 {
        return 0;
    }
    match word.fetch_update(AcqRel, Acquire, |there| Some(there - there.min(count))) {
        Ok(there) | Err(there) => there.min(count),
    }
}

/// Counts that honest participants never make so great.
fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The number with this low half that is nearest to `near`. `None`: that would be below 0.
fn stretch(near: u64, low: u32) -> Option<u64> {
    let distance = low.wrapping_sub(near as u32).cast_signed();
    near.checked_add_signed(distance.into())
}
