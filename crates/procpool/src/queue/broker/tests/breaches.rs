//! What no honest participant does.

use crate::queue::key::{Key, QueueId, Role};

use super::super::api::*;
use super::super::limits::{HANDLES, PARCELS, QUESTIONS, SLOTS};
use super::rules::{shape, world};
use super::world::World;

fn tell(world: &mut World, event: Event) -> Result<(), Breach> {
    world.with(|broker, deck| broker.handle(ParticipantId(0), event, deck))
}

fn send(bytes: usize, handles: usize) -> Event {
    let handle = Named { queue: QueueId(99), role: Role::Sender, key: Key(1) };
    Event::Send { slot: 0, message: Message { body: vec![0; bytes].into(), handles: vec![handle; handles] } }
}

fn create(slot: u32, queue: u64, capacity: u32) -> Event {
    let (sender_key, receiver_key) = (Key(1), Key(2));
    Event::Create { slot, queue: QueueId(queue), shape: shape(capacity), sender_key, receiver_key }
}

#[test]
fn to_send_without_a_credit() {
    let mut world = world(1, shape(1));
    assert!(tell(&mut world, send(8, 0)).is_err());
    assert_eq!(world.broker.longest(Seat { participant: ParticipantId(0), slot: 0 }, 0, 0), 0);
}

#[test]
fn to_send_what_is_too_long_or_names_too_much() {
    let mut world = world(1, shape(1));
    let message = world.ledger.message(0, 8, Vec::new());
    world.clients[0].send(0, message, &world.ledger);
    world.rest();
    assert_eq!(world.broker.longest(Seat { participant: ParticipantId(0), slot: 0 }, 0, 0), 1_000);
    // It has one credit.
    assert_eq!(world.broker.longest(Seat { participant: ParticipantId(0), slot: 0 }, 1, 8), 0);
    assert!(tell(&mut world, send(1_001, 0)).is_err());
    assert!(tell(&mut world, send(8, HANDLES + 1)).is_err());
    assert!(tell(&mut world, send(8, HANDLES)).is_ok());
}

#[test]
fn to_name_what_one_has_not() {
    let mut world = world(1, shape(1));
    for event in [
        Event::Look { slot: 1 },
        Event::Close { slot: 1 },
        Event::Detach { slot: 1, role: Role::Sender },
        Event::Ack { slot: 0, delivery: 0 },
        Event::Nack { slot: 0, delivery: 0 },
        Event::Ask { slot: 1, request: 0, question: Question::Len },
    ] {
        assert!(tell(&mut world, event.clone()).is_err(), "{event:?}");
    }
}

#[test]
fn to_use_more_than_there_is() {
    let mut world = world(1, shape(1));
    assert!(tell(&mut world, create(SLOTS, 50, 1)).is_err());
    assert!(tell(&mut world, create(0, 50, 1)).is_err(), "a slot in use");
    assert!(tell(&mut world, create(1, 7, 1)).is_err(), "a queue that exists");
    assert!(tell(&mut world, create(1, 50, 0)).is_err(), "a queue that holds nothing");
    for request in 0..QUESTIONS as u32 {
        assert!(tell(&mut world, Event::Ask { slot: 0, request, question: Question::Join }).is_ok());
    }
    let request = QUESTIONS as u32;
    assert!(tell(&mut world, Event::Ask { slot: 0, request, question: Question::Join }).is_err());
    for parcel in 0..u128::from(PARCELS) {
        assert!(tell(&mut world, Event::Park { parcel: Key(parcel), handles: Vec::new() }).is_ok());
    }
    assert!(tell(&mut world, Event::Park { parcel: Key(1 << 90), handles: Vec::new() }).is_err());
}

#[test]
fn a_forged_handle_is_one_of_a_queue_that_is_gone() {
    let mut world = world(2, shape(1));
    let attach = |slot, role| Event::Attach { slot, queue: QueueId(7), role, key: Key(12_345) };
    world.clients[1].slots.entry(3).or_default().queue = 0;
    let innocent = ParticipantId(1);
    // The first participant has both handles, and never let go: so the ledger would refuse to see the queue end.
    world.ledger.queues.push(super::ledger::QueueRecord::new(QueueId(12_345), shape(1)));
    world.clients[1].slots.get_mut(&3).unwrap().queue = 1;
    world.with(|broker, deck| broker.handle(innocent, attach(3, Role::Receiver), deck)).unwrap();
    let state = world.clients[1].slots[&3].entry.state;
    assert!(state.senders_gone && state.receivers_gone && state.drained);
    // Nothing comes of it, and it can be given up again.
    world.with(|broker, deck| broker.handle(innocent, Event::Look { slot: 3 }, deck)).unwrap();
    world.with(|broker, deck| broker.handle(innocent, Event::Detach { slot: 3, role: Role::Receiver }, deck)).unwrap();
    world.clients[1].slots.get_mut(&3).unwrap().is_left = true;
    world.rest();
    assert!(world.clients[1].slots.is_empty());
    // Beside a true one.
    assert!(tell(&mut world, Event::Detach { slot: 0, role: Role::Sender }).is_ok());
    assert!(tell(&mut world, attach(0, Role::Sender)).is_ok());
    assert!(tell(&mut world, send(8, 0)).is_err(), "it is worth nothing");
    assert!(tell(&mut world, Event::Detach { slot: 0, role: Role::Sender }).is_ok());
    assert!(tell(&mut world, Event::Detach { slot: 0, role: Role::Sender }).is_err());
}
