//! The worker's end of the connection: whole messages, blocking.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::patience::Patience;
use crate::sys::socket::Target;
use crate::sys::{courier, futex, poll, socket, stdio};
use crate::wire::frame::{Assembler, Fragments, HEADER_LEN, Kind, Message, whole};
use crate::wire::message::{Carrier, Setup};
use crate::wire::page::WorkerPage;
use crate::wire::ring::{RingReader, RingWriter};

/// How much of the set-up is read at a time.
const SETUP_PIECE: usize = 16 * 1024;

/// How much of what follows it, where that comes by the socket.
const PIECE: usize = 64 * 1024;

/// How long the socket is taken for sound once it has been looked at, while there is the next task to go on with.
pub(super) const PROBE: Duration = Duration::from_micros(16);

/// A body of no more bytes is that of a short frame.
const SHORT: usize = 64;

/// How many bytes a parent that sleeps may not know of: to be woken for each of many short answers would cost it more than
/// to read them.
const MOST_UNTOLD: usize = 8 * 1024;

/// What a parent sends first.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) setup: Setup,
    /// The shared page.
    pub(super) page: OwnedFd,
    /// The way to the queues, for when one is used.
    pub(super) queues: OwnedFd,
}

/// The connection to the parent. The watcher has the socket, too.
#[derive(Debug)]
pub(super) struct Link {
    socket: Arc<OwnedFd>,
    buffer: BytesMut,
    assembler: Assembler,
    /// What carries everything once the parent has been greeted, unless it is the socket.
    rings: Option<Rings>,
    /// When the socket was looked at last.
    probed: Instant,
    /// Descriptors that have come, in the order of the messages that they belong to.
    passengers: VecDeque<io::Result<OwnedFd>>,
    /// Where the socket is read to when it is what carries everything: with room for a descriptor beside.
    piece: Vec<u8>,
}

#[derive(Debug)]
struct Rings {
    down: RingReader,
    up: RingWriter,
    patience: Patience,
    /// How many bytes the parent has not been told of, should it sleep.
    untold: usize,
}

/// When a parent that sleeps is to hear of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    Now,
    /// With what comes after it, which is soon: see [`Link::tell`]. A parent that is awake sees it at once.
    Soon,
}

impl Link {
    pub(super) fn new(socket: Arc<OwnedFd>) -> Link {
        // The parent is trusted with lengths: it is who set the limits.
        let assembler = Assembler::new(u64::MAX, Kind::FROM_PARENT);
        let (passengers, piece) = (VecDeque::new(), Vec::new());
        Link { socket, buffer: BytesMut::new(), assembler, rings: None, probed: Instant::now(), passengers, piece }
    }

    /// From here on everything goes as was agreed on.
    pub(super) fn go_on_by(&mut self, setup: &Setup, page: &WorkerPage) {
        self.rings = match setup.carrier {
            Carrier::Socket => None,
            Carrier::Rings => {
                let (down, up) = page.rings();
                let patience = Patience::new(Duration::from_micros(setup.spin_us.into()));
                Some(Rings { down, up, patience, untold: 0 })
            }
        };
    }

    /// Waits for the first message, and the two descriptors that travel with it. An end of the parent meanwhile is an
    /// error, also when something else still holds its end of the socket: nobody watches yet.
    pub(super) fn receive_setup(&mut self, parent: BorrowedFd<'_>) -> io::Result<Opening> {
        let mut passengers: Option<[OwnedFd; 2]> = None;
        loop {
            if let Some(message) = self.assembler.push(&mut self.buffer)? {
                let [page, queues] = passengers
                    .ok_or_else(|| invalid("the set-up came without the shared page and the socket of the queues"))?;
                if message.kind != Kind::Setup {
                    return Err(invalid("the first message is not the set-up"));
                }
                if !socket::is_unix_stream(&queues) {
                    return Err(invalid("the second descriptor that came with the set-up is not a socket"));
                }
                // As with descriptor 0: to where no task finds it by accident.
                let queues = stdio::out_of_the_way(queues.as_fd())?;
                return Ok(Opening { setup: Setup::decode(&message.body).map_err(invalid)?, page, queues });
            }
            // What the parent sent before its end is not worth starting for.
            let state = poll::wait_for_parent(parent, self.socket.as_fd(), true)?;
            if state.gone || state.hung_up {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut piece = [0; SETUP_PIECE];
            let (count, fds) = socket::recv_with_fds(&*self.socket, &mut piece)?;
            match <[OwnedFd; 2]>::try_from(fds) {
                _ if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(both) if passengers.is_none() => passengers = Some(both),
                Err(none) if none.is_empty() => {}
                _ => return Err(invalid("other descriptors than two came with the set-up")),
            }
            self.buffer.extend_from_slice(&piece[..count]);
        }
    }

    /// Waits for a message.
    pub(super) fn receive(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.assembler.push(&mut self.buffer)? {
                return Ok(message);
            }
            let mut target = self.assembler.target(&mut self.buffer)?;
            match &mut self.rings {
                Some(rings) => rings.receive(&self.socket, &mut target)?,
                None => {
                    self.piece.resize(PIECE, 0);
                    let most = target.most().min(PIECE);
                    let (count, passenger) = courier::receive_some(&*self.socket, &mut self.piece[..most])?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    target.append(&self.piece[..count]);
                    self.passengers.extend(passenger);
                }
            }
        }
    }

