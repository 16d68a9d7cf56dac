//! Rings: the bytes between a parent and a worker, through the memory that both have.
//!
//! A ring carries a stream of bytes in one direction, as a socket does, and the same frames. One side writes, the other
//! reads. Each write is a *segment*: a word with its length, and its bytes, filled up to whole words. The writer moves
//! the tail past a segment with one `Release` store, so the reader, which loads the tail with `Acquire`, sees whole
//! segments; the reader copies bytes out and moves the head past them in the same way. Each end keeps its own index to
//! itself and merely shows it.
//!
//! The other end's index, and everything in the ring, may be anything at any time. An index is checked whenever it is
//! read, and a length against what there is; whatever else is read is only bytes for the assembler. What cannot be is an
//! error of kind `InvalidData`, and the end of the connection.
//!
//! # Sleep
//! Whoever waits says so in a word of the ring, *then* looks once more, and then sleeps; whoever has changed something
//! does that first, *then* looks for the word. A `SeqCst` fence between the two steps on both sides makes it impossible
//! that both look too early. The reader waits for bytes (`SLEEPS`), the writer for room (`WANTS_ROOM`). A worker sleeps on
//! the word itself, as a futex; a parent sleeps on its socket, on which the worker writes a byte for it.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use crate::sys::memory::{SharedWords, low_half};
use crate::sys::socket::Target;
use crate::sys::words::{Filler, Growing, append_bytes};

/// A ring's length in words. Its pages cost nothing before they are used.
const RING_WORDS: usize = 64 * 1024;

/// The same in bytes.
const RING: u64 = RING_WORDS as u64 * 8;

/// The words that precede a ring, and where in them things are. What the two ends write lies in cache lines of its own,
/// and in pairs of lines, which processors fetch together.
const HEAD_WORDS: usize = 64;
const TAIL: usize = 0;
const HEAD: usize = 16;
const SLEEPS: usize = 32;
const WANTS_ROOM: usize = 48;

/// How many words both rings take.
pub(crate) const RINGS_WORDS: usize = 2 * (HEAD_WORDS + RING_WORDS);

/// How many bytes one read gives at the most.
const READ: usize = 64 * 1024;

/// In which direction a ring goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the worker.
    Down,
    /// To the parent.
    Up,
}

/// One ring, somewhere in memory.
#[derive(Clone, Debug)]
struct Place {
    memory: Arc<SharedWords>,
    start: usize,
}

impl Place {
    /// `start`: where the rings begin in this memory, which is long enough.
    fn new(memory: &Arc<SharedWords>, start: usize, way: Way) -> Place {
        let offset = match way {
            Way::Down => 0,
            Way::Up => HEAD_WORDS + RING_WORDS,
        };
        Place { memory: Arc::clone(memory), start: start + offset }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.memory[self.start + at]
    }

    fn ring(&self) -> &[AtomicU64] {
        &self.memory[self.start + HEAD_WORDS..][..RING_WORDS]
    }

    /// Says that somebody waits, and leaves it at that if `look` finds that there is no need to. Gives back whether to
    /// wait.
    fn wait_unless<E>(&self, at: usize, look: impl FnOnce() -> Result<bool, E>) -> Result<bool, E> {
        self.word(at).store(1, SeqCst);
        fence(SeqCst);
        let found = look()?;
        if found {
            self.word(at).store(0, SeqCst);
        }
        Ok(!found)
    }

    /// Whether somebody waits, after something was done that he may wait for. He is told once.
    fn was_waited_for(&self, at: usize) -> bool {
        fence(SeqCst);
        self.word(at).load(Relaxed) != 0 && self.word(at).swap(0, AcqRel) != 0
    }
}

fn place(index: u64) -> usize {
    (index / 8) as usize % RING_WORDS
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what is in the shared ring makes no sense")
}

/// The end that writes.
#[derive(Debug)]
pub(crate) struct RingWriter {
    place: Place,
    tail: u64,
    /// The reader's index when it was looked at last.
    head: u64,
}

impl RingWriter {
    /// The end of a new ring.
    pub(crate) fn new(memory: &Arc<SharedWords>, start: usize, way: Way) -> RingWriter {
        RingWriter { place: Place::new(memory, start, way), tail: 0, head: 0 }
    }

