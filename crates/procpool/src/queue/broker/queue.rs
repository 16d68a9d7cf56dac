//! One queue: what it holds, and for whom. Who may send is decided in `producers`, who is given what in `consumers`.

use std::collections::VecDeque;

use crate::queue::key::{QueueId, QueueState, Role, Shape};

use super::api::{Action, Boards, Breach, Message, Seat};
use super::questions::Asked;
use super::references::{Count, Doubt, Keys, Reference};
use super::seats::{Leaving, Measure, Place};
use super::stock::{Stock, Stored};

/// A queue, and everybody who holds a handle of it.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: QueueId,
    pub(super) shape: Shape,
    pub(super) keys: Keys,
    /// Where participants sit. A place that was left is used again.
    pub(super) places: Vec<Option<Place>>,
    free: Vec<u32>,
    pub(super) senders: Count,
    pub(super) receivers: Count,
    is_closed: bool,
    /// What the participants have been shown.
    shown: QueueState,
    pub(super) stock: Stock,
    /// Messages that count against the capacity: in stock, delivered and not claimed, claimed and not acknowledged.
    pub(super) held: u32,
    pub(super) held_bytes: u64,
    /// Credits of all producers.
    pub(super) promised: u32,
    pub(super) promised_bytes: u64,
    /// How long messages are of late.
    pub(super) usual_bytes: u64,
    arrived: u64,
    /// Producers that wait for room, and consumers that wait for a message.
    pub(super) senders_line: VecDeque<u32>,
    pub(super) receivers_line: VecDeque<u32>,
    /// Where the next round of giving out begins.
    pub(super) turn: u32,
    pub(super) questions: Vec<Asked>,
    /// Whether everything that was sent is done with.
    pub(super) quiet: Doubt,
    pub(super) is_dirty: bool,
    pub(super) is_doubted: bool,
}

/// What a queue works with, and what it leaves behind.
pub(super) struct Work<'a> {
    pub(super) boards: &'a mut dyn Boards,
    pub(super) actions: &'a mut Vec<Action>,
    /// References that live no longer.
    pub(super) released: &'a mut Vec<Reference>,
}

impl Queue {
    pub(super) fn new(id: QueueId, shape: Shape, keys: Keys) -> Queue {
        Queue {
            id,
            shape,
            keys,
            places: Vec::new(),
            free: Vec::new(),
            senders: Count::default(),
            receivers: Count::default(),
            is_closed: false,
            shown: QueueState::default(),
            stock: Stock::default(),
            held: 0,
            held_bytes: 0,
            promised: 0,
            promised_bytes: 0,
            usual_bytes: 0,
            arrived: 0,
            senders_line: VecDeque::new(),
            receivers_line: VecDeque::new(),
            turn: 0,
            questions: Vec::new(),
            quiet: Doubt::None,
            is_dirty: false,
            is_doubted: false,
        }
    }

