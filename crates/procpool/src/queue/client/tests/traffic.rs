//! Messages between participants that wait for each other.

use std::thread::scope;
use std::time::{Duration, Instant};

use futures::executor::block_on;

use crate::queue::link::Transport;
use crate::queue::wire::SLOTS;
use crate::sys::misbehave::holds_in_a_copy;

use super::super::{Asking, Ended, Question, Receiving, Refused, Reserving, Sending, Taking};
use super::world::{
    Place, Places, World, everywhere, message, number, poll_once, recv, recv_async, send, send_async, shape,
};

const WORKERS: Places = Places { transport: Transport::Ring, sender: Place::Worker, receiver: Place::Worker };

/// Mostly small ones, and some that need several records.
fn len(number: u64) -> usize {
    if number % 40 == 7 { 200_000 } else { (number % 100) as usize }
}

#[test]
fn what_a_thread_sends_arrives_in_its_order() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(5));
        scope(|scope| {
            scope.spawn(move || (0..500).for_each(|n| send(&sender, message(n, len(n))).unwrap()));
            let received: Vec<u64> = std::iter::from_fn(|| recv(&receiver)).take(500).collect();
            assert_eq!(received, (0..500).collect::<Vec<_>>(), "{places:?}");
        });
    }
}

#[test]
fn futures_and_threads_share_a_queue() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(3));
        let (senders, receivers) = (&[sender.clone(), sender], &[receiver.clone(), receiver]);
        let mut all: Vec<u64> = scope(|scope| {
            scope.spawn(|| (0..200).for_each(|n| send(&senders[0], message(n, len(n))).unwrap()));
            scope.spawn(|| {
                block_on(async {
                    for n in 200..400 {
                        send_async(&senders[1], message(n, len(n))).await.unwrap();
                    }
                })
            });
            let blocking = scope.spawn(|| (0..200).map(|_| recv(&receivers[0]).unwrap()).collect::<Vec<_>>());
            let future = scope.spawn(|| {
                block_on(async {
                    let mut received = Vec::new();
                    for _ in 0..200 {
                        received.push(recv_async(&receivers[1]).await.unwrap());
                    }
                    received
                })
            });
            let mut all = Vec::new();
            for received in [blocking.join().unwrap(), future.join().unwrap()] {
                let from = |range: std::ops::Range<u64>| {
                    let of_one: Vec<u64> = received.iter().copied().filter(|n| range.contains(n)).collect();
                    assert!(of_one.is_sorted(), "{places:?}: {of_one:?}");
                };
                from(0..200);
                from(200..400);
                all.extend(received);
            }
            all
        });
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>(), "{places:?}");
    }
}

/// Many threads of one process wait at once: for messages and for room.
#[test]
fn many_threads_of_one_process_wait() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(2));
        let mut all: Vec<u64> = scope(|scope| {
            for thread in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || (0..50).for_each(|n| send(&sender, message(thread * 50 + n, 10)).unwrap()));
            }
            let receivers: Vec<_> = (0..4)
                .map(|_| {
                    let receiver = receiver.clone();
                    scope.spawn(move || (0..50).map(|_| recv(&receiver).unwrap()).collect::<Vec<_>>())
                })
                .collect();
            receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
        });
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>(), "{places:?}");
    }
}

#[test]
fn a_queue_that_is_closed_or_left_ends_after_its_last_message() {
    for places in everywhere() {
        let world = World::new(places.transport);
        for closes in [true, false] {
            let one = world.at(places.sender);
            let (sender, receiver) = one.create(shape(5)).unwrap();
            let other = world.at(places.receiver);
            let there = other.attach(&receiver.capability()).unwrap();
            drop(receiver);
            send(&sender, message(1, 8)).unwrap();
            send(&sender, message(2, 100_000)).unwrap();
            if closes {
                sender.close();
                assert_eq!(send(&sender, message(3, 8)), Err(Refused::Closed));
            } else {
                drop(sender);
            }
            assert_eq!((recv(&there), recv(&there)), (Some(1), Some(2)));
            let ended = Receiving::new(&there, Taking::Done).wait(None).unwrap_err();
            assert_eq!(ended, if closes { Ended::Closed } else { Ended::Disconnected }, "{places:?}");
        }
    }
}

