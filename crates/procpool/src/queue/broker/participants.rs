//! Who takes part.

use std::collections::BTreeMap;

use super::api::ParticipantId;
use super::limits::SLOTS;

/// A participant's books: where its slots lead.
#[derive(Debug, Default)]
pub(super) struct Participant {
    slots: Vec<Slot>,
    /// The queues at which it has asked something, by the number of the request.
    pub(super) questions: BTreeMap<u32, u32>,
    /// Parcels that it left behind and nobody has taken over yet.
    pub(super) parked: u32,
}

/// What a slot of a participant is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Slot {
    #[default]
    Free,
    /// Its place at a queue.
    At { queue: u32, place: u32 },
    /// A queue that is gone. How many roles the participant has there.
    OfTheGone { roles: u32 },
    /// The participant has left it, and has not been told that it may use it again.
    Left,
}

impl Participant {
    pub(super) fn slot(&self, slot: u32) -> Slot {
        self.slots.get(slot as usize).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, slot: u32, to: Slot) {
        debug_assert!(slot < SLOTS, "the slots of events have been checked");
        let index = slot as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::Free);
        }
        self.slots[index] = to;
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, Slot)> {
        (0..).zip(self.slots.iter().copied())
    }
}

/// Everybody who ever took part. Numbers are never used twice, and what is kept of the gone is small.
#[derive(Debug, Default)]
pub(super) struct Participants(Vec<Presence>);

#[derive(Debug, Default)]
enum Presence {
    #[default]
    Unknown,
    Here(Box<Participant>),
    Gone,
}

impl Participants {
    /// A participant is known from the first time on that it says something. `None`: it is gone.
    pub(super) fn meet(&mut self, id: ParticipantId) -> Option<&mut Participant> {
        let index = id.0 as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Presence::default);
        }
        let presence = &mut self.0[index];
        if let Presence::Unknown = presence {
            *presence = Presence::Here(Box::default());
        }
        match presence {
            Presence::Here(participant) => Some(participant),
            Presence::Unknown | Presence::Gone => None,
        }
    }

    pub(super) fn get(&self, id: ParticipantId) -> Option<&Participant> {
        match self.0.get(id.0 as usize)? {
            Presence::Here(participant) => Some(participant),
            Presence::Unknown | Presence::Gone => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: ParticipantId) -> Option<&mut Participant> {
        match self.0.get_mut(id.0 as usize)? {
            Presence::Here(participant) => Some(participant),
            Presence::Unknown | Presence::Gone => None,
        }
    }

    /// From now on it is gone.
    pub(super) fn leave(&mut self, id: ParticipantId) -> Option<Box<Participant>> {
        self.meet(id)?;
        match std::mem::replace(self.0.get_mut(id.0 as usize)?, Presence::Gone) {
            Presence::Here(participant) => Some(participant),
            Presence::Unknown | Presence::Gone => None,
        }
    }
}
