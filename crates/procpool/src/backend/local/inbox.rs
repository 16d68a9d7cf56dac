//! What has come from a worker: bytes of its socket or its ring, made into messages.

use std::hint::spin_loop;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::etiquette::Etiquette;
use crate::sys::socket::Target;
use crate::sys::{futex, socket};
use crate::wire::frame::{Assembler, FrameError, Kind, Message};
use crate::wire::lot::Values;
use crate::wire::message::{Carrier, MESSAGE_OVERHEAD};
use crate::wire::ring::RingReader;

/// How many reads one call of [`Inbox::receive`] makes, so that one busy worker does not starve the others.
const READS: usize = 16;

/// How many turns of looking there are between two looks at the clock.
const TURNS: u32 = 16;

/// A read of fewer bytes than this has emptied the socket: there was room for more.
const SHORT: usize = 1024;

/// The reading side of a link.
#[derive(Debug)]
pub(super) struct Inbox {
    buffer: BytesMut,
    /// What the worker writes to its socket to wake this side. What it is does not matter.
    bells: BytesMut,
    assembler: Assembler,
    etiquette: Etiquette,
    ring: RingReader,
    /// What carries messages now.
    by: Carrier,
    /// What carries those behind the worker's hello.
    then: Carrier,
    ended: bool,
}

/// What [`Inbox::receive`] hands on.
pub(super) enum Arrival {
    Message(Message),
    /// Values of items of a lot.
    Values(Values),
    /// All that was read at a time has been handed on.
    Pause,
}

/// What a call of [`Inbox::receive`] found at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// There may be more.
    More,
    /// Nothing is left for now.
    Drained,
    /// The worker will never send anything again.
    Ended,
}

/// What a look at the socket of a worker that speaks by its ring has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bell {
    Quiet,
    /// There may be more of it.
    Storm,
    /// The worker will never write again.
    Over,
}

impl Inbox {
    pub(super) fn new(ring: RingReader, then: Carrier, max_message: u64, etiquette: Etiquette) -> Inbox {
        Inbox {
            buffer: BytesMut::new(),
            bells: BytesMut::new(),
            assembler: Assembler::new(max_message.saturating_add(MESSAGE_OVERHEAD), Kind::FROM_WORKER),
            etiquette,
            ring,
            by: Carrier::Socket,
            then,
            ended: false,
        }
    }

    /// Reads what has arrived and hands whole messages to `each`, in order, with a pause after each read. `answers` says
    /// whether an answer to an offer is owed. After an error, of the frames, of the ring or of `each`, nothing more is read: a worker that is to be
    /// killed cannot keep this process busy until it is.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        answers: impl Fn(Kind, u64) -> bool,
        mut each: impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<Received, String> {
        if self.ended {
            return Ok(Received::Ended);
        }
        let mut received = match self.by {
            Carrier::Socket => self.receive_by_socket(socket, &answers, &mut each),
            Carrier::Rings => Ok(Received::More),
        };
        // Also in the call that reads the hello: the bell for what follows may have come with it.
        if self.by == Carrier::Rings && received.is_ok() {
            received = self.receive_by_ring(socket, &answers, &mut each);
        }
        self.ended = !matches!(received, Ok(Received::More | Received::Drained));
        received
    }