    /// Writes as much as there is room for, and says how much that was: as one whole, so that the reader sees all of it
    /// or nothing.
    ///
    /// # Errors
    /// `WouldBlock`: there is no room. `InvalidData`: the reader's index cannot be.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if total == 0 {
            return Ok(0);
        }
        if self.room() < total {
            self.look_at_head()?;
        }
        let length = total.min(self.room());
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut filler = Filler::new(self.place.ring(), place(self.tail));
        filler.word(length as u64);
        let mut left = length;
        for slice in slices {
            let taken = slice.len().min(left);
            filler.bytes(&slice[..taken]);
            left -= taken;
        }
        filler.finish();
        self.tail += 8 + length.next_multiple_of(8) as u64;
        self.place.word(TAIL).store(self.tail, Release);
        Ok(length)
    }

    /// Writes a short frame, all of it, or nothing if there is no room. What [`write`](Self::write) would do, in a third of
    /// the time: a frame of which there are millions a second.
    ///
    /// # Errors
    /// `InvalidData`: the reader's index cannot be.
    pub(crate) fn write_short(&mut self, header: &[u8; 16], body: &[u8]) -> io::Result<bool> {
        let length = header.len() + body.len();
        if self.room() < length {
            self.look_at_head()?;
        }
        let Ok(ring) = <&[AtomicU64; RING_WORDS]>::try_from(self.place.ring()) else { return Ok(false) };
        if self.room() < length {
            return Ok(false);
        }
        let mut at = place(self.tail);
        let mut put = |word: u64| {
            ring[at].store(word, Relaxed);
            at = (at + 1) % RING_WORDS;
        };
        put(length as u64);
        header.as_chunks::<8>().0.iter().for_each(|word| put(u64::from_le_bytes(*word)));
        let (words, rest) = body.as_chunks::<8>();
        words.iter().for_each(|word| put(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            put(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
        self.tail += 8 + length.next_multiple_of(8) as u64;
        self.place.word(TAIL).store(self.tail, Release);
        Ok(true)
    }

    /// How many bytes can be written now, as far as is known.
    fn room(&self) -> usize {
        ((RING - (self.tail - self.head)) as usize).saturating_sub(8)
    }

    fn look_at_head(&mut self) -> io::Result<()> {
        let head = self.place.word(HEAD).load(Acquire);
        if head < self.head || head > self.tail || !head.is_multiple_of(8) {
            return Err(nonsense());
        }
        self.head = head;
        Ok(())
    }

    /// Asks to be told of room. Gives back whether there still is none.
    pub(crate) fn want_room(&mut self) -> io::Result<bool> {
        let place = self.place.clone();
        place.wait_unless(WANTS_ROOM, || {
            self.look_at_head()?;
            Ok(self.room() > 0)
        })
    }

    /// Whether the reader has gone to sleep: it is to be told of what has been written.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.place.was_waited_for(SLEEPS)
    }

    /// The word that a reader who is a worker sleeps on.
    pub(crate) fn sleeper(&self) -> &AtomicU32 {
        low_half(self.place.word(SLEEPS))
    }

    /// The word that a writer who is a worker sleeps on.
    pub(crate) fn room_word(&self) -> &AtomicU32 {
        low_half(self.place.word(WANTS_ROOM))
    }
}

/// The end that reads.
#[derive(Debug)]
pub(crate) struct RingReader {
    place: Place,
    /// The next byte; what it shows is the word that this is in.
    head: u64,
    /// What has not been read of the segment that the head is in.
    left: usize,
}

impl RingReader {
    /// The end of a new ring.
    pub(crate) fn new(memory: &Arc<SharedWords>, start: usize, way: Way) -> RingReader {
        RingReader { place: Place::new(memory, start, way), head: 0, left: 0 }
    }

    /// Whether something has been written that has not been read (or the writer's index cannot be).
    pub(crate) fn has_input(&self) -> bool {
        self.place.word(TAIL).load(Acquire) != self.head
    }

    /// Puts what there is, up to 64 KiB, where it is wanted, and makes room for more.
    ///
    /// # Errors
    /// `WouldBlock`: there is nothing. `InvalidData`: what is there cannot be.
    pub(crate) fn read_into(&mut self, target: &mut Target<'_>) -> io::Result<usize> {
        match target {
            Target::Buffer(buffer) => self.read(*buffer, READ),
            Target::Some(buffer, most) => self.read(*buffer, READ.min(*most)),
            Target::Value(value, most) => self.read(*value, READ.min(*most)),
        }
    }

    fn read(&mut self, buffer: &mut impl Growing, most: usize) -> io::Result<usize> {
        let tail = self.place.word(TAIL).load(Acquire);
        if tail == self.head {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if tail.checked_sub(self.head).is_none_or(|there| there > RING) || !tail.is_multiple_of(8) {
            return Err(nonsense());
        }
        let mut read = 0;
        while self.head != tail && read < most {
            if self.left == 0 {
                let length = self.place.ring()[place(self.head)].load(Relaxed);
                self.head += 8;
                // Whole, with what it is filled up with: the writer shows nothing less.
                if length == 0 || length > tail - self.head {
                    return Err(nonsense());
                }
                self.left = length as usize;
            }
            let taken = self.left.min(most - read);
            let (ring, at) = (self.place.ring(), (self.head % RING) as usize);
            let first = taken.min(RING as usize - at);
            append_bytes(ring, at, first, buffer);
            if taken > first {
                append_bytes(ring, 0, taken - first, buffer);
            }
            self.head += taken as u64;
            self.left -= taken;
            read += taken;
            if self.left == 0 {
                self.head = self.head.next_multiple_of(8);
            }
        }
        self.place.word(HEAD).store(self.head / 8 * 8, Release);
        Ok(read)
    }

    /// Says that this end is going to sleep. Gives back whether it may: nothing is there.
    pub(crate) fn may_sleep(&self) -> bool {
        // It cannot fail.
        self.place.wait_unless(SLEEPS, || Ok::<_, std::convert::Infallible>(self.has_input())).unwrap_or(false)
    }

    /// Says that this end looks by itself: nobody needs to tell it anything.
    pub(crate) fn stay_awake(&self) {
        self.place.word(SLEEPS).store(0, Relaxed);
    }

    /// Whether the writer waits for the room that reading has made: it is to be told. Not before half of the ring is
    /// free, so that it is not woken for every bit; whoever has read less than that has more to read.
    pub(crate) fn room_is_waited_for(&self) -> bool {
        let left = self.place.word(TAIL).load(Relaxed).saturating_sub(self.head);
        left <= RING / 2 && self.place.was_waited_for(WANTS_ROOM)
    }

    /// The word that a writer who is a worker sleeps on.
    pub(crate) fn room_word(&self) -> &AtomicU32 {
        low_half(self.place.word(WANTS_ROOM))
    }

    /// The word that a reader who is a worker sleeps on.
    pub(crate) fn sleeper(&self) -> &AtomicU32 {
        low_half(self.place.word(SLEEPS))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::sys::futex;

    fn ring() -> (RingWriter, RingReader, Arc<SharedWords>) {
        let memory = Arc::new(SharedWords::private(RINGS_WORDS).unwrap());
        (RingWriter::new(&memory, 0, Way::Up), RingReader::new(&memory, 0, Way::Up), memory)
    }

    fn bytes(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + seed) as u8).collect()
    }

    #[test]
    fn a_full_ring_takes_nothing_and_room_is_told_of() {
        let (mut writer, mut reader, _) = ring();
        let data = bytes(RING as usize, 1);
        let written = writer.write(&[IoSlice::new(&data)]).unwrap();
        assert_eq!(written, RING as usize - 8);
        let refused = writer.write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(writer.want_room().unwrap());
        let mut buffer = BytesMut::new();
        let mut read = || reader.read_into(&mut Target::Buffer(&mut buffer)).map(|_| reader.room_is_waited_for());
        let told: Vec<_> = (0..6).map(|_| read().unwrap()).collect();
        assert_eq!(told, [false, false, false, true, false, false], "once half of it is free");
        assert!(!writer.want_room().unwrap());
        assert!(!reader.room_is_waited_for());
        assert_eq!(writer.write(&[IoSlice::new(&data)]).unwrap(), 6 * READ);
        while reader.read_into(&mut Target::Buffer(&mut buffer)).is_ok() {}
        assert_eq!(buffer[..written], data[..written]);
        assert_eq!(buffer[written..], data[..6 * READ]);
    }

    #[test]
    fn whoever_sleeps_is_told_once() {
        let (mut writer, mut reader, _) = ring();
        assert!(!writer.is_waited_for());
        assert!(reader.may_sleep());
        writer.write(&[IoSlice::new(b"x")]).unwrap();
        assert!(writer.is_waited_for() && !writer.is_waited_for());
        assert!(!reader.may_sleep(), "there is something");
        assert!(!writer.is_waited_for());
        let mut buffer = BytesMut::new();
        reader.read_into(&mut Target::Buffer(&mut buffer)).unwrap();
        assert!(reader.may_sleep());
        reader.stay_awake();
        assert!(!writer.is_waited_for());
    }

    /// Two threads, as two processes would: nobody sleeps for ever, and every byte arrives.
    #[test]
    fn a_stream_arrives_whole_whoever_sleeps() {
        const ROUNDS: usize = 30_000;
        let (mut writer, mut reader, _) = ring();
        let length = |round: usize| 1 + (round * round) % if round.is_multiple_of(100) { 300_000 } else { 90 };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let data = bytes(length(round), round);
                    let mut rest = &data[..];
                    while !rest.is_empty() {
                        match writer.write(&[IoSlice::new(rest)]) {
                            Ok(written) => {
                                rest = &rest[written..];
                                if writer.is_waited_for() {
                                    futex::wake_all(writer.sleeper());
                                }
                            }
                            Err(_) => {
                                while writer.want_room().unwrap() {
                                    let _ = futex::wait(writer.room_word(), 1, None);
                                }
                            }
                        }
                    }
                }
            });
            let mut buffer = BytesMut::new();
            for round in 0..ROUNDS {
                let expected = bytes(length(round), round);
                while buffer.len() < expected.len() {
                    match reader.read_into(&mut Target::Buffer(&mut buffer)) {
                        Ok(_) => {
                            if reader.room_is_waited_for() {
                                futex::wake_all(reader.room_word());
                            }
                        }
                        Err(_) => {
                            while reader.may_sleep() {
                                let _ = futex::wait(reader.sleeper(), 1, None);
                            }
                        }
                    }
                }
                assert!(buffer.split_to(expected.len()) == expected, "round {round}");
            }
        });
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(sizes in prop::collection::vec((0..3usize, 0..100_000usize), 1..40)) {
            let (mut writer, mut reader, _) = ring();
            let (mut sent, mut got) = (Vec::new(), BytesMut::new());
            for (reads, size) in sizes {
                let data = bytes(size, sent.len());
                let (one, two) = data.split_at(size / 3);
                let (header, body) = (std::array::from_fn(|at| at as u8), &data[..size % 70]);
                if writer.write_short(&header, body).unwrap() {
                    sent.extend_from_slice(&[&header[..], body].concat());
                }
                if let Ok(written) = writer.write(&[IoSlice::new(one), IoSlice::new(two)]) {
                    sent.extend_from_slice(&data[..written]);
                }
                for most in 0..reads {
                    let _ = reader.read_into(&mut Target::Some(&mut got, 1 + most * 1237));
                }
            }
            while reader.read_into(&mut Target::Buffer(&mut got)).is_ok() {}
            prop_assert!(got == sent);
        }

        /// Neither end reads or writes where it should not, waits for ever, or believes anything.
        #[test]
        fn scribbles_are_errors_or_bytes(
            scribbles in prop::collection::vec((0..200usize, prop_oneof![any::<u64>(), 0..300_000u64]), 1..30),
        ) {
            let (mut writer, mut reader, memory) = ring();
            let start = HEAD_WORDS + RING_WORDS;
            let mut got = BytesMut::new();
            for (at, value) in scribbles {
                let _ = (writer.write(&[IoSlice::new(&bytes(100, at))]), writer.write_short(&[7; 16], &bytes(3, at)));
                memory[start + at].store(value, Relaxed);
                for _ in 0..10 {
                    match reader.read_into(&mut Target::Buffer(&mut got)) {
                        Ok(read) => prop_assert!(read <= READ),
                        Err(_) => break,
                    }
                }
                let _ = (writer.want_room(), writer.is_waited_for(), reader.may_sleep(), reader.room_is_waited_for());
            }
        }
    }
}
