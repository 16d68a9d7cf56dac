//! Bytes in words that another process may change at any time: each word is read or written once, as an atomic.

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;

use super::copy;

/// Appends the words as bytes, each read once: the other side may change them meanwhile, so nothing about them is known
/// before they have been copied.
pub(crate) fn append_words(words: &[AtomicU64], into: &mut Vec<u8>) {
    append_bytes(words, 0, size_of_val(words), into);
}

/// A buffer that grows at its end.
pub(crate) trait Growing {
    /// Makes room for so many bytes more.
    fn reserve(&mut self, count: usize);

    /// The room that there is.
    fn room(&mut self) -> &mut [MaybeUninit<u8>];

    /// Takes the first bytes of the room into the buffer.
    ///
    /// # Safety
    /// They have been filled.
    #[expect(unsafe_code, reason = "filling a buffer without clearing it before")]
    unsafe fn take(&mut self, count: usize);
}

impl Growing for Vec<u8> {
    fn reserve(&mut self, count: usize) {
        Vec::reserve(self, count);
    }

    fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        self.spare_capacity_mut()
    }

    #[expect(unsafe_code, reason = "filling a vector without clearing it before")]
    unsafe fn take(&mut self, count: usize) {
        // SAFETY: the caller promises that these bytes, which follow `len()` within the capacity, have been filled.
        unsafe { self.set_len(self.len() + count) }
    }
}

impl Growing for BytesMut {
    fn reserve(&mut self, count: usize) {
        BytesMut::reserve(self, count);
    }

    fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        self.spare_capacity_mut()
    }

    #[expect(unsafe_code, reason = "filling a buffer without clearing it before")]
    unsafe fn take(&mut self, count: usize) {
        // SAFETY: the caller promises that these bytes, which follow `len()` within the capacity, have been filled.
        unsafe { self.set_len(self.len() + count) }
    }
}

/// Appends `len` bytes of the words, from this byte on. They must have as many.
pub(crate) fn append_bytes(words: &[AtomicU64], from: usize, len: usize, into: &mut impl Growing) {
    // As whole words, of which the last one may go beyond.
    let whole = len.next_multiple_of(8);
    if from.is_multiple_of(8) && len < copy::MANY && into.room().len() >= whole {
        copy::read(words, from, &mut into.room()[..whole]);
        // SAFETY: at least so many bytes have just been filled.
        #[expect(unsafe_code, reason = "filling a buffer without clearing it before")]
        return unsafe { into.take(len) };
    }
    into.reserve(len);
    copy::read(words, from, &mut into.room()[..len]);
    // SAFETY: `reserve` made room for `len` bytes, and `read` has filled every one of them.
    #[expect(unsafe_code, reason = "filling a buffer without clearing it before")]
    unsafe {
        into.take(len);
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
        if bytes.len() >= copy::MANY {
            return self.many(bytes);
        }
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
        let rest = (rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), rest.len() as u32 * 8);
        self.few(rest);
    }

    /// The same for less than a word: that many bits.
    fn few(&mut self, (word, bits): (u64, u32)) {
        self.pending |= word << self.bits;
        self.bits += bits;
        if self.bits >= 64 {
            self.word(self.pending);
            self.bits -= 64;
            // What was shifted out, if anything.
            self.pending = word.checked_shr(bits - self.bits).unwrap_or(0);
        }
    }

    /// The same for so many that it pays to copy them at once.
    fn many(&mut self, bytes: &[u8]) {
        if self.bits > 0 {
            self.ring[self.at].store(self.pending, Relaxed);
        }
        let from = self.at * 8 + self.bits as usize / 8;
        let (first, second) = bytes.split_at(bytes.len().min(self.ring.len() * 8 - from));
        copy::write(self.ring, from, first);
        copy::write(self.ring, 0, second);
        let end = (from + bytes.len()) % (self.ring.len() * 8);
        self.at = end / 8;
        self.bits = (end % 8) as u32 * 8;
        // What the last word has so far: it is written again, with what follows.
        self.pending = bytes[bytes.len() - end % 8..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
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

    #[test]
    fn many_bytes_go_in_between_few() {
        let bytes: Vec<u8> = (0..3000).map(|i| (i % 251) as u8).collect();
        for at in [0, 1, 100, 255] {
            for cuts in [[0, 300], [3, 600], [12, 1000], [5, 261], [300, 301], [13, 2040]] {
                let ring = ring(256);
                let mut filler = Filler::new(&ring, at);
                filler.bytes(&bytes[..cuts[0]]);
                filler.bytes(&bytes[cuts[0]..cuts[1]]);
                filler.bytes(&bytes[cuts[1]..cuts[1] + 3]);
                filler.finish();
                let turned: Vec<_> = (0..256).map(|i| AtomicU64::new(ring[(at + i) % 256].load(Relaxed))).collect();
                let mut out = BytesMut::new();
                append_bytes(&turned, 0, cuts[1] + 3, &mut out);
                assert_eq!(out, bytes[..cuts[1] + 3], "{cuts:?} at {at}");
            }
        }
    }
}
