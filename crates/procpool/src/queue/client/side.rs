//! Handles.

use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::task::Poll;

use crate::queue::key::{Capability, Key, QueueId, QueueState, Role, Shape};
use crate::queue::wire::ToHub;
use crate::sync::lock;

use super::core::Client;
use super::errors::Broken;
use super::events;
use super::line::Wakes;
use super::slot::Slot;
use super::table::{Found, Room, Table};

/// One role at one queue, held by this process. The last clone that is dropped tells the hub.
#[derive(Clone)]
pub(crate) struct Side(Arc<Hold>);

/// What all clones of a [`Side`] share.
pub(super) struct Hold {
    client: Arc<Client>,
    slot: Arc<Slot>,
    role: Role,
    key: Key,
    number: u64,
}

impl Client {
    /// Makes a queue, and takes no round trip. Its sender and its receiver.
    ///
    /// # Errors
    /// The way to the queues is broken, or too many queues are used here.
    pub(crate) fn create(self: &Arc<Client>, shape: Shape) -> Result<(Side, Side), Broken> {
        self.usable()?;
        let (queue, sender_key, receiver_key) = (QueueId(random()? as u64), Key(random()?), Key(random()?));
        let sides = {
            let mut table = self.table_with_room()?;
            let slot = table.place(queue, shape)?;
            let number = slot.number();
            self.tell(&ToHub::Create { slot: number, queue, shape, sender_key, receiver_key });
            let mut side = |role, key| {
                let hold =
                    |number| Arc::new(Hold { client: Arc::clone(self), slot: Arc::clone(&slot), role, key, number });
                Side(table.grip(&slot, role, key, hold))
            };
            (side(Role::Sender, sender_key), side(Role::Receiver, receiver_key))
        };
        self.ring();
        Ok(sides)
    }

    /// The table, once it is known whether there is room for one more queue. Waits for the hub, shortly, where the last
    /// slots are of queues that this process has let go of.
    fn table_with_room(&self) -> Result<MutexGuard<'_, Table>, Broken> {
        loop {
            let table = lock(&self.table);
            if table.room() != Room::Soon {
                return Ok(table);
            }
            drop(table);
            events::block(self, None, |context| {
                // Is woken by every event, and what is freed is one.
                self.outbox().wait_for_room(self.link(), context.waker());
                self.ring();
                self.drain();
                let is_over = lock(&self.table).room() != Room::Soon || self.broken().is_some();
                if is_over { Poll::Ready(()) } else { Poll::Pending }
            });
            self.usable()?;
        }
    }

    /// Takes up a handle that came from somewhere.
    ///
    /// # Errors
    /// The way to the queues is broken, or too many queues are used here.
    pub(crate) fn attach(self: &Arc<Client>, capability: &Capability) -> Result<Side, Broken> {
        self.usable()?;
        let &Capability { queue, role, key, shape } = capability;
        let side = {
            let mut table = self.table_with_room()?;
            let (slot, told) = match table.find(capability)? {
                Found::Held(hold) => return Ok(Side(hold)),
                Found::Slot { slot, told } => (slot, told),
                Found::Nothing => (table.place(queue, shape)?, false),
            };
            if !told {
                self.tell(&ToHub::Attach { slot: slot.number(), queue, role, key });
            }
            let client = Arc::clone(self);
            Side(table.grip(&Arc::clone(&slot), role, key, |number| Arc::new(Hold { client, slot, role, key, number })))
        };
        self.ring();
        Ok(side)
    }
}

impl Side {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.0.client
    }

    pub(super) fn slot(&self) -> &Arc<Slot> {
        &self.0.slot
    }

    /// What another process needs to hold it, too.
    pub(crate) fn capability(&self) -> Capability {
        Capability { queue: self.0.slot.queue(), role: self.0.role, key: self.0.key, shape: self.shape() }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.0.slot.shape()
    }

    /// What can no longer happen to the queue, as far as this process has been told.
    pub(crate) fn state(&self) -> QueueState {
        self.0.slot.state(self.0.client.board())
    }

    /// Nothing more is to be sent, by anybody. What was sent can still be received.
    pub(crate) fn close(&self) {
        let (client, slot) = (self.client(), self.slot());
        if client.here().is_err() {
            return;
        }
        let mut wakes = Wakes::default();
        slot.close(&mut wakes);
        wakes.wake();
        client.tell(&ToHub::Close { slot: slot.number() });
        client.ring();
    }

    /// A delivery that was taken to be acknowledged is done with.
    pub(crate) fn ack(&self, delivery: u32) -> Result<(), Broken> {
        self.report(&ToHub::Ack { slot: self.slot().number(), delivery })
    }

    /// It is not done with: somebody else is to have it.
    pub(crate) fn nack(&self, delivery: u32) -> Result<(), Broken> {
        self.report(&ToHub::Nack { slot: self.slot().number(), delivery })
    }

    /// The handles in a delivery have been attached, or are not wanted.
    pub(crate) fn opened(&self, delivery: u32) {
        // A broken link has no references left to be given back.
        let _ = self.report(&ToHub::Opened { slot: self.slot().number(), delivery });
    }

    fn report(&self, message: &ToHub) -> Result<(), Broken> {
        let client = self.client();
        client.usable()?;
        client.tell(message);
        client.ring();
        client.usable()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Hold { client, slot, role, number, .. } = self;
        if client.here().is_err() {
            return;
        }
        let gone = {
            let mut table = lock(&client.table);
            let gone = table.let_go(slot, *role, *number);
            if gone {
                // With the table's lock: whoever takes the queue up again comes after this.
                client.tell(&ToHub::Detach { slot: slot.number(), role: *role });
            }
            gone
        };
        if gone {
            client.ring();
        }
    }
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side").field("queue", &self.0.slot.queue()).field("role", &self.0.role).finish_non_exhaustive()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("number", &self.number).finish_non_exhaustive()
    }
}

/// 128 random bits that nobody can guess.
pub(super) fn random() -> Result<u128, Broken> {
    crate::sys::random::bits().map_err(|error| Broken::new(format_args!("no random numbers can be had: {error}")))
}
