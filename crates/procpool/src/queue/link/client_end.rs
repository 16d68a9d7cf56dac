//! The participant's end of a link.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::fence;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use crate::queue::wire::{Header, Kind, ToHub};
use crate::sync::{lock, try_lock};
use crate::sys::futex::Waited;
use crate::sys::{courier, futex};

use super::board::Memory;
use super::client_board::ClientBoard;
use super::end::{Drained, Intake, LinkError, Written};
use super::layout::{CLIENT_WAITS, DOWN_WANTED, HUB_WAITS, Transport, UP_WANTED};
use super::reading::{Reading, Side};
use super::ring::{RingWriter, Way};
use super::socket::write_waiting;
use super::start::Bell;

/// The participant's end of a link. Every method may be called from any thread.
pub(crate) struct ClientEnd {
    board: ClientBoard,
    memory: Memory,
    far: Far,
    transport: Transport,
    /// `None` where records go through the socket; the lock then is what keeps them whole.
    write: Mutex<Option<RingWriter>>,
    read: Mutex<Reading>,
}

/// Where the hub is.
enum Far {
    /// In another process. The lock keeps bells and descriptors whole beside a ring.
    Away { socket: OwnedFd, bells: Mutex<()> },
    /// In this process: this is called when there is something to look at.
    Here(Bell),
}

/// What [`ClientEnd::set_waits`] noted: a wait for the events after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted(u32);

/// The right to write at this end, alone: several records go in order and side by side.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    end: &'a ClientEnd,
    ring: MutexGuard<'a, Option<RingWriter>>,
}

impl ClientEnd {
    pub(super) fn away(memory: Memory, transport: Transport, socket: OwnedFd) -> ClientEnd {
        Self::new(memory, transport, Far::Away { socket, bells: Mutex::new(()) })
    }

    pub(super) fn here(memory: Memory, bell: Bell) -> ClientEnd {
        Self::new(memory, Transport::Ring, Far::Here(bell))
    }

    fn new(memory: Memory, transport: Transport, far: Far) -> ClientEnd {
        let write = (transport == Transport::Ring).then(|| RingWriter::new(memory.clone(), Way::Up));
        ClientEnd {
            board: ClientBoard::new(memory.clone()),
            read: Mutex::new(Reading::new(Side::Client, transport, memory.clone())),
            memory,
            far,
            transport,
            write: Mutex::new(write),
        }
    }

    /// The board.
    pub(crate) fn board(&self) -> &ClientBoard {
        &self.board
    }

    /// Writes one record, or nothing of it. On a socket this waits until the hub has read enough, which it always does.
    /// Does not ring.
    ///
    /// # Panics
    /// If the parts are longer than a record may be.
    #[cfg(test)]
    pub(crate) fn write(&self, header: &Header, parts: &[&[u8]]) -> Written {
        self.writer().write(header, parts)
    }

