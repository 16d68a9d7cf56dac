//! What is true, kept apart from the broker's own books: what was sent, and what became of it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::queue::key::{Key, QueueId, Role, Shape};

use super::super::api::{Named, QueueState, Seat};
use super::client::{Client, Inbound, Life};

pub(super) type MessageId = usize;
pub(super) type QueueNo = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was made, and may never be sent.
    Unsent,
    /// For somebody to take.
    Sent,
    /// Somebody took it to acknowledge.
    InHand,
    Done,
    /// No receiver was left.
    Dropped,
}

#[derive(Debug)]
pub(super) struct MessageRecord {
    pub(super) queue: QueueNo,
    pub(super) bytes: u64,
    pub(super) handles: Vec<(QueueNo, Role)>,
    pub(super) producer: u32,
    pub(super) serial: u64,
    pub(super) fate: Fate,
    pub(super) returns: u32,
    /// It was taken back from somebody at least once: its place in the order is lost.
    pub(super) is_moved: bool,
    /// Its handles have been attached.
    pub(super) is_opened: bool,
}

#[derive(Debug)]
pub(super) struct QueueRecord {
    pub(super) id: QueueId,
    pub(super) shape: Shape,
    pub(super) keys: [Key; 2],
    pub(super) is_closed: bool,
    /// The last message of each producer that each seat got.
    last: BTreeMap<(u32, u32, u32), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Parker(u32),
    Adopter(u32),
}

#[derive(Debug)]
pub(super) struct ParcelRecord {
    pub(super) whose: Whose,
    pub(super) parker: u32,
    pub(super) handles: Vec<(QueueNo, Role)>,
}

/// How often what happened: a simulation proves nothing about what never happened in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) claims: u64,
    pub(super) returned: u64,
    pub(super) moved: u64,
    pub(super) dropped: u64,
    pub(super) taken_back: u64,
    pub(super) drained: u64,
    pub(super) joins: u64,
    pub(super) cuts: u64,
    pub(super) handles: u64,
    pub(super) jumps: u64,
    pub(super) confirms: u64,
    pub(super) offers: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) queues: Vec<QueueRecord>,
    pub(super) messages: Vec<MessageRecord>,
    pub(super) parcels: BTreeMap<u128, ParcelRecord>,
    pub(super) seen: Seen,
    /// What was delivered where, and what has been taken back of what may yet be written.
    pub(super) delivered: BTreeMap<Seat, Vec<(u64, MessageId)>>,
    pub(super) taken_back: Vec<(Seat, Range<u64>)>,
    /// How many messages have been sent.
    pub(super) serial: u64,
    /// How many had been when everything was read last.
    pub(super) mark: u64,
}

impl Ledger {
    pub(super) fn queue(&mut self, shape: Shape) -> QueueNo {
        let number = self.queues.len();
        let keys = [Key(number as u128 * 2 + 1000), Key(number as u128 * 2 + 1001)];
        let id = QueueId(number as u64 + 7);
        self.queues.push(QueueRecord { id, shape, keys, is_closed: false, last: BTreeMap::new() });
        number
    }

    pub(super) fn named(&self, queue: QueueNo, role: Role) -> Named {
        let record = &self.queues[queue];
        let key = record.keys[usize::from(role == Role::Receiver)];
        Named { queue: record.id, role, key }
    }

    pub(super) fn message(&mut self, queue: QueueNo, bytes: u64, handles: Vec<(QueueNo, Role)>) -> MessageId {
        self.messages.push(MessageRecord {
            queue,
            bytes,
            handles,
            producer: 0,
            serial: 0,
            fate: Fate::Unsent,
            returns: 0,
            is_moved: false,
            is_opened: false,
        });
        self.messages.len() - 1
    }

    /// How many bytes of credit a message takes.
    pub(super) fn charge(&self, message: MessageId) -> u64 {
        let record = &self.messages[message];
        if self.queues[record.queue].shape.bytes.is_some() { record.bytes } else { 0 }
    }

    pub(super) fn sent(&mut self, message: MessageId, producer: u32) -> Vec<Named> {
        self.serial += 1;
        let record = &mut self.messages[message];
        assert_eq!(record.fate, Fate::Unsent);
        (record.fate, record.producer, record.serial) = (Fate::Sent, producer, self.serial);
        let handles = record.handles.clone();
        self.seen.handles += handles.len() as u64;
        handles.into_iter().map(|(queue, role)| self.named(queue, role)).collect()
    }

