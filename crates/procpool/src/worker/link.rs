//! The worker's end of the socket: whole messages, blocking.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::BytesMut;

use crate::sys::socket::Target;
use crate::sys::{poll, socket, stdio};
use crate::wire::frame::{Assembler, Fragments, Kind, Message, Wanted};
use crate::wire::message::Setup;

/// How much of the set-up is read at a time.
const SETUP_PIECE: usize = 16 * 1024;

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
}

impl Link {
    pub(super) fn new(socket: Arc<OwnedFd>) -> Link {
        // The parent is trusted with lengths: it is who set the limits.
        Link { socket, buffer: BytesMut::new(), assembler: Assembler::new(u64::MAX, Kind::FROM_PARENT) }
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
            let mut target = match self.assembler.wanted(self.buffer.len())? {
                Wanted::Anything => Target::Buffer(&mut self.buffer),
                Wanted::Exactly(count) => Target::Some(&mut self.buffer, count),
                Wanted::Here(value, most) => Target::Value(value, most),
            };
            if socket::recv_blocking(&*self.socket, &mut target)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Writes a whole message. When this returns, nothing of it is left in this process.
    pub(super) fn send(&self, kind: Kind, id: u64, body: &[u8]) -> io::Result<()> {
        self.send_with(kind, id, body, &[])
    }

    /// The same for a message of which a part is apart.
    pub(super) fn send_with(&self, kind: Kind, id: u64, body: &[u8], apart: &[u8]) -> io::Result<()> {
        let split = body.len();
        Fragments::new(kind, id, split + apart.len(), apart.len()).try_for_each(|(prefix, range)| {
            let (start, end) = (range.start, range.end);
            let body = &body[start.min(split)..end.min(split)];
            let apart = &apart[start.max(split) - split..end.max(split) - split];
            socket::send_all(&*self.socket, &mut [IoSlice::new(&prefix), IoSlice::new(body), IoSlice::new(apart)])
        })
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
