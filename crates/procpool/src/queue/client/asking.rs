//! Asking the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::queue::broker::api::Question;
use crate::queue::waiting::{self, Call};
use crate::queue::wire::ToHub;
use crate::sync::lock;

use super::core::Client;
use super::errors::Broken;
use super::events;
use super::line::Wakes;
use super::side::Side;

/// How many questions wait for their answers at a time at most: half of what the broker takes of a process, since some that
/// nobody waits for any more may not have been taken back yet.
const ASKS: usize = 2048;

/// The questions of a client that have not been answered, or whose answer has not been looked at.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<HashMap<u32, Ask>>);

#[derive(Debug)]
enum Ask {
    Waiting(Option<Waker>),
    Answered(u64),
}

impl Asks {
    /// The hub has answered. Nobody may be there any more who wants to know.
    pub(super) fn answer(&self, request: u32, value: u64, wakes: &mut Wakes) {
        if let Some(ask) = lock(&self.0).get_mut(&request)
            && let Ask::Waiting(waker) = std::mem::replace(ask, Ask::Answered(value))
        {
            wakes.0.extend(waker);
        }
    }

    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        for ask in lock(&self.0).values_mut() {
            if let Ask::Waiting(waker) = ask {
                wakes.0.extend(waker.take());
            }
        }
    }

    /// # Errors
    /// So many wait already that the broker would take one more for an attack.
    fn check_room(&self) -> Result<(), Broken> {
        if lock(&self.0).len() < ASKS {
            return Ok(());
        }
        Err(Broken::new(format_args!(
            "{ASKS} calls of `join` and `len` wait for their answers, the most that one process can have at a time: wait \
             for a queue in one place"
        )))
    }

    /// The answer, or whom to wake. Gives the former waker, to be dropped without a lock.
    fn look(&self, request: u32, waker: &Waker) -> Result<u64, Option<Waker>> {
        let mut asks = lock(&self.0);
        match asks.entry(request).or_insert(Ask::Waiting(None)) {
            Ask::Answered(value) => Ok(*value),
            Ask::Waiting(Some(held)) if held.will_wake(waker) => Err(None),
            Ask::Waiting(held) => Err(held.replace(waker.clone())),
        }
    }

    /// Whether it had been answered.
    fn forget(&self, request: u32) -> bool {
        let ask = lock(&self.0).remove(&request);
        !matches!(ask, Some(Ask::Waiting(_)))
    }
}

/// A question on its way. Dropped, nobody waits for the answer any more.
#[derive(Debug)]
pub(crate) struct Asking {
    side: Side,
    question: Question,
    request: Option<u32>,
    waits: Option<waiting::Guard>,
}

impl Asking {
    pub(crate) fn new(side: &Side, question: Question) -> Asking {
        Asking { side: side.clone(), question, request: None, waits: None }
    }

    /// Cancel safe. Not to be called again once it was ready.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<u64, Broken>> {
        let poll = self.advance(context);
        if poll.is_pending() {
            let client = self.side.client();
            client.events().need_thread(client)?;
        }
        poll
    }

    /// Blocks until there is an answer. `None`: the deadline came first.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<u64>, Broken> {
        let client = Arc::clone(self.side.client());
        events::block(&client, deadline, |context| self.advance(context)).transpose()
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Poll<Result<u64, Broken>> {
        let client: &Client = self.side.client();
        client.usable()?;
        let fresh = self.request.is_none();
        if fresh {
            client.asks.check_room()?;
        }
        let request = *self.request.get_or_insert_with(|| client.number());
        if fresh {
            // Before the question goes: the answer must find somebody.
            let _ = client.asks.look(request, context.waker());
            let slot = self.side.slot().number();
            client.tell(&ToHub::Ask { slot, request, question: self.question });
            client.ring();
        }
        client.drain();
        match client.asks.look(request, context.waker()) {
            Ok(value) => {
                client.asks.forget(request);
                self.request = None;
                self.waits = None;
                return Poll::Ready(Ok(value));
            }
            Err(former) => drop(former),
        }
        if self.question == Question::Join && self.waits.is_none() {
            // The others are answered at once.
            self.waits = Some(waiting::begin(Call::Other));
        }
        client.usable()?;
        Poll::Pending
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let client = self.side.client();
        if let Some(request) = self.request
            && client.here().is_ok()
            && !client.asks.forget(request)
        {
            client.tell(&ToHub::Unask { request });
            client.ring();
        }
    }
}
