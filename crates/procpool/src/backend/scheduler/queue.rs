//! Tasks without a worker: the bounded queue, the places reserved in it, and the line of those waiting for a place.

use std::collections::BTreeMap;

use super::api::{Now, SchedulerConfig, TaskId};

/// Where somebody stands among all who wait; the smallest is next.
///
/// Whoever waits gains one level of priority for each interval of ageing. Since all age alike, two that wait never
/// change their order: who is ahead is decided by `now - priority × ageing` at the time of asking, once and for all, and
/// a sorted map is enough. A task that comes back (its worker was lost) takes its old rank again: before all that would
/// have had to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Nanoseconds.
    at: i128,
    /// Asked at the same time with the same priority: who asked first.
    number: u64,
}

/// Which tasks want a worker, in which order.
///
/// Invariant: somebody waits only while all places are taken.
#[derive(Debug)]
pub(super) struct Queue {
    /// The queue proper.
    ready: BTreeMap<Rank, TaskId>,
    /// Those for whom there was no place.
    waiting: BTreeMap<Rank, TaskId>,
    reserved: usize,
    limit: usize,
    waiting_limit: usize,
    /// Nanoseconds for one level of priority.
    ageing: i128,
    /// The number of the next rank.
    next: u64,
}

/// What became of a task that asked for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Admitted,
    Full,
}

impl Queue {
    pub(super) fn new(config: &SchedulerConfig) -> Self {
        Queue {
            ready: BTreeMap::new(),
            waiting: BTreeMap::new(),
            reserved: 0,
            limit: config.queue_limit,
            waiting_limit: config.waiting_limit,
            // A `Duration` has less than 94 bits of nanoseconds and a priority 31: their product fits, too.
            ageing: config.ageing.as_nanos() as i128,
            next: 0,
        }
    }

    /// The rank of somebody who asks now.
    pub(super) fn rank(&mut self, now: Now, priority: i32) -> Rank {
        let number = self.next;
        self.next += 1;
        Rank { at: now.0.as_nanos() as i128 - i128::from(priority) * self.ageing, number }
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
    pub(super) fn enter(&mut self, rank: Rank, task: TaskId) -> Entry {
        if self.has_place() {
            self.ready.insert(rank, task);
        } else if self.waiting.len() < self.waiting_limit {
            self.waiting.insert(rank, task);
        } else {
            return Entry::Full;
        }
        Entry::Admitted
    }

    /// A task enters whatever the limit says: it holds a reservation, or it had a place before and lost its worker
    /// (so the excess is bounded by what workers may have in hand).
    pub(super) fn enter_anyway(&mut self, rank: Rank, task: TaskId) {
        self.ready.insert(rank, task);
    }

    /// The task that is to run next: a full queue does not make anybody wait longer than those behind him.
    pub(super) fn pop(&mut self) -> Option<TaskId> {
        let from_line = match (self.ready.first_key_value(), self.waiting.first_key_value()) {
            (Some((ready, _)), Some((waiting, _))) => waiting < ready,
            // Reservations (or a limit of 0) leave no place at all: an idle worker is place enough.
            (ready, _) => ready.is_none(),
        };
        let (_, task) = if from_line { self.waiting.pop_first() } else { self.ready.pop_first() }?;
        self.promote();
        Some(task)
    }

    /// The task that [`pop`](Self::pop) would give.
    pub(super) fn first(&self) -> Option<TaskId> {
        let first = [self.ready.first_key_value(), self.waiting.first_key_value()].into_iter().flatten().min();
        first.map(|(_, &task)| task)
    }

    /// Forgets one task, wherever it stands.
    pub(super) fn remove(&mut self, rank: Rank) {
        if self.waiting.remove(&rank).is_none() && self.ready.remove(&rank).is_some() {
            self.promote();
        }
    }

    /// Lets the first of the line in, as far as there is room.
    pub(super) fn promote(&mut self) {
        while self.has_place() {
            let Some((rank, task)) = self.waiting.pop_first() else {
                return;
            };
            self.ready.insert(rank, task);
        }
    }

    /// How many tasks want a worker, those included that wait for a place: a worker is what they all lack.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }

    /// How many of them wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_waiting(&self, rank: Rank) -> bool {
        self.waiting.contains_key(&rank)
    }

    /// (queued, waiting, reserved), for tests to hold against the limits.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.ready.len(), self.waiting.len(), self.reserved)
    }
}