    pub(super) fn place(&mut self, index: u32) -> Option<&mut Place> {
        self.places.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn measure(&self) -> Measure {
        match self.shape.bytes {
            Some(_) => Measure::Bytes,
            None => Measure::Messages,
        }
    }

    /// How long a message may be at most.
    pub(super) fn longest(&self) -> u64 {
        self.shape.max_message.min(self.shape.bytes.unwrap_or(u64::MAX))
    }

    /// How many more credits can be promised.
    pub(super) fn room(&self) -> u32 {
        self.shape.capacity.saturating_sub(self.held).saturating_sub(self.promised)
    }

    pub(super) fn room_bytes(&self) -> u64 {
        let Some(all) = self.shape.bytes else { return u64::MAX };
        all.saturating_sub(self.held_bytes).saturating_sub(self.promised_bytes)
    }

    /// Nothing more is sent, except by those who hold a credit.
    pub(super) fn is_ending(&self) -> bool {
        self.is_closed || self.senders.is_over() || self.receivers.is_over()
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn count(&mut self, role: Role) -> &mut Count {
        match role {
            Role::Sender => &mut self.senders,
            Role::Receiver => &mut self.receivers,
        }
    }

    /// A participant takes its place.
    pub(super) fn sit(&mut self, at: Seat) -> u32 {
        let place = Place::new(at);
        if let Some(index) = self.free.pop() {
            self.places[index as usize] = Some(place);
            return index;
        }
        self.places.push(Some(place));
        self.places.len() as u32 - 1
    }

    /// A participant has a handle of this role from now on. Not twice.
    pub(super) fn attach(&mut self, index: u32, role: Role) -> Result<(), Breach> {
        let Some(place) = self.place(index) else { return Ok(()) };
        let (bit, is_forged) = match role {
            Role::Sender => (&mut place.is_sender, place.is_forged_sender),
            Role::Receiver => (&mut place.is_receiver, place.is_forged_receiver),
        };
        if is_forged || std::mem::replace(bit, true) {
            return Err(Breach(format!("it attached itself twice as a {role:?}")));
        }
        place.is_touched = true;
        self.count(role).add();
        Ok(())
    }

    /// A participant was given a handle of this role that is worth nothing.
    pub(super) fn attach_forged(&mut self, index: u32, role: Role) -> Result<(), Breach> {
        let Some(place) = self.place(index) else { return Ok(()) };
        let (is_real, bit) = match role {
            Role::Sender => (place.is_sender, &mut place.is_forged_sender),
            Role::Receiver => (place.is_receiver, &mut place.is_forged_receiver),
        };
        if is_real || std::mem::replace(bit, true) {
            return Err(Breach(format!("it attached itself twice as a {role:?}")));
        }
        Ok(())
    }

    /// A participant has no handle of this role any more. Gives back whether it has left its place.
    pub(super) fn detach(&mut self, index: u32, role: Role, work: &mut Work<'_>) -> Result<bool, Breach> {
        let Some(place) = self.place(index) else { return Ok(true) };
        let (bit, forged) = match role {
            Role::Sender => (&mut place.is_sender, &mut place.is_forged_sender),
            Role::Receiver => (&mut place.is_receiver, &mut place.is_forged_receiver),
        };
        let (is_real, is_forged) = (std::mem::take(bit), std::mem::take(forged));
        let is_left = !place.is_sender && !place.is_receiver && place.forged_roles() == 0;
        if !is_real && !is_forged {
            return Err(Breach(format!("it detached itself as a {role:?}, which it is not")));
        }
        let leaving = if is_left { Leaving::Place } else { Leaving::Role };
        if is_left || (is_real && role == Role::Sender) {
            self.forget_producer(index, leaving, work);
        }
        if is_left || (is_real && role == Role::Receiver) {
            self.forget_consumer(index, leaving, work);
        }
        if is_real {
            self.count(role).remove();
        }
        if is_left {
            self.answer_for_the_gone(index, work.actions);
            self.places[index as usize] = None;
            self.free.push(index);
        }
        Ok(is_left)
    }

    /// A whole message has come from a producer that had a credit for it.
    pub(super) fn arrive(
        &mut self,
        index: u32,
        message: Message,
        references: Vec<Reference>,
        released: &mut Vec<Reference>,
    ) {
        let bytes = message.body.len() as u64;
        self.use_credit(index, bytes);
        self.usual_bytes = (self.usual_bytes * 7 + bytes) / 8;
        if self.receivers.is_over() {
            released.extend(references);
            return;
        }
        self.quiet = Doubt::None;
        self.held += 1;
        self.held_bytes += bytes;
        self.arrived += 1;
        self.stock.put(Stored { order: self.arrived, message, references, redelivered: 0 });
    }

    /// A message does not count any more.
    pub(super) fn uncount(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(1);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }

    /// A message that was given to somebody is to be given to somebody else.
    pub(super) fn put_back(&mut self, stored: Stored, released: &mut Vec<Reference>) {
        if self.receivers.is_over() {
            self.uncount(stored.bytes());
            released.extend(stored.references);
        } else {
            self.stock.put(stored);
        }
    }

    /// Nobody will ever receive what is left.
    pub(super) fn drop_stock(&mut self, released: &mut Vec<Reference>) {
        while let Some(stored) = self.stock.take() {
            self.uncount(stored.bytes());
            released.extend(stored.references);
        }
    }

    pub(super) fn state(&self) -> QueueState {
        let is_empty = self.held == 0 && self.promised == 0;
        QueueState {
            closed: self.is_closed,
            senders_gone: self.senders.is_over(),
            receivers_gone: self.receivers.is_over(),
            drained: (self.is_closed || self.senders.is_over()) && is_empty,
        }
    }

    /// No handle is left anywhere, for certain.
    pub(super) fn is_over(&self) -> bool {
        let is_empty = self.senders.is_empty() && self.receivers.is_empty();
        is_empty && self.senders.is_over() && self.receivers.is_over()
    }

    /// Decides everything that can be decided now.
    pub(super) fn settle(&mut self, work: &mut Work<'_>) {
        self.look_at_consumers(work);
        self.look_at_producers(work);
        for place in self.places.iter_mut().flatten() {
            place.is_touched = false;
        }
        self.serve_receivers(work);
        self.prefetch(work);
        if self.is_ending() {
            self.take_back_all(work);
        } else {
            self.serve_senders(work);
            self.grant_ahead(work);
        }
        self.answer(work);
        self.show(work.boards);
        self.arm(work);
    }

    /// Shows the queue's state to all who have not seen it.
    fn show(&mut self, boards: &mut dyn Boards) {
        let state = self.state();
        let is_new = state != self.shown;
        self.shown = state;
        for place in self.places.iter_mut().flatten() {
            let is_first = !std::mem::replace(&mut place.is_shown, true) && state != QueueState::default();
            if (is_new || is_first) && !place.is_cut {
                boards.show(place.at, state);
            }
        }
    }

    /// What a participant wrote on its board cannot be.
    pub(super) fn cut(&mut self, index: u32, why: &str, work: &mut Work<'_>) {
        let id = self.id;
        let Some(place) = self.place(index) else { return };
        if !std::mem::replace(&mut place.is_cut, true) {
            let participant = place.at.participant;
            let why = format!("{why}, at slot {} of queue {:016x}", place.at.slot, id.0);
            work.actions.push(Action::CutOff { participant, why });
        }
    }
}
