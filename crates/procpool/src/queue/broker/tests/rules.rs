//! Each rule by its name, in worlds without chance.

use crate::backend::scheduler::tests::source::Source;
use crate::queue::key::{Key, QueueId, Role, Shape};

use super::super::Broker;
use super::super::api::*;
use super::client::{Client, Life};
use super::ledger::{Fate, MessageId, QueueNo};
use super::world::World;

pub(super) fn shape(capacity: u32) -> Shape {
    Shape { capacity, bytes: None, max_message: 1_000 }
}

/// So many participants; the first one has made a queue.
pub(super) fn world(clients: u32, shape: Shape) -> World {
    let mut world = World::new(Source::Bytes { bytes: Vec::new(), at: 0 });
    world.clients = (0..clients).map(Client::new).collect();
    world.create(0, shape);
    world.rest();
    world
}

impl World {
    fn slot(&self, client: usize, queue: QueueNo) -> u32 {
        self.clients[client].slot_of(queue).unwrap()
    }

    fn attach(&mut self, client: usize, queue: QueueNo, role: Role) {
        self.clients[client].attach(queue, role, &self.ledger);
        self.rest();
    }

    /// Begins to send, and sends if there is room.
    fn send(&mut self, client: usize, queue: QueueNo, bytes: u64, handles: Vec<(QueueNo, Role)>) -> MessageId {
        let message = self.ledger.message(queue, bytes, handles);
        let slot = self.slot(client, queue);
        self.clients[client].send(slot, message, &self.ledger);
        self.rest();
        self.commit(client, queue);
        message
    }

    fn commit(&mut self, client: usize, queue: QueueNo) {
        let slot = self.slot(client, queue);
        while !self.clients[client].slots[&slot].ready.is_empty() {
            self.clients[client].commit(slot, 0, &mut self.ledger);
        }
        self.rest();
    }

    fn receive(&mut self, client: usize, queue: QueueNo) {
        let slot = self.slot(client, queue);
        self.clients[client].receive(slot, &mut self.ledger);
        self.rest();
    }

    fn waiting(&self, client: usize, queue: QueueNo) -> usize {
        self.clients[client].slots[&self.slot(client, queue)].waiting.len()
    }

    fn fate(&self, message: MessageId) -> Fate {
        self.ledger.messages[message].fate
    }

    fn state(&self, client: usize, queue: QueueNo) -> QueueState {
        self.clients[client].slots[&self.slot(client, queue)].entry.state
    }

    fn answer(&mut self, client: usize, queue: QueueNo, question: Question) -> Option<u64> {
        let slot = self.slot(client, queue);
        self.clients[client].ask(slot, question);
        self.rest();
        self.clients[client].answers.pop().map(|(_, _, value)| value)
    }

    fn detach(&mut self, client: usize, queue: QueueNo, role: Role) {
        let slot = self.slot(client, queue);
        self.clients[client].detach(slot, role, &mut self.ledger);
    }
}

#[test]
fn a_message_is_given_to_who_waits() {
    let mut world = world(2, shape(2));
    world.attach(1, 0, Role::Receiver);
    world.receive(1, 0);
    let message = world.send(0, 0, 8, Vec::new());
    assert_eq!(world.fate(message), Fate::Done);
}

#[test]
fn a_full_queue_makes_senders_wait_and_each_claim_lets_one_go_on() {
    let mut world = world(1, shape(2));
    for waiting in [0, 0, 1, 2] {
        world.send(0, 0, 8, Vec::new());
        assert_eq!(world.waiting(0, 0), waiting);
    }
    for waiting in [1, 0] {
        world.receive(0, 0);
        world.commit(0, 0);
        assert_eq!(world.waiting(0, 0), waiting);
    }
}

