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
    let mut passengers: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            passengers.extend(descriptors);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a descriptor was lost on its way: no free descriptor number in this process"));
    }
    if passengers.len() > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors than one came with a record"));
    }
    Ok((message.bytes, passengers.pop()))
}

/// Sends everything, with a copy of `passenger`, waiting as long as it takes.
pub(crate) fn send_all_with_fd(socket: impl AsFd, bytes: &[u8], passenger: BorrowedFd<'_>) -> io::Result<()> {
    let sent = loop {
        match socket::send_with_fd(&socket, &[IoSlice::new(bytes)], passenger) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match rustix::event::poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
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
