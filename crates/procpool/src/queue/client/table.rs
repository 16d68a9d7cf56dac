//! Which queue has which slot, and who holds it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::queue::key::{Capability, Key, QueueId, Role, Shape};
use crate::queue::wire::SLOTS;

use super::errors::Broken;
use super::side::Hold;
use super::slot::Slot;

/// The slots of a client.
///
/// A queue keeps its slot while this process holds a handle of it. After the last is gone the slot is not used for another
/// queue until the hub has freed it. If the same queue comes back before that, it gets another slot.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_queue: HashMap<QueueId, u32>,
    grips: u64,
}

#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    /// Of the sender and of the receiver.
    grips: [Option<Grip>; 2],
}

/// What the hub was told: this process holds that role.
#[derive(Debug)]
struct Grip {
    number: u64,
    key: Key,
    hold: Weak<Hold>,
}

/// What there is of a queue already.
pub(super) enum Found {
    /// The handle itself.
    Held(Arc<Hold>),
    /// A slot. `told`: the hub knows that this process has that role (its last handle is about to go).
    Slot {
        slot: Arc<Slot>,
        told: bool,
    },
    Nothing,
}

/// Whether [`Table::place`] will find a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// One that was used before, or that never was.
    Free,
    /// Once the hub has freed one that this process has let go of.
    Soon,
    /// All are held.
    Full,
}

fn index(role: Role) -> usize {
    match role {
        Role::Sender => 0,
        Role::Receiver => 1,
    }
}

impl Table {
    pub(super) fn slot(&self, number: u32) -> Option<Arc<Slot>> {
        self.entries.get(number as usize)?.as_ref().map(|entry| Arc::clone(&entry.slot))
    }

    /// # Errors
    /// The key is not the one by which the queue is held.
    pub(super) fn find(&self, capability: &Capability) -> Result<Found, Broken> {
        let Some(entry) =
            self.by_queue.get(&capability.queue).and_then(|&number| self.entries.get(number as usize)?.as_ref())
        else {
            return Ok(Found::Nothing);
        };
        let grip = entry.grips[index(capability.role)].as_ref();
        if grip.is_some_and(|grip| grip.key != capability.key) {
            return Err(Broken::new("a handle of a queue that its holder was not given"));
        }
        Ok(match grip.and_then(|grip| grip.hold.upgrade()) {
            Some(hold) => Found::Held(hold),
            None => Found::Slot { slot: Arc::clone(&entry.slot), told: grip.is_some() },
        })
    }

    pub(super) fn room(&self) -> Room {
        if !self.free.is_empty() || self.entries.len() < SLOTS as usize {
            return Room::Free;
        }
        let is_held =
            |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.grips.iter().any(Option::is_some));
        if self.entries.iter().all(is_held) { Room::Full } else { Room::Soon }
    }

    /// A slot for a queue that has none.
    ///
    /// # Errors
    /// There is none left.
    pub(super) fn place(&mut self, queue: QueueId, shape: Shape) -> Result<Arc<Slot>, Broken> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.entries.len() < SLOTS as usize => {
                self.entries.push(None);
                (self.entries.len() - 1) as u32
            }
            None => {
                return Err(Broken::new(format_args!(
                    "this process holds handles of {SLOTS} queues, the most that one process can use at a time"
                )));
            }
        };
        let slot = Arc::new(Slot::new(number, queue, shape));
        self.entries[number as usize] = Some(Entry { slot: Arc::clone(&slot), grips: [None, None] });
        self.by_queue.insert(queue, number);
        Ok(slot)
    }

    /// Notes who holds a role from now on: `make` is given the number of its grip.
    pub(super) fn grip(&mut self, slot: &Slot, role: Role, key: Key, make: impl FnOnce(u64) -> Arc<Hold>) -> Arc<Hold> {
        self.grips += 1;
        let number = self.grips;
        let hold = make(number);
        if let Some(Some(entry)) = self.entries.get_mut(slot.number() as usize) {
            entry.grips[index(role)] = Some(Grip { number, key, hold: Arc::downgrade(&hold) });
        }
        hold
    }

    /// A hold has come to its end. Whether the role goes with it: not if somebody has taken it up again meanwhile.
    pub(super) fn let_go(&mut self, slot: &Slot, role: Role, number: u64) -> bool {
        let Some(Some(entry)) = self.entries.get_mut(slot.number() as usize) else { return false };
        let grip = &mut entry.grips[index(role)];
        if grip.as_ref().is_none_or(|grip| grip.number != number) {
            return false;
        }
        *grip = None;
        if entry.grips.iter().all(Option::is_none) {
            self.by_queue.remove(&entry.slot.queue());
        }
        true
    }

    /// The hub has nothing more to say about this slot.
    pub(super) fn freed(&mut self, number: u32) -> Option<Arc<Slot>> {
        let entry = self.entries.get_mut(number as usize)?;
        if entry.as_ref()?.grips.iter().any(Option::is_some) {
            // The hub frees nothing that is held.
            return None;
        }
        self.free.push(number);
        entry.take().map(|entry| entry.slot)
    }
}
