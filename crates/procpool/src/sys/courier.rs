//! Records on a socket, of which some have one descriptor with them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, Shutdown};

use super::socket;

/// How much one receive brings at most.
const ROOM: usize = 64 * 1024;

/// Appends what has arrived, and gives the descriptor that may have come with it, which belongs to what the last of these
/// bytes belongs to (the kernel does not read on after it). `(0, _)` is the end of the stream, `WouldBlock` means nothing
/// is there.
///
/// More than one descriptor, or one that was lost on the way (no free descriptor number), is an error.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut BytesMut) -> io::Result<(usize, Option<OwnedFd>)> {
    let start = buffer.len();
    buffer.resize(start + ROOM, 0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let result = loop {
        let mut slices = [IoSliceMut::new(&mut buffer[start..])];
        match rustix::net::recvmsg(&socket, &mut slices, &mut control, flags) {
            Err(Errno::INTR) => {}
            result => break result,
        }
    };
    buffer.truncate(start + result.as_ref().map_or(0, |message| message.bytes));
    let message = result?;
    let passenger = passenger(&mut control)?;
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a descriptor was lost on its way: no free descriptor number in this process"));
    }
    Ok((message.bytes, passenger))
}

/// Fills some of `room`, waiting for at least one byte, and gives the descriptor that may have come with it; which may have
/// been lost, for want of a number in this process. `(0, _)` is the end of the stream.
///
/// As in [`receive`], it belongs to the last of these bytes; more than one is an error.
pub(crate) fn receive_some(socket: impl AsFd, room: &mut [u8]) -> io::Result<(usize, Option<io::Result<OwnedFd>>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut slices = [IoSliceMut::new(&mut *room)];
        match rustix::net::recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            // Somebody made our end non-blocking.
            Err(Errno::AGAIN) => wait_until(&socket, PollFlags::IN)?,
            result => break result?,
        }
    };
    let passenger = passenger(&mut control)?;
    if message.flags.contains(ReturnFlags::CTRUNC) {
        let why = "no descriptor number was left for it in the worker";
        return Ok((message.bytes, Some(Err(io::Error::other(why)))));
    }
    Ok((message.bytes, passenger.map(Ok)))
}

/// The one descriptor that may have come.
fn passenger(control: &mut RecvAncillaryBuffer<'_>) -> io::Result<Option<OwnedFd>> {
    let mut passengers: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            passengers.extend(descriptors);
        }
    }
    if passengers.len() > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors than one came with a record"));
    }
    Ok(passengers.pop())
}

fn wait_until(socket: impl AsFd, flags: PollFlags) -> io::Result<()> {
    match rustix::event::poll(&mut [PollFd::new(&socket, flags)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends everything, with a copy of `passenger`, waiting as long as it takes.
pub(crate) fn send_all_with_fd(socket: impl AsFd, bytes: &[u8], passenger: BorrowedFd<'_>) -> io::Result<()> {
    let sent = loop {
        match socket::send_with_fd(&socket, &[IoSlice::new(bytes)], passenger) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_until(&socket, PollFlags::OUT)?,
            result => break result?,
        }
    };
    socket::send_all(&socket, &mut [IoSlice::new(&bytes[sent..])])
}

/// Ends the connection for both sides. What has arrived can still be read; what is sent from now on fails.
pub(crate) fn shut_down(socket: impl AsFd) {
    // It fails only where there is no connection any more.
    let _ = rustix::net::shutdown(socket, Shutdown::Both);
}