    /// Waits until no other thread writes.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { end: self, ring: lock(&self.write) }
    }

    /// Asks to be roused once the hub has made room in the pipe. Then try to write once more before waiting.
    pub(crate) fn want_room(&self) {
        self.memory.word(UP_WANTED).swap(1, AcqRel);
        // Before the next look at the ring, as the hub looks at this word after it has made room.
        fence(SeqCst);
    }

    /// Makes the hub look at what was written: after one record or several.
    ///
    /// In the root this is the hub's own work, so no lock may be held that the hub's callbacks take.
    pub(crate) fn ring_bell(&self) {
        match &self.far {
            Far::Here(bell) => bell(),
            // What was written has made the socket readable.
            Far::Away { .. } if self.transport == Transport::Socket => {}
            Far::Away { .. } => {
                // After the record was committed, as the hub looks at the ring after it has set the word.
                fence(SeqCst);
                if self.swap_out(HUB_WAITS) {
                    self.send_bell();
                }
            }
        }
    }

    /// Tells the hub that a [`read`](ClientEnd::read) has made room, if it waits for that: after every read that took
    /// something. May ring, with what that means for locks.
    pub(crate) fn made_room(&self) {
        fence(SeqCst);
        if !self.swap_out(DOWN_WANTED) {
            return;
        }
        match &self.far {
            Far::Here(bell) => bell(),
            Far::Away { .. } => self.send_bell(),
        }
    }

    /// Whether this word was set. It no longer is.
    fn swap_out(&self, word: usize) -> bool {
        let word = self.memory.word(word);
        word.load(Relaxed) != 0 && word.swap(0, AcqRel) != 0
    }

    /// A hub that is gone needs no bell, so what becomes of it does not matter.
    fn send_bell(&self) {
        if let Some((header, body)) = ToHub::Bell.encode() {
            let _ = self.with_socket(|socket| write_waiting(socket, &header, &[&body]));
        }
    }

    /// Gives a descriptor to the hub: the parent's end of the link of a process that this one has started. Needs no bell.
    /// `Gone` in the root, whose hub takes descriptors directly.
    pub(crate) fn introduce(&self, number: u32, passenger: BorrowedFd<'_>) -> Written {
        let bytes = Header::whole(Kind::Introduce, 0, number).encode(0);
        self.with_socket(|socket| match courier::send_all_with_fd(socket, &bytes, passenger) {
            Ok(()) => Written::Whole,
            Err(_) => Written::Gone,
        })
    }

    /// Lets `send` send one record on the socket.
    fn with_socket(&self, send: impl FnOnce(&OwnedFd) -> Written) -> Written {
        match &self.far {
            Far::Here(_) => Written::Gone,
            Far::Away { socket, bells } => match self.transport {
                Transport::Ring => {
                    let _alone = lock(bells);
                    send(socket)
                }
                Transport::Socket => {
                    let _alone = self.writer();
                    send(socket)
                }
            },
        }
    }

    /// Takes what the hub wrote, up to what was there when the call began. `Busy` if another thread is at it, which may
    /// have looked before the last came. Afterwards, [`made_room`](ClientEnd::made_room).
    ///
    /// # Errors
    /// The link is of no more use.
    pub(crate) fn read(&self, intake: &mut impl Intake) -> Result<Drained, LinkError> {
        let Some(mut reading) = try_lock(&self.read) else { return Ok(Drained::Busy) };
        let gone = self.board.is_gone();
        let socket = match &self.far {
            Far::Away { socket, .. } => Some(socket.as_fd()),
            Far::Here(_) => None,
        };
        let drained = reading.read(socket, intake)?;
        Ok(if gone && drained == Drained::All { Drained::Ended } else { drained })
    }

    /// Announces a wait. Look at what is waited for after this and before [`wait`](ClientEnd::wait): whatever changes
    /// after that look ends the wait.
    pub(crate) fn set_waits(&self) -> Noted {
        // First what to wait for, then that somebody waits. The hub swaps the second and then bumps the first: if it takes
        // our mark away, then what we noted is outdated before we wait for it. The other way round it could take the mark
        // away for an event that we have noted as the last one, and nobody would wake us for the next.
        let noted = self.memory.event().load(Acquire);
        // A swap, so that it reads what the hub's swap left, and with it all that the hub changed before.
        self.memory.word(CLIENT_WAITS).swap(1, AcqRel);
        Noted(noted)
    }

    /// Wakes whoever waits here, as the hub does: for what another thread of this process has changed.
    pub(crate) fn rouse(&self) {
        self.memory.rouse();
    }

    /// Waits for the next event, if there was none since `noted`, or until the deadline. It may come back early.
    pub(crate) fn wait(&self, noted: Noted, deadline: Option<Instant>) -> Waited {
        futex::wait(self.memory.event(), noted.0, deadline)
    }
}

impl fmt::Debug for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEnd").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl Writer<'_> {
    /// [`ClientEnd::write`].
    pub(crate) fn write(&mut self, header: &Header, parts: &[&[u8]]) -> Written {
        if self.end.board.is_gone() {
            return Written::Gone;
        }
        match (&mut *self.ring, &self.end.far) {
            (Some(ring), _) => match ring.write(header, parts) {
                Ok(true) => Written::Whole,
                Ok(false) => Written::Full,
                // The hub would not do this to itself; the memory is no longer what it was.
                Err(_) => Written::Gone,
            },
            (None, Far::Away { socket, .. }) => write_waiting(socket, header, parts),
            (None, Far::Here(_)) => Written::Gone,
        }
    }
}
