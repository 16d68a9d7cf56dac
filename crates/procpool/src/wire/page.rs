//! The page that a parent and one worker share: who has which task, the cancel flag, and the worker's last words.
//!
//! Each hand-over of a task has an [`OfferId`]; its slot holds that id and a state:
//!
//! ```text
//!              claim (worker, before it decodes)          done (worker, after the whole answer has left it)
//!   Offered ────────────────────────────────▶ Claimed ────────────────────────────────────────▶ Done
//!      └─── revoke (parent) ──▶ Revoked
//! ```
//!
//! Each step is one compare-and-swap of one word that holds id and state together, so of a claim and a revocation
//! exactly one succeeds, and a late step for an earlier offer of the same slot fails.
//!
//! The page is evidence, never authority. A worker may write anything into it at any time; the parent reads each word
//! once, calls what cannot be [`SlotState::Nonsense`], and decides by its own ledger.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::panic_slot;
pub(crate) use super::panic_slot::PanicParts;
pub(crate) use super::progress::LotState;
use super::progress::Progress;
use super::ring::{RINGS_WORDS, RingReader, RingWriter, Way};
use crate::backend::scheduler::OfferId;
use crate::sys::clock::monotonic_ns;
use crate::sys::memory::SharedWords;
use crate::task::{Step, Steps};

use super::message::PanicReport;

/// The page's size in words: 16 KiB. Behind it, in the same memory, are the rings.
const WORDS: usize = 2048;

/// The size of all of it.
const ALL_WORDS: usize = WORDS + RINGS_WORDS;

/// Pages of memory, in words.
const MEMORY_PAGE: usize = 512;

// Where things are. What the parent writes, what the worker writes, and what both swap lie in cache lines of their own.
const CANCEL: usize = 0;
const STEP: usize = 8;
const WAITS: usize = 16;
const SLOT: usize = 64;
const CLAIMED_AT: usize = SLOT + OfferId::SLOTS;
const PROGRESS: usize = CLAIMED_AT + OfferId::SLOTS;
const PANIC: usize = 256;

const STATE_BITS: u32 = 2;
// Zero is `DONE`, so that in a fresh page nothing is there to be claimed.
const DONE: u64 = 0;
const OFFERED: u64 = 1;
const CLAIMED: u64 = 2;
const REVOKED: u64 = 3;

/// What a slot says about one offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// The worker may still claim it.
    Offered,
    /// The parent took it back; it cannot be claimed any more.
    Revoked,
    /// The worker has it.
    Claimed {
        /// When it was claimed by the worker's account, in nanoseconds of [`monotonic_ns`]: anything is possible.
        at_ns: u64,
    },
    /// The worker says that the whole answer has left it.
    Done,
    /// Something that cannot be.
    Nonsense,
}

/// Id and state in one word. The two highest bits of the id are lost, which 2^62 offers would take to matter.
fn word(offer: OfferId, state: u64) -> u64 {
    offer.0 << STATE_BITS | state
}

fn swap(words: &SharedWords, offer: OfferId, from: u64, to: u64) -> Result<u64, u64> {
    words[SLOT + offer.slot()].compare_exchange(word(offer, from), word(offer, to), Ordering::AcqRel, Ordering::Acquire)
}

/// Takes the page's faults now, rather than under a lock or in a signal handler. Those of the rings are taken when they
/// are used: most workers need little of them.
fn touch(words: &SharedWords) {
    for word in words[..WORDS].iter().step_by(MEMORY_PAGE) {
        word.fetch_or(0, Ordering::Relaxed);
    }
}

/// The parent's view. Unmapped when dropped.
#[derive(Debug)]
pub(crate) struct ParentPage {
    words: Arc<SharedWords>,
}

impl ParentPage {
    /// Makes a page, and the descriptor to send to the worker (and to close afterwards).
    pub(crate) fn create() -> io::Result<(ParentPage, OwnedFd)> {
        let (words, fd) = SharedWords::create(ALL_WORDS)?;
        touch(&words);
        Ok((ParentPage { words: Arc::new(words) }, fd))
    }

