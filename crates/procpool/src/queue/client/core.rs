//! The client itself: the link, and what comes on it.

use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::queue::link::{ClientBoard, ClientEnd, Drained, Incoming};
use crate::queue::wire::{ToClient, ToHub};
use crate::sync::lock;
use crate::sys::fork;

use super::asking::Asks;
use super::errors::Broken;
use super::events::{self, Events, Rousing};
use super::incoming::Inbound;
use super::line::Wakes;
use super::outbox::{Outbox, Piece};
use super::slot::Slot;
use super::table::Table;

/// One participant: its link, its handles, and those who wait here. A process has one ([`client`](super::client)); a test
/// can have many.
pub(crate) struct Client {
    me: Weak<Client>,
    link: Arc<ClientEnd>,
    events: Events,
    outbox: Outbox,
    pub(super) table: Mutex<Table>,
    pub(super) asks: Asks,
    /// The slots that somebody waits at, or did.
    watched: Mutex<Vec<Arc<Slot>>>,
    /// How many have asked for the link to be read since the one who reads it began. 0: nobody reads.
    drains: AtomicU32,
    /// Numbers for messages of several records, and for processes that are introduced.
    numbers: AtomicU32,
    broken: OnceLock<Broken>,
}

/// A worker of this process that was introduced further up.
#[derive(Debug)]
pub(crate) struct Introduced {
    number: u32,
}

impl Client {
    /// On a link, whose events are dealt with by the hub's calls of [`on_event`](Client::on_event), or by own threads.
    pub(super) fn new(link: Arc<ClientEnd>, rousing: Rousing) -> Arc<Client> {
        fork::watch();
        Arc::new_cyclic(|me| Client {
            me: Weak::clone(me),
            link,
            events: Events::new(rousing),
            outbox: Outbox::default(),
            table: Mutex::default(),
            asks: Asks::default(),
            watched: Mutex::default(),
            drains: AtomicU32::new(0),
            numbers: AtomicU32::new(1),
            broken: OnceLock::new(),
        })
    }

    /// One more participant in this process, which looks after itself, on any link.
    #[cfg(test)]
    pub(crate) fn on_link(link: Arc<ClientEnd>) -> Arc<Client> {
        Client::new(link, Rousing::Own)
    }

    pub(super) fn weak(&self) -> Weak<Client> {
        Weak::clone(&self.me)
    }

    pub(super) fn link(&self) -> &Arc<ClientEnd> {
        &self.link
    }

    pub(super) fn board(&self) -> &ClientBoard {
        self.link.board()
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// A number that no message under way has; not 0.
    pub(super) fn number(&self) -> u32 {
        loop {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            if number != 0 {
                return number;
            }
        }
    }

    /// Whether this is the process that the client was made in: the first thing that every call asks, before any lock.
    pub(super) fn here(&self) -> Result<(), Broken> {
        if fork::is_copy() { Err(Broken::forked()) } else { Ok(()) }
    }

    /// Why nothing works any more, if that is so.
    pub(super) fn broken(&self) -> Option<Broken> {
        if self.broken.get().is_none() && self.board().is_gone() {
            self.break_off("the broker of the queues has ended, or has cut this process off");
        }
        self.broken.get().cloned()
    }

    /// [`here`](Client::here), and nothing is [`broken`](Client::broken).
    pub(super) fn usable(&self) -> Result<(), Broken> {
        self.here()?;
        self.broken().map_or(Ok(()), Err)
    }

    fn break_off(&self, why: impl fmt::Display) {
        // Only the first reason matters.
        let _ = self.broken.set(Broken::new(why));
    }

    /// Writes a control message: now, or as soon as there is room. Afterwards, with no lock held, [`ring`](Client::ring).
    pub(super) fn tell(&self, message: &ToHub) {
        if let Some((header, body)) = message.encode() {
            self.outbox.control(&self.link, Piece::Small(header, body));
        }
    }

    /// Makes the hub look at what was written. Not with a lock held: in the root the hub then works on this thread.
    pub(super) fn ring(&self) {
        self.link.ring_bell();
        if self.outbox.is_behind() {
            self.catch_up();
        }
    }

    /// Writes what waits in the backlog, and sees to it that somebody goes on with what is left.
    fn catch_up(&self) {
        let done = self.outbox.flush(&self.link);
        self.link.ring_bell();
        if !done && let Err(broken) = self.events.need_thread(self) {
            // Whatever is called next tries again.
            tracing::warn!(target: "procpool::queue", %broken, "the queues of this process may stand still");
        }
    }

    /// Somebody waits at this slot: every event is a reason to look at it. After joining a line there, and before a last
    /// look.
    pub(super) fn watch(&self, slot: &Arc<Slot>) {
        let mut watched = lock(&self.watched);
        if !watched.iter().any(|held| Arc::ptr_eq(held, slot)) {
            watched.push(Arc::clone(slot));
        }
    }

    /// Something has changed, perhaps: whoever it concerns is woken. From any thread, at any time, with no lock held.
    pub(crate) fn on_event(&self) {
        if self.here().is_err() {
            return;
        }
        self.drain();
        if self.outbox.is_behind() {
            self.catch_up();
        }
        let broken = self.broken().is_some();
        let mut wakes = Wakes::default();
        lock(&self.watched).retain(|slot| {
            if broken {
                slot.wake_all(&mut wakes);
            }
            slot.look(self.board(), &mut wakes)
        });
        self.outbox.wake_for_room(&mut wakes);
        if broken {
            self.asks.wake_all(&mut wakes);
        }
        wakes.wake();
    }

    /// Takes in what the hub wrote. If another thread is at it, that one looks once more before it leaves.
    pub(super) fn drain(&self) {
        let mut seen = 1;
        if self.drains.fetch_add(1, Ordering::AcqRel) != 0 {
            return;
        }
        loop {
            let mut wakes = Wakes::default();
            self.read(&mut wakes);
            // Parts of messages make room, too.
            self.link.made_room();
            match self.drains.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return wakes.wake(),
                Err(now) => {
                    seen = now;
                    wakes.wake();
                }
            }
        }
    }

