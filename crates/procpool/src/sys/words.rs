//! Bytes in words that another process may change at any time: each word is read or written once, as an atomic.

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;

/// Appends the words as bytes, each read once: the other side may change them meanwhile, so nothing about them is known
/// before they have been copied.
pub(crate) fn append_words(words: &[AtomicU64], into: &mut Vec<u8>) {
    let length = size_of_val(words);
    into.reserve(length);
    let start = into.len();
    copy(words, into.spare_capacity_mut());
    // SAFETY: `reserve` made room for `length` bytes more, and `copy` has filled every byte of them.
    #[expect(unsafe_code, reason = "filling a vector without clearing it before")]
    unsafe {
        into.set_len(start + length);
    }
}

/// A buffer that grows at its end.
pub(crate) trait Growing {
    /// Makes room for so many bytes more.
    fn reserve(&mut self, count: usize);

    fn put(&mut self, bytes: &[u8]);

    /// Appends whole words. There is room.
    fn put_words(&mut self, words: &[AtomicU64]);
}

impl Growing for Vec<u8> {
    fn reserve(&mut self, count: usize) {
        Vec::reserve(self, count);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_words(&mut self, words: &[AtomicU64]) {
        append_words(words, self);
    }
}

impl Growing for BytesMut {
    fn reserve(&mut self, count: usize) {
        BytesMut::reserve(self, count);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_words(&mut self, words: &[AtomicU64]) {
        let length = size_of_val(words);
        BytesMut::reserve(self, length);
        copy(words, self.spare_capacity_mut());
        // SAFETY: `reserve` made room for `length` bytes more, and `copy` has filled every byte of them.
        #[expect(unsafe_code, reason = "filling a buffer without clearing it before")]
        unsafe {
            self.set_len(self.len() + length);
        }
    }
}

/// Appends `len` bytes of the words, from this byte on. They must have as many.
pub(crate) fn append_bytes(words: &[AtomicU64], from: usize, len: usize, into: &mut impl Growing) {
    let (end, mut at) = (from + len, from);
    into.reserve(len);
    while at < end {
        let whole = (end - at) / 8;
        if at.is_multiple_of(8) && whole > 0 {
            into.put_words(&words[at / 8..][..whole]);
            at += whole * 8;
        } else {
            // A part of a word, at one of the ends.
            let (start, stop) = (at % 8, (end - at / 8 * 8).min(8));
            into.put(&words[at / 8].load(Relaxed).to_le_bytes()[start..stop]);
            at += stop - start;
        }
    }
}

/// Fills the room, which is at least as long, with the words.
fn copy(words: &[AtomicU64], room: &mut [MaybeUninit<u8>]) {
    let room = &mut room[..size_of_val(words)];
    for (room, word) in room.chunks_exact_mut(8).zip(words) {
        room.write_copy_of_slice(&word.load(Relaxed).to_le_bytes());
    }
}

/// Puts bytes of any length one after the other into the words of a ring, from one of them on.
pub(crate) struct Filler<'a> {
    ring: &'a [AtomicU64],
    at: usize,
    /// What does not fill a word yet, in the low bits.
    pending: u64,
    bits: u32,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(ring: &'a [AtomicU64], at: usize) -> Self {
        Filler { ring, at, pending: 0, bits: 0 }
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.ring[self.at].store(word, Relaxed);
        self.at = if self.at + 1 == self.ring.len() { 0 } else { self.at + 1 };
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        if self.bits == 0 {
            // In two runs, if the ring's end is between.
            let (first, second) = words.split_at(words.len().min(self.ring.len() - self.at));
            for run in [first, second] {
                for (room, word) in self.ring[self.at..].iter().zip(run) {
                    room.store(u64::from_le_bytes(*word), Relaxed);
                }
                self.at = (self.at + run.len()) % self.ring.len();
            }
        } else {
            for word in words {
                let word = u64::from_le_bytes(*word);
                self.word(self.pending | word << self.bits);
                self.pending = word >> (64 - self.bits);
            }
        }
        for byte in rest {
            self.pending |= u64::from(*byte) << self.bits;
            self.bits += 8;
            if self.bits == 64 {
                self.word(self.pending);
                (self.pending, self.bits) = (0, 0);
            }
        }
    }

    /// The last word is filled up with zeros.
    pub(crate) fn finish(mut self) {
        if self.bits > 0 {
            self.word(self.pending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(len: usize) -> Vec<AtomicU64> {
        (0..len).map(|_| AtomicU64::new(u64::MAX)).collect()
    }

    #[test]
    fn bytes_of_any_length_go_in_and_come_out() {
        let bytes: Vec<u8> = (0..100).collect();
        for at in 0..16 {
            for cuts in [[0, 0], [1, 2], [8, 16], [3, 19], [16, 41], [0, 100]] {
                let ring = ring(16);
                let mut filler = Filler::new(&ring, at);
                filler.bytes(&bytes[..cuts[0]]);
                filler.bytes(&bytes[cuts[0]..cuts[1]]);
                filler.finish();
                let turned: Vec<_> = (0..16).map(|i| AtomicU64::new(ring[(at + i) % 16].load(Relaxed))).collect();
                let mut out = BytesMut::from(&b"before"[..]);
                append_bytes(&turned, 0, cuts[1], &mut out);
                assert_eq!(out, [b"before", &bytes[..cuts[1]]].concat());
                let mut rest = Vec::new();
                append_bytes(&turned, cuts[0], cuts[1] - cuts[0], &mut rest);
                assert_eq!(rest, bytes[cuts[0]..cuts[1]]);
                let mut whole = vec![1];
                append_words(&turned[..cuts[1].div_ceil(8)], &mut whole);
                assert_eq!(whole[1..=cuts[1]], bytes[..cuts[1]]);
            }
        }
    }
}
