//! What must be true when nothing happens any more, and at the end of the world.

use crate::queue::key::Role;

use super::client::Life;
use super::ledger::{Fate, Whose};
use super::world::World;

impl World {
    /// Everybody who can be served has been served, and everybody was told of what is over.
    pub(super) fn check_rest(&mut self) {
        for (queue, record) in self.ledger.queues.iter().enumerate() {
            let free = |fate| fate == Fate::Sent;
            let available = self.ledger.count(queue, free);
            let alive = || self.clients.iter().filter(|client| client.life == Life::Alive);
            let seats =
                || alive().flat_map(|client| client.slots.values()).filter(|held| held.queue == queue && !held.is_left);
            let has_sender = self.ledger.is_alive(queue, Role::Sender, &self.clients);
            let has_receiver = self.ledger.is_alive(queue, Role::Receiver, &self.clients);
            if seats().any(|held| held.entry.receivers > 0) {
                assert_eq!(
                    available,
                    0,
                    "somebody waits in vain for a message of queue {queue}: {:?}",
                    self.ledger
                        .messages
                        .iter()
                        .enumerate()
                        .filter(|(_, m)| m.queue == queue && m.fate == Fate::Sent)
                        .collect::<Vec<_>>()
                );
            }
            let used = self.ledger.messages.iter().filter(|message| message.queue == queue);
            let used = used.filter(|message| matches!(message.fate, Fate::Sent | Fate::InHand));
            let (mut count, mut bytes) =
                used.fold((0, 0), |(count, bytes), message| (count + 1, bytes + message.bytes));
            for held in seats() {
                count += held.ready.len() as u32;
                bytes += held.ready.iter().map(|(_, bytes)| bytes).sum::<u64>();
            }
            let is_over = record.is_closed || !has_receiver;
            let waiting: Vec<_> = seats().filter_map(|held| held.waiting.front()).collect();
            let fits = |message: &&usize| {
                record.shape.bytes.is_none_or(|most| bytes + self.ledger.messages[**message].bytes <= most)
            };
            if !waiting.is_empty() {
                assert!(!is_over, "somebody waits for room in queue {queue}, which is over");
                assert!(
                    count >= record.shape.capacity || !waiting.iter().all(fits),
                    "somebody waits in vain for room in queue {queue}"
                );
            }
            let is_drained = (record.is_closed || !has_sender) && count == 0;
            for held in seats() {
                let state = held.entry.state;
                assert_eq!(state.closed, record.is_closed, "queue {queue} was closed");
                assert_eq!(state.senders_gone, !has_sender, "senders of queue {queue}");
                assert_eq!(state.receivers_gone, !has_receiver, "receivers of queue {queue}");
                assert_eq!(state.drained, is_drained, "queue {queue} is drained");
            }
            let joins = alive().flat_map(|client| client.questions.values());
            for (_, question) in joins.filter(|(asked, _)| *asked == queue) {
                assert_eq!(*question, super::super::api::Question::Join, "a question without an answer");
                let left = self.ledger.count(queue, |fate| matches!(fate, Fate::Sent | Fate::InHand));
                assert!(left > 0, "a join of queue {queue} is not answered");
            }
        }
    }

    /// What is left is received; then all handles are given up, and nothing is left of anything.
    pub(super) fn end(&mut self) {
        for id in 0..self.clients.len() {
            if self.clients[id].life != Life::Alive {
                continue;
            }
            let held: Vec<_> =
                self.clients[id].slots.iter().filter(|(_, held)| held.is_receiver).map(|(s, _)| *s).collect();
            for slot in held {
                while !self.clients[id].slots[&slot].in_hand.is_empty() {
                    self.clients[id].finish(slot, 0, true, &mut self.ledger);
                }
                self.clients[id].slots.get_mut(&slot).unwrap().is_acked = false;
                for _ in 0..self.ledger.messages.len() {
                    self.clients[id].receive(slot, &mut self.ledger);
                }
            }
        }
        // Messages bring handles, and senders get room: until nothing more comes.
        for _ in 0..20 {
            self.rest();
            for id in 0..self.clients.len() {
                let client = &mut self.clients[id];
                if client.life == Life::Alive {
                    for slot in client.slots.keys().copied().collect::<Vec<_>>() {
                        while !client.slots[&slot].ready.is_empty() {
                            client.commit(slot, 0, &mut self.ledger);
                        }
                    }
                }
            }
        }
        self.rest();
        self.check_rest();
        for queue in 0..self.ledger.queues.len() {
            let has_seat = self.clients.iter().any(|client| {
                client.life == Life::Alive
                    && client.slots.values().any(|held| held.queue == queue && held.entry.receivers > 0)
            });
            if has_seat {
                let lost = self.ledger.count(queue, |fate| fate == Fate::Sent);
                assert_eq!(lost, 0, "messages of queue {queue} were lost");
            }
        }
        for id in 0..self.clients.len() {
            if self.clients[id].life != Life::Alive {
                continue;
            }
            if self.source.chance(50) {
                self.kill(id);
                continue;
            }
            let parcels = self.ledger.parcels.iter().filter(|(_, parcel)| parcel.whose == Whose::Adopter(id as u32));
            for key in parcels.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.unpark(id, key, false);
            }
            for request in self.clients[id].questions.keys().copied().collect::<Vec<_>>() {
                self.clients[id].unask(request);
            }
            for slot in self.clients[id].slots.keys().copied().collect::<Vec<_>>() {
                for role in [Role::Sender, Role::Receiver] {
                    let held = &self.clients[id].slots[&slot];
                    if (role == Role::Sender && held.is_sender) || (role == Role::Receiver && held.is_receiver) {
                        self.clients[id].detach(slot, role, &mut self.ledger);
                    }
                }
            }
        }
        self.rest();
        for id in 0..self.clients.len() {
            if self.clients[id].life == Life::Alive {
                assert!(self.clients[id].slots.is_empty(), "slots that were never freed");
                self.kill(id);
            }
        }
        self.rest();
        while !self.unburied.is_empty() {
            self.bury(0);
        }
        self.rest();
        assert!(self.broker.is_empty(), "something is left: {:?}", self.broker);
    }
}
