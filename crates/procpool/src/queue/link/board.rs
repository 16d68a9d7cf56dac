//! One participant's board, as words. The protocols on it are in [`ClientBoard`](super::ClientBoard) and
//! [`HubBoard`](super::HubBoard), which are two views of the same memory.

use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::sys::futex;
use crate::sys::memory::{SharedWords, low_half};

use super::layout::{CLIENT_WAITS, EVENT, RING_WORDS, entry};

/// The memory of a link. Clones are the same memory.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<SharedWords>);

impl Memory {
    pub(super) fn new(words: SharedWords) -> Memory {
        Memory(Arc::new(words))
    }

    /// One word of the head.
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        &self.0[at]
    }

    /// One word of a slot's entry. Slots are below [`SLOTS`](crate::queue::wire::SLOTS): those of records have been
    /// checked.
    pub(super) fn of(&self, slot: u32, at: usize) -> &AtomicU64 {
        &self.0[entry(slot) + at]
    }

    /// The word that clients wait on.
    pub(super) fn event(&self) -> &AtomicU32 {
        low_half(&self.0[EVENT])
    }

    /// Ends every wait for the event word.
    pub(super) fn rouse(&self) {
        // In this order, see `ClientEnd::set_waits`.
        let waits = self.word(CLIENT_WAITS).swap(0, AcqRel) != 0;
        self.event().fetch_add(1, AcqRel);
        if waits {
            futex::wake_all(self.event());
        }
    }

    /// The ring that begins at a word. `None`: this memory has no rings.
    pub(super) fn ring(&self, start: usize) -> Option<&[AtomicU64; RING_WORDS]> {
        self.0.get(start..)?.first_chunk()
    }
}

/// The two halves of a word.
pub(super) fn split(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// The word with these halves.
pub(super) fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
