//! Receiving a message.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use crate::queue::broker::api::Question;
use crate::queue::waiting::{self, Call};
use crate::queue::wire::ToHub;
use crate::sync::lock;

use super::asking::Asking;
use super::errors::{Broken, Ended};
use super::events;
use super::incoming::{Taken, Tell};
use super::line::{Joined, Ticket, Wakes};
use super::side::Side;

/// A message that is this process's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) body: Bytes,
    /// Its number, for [`Side::ack`] and [`Side::opened`].
    pub(crate) delivery: u32,
    /// How often it was delivered before, and not acknowledged.
    pub(crate) redelivered: u32,
    /// Whether it names handles: then [`Side::opened`] is to be called.
    pub(crate) handles: bool,
}

/// When a message that is received is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// At once.
    Done,
    /// When [`Side::ack`] says so.
    ToAcknowledge,
}

/// A receive in progress. Dropped before it is ready, nothing has been taken: a message that had come for it goes to the
/// next one.
#[derive(Debug)]
pub(crate) struct Receiving {
    side: Side,
    taking: Taking,
    ticket: Option<Ticket>,
    waits: Option<waiting::Guard>,
}

impl Receiving {
    pub(crate) fn new(side: &Side, taking: Taking) -> Receiving {
        Receiving { side: side.clone(), taking, ticket: None, waits: None }
    }

