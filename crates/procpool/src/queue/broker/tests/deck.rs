//! All boards, in a world where participants act between any two looks at them.

use crate::backend::scheduler::tests::source::Source;

use super::super::api::*;
use super::board::Entry;
use super::client::{Client, Life};
use super::ledger::Ledger;

pub(super) struct Deck<'a> {
    pub(super) clients: &'a mut Vec<Client>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) source: &'a mut Source,
    /// In how many of 100 cases somebody acts.
    pub(super) haste: u64,
}

impl Deck<'_> {
    fn entry(&mut self, seat: Seat) -> &mut Entry {
        let client = &mut self.clients[seat.participant.0 as usize];
        assert_ne!(client.life, Life::Gone, "a look at the board of {seat:?}, which is gone");
        &mut client.slots.get_mut(&seat.slot).unwrap_or_else(|| panic!("{seat:?} is free")).entry
    }

    /// The participant does something just now.
    fn race(&mut self, seat: Seat) {
        if !self.source.chance(self.haste) {
            return;
        }
        let client = &mut self.clients[seat.participant.0 as usize];
        if client.life == Life::Alive {
            client.try_receivers(seat.slot, self.ledger);
            if self.source.chance(50) {
                client.try_senders(seat.slot, self.ledger);
            }
        }
    }
}

impl Boards for Deck<'_> {
    fn producer(&mut self, seat: Seat) -> ProducerView {
        let view = self.entry(seat).producer();
        self.race(seat);
        view
    }

    fn grant(&mut self, seat: Seat, messages: u32, bytes: u64) {
        let entry = self.entry(seat);
        entry.credits += messages;
        entry.bytes += bytes;
        self.race(seat);
    }

    fn take_back(&mut self, seat: Seat, messages: u32, bytes: u64) -> (u32, u64) {
        let entry = self.entry(seat);
        let taken = (entry.credits.min(messages), entry.bytes.min(bytes));
        entry.credits -= taken.0;
        entry.bytes -= taken.1;
        self.ledger.seen.taken_back += u64::from(taken.0);
        taken
    }

    fn consumer(&mut self, seat: Seat) -> ConsumerView {
        let view = self.entry(seat).consumer();
        self.race(seat);
        view
    }

    fn allow(&mut self, seat: Seat, from: u64, to: u64) {
        let entry = self.entry(seat);
        assert!(from < to && from >= entry.limit, "deliveries of {seat:?} go backwards");
        if from != entry.limit {
            assert_eq!(entry.next, entry.limit, "{seat:?} has something to claim, and its numbers jump");
            entry.next = from;
            self.ledger.seen.jumps += 1;
        }
        self.entry(seat).limit = to;
        self.race(seat);
    }

    fn revoke(&mut self, seat: Seat, keep: u32) -> u64 {
        self.race(seat);
        let entry = self.entry(seat);
        let (before, next) = (entry.limit, entry.next);
        entry.limit = before.min(next + u64::from(keep));
        let limit = entry.limit;
        self.ledger.taken_back(seat, limit..before);
        limit
    }

    fn arm(&mut self, seat: Seat, at: u64) {
        let entry = self.entry(seat);
        entry.notify = (at, entry.notify.1 + 1);
    }

    fn show(&mut self, seat: Seat, state: QueueState) {
        let entry = self.entry(seat);
        let before = std::mem::replace(&mut entry.state, state);
        assert!(state.closed >= before.closed && state.drained >= before.drained, "an end that is taken back");
        let queue = self.clients[seat.participant.0 as usize].slots[&seat.slot].queue;
        self.ledger.check_state(queue, state, self.clients);
    }
}