#[test]
fn a_send_without_receivers_is_refused() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.at(places.sender).create(shape(1)).unwrap();
        let there = world.at(places.receiver).attach(&receiver.capability()).unwrap();
        drop(receiver);
        send(&sender, message(1, 8)).unwrap();
        // It waits for room, and then there is nobody left to make some.
        let mut waiting = Sending::new(&sender, message(2, 8));
        assert!(poll_once(|context| waiting.poll(context)).is_pending());
        drop(there);
        assert_eq!(waiting.wait(None), Err(Refused::Disconnected), "{places:?}");
    }
}

#[test]
fn attempts_ask_whether_there_is_room_and_whether_there_is_a_message() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(2));
        assert_eq!(Receiving::new(&receiver, Taking::Done).attempt(), Ok(None));
        for n in 0..2 {
            assert_eq!(Sending::new(&sender, message(n, 8)).attempt(), Ok(true), "{places:?}");
        }
        assert_eq!(Sending::new(&sender, message(2, 8)).attempt(), Ok(false), "{places:?}");
        assert_eq!(Asking::new(&sender, Question::Len).wait(None), Ok(Some(2)));
        for n in 0..2 {
            let received = Receiving::new(&receiver, Taking::Done).attempt().unwrap().unwrap();
            assert_eq!(number(&received.body), n, "{places:?}");
        }
        assert_eq!(Receiving::new(&receiver, Taking::Done).attempt(), Ok(None));
    }
}

#[test]
fn a_deadline_that_has_passed_takes_nothing() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(1));
        let past = Instant::now();
        assert_eq!(Receiving::new(&receiver, Taking::Done).wait(Some(past)), Ok(None));
        send(&sender, message(1, 8)).unwrap();
        assert_eq!(Sending::new(&sender, message(2, 8)).wait(Some(past)), Ok(false));
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(Sending::new(&sender, message(2, 8)).wait(Some(soon)), Ok(false));
        assert_eq!(recv(&receiver), Some(1));
        assert_eq!(Receiving::new(&receiver, Taking::Done).wait(Some(soon)), Ok(None), "{places:?}");
        send(&sender, message(3, 8)).unwrap();
        assert_eq!(recv(&receiver), Some(3));
    }
}

#[test]
fn what_is_not_acknowledged_comes_again_and_join_waits_for_it() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(4));
        for n in 0..3 {
            send(&sender, message(n, 8)).unwrap();
        }
        let mut join = Asking::new(&sender, Question::Join);
        let acked = || Receiving::new(&receiver, Taking::ToAcknowledge).wait(None).unwrap().unwrap();
        let first = acked();
        assert_eq!((number(&first.body), first.redelivered), (0, 0));
        // A plain receive acknowledges by itself.
        assert_eq!(recv(&receiver), Some(1));
        receiver.nack(first.delivery).unwrap();
        let mut rest = vec![acked(), acked()];
        rest.sort_by_key(|received| number(&received.body));
        let seen: Vec<_> = rest.iter().map(|received| (number(&received.body), received.redelivered)).collect();
        assert_eq!(seen, [(0, 1), (2, 0)], "{places:?}");
        assert!(poll_once(|context| join.poll(context)).is_pending());
        for received in rest {
            receiver.ack(received.delivery).unwrap();
        }
        assert!(matches!(join.wait(None), Ok(Some(_))), "{places:?}");
    }
}

#[test]
fn a_place_is_held_until_it_is_used_or_given_back() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let bytes = crate::queue::key::Shape { capacity: 2, bytes: Some(1000), max_message: 1000 };
        for (shape, together) in [(shape(1), false), (bytes, true)] {
            let (sender, receiver) = world.queue(places, shape);
            let mut reserving = Reserving::new(&sender);
            let place = block_on(std::future::poll_fn(|context| reserving.poll(context))).unwrap();
            assert!(poll_once(|context| Reserving::new(&sender).poll(context)).is_pending());
            let mut waiting = Sending::new(&sender, message(1, 8));
            assert!(poll_once(|context| waiting.poll(context)).is_pending());
            if together {
                // What the message does not need is for others.
                assert_eq!(place.send(message(0, 900)).wait(None), Ok(true));
                assert_eq!(waiting.wait(None), Ok(true), "{places:?}");
                assert_eq!((recv(&receiver), recv(&receiver)), (Some(0), Some(1)));
            } else {
                drop(place);
                assert_eq!(waiting.wait(None), Ok(true), "{places:?}");
                assert_eq!(recv(&receiver), Some(1));
            }
        }
    }
}

