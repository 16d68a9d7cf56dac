//! One participant's link, as the hub keeps it, and all of them as the broker sees them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use super::after::After;
use super::outbox::Outbox;
use crate::queue::broker::Boards;
use crate::queue::broker::api::{Action, ConsumerView, Event, ParticipantId, ProducerView, QueueState, Seat};
use crate::queue::link::{Armed, HubEnd, Incoming, Transport, Written};

/// One participant.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) end: HubEnd,
    /// What has been read and not been told to the broker.
    pub(super) inbox: VecDeque<Incoming>,
    /// What was taken from the inbox, and seems to have come too early; and in which round that was.
    pub(super) held: Option<(Event, u32)>,
    pub(super) outbox: Outbox,
    /// What its questions are about: which slot. (How many there may be is the broker's business.)
    pub(super) questions: HashMap<u32, u32>,
    /// Up to where deliveries have ever been allowed, by slot.
    allowed: Vec<u64>,
    /// Something is there for it to see.
    pub(super) rouse: bool,
    /// Its socket was readable.
    pub(super) is_readable: bool,
    pub(super) end_of: Option<End>,
}

/// Why nothing more is wanted from a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has ended, or closed its socket: what it wrote whole counts.
    Gone,
    /// It did what no participant does: what it wrote is not looked at any more.
    Fault(String),
}

impl Link {
    pub(super) fn new(end: HubEnd) -> Link {
        Link {
            end,
            inbox: VecDeque::new(),
            held: None,
            outbox: Outbox::default(),
            questions: HashMap::new(),
            allowed: Vec::new(),
            rouse: false,
            is_readable: false,
            end_of: None,
        }
    }

    /// Notes what the participant did wrong; the first thing counts.
    pub(super) fn blame(&mut self, fault: impl Into<String>) {
        if !matches!(self.end_of, Some(End::Fault(_))) {
            self.inbox.clear();
            self.held = None;
            self.end_of = Some(End::Fault(fault.into()));
        }
    }

    /// Writes what fits. The participant rings when there is room for what is left.
    pub(super) fn write(&mut self) {
        let (end, outbox) = (&mut self.end, &mut self.outbox);
        if outbox.is_empty() {
            return;
        }
        self.rouse = true;
        for attempt in 0..2 {
            match outbox.write(&mut |header, parts| end.write(header, parts)) {
                Written::Whole => return,
                Written::Gone if end.transport() == Transport::Ring => return self.blame("it broke the ring"),
                Written::Gone => {
                    self.end_of.get_or_insert(End::Gone);
                    return;
                }
                // It may have made room before it could see that room is wanted.
                Written::Full if attempt == 0 => end.want_room(),
                Written::Full => {}
            }
        }
    }
}

/// Every link there is.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) all: BTreeMap<ParticipantId, Link>,
    /// What was taken back since actions were carried out last.
    revoked: Vec<(Seat, Range<u64>)>,
    /// Seats that are to be looked at again as if their participants had said so.
    pub(super) looks: Vec<Seat>,
}

impl Links {
    fn get(&mut self, seat: Seat) -> Option<&mut Link> {
        self.all.get_mut(&seat.participant)
    }

    /// Puts what the broker wants done on its way.
    pub(super) fn carry_out(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            match action {
                Action::Deliver { seat, delivery, message, redelivered } => {
                    let is_stale = !self.revoked.is_empty()
                        && self.revoked.iter().any(|(at, range)| *at == seat && range.contains(&delivery));
                    if let Some(link) = self.all.get_mut(&seat.participant).filter(|_| !is_stale) {
                        let has_handles = !message.handles.is_empty();
                        link.outbox.deliver(seat.slot, delivery, redelivered, has_handles, message.body);
                    }
                }
                Action::Answer { participant, request, value } => {
                    if let Some(link) = self.all.get_mut(&participant) {
                        let slot = link.questions.remove(&request).unwrap_or(0);
                        link.outbox.answer(slot, request, value);
                    }
                }
                Action::CutOff { participant, why } => {
                    if let Some(link) = self.all.get_mut(&participant) {
                        link.blame(why);
                    }
                }
                Action::Freed { seat } => {
                    if let Some(link) = self.all.get_mut(&seat.participant) {
                        link.free(seat.slot);
                    }
                }
            }
        }
        self.revoked.clear();
    }

    /// What rouses those for whom there is something to see.
    pub(super) fn take_roused(&mut self, after: &mut After) {
        for (id, link) in &mut self.all {
            if std::mem::take(&mut link.rouse) {
                after.root |= *id == ParticipantId(0);
                after.roused.push(link.end.rouser());
            }
        }
    }
}

impl Link {
    fn free(&mut self, slot: u32) {
        if let Some(allowed) = self.allowed.get_mut(slot as usize) {
            *allowed = 0;
        }
        self.outbox.revoke(slot, &(0..u64::MAX));
        // Before the participant can hear of it and use the slot again.
        self.end.board().clear(slot);
        if !self.outbox.free(slot) {
            self.blame("it does not read what it is told");
        }
    }

    fn allowed(&mut self, slot: u32) -> &mut u64 {
        let index = slot as usize;
        if self.allowed.len() <= index {
            self.allowed.resize(index + 1, 0);
        }
        &mut self.allowed[index]
    }
}

impl Boards for Links {
    fn producer(&mut self, seat: Seat) -> ProducerView {
        self.get(seat).map(|link| link.end.board().producer(seat.slot)).unwrap_or_default()
    }

    fn grant(&mut self, seat: Seat, messages: u32, bytes: u64) {
        if let Some(link) = self.get(seat) {
            link.end.board().grant(seat.slot, messages, bytes);
            link.rouse = true;
        }
    }

    fn take_back(&mut self, seat: Seat, messages: u32, bytes: u64) -> (u32, u64) {
        self.get(seat).map(|link| link.end.board().take_back(seat.slot, messages, bytes)).unwrap_or_default()
    }

    fn consumer(&mut self, seat: Seat) -> ConsumerView {
        let Some(link) = self.get(seat) else { return ConsumerView::default() };
        let view = link.end.board().consumer(seat.slot);
        // Otherwise one could claim without ever reading, and what it claims would pile up here.
        if link.outbox.unsent(seat.slot).is_some_and(|unsent| view.next > unsent) {
            link.blame("it claimed what it had not been sent yet");
        }
        view
    }

    fn allow(&mut self, seat: Seat, from: u64, to: u64) {
        if let Some(link) = self.get(seat) {
            link.end.board().allow(seat.slot, from, to);
            *link.allowed(seat.slot) = to;
            link.rouse = true;
        }
    }

    fn revoke(&mut self, seat: Seat, keep: u32) -> u64 {
        let Some(link) = self.get(seat) else { return 0 };
        let limit = link.end.board().revoke(seat.slot, keep);
        let range = limit..*link.allowed(seat.slot);
        if !range.is_empty() {
            // Not twice the same.
            *link.allowed(seat.slot) = limit;
            link.outbox.revoke(seat.slot, &range);
            self.revoked.push((seat, range));
        }
        limit
    }

    fn arm(&mut self, seat: Seat, at: u64) {
        if let Some(link) = self.get(seat)
            && link.end.board().arm(seat.slot, at) == Armed::Reached
        {
            self.looks.push(seat);
        }
    }

    fn show(&mut self, seat: Seat, state: QueueState) {
        if let Some(link) = self.get(seat) {
            link.end.board().show(seat.slot, state);
            link.rouse = true;
        }
    }
}
