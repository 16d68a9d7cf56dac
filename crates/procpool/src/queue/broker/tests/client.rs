//! A participant, as an honest client behaves; its link is what it has written and nobody has read, and the other way.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::super::api::*;
use super::board::Entry;
use super::ledger::{Ledger, MessageId, QueueNo};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    /// It has written nonsense on its board and does nothing any more.
    Mad,
    /// Killed; the broker does not know it yet.
    Dead,
    Gone,
}

#[derive(Debug)]
pub(super) enum Down {
    Deliver { slot: u32, delivery: u64, message: MessageId, redelivered: u32, handles: bool },
    Answer { request: u32, value: u64 },
    Freed { slot: u32 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Inbound {
    pub(super) number: u64,
    pub(super) message: MessageId,
    pub(super) redelivered: u32,
}

/// A queue, as one client holds it.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) queue: QueueNo,
    pub(super) is_sender: bool,
    pub(super) is_receiver: bool,
    pub(super) is_left: bool,
    pub(super) entry: Entry,
    /// Messages that wait for a credit.
    pub(super) waiting: VecDeque<MessageId>,
    /// Messages with a credit that have not been written; permits are among them.
    pub(super) ready: Vec<(MessageId, u64)>,
    pub(super) inbound: VecDeque<Inbound>,
    pub(super) is_acked: bool,
    pub(super) in_hand: Vec<(u64, MessageId)>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u32,
    pub(super) life: Life,
    pub(super) up: VecDeque<Event>,
    pub(super) down: VecDeque<Down>,
    pub(super) slots: BTreeMap<u32, Held>,
    pub(super) questions: BTreeMap<u32, (QueueNo, Question)>,
    pub(super) answers: Vec<(QueueNo, Question, u64)>,
    next_request: u32,
}

/// What a body says.
pub(super) fn body(message: MessageId, bytes: u64) -> Bytes {
    let mut body = vec![0; bytes as usize];
    body[..8].copy_from_slice(&(message as u64).to_le_bytes());
    body.into()
}

pub(super) fn named_in(body: &Bytes) -> MessageId {
    u64::from_le_bytes(*body.first_chunk().unwrap()) as MessageId
}

impl Client {
    pub(super) fn new(id: u32) -> Client {
        Client {
            id,
            life: Life::Alive,
            up: VecDeque::new(),
            down: VecDeque::new(),
            slots: BTreeMap::new(),
            questions: BTreeMap::new(),
            answers: Vec::new(),
            next_request: 0,
        }
    }

    pub(super) fn free_slot(&self) -> u32 {
        (0..).find(|slot| !self.slots.contains_key(slot)).unwrap()
    }

    pub(super) fn slot_of(&self, queue: QueueNo) -> Option<u32> {
        self.slots.iter().find(|(_, held)| held.queue == queue && !held.is_left).map(|(slot, _)| *slot)
    }

    pub(super) fn holds(&self, queue: QueueNo, role: Role) -> bool {
        self.slot_of(queue).is_some_and(|slot| match role {
            Role::Sender => self.slots[&slot].is_sender,
            Role::Receiver => self.slots[&slot].is_receiver,
        })
    }

    pub(super) fn attach(&mut self, queue: QueueNo, role: Role, ledger: &Ledger) {
        if self.holds(queue, role) {
            return;
        }
        let slot = self.slot_of(queue).unwrap_or_else(|| self.free_slot());
        let held = self.slots.entry(slot).or_default();
        held.queue = queue;
        match role {
            Role::Sender => held.is_sender = true,
            Role::Receiver => held.is_receiver = true,
        }
        let Named { queue, role, key } = ledger.named(queue, role);
        self.up.push_back(Event::Attach { slot, queue, role, key });
    }

