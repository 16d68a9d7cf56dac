//! Copies between memory of this process and memory that another process may change at any time.
//!
//! Such memory may not be read or written as bytes: the compiler would be free to read it twice and believe that it read
//! the same. A word at a time, as an atomic, is right everywhere. For many bytes the processor has an instruction of its
//! own, which the compiler does not look into, and which is as fast in a build without optimisation.

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// From so many bytes on it pays to copy them at once.
pub(super) const MANY: usize = 256;

/// Fills the room with the bytes of these words from this byte on. There must be as many.
pub(super) fn read(words: &[AtomicU64], from: usize, room: &mut [MaybeUninit<u8>]) {
    assert!(from <= size_of_val(words) && room.len() <= size_of_val(words) - from);
    if room.len() >= MANY && at_once::read(words, from, room) {
        return;
    }
    let (edge, room) = room.split_at_mut((from.next_multiple_of(8) - from).min(room.len()));
    if !edge.is_empty() {
        let start = from % 8;
        edge.write_copy_of_slice(&words[from / 8].load(Relaxed).to_le_bytes()[start..start + edge.len()]);
    }
    let words = &words[from.div_ceil(8)..];
    let (whole, rest) = room.as_chunks_mut::<8>();
    for (room, word) in whole.iter_mut().zip(words) {
        room.write_copy_of_slice(&word.load(Relaxed).to_le_bytes());
    }
    if !rest.is_empty() {
        let word = words[whole.len()].load(Relaxed).to_le_bytes();
        rest.write_copy_of_slice(&word[..rest.len()]);
    }
}

/// Writes the bytes into these words from this byte on. There must be room. Nobody else may write these words.
pub(super) fn write(words: &[AtomicU64], from: usize, bytes: &[u8]) {
    assert!(from <= size_of_val(words) && bytes.len() <= size_of_val(words) - from);
    if bytes.len() >= MANY && at_once::write(words, from, bytes) {
        return;
    }
    let (edge, bytes) = bytes.split_at((from.next_multiple_of(8) - from).min(bytes.len()));
    if !edge.is_empty() {
        put(&words[from / 8], from % 8, edge);
    }
    let words = &words[from.div_ceil(8)..];
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*bytes), Relaxed);
    }
    if !rest.is_empty() {
        put(&words[whole.len()], 0, rest);
    }
}

/// Changes some bytes of a word.
fn put(word: &AtomicU64, from: usize, bytes: &[u8]) {
    let mut changed = word.load(Relaxed).to_le_bytes();
    changed[from..from + bytes.len()].copy_from_slice(bytes);
    word.store(u64::from_le_bytes(changed), Relaxed);
}

/// Many bytes at once. `false`: not on this machine.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod at_once {
    use std::arch::asm;
    use std::mem::MaybeUninit;
    use std::sync::atomic::AtomicU64;

    /// # Safety
    /// So many bytes can be read at `from`, and written at `to`, where nothing else of this process is at the same time.
    /// The two do not overlap.
    #[expect(unsafe_code, reason = "an instruction that the compiler has no name for")]
    unsafe fn copy(from: *const u8, to: *mut u8, count: usize) {
        // SAFETY: the instruction reads and writes these bytes (the direction flag is clear, as everywhere) and changes
        // the three registers that are given up. The compiler knows no more than that memory may have changed.
        unsafe {
            asm!(
                "rep movsb",
                inout("rcx") count => _,
                inout("rsi") from => _,
                inout("rdi") to => _,
                options(nostack, preserves_flags)
            );
        }
    }

    pub(super) fn read(words: &[AtomicU64], from: usize, room: &mut [MaybeUninit<u8>]) -> bool {
        // SAFETY: the caller has checked that the words have so many bytes from there on; the room is borrowed alone, so
        // it does not overlap them. That another process writes the words meanwhile is no race in this one: what is read
        // is some bytes, and the compiler is not told which.
        #[expect(unsafe_code, reason = "see there")]
        unsafe {
            copy(words.as_ptr().cast::<u8>().add(from), room.as_mut_ptr().cast(), room.len());
        }
        true
    }

    pub(super) fn write(words: &[AtomicU64], from: usize, bytes: &[u8]) -> bool {
        // SAFETY: the caller has checked that the words have room for so many bytes from there on; they are atomics, so
        // they may be written behind a shared borrow, and nobody else in this process writes these. `bytes` cannot
        // overlap them: they would be memory that changes behind a borrow.
        #[expect(unsafe_code, reason = "see there")]
        unsafe {
            copy(bytes.as_ptr(), words.as_ptr().cast_mut().cast::<u8>().add(from), bytes.len());
        }
        true
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod at_once {
    use std::mem::MaybeUninit;
    use std::sync::atomic::AtomicU64;

    pub(super) fn read(_: &[AtomicU64], _: usize, _: &mut [MaybeUninit<u8>]) -> bool {
        false
    }

    pub(super) fn write(_: &[AtomicU64], _: usize, _: &[u8]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_can_be_written_and_read_anywhere() {
        let bytes: Vec<u8> = (0..600u32).map(|i| (i * 7 % 251) as u8).collect();
        for from in 0..17 {
            for len in (0..20).chain([255, 256, 257, 263, 264, 600]) {
                let words: Vec<_> = (0..80).map(|_| AtomicU64::new(u64::MAX)).collect();
                write(&words, from, &bytes[..len]);
                let mut room = vec![MaybeUninit::new(0); 640 - from];
                read(&words, from, &mut room);
                // SAFETY: all of it was initialised when it was made.
                #[expect(unsafe_code, reason = "reading what was filled")]
                let read: Vec<u8> = room.iter().map(|byte| unsafe { byte.assume_init() }).collect();
                assert_eq!(read[..len], bytes[..len], "{len} from {from}");
                assert!(read[len..].iter().all(|byte| *byte == 255), "{len} from {from}");
                let before = words[..from / 8].iter().all(|word| word.load(Relaxed) == u64::MAX);
                assert!(
                    before && words[from / 8].load(Relaxed).to_le_bytes()[..from % 8].iter().all(|byte| *byte == 255)
                );
            }
        }
    }

    #[test]
    #[should_panic]
    fn nothing_is_read_beyond_the_end() {
        read(&[AtomicU64::new(0), AtomicU64::new(0)], 9, &mut [MaybeUninit::new(0); 8]);
    }
}