    /// The parent's ends of the rings. Once: a second pair would not know what the first has done.
    pub(crate) fn rings(&self) -> (RingWriter, RingReader) {
        let (down, up) = (RingWriter::new(&self.words, WORDS, Way::Down), RingReader::new(&self.words, WORDS, Way::Up));
        // Whoever makes them does not look by itself, so the first byte is to be told of.
        up.may_sleep();
        (down, up)
    }

    /// Lets the worker claim this. Before the first byte of its frame is sent; the slot's earlier offer must be over.
    pub(crate) fn offer(&self, offer: OfferId) {
        self.words[SLOT + offer.slot()].store(word(offer, OFFERED), Ordering::Release);
    }

    /// The words by which the items of lots are claimed, one for each slot.
    fn progress(&self, offer: OfferId) -> Progress<'_> {
        Progress::new(&self.words[PROGRESS + offer.slot()], offer)
    }

    /// No item of this lot has been claimed. Before it is offered.
    pub(crate) fn begin_lot(&self, offer: OfferId) {
        self.progress(offer).begin();
    }

    /// Lets the worker claim no further item of this lot, and says how far it was.
    pub(crate) fn stop_lot(&self, offer: OfferId) -> LotState {
        self.progress(offer).stop()
    }

    /// How far the worker is with this lot.
    pub(crate) fn lot(&self, offer: OfferId) -> LotState {
        self.progress(offer).read()
    }

    /// Takes the offer back if it is not claimed yet ([`SlotState::Revoked`]); says what it is otherwise.
    pub(crate) fn revoke(&self, offer: OfferId) -> SlotState {
        match swap(&self.words, offer, OFFERED, REVOKED) {
            Ok(_) => SlotState::Revoked,
            // The failed swap has read the word; reading it again might tell another story.
            Err(found) => self.interpret(offer, found),
        }
    }

    /// What the slot says about this offer.
    pub(crate) fn inspect(&self, offer: OfferId) -> SlotState {
        self.interpret(offer, self.words[SLOT + offer.slot()].load(Ordering::Acquire))
    }

    fn interpret(&self, offer: OfferId, found: u64) -> SlotState {
        if found >> STATE_BITS != word(offer, 0) >> STATE_BITS {
            return SlotState::Nonsense;
        }
        match found & ((1 << STATE_BITS) - 1) {
            OFFERED => SlotState::Offered,
            REVOKED => SlotState::Revoked,
            CLAIMED => {
                // Written before the claim, which was read with Acquire.
                let at_ns = self.words[CLAIMED_AT + offer.slot()].load(Ordering::Relaxed);
                SlotState::Claimed { at_ns }
            }
            _ => SlotState::Done,
        }
    }

    /// Asks the task of this offer to stop, and no other.
    pub(crate) fn set_cancel(&self, offer: OfferId) {
        self.words[CANCEL].store(offer.0.wrapping_add(1), Ordering::Release);
    }

    /// How far the worker was with the task that it claimed last.
    pub(crate) fn step(&self) -> Option<Step> {
        Step::noted(self.words[STEP].load(Ordering::Acquire))
    }

    /// Who waits in a queue call over there, by the worker's account: see `queue/waiting.rs`.
    pub(crate) fn waits(&self) -> u64 {
        self.words[WAITS].load(Ordering::Acquire)
    }

    /// The last panic (or stack overflow) since the worker's last claim, if there was one. The task may have survived
    /// it.
    pub(crate) fn panic_report(&self) -> Option<PanicReport> {
        panic_slot::read(&self.words[PANIC..WORDS])
    }
}

/// The worker's view. Unmapped when dropped (a worker never drops it).
#[derive(Debug)]
pub(crate) struct WorkerPage {
    words: Arc<SharedWords>,
}

impl WorkerPage {
    /// Maps what the parent sent, once its size and seals are checked. The descriptor can be closed afterwards.
    pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<WorkerPage> {
        let words = SharedWords::map_received(fd, ALL_WORDS)?;
        touch(&words);
        Ok(WorkerPage { words: Arc::new(words) })
    }

