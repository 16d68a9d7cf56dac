//! Tasks without a worker: the bounded queue, the places reserved in it, and the line of those waiting for a place.

use std::collections::{BTreeMap, VecDeque};

use super::api::{Admission, Now, ReservationId, SchedulerConfig, TaskId};

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

/// Which tasks want a worker, in which order, and who wants a place for a task that is yet to come.
///
/// Invariant: somebody waits only while all places are taken. So nobody who comes can take a place before those who wait
/// for one.
#[derive(Debug)]
pub(super) struct Queue {
    /// The queue proper.
    ready: BTreeMap<Rank, TaskId>,
    /// Tasks for which there was no place.
    waiting: BTreeMap<Rank, TaskId>,
    /// Reservations for which there was none. They stand in one line with `waiting`; two maps, since a worker that comes
    /// free looks for a task.
    bookings: BTreeMap<Rank, ReservationId>,
    /// Bookings that have got their place and have not been told.
    granted: VecDeque<ReservationId>,
    reserved: usize,
    /// How many lie behind another in a worker's hand: they wait as well, and keep their places.
    ahead: usize,
    limit: usize,
    waiting_limit: usize,
    /// Nanoseconds for one level of priority.
    ageing: i128,
    /// The number of the next rank.
    next: u64,
}

/// What became of somebody who asked for a place.
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
            bookings: BTreeMap::new(),
            granted: VecDeque::new(),
            reserved: 0,
            ahead: 0,
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

    /// The rank of somebody who was a part of whoever has this one.
    pub(super) fn rank_beside(&mut self, rank: Rank) -> Rank {
        let number = self.next;
        self.next += 1;
        Rank { number, ..rank }
    }

    fn has_place(&self) -> bool {
        self.ready.len() + self.reserved + self.ahead < self.limit
    }

    /// Takes a place for a task that is yet to come; false if there is none.
    pub(super) fn reserve(&mut self) -> bool {
        let free = self.has_place();
        self.reserved += usize::from(free);
        free
    }

    /// Makes a reserved place free, just before its task enters or [`promote`](Self::promote) gives it to the next.
    pub(super) fn unreserve(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Forgets all reserved places.
    pub(super) fn void_reserved(&mut self) {
        self.reserved = 0;
        self.promote();
    }

    /// Lets a reservation wait in line for a place.
    pub(super) fn book(&mut self, rank: Rank, id: ReservationId) -> Entry {
        if self.line_is_full() {
            return Entry::Full;
        }
        self.bookings.insert(rank, id);
        Entry::Admitted
    }

    /// Takes a reservation out of the line; false if it does not stand there.
    pub(super) fn unbook(&mut self, rank: Rank) -> bool {
        self.bookings.remove(&rank).is_some()
    }

    /// Takes the first reservation out of the line.
    pub(super) fn pop_booking(&mut self) -> Option<ReservationId> {
        self.bookings.pop_first().map(|(_, id)| id)
    }

    /// The next reservation that is to be told of its place.
    pub(super) fn pop_granted(&mut self) -> Option<ReservationId> {
        self.granted.pop_front()
    }

    fn line_is_full(&self) -> bool {
        self.waiting.len() + self.bookings.len() >= self.waiting_limit
    }

    /// A new task asks for a place, or a turn to wait for one.
    pub(super) fn enter(&mut self, rank: Rank, task: TaskId, admission: Admission) -> Entry {
        if self.has_place() {
            self.ready.insert(rank, task);
        } else if admission != Admission::Bounded && self.line_is_full() {
            return Entry::Full;
        } else {
            self.waiting.insert(rank, task);
        }
        Entry::Admitted
    }

    /// A task enters whatever the limit says: it holds a reservation, or it had a place before and lost its worker
    /// (so the excess is bounded by what workers may have in hand).
    pub(super) fn enter_anyway(&mut self, rank: Rank, task: TaskId) {
        self.ready.insert(rank, task);
    }

    /// The task that is to run next. Whoever is first in line, and before all in the queue, needs no place any more: a
    /// full queue does not make anybody wait longer than those behind him. But a reservation that is before him in line
    /// has only a place to wait for, and is not to be passed: then one becomes free.
    pub(super) fn pop(&mut self) -> Option<TaskId> {
        let (_, task) = if self.is_line_next() { self.waiting.pop_first() } else { self.ready.pop_first() }?;
        self.promote();
        Some(task)
    }

    /// Takes out the task that [`first_ahead`](Self::first_ahead) gives. It takes its place along.
    pub(super) fn lend(&mut self) {
        self.ahead += usize::from(self.ready.pop_first().is_some());
    }

    /// So many lie in hands behind others now.
    pub(super) fn set_ahead(&mut self, ahead: usize) {
        self.ahead = ahead;
        self.promote();
    }

    fn is_line_next(&self) -> bool {
        let booking = self.bookings.first_key_value().map(|(rank, _)| rank);
        match (self.ready.first_key_value(), self.waiting.first_key_value()) {
            (Some((ready, _)), Some((waiting, _))) => {
                waiting < ready && booking.is_none_or(|booking| waiting < booking)
            }
            // Reservations (or a limit of 0) leave no place at all: an idle worker is place enough.
            (ready, _) => ready.is_none(),
        }
    }

    /// The task that [`pop`](Self::pop) would give.
    pub(super) fn first(&self) -> Option<TaskId> {
        let next = if self.is_line_next() { &self.waiting } else { &self.ready };
        next.first_key_value().map(|(_, &task)| task)
    }

    /// The next one that a worker may be given ahead: it keeps its place, so it must have one. Where somebody in line is
    /// to be next, nobody passes him.
    pub(super) fn first_ahead(&self) -> Option<TaskId> {
        if self.is_line_next() { None } else { self.first() }
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
            let task = self.waiting.first_key_value().map(|(&rank, _)| rank);
            let before_task = |booking: &Rank| task.is_none_or(|task| *booking < task);
            if let Some(booking) = self.bookings.first_entry().filter(|booking| before_task(booking.key())) {
                self.granted.push_back(booking.remove());
                self.reserved += 1;
            } else if let Some((rank, task)) = self.waiting.pop_first() {
                self.ready.insert(rank, task);
            } else {
                return;
            }
        }
    }

    /// Whether anybody waits for anything.
    pub(super) fn wants_anything(&self) -> bool {
        self.len() > 0 || !self.bookings.is_empty()
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

    /// How many places are reserved, and how many reservations wait for one.
    pub(super) fn reservations(&self) -> (usize, usize) {
        (self.reserved, self.bookings.len())
    }

    /// (queued, waiting, reserved), for tests to hold against the limits.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.ready.len(), self.waiting.len(), self.reserved)
    }
}
