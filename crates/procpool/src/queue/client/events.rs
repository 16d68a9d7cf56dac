//! Who waits for what the hub changes.
//!
//! The leader announces its wait, *then* looks at everything that anybody here waits for, and then waits: whatever changes
//! after that look ends the wait. Whoever begins to wait joins its line first, and then looks once more itself: either it
//! finds what has changed, or it changes later, and the leader finds it in the line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::queue::link::Waited;
use crate::sync::lock;

use super::core::Client;
use super::errors::Broken;
use super::parker::Parker;

/// Who calls [`Client::on_event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rousing {
    /// The hub, which is in this process.
    ByHub,
    /// One of this process's own threads.
    Own,
}

/// The blocked threads of a process, and its thread for futures.
#[derive(Debug)]
pub(super) struct Events {
    rousing: Rousing,
    lead: Mutex<Lead>,
}

#[derive(Debug, Default)]
struct Lead {
    /// Whether somebody leads, or has been chosen to.
    led: bool,
    /// Blocked threads that do not lead, the one that waits longest first.
    followers: VecDeque<Arc<Parker>>,
    thread: OwnThread,
}

/// The thread `procpool-queue`.
#[derive(Debug, Default)]
enum OwnThread {
    #[default]
    None,
    /// It is there, and has not said yet that it can lead. If nobody leads then, it does.
    Starting,
    /// It follows somebody, and leads next.
    Following(Arc<Parker>),
    /// It leads, for good.
    Leading,
}

impl Lead {
    /// The leader goes: somebody else is to do it, if there is anybody.
    fn pass_on(&mut self) {
        if let OwnThread::Following(parker) = &self.thread {
            parker.choose();
            self.thread = OwnThread::Leading;
        } else if let Some(follower) = self.followers.pop_front() {
            follower.choose();
        } else {
            self.led = false;
        }
    }
}

impl Events {
    pub(super) fn new(rousing: Rousing) -> Events {
        Events { rousing, lead: Mutex::default() }
    }

    /// A future waits (or the backlog does): somebody must look at events although no thread is blocked.
    pub(super) fn need_thread(&self, client: &Client) -> Result<(), Broken> {
        if self.rousing == Rousing::ByHub {
            return Ok(());
        }
        let mut lead = lock(&self.lead);
        if !matches!(lead.thread, OwnThread::None) {
            return Ok(());
        }
        let weak = client.weak();
        std::thread::Builder::new()
            .name("procpool-queue".to_owned())
            .spawn(move || look_after(&weak))
            .map_err(|error| Broken::new(format_args!("the thread for queues cannot be started: {error}")))?;
        lead.thread = OwnThread::Starting;
        Ok(())
    }

    /// The client goes, and so does its thread.
    pub(super) fn close(&self) {
        if let OwnThread::Following(parker) = &lock(&self.lead).thread {
            parker.choose();
        }
    }

    /// Until the parker is woken, or the deadline has passed: then `false`.
    fn wait(&self, client: &Client, parker: &Arc<Parker>, deadline: Option<Instant>) -> bool {
        match self.rousing {
            Rousing::ByHub => {
                while !parker.is_woken() {
                    if !parker.sleep(deadline) {
                        return parker.is_woken();
                    }
                }
                true
            }
            Rousing::Own => {
                if !self.follow(parker, deadline) {
                    return parker.is_woken();
                }
                let in_time = lead(client, parker, deadline);
                parker.resign();
                lock(&self.lead).pass_on();
                in_time
            }
        }
    }

    /// Waits as long as another thread leads. `true`: this one is to lead now.
    fn follow(&self, parker: &Arc<Parker>, deadline: Option<Instant>) -> bool {
        {
            let mut lead = lock(&self.lead);
            if !lead.led {
                lead.led = true;
                return true;
            }
            lead.followers.push_back(Arc::clone(parker));
        }
        while !parker.is_chosen() && !parker.is_woken() && parker.sleep(deadline) {}
        let mut lead = lock(&self.lead);
        // Nobody is chosen without this lock.
        if !parker.is_chosen() {
            lead.followers.retain(|follower| !Arc::ptr_eq(follower, parker));
            return false;
        }
        if parker.is_woken() {
            parker.resign();
            lead.pass_on();
            return false;
        }
        true
    }
}

/// How long a thread looks for what it waits for before it sleeps.
const PATIENCE: Duration = Duration::from_micros(20);

/// Waits for events and deals with them, until the parker is woken. `false`: the deadline has passed first.
fn lead(client: &Client, parker: &Arc<Parker>, deadline: Option<Instant>) -> bool {
    parker.lead();
    // To be woken takes longer than this, and costs the hub a system call.
    let patience_ends = Instant::now() + PATIENCE;
    while Instant::now() < patience_ends {
        client.on_event();
        if parker.is_woken() {
            return true;
        }
        std::thread::yield_now();
    }
    loop {
        let noted = client.link().set_waits();
        client.on_event();
        if parker.is_woken() {
            return true;
        }
        if client.link().wait(noted, deadline) == Waited::TimedOut {
            return parker.is_woken();
        }
    }
}

/// What the thread `procpool-queue` does: it leads as soon as nobody else does, and then for good.
fn look_after(client: &Weak<Client>) {
    let Some(parker) = begin(client) else { return };
    if let Some(parker) = parker {
        while !parker.is_chosen() {
            parker.sleep(None);
        }
    }
    loop {
        let Some(alive) = client.upgrade() else { return };
        let noted = alive.link().set_waits();
        alive.on_event();
        if alive.broken().is_some() {
            return;
        }
        // The client must be free to go meanwhile; its end rouses the link.
        let link = Arc::clone(alive.link());
        drop(alive);
        if client.strong_count() > 0 {
            let _ = link.wait(noted, None);
        }
    }
}

/// Leads at once (`Some(None)`), or follows with this parker. `None`: the client has gone.
fn begin(client: &Weak<Client>) -> Option<Option<Arc<Parker>>> {
    let client = client.upgrade()?;
    let mut lead = lock(&client.events().lead);
    if lead.led {
        let parker = Parker::new(client.link());
        lead.thread = OwnThread::Following(Arc::clone(&parker));
        Some(Some(parker))
    } else {
        lead.led = true;
        lead.thread = OwnThread::Leading;
        Some(None)
    }
}

/// Polls until there is a result, and blocks in between. `None`: the deadline came first.
pub(super) fn block<T>(
    client: &Client,
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let parker = Parker::new(client.link());
    let waker = Waker::from(Arc::clone(&parker));
    let mut context = Context::from_waker(&waker);
    let mut in_time = true;
    loop {
        parker.reset();
        match poll(&mut context) {
            Poll::Ready(value) => return Some(value),
            Poll::Pending if !in_time => return None,
            Poll::Pending => in_time = client.events().wait(client, &parker, deadline),
        }
    }
}