    /// The worker's ends of the rings. Once, as in the parent.
    pub(crate) fn rings(&self) -> (RingReader, RingWriter) {
        (RingReader::new(&self.words, WORDS, Way::Down), RingWriter::new(&self.words, WORDS, Way::Up))
    }

    /// Takes the offer, unless it was revoked: then its frame is to be forgotten. Before anything of it is decoded.
    /// Forgets the last words of earlier tasks.
    pub(crate) fn claim(&self, offer: OfferId) -> bool {
        // Before the swap, which publishes it. Should the swap fail, nobody reads it.
        self.words[CLAIMED_AT + offer.slot()].store(monotonic_ns(), Ordering::Relaxed);
        // Also before: a task that dies at once must not be told by the words of the one before it.
        panic_slot::clear(&self.words[PANIC..WORDS]);
        self.forget_steps();
        swap(&self.words, offer, OFFERED, CLAIMED).is_ok()
    }

    /// Claims this item of a lot, which answers for the one before it: that has left. `false`: no further item is to be
    /// begun.
    pub(crate) fn claim_item(&self, offer: OfferId, item: u32) -> bool {
        panic_slot::clear(&self.words[PANIC..WORDS]);
        self.forget_steps();
        Progress::new(&self.words[PROGRESS + offer.slot()], offer).claim(item)
    }

    /// Says that all items before this one have been answered, and that none is being run.
    pub(crate) fn rest_before(&self, offer: OfferId, item: u32) {
        Progress::new(&self.words[PROGRESS + offer.slot()], offer).rest(item);
    }

    /// Says that the whole answer has been written. `false` if the offer was not claimed.
    pub(crate) fn done(&self, offer: OfferId) -> bool {
        swap(&self.words, offer, CLAIMED, DONE).is_ok()
    }

    /// Whether this offer's task has been asked to stop.
    pub(crate) fn is_cancelled(&self, offer: OfferId) -> bool {
        self.words[CANCEL].load(Ordering::Acquire) == offer.0.wrapping_add(1)
    }

    /// Where a task notes how far it is, so that a death can be told by it.
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps(Some(&self.words[STEP]))
    }

    /// No task has begun.
    pub(crate) fn forget_steps(&self) {
        self.words[STEP].store(0, Ordering::Release);
    }

    /// The word by which this worker says who waits in a queue call.
    pub(crate) fn waits(&self) -> &AtomicU64 {
        &self.words[WAITS]
    }

    /// Leaves last words. `false` while another thread is doing so. Neither allocates nor waits: safe in a signal
    /// handler.
    pub(crate) fn write_panic(&self, parts: &PanicParts<'_>) -> bool {
        panic_slot::write(&self.words[PANIC..WORDS], parts)
    }
}

/// For tests of what a hostile worker can do: the words themselves.
#[cfg(test)]
impl WorkerPage {
    pub(crate) fn raw(&self) -> &[AtomicU64] {
        &self.words
    }
}

