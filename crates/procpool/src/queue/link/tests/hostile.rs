//! Rings in which the other end wrote what it liked.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use proptest::prelude::*;

use super::super::board::Memory;
use super::super::layout::{DOWN_HEAD, RING_WORDS, UP_RING, UP_TAIL};
use super::super::ring::{RingReader, RingWriter, Way};
use super::super::{Drained, HubEnd, Incoming, LinkError, Transport, Written};
use super::memory;
use crate::queue::wire::{Flags, Header, Kind, WireError};

const RING: u64 = RING_WORDS as u64 * 8;

fn hub(memory: &Memory) -> HubEnd {
    HubEnd::new(memory.clone(), Transport::Ring, None)
}

fn read(hub: &mut HubEnd) -> Result<Drained, WireError> {
    hub.read(&mut |_: Incoming| ControlFlow::Continue(())).map_err(|error| match error {
        LinkError::Wire(error) => error,
        LinkError::Io(error) => panic!("{error}"),
    })
}

fn put(memory: &Memory, at: u64, header: Header, len: u32) {
    let ring = memory.ring(UP_RING).unwrap();
    for (n, word) in header.encode_words(len).into_iter().enumerate() {
        ring[at as usize / 8 + n].store(word, Relaxed);
    }
}

#[test]
fn a_tail_that_cannot_be_is_an_error() {
    for tail in [4, RING + 8, u64::MAX, u64::MAX - 7] {
        let memory = memory();
        let mut hub = hub(&memory);
        memory.word(UP_TAIL).store(tail, Relaxed);
        assert!(hub.has_input());
        assert_eq!(read(&mut hub), Err(WireError::Ring), "{tail}");
    }
    // Backwards.
    let memory = memory();
    let mut hub = hub(&memory);
    put(&memory, 0, Header::whole(Kind::Look, 0, 0), 0);
    memory.word(UP_TAIL).store(16, Relaxed);
    assert_eq!(read(&mut hub), Ok(Drained::All));
    memory.word(UP_TAIL).store(8, Relaxed);
    assert_eq!(read(&mut hub), Err(WireError::Ring));
}

#[test]
fn a_head_that_cannot_be_ends_the_writing() {
    for wrong in [8, u64::MAX, RING * 2, 65_552 + 4] {
        let memory = memory();
        let mut hub = hub(&memory);
        let body = vec![1; 65_536];
        let header = Header::whole(Kind::Deliver, 0, 0);
        for _ in 0..RING / 65_552 {
            assert_eq!(hub.write(&header, &[&body]), Written::Whole);
        }
        assert_eq!(hub.write(&header, &[&body]), Written::Full);
        memory.word(DOWN_HEAD).store(65_552, Relaxed);
        assert_eq!(hub.write(&header, &[&body]), Written::Whole);
        // Backwards, beyond the tail, and not a multiple of eight.
        memory.word(DOWN_HEAD).store(wrong, Relaxed);
        assert_eq!(hub.write(&header, &[&body]), Written::Gone, "{wrong}");
    }
}

#[test]
fn a_record_beyond_the_tail_or_too_long_is_an_error() {
    for (len, tail, error) in [
        (8, 16, WireError::Ring),
        (0, 8, WireError::Ring),
        (65_536, 24, WireError::Ring),
        (65_537, 24, WireError::TooLong(65_537)),
        (u32::MAX, 24, WireError::TooLong(u32::MAX)),
    ] {
        let memory = memory();
        let mut hub = hub(&memory);
        put(&memory, 0, Header::whole(Kind::Send, 0, 0), len);
        memory.word(UP_TAIL).store(tail, Relaxed);
        assert_eq!(read(&mut hub), Err(error));
    }
}

#[test]
fn what_does_not_go_through_a_ring_is_refused_there() {
    for (kind, error) in [
        (Kind::Open, WireError::Direction(Kind::Open)),
        (Kind::Bell, WireError::Direction(Kind::Bell)),
        (Kind::Deliver, WireError::Direction(Kind::Deliver)),
        (Kind::Freed, WireError::Direction(Kind::Freed)),
        (Kind::Introduce, WireError::Passenger),
    ] {
        let memory = memory();
        let mut hub = hub(&memory);
        put(&memory, 0, Header::whole(kind, 0, 0), 0);
        memory.word(UP_TAIL).store(16, Relaxed);
        assert_eq!(read(&mut hub), Err(error));
    }
}

/// The lengths are changed all the time while they are read: that is noticed or does no harm, and never reads beyond what
/// was copied.
#[test]
fn lengths_that_change_after_the_commit_are_noticed_or_harmless() {
    let memory = memory();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ring = memory.ring(UP_RING).unwrap();
            let lengths = [0u32, 8, 16, 24, 4000, 65_536, 65_537, u32::MAX];
            for turn in 0.. {
                let header = Header { kind: Kind::Send, flags: Flags::WHOLE, slot: 1, number: 2 };
                for at in (0..64).step_by(3) {
                    ring[at].store(header.encode_words(lengths[(turn + at) % lengths.len()])[0], Relaxed);
                }
                if over.load(SeqCst) {
                    break;
                }
            }
        });
        let mut errors = 0;
        for _ in 0..20_000 {
            // As if each reader came for the first time.
            let mut reader = RingReader::new(memory.clone(), Way::Up);
            memory.word(UP_TAIL).store(24 * 20, Relaxed);
            let tail = reader.tail().unwrap();
            let mut read = || -> Result<usize, WireError> {
                let mut total = 0;
                while let Some(mut records) = reader.read(tail)? {
                    while let Some((_, body)) = records.next()? {
                        total += 16 + body.len().next_multiple_of(8);
                    }
                }
                Ok(total)
            };
            match read() {
                Ok(total) => assert_eq!(total, 24 * 20),
                Err(_) => errors += 1,
            }
        }
        over.store(true, SeqCst);
        assert!(errors > 0);
    });
}

proptest! {
    #[test]
    fn any_bytes_are_records_or_an_error(
        words in proptest::collection::vec(prop_oneof![any::<u64>(), (0..40u64, 0..20u64, 0..32u64).prop_map(|(len, kind, flags)| len | kind << 32 | flags << 40), 0..4000u64], 0..40),
        tail in 0..60u64,
    ) {
        let memory = memory();
        let ring = memory.ring(UP_RING).unwrap();
        for (room, word) in ring.iter().zip(&words) {
            room.store(*word, Relaxed);
        }
        memory.word(UP_TAIL).store(tail * 8, Relaxed);
        let mut hub = hub(&memory);
        let mut bytes = 0;
        let result = hub.read(&mut |incoming: Incoming| {
            bytes += incoming.body.len() as u64;
            ControlFlow::Continue(())
        });
        prop_assert!(bytes <= tail * 8);
        prop_assert!(result.is_err() || result.unwrap() == Drained::All);
    }
}

#[test]
fn a_ring_of_another_memory_has_no_room() {
    // A link whose memory has no rings, as over a socket.
    let words = crate::sys::memory::SharedWords::private(Transport::Socket.words()).unwrap();
    let mut writer = RingWriter::new(Memory::new(words), Way::Up);
    assert_eq!(writer.write(&Header::whole(Kind::Look, 0, 0), &[]), Err(WireError::Ring));
}
