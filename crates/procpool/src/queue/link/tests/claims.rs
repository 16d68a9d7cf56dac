//! Claims, and their revocation.

use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use super::super::board::Memory;
use super::super::{Armed, Claim, ClientBoard, HubBoard};
use super::memory;

const SLOT: u32 = 4095;

fn boards() -> (ClientBoard, HubBoard, Memory) {
    let memory = memory();
    (ClientBoard::new(memory.clone()), HubBoard::new(memory.clone()), memory)
}

#[test]
fn what_is_allowed_is_claimed_in_order_and_no_more() {
    let (client, mut hub, _) = boards();
    assert_eq!(client.claim(SLOT, 0), Claim::NotYet);
    hub.allow(SLOT, 0, 2);
    assert_eq!(client.claim(SLOT, 1), Claim::NotYet);
    assert_eq!((client.claim(SLOT, 0), client.claim(SLOT, 0)), (Claim::Taken, Claim::Stale));
    assert_eq!(hub.consumer(SLOT).next, 1);
    hub.allow(SLOT, 2, 3);
    assert_eq!((client.claim(SLOT, 1), client.claim(SLOT, 2)), (Claim::Taken, Claim::Taken));
    assert_eq!(client.claim(SLOT, 3), Claim::NotYet);
    assert_eq!((hub.consumer(SLOT).next, hub.nonsense()), (3, None));
}

#[test]
fn what_is_revoked_is_jumped_over() {
    let (client, mut hub, _) = boards();
    hub.allow(SLOT, 0, 10);
    assert_eq!(client.claim(SLOT, 0), Claim::Taken);
    assert_eq!(hub.revoke(SLOT, 2), 3);
    assert_eq!(hub.revoke(SLOT, 5), 3);
    assert_eq!((client.claim(SLOT, 1), client.claim(SLOT, 2)), (Claim::Taken, Claim::Taken));
    assert_eq!(client.claim(SLOT, 3), Claim::NotYet);
    hub.allow(SLOT, 10, 12);
    assert_eq!((client.claim(SLOT, 3), client.claim(SLOT, 9)), (Claim::Stale, Claim::Stale));
    assert_eq!((client.claim(SLOT, 10), hub.consumer(SLOT).next), (Claim::Taken, 11));
    assert_eq!((hub.revoke(SLOT, 0), client.claim(SLOT, 11)), (11, Claim::NotYet));
    assert_eq!(hub.nonsense(), None);
}

#[test]
fn numbers_go_round_on_the_board_and_not_for_the_hub() {
    let (client, mut hub, _) = boards();
    let start = (1 << 32) - 2;
    hub.allow(SLOT, start, start + 4);
    for number in [u32::MAX - 1, u32::MAX, 0] {
        assert_eq!((client.claim(SLOT, number), client.claim(SLOT, number)), (Claim::Taken, Claim::Stale));
    }
    assert_eq!(hub.consumer(SLOT).next, (1 << 32) + 1);
    assert_eq!(hub.stretch(SLOT, u32::MAX), Some((1 << 32) - 1));
    assert_eq!(hub.stretch(SLOT, 3), Some((1 << 32) + 3));
    client.set_ack_from(SLOT, 1);
    assert_eq!(hub.consumer(SLOT).acked_from, Some((1 << 32) + 1));
    assert_eq!(hub.revoke(SLOT, 9), start + 4);
    assert_eq!(hub.nonsense(), None);
    // Before the first.
    assert_eq!(hub.stretch(0, u32::MAX), None);
}

#[test]
fn of_claim_and_revocation_exactly_one_wins() {
    let (client, mut hub, _) = boards();
    const ROUNDS: u64 = 5_000;
    const EACH: u64 = 4;
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let claimer = scope.spawn(|| {
            let mut claimed = Vec::new();
            for round in 0..ROUNDS {
                barrier.wait();
                let numbers = round * EACH..(round + 1) * EACH;
                let count = numbers.take_while(|&number| client.claim(SLOT, number as u32) == Claim::Taken).count();
                claimed.push(count as u64);
                barrier.wait();
            }
            claimed
        });
        let mut limits = Vec::new();
        for round in 0..ROUNDS {
            hub.allow(SLOT, round * EACH, (round + 1) * EACH);
            barrier.wait();
            let limit = hub.revoke(SLOT, (round % 3) as u32);
            limits.push(limit - round * EACH);
            barrier.wait();
            // What was kept is claimed by now: the claimer goes on until it is told no.
            assert_eq!(hub.consumer(SLOT).next, limit);
        }
        assert_eq!(claimer.join().unwrap(), limits);
    });
    assert_eq!(hub.nonsense(), None);
}

#[test]
fn several_threads_claim_each_delivery_once() {
    let (client, mut hub, _) = boards();
    const COUNT: u32 = 20_000;
    let claimed: Vec<AtomicBool> = (0..COUNT).map(|_| AtomicBool::new(false)).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut number = 0;
                while number < COUNT {
                    match client.claim(SLOT, number) {
                        Claim::Taken => assert!(!claimed[number as usize].swap(true, SeqCst)),
                        Claim::Stale => number += 1,
                        Claim::NotYet => std::thread::yield_now(),
                    }
                }
            });
        }
        let mut to = 0;
        while to < COUNT.into() {
            hub.allow(SLOT, to, to + 3);
            to += 3;
            let _ = hub.consumer(SLOT);
        }
    });
    assert!(claimed.iter().all(|claimed| claimed.load(SeqCst)));
    assert_eq!(hub.nonsense(), None);
}

#[test]
fn the_hub_is_told_once_of_what_it_asked_to_be_told() {
    let (client, mut hub, _) = boards();
    let mut told = 0;
    hub.allow(SLOT, 0, 10);
    assert!(!client.look_is_due(SLOT, &mut told));
    assert_eq!(hub.arm(SLOT, 2), Armed::Waiting);
    assert_eq!(client.claim(SLOT, 0), Claim::Taken);
    assert!(!client.look_is_due(SLOT, &mut told));
    assert_eq!(client.claim(SLOT, 1), Claim::Taken);
    assert!(client.look_is_due(SLOT, &mut told) && !client.look_is_due(SLOT, &mut told));
    assert_eq!(hub.arm(SLOT, 2), Armed::Reached);
    assert!(client.look_is_due(SLOT, &mut told));
    // Also when the slot has become another queue's.
    hub.clear(SLOT);
    assert!(!client.look_is_due(SLOT, &mut told));
    hub.allow(SLOT, 0, 1);
    assert_eq!((hub.arm(SLOT, 1), client.claim(SLOT, 0)), (Armed::Waiting, Claim::Taken));
    assert!(client.look_is_due(SLOT, &mut told));
}

/// A number is armed while it is claimed: the hub sees it, or the client tells.
#[test]
fn between_arming_and_claiming_nothing_falls_through() {
    let (client, mut hub, _) = boards();
    const ROUNDS: u64 = 5_000;
    let barrier = Barrier::new(2);
    let looked = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut told = 0;
            for round in 0..ROUNDS {
                barrier.wait();
                assert_eq!(client.claim(SLOT, round as u32), Claim::Taken);
                looked.store(client.look_is_due(SLOT, &mut told), SeqCst);
                barrier.wait();
            }
        });
        for round in 0..ROUNDS {
            hub.allow(SLOT, round, round + 1);
            barrier.wait();
            let armed = hub.arm(SLOT, round + 1);
            barrier.wait();
            assert!(armed == Armed::Reached || looked.load(SeqCst), "round {round}");
        }
    });
}