const _: () =
    assert!(PROGRESS + OfferId::SLOTS <= PANIC && PANIC < WORDS && size_of::<AtomicU64>() * WORDS == 16 * 1024);

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;

    fn both() -> (ParentPage, WorkerPage) {
        let (parent, fd) = ParentPage::create().unwrap();
        let worker = WorkerPage::map(fd.as_fd()).unwrap();
        (parent, worker)
    }

    #[test]
    fn an_offer_is_claimed_once_and_done_once() {
        let (parent, worker) = both();
        for id in [0, 1, 63, 64, 1000, u64::MAX >> 2] {
            let offer = OfferId(id);
            assert!(!worker.claim(offer), "nothing was offered");
            parent.offer(offer);
            assert_eq!(parent.inspect(offer), SlotState::Offered);
            let before = monotonic_ns();
            assert!(worker.claim(offer) && !worker.claim(offer));
            let SlotState::Claimed { at_ns } = parent.inspect(offer) else { panic!("not claimed") };
            assert!((before..=monotonic_ns()).contains(&at_ns));
            assert_eq!(parent.revoke(offer), SlotState::Claimed { at_ns });
            assert!(worker.done(offer) && !worker.done(offer));
            assert_eq!(parent.inspect(offer), SlotState::Done);
            assert_eq!(parent.revoke(offer), SlotState::Done);
            assert!(!worker.claim(offer));
        }
    }

    #[test]
    fn a_revoked_offer_cannot_be_claimed_and_its_slot_can_be_used_again() {
        let (parent, worker) = both();
        parent.offer(OfferId(5));
        assert_eq!(parent.revoke(OfferId(5)), SlotState::Revoked);
        assert!(!worker.claim(OfferId(5)) && !worker.done(OfferId(5)));
        assert_eq!(parent.inspect(OfferId(5)), SlotState::Revoked);
        parent.offer(OfferId(69));
        assert!(!worker.claim(OfferId(5)), "an old frame");
        assert_eq!(parent.inspect(OfferId(5)), SlotState::Nonsense, "an old question");
        assert!(worker.claim(OfferId(69)));
    }

    #[test]
    fn cancelling_is_for_one_offer() {
        let (parent, worker) = both();
        assert!(!worker.is_cancelled(OfferId(0)));
        parent.set_cancel(OfferId(0));
        assert!(worker.is_cancelled(OfferId(0)) && !worker.is_cancelled(OfferId(1)));
        parent.set_cancel(OfferId(1));
        assert!(!worker.is_cancelled(OfferId(0)) && worker.is_cancelled(OfferId(1)));
    }

    #[test]
    fn steps_and_last_words_belong_to_the_last_claim() {
        let (parent, worker) = both();
        parent.offer(OfferId(1));
        assert!(worker.claim(OfferId(1)));
        for step in [Step::Decoding, Step::Running, Step::Encoding] {
            worker.steps().reached(step);
            assert_eq!(parent.step(), Some(step));
        }
        assert!(worker.write_panic(&PanicParts { message: "no", ..PanicParts::default() }));
        assert_eq!(parent.panic_report().unwrap().message, "no");
        parent.offer(OfferId(2));
        assert!(worker.claim(OfferId(2)));
        assert_eq!((parent.step(), parent.panic_report()), (None, None));
    }

    #[test]
    fn of_claim_and_revocation_exactly_one_wins() {
        let (parent, worker) = both();
        const ROUNDS: u64 = 20_000;
        let barrier = Barrier::new(2);
        let (claimed, revoked) = std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut claimed = Vec::new();
                for id in 0..ROUNDS {
                    barrier.wait();
                    claimed.push(worker.claim(OfferId(id)));
                    barrier.wait();
                }
                claimed
            });
            let mut revoked = Vec::new();
            for id in 0..ROUNDS {
                parent.offer(OfferId(id));
                barrier.wait();
                let state = parent.revoke(OfferId(id));
                assert!(matches!(state, SlotState::Revoked | SlotState::Claimed { .. }));
                revoked.push(state == SlotState::Revoked);
                barrier.wait();
            }
            (worker.join().unwrap(), revoked)
        });
        assert!(claimed.iter().zip(&revoked).all(|(claimed, revoked)| claimed != revoked));
    }

    proptest! {
        #[test]
        fn any_word_is_a_state_or_nonsense(id in 0..1u64 << 62, any: u64, near in 0..8u64, use_near: bool) {
            let (parent, worker) = both();
            let offer = OfferId(id);
            let value = if use_near { (id << 2).wrapping_add(near) } else { any };
            for word in worker.raw() {
                word.store(value, Ordering::Relaxed);
            }
            let state = parent.inspect(offer);
            prop_assert_eq!(state == SlotState::Nonsense, value >> 2 != id);
            let revoked = parent.revoke(offer);
            prop_assert_eq!(state == SlotState::Nonsense, revoked == SlotState::Nonsense);
            let _ = (parent.step(), parent.panic_report());
        }
    }
}
