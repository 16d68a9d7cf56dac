use bytes::Bytes;
use proptest::prelude::*;

use crate::queue::wire::{Assembler, Begun, Flags, Header, Kind, WireError};

use super::cutting::records;

const SEND: Header = Header { kind: Kind::Send, flags: Flags::NONE, slot: 3, number: 1 };

fn first(total: u64, content: &[u8]) -> (Header, Bytes) {
    (Header { flags: Flags::FIRST, ..SEND }, total.to_le_bytes().iter().chain(content).copied().collect())
}

fn push(assembler: &mut Assembler, (header, body): (Header, Bytes)) -> Result<Option<usize>, WireError> {
    Ok(assembler.push(header, body, |_, _| 1 << 40)?.map(|whole| whole.body.len()))
}

#[test]
fn what_was_never_begun_or_begins_twice_is_refused() {
    let mut assembler = Assembler::new(9);
    for flags in [Flags::NONE, Flags::LAST, Flags::ABORT] {
        let body = if flags == Flags::ABORT { Bytes::new() } else { Bytes::from_static(b"x") };
        assert_eq!(push(&mut assembler, (Header { flags, ..SEND }, body)), Err(WireError::Stray));
    }
    assert_eq!(push(&mut assembler, first(10, b"abc")), Ok(None));
    assert_eq!(push(&mut assembler, first(10, b"abc")), Err(WireError::Twice));
    let whole = (Header { flags: Flags::WHOLE, ..SEND }, Bytes::from_static(b"x"));
    assert_eq!(push(&mut assembler, whole), Err(WireError::Twice));
    // Another stream, and another kind of record with the same numbers.
    let whole = (Header { flags: Flags::WHOLE, number: 2, ..SEND }, Bytes::from_static(b"x"));
    assert_eq!(push(&mut assembler, whole), Ok(Some(1)));
    let ack = (Header { flags: Flags::WHOLE, kind: Kind::Ack, ..SEND }, Bytes::new());
    assert_eq!(push(&mut assembler, ack), Ok(Some(0)));
    // And what was aborted can begin again.
    assert_eq!(push(&mut assembler, (SEND.abort(), Bytes::new())), Ok(None));
    assert_eq!(push(&mut assembler, first(4, b"abc")), Ok(None));
    assert_eq!(push(&mut assembler, (Header { flags: Flags::LAST, ..SEND }, Bytes::from_static(b"d"))), Ok(Some(4)));
}

#[test]
fn lengths_have_to_add_up() {
    let go_on = |flags, body: &'static [u8]| (Header { flags, ..SEND }, Bytes::from_static(body));
    let wrong = |records: &[(Header, Bytes)]| {
        let mut assembler = Assembler::new(9);
        let mut results = records.iter().map(|record| push(&mut assembler, record.clone()));
        results.find_map(Result::err)
    };
    assert_eq!(wrong(&[first(3, b"abc")]), Some(WireError::Length));
    assert_eq!(wrong(&[first(9, b"")]), Some(WireError::Empty));
    assert_eq!(
        wrong(&[(Header { flags: Flags::FIRST, ..SEND }, Bytes::from_static(b"1234567"))]),
        Some(WireError::Empty)
    );
    assert_eq!(wrong(&[first(5, b"abc"), go_on(Flags::NONE, b"de")]), Some(WireError::Length));
    assert_eq!(wrong(&[first(5, b"abc"), go_on(Flags::NONE, b"")]), Some(WireError::Empty));
    assert_eq!(wrong(&[first(5, b"abc"), go_on(Flags::LAST, b"d")]), Some(WireError::Length));
    assert_eq!(wrong(&[first(5, b"abc"), go_on(Flags::LAST, b"def")]), Some(WireError::Length));
    assert_eq!(wrong(&[first(5, b"abc"), go_on(Flags::LAST, b"de")]), None);
    let too_long = Some(WireError::MessageTooLong { len: u64::MAX, limit: 1 << 40 });
    assert_eq!(wrong(&[first(u64::MAX, b"abc")]), too_long);
}

#[test]
fn an_announced_length_sets_no_memory_aside_and_partial_messages_are_counted() {
    let mut assembler = Assembler::new(1000);
    for number in 0..1000 {
        let (header, body) = first(1 << 40, b"abc");
        // 1000 times a terabyte.
        assert_eq!(push(&mut assembler, (Header { number, ..header }, body)), Ok(None));
    }
    let (header, body) = first(9, b"abc");
    let another = Header { number: 1000, ..header };
    assert_eq!(push(&mut assembler, (another, body.clone())), Err(WireError::TooManyPartial(1000)));
    assert_eq!(push(&mut assembler, (Header { number: 0, ..header }.abort(), Bytes::new())), Ok(None));
    assert_eq!(push(&mut assembler, (another, body)), Ok(None));
}

