//! Credits, states, and boards on which a participant wrote what it liked.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use proptest::prelude::*;

use super::super::layout::CLAIM;
use super::super::{ClientBoard, HubBoard};
use super::memory;
use crate::queue::broker::api::ProducerView;
use crate::queue::key::QueueState;

#[test]
fn a_message_takes_both_credits_or_none() {
    let memory = memory();
    let (client, mut hub) = (ClientBoard::new(memory.clone()), HubBoard::new(memory));
    assert!(!client.take_credit(7, 0));
    hub.grant(7, 2, 100);
    assert!(!client.take_credit(7, 101));
    assert!(client.take_credit(7, 60) && !client.take_credit(7, 60));
    assert_eq!(hub.producer(7), ProducerView { credits: 1, bytes: 40, waiting: 0, needs: 0 });
    client.put_back(7, 60);
    client.put_back_bytes(7, 5);
    client.set_senders_waiting(7, 3, 900);
    assert_eq!(hub.producer(7), ProducerView { credits: 2, bytes: 105, waiting: 3, needs: 900 });
    assert_eq!(hub.take_back(7, 5, 4), (2, 4));
    assert_eq!(hub.take_back(7, 5, 1000), (0, 101));
    assert!(!client.take_credit(7, 0));
    // A slot beside it is another one.
    assert_eq!((hub.producer(6), hub.producer(8)), Default::default());
}

#[test]
fn credits_are_neither_lost_nor_made() {
    let memory = memory();
    let (client, mut hub) = (ClientBoard::new(memory.clone()), HubBoard::new(memory));
    let (used, used_bytes, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let (mut granted, mut granted_bytes) = (0, 0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (client, used, used_bytes, over) = (&client, &used, &used_bytes, &over);
            scope.spawn(move || {
                let mut turn = thread;
                while !over.load(SeqCst) {
                    turn += 1;
                    let bytes = turn % 50 + 1;
                    if !client.take_credit(0, bytes) {
                        std::thread::yield_now();
                    } else if turn % 3 == 0 {
                        client.put_back(0, bytes);
                    } else {
                        used.fetch_add(1, Relaxed);
                        used_bytes.fetch_add(bytes, Relaxed);
                    }
                }
            });
        }
        for round in 0..20_000u32 {
            let (messages, bytes) = (round % 5, u64::from(round % 70));
            hub.grant(0, messages, bytes);
            granted += u64::from(messages);
            granted_bytes += bytes;
            let (messages, bytes) = hub.take_back(0, round % 3, u64::from(round % 30));
            assert!(messages <= round % 3 && bytes <= u64::from(round % 30));
            granted -= u64::from(messages);
            granted_bytes -= bytes;
        }
        over.store(true, SeqCst);
    });
    let left = hub.producer(0);
    assert_eq!(used.load(SeqCst) + u64::from(left.credits), granted);
    assert_eq!(used_bytes.load(SeqCst) + left.bytes, granted_bytes);
}

#[test]
fn states_are_shown_and_slots_are_cleared() {
    let memory = memory();
    let (client, mut hub) = (ClientBoard::new(memory.clone()), HubBoard::new(memory));
    let state = QueueState { closed: true, drained: true, ..QueueState::default() };
    hub.show(1, state);
    assert_eq!(client.state(1), state);
    let state = QueueState { senders_gone: true, receivers_gone: true, ..QueueState::default() };
    hub.show(1, state);
    assert_eq!((client.state(1), client.state(0)), (state, QueueState::default()));
    hub.grant(1, 4, 4);
    hub.allow(1, 0, 9);
    let _ = hub.arm(1, 4);
    client.set_receivers_waiting(1, 3);
    client.set_ack_from(1, 2);
    assert_eq!((hub.consumer(1).waiting, hub.consumer(1).acked_from), (3, Some(2)));
    hub.clear(1);
    assert_eq!((hub.producer(1), hub.consumer(1)), Default::default());
    assert_eq!((client.state(1), client.next_claim(1)), (QueueState::default(), 0));
    hub.allow(1, 0, 1);
    assert_eq!(hub.nonsense(), None);
    assert!(!client.is_gone());
}

#[test]
fn claims_that_cannot_be_are_noticed() {
    for word in [1 << 32 | 2, 5 << 32 | 6, 4 << 32, u64::MAX, 0] {
        let memory = memory();
        let mut hub = HubBoard::new(memory.clone());
        hub.allow(3, 0, 5);
        memory.of(3, CLAIM).store(word, Relaxed);
        let next = hub.consumer(3).next;
        assert!(hub.nonsense().is_some(), "{word:#x}");
        assert_eq!(next, 0);
    }
}

proptest! {
    /// Whatever is written there at any time: no call panics or goes on for ever, and what it answers can be.
    #[test]
    fn any_words_are_survived(
        steps in proptest::collection::vec((0..8u8, 0..13usize, prop_oneof![any::<u64>(), 0..20u64], 0..20u32), 0..60),
    ) {
        let memory = memory();
        let mut hub = HubBoard::new(memory.clone());
        let mut limit = 0;
        for (step, at, word, count) in steps {
            match step {
                0 | 1 => memory.of(2, at).store(word, Relaxed),
                2 => { let _ = hub.producer(2); }
                3 => hub.grant(2, count, word),
                4 => {
                    let (messages, bytes) = hub.take_back(2, count, word);
                    prop_assert!(messages <= count && bytes <= word);
                }
                5 => {
                    let from = if hub.consumer(2).next == limit { limit + u64::from(count % 2) } else { limit };
                    hub.allow(2, from, from + u64::from(count));
                    if hub.nonsense().is_none() { limit = from + u64::from(count); }
                }
                6 => {
                    let to = hub.revoke(2, count);
                    prop_assert!(hub.nonsense().is_some() || to <= limit);
                    limit = to;
                }
                _ => { let _ = (hub.arm(2, word), hub.stretch(2, word as u32)); }
            }
            if hub.nonsense().is_none() {
                prop_assert!(hub.consumer(2).next <= limit || hub.nonsense().is_some());
            }
        }
    }
}
