//! The broker: all queues and all participants, and what is told of them.

use std::collections::HashMap;

use crate::queue::key::{Key, QueueId, QueueState, Role, Shape};

use super::api::{Action, Boards, Breach, Event, Message, Named, ParticipantId, Question, Seat};
use super::limits::{HANDLES, QUESTIONS, SLOTS};
use super::participants::{Participants, Slot};
use super::questions::Asked;
use super::queue::{Queue, Work};
use super::references::{Doubt, Keys, Parcel, Reference};

/// Decides about all queues. See [`api`](super::api) for how it is driven.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(super) participants: Participants,
    /// A place that became free is used again.
    pub(super) queues: Vec<Option<Queue>>,
    pub(super) free: Vec<u32>,
    pub(super) names: HashMap<QueueId, u32>,
    pub(super) parcels: HashMap<Key, Parcel>,
    /// Participants that were buried, and may have left parcels behind.
    pub(super) burials: Vec<(ParticipantId, Doubt)>,
    /// Queues that something has happened to.
    pub(super) dirty: Vec<u32>,
    /// Queues of which something is not certain.
    pub(super) doubted: Vec<u32>,
    /// References that live no longer, and have not been counted yet.
    pub(super) released: Vec<Reference>,
    /// Slots that their participants have left.
    pub(super) left: Vec<Seat>,
    /// What came up while events were told.
    pub(super) actions: Vec<Action>,
}

/// What is shown of a queue that nobody knows: it is gone, or the key is forged.
pub(super) const GONE: QueueState =
    QueueState { closed: false, senders_gone: true, receivers_gone: true, drained: true };

fn breach<T>(what: &str) -> Result<T, Breach> {
    Err(Breach(what.to_owned()))
}

impl Broker {
    pub(crate) fn new() -> Broker {
        Broker::default()
    }

    /// Whether there is such a queue: nobody has made it yet, or it is gone, if not.
    pub(crate) fn knows(&self, queue: QueueId) -> bool {
        self.names.contains_key(&queue)
    }

