//! Those who wait for the same thing, first come, first served.

use std::collections::VecDeque;
use std::task::Waker;

use crate::panics;

/// A place in a [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Those who wait. Some at the front have been *called*: what they wait for is there, and they are to come for it.
///
/// Wakers, called or dropped, are foreign code: they are handed out, to be dealt with when no lock is held.
#[derive(Debug)]
pub(super) struct Line<N> {
    waiting: VecDeque<Waiting<N>>,
    called: usize,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Waiting<N> {
    ticket: Ticket,
    pub(super) needs: N,
    waker: Option<Waker>,
}

/// What [`Line::update`] did.
#[derive(Debug)]
#[must_use]
pub(super) enum Update {
    /// The waker was there already, and has not been called.
    Same,
    /// It was not there: another one may have been called for what this one has not seen, so it must look once more. The
    /// former waker is to be dropped without a lock.
    Changed(Option<Waker>),
}

/// How somebody is in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// As before.
    Same,
    /// With another waker than before.
    Changed,
    /// From now on.
    New,
}

impl From<Update> for Joined {
    fn from(update: Update) -> Joined {
        match update {
            Update::Same => Joined::Same,
            Update::Changed(former) => {
                drop(former);
                Joined::Changed
            }
        }
    }
}

impl<N> Line<N> {
    pub(super) const fn new() -> Line<N> {
        Line { waiting: VecDeque::new(), called: 0, next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn called(&self) -> usize {
        self.called
    }

    pub(super) fn uncalled(&self) -> usize {
        self.waiting.len() - self.called
    }

    /// Takes the last place.
    pub(super) fn join(&mut self, needs: N, waker: &Waker) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back(Waiting { ticket, needs, waker: Some(waker.clone()) });
        ticket
    }

    /// How many are before this one.
    pub(super) fn place(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }

    pub(super) fn is_called(&self, ticket: Ticket) -> bool {
        self.place(ticket).is_some_and(|place| place < self.called)
    }

    /// Whom to wake from now on.
    pub(super) fn update(&mut self, ticket: Ticket, waker: &Waker) -> Update {
        let Some(place) = self.place(ticket) else { return Update::Changed(None) };
        let held = &mut self.waiting[place].waker;
        match held {
            Some(former) if former.will_wake(waker) => Update::Same,
            _ => Update::Changed(held.replace(waker.clone())),
        }
    }

    /// Gives the place up, and says whether it had been called. What it gives is to be dropped without a lock.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<(bool, Waiting<N>)> {
        let place = self.place(ticket)?;
        let waiting = self.waiting.remove(place)?;
        let called = place < self.called;
        self.called -= usize::from(called);
        Some((called, waiting))
    }

    /// What the first needs that has not been called.
    pub(super) fn first_uncalled(&self) -> Option<&N> {
        self.waiting.get(self.called).map(|waiting| &waiting.needs)
    }

    /// Calls the next one.
    pub(super) fn call(&mut self, wakes: &mut Wakes) {
        if let Some(waiting) = self.waiting.get_mut(self.called) {
            self.called += 1;
            wakes.0.extend(waiting.waker.take());
        }
    }

    /// What was there for those that were called is there no more: they wait on.
    pub(super) fn uncall(&mut self) {
        self.called = 0;
    }

    /// Wakes all: there is nothing to wait for any more. They keep their places until they have seen it.
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        wakes.0.extend(self.waiting.iter_mut().filter_map(|waiting| waiting.waker.take()));
    }
}

/// Wakers to be called once no lock is held.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Wakes(pub(super) Vec<Waker>);

impl Wakes {
    /// Calls them all. One that panics is none of our business, and none of the others'.
    pub(super) fn wake(self) {
        for waker in self.0 {
            panics::by_the_way(|| waker.wake());
        }
    }
}
