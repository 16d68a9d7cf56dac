//! The way of a process's own workers to the queues.

use std::os::fd::OwnedFd;

use super::client::{self, Introduced};
use super::hub::{LinkId, hub};
use crate::entry;

/// A worker of this process that uses queues.
#[derive(Debug)]
pub(crate) struct Guest(Way);

#[derive(Debug)]
enum Way {
    /// The queues are here.
    Here(LinkId),
    /// This process is a worker itself: the queues are where its own link leads.
    Further(Introduced),
}

impl Guest {
    /// Introduces a worker by its socket, from which nothing has been read. `None` where the way to the queues is
    /// broken: the worker then finds its socket closed.
    ///
    /// Call it without a lock.
    pub(crate) fn introduce(socket: OwnedFd) -> Option<Guest> {
        if entry::depth() == 0 {
            return Some(Guest(Way::Here(hub().introduce(socket))));
        }
        let client = client::client().ok()?;
        Some(Guest(Way::Further(client.introduce(socket))))
    }

    /// The worker has ended, and every answer that it gave has been handled.
    pub(crate) fn buried(self) {
        match self.0 {
            Way::Here(link) => hub().buried(link),
            Way::Further(introduced) => {
                if let Ok(client) = client::client() {
                    client.buried(introduced);
                }
            }
        }
    }
}
