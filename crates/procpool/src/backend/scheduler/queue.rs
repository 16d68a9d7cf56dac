//! Tasks without a worker: the bounded queue, the places reserved in it, and the list of those waiting for a place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::api::TaskId;

/// Which tasks want a worker, in which order.
///
/// Ids are given out in order of submission, so `(priority, id)` *is* the order the documentation promises, and a task
/// that comes back (its worker was lost) takes its old place again: before all that were submitted after it.
///
/// Invariant: somebody waits only while all places are taken.
#[derive(Debug)]
pub(super) struct Queue {
    /// The queue proper.
    ready: BTreeSet<(Reverse<i32>, TaskId)>,
    /// Those for whom there was no place, oldest first, with their priority.
    waiting: BTreeMap<TaskId, i32>,
    reserved: usize,
    limit: usize,
    waiting_limit: usize,
}

/// What became of a task that asked for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Admitted,
    Full,
}

impl Queue {
    pub(super) fn new(limit: usize, waiting_limit: usize) -> Self {
        Queue { ready: BTreeSet::new(), waiting: BTreeMap::new(), reserved: 0, limit, waiting_limit }
    }

    fn has_place(&self) -> bool {
        self.ready.len() + self.reserved < self.limit
    }

    /// Takes a place for a task that is yet to come; false if there is none.
    pub(super) fn reserve(&mut self) -> bool {
        let free = self.has_place();
        self.reserved += usize::from(free);
        free
    }

    /// Gives a reserved place back, or turns it into an ordinary free one just before its task enters; false if none
    /// was reserved.
    pub(super) fn unreserve(&mut self) -> bool {
        let held = self.reserved > 0;
        self.reserved -= usize::from(held);
        held
    }

    /// A new task asks for a place, or a turn to wait for one.
    pub(super) fn enter(&mut self, task: TaskId, priority: i32) -> Entry {
        if self.has_place() {
            self.ready.insert((Reverse(priority), task));
        } else if self.waiting.len() < self.waiting_limit {
            self.waiting.insert(task, priority);
        } else {
            return Entry::Full;
        }
        Entry::Admitted
    }

    /// A task enters whatever the limit says: it holds a reservation, or it had a place before and lost its worker
    /// (so the excess is bounded by what workers may have in hand).
    pub(super) fn enter_anyway(&mut self, task: TaskId, priority: i32) {
        self.ready.insert((Reverse(priority), task));
    }

    /// The task that is to run next.
    pub(super) fn pop(&mut self) -> Option<TaskId> {
        match self.ready.pop_first() {
            Some((_, task)) => {
                self.promote();
                Some(task)
            }
            // Reached when reservations (or a limit of 0) leave no place at all: an idle worker is place enough.
            None => self.waiting.pop_first().map(|(task, _)| task),
        }
    }

    /// The task that [`pop`](Self::pop) would give.
    pub(super) fn first(&self) -> Option<TaskId> {
        let ready = self.ready.first().map(|&(_, task)| task);
        ready.or_else(|| self.waiting.keys().next().copied())
    }

    /// Forgets one task, wherever it stands.
    pub(super) fn remove(&mut self, task: TaskId, priority: i32) {
        if self.waiting.remove(&task).is_none() && self.ready.remove(&(Reverse(priority), task)) {
            self.promote();
        }
    }

    /// Lets the oldest waiters in, as far as there is room.
    pub(super) fn promote(&mut self) {
        while self.has_place() {
            let Some((task, priority)) = self.waiting.pop_first() else {
                return;
            };
            self.ready.insert((Reverse(priority), task));
        }
    }

    /// How many tasks want a worker, those included that wait for a place: a worker is what they all lack.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }

    pub(super) fn is_waiting(&self, task: TaskId) -> bool {
        self.waiting.contains_key(&task)
    }

    /// (queued, waiting, reserved), for tests to hold against the limits.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.ready.len(), self.waiting.len(), self.reserved)
    }
}
