//! Futures that are dropped at any time.

use std::collections::HashSet;
use std::thread::scope;

use super::super::{Receiving, Sending, Taking};
use super::world::{World, everywhere, message, number, poll_once, recv, send, shape};

/// A few steps of a simple generator: enough to stop at different times.
fn turns(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn sends_and_receives_that_are_dropped_lose_and_double_nothing() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(3));
        let (confirmed, received) = scope(|scope| {
            let sending = scope.spawn(move || {
                let mut confirmed = HashSet::new();
                let mut seed = 1;
                for n in 0..400 {
                    let len = if n % 20 == 3 { 300_000 } else { 16 };
                    let mut sending = Sending::new(&sender, message(n, len));
                    let patience = turns(&mut seed) % 6;
                    let sent = (0..patience).any(|_| match poll_once(|context| sending.poll(context)) {
                        std::task::Poll::Ready(result) => result.is_ok(),
                        std::task::Poll::Pending => {
                            std::thread::yield_now();
                            false
                        }
                    });
                    if sent || patience == 5 && sending.wait(None).unwrap() {
                        confirmed.insert(n);
                    }
                }
                confirmed
            });
            let mut received = Vec::new();
            let mut seed = 7;
            loop {
                let mut receiving = Receiving::new(&receiver, Taking::Done);
                let patience = turns(&mut seed) % 5;
                let mut result = None;
                for _ in 0..patience {
                    if let std::task::Poll::Ready(ready) = poll_once(|context| receiving.poll(context)) {
                        result = Some(ready);
                        break;
                    }
                }
                match result {
                    Some(Ok(message)) => received.push(number(&message.body)),
                    Some(Err(_)) => break,
                    None if patience == 4 => match receiving.wait(None) {
                        Ok(Some(message)) => received.push(number(&message.body)),
                        Ok(None) => unreachable!(),
                        Err(_) => break,
                    },
                    None => {}
                }
            }
            (sending.join().unwrap(), received)
        });
        assert!(received.is_sorted_by(|a, b| a < b), "{places:?}: out of order, or twice: {received:?}");
        let received: HashSet<u64> = received.into_iter().collect();
        assert_eq!(received, confirmed, "{places:?}");
    }
}

/// The one that waits longest goes: the next is served.
#[test]
fn a_dropped_receiver_passes_its_turn_on() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(3));
        let mut first = Receiving::new(&receiver, Taking::Done);
        let mut second = Receiving::new(&receiver, Taking::Done);
        assert!(poll_once(|context| first.poll(context)).is_pending());
        assert!(poll_once(|context| second.poll(context)).is_pending());
        send(&sender, message(1, 8)).unwrap();
        drop(first);
        assert_eq!(number(&second.wait(None).unwrap().unwrap().body), 1, "{places:?}");
    }
}

/// What had come to a process that no longer waits goes to one that does.
#[test]
fn a_dropped_receiver_lets_another_process_have_the_message() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(3));
        let other = world.worker().attach(&receiver.capability()).unwrap();
        let mut first = Receiving::new(&receiver, Taking::Done);
        assert!(poll_once(|context| first.poll(context)).is_pending());
        send(&sender, message(1, 8)).unwrap();
        drop(first);
        assert_eq!(recv(&other), Some(1), "{places:?}");
    }
}

/// The credit that had come for it goes to the next one.
#[test]
fn a_dropped_sender_passes_its_room_on() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(1));
        send(&sender, message(0, 8)).unwrap();
        let mut first = Sending::new(&sender, message(1, 8));
        let mut second = Sending::new(&sender, message(2, 8));
        assert!(poll_once(|context| first.poll(context)).is_pending());
        assert!(poll_once(|context| second.poll(context)).is_pending());
        assert_eq!(recv(&receiver), Some(0));
        drop(first);
        assert_eq!(second.wait(None), Ok(true));
        assert_eq!(recv(&receiver), Some(2), "{places:?}");
    }
}

/// What ends the wait may have been told to the former waker.
#[test]
fn the_end_is_seen_by_a_waker_that_came_after_it_was_told() {
    for places in everywhere() {
        for _ in 0..100 {
            let world = World::new(places.transport);
            let (sender, receiver) = world.queue(places, shape(3));
            let mut receiving = Receiving::new(&receiver, Taking::Done);
            assert!(poll_once(|context| receiving.poll(context)).is_pending());
            scope(|scope| {
                scope.spawn(move || drop(sender));
                let ended = scope.spawn(move || receiving.wait(None));
                drop(receiver);
                assert!(ended.join().unwrap().is_err(), "{places:?}");
            });
        }
    }
}
