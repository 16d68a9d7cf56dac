//! How a worker says that it waits in a queue call.
//!
//! A pool whose workers all wait for a message that only a task in the pool's own queue would send waits for ever. It
//! cannot be told from one that is merely slow, but it can be noticed ([`backend`](crate::backend), `stall.rs`): for that
//! each worker keeps one word that its pool can read, of a process in the page that the two share, of a thread in
//! memory. It counts those who wait. Each beginning and each end moves a serial number on: who finds the same word twice
//! knows that nobody came or went in between.
//!
//! The word is evidence, never authority: it decides what is shown and what is warned of, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::current;
use crate::wire::page::WorkerPage;

/// What a worker waits for in a queue call; see [`WorkerSnapshot`](crate::WorkerSnapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueCall {
    /// Room for a message.
    Sending,
    /// A message.
    Receiving,
    /// An answer: to `join`, say.
    Other,
}

pub(crate) use QueueCall as Call;

/// Bits for each of: those who send, receive, and do something else; the serial number is above them.
const BITS: u32 = 16;
const MANY: u64 = (1 << BITS) - 1;
const CALLS: [Call; 3] = [Call::Sending, Call::Receiving, Call::Other];

impl Call {
    fn shift(self) -> u32 {
        BITS * match self {
            Call::Sending => 0,
            Call::Receiving => 1,
            Call::Other => 2,
        }
    }
}

/// Says from now on, until the guard is dropped, that the worker whose code this is waits. Cheap, but not free: to be
/// called once it is known that there is nothing to be had at once. Outside of workers it does nothing.
pub(crate) fn begin(call: Call) -> Guard {
    let place = current::waits().filter(|waits| {
        waits.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| enter(word, call)).is_ok()
    });
    Guard { place, call }
}

/// Somebody waits while this exists.
#[derive(Debug)]
#[must_use]
pub(crate) struct Guard {
    /// Where it was counted.
    place: Option<Waits>,
    call: Call,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(waits) = &self.place {
            let call = self.call;
            // Was counted, so there is one to take away.
            let _ = waits.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| leave(word, call));
        }
    }
}

/// Where a worker's word is.
#[derive(Clone, Debug)]
pub(crate) enum Waits {
    Page(&'static WorkerPage),
    Thread(Arc<AtomicU64>),
}

impl Waits {
    fn word(&self) -> &AtomicU64 {
        match self {
            Waits::Page(page) => page.waits(),
            Waits::Thread(word) => word,
        }
    }
}

/// One more; `None` where so many wait that they cannot be counted.
fn enter(word: u64, call: Call) -> Option<u64> {
    (word >> call.shift() & MANY < MANY).then(|| turn(word) + (1 << call.shift()))
}

/// One less.
fn leave(word: u64, call: Call) -> Option<u64> {
    (word >> call.shift() & MANY > 0).then(|| turn(word) - (1 << call.shift()))
}

/// The next serial number. It starts again after 2^16 of them.
fn turn(word: u64) -> u64 {
    word.wrapping_add(1 << (3 * BITS))
}

/// What a worker's word said at one time. A worker may write anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading(pub(crate) u64);

impl Reading {
    /// What the worker waits for, if it waits. Where it waits for several things: the first of room, a message, an answer.
    pub(crate) fn call(self) -> Option<Call> {
        CALLS.into_iter().find(|call| self.0 >> call.shift() & MANY > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::current::Place;

    #[test]
    fn whoever_is_no_worker_says_nothing() {
        drop(begin(Call::Sending));
    }

    #[test]
    fn a_worker_counts_those_who_wait_and_each_change_shows() {
        let word = Arc::new(AtomicU64::new(0));
        let place = Place {
            name: "worker-0".into(),
            slot: 0,
            generation: 0,
            task: None,
            cancelled: Arc::default(),
            waits: Arc::clone(&word),
        };
        let read = || Reading(word.load(Ordering::Relaxed));
        let _worker = current::enter(place);
        let mut seen = vec![read()];
        assert_eq!(read().call(), None);
        let first = begin(Call::Receiving);
        seen.push(read());
        assert_eq!(read().call(), Some(Call::Receiving));
        let second = begin(Call::Sending);
        seen.push(read());
        assert_eq!(read().call(), Some(Call::Sending));
        drop(second);
        seen.push(read());
        assert_eq!(read().call(), Some(Call::Receiving));
        drop(first);
        seen.push(read());
        assert_eq!(read().call(), None);
        assert!((1..seen.len()).all(|n| !seen[..n].contains(&seen[n])), "{seen:?}");
    }

    proptest! {
        #[test]
        fn counts_do_not_touch_each_other(word: u64, which in 0..3usize) {
            let call = CALLS[which];
            let counts = |word: u64| CALLS.map(|call| word >> call.shift() & MANY);
            let mut expected = counts(word);
            match enter(word, call) {
                None => prop_assert_eq!(expected[which], MANY),
                Some(entered) => {
                    expected[which] += 1;
                    prop_assert_eq!(counts(entered), expected);
                    prop_assert_eq!(leave(entered, call).map(counts), Some(counts(word)));
                }
            }
        }
    }
}
