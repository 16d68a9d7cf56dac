//! How far a worker is with a lot: which of its items it has claimed.
//!
//! A lot is claimed as any task is, by its slot of the page. Its items are claimed one by one in a word of their own,
//! which holds the lot's offer, the number of an item, and two bits:
//!
//! ```text
//!   (0, rests) ──▶ (0, runs) ──▶ (1, runs) ──▶ … ──▶ (n, rests)
//! ```
//!
//! The step from one item to the next is taken once the answer to the first has left, and is the claim of the second:
//! so whoever reads the word of a dead worker knows the one item that may have begun and was not answered. The parent
//! may set `STOPS` at any time. Each step is a compare-and-swap that expects it not to be set, so of a claim and a stop
//! exactly one comes first.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::scheduler::OfferId;

const RUNS: u64 = 1;
const STOPS: u64 = 2;
const ITEM_SHIFT: u32 = 2;
const ITEM_BITS: u32 = 16;
const OFFER_SHIFT: u32 = ITEM_SHIFT + ITEM_BITS;

/// The most items that a lot may have.
pub(crate) const MOST_ITEMS: u32 = 1 << 12;

/// What the word says about a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LotState {
    /// All items before this one have been answered, and none has begun that was not.
    Rests {
        /// The next one.
        before: u32,
        /// Whether it will not be claimed.
        stopped: bool,
    },
    /// This item was claimed, and those before it have been answered.
    Runs {
        /// Counted from 0.
        item: u32,
    },
    /// Something that cannot be.
    Nonsense,
}

/// The word of one lot.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    word: &'a AtomicU64,
    offer: OfferId,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(word: &'a AtomicU64, offer: OfferId) -> Progress<'a> {
        Progress { word, offer }
    }

    /// Offer, item and state in one word. The highest bits of the offer are lost, which 2^46 offers would take to matter.
    fn value(&self, item: u32, state: u64) -> u64 {
        self.offer.0 << OFFER_SHIFT | u64::from(item) << ITEM_SHIFT | state
    }

    fn step(&self, from: u64, to: u64) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Nothing has been claimed. Before the lot is offered.
    pub(crate) fn begin(&self) {
        self.word.store(self.value(0, 0), Ordering::Release);
    }

    pub(crate) fn claim(&self, item: u32) -> bool {
        let from = item.checked_sub(1).map_or(self.value(0, 0), |before| self.value(before, RUNS));
        self.step(from, self.value(item, RUNS))
    }

    pub(crate) fn rest(&self, item: u32) {
        let running = item.checked_sub(1).map(|before| self.value(before, RUNS));
        for stop in [0, STOPS] {
            if running.is_some_and(|running| self.step(running | stop, self.value(item, stop))) {
                return;
            }
        }
    }

    pub(crate) fn stop(&self) -> LotState {
        let found = self.word.fetch_or(STOPS, Ordering::AcqRel);
        self.interpret(found | STOPS)
    }

    pub(crate) fn read(&self) -> LotState {
        self.interpret(self.word.load(Ordering::Acquire))
    }

    fn interpret(&self, found: u64) -> LotState {
        if found >> OFFER_SHIFT != self.value(0, 0) >> OFFER_SHIFT {
            return LotState::Nonsense;
        }
        // Sixteen bits, so it fits.
        let item = (found >> ITEM_SHIFT) as u32 & ((1 << ITEM_BITS) - 1);
        match found & RUNS {
            0 => LotState::Rests { before: item, stopped: found & STOPS != 0 },
            _ => LotState::Runs { item },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn items_are_claimed_one_after_the_other_until_the_stop() {
        let word = AtomicU64::new(7);
        let lot = Progress::new(&word, OfferId(5));
        assert_eq!(lot.read(), LotState::Nonsense);
        assert!(!lot.claim(0));
        lot.begin();
        assert!(!lot.claim(1) && lot.claim(0) && !lot.claim(0) && lot.claim(1));
        assert_eq!(lot.read(), LotState::Runs { item: 1 });
        assert_eq!(lot.stop(), LotState::Runs { item: 1 });
        assert!(!lot.claim(2));
        lot.rest(2);
        assert_eq!(lot.read(), LotState::Rests { before: 2, stopped: true });
        assert!(!lot.claim(2));
        assert!(!Progress::new(&word, OfferId(6)).claim(2));
    }

    #[test]
    fn of_claim_and_stop_exactly_one_comes_first() {
        const ROUNDS: u64 = 3000;
        const ITEMS: u32 = 40;
        let (word, barrier) = (AtomicU64::new(0), Barrier::new(2));
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                (0..ROUNDS)
                    .map(|round| {
                        let lot = Progress::new(&word, OfferId(round));
                        barrier.wait();
                        let claimed = (0..ITEMS).take_while(|&item| lot.claim(item)).count() as u32;
                        lot.rest(claimed);
                        barrier.wait();
                        claimed
                    })
                    .collect::<Vec<_>>()
            });
            let stopped: Vec<_> = (0..ROUNDS)
                .map(|round| {
                    let lot = Progress::new(&word, OfferId(round));
                    lot.begin();
                    barrier.wait();
                    (0..round % 100).for_each(|_| std::hint::spin_loop());
                    let state = lot.stop();
                    barrier.wait();
                    state
                })
                .collect();
            for (claimed, state) in worker.join().unwrap().into_iter().zip(stopped) {
                match state {
                    LotState::Runs { item } => assert_eq!(claimed, item + 1),
                    LotState::Rests { before, .. } => assert_eq!(claimed, before),
                    LotState::Nonsense => panic!("a word that cannot be"),
                }
            }
        });
    }

    proptest! {
        #[test]
        fn any_word_is_a_state_or_nonsense(any: u64, id in 0..1u64 << 46) {
            let word = AtomicU64::new(any);
            let lot = Progress::new(&word, OfferId(id));
            prop_assert_eq!(lot.read() == LotState::Nonsense, any >> OFFER_SHIFT != id);
            prop_assert_eq!(lot.stop() == LotState::Nonsense, any >> OFFER_SHIFT != id);
        }
    }
}
