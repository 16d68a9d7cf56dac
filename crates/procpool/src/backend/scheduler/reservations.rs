//! Places in the queue for tasks that are yet to come: taken, waited for, given back.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::api::{Action, Booking, Now, Patience, Refused, ReservationId, Unavailable};
use super::core::{Scheduler, Turn};
use super::payload::Payload;
use super::queue::{Entry, Rank};
use super::tasks::IdHasher;
use super::timers::Timer;

/// One reservation that has been neither used nor given back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reservation {
    /// In the line.
    Waiting {
        rank: Rank,
        limit: Option<Duration>,
        /// The setting of its [`Timer::Reservation`].
        timer: Option<Now>,
    },
    /// It has a place.
    Held,
}

/// Reservations by id.
pub(super) type Reservations = HashMap<ReservationId, Reservation, BuildHasherDefault<IdHasher>>;

impl<P: Payload> Scheduler<P> {
    /// Takes a place in the queue for a task that is submitted later with
    /// [`Admission::Reserved`](super::api::Admission::Reserved), so that its caller can wait (or be refused) before the
    /// task is even made. Each place is used by one such submission, or given back by
    /// [`Event::Unreserve`](super::api::Event::Unreserve).
    pub(crate) fn reserve(&mut self, patience: Patience, now: Now) -> Result<Booking, Refused<P>> {
        if let Some(why) = self.refusal() {
            return Err(Refused::Unavailable(why));
        }
        let id = ReservationId(self.next_reservation);
        let booking = match patience {
            _ if self.queue.reserve() => {
                self.reservations.insert(id, Reservation::Held);
                Booking::Held(id)
            }
            Patience::None => return Err(Refused::QueueFull),
            Patience::Wait { priority, limit } => {
                let rank = self.queue.rank(now, priority);
                if self.queue.book(rank, id) == Entry::Full {
                    return Err(Refused::QueueFull);
                }
                let mut timer = None;
                if let Some(limit) = limit {
                    self.timers.arm(&mut timer, now.after(limit), Timer::Reservation(id));
                }
                self.reservations.insert(id, Reservation::Waiting { rank, limit, timer });
                Booking::Waiting(id)
            }
        };
        self.next_reservation += 1;
        Ok(booking)
    }

    /// Ends a reservation: its place, or its turn to wait for one, goes to others. True if it had a place. One that is
    /// not known was void already.
    pub(super) fn unreserve(&mut self, id: ReservationId) -> bool {
        match self.reservations.remove(&id) {
            Some(Reservation::Held) => {
                self.queue.unreserve();
                true
            }
            Some(Reservation::Waiting { rank, mut timer, .. }) => {
                self.timers.disarm(&mut timer, Timer::Reservation(id));
                self.queue.unbook(rank);
                false
            }
            None => false,
        }
    }

    /// Tells those who have come to the head of the line that they have a place.
    pub(super) fn answer_granted(&mut self, turn: &mut Turn<'_, P>) {
        while let Some(id) = self.queue.pop_granted() {
            if let Some(Reservation::Waiting { mut timer, .. }) = self.reservations.insert(id, Reservation::Held) {
                self.timers.disarm(&mut timer, Timer::Reservation(id));
            }
            turn.act(Action::Reserved { reservation: id, result: Ok(()) });
        }
    }

    /// Somebody has waited long enough for a place.
    pub(super) fn reservation_due(&mut self, id: ReservationId, turn: &mut Turn<'_, P>) {
        let Some(&Reservation::Waiting { rank, limit: Some(limit), .. }) = self.reservations.get(&id) else {
            return;
        };
        // If it is not in the line any more, it got a place in this very moment, and is about to be told.
        if self.queue.unbook(rank) {
            self.reservations.remove(&id);
            turn.act(Action::Reserved { reservation: id, result: Err(Refused::TimedOut(limit)) });
        }
    }

    /// Nobody who waits will get a place.
    pub(super) fn refuse_bookings(&mut self, why: &Unavailable<P>, turn: &mut Turn<'_, P>) {
        while let Some(id) = self.queue.pop_booking() {
            if let Some(Reservation::Waiting { mut timer, .. }) = self.reservations.remove(&id) {
                self.timers.disarm(&mut timer, Timer::Reservation(id));
            }
            turn.act(Action::Reserved { reservation: id, result: Err(Refused::Unavailable(why.clone())) });
        }
    }

    /// The pool closes: those who wait are refused, and places that have not been used are void. So a close waits for
    /// nobody who only might have submitted something.
    pub(super) fn void_reservations(&mut self, turn: &mut Turn<'_, P>) {
        self.refuse_bookings(&Unavailable::Closed, turn);
        self.answer_granted(turn);
        self.reservations.clear();
        self.queue.void_reserved();
    }

    /// How many places are reserved and not used yet, and how many wait for one.
    pub(crate) fn reservations(&self) -> (usize, usize) {
        self.queue.reservations()
    }
}
