//! The worker's end of the socket: whole messages, blocking.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::BytesMut;

use crate::sys::{poll, socket};
use crate::wire::frame::{Assembler, Fragments, Kind, Message};
use crate::wire::message::Setup;

/// How much of the set-up is read at a time.
const SETUP_PIECE: usize = 16 * 1024;

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

    /// Waits for the first message, and the page that travels with it. An end of the parent meanwhile is an error, also
    /// when something else still holds its end of the socket: nobody watches yet.
    pub(super) fn receive_setup(&mut self, parent: BorrowedFd<'_>) -> io::Result<(Setup, OwnedFd)> {
        let mut page = None;
        loop {
            if let Some(message) = self.assembler.push(&mut self.buffer)? {
                let page = page.ok_or_else(|| invalid("the set-up came without the shared page"))?;
                if message.kind != Kind::Setup {
                    return Err(invalid("the first message is not the set-up"));
                }
                return Ok((Setup::decode(&message.body).map_err(invalid)?, page));
            }
            // What the parent sent before its end is not worth starting for.
            let state = poll::wait_for_parent(parent, self.socket.as_fd(), true)?;
            if state.gone || state.hung_up {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut piece = [0; SETUP_PIECE];
            let (count, fd) = socket::recv_with_fd(&*self.socket, &mut piece)?;
            match fd {
                _ if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(_) if page.is_some() => return Err(invalid("a second descriptor came with the set-up")),
                Some(fd) => page = Some(fd),
                None => {}
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
            if socket::recv_blocking(&*self.socket, &mut self.buffer)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Writes a whole message. When this returns, nothing of it is left in this process.
    pub(super) fn send(&self, kind: Kind, id: u64, body: &[u8]) -> io::Result<()> {
        Fragments::new(kind, id, body.len()).try_for_each(|(prefix, range)| {
            socket::send_all(&*self.socket, &mut [IoSlice::new(&prefix), IoSlice::new(&body[range])])
        })
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