    /// Looks for so long at what comes by the ring, unless `is_done` before. Gives back `More` if something may be left.
    pub(super) fn linger(
        &mut self,
        patience: Duration,
        is_done: &dyn Fn() -> bool,
        answers: impl Fn(Kind, u64) -> bool,
        mut each: impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<Received, String> {
        if self.ended || self.by == Carrier::Socket {
            return Ok(Received::Drained);
        }
        let looked = self.look(patience, is_done, &answers, &mut each);
        self.ended = looked.is_err();
        looked
    }

    fn look(
        &mut self,
        patience: Duration,
        is_done: &dyn Fn() -> bool,
        answers: &impl Fn(Kind, u64) -> bool,
        each: &mut impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<Received, String> {
        // Nobody needs to ring.
        self.ring.stay_awake();
        let began = Instant::now();
        'looking: loop {
            for _ in 0..TURNS {
                if self.ring.has_input() {
                    self.read(answers, each)?;
                    if is_done() {
                        break 'looking;
                    }
                }
                spin_loop();
            }
            if is_done() || began.elapsed() >= patience {
                break;
            }
        }
        // The driver sleeps on.
        for _ in 0..READS {
            if self.ring.may_sleep() {
                return Ok(Received::Drained);
            }
            self.ring.stay_awake();
            self.read(answers, each)?;
        }
        Ok(Received::More)
    }

    fn receive_by_socket(
        &mut self,
        socket: BorrowedFd<'_>,
        answers: &impl Fn(Kind, u64) -> bool,
        each: &mut impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<Received, String> {
        for _ in 0..READS {
            let mut target = self.assembler.target(&mut self.buffer).map_err(unheard)?;
            match socket::recv_into(socket, &mut target) {
                Ok(0) => return Ok(Received::Ended),
                Ok(_) => self.digest(answers, each)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Drained),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A reset: it died with unread bytes from us.
                Err(_) => return Ok(Received::Ended),
            }
            if self.by == Carrier::Rings {
                break;
            }
        }
        Ok(Received::More)
    }

    fn receive_by_ring(
        &mut self,
        socket: BorrowedFd<'_>,
        answers: &impl Fn(Kind, u64) -> bool,
        each: &mut impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<Received, String> {
        // First: what was written before the end is in the ring by then.
        let bell = self.listen(socket);
        self.ring.stay_awake();
        for _ in 0..READS {
            if self.read(answers, each)? {
                continue;
            }
            match bell {
                Bell::Over => return Ok(Received::Ended),
                Bell::Storm => return Ok(Received::More),
                Bell::Quiet if self.ring.may_sleep() => return Ok(Received::Drained),
                Bell::Quiet => self.ring.stay_awake(),
            }
        }
        Ok(Received::More)
    }

    /// Reads once from the ring. `false`: there was nothing.
    fn read(
        &mut self,
        answers: &impl Fn(Kind, u64) -> bool,
        each: &mut impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<bool, String> {
        let mut target = self.assembler.target(&mut self.buffer).map_err(unheard)?;
        match self.ring.read_into(&mut target) {
            Ok(_) => {
                if self.ring.room_is_waited_for() {
                    futex::wake_all(self.ring.room_word());
                }
                self.digest(answers, each)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(format!("it broke the protocol: {error}")),
        }
    }

    fn listen(&mut self, socket: BorrowedFd<'_>) -> Bell {
        let heard = socket::recv_into(socket, &mut Target::Buffer(&mut self.bells));
        self.bells.clear();
        match heard {
            Ok(0) => Bell::Over,
            Ok(SHORT..) => Bell::Storm,
            Ok(_) => Bell::Quiet,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Bell::Quiet,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Bell::Storm,
            Err(_) => Bell::Over,
        }
    }

    /// Takes the whole messages out of the buffer.
    fn digest(
        &mut self,
        answers: &impl Fn(Kind, u64) -> bool,
        each: &mut impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let values = if self.assembler.is_between_messages() { Values::take(&mut self.buffer) } else { None };
            if let Some(values) = values {
                let owed = self.etiquette.admit(Kind::Item, values.offer, || answers(Kind::Item, values.offer));
                if let Err(fault) = owed {
                    each(Arrival::Pause)?;
                    return Err(fault);
                }
                each(Arrival::Values(values))?;
                continue;
            }
            let understood = match self.assembler.push(&mut self.buffer) {
                Ok(Some(message)) => self.hand_on(message, answers, each),
                Ok(None) => return each(Arrival::Pause),
                Err(error) => Err(format!("it broke the protocol: {error}")),
            };
            if let Err(fault) = understood {
                // What came before it counts.
                each(Arrival::Pause)?;
                return Err(fault);
            }
        }
    }

    fn hand_on(
        &mut self,
        message: Message,
        answers: &impl Fn(Kind, u64) -> bool,
        each: &mut impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<(), String> {
        let (kind, id) = (message.kind, message.id);
        self.etiquette.admit(kind, id, || answers(kind, id))?;
        each(Arrival::Message(message))?;
        if kind == Kind::Hello && self.then == Carrier::Rings {
            self.by = Carrier::Rings;
            // What is left are bells.
            self.buffer.clear();
        }
        Ok(())
    }
}

fn unheard(fault: FrameError) -> String {
    format!("it cannot be heard: {fault}")
}