#[test]
fn credits_that_nobody_uses_are_taken_back_for_who_waits() {
    let mut world = world(2, shape(40));
    world.send(0, 0, 8, Vec::new());
    world.send(0, 0, 8, Vec::new());
    assert!(world.clients[0].slots[&0].entry.credits > 1, "a batch");
    world.attach(1, 0, Role::Sender);
    for _ in 0..38 {
        world.send(1, 0, 8, Vec::new());
    }
    assert_eq!(world.waiting(1, 0), 0);
    assert_eq!(world.clients[0].slots[&0].entry.credits, 0);
    world.send(1, 0, 8, Vec::new());
    assert_eq!(world.waiting(1, 0), 1);
}

#[test]
fn small_messages_do_not_starve_a_big_one() {
    let mut world = world(3, Shape { bytes: Some(100), ..shape(40) });
    world.attach(1, 0, Role::Sender);
    world.attach(2, 0, Role::Sender);
    for _ in 0..6 {
        world.send(0, 0, 16, Vec::new());
    }
    let big = world.send(1, 0, 100, Vec::new());
    let small = world.send(2, 0, 8, Vec::new());
    for _ in 0..6 {
        assert_eq!((world.waiting(1, 0), world.waiting(2, 0)), (1, 1), "the line is kept");
        world.receive(0, 0);
    }
    world.commit(1, 0);
    assert_eq!((world.fate(big), world.fate(small)), (Fate::Sent, Fate::Unsent));
    world.receive(0, 0);
    world.commit(2, 0);
    assert_eq!(world.fate(small), Fate::Sent);
}

#[test]
fn what_was_given_ahead_is_taken_back_for_who_waits() {
    let mut world = world(2, shape(40));
    let mut last = 0;
    // It keeps up, and is given more and more.
    for _ in 0..10 {
        for _ in 0..4 {
            last = world.send(0, 0, 8, Vec::new());
        }
        for _ in 0..4 {
            world.receive(0, 0);
        }
    }
    for _ in 0..10 {
        last = world.send(0, 0, 8, Vec::new());
    }
    let entry = &world.clients[0].slots[&0].entry;
    assert!(entry.limit > entry.next + 1, "some are given ahead");
    world.attach(1, 0, Role::Receiver);
    for _ in 0..10 {
        world.receive(1, 0);
    }
    assert_eq!(world.fate(last), Fate::Done);
    assert_eq!(world.answer(0, 0, Question::Len), Some(0));
    let jumps = world.ledger.seen.jumps;
    world.send(0, 0, 8, Vec::new());
    world.receive(0, 0);
    assert!(world.ledger.seen.jumps > jumps, "numbers that were taken back are not used again");
}

#[test]
fn nothing_is_given_ahead_to_who_never_took_anything() {
    let mut world = world(2, shape(40));
    world.attach(1, 0, Role::Receiver);
    for _ in 0..10 {
        world.send(0, 0, 8, Vec::new());
    }
    assert!(world.clients.iter().all(|client| client.slots.values().all(|held| held.entry.limit == 0)));
}

#[test]
fn a_refused_delivery_is_given_again_and_marked() {
    let mut world = world(2, shape(4));
    world.attach(1, 0, Role::Receiver);
    for client in [0, 1] {
        let slot = world.slot(client, 0);
        world.clients[client].slots.get_mut(&slot).unwrap().is_acked = true;
    }
    let message = world.send(0, 0, 8, Vec::new());
    for (client, is_done) in [(0, false), (1, false), (0, true)] {
        world.receive(client, 0);
        assert_eq!(world.fate(message), Fate::InHand);
        let slot = world.slot(client, 0);
        let World { clients, ledger, .. } = &mut world;
        clients[client].finish(slot, 0, is_done, ledger);
        world.rest();
    }
    // The ledger checks the number of redeliveries at each claim.
    assert_eq!((world.fate(message), world.ledger.messages[message].returns), (Fate::Done, 2));
}

