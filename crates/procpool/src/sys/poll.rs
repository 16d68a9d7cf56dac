//! Waiting for several descriptors at once: epoll for the keeper, and an eventfd to wake it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

/// Names a descriptor within one [`Poller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u64);

/// Tells which of many descriptors can be read (a pidfd can be "read" once its process has ended). Level-triggered: what
/// is left unread is told again.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// How many events one wait brings at most; the others are brought by the next.
const EVENTS: usize = 64;

impl Poller {
    /// A poller that watches nothing yet.
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches `fd`, whose owner must [`remove`](Poller::remove) it before closing it: a copy that lives on elsewhere
    /// (in a forked child) would keep it watched.
    pub(crate) fn add(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token.0), epoll::EventFlags::IN)?)
    }

    /// Stops watching `fd`.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits until something is ready or the time is up, and replaces `ready` by what is ready (also when it is broken
    /// or at its end). It may come back early with nothing; `None` waits without a limit.
    pub(crate) fn wait(&self, ready: &mut Vec<Token>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let timeout = timeout.map(timespec);
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => {
                ready.extend(events.iter().map(|event| Token(event.data.u64())));
                Ok(())
            }
            // The caller has timers of its own to look at; coming back early is no harm.
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A wait of this long, cut at a day: kernels refuse waits that do not fit their counters, and coming back early is
/// allowed.
fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(Duration::from_secs(86_400));
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(86_400), tv_nsec: duration.subsec_nanos().into() }
}

/// Wakes a [`Poller`] that watches it, from any thread.
#[derive(Debug)]
pub(crate) struct Waker {
    event: OwnedFd,
}

impl Waker {
    /// A waker that has not been used.
    pub(crate) fn new() -> io::Result<Waker> {
        Ok(Waker { event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    /// Makes it readable, until [`drain`](Waker::drain). Wakes before a drain add up to one.
    pub(crate) fn wake(&self) {
        // The only error that can occur is WouldBlock at a count of 2^64 - 2, when it is readable anyway.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.event, &1u64.to_ne_bytes()));
    }

    /// Waits until it is readable. It may come back early.
    pub(crate) fn wait(&self) -> io::Result<()> {
        match rustix::event::poll(&mut [PollFd::new(&self.event, PollFlags::IN)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets the wakes so far. Call it before looking at what the wakes were about, or one may be lost.
    pub(crate) fn drain(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.event, &mut count));
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// What ended a wait for the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParentState {
    /// The parent's process has ended.
    pub(crate) gone: bool,
    /// The socket has been closed at the other end, or is no descriptor of ours any more.
    pub(crate) hung_up: bool,
    /// Bytes are there to be read (looked for only when asked).
    pub(crate) readable: bool,
}

/// Waits, for ever if need be, until the process behind `parent` ends, the other end of `socket` is closed, or (if
/// `for_input`) bytes arrive.
pub(crate) fn wait_for_parent(
    parent: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    for_input: bool,
) -> io::Result<ParentState> {
    let interest = if for_input { PollFlags::RDHUP | PollFlags::IN } else { PollFlags::RDHUP };
    loop {
        let mut fds = [PollFd::from_borrowed_fd(parent, PollFlags::IN), PollFd::from_borrowed_fd(socket, interest)];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let socket = fds[1].revents();
        let state = ParentState {
            // NVAL, too: a parent's pidfd that a task has closed can no longer tell, so the worst is assumed.
            gone: !fds[0].revents().is_empty(),
            hung_up: socket.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
            readable: socket.contains(PollFlags::IN),
        };
        if state.gone || state.hung_up || state.readable {
            return Ok(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_wakes_until_it_is_drained() {
        let (poller, waker) = (Poller::new().unwrap(), Waker::new().unwrap());
        poller.add(&waker, Token(9)).unwrap();
        let mut ready = vec![Token(1)];
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready, []);
        waker.wake();
        waker.wake();
        for _ in 0..2 {
            poller.wait(&mut ready, None).unwrap();
            assert_eq!(ready, [Token(9)]);
        }
        waker.drain();
        poller.wait(&mut ready, Some(Duration::from_millis(1))).unwrap();
        assert_eq!(ready, []);
        waker.wake();
        poller.remove(&waker).unwrap();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready, []);
    }

    #[test]
    fn any_length_of_wait_is_accepted() {
        let (poller, waker) = (Poller::new().unwrap(), Waker::new().unwrap());
        poller.add(&waker, Token(9)).unwrap();
        waker.wake();
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(Duration::MAX)).unwrap();
        assert_eq!(ready, [Token(9)]);
    }

    #[test]
    fn a_closed_end_is_seen_although_the_process_lives() {
        let (ours, theirs) = crate::sys::socket::pair().unwrap();
        let me = crate::sys::process::open_pid(std::process::id()).unwrap();
        drop(theirs);
        let state = wait_for_parent(me.as_fd(), ours.as_fd(), false).unwrap();
        assert!(state.hung_up && !state.gone);
    }
}