    pub(super) fn detach(&mut self, slot: u32, role: Role, ledger: &mut Ledger) {
        let held = self.slots.get_mut(&slot).unwrap();
        match role {
            Role::Sender => {
                assert!(held.is_sender);
                while !self.slots[&slot].waiting.is_empty() {
                    self.cancel_send(slot, 0, ledger);
                }
                while !self.slots[&slot].ready.is_empty() {
                    self.give_up(slot, 0);
                }
                self.slots.get_mut(&slot).unwrap().is_sender = false;
            }
            Role::Receiver => {
                assert!(held.is_receiver);
                held.entry.receivers = 0;
                held.inbound.clear();
                // Each of them holds a handle.
                while !self.slots[&slot].in_hand.is_empty() {
                    self.finish(slot, 0, false, ledger);
                }
                self.slots.get_mut(&slot).unwrap().is_receiver = false;
            }
        }
        let held = self.slots.get_mut(&slot).unwrap();
        held.is_left = !held.is_sender && !held.is_receiver;
        let (is_left, queue) = (held.is_left, held.queue);
        for request in self.questions.keys().copied().collect::<Vec<_>>() {
            if is_left && self.questions[&request].0 == queue {
                self.unask(request);
            }
        }
        self.up.push_back(Event::Detach { slot, role });
    }

    fn look(&mut self, slot: u32) {
        self.up.push_back(Event::Look { slot });
    }

    pub(super) fn send(&mut self, slot: u32, message: MessageId, ledger: &Ledger) {
        let held = self.slots.get_mut(&slot).unwrap();
        let bytes = ledger.charge(message);
        if held.waiting.is_empty() && held.entry.take(bytes) {
            held.ready.push((message, bytes));
            return;
        }
        held.waiting.push_back(message);
        self.say_waiting(slot, ledger);
        self.look(slot);
    }

    fn say_waiting(&mut self, slot: u32, ledger: &Ledger) {
        let held = self.slots.get_mut(&slot).unwrap();
        held.entry.senders = held.waiting.len() as u32;
        held.entry.needs = held.waiting.front().map_or(0, |message| ledger.charge(*message));
    }

    pub(super) fn cancel_send(&mut self, slot: u32, which: usize, ledger: &mut Ledger) {
        self.slots.get_mut(&slot).unwrap().waiting.remove(which);
        self.say_waiting(slot, ledger);
        self.look(slot);
    }

    /// Waiting senders go on, as far as there are credits. Whoever waits in vain for a queue that ends gives up.
    pub(super) fn try_senders(&mut self, slot: u32, ledger: &Ledger) {
        let Some(held) = self.slots.get_mut(&slot) else { return };
        let state = held.entry.state;
        if state.closed || state.receivers_gone {
            held.waiting.clear();
        }
        let mut any = false;
        while let Some(&message) = held.waiting.front() {
            let bytes = ledger.charge(message);
            if !held.entry.take(bytes) {
                break;
            }
            any = true;
            held.waiting.pop_front();
            held.ready.push((message, bytes));
        }
        let still = !held.waiting.is_empty();
        self.say_waiting(slot, ledger);
        if any && still {
            self.look(slot);
        }
    }

    /// Writes a message for which it has a credit.
    pub(super) fn commit(&mut self, slot: u32, which: usize, ledger: &mut Ledger) {
        let held = self.slots.get_mut(&slot).unwrap();
        let state = held.entry.state;
        let (message, _) = held.ready[which];
        let handles = &ledger.messages[message].handles;
        // What a message names, its sender still holds.
        let is_honest = handles.iter().all(|(queue, role)| self.holds(*queue, *role));
        if state.closed || state.receivers_gone || !is_honest {
            return self.give_up(slot, which);
        }
        self.slots.get_mut(&slot).unwrap().ready.remove(which);
        let handles = ledger.sent(message, self.id);
        let message = Message { body: body(message, ledger.messages[message].bytes), handles };
        self.up.push_back(Event::Send { slot, message });
    }

    /// Does not use a credit.
    pub(super) fn give_up(&mut self, slot: u32, which: usize) {
        let held = self.slots.get_mut(&slot).unwrap();
        let (_, bytes) = held.ready.remove(which);
        held.entry.credits += 1;
        held.entry.bytes += bytes;
        self.look(slot);
    }

    pub(super) fn receive(&mut self, slot: u32, ledger: &mut Ledger) {
        if self.slots[&slot].entry.receivers == 0 && self.claim(slot, ledger) {
            return;
        }
        self.slots.get_mut(&slot).unwrap().entry.receivers += 1;
        self.look(slot);
    }

