//! How a link comes to be.

use std::io;
use std::os::fd::OwnedFd;

use super::client_end::ClientEnd;
use super::end::LinkError;
use super::hub_end::HubEnd;
use super::layout::Transport;

/// What rings the hub where client and hub are one process: called after something was written.
pub(crate) type Bell = Box<dyn Fn() + Send + Sync>;

/// The hub's end for a client whose `Open` is on this socket, unread. Sends the client what it waits for.
///
/// # Errors
/// The memory cannot be had, or the client is gone.
pub(crate) fn welcome(_socket: OwnedFd, _transport: Transport) -> io::Result<HubEnd> {
    todo!()
}

/// The client's end, on the socket that the process was started with. Waits for the hub, shortly.
///
/// # Errors
/// The hub refuses (it closes the socket), or sent something that no hub sends.
pub(crate) fn open(_socket: OwnedFd) -> Result<ClientEnd, LinkError> {
    todo!()
}

/// Both ends of a link within the root process, without a socket. `bell` is called by every
/// [`ring_bell`](ClientEnd::ring_bell).
///
/// # Errors
/// The memory cannot be had.
pub(crate) fn private(_bell: Bell) -> io::Result<(ClientEnd, HubEnd)> {
    todo!()
}
