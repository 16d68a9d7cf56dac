//! The part of the shared page that holds a worker's last words.
//!
//! A panic's message goes here from the panic hook, and not into the frame stream: with `panic = "abort"` the process
//! ends before anybody could send a reply, and another thread may be in the middle of a frame. What is in the page
//! survives any end of the worker.
//!
//! One word holds a length and a state, the rest are bytes. Writing neither allocates nor waits, since the handler for
//! stack overflows writes here, too. Reading takes each word once into private memory before it looks at it, and
//! believes no length.

use std::sync::atomic::{AtomicU64, Ordering};

use super::message::{PanicReport, cut};

const EMPTY: u64 = 0;
const WRITING: u64 = 1;
const WHOLE: u64 = 2;

const STATE_BITS: u32 = 2;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

const WORD: usize = size_of::<u64>();

/// The length that stands for "there is none".
const ABSENT: u32 = u32::MAX;

/// The most bytes of message, location and thread; the backtrace gets what is left.
const MAX_MESSAGE: usize = 4096;
const MAX_LOCATION: usize = 512;
const MAX_THREAD: usize = 256;

/// A panic as the hook has it in hand: borrowed, so that a signal handler can make one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PanicParts<'a> {
    pub(crate) message: &'a str,
    pub(crate) location: Option<&'a str>,
    pub(crate) backtrace: Option<&'a str>,
    pub(crate) thread: Option<&'a str>,
}

/// Forgets what is there.
pub(super) fn clear(slot: &[AtomicU64]) {
    if let Some(state) = slot.first() {
        state.store(EMPTY, Ordering::Release);
    }
}

/// Writes a report, replacing an earlier one; what is too long is cut. Does nothing (`false`) while another thread is
/// writing. Safe in a signal handler.
pub(super) fn write(slot: &[AtomicU64], parts: &PanicParts<'_>) -> bool {
    let Some((state, words)) = slot.split_first() else { return false };
    let before = state.load(Ordering::Relaxed);
    if before & STATE_MASK == WRITING
        || state.compare_exchange(before, WRITING, Ordering::Acquire, Ordering::Relaxed).is_err()
    {
        return false;
    }
    let mut writer = Writer { words, len: 0, word: 0 };
    writer.text(Some(parts.message), MAX_MESSAGE);
    writer.text(parts.location, MAX_LOCATION);
    writer.text(parts.thread, MAX_THREAD);
    writer.text(parts.backtrace, usize::MAX);
    let len = writer.finish();
    state.store((len as u64) << STATE_BITS | WHOLE, Ordering::Release);
    true
}

/// Reads a report. `None` when there is none, or nothing that could be one.
pub(super) fn read(slot: &[AtomicU64]) -> Option<PanicReport> {
    let (state, words) = slot.split_first()?;
    let state = state.load(Ordering::Acquire);
    if state & STATE_MASK != WHOLE {
        return None;
    }
    let len = usize::try_from(state >> STATE_BITS).ok().filter(|&len| len <= words.len() * WORD)?;
    let bytes: Vec<u8> =
        words[..len.div_ceil(WORD)].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    let mut rest = &bytes[..len];
    let message = text(&mut rest)?;
    let location = text(&mut rest);
    let thread = text(&mut rest);
    let backtrace = text(&mut rest);
    Some(PanicReport { message, location, backtrace, thread, state_lost: false })
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let (len, after) = rest.split_first_chunk()?;
    *rest = after;
    let len = match u32::from_le_bytes(*len) {
        ABSENT => return None,
        len => usize::try_from(len).ok()?,
    };
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Packs bytes into words, one store a word.
struct Writer<'a> {
    words: &'a [AtomicU64],
    len: usize,
    word: u64,
}

impl Writer<'_> {
    fn text(&mut self, text: Option<&str>, limit: usize) {
        let Some(text) = text else { return self.bytes(&ABSENT.to_le_bytes()) };
        let room = (self.words.len() * WORD).saturating_sub(self.len + size_of::<u32>());
        let text = cut(text, limit.min(room));
        // The slot has a few thousand bytes, so the length fits.
        self.bytes(&(text.len() as u32).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let Some(target) = self.words.get(self.len / WORD) else { return };
            self.word |= u64::from(byte) << (self.len % WORD * 8);
            self.len += 1;
            if self.len.is_multiple_of(WORD) {
                target.store(self.word, Ordering::Relaxed);
                self.word = 0;
            }
        }
    }

    fn finish(self) -> usize {
        if let Some(target) = self.words.get(self.len / WORD)
            && !self.len.is_multiple_of(WORD)
        {
            target.store(self.word, Ordering::Relaxed);
        }
        self.len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot(words: usize) -> Vec<AtomicU64> {
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_report_is_read_as_it_was_written_until_it_is_cleared() {
        let slot = slot(300);
        assert_eq!(read(&slot), None);
        let parts = PanicParts { message: "ölig", location: Some("a.rs:1:2"), backtrace: None, thread: Some("main") };
        assert!(write(&slot, &PanicParts { message: "an earlier one", ..PanicParts::default() }));
        assert!(write(&slot, &parts));
        let report = read(&slot).unwrap();
        assert_eq!((&*report.message, report.location.as_deref()), ("ölig", Some("a.rs:1:2")));
        assert_eq!((report.thread.as_deref(), report.backtrace), (Some("main"), None));
        clear(&slot);
        assert_eq!(read(&slot), None);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let slot = slot(1792);
        let long = "ä".repeat(50_000);
        let parts = PanicParts { message: &long, location: Some(&long), backtrace: Some(&long), thread: Some(&long) };
        assert!(write(&slot, &parts));
        let report = read(&slot).unwrap();
        assert_eq!((report.message.len(), report.location.unwrap().len()), (MAX_MESSAGE, MAX_LOCATION));
        let backtrace = report.backtrace.unwrap();
        assert!(backtrace.len() > 8000 && !backtrace.contains('\u{fffd}'));
    }

    #[test]
    fn a_slot_that_is_being_written_is_left_alone() {
        let slot = slot(10);
        slot[0].store(WRITING, Ordering::Relaxed);
        assert!(!write(&slot, &PanicParts::default()));
        assert_eq!(read(&slot), None);
    }

    proptest! {
        #[test]
        fn any_words_are_a_report_or_none(words: Vec<u64>, len in 0..200u64, text_len in prop::option::of(0..60u64)) {
            let mut words = words;
            if let Some(first) = words.first_mut() {
                *first = len << STATE_BITS | WHOLE;
            }
            if let (Some(text_len), Some(second)) = (text_len, words.get_mut(1)) {
                *second = *second << 32 | text_len;
            }
            let slot: Vec<_> = words.iter().map(|&word| AtomicU64::new(word)).collect();
            if let Some(report) = read(&slot) {
                // Lossy conversion makes at most three bytes out of one.
                prop_assert!(report.message.len() <= 3 * 8 * words.len());
            }
        }
    }
}
