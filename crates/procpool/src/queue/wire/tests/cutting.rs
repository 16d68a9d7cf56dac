use bytes::Bytes;
use proptest::prelude::*;

use crate::queue::wire::{Assembler, Cuts, Flags, Header, Kind, MAX_FRAGMENT, Whole};

pub(super) fn records(header: Header, prefix: &[u8], payload: &[u8]) -> Vec<(Header, Bytes)> {
    let mut cuts = Cuts::new(header, prefix.len(), payload.len());
    let mut records = Vec::new();
    while let Some(cut) = cuts.current() {
        assert_eq!(cuts.is_partial(), !records.is_empty());
        let body: Bytes = cut.parts(prefix, payload).concat().into();
        assert!(body.len() <= MAX_FRAGMENT);
        records.push((cut.header, body));
        cuts.advance();
    }
    assert!(!cuts.is_partial());
    records
}

fn bytes(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|n| (n as u8).wrapping_mul(31).wrapping_add((n >> 8) as u8) ^ seed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_cross_whole_in_any_interleaving(
        lengths in proptest::collection::vec((0..40usize, prop_oneof![0..200usize, 65_000..66_000usize, 0..400_000usize]), 1..6),
        turns in proptest::collection::vec(any::<proptest::sample::Index>(), 60),
    ) {
        let messages: Vec<_> =
            lengths.iter().enumerate().map(|(n, (prefix, len))| (bytes(*prefix, n as u8), bytes(*len, !n as u8))).collect();
        let mut left: Vec<std::collections::VecDeque<_>> = messages
            .iter()
            .enumerate()
            .map(|(n, (prefix, payload))| records(Header::whole(Kind::Send, 7, n as u32), prefix, payload).into())
            .collect();
        let (mut assembler, mut whole) = (Assembler::new(lengths.len()), Vec::new());
        let mut turns = turns.iter().cycle();
        while left.iter().any(|records| !records.is_empty()) {
            let open: Vec<usize> = (0..left.len()).filter(|&n| !left[n].is_empty()).collect();
            let (header, body) = left[*turns.next().unwrap().get(&open)].pop_front().unwrap();
            whole.extend(assembler.push(header, body, |_, _| u64::MAX).unwrap());
        }
        whole.sort_by_key(|message| message.header.number);
        prop_assert_eq!(whole.len(), messages.len());
        for (n, (message, (prefix, payload))) in whole.into_iter().zip(messages).enumerate() {
            prop_assert_eq!(message.header, Header::whole(Kind::Send, 7, n as u32));
            prop_assert!(message.body == [prefix, payload].concat());
        }
    }
}

#[test]
fn extras_are_in_the_first_record_only_and_come_back_with_the_whole() {
    let mut header = Header::whole(Kind::Deliver, 1, 2);
    header.flags = header.flags | Flags::HANDLES | Flags::REDELIVERED;
    let records = records(header, &[1; 4], &[2; 150_000]);
    let flags: Vec<Flags> = records.iter().map(|(header, _)| header.flags).collect();
    assert_eq!(flags, [Flags::FIRST | Flags::HANDLES | Flags::REDELIVERED, Flags::NONE, Flags::LAST]);
    let mut assembler = Assembler::new(1);
    let mut whole: Vec<Whole> = Vec::new();
    for (header, body) in records {
        // As it is read.
        let (header, _) = Header::decode(&header.encode(body.len() as u32)).unwrap();
        whole.extend(assembler.push(header, body, |_, _| u64::MAX).unwrap());
    }
    assert_eq!(whole[0].header, header);
}
