//! What is on its way to one participant. Sans-IO.
//!
//! Each queue has a lane of its own, in which things stay in order. Lanes take turns of about 64 KiB, so that a big
//! message on one queue does not stall the small ones on the others. What is taken back before it has left need not
//! leave, so a lane never holds more than what the participant could still claim.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use crate::queue::link::Written;
use crate::queue::wire::{Cuts, HEADER_LEN, Header, MAX_FRAGMENT, SLOTS, Small, ToClient};

/// How much one lane writes before it is the next one's turn.
const TURN: usize = MAX_FRAGMENT;

/// All lanes of one participant.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: BTreeMap<u32, Lane>,
    /// The lanes that are not empty; the front one writes next.
    turns: VecDeque<u32>,
    /// How many slots the participant is to be told to be free.
    freed: u32,
}

type Lane = VecDeque<Item>;

#[derive(Debug)]
enum Item {
    Deliver {
        delivery: u64,
        cuts: Cuts,
        prefix: Small,
        body: Bytes,
    },
    Freed,
    /// An answer, or the end of a delivery that was taken back when a part of it had left.
    Record {
        header: Header,
        body: Small,
    },
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds a delivery. `has_handles`: handles are named in it.
    pub(super) fn deliver(&mut self, slot: u32, delivery: u64, redelivered: u32, has_handles: bool, body: Bytes) {
        let (header, prefix) = ToClient::delivery(slot, low(delivery), redelivered, has_handles);
        let cuts = Cuts::new(header, prefix.len(), body.len());
        self.push(slot, Item::Deliver { delivery, cuts, prefix, body });
    }

    /// Adds an answer to a question about this slot's queue, behind what it may speak of.
    pub(super) fn answer(&mut self, slot: u32, request: u32, value: u64) {
        let (header, body) = ToClient::answer(request, value);
        self.push(slot, Item::Record { header, body });
    }

    /// Adds word that a slot is free. `false`: more such words wait than an honest participant has slots.
    #[must_use]
    pub(super) fn free(&mut self, slot: u32) -> bool {
        self.freed += 1;
        self.push(slot, Item::Freed);
        self.freed <= SLOTS
    }

    fn push(&mut self, slot: u32, item: Item) {
        let lane = self.lanes.entry(slot).or_default();
        if lane.is_empty() {
            self.turns.push_back(slot);
        }
        lane.push_back(item);
    }

    /// Deliveries that were taken back: they need not leave.
    pub(super) fn revoke(&mut self, slot: u32, deliveries: &Range<u64>) {
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        let abort = match lane.front() {
            Some(Item::Deliver { delivery, cuts, .. }) if cuts.is_partial() && deliveries.contains(delivery) => {
                Some(ToClient::delivery(slot, low(*delivery), 0, false).0.abort())
            }
            _ => None,
        };
        lane.retain(|item| !matches!(item, Item::Deliver { delivery, .. } if deliveries.contains(delivery)));
        if let Some(header) = abort {
            lane.push_front(Item::Record { header, body: Small::EMPTY });
        }
        if lane.is_empty() {
            self.lanes.remove(&slot);
            self.turns.retain(|turn| *turn != slot);
        }
    }

    /// The first delivery of a slot that has not left whole. No honest participant can claim it, or a later one.
    pub(super) fn unsent(&self, slot: u32) -> Option<u64> {
        self.lanes.get(&slot)?.iter().find_map(|item| match item {
            Item::Deliver { delivery, .. } => Some(*delivery),
            _ => None,
        })
    }

    /// Writes by `put` until all has left, or something does not fit.
    pub(super) fn write(&mut self, put: &mut dyn FnMut(&Header, &[&[u8]]) -> Written) -> Written {
        while let Some(&slot) = self.turns.front() {
            let mut left = TURN;
            let lane = self.lanes.entry(slot).or_default();
            while left > 0
                && let Some(item) = lane.front_mut()
            {
                let (length, written) = item.write(slot, put);
                if written != Written::Whole {
                    return written;
                }
                left = left.saturating_sub(length + HEADER_LEN);
                if item.is_over() {
                    if matches!(item, Item::Freed) {
                        self.freed -= 1;
                    }
                    lane.pop_front();
                }
            }
            self.turns.pop_front();
            if lane.is_empty() {
                self.lanes.remove(&slot);
            } else {
                self.turns.push_back(slot);
            }
        }
        Written::Whole
    }
}

