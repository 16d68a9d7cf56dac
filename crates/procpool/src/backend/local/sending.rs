//! What is on its way to a worker, and what carries it.

use std::io;
use std::os::fd::BorrowedFd;

use super::outbox::Outbox;
use crate::sys::{futex, socket};
use crate::wire::message::Carrier;
use crate::wire::ring::RingWriter;

/// The outbox, and the carriers that empty it.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) outbox: Outbox,
    ring: RingWriter,
    /// What carries the bytes that are in the outbox.
    by: Carrier,
    /// What carries everything behind the set-up.
    then: Carrier,
}

/// Where something is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    Socket,
    Ring,
}

impl Sending {
    pub(super) fn new(ring: RingWriter, then: Carrier) -> Sending {
        Sending { outbox: Outbox::default(), ring, by: Carrier::Socket, then }
    }

    /// Whatever was in the outbox has left: what comes now is carried by what was agreed on. Nothing is sent behind the
    /// set-up before the worker has answered it, so the set-up is alone in the outbox.
    pub(super) fn begin(&mut self) {
        if self.outbox.is_empty() {
            self.by = self.then;
        }
    }

    /// Writes once. `Ok(None)`: nothing was left to write.
    pub(super) fn write(&mut self, socket: BorrowedFd<'_>) -> io::Result<Option<usize>> {
        if self.outbox.is_empty() {
            return Ok(None);
        }
        let (slices, count) = self.outbox.slices();
        let written = match self.by {
            Carrier::Socket => socket::send(socket, &slices[..count])?,
            Carrier::Rings => self.ring.write(&slices[..count])?,
        };
        self.outbox.advance(written);
        Ok(Some(written))
    }

    /// Where it is that nothing more was taken.
    pub(super) fn stall(&self) -> Stall {
        match self.by {
            Carrier::Socket => Stall::Socket,
            Carrier::Rings => Stall::Ring,
        }
    }

    /// Asks the worker to tell of room in the ring. Gives back whether there still is none. (Of room in the socket the
    /// kernel tells.)
    pub(super) fn want_room(&mut self) -> io::Result<bool> {
        match self.by {
            Carrier::Socket => Ok(true),
            Carrier::Rings => self.ring.want_room(),
        }
    }

    /// Tells a worker that sleeps that there is something in its ring.
    pub(super) fn rouse(&self) {
        if self.by == Carrier::Rings && self.ring.is_waited_for() {
            futex::wake_all(self.ring.sleeper());
        }
    }
}
