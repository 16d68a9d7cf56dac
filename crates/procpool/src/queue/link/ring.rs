//! A ring of bytes: one writes, one reads, in two processes or in one.
//!
//! A record is its header and its body, filled up to a multiple of eight bytes. The writer puts records whole into the
//! ring and then moves the tail past them with one `Release` store, so the reader, which loads the tail with `Acquire`,
//! sees whole records only; the reader copies records out and then moves the head past them in the same way. Each end
//! keeps its own index to itself and merely shows it: what the other end may have written over it changes nothing.
//!
//! The other end's index, and everything in the ring, may be anything at any time. The index is checked whenever it is
//! read. Records are measured where they lie, then copied out once, and only the copy is believed: it is cut by the
//! lengths that it holds itself, which must not reach beyond it. Words are read and written as atomics, so even a writer
//! that changes what it has handed over makes no undefined behaviour, only nonsense.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use bytes::{Buf, Bytes};

use crate::queue::wire::{HEADER_LEN, Header, MAX_FRAGMENT, WireError};
use crate::sys::words::{Filler, append_words};

use super::board::Memory;
use super::layout::{DOWN_HEAD, DOWN_RING, DOWN_TAIL, RING_WORDS, UP_HEAD, UP_RING, UP_TAIL};

/// A ring's length in bytes.
const RING: u64 = RING_WORDS as u64 * 8;

/// Small records are copied out together, up to this many bytes. They then share this memory until the last of them is
/// dropped, so it must not be much.
const CHUNK: u64 = 4096;

/// Which of a link's two rings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Up,
    Down,
}

impl Way {
    fn ring(self, memory: &Memory) -> Result<&[AtomicU64; RING_WORDS], WireError> {
        memory
            .ring(match self {
                Way::Up => UP_RING,
                Way::Down => DOWN_RING,
            })
            .ok_or(WireError::Ring)
    }

    fn tail(self, memory: &Memory) -> &AtomicU64 {
        memory.word(match self {
            Way::Up => UP_TAIL,
            Way::Down => DOWN_TAIL,
        })
    }

    fn head(self, memory: &Memory) -> &AtomicU64 {
        memory.word(match self {
            Way::Up => UP_HEAD,
            Way::Down => DOWN_HEAD,
        })
    }
}

/// Where in the ring an index is.
fn place(index: u64) -> usize {
    (index / 8) as usize % RING_WORDS
}

/// How much of the ring a record with so long a body takes.
fn footprint(len: usize) -> u64 {
    (HEADER_LEN + len.next_multiple_of(8)) as u64
}

/// The end that writes.
#[derive(Debug)]
pub(super) struct RingWriter {
    memory: Memory,
    way: Way,
    tail: u64,
    /// The reader's index when it was looked at last.
    head: u64,
}

impl RingWriter {
    pub(super) fn new(memory: Memory, way: Way) -> RingWriter {
        RingWriter { memory, way, tail: 0, head: 0 }
    }

    /// Writes a record. `false`: there is no room for it, and nothing has been written.
    pub(super) fn write(&mut self, header: &Header, parts: &[&[u8]]) -> Result<bool, WireError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        assert!(len <= MAX_FRAGMENT, "a record of {len} bytes");
        let end = self.tail + footprint(len);
        if end - self.head > RING {
            self.look_at_head()?;
            if end - self.head > RING {
                return Ok(false);
            }
        }
        let ring = self.way.ring(&self.memory)?;
        let mut filler = Filler::new(ring, place(self.tail));
        for word in header.encode_words(len as u32) {
            filler.word(word);
        }
        for part in parts {
            filler.bytes(part);
        }
        filler.finish();
        self.tail = end;
        self.way.tail(&self.memory).store(end, Release);
        Ok(true)
    }

    fn look_at_head(&mut self) -> Result<(), WireError> {
        let head = self.way.head(&self.memory).load(Acquire);
        if head < self.head || head > self.tail || !head.is_multiple_of(8) {
            return Err(WireError::Ring);
        }
        self.head = head;
        Ok(())
    }
}

/// The end that reads.
#[derive(Debug)]
pub(super) struct RingReader {
    memory: Memory,
    way: Way,
    head: u64,
}

impl RingReader {
    pub(super) fn new(memory: Memory, way: Way) -> RingReader {
        RingReader { memory, way, head: 0 }
    }

    /// Whether something has been written that has not been read (or the writer's index cannot be).
    pub(super) fn has_input(&self) -> bool {
        self.way.tail(&self.memory).load(Acquire) != self.head
    }

    /// How far can be read now.
    pub(super) fn tail(&self) -> Result<u64, WireError> {
        let tail = self.way.tail(&self.memory).load(Acquire);
        match tail.checked_sub(self.head) {
            Some(there) if there <= RING && there.is_multiple_of(8) => Ok(tail),
            _ => Err(WireError::Ring),
        }
    }

    /// Copies some records out, up to `tail`, and makes room for others. `None`: `tail` has been reached.
    pub(super) fn read(&mut self, tail: u64) -> Result<Option<Records>, WireError> {
        if self.head == tail {
            return Ok(None);
        }
        let ring = self.way.ring(&self.memory)?;
        let mut end = self.head;
        while end < tail {
            // Only the length: everything else is looked at in the copy.
            let len = ring[place(end)].load(Relaxed) as u32 as usize;
            if len > MAX_FRAGMENT {
                return Err(WireError::TooLong(len as u32));
            }
            let next = end + footprint(len);
            if next > tail {
                return Err(WireError::Ring);
            }
            if next - self.head > CHUNK && end > self.head {
                break;
            }
            end = next;
        }
        let count = (end - self.head) as usize / 8;
        let mut bytes = Vec::with_capacity(count * 8);
        let start = &ring[place(self.head)..];
        append_words(&start[..count.min(start.len())], &mut bytes);
        append_words(&ring[..count.saturating_sub(start.len())], &mut bytes);
        self.head = end;
        self.way.head(&self.memory).store(end, Release);
        Ok(Some(Records { bytes: bytes.into() }))
    }
}

/// Records that have been copied out of a ring.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Bytes,
}

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Result<Option<(Header, Bytes)>, WireError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let header = self.bytes.first_chunk().ok_or(WireError::Ring)?;
        let (header, len) = Header::decode(header)?;
        let len = len as usize;
        let end = footprint(len) as usize;
        if end > self.bytes.len() {
            // The length has been changed since it was measured.
            return Err(WireError::Ring);
        }
        // An empty body must not keep the memory, and the last record can have all that is left of it.
        if len == 0 {
            self.bytes.advance(end);
            return Ok(Some((header, Bytes::new())));
        }
        let mut record =
            if end == self.bytes.len() { std::mem::take(&mut self.bytes) } else { self.bytes.split_to(end) };
        record.advance(HEADER_LEN);
        record.truncate(len);
        Ok(Some((header, record)))
    }
}