    /// Cancel safe, as is a drop at any time. May be called again after it was ready: for the next message.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Ended>> {
        let poll = self.advance(context);
        if poll.is_pending() {
            let client = self.side.client();
            client.events().need_thread(client)?;
        }
        poll
    }

    /// Takes a message if there is one now. `None`: there is none. Asks the broker where nothing is here, shortly.
    pub(crate) fn attempt(&mut self) -> Result<Option<Received>, Ended> {
        loop {
            if let Some(received) = self.take_now()? {
                return Ok(Some(received));
            }
            let answer = Asking::new(&self.side, Question::Message).wait(None)?;
            if let Some(received) = self.take_now()? {
                return Ok(Some(received));
            }
            // If there is one after all, somebody else of this process has taken it meanwhile, or it is still on its way:
            // then ask again. Those who wait here come first.
            if answer != Some(1) || lock(&self.side.slot().incoming).has_line() {
                return Ok(None);
            }
        }
    }

    /// Blocks until there is a message. `None`: the deadline came first.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<Received>, Ended> {
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = self.take(&mut nobody) {
            return result.map(Some);
        }
        let client = Arc::clone(self.side.client());
        events::block(&client, deadline, |context| self.advance(context)).transpose()
    }

    /// A message that is here, or the end.
    fn take_now(&mut self) -> Result<Option<Received>, Ended> {
        if let Some(result) = self.take_with_room() {
            return result.map(Some);
        }
        self.side.client().drain();
        match self.take_with_room() {
            Some(result) => result.map(Some),
            None => self.ended().map_or(Ok(None), Err),
        }
    }

    /// A message that is here. Waits where an acknowledgement has no room in the link, which the hub makes.
    fn take_with_room(&mut self) -> Option<Result<Received, Ended>> {
        let mut nobody = Context::from_waker(Waker::noop());
        if let Ok(taken) = self.take_if(&mut nobody) {
            return taken;
        }
        let client = Arc::clone(self.side.client());
        let taken = events::block(&client, None, |context| match self.take_if(context) {
            Ok(taken) => Poll::Ready(taken),
            Err(NoRoom) => Poll::Pending,
        });
        taken.flatten()
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Ended>> {
        if let Poll::Ready(result) = self.take(context) {
            return Poll::Ready(result);
        }
        self.side.client().drain();
        if let Poll::Ready(result) = self.take(context) {
            return Poll::Ready(result);
        }
        if let Some(ended) = self.ended() {
            self.leave();
            return Poll::Ready(Err(ended));
        }
        let joined = self.join(context);
        // What has changed before it joined, or was told to somebody else's waker, nobody will wake it for.
        let (client, slot) = (self.side.client(), self.side.slot());
        match joined {
            Joined::Same => return Poll::Pending,
            Joined::Changed => {}
            Joined::New => {
                client.watch(slot);
                client.tell(&ToHub::Look { slot: slot.number() });
                client.ring();
            }
        }
        client.drain();
        if let Poll::Ready(result) = self.take(context) {
            return Poll::Ready(result);
        }
        if let Some(ended) = self.ended() {
            self.leave();
            return Poll::Ready(Err(ended));
        }
        Poll::Pending
    }

    /// Claims a message that is here.
    #[inline]
    fn take(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Ended>> {
        match self.take_if(context) {
            Ok(Some(result)) => Poll::Ready(result),
            Ok(None) | Err(NoRoom) => Poll::Pending,
        }
    }

    fn take_if(&mut self, context: &mut Context<'_>) -> Result<Option<Result<Received, Ended>>, NoRoom> {
        let (client, slot) = (self.side.client(), self.side.slot());
        if let Err(broken) = client.here() {
            return Ok(Some(Err(broken.into())));
        }
        let mut asked = false;
        loop {
            let mut wakes = Wakes::default();
            let taken = lock(&slot.incoming).take(client, slot, self.ticket, self.taking, &mut wakes);
            wakes.wake();
            match taken {
                Taken::Message { received, tell, left } => {
                    drop(left);
                    if tell == Tell::Look {
                        client.tell(&ToHub::Look { slot: slot.number() });
                    }
                    if tell != Tell::Nothing {
                        client.ring();
                    }
                    self.ticket = None;
                    self.waits = None;
                    return Ok(Some(Ok(received)));
                }
                Taken::Nothing => return Ok(None),
                Taken::Gone => {
                    let broken = client.broken().unwrap_or_else(|| Broken::new("the way to the queues is broken"));
                    return Ok(Some(Err(broken.into())));
                }
                Taken::NoRoom if asked => return Err(NoRoom),
                Taken::NoRoom => {
                    asked = true;
                    client.outbox().wait_for_room(client.link(), context.waker());
                    client.ring();
                }
            }
        }
    }

    /// Why nothing more will come.
    fn ended(&self) -> Option<Ended> {
        let client = self.side.client();
        client.broken().map(Ended::Broken).or_else(|| Ended::of(self.side.slot().state(client.board())))
    }

    /// Takes the last place in the line, or says whom to wake from now on.
    fn join(&mut self, context: &Context<'_>) -> Joined {
        let (client, slot) = (self.side.client(), self.side.slot());
        let mut wakes = Wakes::default();
        let mut incoming = lock(&slot.incoming);
        if let Some(ticket) = self.ticket {
            let update = incoming.line.update(ticket, context.waker());
            drop(incoming);
            return update.into();
        }
        self.ticket = Some(incoming.line.join((), context.waker()));
        incoming.publish(client, slot);
        incoming.call(&mut wakes);
        drop(incoming);
        wakes.wake();
        self.waits = Some(waiting::begin(Call::Receiving));
        Joined::New
    }

    /// Waits no more. Whoever is next is called, and the hub may give to another process what had come for this one.
    fn leave(&mut self) {
        self.waits = None;
        let Some(ticket) = self.ticket.take() else { return };
        let (client, slot) = (self.side.client(), self.side.slot());
        if client.here().is_err() {
            return;
        }
        let mut wakes = Wakes::default();
        let mut incoming = lock(&slot.incoming);
        let left = incoming.line.leave(ticket);
        incoming.publish(client, slot);
        incoming.call(&mut wakes);
        drop(incoming);
        drop(left);
        wakes.wake();
        client.tell(&ToHub::Look { slot: slot.number() });
        client.ring();
    }
}

/// The link has no room now.
struct NoRoom;

impl Drop for Receiving {
    fn drop(&mut self) {
        self.leave();
    }
}