#[test]
fn handles_are_taken_up_again_and_messages_carry_references() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (one, other) = (world.at(places.sender), world.at(places.receiver));
        let (sender, receiver) = one.create(shape(4)).unwrap();
        let there = other.attach(&receiver.capability()).unwrap();
        let (inner, inner_receiver) = one.create(shape(4)).unwrap();
        let capability = inner_receiver.capability();
        send(&inner, message(5, 8)).unwrap();
        let mut carrier = message(1, 8);
        carrier.handles.push(inner_receiver);
        // The message is all that keeps the receiver.
        send(&sender, carrier).unwrap();
        let received = Receiving::new(&there, Taking::Done).wait(None).unwrap().unwrap();
        assert!(received.handles);
        let taken_up = other.attach(&capability).unwrap();
        there.opened(received.delivery);
        assert_eq!(recv(&taken_up), Some(5), "{places:?}");
        // Once more and back: the same slot while it is held.
        let again = other.attach(&capability).unwrap();
        drop(taken_up);
        send(&inner, message(6, 8)).unwrap();
        assert_eq!(recv(&again), Some(6));
        drop(again);
        assert_eq!(Asking::new(&inner, Question::Len).wait(None), Ok(Some(0)));
    }
}

#[test]
fn a_parcel_keeps_references_until_it_is_dropped() {
    let world = World::new(Transport::Ring);
    let (one, other) = (world.at(WORKERS.sender), world.at(WORKERS.receiver));
    let (sender, receiver) = one.create(shape(4)).unwrap();
    let capability = sender.capability();
    let parcel = one.park(&[sender]).unwrap();
    one.settle();
    let parcel = other.adopt(parcel);
    let sender = other.attach(&capability).unwrap();
    drop(parcel);
    send(&sender, message(1, 8)).unwrap();
    assert_eq!(recv(&receiver), Some(1));
    drop(sender);
    assert_eq!(recv(&receiver), None);
}

/// The copy is refused, whatever it does with what it has, and the original goes on.
#[test]
fn a_copy_of_the_process_cannot_use_its_queues() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let (sender, receiver) = world.queue(places, shape(4));
        let mut waiting = Receiving::new(&receiver, Taking::Done);
        assert!(poll_once(|context| waiting.poll(context)).is_pending());
        let refused = holds_in_a_copy(|| {
            let sent = send(&sender, message(1, 8));
            let client = std::sync::Arc::clone(sender.client());
            let made = client.create(shape(1));
            drop(std::mem::replace(&mut waiting, Receiving::new(&receiver, Taking::Done)));
            drop((sender.clone(), receiver.clone()));
            matches!(sent, Err(Refused::Broken(why)) if why.to_string().contains("fork")) && made.is_err()
        });
        assert!(refused, "{places:?}");
        send(&sender, message(2, 8)).unwrap();
        assert_eq!(waiting.wait(None).unwrap().map(|received| number(&received.body)), Some(2));
    }
}

/// Nobody reads what the hub writes to a process that only makes queues.
#[test]
fn slots_of_queues_that_were_let_go_of_are_used_again() {
    for places in everywhere() {
        let world = World::new(places.transport);
        let client = world.at(places.sender);
        let kept: Vec<_> = (1..SLOTS).map(|_| client.create(shape(1)).unwrap()).collect();
        for _ in 0..100 {
            drop(client.create(shape(1)).unwrap());
        }
        let last = client.create(shape(1)).unwrap();
        assert!(client.create(shape(1)).is_err(), "{places:?}");
        drop(kept);
        let again: Vec<_> = (1..SLOTS).map(|_| client.create(shape(1)).unwrap()).collect();
        send(&again[0].0, message(1, 8)).unwrap();
        assert_eq!(recv(&again[0].1), Some(1));
        drop(last);
    }
}
