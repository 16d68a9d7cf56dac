//! What either end does with what comes.

use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd};

use bytes::Bytes;

use crate::queue::wire::{Assembler, Header, Kind, Whole, WireError};

use super::board::Memory;
use super::end::{Drained, Incoming, Intake, LinkError};
use super::layout::Transport;
use super::ring::{Records, RingReader, Way};
use super::socket::{Received, Record, SocketReader};

/// The most that one look takes from a socket, in bytes, about: as much as a ring holds.
const SOCKET_BUDGET: usize = 256 * 1024;

/// Whose end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Hub,
}

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Ring,
    Socket,
}

/// The half of an end that reads.
#[derive(Debug)]
pub(super) struct Reading {
    side: Side,
    /// `None`: everything comes on the socket.
    ring: Option<RingReader>,
    /// What was copied out of the ring when the intake had enough.
    left: Records,
    /// A record that has to wait until the socket has been read.
    held: Option<(Header, Bytes)>,
    stream: SocketReader,
    /// Something was taken from the socket since somebody asked. With a ring that may have been a bell.
    took_from_socket: bool,
    /// Whether the client's `Open` has been seen.
    opened: bool,
    assembler: Assembler,
}

impl Reading {
    pub(super) fn new(side: Side, transport: Transport, memory: Memory) -> Reading {
        let (way, max_partial) = match side {
            // The hub is believed: it has at most one message a queue on its way.
            Side::Client => (Way::Down, usize::MAX),
            Side::Hub => (Way::Up, Assembler::MAX_FROM_CLIENT),
        };
        Reading {
            side,
            ring: (transport == Transport::Ring).then(|| RingReader::new(memory, way)),
            left: Records::default(),
            held: None,
            stream: SocketReader::default(),
            took_from_socket: false,
            opened: false,
            assembler: Assembler::new(max_partial),
        }
    }

    /// Whether there is something to be taken that no bell and no socket will tell of.
    pub(super) fn has_input(&self) -> bool {
        !self.left.is_empty()
            || self.held.is_some()
            || self.stream.has_whole()
            || self.ring.as_ref().is_some_and(RingReader::has_input)
    }

    /// Whether something was taken from the socket since this was asked last.
    pub(super) fn took_from_socket(&mut self) -> bool {
        std::mem::take(&mut self.took_from_socket)
    }

    /// Takes what is in the pipe, up to what was there when this began.
    pub(super) fn read(
        &mut self,
        socket: Option<BorrowedFd<'_>>,
        intake: &mut impl Intake,
    ) -> Result<Drained, LinkError> {
        match (&self.ring, socket) {
            (Some(ring), _) => {
                let tail = ring.tail()?;
                self.read_ring(tail, socket, intake)
            }
            (None, Some(socket)) => self.read_socket(socket, intake),
            (None, None) => Ok(Drained::Ended),
        }
    }

    fn read_ring(
        &mut self,
        tail: u64,
        socket: Option<BorrowedFd<'_>>,
        intake: &mut impl Intake,
    ) -> Result<Drained, LinkError> {
        loop {
            while let Some((header, body)) = self.next_held_or_left()? {
                if let (Kind::Buried, Some(socket)) = (header.kind, socket) {
                    // The process was introduced before, on the socket: nothing told us to look there first.
                    if self.read_socket(socket, intake)? == Drained::More {
                        self.held = Some((header, body));
                        return Ok(Drained::More);
                    }
                }
                if self.give(From::Ring, header, body, None, intake)?.is_break() {
                    return Ok(Drained::More);
                }
            }
            let more = match &mut self.ring {
                Some(ring) => ring.read(tail)?,
                None => None,
            };
            match more {
                Some(records) => self.left = records,
                None if self.has_input() => return Ok(Drained::More),
                None => return Ok(Drained::All),
            }
        }
    }

    fn next_held_or_left(&mut self) -> Result<Option<(Header, Bytes)>, WireError> {
        match self.held.take() {
            Some(held) => Ok(Some(held)),
            None => self.left.next(),
        }
    }

    /// Takes what is on the socket, but not without end.
    pub(super) fn read_socket(
        &mut self,
        socket: BorrowedFd<'_>,
        intake: &mut impl Intake,
    ) -> Result<Drained, LinkError> {
        let mut budget = SOCKET_BUDGET;
        loop {
            while let Some(Record { header, body, passenger }) = self.stream.next()? {
                if self.give(From::Socket, header, body, passenger, intake)?.is_break() {
                    return Ok(Drained::More);
                }
            }
            if budget == 0 {
                return Ok(Drained::More);
            }
            match self.stream.receive(socket)? {
                Received::Some(count) => {
                    self.took_from_socket = true;
                    budget = budget.saturating_sub(count);
                }
                Received::Nothing => return Ok(Drained::All),
                Received::End => return Ok(Drained::Ended),
            }
        }
    }

    fn give(
        &mut self,
        from: From,
        header: Header,
        body: Bytes,
        passenger: Option<OwnedFd>,
        intake: &mut impl Intake,
    ) -> Result<ControlFlow<()>, LinkError> {
        if !self.is_for_others(from, header.kind)? {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(match self.assembler.push(header, body, |header, begun| intake.limit(header, begun))? {
            Some(Whole { header, body }) => intake.take(Incoming { header, body, passenger }),
            None => ControlFlow::Continue(()),
        })
    }

    /// Whether a record is for whoever reads; `Open` and `Bell` are for this end.
    fn is_for_others(&mut self, from: From, kind: Kind) -> Result<bool, WireError> {
        if self.side == Side::Client {
            return if kind.is_to_hub() || kind == Kind::Welcome { Err(WireError::Direction(kind)) } else { Ok(true) };
        }
        if from == From::Socket && (kind == Kind::Open) == self.opened {
            return Err(WireError::Opening);
        }
        match (kind, from) {
            (Kind::Open | Kind::Bell, From::Socket) => {
                self.opened = true;
                Ok(false)
            }
            // Into a ring it cannot bring its descriptor.
            (Kind::Introduce, From::Socket) => Ok(true),
            (Kind::Introduce, From::Ring) => Err(WireError::Passenger),
            (Kind::Open | Kind::Bell, From::Ring) => Err(WireError::Direction(kind)),
            _ if !kind.is_to_hub() || from == From::Socket && self.ring.is_some() => Err(WireError::Direction(kind)),
            _ => Ok(true),
        }
    }
}
