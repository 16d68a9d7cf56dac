//! How a link comes to be.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use crate::queue::wire::{HEADER_LEN, Header, Kind, ToHub, WireError};
use crate::sys::memory::SharedWords;
use crate::sys::socket;

use super::board::Memory;
use super::client_end::ClientEnd;
use super::end::{LinkError, Written};
use super::hub_end::HubEnd;
use super::layout::Transport;
use super::socket::write_waiting;

/// What rings the hub where client and hub are one process: called after something was written.
pub(crate) type Bell = Box<dyn Fn() + Send + Sync>;

/// The hub's end for a client whose `Open` is on this socket, unread. Sends the client what it waits for.
///
/// Where the memory for rings cannot be had, the socket carries everything.
///
/// # Errors
/// The memory cannot be had, or the client is gone.
pub(crate) fn welcome(socket: OwnedFd, transport: Transport) -> io::Result<HubEnd> {
    let make = |transport: Transport| SharedWords::create(transport.words()).map(|(words, fd)| (transport, words, fd));
    let (transport, words, fd) = make(transport).or_else(|_| make(Transport::Socket))?;
    let record = Header::whole(Kind::Welcome, 0, transport.number()).encode(0);
    // The first that is sent here: it fits.
    let sent = socket::send_with_fd(&socket, &[IoSlice::new(&record)], fd.as_fd())?;
    if sent != record.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(HubEnd::new(Memory::new(words), transport, Some(socket)))
}

/// The client's end, on the socket that the process was started with. Waits for the hub, shortly.
///
/// # Errors
/// The hub refuses (it closes the socket), or sent something that no hub sends.
pub(crate) fn open(socket: OwnedFd) -> Result<ClientEnd, LinkError> {
    if let Some((header, body)) = ToHub::Open.encode()
        && write_waiting(&socket, &header, &[&body]) != Written::Whole
    {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    }
    // No byte more than this record: the others are for the end that is made here.
    let (mut record, mut filled, mut memory) = ([0; HEADER_LEN], 0, None);
    while filled < HEADER_LEN {
        let (count, passenger) = socket::recv_with_fd(&socket, &mut record[filled..])?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += count;
        memory = memory.or(passenger);
    }
    let (header, len) = Header::decode(&record)?;
    let transport = Transport::from_number(header.number);
    match (header.kind, len, transport, memory) {
        (Kind::Welcome, 0, Some(transport), Some(memory)) => {
            let words = SharedWords::map_received(memory.as_fd(), transport.words())?;
            Ok(ClientEnd::away(Memory::new(words), transport, socket))
        }
        _ => Err(WireError::Opening.into()),
    }
}

/// Both ends of a link within the root process, without a socket. `bell` is called by every
/// [`ring_bell`](ClientEnd::ring_bell).
///
/// # Errors
/// The memory cannot be had.
pub(crate) fn private(bell: Bell) -> io::Result<(ClientEnd, HubEnd)> {
    let memory = Memory::new(SharedWords::private(Transport::Ring.words())?);
    Ok((ClientEnd::here(memory.clone(), bell), HubEnd::new(memory, Transport::Ring, None)))
}