    pub(super) fn claimed(&mut self, inbound: Inbound, client: u32, slot: u32, is_acked: bool) {
        self.seen.claims += 1;
        let record = &mut self.messages[inbound.message];
        assert_eq!(record.fate, Fate::Sent, "message {} is received twice", inbound.message);
        assert_eq!(record.returns, inbound.redelivered, "redeliveries of {}", inbound.message);
        record.fate = if is_acked { Fate::InHand } else { Fate::Done };
        if !record.is_moved {
            let last = self.queues[record.queue].last.entry((client, slot, record.producer)).or_default();
            assert!(*last < record.serial, "message {} came after a later one", inbound.message);
            *last = record.serial;
        }
    }

    /// What is taken back loses its place in the order.
    pub(super) fn taken_back(&mut self, seat: Seat, range: Range<u64>) {
        for (number, message) in self.delivered.entry(seat).or_default() {
            if range.contains(number) {
                self.messages[*message].is_moved = true;
                self.seen.moved += 1;
            }
        }
        self.taken_back.push((seat, range));
    }

    pub(super) fn delivered(&mut self, seat: Seat, number: u64, message: MessageId) {
        if self.taken_back.iter().any(|(at, range)| *at == seat && range.contains(&number)) {
            self.messages[message].is_moved = true;
        }
        self.delivered.entry(seat).or_default().push((number, message));
    }

    pub(super) fn acknowledged(&mut self, message: MessageId) {
        assert_eq!(std::mem::replace(&mut self.messages[message].fate, Fate::Done), Fate::InHand);
    }

    pub(super) fn returned(&mut self, message: MessageId) {
        self.seen.returned += 1;
        let record = &mut self.messages[message];
        if record.fate == Fate::InHand {
            record.fate = Fate::Sent;
            record.returns += 1;
            record.is_moved = true;
        }
    }

    /// No receiver is left.
    pub(super) fn drop_all(&mut self, queue: QueueNo) {
        for record in self.messages.iter_mut().filter(|record| record.queue == queue) {
            assert_ne!(record.fate, Fate::InHand, "dropped while somebody has it");
            if record.fate == Fate::Sent {
                self.seen.dropped += 1;
                record.fate = Fate::Dropped;
            }
        }
    }

    pub(super) fn count(&self, queue: QueueNo, which: impl Fn(Fate) -> bool) -> usize {
        self.messages.iter().filter(|record| record.queue == queue && which(record.fate)).count()
    }

    /// Whether somebody holds such a handle, or may come to.
    pub(super) fn is_alive(&self, queue: QueueNo, role: Role, clients: &[Client]) -> bool {
        let is_held = |client: &Client| client.life == Life::Alive && client.holds(queue, role);
        clients.iter().any(is_held)
            || self.parcels.values().any(|parcel| parcel.handles.contains(&(queue, role)))
            || self.messages.iter().any(|record| {
                record.handles.contains(&(queue, role))
                    && record.fate == Fate::Sent
                    && self.is_alive(record.queue, Role::Receiver, clients)
            })
    }

    /// What counts against the capacity: messages, and credits wherever they are.
    pub(super) fn check_capacity(&self, clients: &[Client]) {
        for (queue, record) in self.queues.iter().enumerate() {
            let mut count = 0;
            let mut bytes = 0;
            for message in &self.messages {
                if message.queue == queue && matches!(message.fate, Fate::Sent | Fate::InHand) {
                    count += 1;
                    bytes += message.bytes;
                }
            }
            for client in clients.iter().filter(|client| client.life == Life::Alive) {
                for held in client.slots.values().filter(|held| held.queue == queue) {
                    count += held.entry.credits + held.ready.len() as u32;
                    bytes += held.entry.bytes + held.ready.iter().map(|(_, bytes)| bytes).sum::<u64>();
                }
            }
            assert!(count <= record.shape.capacity, "queue {queue} holds {count}");
            assert!(record.shape.bytes.is_none_or(|most| bytes <= most), "queue {queue} holds {bytes} bytes");
        }
    }

    /// What is said of a queue's end is true.
    pub(super) fn check_state(&mut self, queue: QueueNo, state: QueueState, clients: &[Client]) {
        assert!(!state.closed || self.queues[queue].is_closed, "closed by nobody");
        if state.senders_gone {
            assert!(!self.is_alive(queue, Role::Sender, clients), "a sender of {queue} is left");
        }
        if state.receivers_gone {
            assert!(!self.is_alive(queue, Role::Receiver, clients), "a receiver of {queue} is left");
            self.drop_all(queue);
        }
        if state.drained {
            self.seen.drained += 1;
            assert!(state.closed || state.senders_gone, "drained before its end");
            assert_eq!(
                self.count(queue, |fate| matches!(fate, Fate::Sent | Fate::InHand)),
                0,
                "drained before it is empty"
            );
            let held =
                clients.iter().filter(|client| client.life == Life::Alive).flat_map(|client| client.slots.values());
            let mut held = held.filter(|held| held.queue == queue);
            assert!(!held.any(|held| held.entry.credits > 0 || !held.ready.is_empty()), "somebody may send yet");
        }
    }
}
