//! What is on its way to a worker, and what carries it.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;

use super::outbox::{Outbox, Passenger};
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
    /// What took nothing more.
    stall: Stall,
    /// The socket carries nothing but descriptors, few at a time.
    narrow: bool,
}

/// Where something is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    Socket,
    Ring,
}

impl Sending {
    pub(super) fn new(ring: RingWriter, then: Carrier) -> Sending {
        Sending { outbox: Outbox::default(), ring, by: Carrier::Socket, then, stall: Stall::Socket, narrow: false }
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
        if let Some(passenger) = self.outbox.passenger() {
            return self.see_off(socket, &passenger).map(Some);
        }
        let (slices, count) = self.outbox.slices();
        let written = match self.by {
            Carrier::Socket => {
                self.stall = Stall::Socket;
                socket::send(socket, &slices[..count])?
            }
            Carrier::Rings => {
                self.stall = Stall::Ring;
                self.ring.write(&slices[..count])?
            }
        };
        self.outbox.advance(written);
        Ok(Some(written))
    }

    /// Sends a descriptor: by the socket, with its message; or, where a ring carries that, before it and beside a byte that
    /// means nothing. So whoever has read the message finds the descriptor, and descriptors come in their messages' order.
    fn see_off(&mut self, socket: BorrowedFd<'_>, passenger: &Passenger) -> io::Result<usize> {
        let Some(file) = passenger.memory.file() else {
            self.outbox.strand(passenger, "it has no descriptor here".to_owned());
            return Ok(0);
        };
        self.stall = Stall::Socket;
        let sent = match self.by {
            Carrier::Socket => {
                let (slices, count) = self.outbox.slices();
                socket::send_with_fd(socket, &slices[..count], file)
            }
            Carrier::Rings => {
                if !std::mem::replace(&mut self.narrow, true) {
                    // Until the worker takes them, descriptors count against limits of this user's.
                    socket::narrow(socket);
                }
                socket::send_with_fd(socket, &[IoSlice::new(&[0])], file).map(|_| 0)
            }
        };
        match sent {
            Ok(written) => {
                self.outbox.take_leave();
                self.outbox.advance(written);
                Ok(written)
            }
            Err(error) if is_about_the_connection(&error) => Err(error),
            // The worker, and what it runs, can do without.
            Err(error) => {
                self.outbox.strand(passenger, format!("its descriptor could not be passed on: {error}"));
                Ok(0)
            }
        }
    }

    /// Where it is that nothing more was taken.
    pub(super) fn stall(&self) -> Stall {
        self.stall
    }

    /// Asks the worker to tell of room in the ring. Gives back whether there still is none. (Of room in the socket the
    /// kernel tells.)
    pub(super) fn want_room(&mut self) -> io::Result<bool> {
        match self.stall {
            Stall::Socket => Ok(true),
            Stall::Ring => self.ring.want_room(),
        }
    }

    /// Tells a worker that sleeps that there is something in its ring.
    pub(super) fn rouse(&self) {
        if self.by == Carrier::Rings && self.ring.is_waited_for() {
            futex::wake_all(self.ring.sleeper());
        }
    }
}

/// Whether this says that there is no room, or nobody at the other end.
fn is_about_the_connection(error: &io::Error) -> bool {
    let kinds = [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    kinds.contains(&error.kind()) || error.kind() == ErrorKind::NotConnected
}