#[test]
fn what_a_dead_one_had_is_given_to_others_in_its_old_place() {
    let mut world = world(2, shape(8));
    world.attach(1, 0, Role::Receiver);
    let slot = world.slot(1, 0);
    world.clients[1].slots.get_mut(&slot).unwrap().is_acked = true;
    let first = world.send(0, 0, 8, Vec::new());
    let second = world.send(0, 0, 8, Vec::new());
    world.receive(1, 0);
    world.kill(1);
    world.rest();
    world.receive(0, 0);
    assert_eq!((world.fate(first), world.fate(second)), (Fate::Done, Fate::Sent));
}

#[test]
fn what_is_not_acknowledged_takes_a_place_and_is_not_in_the_length() {
    let mut world = world(1, shape(1));
    world.clients[0].slots.get_mut(&0).unwrap().is_acked = true;
    world.send(0, 0, 8, Vec::new());
    assert_eq!(world.answer(0, 0, Question::Len), Some(1));
    world.receive(0, 0);
    assert_eq!(world.answer(0, 0, Question::Len), Some(0));
    assert_eq!(world.answer(0, 0, Question::Room { bytes: 8 }), Some(0));
    assert_eq!(world.answer(0, 0, Question::Join), None);
    let World { clients, ledger, .. } = &mut world;
    clients[0].finish(0, 0, true, ledger);
    world.rest();
    assert_eq!(world.clients[0].answers.len(), 1, "joined");
    assert_eq!(world.answer(0, 0, Question::Room { bytes: 8 }), Some(1));
}

#[test]
fn a_closed_queue_is_drained_when_the_last_credit_and_message_are_done_with() {
    let mut world = world(1, shape(2));
    let message = world.ledger.message(0, 8, Vec::new());
    world.clients[0].send(0, message, &world.ledger);
    world.rest();
    world.clients[0].up.push_back(Event::Close { slot: 0 });
    world.ledger.queues[0].is_closed = true;
    world.rest();
    assert!(world.state(0, 0).closed && !world.state(0, 0).drained, "somebody holds a credit");
    world.clients[0].give_up(0, 0);
    world.rest();
    assert!(world.state(0, 0).drained);
}

#[test]
fn a_sender_whose_attach_is_unread_keeps_the_senders() {
    let mut world = world(2, shape(2));
    world.clients[1].attach(0, Role::Sender, &world.ledger);
    world.detach(0, 0, Role::Sender);
    // The hub has read the link of the one that let go only.
    let mut actions = Vec::new();
    let event = world.clients[0].up.pop_front().unwrap();
    world.with(|broker, deck| broker.handle(ParticipantId(0), event, deck)).unwrap();
    let settled = world.with(|broker, deck| broker.settle(deck, &mut actions));
    assert_eq!(settled, Settled::Doubtful);
    world.rest();
    assert!(!world.state(0, 0).senders_gone);
    world.detach(1, 0, Role::Sender);
    world.rest();
    assert!(world.state(0, 0).senders_gone && world.state(0, 0).drained);
}

#[test]
fn a_message_keeps_what_it_names_until_the_handles_are_attached() {
    let mut world = world(2, shape(2));
    let inner = world.create(0, shape(1));
    world.rest();
    world.attach(1, 0, Role::Receiver);
    world.send(0, 0, 8, vec![(inner, Role::Sender)]);
    world.detach(0, inner, Role::Sender);
    world.rest();
    assert!(!world.state(0, inner).senders_gone);
    world.receive(1, 0);
    assert!(world.clients[1].holds(inner, Role::Sender) && !world.state(0, inner).senders_gone);
    world.kill(1);
    world.rest();
    assert!(world.state(0, inner).senders_gone);
}

/// Everybody waits for room, and nobody takes anything.
struct Hungry;

impl Boards for Hungry {
    fn producer(&mut self, _: Seat) -> ProducerView {
        ProducerView { waiting: 1, ..ProducerView::default() }
    }

    fn grant(&mut self, _: Seat, _: u32, _: u64) {}

    fn take_back(&mut self, _: Seat, _: u32, _: u64) -> (u32, u64) {
        (0, 0)
    }

