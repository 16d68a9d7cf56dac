//! The hub's end of a link.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use crate::queue::wire::Header;
use crate::sys::courier;

use super::board::Memory;
use super::end::{Drained, Intake, LinkError, Written};
use super::hub_board::HubBoard;
use super::layout::{DOWN_WANTED, GONE, HUB_WAITS, Transport, UP_WANTED};
use super::reading::{Reading, Side};
use super::ring::{RingWriter, Way};
use super::socket::SocketWriter;

/// The hub's end of a link.
#[derive(Debug)]
pub(crate) struct HubEnd {
    board: HubBoard,
    memory: Memory,
    transport: Transport,
    /// `None`: the client is in this process.
    socket: Option<OwnedFd>,
    reading: Reading,
    writing: Writing,
}

#[derive(Debug)]
enum Writing {
    Ring(RingWriter),
    Socket(SocketWriter),
}

/// Rouses a link's client, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Rouser {
    memory: Memory,
}

impl Rouser {
    /// [`HubEnd::rouse`].
    pub(crate) fn rouse(&self) {
        self.memory.rouse();
    }
}

impl HubEnd {
    pub(super) fn new(memory: Memory, transport: Transport, socket: Option<OwnedFd>) -> HubEnd {
        HubEnd {
            board: HubBoard::new(memory.clone()),
            transport,
            socket,
            reading: Reading::new(Side::Hub, transport, memory.clone()),
            writing: match transport {
                Transport::Ring => Writing::Ring(RingWriter::new(memory.clone(), Way::Down)),
                Transport::Socket => Writing::Socket(SocketWriter::default()),
            },
            memory,
        }
    }

    /// The board.
    pub(crate) fn board(&mut self) -> &mut HubBoard {
        &mut self.board
    }

    /// What carries the records.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Takes what the client wrote in its pipe, up to what was there when the call began (or about 256 KiB of it); cheap
    /// when there is nothing. Messages that come in several records are given once they are whole. What was read makes
    /// room for the client, which is to be told so ([`room_is_wanted`](HubEnd::room_is_wanted)).
    ///
    /// With a ring this does not look at the socket ([`read_socket`](HubEnd::read_socket)), except before `Buried` is
    /// given, so that it comes after its `Introduce`.
    ///
    /// # Errors
    /// The client wrote what it may not write: cut it off. Everything before that has been taken.
    pub(crate) fn read(&mut self, intake: &mut impl Intake) -> Result<Drained, LinkError> {
        self.flush();
        self.reading.read(self.socket.as_ref().map(AsFd::as_fd), intake)
    }

    /// Takes what is on the socket: call it when the socket is readable. With a ring that is bells (which are not given)
    /// and `Introduce`; otherwise it is [`read`](HubEnd::read). [`Drained::Ended`]: the client has ended, or closed its
    /// end; with a ring, what it wrote there may still be [`read`](HubEnd::read).
    ///
    /// # Errors
    /// As for [`read`](HubEnd::read).
    pub(crate) fn read_socket(&mut self, intake: &mut impl Intake) -> Result<Drained, LinkError> {
        self.flush();
        match &self.socket {
            Some(socket) => self.reading.read_socket(socket.as_fd(), intake),
            None => Ok(Drained::All),
        }
    }

    /// Whether a bell may have been taken from the socket since this was asked last. Who does so while somebody else sleeps
    /// and waits for that bell has to ask for another one ([`set_hub_waits`](HubEnd::set_hub_waits)).
    pub(crate) fn took_bell(&mut self) -> bool {
        self.reading.took_from_socket() && self.transport == Transport::Ring
    }

    /// Writes one record, or nothing of it; never waits. `Full`: [`want_room`](HubEnd::want_room), try once more, and
    /// then wait for a bell.
    ///
    /// A record that a socket took in part counts as written: this end asks for room itself, and writes the rest when it
    /// is told to read.
    ///
    /// # Panics
    /// If the parts are longer than a record may be.
    pub(crate) fn write(&mut self, header: &Header, parts: &[&[u8]]) -> Written {
        let written = match (&mut self.writing, &self.socket) {
            (Writing::Ring(ring), _) => match ring.write(header, parts) {
                Ok(true) => Written::Whole,
                Ok(false) => Written::Full,
                // What the client did to the ring. The next read tells, if it did so to both.
                Err(_) => Written::Gone,
            },
            (Writing::Socket(writer), Some(socket)) => writer.write(socket.as_fd(), header, parts),
            (Writing::Socket(_), None) => Written::Gone,
        };
        self.flush();
        written
    }

    /// Writes what is left of a record, and asks for room for what still is.
    fn flush(&mut self) {
        let (Writing::Socket(writer), Some(socket)) = (&mut self.writing, &self.socket) else { return };
        if !writer.has_carry() || writer.flush(socket.as_fd()) != Written::Full {
            return;
        }
        want_room(&self.memory);
        // `Gone` shows when the socket is read.
        let _ = writer.flush(socket.as_fd());
    }

    /// Asks for a bell once the client has read something.
    pub(crate) fn want_room(&self) {
        want_room(&self.memory);
    }

    /// Whether there is something to be read (or an error to be told) that no bell and no readable socket will tell of: for
    /// the last look before sleeping.
    pub(crate) fn has_input(&self) -> bool {
        self.reading.has_input()
    }

    /// Tells the client that something has changed: once after a batch of changes.
    pub(crate) fn rouse(&self) {
        self.memory.rouse();
    }

    /// What rouses the client without this end.
    pub(crate) fn rouser(&self) -> Rouser {
        Rouser { memory: self.memory.clone() }
    }

    /// Whether the client waits for room that [`read`](HubEnd::read) may have made: then [`rouse`](HubEnd::rouse) it.
    /// Answers `true` once for each wait.
    pub(crate) fn room_is_wanted(&self) -> bool {
        // After the room was made, as the client looks for room after it has set the word.
        fence(SeqCst);
        let word = self.memory.word(UP_WANTED);
        word.load(Relaxed) != 0 && word.swap(0, AcqRel) != 0
    }

    /// Asks for a bell when the client has written something. Look at the pipe once more after this
    /// ([`has_input`](HubEnd::has_input)), before sleeping.
    pub(crate) fn set_hub_waits(&self) {
        self.memory.word(HUB_WAITS).swap(1, AcqRel);
        // Before the look at the ring, as the client looks at this word after it has committed.
        fence(SeqCst);
    }

    /// The socket, to be watched. `None`: the link is in this process.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Ends the link from this side: the client sees that it is gone, in every call and every wait. What it wrote
    /// before can still be read.
    pub(crate) fn set_gone(&self) {
        self.memory.word(GONE).store(1, Release);
        if let Some(socket) = &self.socket {
            courier::shut_down(socket);
        }
        self.rouse();
    }
}

fn want_room(memory: &Memory) {
    memory.word(DOWN_WANTED).swap(1, AcqRel);
    // Before the next look at the pipe, as the client looks at this word after it has read.
    fence(SeqCst);
}
