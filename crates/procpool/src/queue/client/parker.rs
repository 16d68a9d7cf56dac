//! A thread that blocks, as a waker.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::Wake;
use std::thread::Thread;
use std::time::Instant;

use crate::queue::link::ClientEnd;

/// It was woken.
const WOKEN: u8 = 1;
/// It is to be the leader from now on.
const CHOSEN: u8 = 2;
/// It waits on the link's event word, or is about to.
const LEADING: u8 = 4;

/// One wait of one thread.
#[derive(Debug)]
pub(super) struct Parker {
    thread: Thread,
    link: Weak<ClientEnd>,
    state: AtomicU8,
}

impl Parker {
    /// For the thread that calls.
    pub(super) fn new(link: &Arc<ClientEnd>) -> Arc<Parker> {
        Arc::new(Parker { thread: std::thread::current(), link: Arc::downgrade(link), state: AtomicU8::new(0) })
    }

    /// From now on, [`is_woken`](Parker::is_woken) tells of what comes after this.
    pub(super) fn reset(&self) {
        self.state.fetch_and(!WOKEN, Ordering::AcqRel);
    }

    pub(super) fn is_woken(&self) -> bool {
        self.has(WOKEN)
    }

    pub(super) fn is_chosen(&self) -> bool {
        self.has(CHOSEN)
    }

    fn has(&self, bit: u8) -> bool {
        self.state.load(Ordering::Acquire) & bit != 0
    }

    /// Makes its thread the leader.
    pub(super) fn choose(&self) {
        self.state.fetch_or(CHOSEN, Ordering::AcqRel);
        self.thread.unpark();
    }

    /// The thread leads, until [`resign`](Parker::resign). After this, whoever wakes it rouses the link.
    pub(super) fn lead(&self) {
        self.state.fetch_or(LEADING, Ordering::AcqRel);
    }

    /// The thread does not lead any more, and is not chosen.
    pub(super) fn resign(&self) {
        self.state.fetch_and(!(LEADING | CHOSEN), Ordering::AcqRel);
    }

    /// Sleeps until the next [`choose`](Parker::choose) or wake, or for no reason. `false`: the deadline has passed.
    pub(super) fn sleep(&self, deadline: Option<Instant>) -> bool {
        match deadline {
            None => std::thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return false;
                }
                std::thread::park_timeout(left);
            }
        }
        true
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = self.state.fetch_or(WOKEN, Ordering::AcqRel);
        if before & WOKEN != 0 {
            return;
        }
        if before & LEADING == 0 {
            self.thread.unpark();
        } else if let Some(link) = self.link.upgrade() {
            link.rouse();
        }
    }
}
