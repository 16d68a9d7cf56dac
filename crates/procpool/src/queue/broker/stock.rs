//! Messages that a queue keeps.

use std::collections::VecDeque;

use super::api::Message;
use super::references::Reference;

/// A message that has been sent, and may have to be given to somebody yet.
#[derive(Debug)]
pub(super) struct Stored {
    /// Its place among all messages that arrived at the queue.
    pub(super) order: u64,
    pub(super) message: Message,
    /// What it keeps alive while it exists.
    pub(super) references: Vec<Reference>,
    /// How often somebody took it and did not acknowledge it.
    pub(super) redelivered: u32,
}

impl Stored {
    pub(super) fn bytes(&self) -> u64 {
        self.message.body.len() as u64
    }
}

/// The messages that are given to nobody, in the order in which they arrived.
#[derive(Debug, Default)]
pub(super) struct Stock(VecDeque<Stored>);

impl Stock {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long the next one is.
    pub(super) fn first_bytes(&self) -> Option<u64> {
        self.0.front().map(Stored::bytes)
    }

    pub(super) fn take(&mut self) -> Option<Stored> {
        self.0.pop_front()
    }

    /// Puts a message where it belongs: a new one at the end, one that comes back before all that arrived after it.
    pub(super) fn put(&mut self, stored: Stored) {
        if self.0.back().is_none_or(|last| last.order < stored.order) {
            self.0.push_back(stored);
        } else if self.0.front().is_some_and(|first| stored.order < first.order) {
            self.0.push_front(stored);
        } else {
            let place = self.0.partition_point(|other| other.order < stored.order);
            self.0.insert(place, stored);
        }
    }
}