    /// Waiting receivers take what there is; they end when nothing more can come.
    pub(super) fn try_receivers(&mut self, slot: u32, ledger: &mut Ledger) {
        while self.slots.get(&slot).is_some_and(|held| held.entry.receivers > 0) && self.claim(slot, ledger) {
            self.slots.get_mut(&slot).unwrap().entry.receivers -= 1;
        }
        if let Some(held) = self.slots.get_mut(&slot)
            && held.entry.state.drained
        {
            assert!(held.in_hand.is_empty() || held.entry.state.receivers_gone, "drained, with something in hand");
            held.entry.receivers = 0;
        }
    }

    fn claim(&mut self, slot: u32, ledger: &mut Ledger) -> bool {
        let id = self.id;
        let Some(held) = self.slots.get_mut(&slot).filter(|held| held.is_receiver) else { return false };
        while let Some(&first) = held.inbound.front() {
            if first.number < held.entry.next {
                held.inbound.pop_front();
                continue;
            }
            if first.number > held.entry.next || held.entry.next == held.entry.limit {
                return false;
            }
            held.inbound.pop_front();
            if held.is_acked && held.entry.acked_from.is_none() {
                held.entry.acked_from = Some(first.number);
            }
            // In this mode, those who do not want to acknowledge do so before they claim.
            let is_plain = !held.is_acked && held.entry.acked_from.is_some_and(|from| first.number >= from);
            if is_plain {
                self.up.push_back(Event::Ack { slot, delivery: first.number });
            }
            held.entry.next += 1;
            ledger.claimed(first, id, slot, held.is_acked);
            if held.is_acked {
                held.in_hand.push((first.number, first.message));
            }
            let is_due = held.entry.is_due();
            if !ledger.messages[first.message].handles.is_empty() {
                for (queue, role) in ledger.messages[first.message].handles.clone() {
                    self.attach(queue, role, ledger);
                }
                ledger.messages[first.message].is_opened = true;
                self.up.push_back(Event::Opened { slot, delivery: first.number });
            }
            if is_due {
                self.look(slot);
            }
            return true;
        }
        false
    }

    pub(super) fn cancel_receive(&mut self, slot: u32) {
        self.slots.get_mut(&slot).unwrap().entry.receivers -= 1;
        self.look(slot);
    }

    /// Acknowledges a delivery, or not.
    pub(super) fn finish(&mut self, slot: u32, which: usize, is_done: bool, ledger: &mut Ledger) {
        let (delivery, message) = self.slots.get_mut(&slot).unwrap().in_hand.remove(which);
        if is_done {
            ledger.acknowledged(message);
            self.up.push_back(Event::Ack { slot, delivery });
        } else {
            ledger.returned(message);
            self.up.push_back(Event::Nack { slot, delivery });
        }
    }

    pub(super) fn ask(&mut self, slot: u32, question: Question) {
        let request = self.next_request;
        self.next_request += 1;
        self.questions.insert(request, (self.slots[&slot].queue, question));
        self.up.push_back(Event::Ask { slot, request, question });
    }

    pub(super) fn unask(&mut self, request: u32) {
        self.questions.remove(&request);
        self.up.push_back(Event::Unask { request });
    }

    /// Reads one record. Gives back whether there was one.
    pub(super) fn read(&mut self, ledger: &mut Ledger) -> bool {
        let Some(record) = self.down.pop_front() else { return false };
        match record {
            Down::Deliver { slot, delivery, message, redelivered, handles } => {
                assert_eq!(handles, !ledger.messages[message].handles.is_empty());
                if let Some(held) = self.slots.get_mut(&slot).filter(|held| held.is_receiver) {
                    held.inbound.push_back(Inbound { number: delivery, message, redelivered });
                }
                self.try_receivers(slot, ledger);
            }
            Down::Answer { request, value } => {
                if let Some((queue, question)) = self.questions.remove(&request) {
                    self.answers.push((queue, question, value));
                }
            }
            Down::Freed { slot } => {
                let held = self.slots.remove(&slot).unwrap();
                assert!(held.is_left, "a slot is free that is in use");
            }
        }
        true
    }
}

pub(super) use crate::queue::key::Role;