#[test]
fn the_limit_is_that_of_the_queue() {
    let limit = |header: &Header, _: Begun| if header.slot == 3 { 5 } else { 0 };
    let mut assembler = Assembler::new(9);
    let whole = Header { flags: Flags::WHOLE, ..SEND };
    assert!(assembler.push(whole, Bytes::from_static(b"12345"), limit).is_ok());
    let error = assembler.push(whole, Bytes::from_static(b"123456"), limit).unwrap_err();
    assert_eq!(error, WireError::MessageTooLong { len: 6, limit: 5 });
    let (header, body) = first(6, b"abc");
    let error = assembler.push(header, body, limit).unwrap_err();
    assert_eq!(error, WireError::MessageTooLong { len: 6, limit: 5 });
}

#[test]
fn what_has_begun_counts_against_the_limit_of_its_slot() {
    let mut seen = Vec::new();
    let mut assembler = Assembler::new(9);
    let mut begin = |slot, number| {
        let (header, body) = first(6, b"abc");
        let limit = |_: &Header, begun: Begun| {
            seen.push((begun.messages, begun.bytes));
            if begun.messages < 2 { 9 } else { 0 }
        };
        assembler.push(Header { slot, number, ..header }, body, limit)
    };
    assert_eq!(begin(3, 0), Ok(None));
    assert_eq!(begin(4, 1), Ok(None));
    assert_eq!(begin(3, 2), Ok(None));
    assert_eq!(begin(3, 3), Err(WireError::MessageTooLong { len: 6, limit: 0 }));
    assert_eq!(seen, [(0, 0), (0, 0), (1, 6), (2, 12)]);
}

#[test]
fn headers_that_cannot_be_are_told_apart() {
    let good = SEND.abort().encode(0);
    assert!(Header::decode(&good).is_ok());
    let changed = |at: usize, to: u8| {
        let mut bytes = good;
        bytes[at] = to;
        Header::decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(4, 0), WireError::UnknownKind(0));
    assert_eq!(changed(4, 255), WireError::UnknownKind(255));
    assert_eq!(changed(4, Kind::Look as u8), WireError::Flags { kind: Kind::Look, flags: 4 });
    assert_eq!(changed(5, 6), WireError::Flags { kind: Kind::Send, flags: 6 });
    assert_eq!(changed(5, 8), WireError::Flags { kind: Kind::Send, flags: 8 });
    assert_eq!(changed(5, 19), WireError::Flags { kind: Kind::Send, flags: 19 });
    assert_eq!(changed(0, 1), WireError::Flags { kind: Kind::Send, flags: 4 });
    assert_eq!(changed(7, 1), WireError::Reserved);
    assert_eq!(changed(9, 16), WireError::Slot(4096 + 3));
    let long = Header { flags: Flags::WHOLE, ..SEND }.encode(65_537);
    assert_eq!(Header::decode(&long).unwrap_err(), WireError::TooLong(65_537));
}

proptest! {
    #[test]
    fn any_records_are_messages_or_errors(
        records_in in proptest::collection::vec((0..32u8, 0..3u32, 0..3u32, proptest::collection::vec(any::<u8>(), 0..30)), 0..40),
    ) {
        let mut assembler = Assembler::new(4);
        for (flags, slot, number, body) in records_in {
            let Ok((header, _)) = Header::decode(&Header { kind: Kind::Send, flags: Flags::NONE, slot, number }.encode(0))
                .and_then(|(header, _)| {
                    let mut bytes = header.encode(body.len() as u32);
                    bytes[5] = flags;
                    Header::decode(&bytes)
                })
            else {
                continue;
            };
            match assembler.push(header, body.into(), |_, _| 1000) {
                Ok(Some(whole)) => prop_assert!(whole.body.len() <= 1000 && whole.header.flags.has(Flags::WHOLE)),
                Ok(None) => {}
                Err(_) => break,
            }
        }
    }

    #[test]
    fn a_message_can_be_given_up_after_any_record(given in 1..4usize) {
        let mut assembler = Assembler::new(1);
        let all = records(SEND, b"", &[7; 200_000]);
        prop_assert_eq!(all.len(), 4);
        for record in all.into_iter().take(given) {
            prop_assert_eq!(push(&mut assembler, record), Ok(None));
        }
        prop_assert_eq!(push(&mut assembler, (SEND.abort(), Bytes::new())), Ok(None));
        prop_assert_eq!(push(&mut assembler, first(9, b"abc")), Ok(None));
    }
}