    /// The descriptor that belongs to a message which has come; or why it was lost on its way. By the rings' socket it was
    /// sent before the message; it is waited for all the same.
    pub(super) fn receive_passenger(&mut self) -> io::Result<io::Result<OwnedFd>> {
        loop {
            if let Some(passenger) = self.passengers.pop_front() {
                return Ok(passenger);
            }
            if self.rings.is_none() {
                return Err(invalid("memory came without its descriptor"));
            }
            let (count, passenger) = courier::receive_some(&*self.socket, &mut [0])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.passengers.extend(passenger);
        }
    }

    /// Writes a whole message. When this returns, nothing of it is left in this process.
    ///
    /// # Errors
    /// The parent, or the socket, is gone; the latter also where the rings would do without it: who goes on without a
    /// way to be told of the parent's end, and for the parent to be told of his, would be killed in the midst of the
    /// next task. That is noticed with the answer, or when [`PROBE`] is over.
    pub(super) fn send(&mut self, kind: Kind, id: u64, body: &[u8]) -> io::Result<()> {
        self.send_with(kind, id, body, &[])
    }

    /// The same for a message of which a part is apart.
    pub(super) fn send_with(&mut self, kind: Kind, id: u64, body: &[u8], apart: &[u8]) -> io::Result<()> {
        // A system call each time would cost as much as a short task.
        let is_busy = !self.buffer.is_empty() || self.rings.as_ref().is_some_and(|rings| rings.down.has_input());
        if !is_busy || self.probed.elapsed() >= PROBE {
            self.probe()?;
        }
        self.send_on(kind, id, body, apart, Tell::Now)
    }

    /// An error if rings go on without the socket.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        self.probed = Instant::now();
        if self.rings.is_some() { socket::probe(&*self.socket) } else { Ok(()) }
    }

    /// As [`send_with`](Self::send_with), where the socket is looked at by whoever calls.
    pub(super) fn send_on(&mut self, kind: Kind, id: u64, body: &[u8], apart: &[u8], tell: Tell) -> io::Result<()> {
        if let Some(rings) = &mut self.rings
            && body.len() <= SHORT
            && apart.is_empty()
            && rings.send_short(&self.socket, &whole(kind, id, body.len()), body, tell)?
        {
            return Ok(());
        }
        let split = body.len();
        Fragments::new(kind, id, split + apart.len(), apart.len()).try_for_each(|(prefix, range)| {
            let (start, end) = (range.start, range.end);
            let body = &body[start.min(split)..end.min(split)];
            let apart = &apart[start.max(split) - split..end.max(split) - split];
            let slices = &mut [IoSlice::new(&prefix), IoSlice::new(body), IoSlice::new(apart)];
            match &mut self.rings {
                Some(rings) => rings.send(&self.socket, slices, tell),
                None => socket::send_all(&*self.socket, slices),
            }
        })
    }

    /// Tells a parent that sleeps of what it has not been told of.
    pub(super) fn tell(&mut self) -> io::Result<()> {
        self.rings.as_mut().map_or(Ok(()), |rings| rings.tell(&self.socket))
    }
}

impl Rings {
    /// Waits for bytes. There is no end of the stream here: the watcher sees the parent go, and ends this process.
    fn receive(&mut self, socket: &OwnedFd, target: &mut Target<'_>) -> io::Result<()> {
        loop {
            match self.down.read_into(target) {
                Ok(_) if self.down.room_is_waited_for() => return ring_bell(socket),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let down = &self.down;
            self.patience.wait(
                || down.has_input(),
                || {
                    while down.may_sleep() {
                        let _ = futex::wait(down.sleeper(), 1, None);
                    }
                },
            );
        }
    }

    /// Writes all of it.
    fn send(&mut self, socket: &OwnedFd, mut slices: &mut [IoSlice<'_>], tell: Tell) -> io::Result<()> {
        while slices.iter().any(|slice| !slice.is_empty()) {
            match self.up.write(slices) {
                Ok(written) => {
                    IoSlice::advance_slices(&mut slices, written);
                    self.untold += written;
                    if tell == Tell::Now || self.untold >= MOST_UNTOLD {
                        self.tell(socket)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Nobody makes room who does not know.
                    self.tell(socket)?;
                    while self.up.want_room()? {
                        let _ = futex::wait(self.up.room_word(), 1, None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes a short frame, if there is room for it.
    fn send_short(&mut self, socket: &OwnedFd, header: &[u8; HEADER_LEN], body: &[u8], tell: Tell) -> io::Result<bool> {
        let is_written = self.up.write_short(header, body)?;
        if is_written {
            self.untold += header.len() + body.len();
            if tell == Tell::Now || self.untold >= MOST_UNTOLD {
                self.tell(socket)?;
            }
        }
        Ok(is_written)
    }

    /// Wakes the parent if it sleeps.
    fn tell(&mut self, socket: &OwnedFd) -> io::Result<()> {
        self.untold = 0;
        if self.up.is_waited_for() { ring_bell(socket) } else { Ok(()) }
    }
}

/// The parent sleeps on the socket. What is written there does not matter.
fn ring_bell(socket: &OwnedFd) -> io::Result<()> {
    socket::send_all(socket, &mut [IoSlice::new(&[0])])
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