impl Item {
    /// Writes one record, and says how long it was.
    fn write(&mut self, slot: u32, put: &mut dyn FnMut(&Header, &[&[u8]]) -> Written) -> (usize, Written) {
        match self {
            Item::Deliver { cuts, prefix, body, .. } => {
                let Some(cut) = cuts.current() else { return (0, Written::Whole) };
                let parts = cut.parts(prefix, body);
                let written = put(&cut.header, &parts);
                if written == Written::Whole {
                    cuts.advance();
                }
                (parts.iter().map(|part| part.len()).sum(), written)
            }
            Item::Freed => (0, put(&ToClient::freed(slot), &[])),
            Item::Record { header, body } => (body.len(), put(header, &[body])),
        }
    }

    /// Whether all of it has left, after a record of it has.
    fn is_over(&self) -> bool {
        match self {
            Item::Deliver { cuts, .. } => cuts.current().is_none(),
            Item::Freed | Item::Record { .. } => true,
        }
    }
}

/// Deliveries go by the low half of their number.
fn low(delivery: u64) -> u32 {
    delivery as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::wire::{Flags, Kind};

    fn deliver(outbox: &mut Outbox, slot: u32, delivery: u64, len: usize) {
        outbox.deliver(slot, delivery, 0, false, vec![7; len].into());
    }

    type Record = (Kind, Flags, u32, u32, usize);

    /// Writes so many records at most, and says of each what it was, and how long.
    fn write(outbox: &mut Outbox, records: usize) -> Vec<Record> {
        let mut written = Vec::new();
        let _ = outbox.write(&mut |header, parts| {
            if written.len() == records {
                return Written::Full;
            }
            let length = parts.iter().map(|part| part.len()).sum();
            written.push((header.kind, header.flags, header.slot, header.number, length));
            Written::Whole
        });
        written
    }

    fn whole(slot: u32, delivery: u32, len: usize) -> Record {
        (Kind::Deliver, Flags::WHOLE, slot, delivery, len)
    }

    #[test]
    fn lanes_take_turns_so_that_a_big_message_stalls_no_small_ones() {
        let mut outbox = Outbox::default();
        deliver(&mut outbox, 1, 0, 2 * MAX_FRAGMENT);
        (0..100).for_each(|n| deliver(&mut outbox, 2, n, 8));
        deliver(&mut outbox, 1, 1, 0);
        let written = write(&mut outbox, usize::MAX);
        assert_eq!(written[0], (Kind::Deliver, Flags::FIRST, 1, 0, MAX_FRAGMENT));
        assert_eq!(written[1..101], (0..100).map(|n| whole(2, n, 8)).collect::<Vec<_>>());
        // What the total's eight bytes have pushed out of the first one is left to the last one.
        let rest =
            [(Kind::Deliver, Flags::NONE, 1, 0, MAX_FRAGMENT), (Kind::Deliver, Flags::LAST, 1, 0, 8), whole(1, 1, 0)];
        assert_eq!(written[101..], rest);
        assert!(outbox.is_empty() && outbox.lanes.is_empty());
    }

    #[test]
    fn what_does_not_fit_stays_where_it_was_and_an_answer_behind_what_it_speaks_of() {
        let mut outbox = Outbox::default();
        (0..5).for_each(|n| deliver(&mut outbox, 1, n, 1));
        outbox.answer(1, 9, 1);
        let mut written = Vec::new();
        while !outbox.is_empty() {
            written.extend(write(&mut outbox, 1));
        }
        assert_eq!(written[..5], (0..5).map(|n| whole(1, n, 1)).collect::<Vec<_>>());
        assert_eq!(written[5..], [(Kind::Answer, Flags::WHOLE, 0, 9, 8)]);
    }

    #[test]
    fn what_is_taken_back_does_not_leave() {
        let mut outbox = Outbox::default();
        deliver(&mut outbox, 1, 4, 3 * MAX_FRAGMENT);
        deliver(&mut outbox, 1, 5, 1);
        deliver(&mut outbox, 2, 0, 1);
        assert_eq!(outbox.unsent(1), Some(4));
        assert_eq!(write(&mut outbox, 1).len(), 1);
        assert_eq!(outbox.unsent(1), Some(4));
        outbox.revoke(1, &(4..6));
        outbox.revoke(2, &(0..1));
        assert_eq!((outbox.unsent(1), outbox.unsent(2)), (None, None));
        deliver(&mut outbox, 1, 6, 1);
        assert_eq!(write(&mut outbox, 9), [(Kind::Deliver, Flags::ABORT, 1, 4, 0), whole(1, 6, 1)]);
    }

    #[test]
    fn who_never_reads_cannot_let_words_of_free_slots_pile_up() {
        let mut outbox = Outbox::default();
        assert!((0..SLOTS).all(|_| outbox.free(1)));
        assert!(!outbox.free(1));
        assert_eq!(write(&mut outbox, 2).len(), 2);
        assert!(outbox.free(1));
    }
}
