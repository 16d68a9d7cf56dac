//! One entry of a board, as both sides use it.

use super::super::api::{ConsumerView, ProducerView, QueueState};

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) credits: u32,
    pub(super) bytes: u64,
    pub(super) senders: u32,
    pub(super) needs: u64,
    pub(super) next: u64,
    pub(super) limit: u64,
    pub(super) acked_from: Option<u64>,
    pub(super) receivers: u32,
    /// What the broker wants to be told of, and how often it has asked.
    pub(super) notify: (u64, u32),
    pub(super) told: u32,
    pub(super) state: QueueState,
}

impl Entry {
    pub(super) fn producer(&self) -> ProducerView {
        ProducerView { credits: self.credits, bytes: self.bytes, waiting: self.senders, needs: self.needs }
    }

    pub(super) fn consumer(&self) -> ConsumerView {
        ConsumerView { next: self.next, acked_from: self.acked_from, waiting: self.receivers }
    }

    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let is_there = self.credits > 0 && self.bytes >= bytes;
        if is_there {
            self.credits -= 1;
            self.bytes -= bytes;
        }
        is_there
    }

    /// Whether the broker is to be told of the claims by now.
    pub(super) fn is_due(&mut self) -> bool {
        let (at, generation) = self.notify;
        let is_due = generation != self.told && self.next >= at;
        if is_due {
            self.told = generation;
        }
        is_due
    }
}
