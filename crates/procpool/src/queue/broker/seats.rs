//! What the broker knows of one participant at one queue.

use std::collections::VecDeque;

use super::api::{ProducerView, Seat};
use super::references::Reference;
use super::stock::Stored;

/// A participant's place at a queue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: Seat,
    pub(super) is_sender: bool,
    pub(super) is_receiver: bool,
    /// It shows a wrong key for these roles. It may be innocent: somebody else made the handle up, and it has decoded it.
    pub(super) is_forged_sender: bool,
    pub(super) is_forged_receiver: bool,
    /// Its board is to be looked at.
    pub(super) is_touched: bool,
    /// The participant has seen the queue's state.
    pub(super) is_shown: bool,
    /// The participant is being cut off: nothing more is given to it.
    pub(super) is_cut: bool,
    pub(super) producer: Producer,
    pub(super) consumer: Consumer,
}

/// The books about somebody who sends.
#[derive(Debug, Default)]
pub(super) struct Producer {
    /// Credits that have been granted, and neither been used nor taken back.
    pub(super) promised: u32,
    pub(super) promised_bytes: u64,
    pub(super) is_in_line: bool,
    /// It has sent or waited since it was granted anything beyond its needs: it is worth a batch.
    pub(super) is_busy: bool,
}

/// The books about somebody who receives. Deliveries are numbered. `next <= limit <= issued`: those before `next` have
/// been claimed (or were taken back), those before `limit` may be claimed, those from `limit` to `issued` were taken back.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    pub(super) next: u64,
    pub(super) limit: u64,
    pub(super) issued: u64,
    /// Deliveries from `next` to `limit`.
    pub(super) unclaimed: VecDeque<Unclaimed>,
    pub(super) unclaimed_bytes: u64,
    /// What was claimed from this one on is to be acknowledged.
    pub(super) acked_from: Option<u64>,
    /// In the order of their numbers.
    pub(super) unacked: VecDeque<InHand>,
    /// Deliveries that are done with, except that their handles have not been attached.
    pub(super) unopened: Vec<(u64, Vec<Reference>)>,
    /// Receivers that wait, when it was looked at last.
    pub(super) waiting: u32,
    pub(super) is_in_line: bool,
    /// How many messages it may have without having asked for them. None before it has claimed anything, nor when what it
    /// had was taken back: who holds a handle and does not use it would only upset the order for the others.
    pub(super) window: u32,
    /// Claims since the window changed.
    pub(super) claimed: u32,
    /// The participant has been asked to tell when every delivery before this one has been claimed.
    pub(super) armed: u64,
}

#[derive(Debug)]
pub(super) struct Unclaimed {
    pub(super) number: u64,
    pub(super) stored: Stored,
    /// The acknowledgement came before the claim.
    pub(super) is_acked: bool,
}

#[derive(Debug)]
pub(super) struct InHand {
    pub(super) number: u64,
    pub(super) stored: Stored,
    pub(super) is_opened: bool,
}

impl Place {
    pub(super) fn new(at: Seat) -> Place {
        Place {
            at,
            is_sender: false,
            is_receiver: false,
            is_forged_sender: false,
            is_forged_receiver: false,
            is_touched: true,
            is_shown: false,
            is_cut: false,
            producer: Producer::default(),
            consumer: Consumer::default(),
        }
    }

    pub(super) fn forged_roles(&self) -> u32 {
        u32::from(self.is_forged_sender) + u32::from(self.is_forged_receiver)
    }
}

impl Consumer {
    /// How many of its waiting receivers have nothing to claim.
    pub(super) fn need(&self) -> usize {
        (self.waiting as usize).saturating_sub(self.unclaimed.len())
    }

    /// How many deliveries its waiting receivers do not need.
    pub(super) fn surplus(&self) -> usize {
        self.unclaimed.len().saturating_sub(self.waiting as usize)
    }

    /// After a part was taken back, numbers may only go on once all that is left has been claimed.
    pub(super) fn is_blocked(&self) -> bool {
        self.limit != self.issued && self.next != self.limit
    }
}

/// What a producer lacks, so that its first waiting sender can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) messages: u32,
    pub(super) bytes: u64,
}

/// What a participant gives up.
///
/// Who keeps the other role keeps the slot, and may have taken up this role again before we hear that it was given up: then
/// the credits that it has in use and the deliveries that it has in hand belong to its new life. Those of the old one are
/// all done with, or it could not have been given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    Role,
    Place,
}

/// Whether a queue has a limit on bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Messages,
    Bytes,
}

impl Lack {
    /// Where bytes are limited, only what the first waiting sender needs is known: the next one tells when its turn comes.
    pub(super) fn of(view: &ProducerView, measure: Measure) -> Option<Lack> {
        if view.waiting == 0 {
            return None;
        }
        let (messages, bytes) = match measure {
            Measure::Messages => (u32::from(view.credits < view.waiting), 0),
            Measure::Bytes => (u32::from(view.credits == 0), view.needs.saturating_sub(view.bytes)),
        };
        (messages > 0 || bytes > 0).then_some(Lack { messages, bytes })
    }
}

/// What of its unused credits a producer keeps when somebody else waits for room.
pub(super) fn kept(view: &ProducerView, measure: Measure) -> (u32, u64) {
    match (measure, Lack::of(view, measure)) {
        (Measure::Messages, _) => (view.waiting, 0),
        // What is too little for it may be enough for whoever is before it in the line.
        (Measure::Bytes, Some(_)) => (0, 0),
        (Measure::Bytes, None) if view.waiting > 0 => (view.waiting, view.needs),
        (Measure::Bytes, None) => (0, 0),
    }
}
