//! What the hub's thread waits on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::panics;
use crate::queue::broker::api::ParticipantId;
use crate::sys::poll::{Poller, Token, Waker};

const WAKER: u64 = u64::MAX;

/// The sockets of all participants, and a way to wake who waits on them.
#[derive(Debug)]
pub(super) struct Watch {
    poller: Poller,
    waker: Waker,
}

impl Watch {
    pub(super) fn new() -> io::Result<Watch> {
        let (poller, waker) = (Poller::new()?, Waker::new()?);
        poller.add(waker.as_fd(), Token(WAKER))?;
        Ok(Watch { poller, waker })
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn add(&self, socket: BorrowedFd<'_>, id: ParticipantId) -> io::Result<()> {
        self.poller.add(socket, Token(id.0.into()))
    }

    /// Before the socket is closed: somebody may have a copy of it.
    pub(super) fn remove(&self, socket: BorrowedFd<'_>) {
        noted(self.poller.remove(socket));
    }

    /// Waits until a socket is ready or somebody wakes, or the time is up, and says whose sockets are ready.
    pub(super) fn wait(&self, tokens: &mut Vec<Token>, timeout: Option<Duration>) -> Vec<ParticipantId> {
        if let Err(error) = self.poller.wait(tokens, timeout) {
            // As for the keeper: going on without waiting would burn a core, stopping would strand everybody.
            panics::by_the_way(|| tracing::error!(target: "procpool::queue", %error, "the queues cannot wait"));
            std::thread::park_timeout(Duration::from_millis(10));
        }
        if tokens.contains(&Token(WAKER)) {
            self.waker.drain();
        }
        tokens.iter().filter_map(|token| u32::try_from(token.0).ok()).map(ParticipantId).collect()
    }
}

/// Only a descriptor that is not watched gets here, and then nothing is to be changed.
fn noted(result: io::Result<()>) {
    if let Err(error) = result {
        panics::by_the_way(|| tracing::debug!(target: "procpool::queue", %error, "socket was not watched"));
    }
}
