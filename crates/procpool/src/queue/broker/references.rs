//! What keeps a queue: handles that participants hold, and those that are on their way in messages and parcels.
//!
//! A count of zero is believed only after all that participants had written by then has been read: somebody may have
//! attached itself already, and its word be unread while the word of whoever gave it the handle and dropped its own has
//! come.

use crate::queue::key::{Key, Role};

use super::api::ParticipantId;

/// A handle on its way. The queue stays in its place while there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The place of the queue.
    pub(super) queue: u32,
    pub(super) role: Role,
}

/// Handles that somebody left behind for whoever shows the key.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) references: Vec<Reference>,
    pub(super) parker: ParticipantId,
    pub(super) adopter: Option<ParticipantId>,
}

/// How far it is established that something has come to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It has not, or it is certain by now.
    #[default]
    None,
    /// It seems so.
    New,
    /// It seemed so before everything was read that had been written by then.
    Asked,
}

/// How many handles of one role there are.
#[derive(Debug, Default)]
pub(super) struct Count {
    handles: u32,
    pub(super) doubt: Doubt,
    /// There was none, for certain: none can come.
    is_over: bool,
}

impl Count {
    pub(super) fn add(&mut self) {
        self.handles += 1;
        self.doubt = Doubt::None;
    }

    pub(super) fn remove(&mut self) {
        debug_assert!(self.handles > 0, "a handle is given up twice");
        self.handles = self.handles.saturating_sub(1);
        if self.handles == 0 && !self.is_over {
            self.doubt = Doubt::New;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn is_empty(&self) -> bool {
        self.handles == 0
    }

    /// All that had been written when the doubt came up has been read.
    pub(super) fn confirm(&mut self) -> bool {
        let certain = self.doubt == Doubt::Asked;
        if certain {
            self.doubt = Doubt::None;
            self.is_over = true;
        }
        certain
    }
}

/// The keys of a queue.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) sender: Key,
    pub(super) receiver: Key,
}

impl Keys {
    pub(super) fn of(&self, role: Role) -> Key {
        match role {
            Role::Sender => self.sender,
            Role::Receiver => self.receiver,
        }
    }
}