    /// Whether nothing is kept at all: no queue, no parcel.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let is_kept = self.queues.iter().any(Option::is_some) || !self.released.is_empty();
        !is_kept && self.names.is_empty() && self.parcels.is_empty() && self.burials.is_empty()
    }

    /// Whether there is such a parcel.
    pub(crate) fn knows_parcel(&self, parcel: Key) -> bool {
        self.parcels.contains_key(&parcel)
    }

    /// How long a message may be that is sent from there now, beside so many, of so many bytes in all, that have begun to
    /// arrive. 0: none may be sent.
    pub(crate) fn longest(&self, seat: Seat, begun: u32, begun_bytes: u64) -> u64 {
        let Some(participant) = self.participants.get(seat.participant) else { return 0 };
        let Slot::At { queue, place } = participant.slot(seat.slot) else { return 0 };
        let Some(queue) = self.queues.get(queue as usize).and_then(Option::as_ref) else { return 0 };
        let Some(Some(place)) = queue.places.get(place as usize) else { return 0 };
        match place.producer.promised.saturating_sub(begun) {
            0 => 0,
            _ if queue.shape.bytes.is_some() => {
                queue.longest().min(place.producer.promised_bytes.saturating_sub(begun_bytes))
            }
            _ => queue.longest(),
        }
    }

    /// Tells what a participant did. Nothing is decided before [`settle`](Self::settle).
    ///
    /// # Errors
    ///
    /// It cannot have done this rightly. The event has no effect.
    pub(crate) fn handle(&mut self, from: ParticipantId, event: Event, boards: &mut dyn Boards) -> Result<(), Breach> {
        if self.participants.meet(from).is_none() {
            return Ok(());
        }
        match event {
            Event::Send { slot, message } => self.send(Seat { participant: from, slot }, message),
            Event::Look { slot } => {
                if let (Some(queue), place) = self.at(from, slot)? {
                    self.touch(queue, place);
                }
                Ok(())
            }
            Event::Ack { slot, delivery } => self.in_hand(from, slot, delivery, boards, Queue::acknowledge),
            Event::Nack { slot, delivery } => self.in_hand(from, slot, delivery, boards, Queue::refuse),
            Event::Opened { slot, delivery } => {
                self.in_hand(from, slot, delivery, boards, |queue, place, number, released| {
                    queue.opened(place, number, released);
                    true
                })
            }
            Event::Create { slot, queue, shape, sender_key, receiver_key } => self.create(
                Seat { participant: from, slot },
                queue,
                shape,
                Keys { sender: sender_key, receiver: receiver_key },
            ),
            Event::Attach { slot, queue, role, key } => {
                self.attach(Seat { participant: from, slot }, queue, role, key, boards)
            }
            Event::Detach { slot, role } => self.detach(Seat { participant: from, slot }, role, boards),
            Event::Close { slot } => {
                if let (Some(queue), _) = self.at(from, slot)? {
                    if let Some(closed) = self.queue(queue) {
                        closed.close();
                    }
                    self.soil(queue);
                }
                Ok(())
            }
            Event::Ask { slot, request, question } => self.ask(from, slot, request, question),
            Event::Unask { request } => {
                self.unask(from, request);
                Ok(())
            }
            Event::Park { parcel, handles } => self.park(from, parcel, &handles),
            Event::Adopt { parcel } => {
                self.adopt(from, parcel);
                Ok(())
            }
            Event::Unpark { parcel } => {
                self.unpark(from, parcel);
                Ok(())
            }
        }
    }

    pub(super) fn queue(&mut self, index: u32) -> Option<&mut Queue> {
        self.queues.get_mut(index as usize)?.as_mut()
    }

    /// Where a slot leads. No queue: one that is gone.
    fn at(&self, from: ParticipantId, slot: u32) -> Result<(Option<u32>, u32), Breach> {
        match self.participants.get(from).map(|participant| participant.slot(slot)).unwrap_or_default() {
            Slot::At { queue, place } => Ok((Some(queue), place)),
            Slot::OfTheGone { .. } => Ok((None, 0)),
            Slot::Free | Slot::Left => breach("it named a queue of which it has no handle"),
        }
    }

    /// Something has happened to a queue.
    pub(super) fn soil(&mut self, index: u32) {
        if let Some(queue) = self.queues.get_mut(index as usize).and_then(Option::as_mut)
            && !std::mem::replace(&mut queue.is_dirty, true)
        {
            self.dirty.push(index);
        }
    }

    fn touch(&mut self, queue: u32, place: u32) {
        if let Some(place) = self.queue(queue).and_then(|queue| queue.place(place)) {
            place.is_touched = true;
        }
        self.soil(queue);
    }

    fn free_slot(&self, seat: Seat) -> Result<(), Breach> {
        if seat.slot >= SLOTS {
            return breach("it used more queues than it may");
        }
        match self.participants.get(seat.participant).map(|participant| participant.slot(seat.slot)) {
            None | Some(Slot::Free) => Ok(()),
            Some(_) => breach("it used a slot that is in use"),
        }
    }

    pub(super) fn set(&mut self, seat: Seat, slot: Slot) {
        if let Some(participant) = self.participants.get_mut(seat.participant) {
            participant.set(seat.slot, slot);
        }
    }

    fn create(&mut self, seat: Seat, id: QueueId, shape: Shape, keys: Keys) -> Result<(), Breach> {
        self.free_slot(seat)?;
        if shape.capacity == 0 || shape.bytes == Some(0) {
            return breach("it made a queue that holds nothing");
        }
        if self.names.contains_key(&id) {
            return breach("it made a queue that exists");
        }
        let mut queue = Queue::new(id, shape, keys);
        let place = queue.sit(seat);
        queue.attach(place, Role::Sender)?;
        queue.attach(place, Role::Receiver)?;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.queues.push(None);
                self.queues.len() as u32 - 1
            }
        };
        self.queues[index as usize] = Some(queue);
        self.names.insert(id, index);
        self.set(seat, Slot::At { queue: index, place });
        self.soil(index);
        Ok(())
    }

    fn attach(&mut self, seat: Seat, id: QueueId, role: Role, key: Key, boards: &mut dyn Boards) -> Result<(), Breach> {
        if seat.slot >= SLOTS {
            return breach("it used more queues than it may");
        }
        let slot = self.participants.get(seat.participant).map(|participant| participant.slot(seat.slot));
        let known = self.names.get(&id).copied();
        let is_shown_right = known.and_then(|index| self.queue(index)).is_some_and(|queue| queue.keys.of(role) == key);
        match (slot.unwrap_or_default(), known) {
            (Slot::Free, Some(index)) if is_shown_right => {
                let Some(queue) = self.queue(index) else { return Ok(()) };
                let place = queue.sit(seat);
                queue.attach(place, role)?;
                self.set(seat, Slot::At { queue: index, place });
                self.soil(index);
            }
            (Slot::At { queue, place }, Some(index)) if queue == index => {
                let Some(queue) = self.queue(index) else { return Ok(()) };
                if is_shown_right {
                    queue.attach(place, role)?
                } else {
                    queue.attach_forged(place, role)?
                }
                self.soil(index);
            }
            (Slot::Free, _) => {
                self.set(seat, Slot::OfTheGone { roles: 1 });
                boards.show(seat, GONE);
            }
            (Slot::OfTheGone { roles: 1 }, _) => self.set(seat, Slot::OfTheGone { roles: 2 }),
            _ => return breach("it used a slot that is in use"),
        }
        Ok(())
    }

    fn detach(&mut self, seat: Seat, role: Role, boards: &mut dyn Boards) -> Result<(), Breach> {
        let (Some(index), place) = self.at(seat.participant, seat.slot)? else {
            let slot = self.participants.get(seat.participant).map(|participant| participant.slot(seat.slot));
            match slot {
                Some(Slot::OfTheGone { roles: 2.. }) => self.set(seat, Slot::OfTheGone { roles: 1 }),
                _ => {
                    self.set(seat, Slot::Left);
                    self.left.push(seat);
                }
            }
            return Ok(());
        };
        if self.leave_role(index, place, role, boards)? {
            self.set(seat, Slot::Left);
            self.left.push(seat);
        }
        Ok(())
    }

    fn leave_role(&mut self, index: u32, place: u32, role: Role, boards: &mut dyn Boards) -> Result<bool, Breach> {
        let Some(queue) = self.queues.get_mut(index as usize).and_then(Option::as_mut) else { return Ok(true) };
        let mut work = Work { boards, actions: &mut self.actions, released: &mut self.released };
        let is_left = queue.detach(place, role, &mut work)?;
        self.soil(index);
        Ok(is_left)
    }

    fn send(&mut self, seat: Seat, message: Message) -> Result<(), Breach> {
        let (Some(index), place) = self.at(seat.participant, seat.slot)? else {
            return breach("it sent without a credit");
        };
        let Some(queue) = self.queue(index) else { return Ok(()) };
        let bytes = message.body.len() as u64;
        if bytes > queue.longest() {
            return breach("it sent a message that is too long");
        }
        let is_limited = queue.shape.bytes.is_some();
        let has_credit = queue.place(place).is_some_and(|place| {
            let enough = !is_limited || place.producer.promised_bytes >= bytes;
            place.is_sender && place.producer.promised > 0 && enough
        });
        if !has_credit {
            return breach("it sent without a credit");
        }
        let references = if message.handles.is_empty() { Vec::new() } else { self.refer(&message.handles)? };
        if let Some(queue) = self.queues.get_mut(index as usize).and_then(Option::as_mut) {
            queue.arrive(place, message, references, &mut self.released);
        }
        self.soil(index);
        Ok(())
    }

    /// Counts handles that are on their way. Those of queues that are gone count nothing; nor do forged ones, which an
    /// innocent process may hand on.
    pub(super) fn refer(&mut self, handles: &[Named]) -> Result<Vec<Reference>, Breach> {
        if handles.len() > HANDLES {
            return breach("it sent more handles at once than it may");
        }
        let mut references = Vec::with_capacity(handles.len());
        for &Named { queue, role, key } in handles {
            if let Some(&queue) = self.names.get(&queue)
                && self.queue(queue).is_some_and(|queue| queue.keys.of(role) == key)
            {
                references.push(Reference { queue, role });
            }
        }
        for reference in &references {
            if let Some(queue) = self.queue(reference.queue) {
                queue.count(reference.role).add();
            }
        }
        Ok(references)
    }

    fn in_hand(
        &mut self,
        from: ParticipantId,
        slot: u32,
        number: u64,
        boards: &mut dyn Boards,
        what: fn(&mut Queue, u32, u64, &mut Vec<Reference>) -> bool,
    ) -> Result<(), Breach> {
        let (Some(index), place) = self.at(from, slot)? else { return Ok(()) };
        self.soil(index);
        let Some(queue) = self.queues.get_mut(index as usize).and_then(Option::as_mut) else { return Ok(()) };
        // The claim may not have been seen yet.
        if queue.place(place).is_some_and(|place| number >= place.consumer.next) {
            let mut work = Work { boards, actions: &mut self.actions, released: &mut self.released };
            queue.look_at_consumer(place, &mut work);
        }
        if what(queue, place, number, &mut self.released) {
            return Ok(());
        }
        breach("it named a delivery that was not made")
    }

    fn ask(&mut self, from: ParticipantId, slot: u32, request: u32, question: Question) -> Result<(), Breach> {
        let (index, place) = self.at(from, slot)?;
        let Some(participant) = self.participants.get_mut(from) else { return Ok(()) };
        let Some(index) = index else {
            self.actions.push(Action::Answer { participant: from, request, value: 0 });
            return Ok(());
        };
        if participant.questions.len() >= QUESTIONS || participant.questions.contains_key(&request) {
            return breach("it asked more than it may");
        }
        participant.questions.insert(request, index);
        if let Some(queue) = self.queue(index) {
            queue.questions.push(Asked { participant: from, request, place, question, is_certain: false });
        }
        self.touch(index, place);
        Ok(())
    }

    fn unask(&mut self, from: ParticipantId, request: u32) {
        let Some(participant) = self.participants.get_mut(from) else { return };
        let Some(index) = participant.questions.remove(&request) else { return };
        if let Some(queue) = self.queue(index) {
            queue.questions.retain(|asked| asked.participant != from || asked.request != request);
        }
    }

    /// A participant is gone, and all that it wrote has been told.
    pub(crate) fn gone(&mut self, id: ParticipantId, boards: &mut dyn Boards) {
        let Some(participant) = self.participants.leave(id) else { return };
        for (request, index) in &participant.questions {
            if let Some(queue) = self.queue(*index) {
                queue.questions.retain(|asked| asked.participant != id || asked.request != *request);
            }
        }
        for (_, slot) in participant.slots() {
            let Slot::At { queue: index, place } = slot else { continue };
            for role in [Role::Sender, Role::Receiver] {
                let has_role = self.queue(index).and_then(|queue| queue.place(place)).is_some_and(|place| match role {
                    Role::Sender => place.is_sender || place.is_forged_sender,
                    Role::Receiver => place.is_receiver || place.is_forged_receiver,
                });
                let _ = has_role && self.leave_role(index, place, role, boards).unwrap_or(true);
            }
        }
        self.actions.retain(|action| !matches!(action, Action::Answer { participant, .. } if *participant == id));
        self.left.retain(|seat| seat.participant != id);
        self.forget_adopted(id);
    }
}
