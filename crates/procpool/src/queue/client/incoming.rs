//! What has been delivered to this process, and those who wait for it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::queue::link::{Claim, Written};
use crate::queue::wire::ToHub;

use super::core::Client;
use super::line::{Line, Ticket, Waiting, Wakes};
use super::receiving::{Received, Taking};
use super::slot::Slot;

/// A message that has come and has not been claimed.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) number: u32,
    pub(super) redelivered: u32,
    pub(super) handles: bool,
    pub(super) body: Bytes,
}

/// The receivers of this process that wait at a slot. The first as many of them as there are messages have been called.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) line: Line<()>,
    inbound: VecDeque<Inbound>,
    /// Whether claims are to be acknowledged from now on.
    acked: bool,
    /// What the hub last asked to be told of, and was.
    told: u32,
}

/// What came of an attempt to receive.
#[derive(Debug)]
pub(super) enum Taken {
    /// `tell`: something was written, or is to be: `Look`.
    Message {
        received: Received,
        tell: Tell,
        left: Option<Waiting<()>>,
    },
    /// There is none for this receiver.
    Nothing,
    /// There is one, but the link has no room for the acknowledgement that must come first.
    NoRoom,
    Gone,
}

/// What the hub is to be told after a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    Nothing,
    /// What was written already.
    Bell,
    Look,
}

impl Incoming {
    pub(super) fn new() -> Incoming {
        Incoming { line: Line::new(), inbound: VecDeque::new(), acked: false, told: 0 }
    }

    /// A message has come.
    pub(super) fn push(&mut self, inbound: Inbound, wakes: &mut Wakes) {
        self.inbound.push_back(inbound);
        self.call(wakes);
    }

    /// Calls as many as there are messages.
    pub(super) fn call(&mut self, wakes: &mut Wakes) {
        let ready = self.inbound.len().min(self.line.len());
        if self.line.called() > ready {
            self.line.uncall();
        }
        while self.line.called() < ready {
            self.line.call(wakes);
        }
    }

    /// Whether somebody else of this process would have to be passed over.
    pub(super) fn has_line(&self) -> bool {
        self.line.len() > 0
    }

    /// Claims the first message for a receiver that waits (`ticket`) or has just come.
    pub(super) fn take(
        &mut self,
        client: &Client,
        slot: &Slot,
        ticket: Option<Ticket>,
        taking: Taking,
        wakes: &mut Wakes,
    ) -> Taken {
        let (board, number) = (client.board(), slot.number());
        let place = ticket.and_then(|ticket| self.line.place(ticket)).unwrap_or(self.line.len());
        let mut tell = Tell::Nothing;
        while place < self.inbound.len() {
            let Some(first) = self.inbound.front() else { break };
            // One that was taken back is neither to be acknowledged nor to begin anything.
            if self.acked || taking == Taking::ToAcknowledge {
                if board.next_claim(number) == first.number && self.acked && taking == Taking::Done {
                    let Some((header, body)) = (ToHub::Ack { slot: number, delivery: first.number }).encode() else {
                        return Taken::Gone;
                    };
                    match client.outbox().data(client.link(), &header, &[&body]) {
                        Written::Whole => tell = Tell::Bell,
                        Written::Full => return Taken::NoRoom,
                        Written::Gone => return Taken::Gone,
                    }
                } else if !self.acked {
                    board.set_ack_from(number, board.next_claim(number));
                    self.acked = true;
                }
            }
            match board.claim(number, first.number) {
                Claim::Taken => {
                    let Some(first) = self.inbound.pop_front() else { break };
                    let left = ticket.and_then(|ticket| self.line.leave(ticket)).map(|(_, left)| left);
                    if left.is_some() {
                        self.publish(client, slot);
                    }
                    if board.look_is_due(number, &mut self.told) {
                        tell = Tell::Look;
                    }
                    return Taken::Message { received: first.into(), tell, left };
                }
                Claim::Stale => drop(self.inbound.pop_front()),
                // It was taken back, and so was everything after it that has come by now.
                Claim::NotYet => self.inbound.clear(),
            }
            self.call(wakes);
        }
        Taken::Nothing
    }

    /// Says on the board how many wait.
    pub(super) fn publish(&self, client: &Client, slot: &Slot) {
        let count = u32::try_from(self.line.len()).unwrap_or(u32::MAX);
        client.board().set_receivers_waiting(slot.number(), count);
    }
}

impl From<Inbound> for Received {
    fn from(inbound: Inbound) -> Received {
        Received {
            body: inbound.body,
            delivery: inbound.number,
            redelivered: inbound.redelivered,
            handles: inbound.handles,
        }
    }
}
