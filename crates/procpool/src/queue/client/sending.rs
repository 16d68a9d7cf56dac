//! Sending a message.

use std::collections::HashSet;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use crate::queue::broker::api::{Named, Question};
use crate::queue::link::Written;
use crate::queue::wire::{Cuts, Flags, Header, Kind, MAX_FRAGMENT, encode_handles};

use super::asking::Asking;
use super::credit::Credit;
use super::errors::{Broken, Refused};
use super::events;
use super::line::Wakes;
use super::outbox::Piece;
use super::side::Side;

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) body: Bytes,
    /// The handles that it names. While the message exists, so do the references.
    pub(crate) handles: Vec<Side>,
}

impl Encoded {
    pub(super) fn len(&self) -> u64 {
        self.body.len() as u64
    }
}

/// The longest message that a queue takes.
pub(super) fn limit(side: &Side) -> u64 {
    let shape = side.shape();
    shape.max_message.min(shape.bytes.unwrap_or(u64::MAX))
}

/// A send in progress. Once it is ready, the whole message has left this process's memory. Dropped before that, it has not
/// happened, and what it had been granted goes to the next one.
#[derive(Debug)]
pub(crate) struct Sending {
    credit: Credit,
    message: Encoded,
    writing: Writing,
}

#[derive(Debug)]
enum Writing {
    /// It is too long.
    Refused,
    /// It fits one record, and names no handles.
    Small,
    Long(Box<Records>),
    Done,
}

/// A message in several records, or with handles.
#[derive(Debug)]
struct Records {
    cuts: Cuts,
    handles: Vec<u8>,
    /// Whether it counts among those that have begun and not ended.
    counted: bool,
}

impl Sending {
    pub(crate) fn new(side: &Side, message: Encoded) -> Sending {
        Sending::with(Credit::new(side.clone(), message.len()), message)
    }

    pub(super) fn with(credit: Credit, message: Encoded) -> Sending {
        let writing = if message.len() > limit(credit.side()) {
            Writing::Refused
        } else if message.handles.is_empty() && message.body.len() <= MAX_FRAGMENT {
            Writing::Small
        } else {
            Writing::Long(Box::new(Records::new(credit.side(), &message)))
        };
        Sending { credit, message, writing }
    }

    /// Cancel safe, as is a drop at any time. Not to be called again once it was ready.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let poll = self.advance(context);
        if poll.is_pending() {
            let client = self.credit.side().client();
            client.events().need_thread(client)?;
        }
        poll
    }

    /// Sends it if there is room now. `false`: the queue is full. Asks the broker where nothing is known, shortly.
    pub(crate) fn attempt(&mut self) -> Result<bool, Refused> {
        self.check_length()?;
        while !self.credit.take()? {
            if let Some(refused) = self.credit.refused() {
                return Err(refused);
            }
            let mut asking = Asking::new(self.credit.side(), Question::Room { bytes: self.message.len() });
            if asking.wait(None)? != Some(1) {
                return self.credit.refused().map_or(Ok(false), Err);
            }
        }
        // Only for room in the link, which the hub makes.
        self.wait(None)
    }

    /// Blocks until it is sent. `false`: the deadline came first.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Result<bool, Refused> {
        let mut nobody = Context::from_waker(Waker::noop());
        if self.check_length().is_ok()
            && self.credit.take()?
            && let Poll::Ready(result) = self.write(&mut nobody)
        {
            return result.map(|()| true);
        }
        let client = std::sync::Arc::clone(self.credit.side().client());
        events::block(&client, deadline, |context| self.advance(context)).transpose().map(|sent| sent.is_some())
    }

    fn check_length(&self) -> Result<(), Refused> {
        match self.writing {
            Writing::Refused => Err(Refused::TooLarge { len: self.message.len(), limit: limit(self.credit.side()) }),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        self.check_length()?;
        std::task::ready!(self.credit.poll(context))?;
        self.write(context)
    }

    /// Writes what is left to be written.
    fn write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let mut asked = false;
        loop {
            let written = self.write_once();
            let client = self.credit.side().client();
            match written {
                Written::Whole => break,
                Written::Gone => {
                    let broken = client.broken().unwrap_or_else(|| Broken::new("the way to the queues is broken"));
                    return Poll::Ready(Err(broken.into()));
                }
                Written::Full if asked => return Poll::Pending,
                Written::Full => {
                    asked = true;
                    client.outbox().wait_for_room(client.link(), context.waker());
                    client.ring();
                }
            }
        }
        self.done();
        Poll::Ready(Ok(()))
    }

    fn write_once(&mut self) -> Written {
        let side = self.credit.side();
        let (client, slot) = (side.client(), side.slot().number());
        let link = client.link();
        match &mut self.writing {
            Writing::Small => client.outbox().data(link, &Header::whole(Kind::Send, slot, 0), &[&self.message.body]),
            Writing::Long(records) => {
                while let Some(cut) = records.cuts.current() {
                    if !records.counted && !cut.header.flags.has(Flags::WHOLE) {
                        if !client.outbox().begin_partial() {
                            return Written::Full;
                        }
                        records.counted = true;
                    }
                    // The writer is given up after each record: other messages go in between.
                    let parts = cut.parts(&records.handles, &self.message.body);
                    match client.outbox().data(link, &cut.header, &parts) {
                        Written::Whole => records.cuts.advance(),
                        other => return other,
                    }
                }
                Written::Whole
            }
            Writing::Refused | Writing::Done => Written::Whole,
        }
    }

    /// The message has left.
    fn done(&mut self) {
        let records = std::mem::replace(&mut self.writing, Writing::Done);
        self.credit.spend(self.message.len());
        self.credit.side().client().ring();
        self.end_partial(&records);
        // Only now: the message had to be told of before these references may go.
        self.message.handles = Vec::new();
    }

    fn end_partial(&self, writing: &Writing) {
        if matches!(writing, Writing::Long(records) if records.counted) {
            let mut wakes = Wakes::default();
            self.credit.side().client().outbox().end_partial(&mut wakes);
            wakes.wake();
        }
    }
}

impl Records {
    fn new(side: &Side, message: &Encoded) -> Records {
        let mut header = Header::whole(Kind::Send, side.slot().number(), side.client().number());
        let mut handles = Vec::new();
        if !message.handles.is_empty() {
            header.flags = header.flags | Flags::HANDLES;
            handles = encode_handles(&named(&message.handles));
        }
        let cuts = Cuts::new(header, handles.len(), message.body.len());
        Records { cuts, handles, counted: false }
    }
}

/// As the broker knows them, each once: however often a handle is in a message, one reference keeps its queue. So there
/// are never more than this process has, which is what the broker takes.
pub(super) fn named(sides: &[Side]) -> Vec<Named> {
    let mut seen = HashSet::new();
    let named = |side: &Side| {
        let capability = side.capability();
        let is_new = seen.insert((capability.queue, capability.role));
        is_new.then_some(Named { queue: capability.queue, role: capability.role, key: capability.key })
    };
    sides.iter().filter_map(named).collect()
}

impl Drop for Sending {
    fn drop(&mut self) {
        let writing = std::mem::replace(&mut self.writing, Writing::Done);
        if let Writing::Long(records) = &writing
            && let Some(cut) = records.cuts.current()
            && records.cuts.is_partial()
            && self.credit.side().client().here().is_ok()
        {
            // Before the credit goes back (which rings).
            let client = self.credit.side().client();
            client.outbox().control(client.link(), Piece::abort(&cut.header));
        }
        self.end_partial(&writing);
    }
}
