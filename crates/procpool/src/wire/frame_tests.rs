//! Frames, whole and broken.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::frame::*;
use crate::spare;

fn stream(kind: Kind, id: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (prefix, range) in Fragments::new(kind, id, body.len(), 0) {
        out.extend_from_slice(&prefix);
        out.extend_from_slice(&body[range]);
    }
    out
}

/// The frames of a message whose last bytes are apart.
fn stream_apart(id: u64, body: &[u8], apart: &[u8]) -> Vec<u8> {
    let all = [body, apart].concat();
    let mut out = Vec::new();
    for (prefix, range) in Fragments::new(Kind::Reply, id, all.len(), apart.len()) {
        out.extend_from_slice(&prefix);
        out.extend_from_slice(&all[range]);
    }
    out
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn reply(id: u64, body: &[u8]) -> Message {
    Message { kind: Kind::Reply, id, body: Bytes::copy_from_slice(body), apart: Vec::new() }
}

/// Pushes the bytes in pieces of the given sizes (the last one for all the rest) and collects what comes out.
fn assemble(bytes: &[u8], pieces: &[usize], limit: u64) -> Result<Vec<Message>, FrameError> {
    let mut assembler = Assembler::new(limit, Kind::FROM_WORKER);
    let (mut buffer, mut messages, mut rest) = (BytesMut::new(), Vec::new(), bytes);
    for &piece in pieces.iter().chain([&usize::MAX]) {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        rest = later;
        buffer.extend_from_slice(now);
        while let Some(message) = assembler.push(&mut buffer)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

#[test]
fn the_header_is_sixteen_bytes_little_endian() {
    let header = Header { kind: Kind::Task, flags: 3, len: 0x1234, id: 0x0102_0304_0506_0708 };
    let bytes = [2, 3, 0, 0, 0x34, 0x12, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
    assert_eq!(header.encode(), bytes);
    assert_eq!(Header::decode(&bytes), Ok(header));
}

#[test]
fn messages_survive_a_split_at_every_byte() {
    let mut bytes = stream(Kind::Hello, 0, b"hi");
    bytes.extend(stream(Kind::Reply, 7, b""));
    bytes.extend(stream(Kind::Reply, 8, b"value"));
    let whole = assemble(&bytes, &[], 100).unwrap();
    assert_eq!(whole[1..], [reply(7, b""), reply(8, b"value")]);
    for at in 0..bytes.len() {
        assert_eq!(assemble(&bytes, &[at], 100).unwrap(), whole, "split at {at}");
    }
}

#[test]
fn long_messages_are_cut_and_put_together_at_every_boundary() {
    for len in [
        MAX_FRAGMENT - 1,
        MAX_FRAGMENT,
        MAX_FRAGMENT + 1,
        2 * MAX_FRAGMENT - 9,
        2 * MAX_FRAGMENT - 8,
        2 * MAX_FRAGMENT - 7,
        3 * MAX_FRAGMENT,
    ] {
        let body = pattern(len);
        let bytes = stream(Kind::Reply, 3, &body);
        // Around every header, and at odd places.
        for at in [1, 15, 16, 17, 23, 24, 25, MAX_FRAGMENT + 15, MAX_FRAGMENT + 16, MAX_FRAGMENT + 17, bytes.len() - 1]
        {
            let messages = assemble(&bytes, &[at], len as u64).unwrap();
            assert!(messages == [reply(3, &body)], "length {len}, split at {at}");
        }
        let error = assemble(&bytes, &[], len as u64 - 1).unwrap_err();
        assert_eq!(error, FrameError::MessageTooLong { len: len as u64, limit: len as u64 - 1 });
    }
}

#[test]
fn small_messages_pass_between_the_fragments_of_a_long_one() {
    let body = pattern(3 * MAX_FRAGMENT);
    let mut bytes = Vec::new();
    for (number, (prefix, range)) in Fragments::new(Kind::Reply, 1, body.len(), 0).enumerate() {
        bytes.extend_from_slice(&prefix);
        bytes.extend_from_slice(&body[range]);
        if number < 2 {
            bytes.extend(stream(Kind::Reply, 100 + number as u64, b"small"));
        }
    }
    let messages = assemble(&bytes, &[70_000, 70_000], 1 << 30).unwrap();
    assert!(messages == [reply(100, b"small"), reply(101, b"small"), reply(1, &body)]);
}

#[test]
fn an_aborted_message_leaves_nothing() {
    let body = pattern(2 * MAX_FRAGMENT);
    let (prefix, range) = Fragments::new(Kind::Reply, 1, body.len(), 0).next().unwrap();
    let mut bytes = [&prefix[..], &body[range]].concat();
    bytes.extend(abort(Kind::Reply, 1));
    bytes.extend(stream(Kind::Reply, 2, &body));
    assert!(assemble(&bytes, &[], 1 << 30).unwrap() == [reply(2, &body)]);
}

#[test]
fn streams_that_make_no_sense_are_errors() {
    let raw = |flags, id, content: &[u8]| {
        let header = Header { kind: Kind::Reply, flags, len: content.len() as u32, id };
        [&header.encode()[..], content].concat()
    };
    let total = |n: u64| [&n.to_le_bytes()[..], b"ab"].concat();
    let cases: &[(Vec<u8>, FrameError)] = &[
        (vec![9; 16], FrameError::UnknownKind(9)),
        (stream(Kind::Task, 1, b""), FrameError::Direction(Kind::Task)),
        (raw(8 | 3, 0, b""), FrameError::Flags(11)),
        (raw(4 | 1, 0, b""), FrameError::Flags(5)),
        (raw(4, 0, b"x"), FrameError::Flags(4)),
        (raw(4, 0, b""), FrameError::Stray),
        (raw(2, 0, b"x"), FrameError::Stray),
        (raw(0, 0, b"x"), FrameError::Stray),
        (raw(1, 0, b"short"), FrameError::Empty),
        (raw(1, 0, &8u64.to_le_bytes()), FrameError::Empty),
        (raw(1, 0, &total(2)), FrameError::Length),
        (raw(1, 0, &total(1)), FrameError::Length),
        (raw(1, 0, &total(u64::MAX)), FrameError::MessageTooLong { len: u64::MAX, limit: 100 }),
        ([raw(1, 5, &total(4)), raw(1, 6, &total(4))].concat(), FrameError::Nested),
        ([raw(1, 5, &total(4)), raw(2, 6, b"cd")].concat(), FrameError::Stray),
        ([raw(1, 5, &total(4)), raw(4, 6, b"")].concat(), FrameError::Stray),
        ([raw(1, 5, &total(4)), raw(0, 5, b"")].concat(), FrameError::Empty),
        ([raw(1, 5, &total(4)), raw(0, 5, b"cd")].concat(), FrameError::Length),
        ([raw(1, 5, &total(4)), raw(2, 5, b"c")].concat(), FrameError::Length),
        ([raw(1, 5, &total(4)), raw(2, 5, b"cde")].concat(), FrameError::Length),
        (stream(Kind::Reply, 1, &[0; 101]), FrameError::MessageTooLong { len: 101, limit: 100 }),
    ];
    for (number, (bytes, error)) in cases.iter().enumerate() {
        assert_eq!(assemble(bytes, &[], 100), Err(*error), "case {number}");
    }
    let mut reserved = raw(3, 0, b"");
    reserved[2] = 1;
    assert_eq!(assemble(&reserved, &[], 100), Err(FrameError::Reserved));
    let mut long = raw(3, 0, b"");
    long[6] = 1;
    long[4] = 1;
    assert_eq!(assemble(&long, &[], 100), Err(FrameError::FragmentTooLong(65_537)));
}

/// Frames that are plausible one by one, so that arbitrary sequences of them reach deep.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0..8u8, 0..3u64, prop::option::of(0..40u64), prop::collection::vec(any::<u8>(), 0..20));
    prop::collection::vec(frame, 0..12).prop_map(|frames| {
        let mut out = Vec::new();
        for (flags, id, total, mut content) in frames {
            if let Some(total) = total {
                content.splice(0..0, total.to_le_bytes());
            }
            let header = Header { kind: Kind::Reply, flags, len: content.len() as u32, id };
            out.extend_from_slice(&header.encode());
            out.extend_from_slice(&content);
        }
        out
    })
}

proptest! {
    #[test]
    fn any_bytes_are_messages_or_an_error(bytes: Vec<u8>, pieces in prop::collection::vec(0..40usize, 0..8)) {
        let _ = assemble(&bytes, &pieces, 1 << 40);
    }

    #[test]
    fn any_frames_are_messages_or_an_error(bytes in frames(), pieces in prop::collection::vec(0..40usize, 0..8)) {
        let whole = assemble(&bytes, &[], 1 << 40);
        prop_assert_eq!(&assemble(&bytes, &pieces, 1 << 40), &whole);
        if let Ok(messages) = whole {
            prop_assert!(messages.iter().map(|message| message.body.len()).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn any_messages_survive(bodies in prop::collection::vec(0..200_000usize, 0..4), piece in 1..100_000usize) {
        let messages: Vec<_> = bodies.iter().enumerate().map(|(id, &len)| reply(id as u64, &pattern(len))).collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|m| stream(m.kind, m.id, &m.body)).collect();
        prop_assert!(assemble(&bytes, &vec![piece; bytes.len() / piece], 200_000).unwrap() == messages);
    }
}

#[test]
fn an_announced_length_sets_no_memory_aside() {
    // 2^50 bytes announced by each of many messages: an allocation on their word would abort the process.
    let mut assembler = Assembler::new(u64::MAX, Kind::FROM_WORKER);
    let mut buffer = BytesMut::new();
    for _ in 0..100 {
        let (prefix, _) = Fragments::new(Kind::Reply, 1, 1 << 50, 0).next().unwrap();
        buffer.extend_from_slice(&prefix);
        buffer.extend_from_slice(&vec![0; MAX_FRAGMENT - 8]);
        buffer.extend_from_slice(&abort(Kind::Reply, 1));
        assert_eq!(assembler.push(&mut buffer), Ok(None));
        // Of what is apart, room is set aside, and of that only what is there becomes memory.
        let (prefix, _) = Fragments::new(Kind::Reply, 1, 1 << 50, 1 << 50).next().unwrap();
        buffer.extend_from_slice(&prefix);
        buffer.extend_from_slice(&vec![0; MAX_FRAGMENT - 16]);
        buffer.extend_from_slice(&abort(Kind::Reply, 1));
        assert_eq!(assembler.push(&mut buffer), Ok(None));
    }
}

/// Reads as the two ends of a link do: each time what is wanted, but at most `most` bytes.
fn read_as_wanted(bytes: &[u8], most: usize) -> Result<Vec<Message>, FrameError> {
    let mut assembler = Assembler::new(1 << 30, Kind::FROM_WORKER);
    let (mut buffer, mut messages, mut rest) = (BytesMut::new(), Vec::new(), bytes);
    while !rest.is_empty() {
        let wanted = assembler.wanted(buffer.len())?;
        let count = match &wanted {
            Wanted::Anything => 70_000,
            Wanted::Exactly(count) | Wanted::Here(_, count) => *count,
        };
        let (now, later) = rest.split_at(count.min(most).min(rest.len()));
        rest = later;
        match wanted {
            Wanted::Here(value, _) => value.extend_from_slice(now),
            Wanted::Anything | Wanted::Exactly(_) => buffer.extend_from_slice(now),
        }
        while let Some(message) = assembler.push(&mut buffer)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

#[test]
fn what_is_apart_arrives_apart_however_it_is_read() {
    for body in [0, 1, 40, MAX_FRAGMENT - 16, MAX_FRAGMENT, 3 * MAX_FRAGMENT + 1] {
        for apart in [MAX_FRAGMENT - 16, MAX_FRAGMENT, MAX_FRAGMENT + 1, 5 * MAX_FRAGMENT + 7] {
            let (body, apart) = (pattern(body), pattern(apart));
            if body.len() + apart.len() <= MAX_FRAGMENT {
                continue;
            }
            let mut bytes = stream_apart(7, &body, &apart);
            bytes.extend(stream(Kind::Reply, 8, b"next"));
            let expected = [Message { apart, ..reply(7, &body) }, reply(8, b"next")];
            for most in [997, 64 * 1024, usize::MAX] {
                assert!(read_as_wanted(&bytes, most).unwrap() == expected, "read as wanted, {most} at most");
                let pieces = vec![most; bytes.len() / most];
                assert!(assemble(&bytes, &pieces, 1 << 30).unwrap() == expected, "read in pieces of {most}");
            }
        }
    }
}

#[test]
fn memory_that_is_used_again_shows_nothing_of_what_was_in_it() {
    // Lengths of this test's own: what is kept is kept for the whole process.
    for len in [(5 << 20) + 13, (5 << 20) + 1, (5 << 20) + 12] {
        drop(spare::VALUES.keep_behind(vec![0xee; (5 << 20) + 13]));
        let apart = pattern(len);
        let whole = stream_apart(7, b"body", &apart);
        // Half of it, and no more: its memory is neither kept nor counted any longer.
        assert!(read_as_wanted(&whole[..len / 2], usize::MAX).unwrap().is_empty());
        drop(spare::VALUES.keep_behind(vec![0xee; (5 << 20) + 13]));
        assert!(read_as_wanted(&whole, usize::MAX).unwrap() == [Message { apart, ..reply(7, b"body") }]);
    }
}

#[test]
fn small_messages_and_an_abort_pass_between_fragments_that_are_apart() {
    let apart = pattern(4 * MAX_FRAGMENT);
    let whole = stream_apart(7, b"body", &apart);
    let at = 2 * (HEADER_LEN + MAX_FRAGMENT);
    let small = stream(Kind::Reply, 8, &pattern(20_000));
    let between = [&whole[..at], &small, &whole[at..]].concat();
    for most in [1000, usize::MAX] {
        let seen = read_as_wanted(&between, most).unwrap();
        assert!(seen == [reply(8, &pattern(20_000)), Message { apart: apart.clone(), ..reply(7, b"body") }]);
        let aborted = [&whole[..at], &abort(Kind::Reply, 7)[..], &small].concat();
        assert!(read_as_wanted(&aborted, most).unwrap() == [reply(8, &pattern(20_000))]);
    }
}

#[test]
fn what_is_apart_is_checked_before_room_is_made() {
    let header = |flags, len, id| Header { kind: Kind::Reply, flags, len, id }.encode();
    let first =
        |total: u64, apart: u64| [&header(1 | 8, 17, 1)[..], &total.to_le_bytes(), &apart.to_le_bytes(), b"x"].concat();
    let wrong = |bytes: &[u8], error| assert_eq!(read_as_wanted(bytes, usize::MAX), Err(error));
    wrong(&first(100, 0), FrameError::Length);
    wrong(&first(100, 101), FrameError::Length);
    wrong(&first(1 << 31, 5), FrameError::MessageTooLong { len: 1 << 31, limit: 1 << 30 });
    wrong(&[&header(1 | 8, 10, 1)[..], &100u64.to_le_bytes(), &[9; 2]].concat(), FrameError::Empty);
    for flags in [8, 2 | 8, 1 | 2 | 8, 4 | 8] {
        wrong(&header(flags, 0, 1), FrameError::Flags(flags));
    }
    // One byte is not apart, and has come: what follows is, and is judged by its header alone.
    let begun = first(100, 99);
    wrong(&[&begun[..], &header(0, 99, 1)].concat(), FrameError::Length);
    wrong(&[&begun[..], &header(2, 98, 1)].concat(), FrameError::Length);
    wrong(&[&begun[..], &header(0, 0, 1)].concat(), FrameError::Empty);
    wrong(&[&begun[..], &header(0, 5, 2)].concat(), FrameError::Stray);
    wrong(&[&begun[..], &begun].concat(), FrameError::Nested);
}

proptest! {
    #[test]
    fn any_frames_with_parts_apart_are_messages_or_an_error(
        frames: Vec<(u8, u8, u8, u8)>, announced in 0..200u64, most in 1..100usize,
    ) {
        let mut bytes = stream_apart(1, b"", &pattern(MAX_FRAGMENT + 1));
        bytes.truncate(HEADER_LEN + MAX_FRAGMENT);
        for (flags, len, id, fill) in frames {
            bytes.extend(Header { kind: Kind::Reply, flags: flags % 16, len: len.into(), id: (id % 3).into() }.encode());
            let content = [&announced.to_le_bytes()[..], &u64::from(fill).to_le_bytes(), &[fill; 255]].concat();
            bytes.extend_from_slice(&content[..len.into()]);
        }
        let _ = read_as_wanted(&bytes, most);
    }
}