    /// Reads what there is.
    fn read(&self, wakes: &mut Wakes) {
        let mut last: Option<Arc<Slot>> = None;
        loop {
            let mut wrong = None;
            let drained =
                self.link.read(&mut |incoming: Incoming| match ToClient::decode(&incoming.header, incoming.body) {
                    Ok(message) => {
                        self.take_in(message, &mut last, wakes);
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        wrong = Some(error);
                        ControlFlow::Break(())
                    }
                });
            if let Some(error) = wrong {
                self.break_off(format_args!("the broker of the queues cannot be understood: {error}"));
                return;
            }
            match drained {
                Ok(Drained::More) => {}
                Ok(Drained::All | Drained::Busy) => return,
                Ok(Drained::Ended) => {
                    self.break_off("the broker of the queues has ended, or has cut this process off");
                    return;
                }
                Err(error) => {
                    self.break_off(format_args!("the way to the queues is broken: {error}"));
                    return;
                }
            }
        }
    }

    fn take_in(&self, message: ToClient, last: &mut Option<Arc<Slot>>, wakes: &mut Wakes) {
        match message {
            ToClient::Deliver { slot, delivery, redelivered, handles, body } => {
                if last.as_ref().is_none_or(|last| last.number() != slot) {
                    *last = lock(&self.table).slot(slot);
                }
                if let Some(slot) = last {
                    slot.deliver(Inbound { number: delivery, redelivered, handles, body }, wakes);
                }
            }
            ToClient::Answer { request, value } => self.asks.answer(request, value, wakes),
            ToClient::Freed { slot } => {
                *last = None;
                let freed = lock(&self.table).freed(slot);
                drop(freed);
                // Whoever waits for a slot waits for all that comes.
                self.outbox.wake_for_room(wakes);
            }
        }
    }

    /// Waits until every control message of this process has left it, shortly. Not in a future.
    pub(crate) fn settle(&self) {
        if self.here().is_err() || !self.outbox.is_behind() {
            return;
        }
        let settled = |context: &mut std::task::Context<'_>| {
            let done = || self.outbox.flush(&self.link) || self.broken().is_some();
            if done() {
                return std::task::Poll::Ready(());
            }
            self.outbox.wait_for_room(&self.link, context.waker());
            self.link.ring_bell();
            if done() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        };
        let _ = events::block(self, None, settled);
        self.link.ring_bell();
    }

    /// Introduces a worker of this process further up, by its keeper's end of the socket, from which nothing has been read.
    pub(crate) fn introduce(&self, socket: OwnedFd) -> Introduced {
        let number = self.number();
        if self.usable().is_ok() {
            // What fails here is seen by the worker: its socket is closed.
            let _ = self.link.introduce(number, socket.as_fd());
        }
        Introduced { number }
    }

    /// A worker that was introduced has ended, and all that it answered has been handled.
    pub(crate) fn buried(&self, introduced: Introduced) {
        if self.here().is_ok() {
            self.tell(&ToHub::Buried { number: introduced.number });
            self.ring();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // For its thread, which finds that there is no client any more.
        self.events.close();
        self.link.rouse();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("broken", &self.broken.get()).finish_non_exhaustive()
    }
}
