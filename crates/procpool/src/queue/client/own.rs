//! The client of this process, and how it comes to be.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock};

use crate::entry;
use crate::queue::hub::hub;
use crate::queue::link;
use crate::sync::lock;
use crate::sys::fork;

use super::core::Client;
use super::errors::Broken;
use super::events::Rousing;

static SOCKET: Mutex<Option<OwnedFd>> = Mutex::new(None);

static CLIENT: OnceLock<Result<Arc<Client>, Broken>> = OnceLock::new();

/// In a worker, once, before anything else here: its end of the socket that its keeper made for it.
pub(crate) fn set_socket(socket: OwnedFd) {
    *lock(&SOCKET) = Some(socket);
}

/// This process's client, made at first use; a worker then waits until the hub has welcomed it, shortly.
///
/// # Errors
/// There is no way to the queues. The same is said to every call after that.
pub(crate) fn client() -> Result<&'static Arc<Client>, Broken> {
    if fork::is_copy() {
        return Err(Broken::forked());
    }
    CLIENT.get_or_init(open).as_ref().map_err(Broken::clone)
}

/// Waits until everything that this process told the hub has left it, if it uses queues at all.
pub(crate) fn settle_if_open() {
    if let Some(Ok(client)) = CLIENT.get() {
        client.settle();
    }
}

fn open() -> Result<Arc<Client>, Broken> {
    if entry::depth() == 0 {
        let on_event = || {
            // Before the client is there, nobody waits.
            if let Some(Ok(client)) = CLIENT.get() {
                client.on_event();
            }
        };
        let link = hub()
            .root_link(Box::new(on_event))
            .map_err(|error| Broken::new(format_args!("memory for queues cannot be had: {error}")))?;
        return Ok(Client::new(link, Rousing::ByHub));
    }
    let socket = lock(&SOCKET).take().ok_or_else(|| Broken::new("this worker was given no way to the queues"))?;
    let link = link::open(socket)
        .map_err(|error| Broken::new(format_args!("the broker of the queues does not answer: {error}")))?;
    Ok(Client::new(Arc::new(link), Rousing::Own))
}