    fn consumer(&mut self, _: Seat) -> ConsumerView {
        ConsumerView::default()
    }

    fn allow(&mut self, _: Seat, _: u64, _: u64) {}

    fn revoke(&mut self, _: Seat, _: u32) -> u64 {
        0
    }

    fn arm(&mut self, _: Seat, _: u64) {}

    fn show(&mut self, _: Seat, _: QueueState) {}
}

#[test]
fn queues_in_messages_in_queues_are_dropped_however_deep() {
    let mut broker = Broker::new();
    let mut actions = Vec::new();
    let root = ParticipantId(0);
    let keys = [Key(1), Key(2)];
    let create = |number: u64| Event::Create {
        slot: number as u32 % 2,
        queue: QueueId(number),
        shape: shape(1),
        sender_key: keys[0],
        receiver_key: keys[1],
    };
    let roles = [(Role::Sender, keys[0]), (Role::Receiver, keys[1])];
    let depth = 100_000;
    broker.handle(root, create(0), &mut Hungry).unwrap();
    let _ = broker.settle(&mut Hungry, &mut actions);
    for number in 0..depth {
        broker.handle(root, create(number + 1), &mut Hungry).unwrap();
        let handles = roles.map(|(role, key)| Named { queue: QueueId(number), role, key });
        let slot = (number + 1) as u32 % 2;
        let message = Message { body: vec![0; 8].into(), handles: handles.to_vec() };
        let _ = broker.settle(&mut Hungry, &mut actions);
        broker.handle(root, Event::Send { slot, message }, &mut Hungry).unwrap();
        for (role, _) in roles {
            broker.handle(root, Event::Detach { slot: number as u32 % 2, role }, &mut Hungry).unwrap();
        }
        assert_eq!(broker.settle(&mut Hungry, &mut actions), Settled::Done);
    }
    broker.gone(root, &mut Hungry);
    while broker.settle(&mut Hungry, &mut actions) == Settled::Doubtful {
        let _ = broker.confirm(&mut Hungry, &mut actions);
    }
    assert!(broker.is_empty());
}

#[test]
fn a_parcel_outlives_its_parker_if_it_was_taken_over_before_the_burial() {
    for is_adopted in [true, false] {
        let mut world = world(3, shape(1));
        world.attach(1, 0, Role::Sender);
        world.detach(0, 0, Role::Sender);
        world.rest();
        world.park(1, vec![(0, Role::Sender)]);
        world.rest();
        world.kill(1);
        world.rest();
        assert!(!world.state(0, 0).senders_gone);
        if is_adopted {
            // Unread when the burial is told.
            world.adopt(2, 1);
        }
        world.bury(0);
        world.rest();
        assert_eq!(world.state(0, 0).senders_gone, !is_adopted);
        if is_adopted {
            world.unpark(2, 1, true);
            world.rest();
            assert!(world.clients[2].holds(0, Role::Sender) && !world.state(0, 0).senders_gone);
        }
    }
}

#[test]
fn who_looks_for_a_message_is_given_one_or_told_that_there_is_none() {
    let mut world = world(2, shape(2));
    world.attach(1, 0, Role::Receiver);
    assert_eq!(world.answer(1, 0, Question::Message), Some(0));
    world.send(0, 0, 8, Vec::new());
    assert_eq!(world.answer(1, 0, Question::Message), Some(1));
    assert_eq!(world.clients[1].slots[&world.slot(1, 0)].inbound.len(), 1);
    assert_eq!(world.answer(0, 0, Question::Message), Some(1), "taken back from the other");
}

#[test]
fn when_everybody_has_gone_nothing_is_left() {
    let mut world = world(3, shape(4));
    world.attach(1, 0, Role::Receiver);
    world.attach(2, 0, Role::Sender);
    world.send(2, 0, 8, Vec::new());
    for client in 0..3 {
        assert_eq!(world.clients[client].life, Life::Alive);
        world.kill(client);
    }
    world.rest();
    assert!(world.broker.is_empty());
}
