//! What the broker is told, and what it wants done.
//!
//! The broker is a state machine without input or output: it decides who may send how much, who is given which message,
//! and what becomes of messages and handles when a process dies. Whoever drives it reads what participants wrote, tells
//! it ([`Event`]), lets it look at and change their boards ([`Boards`]), and carries out its [`Action`]s.

use bytes::Bytes;

pub(crate) use crate::queue::key::QueueState;
use crate::queue::key::{Key, QueueId, Role, Shape};

/// A process that uses queues. Number 0 is the root process, where the broker lives. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ParticipantId(pub(crate) u32);

/// One participant's place at one queue: the number by which the two name the queue, and of its entry on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) participant: ParticipantId,
    pub(crate) slot: u32,
}

/// An encoded value on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) body: Bytes,
    /// The handles that are named in it. While the message exists, so do these references.
    pub(crate) handles: Vec<Named>,
}

/// A handle that is named in a message or in a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) queue: QueueId,
    pub(crate) role: Role,
    pub(crate) key: Key,
}

/// What a participant did, in the order in which it did it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It made a queue, and holds one sender and one receiver of it.
    Create { slot: u32, queue: QueueId, shape: Shape, sender_key: Key, receiver_key: Key },
    /// It has a handle of this role that it did not have, at a slot that is free or already this queue's.
    Attach { slot: u32, queue: QueueId, role: Role, key: Key },
    /// Its last handle of this role is gone.
    Detach { slot: u32, role: Role },
    /// A whole message has left it. It had a credit for it.
    Send { slot: u32, message: Message },
    /// Its entry on the board has changed: it waits for room or for a message, has claimed what it was asked to tell, or
    /// does not use what it was granted.
    Look { slot: u32 },
    /// A message that it took to acknowledge it is done with.
    Ack { slot: u32, delivery: u64 },
    /// A message that it took to acknowledge it is not done with: somebody else is to have it.
    Nack { slot: u32, delivery: u64 },
    /// The handles in this message have been attached (or were not wanted).
    Opened { slot: u32, delivery: u64 },
    /// Nothing more is to be sent.
    Close { slot: u32 },
    /// It asks, and waits for an [`Action::Answer`].
    Ask { slot: u32, request: u32, question: Question },
    /// It no longer waits.
    Unask { request: u32 },
    /// It leaves references behind, to be taken over by whoever shows the parcel's key.
    Park { parcel: Key, handles: Vec<Named> },
    /// It is the one that takes over a parcel: the references live on although their parker may die.
    Adopt { parcel: Key },
    /// It has attached what was in the parcel, or does not want it.
    Unpark { parcel: Key },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How many messages wait to be received.
    Len,
    /// Answered once everything that was sent has been received, and acknowledged where it was taken to be.
    Join,
    /// Whether one message of so many bytes can be sent now. 1: a credit for it has been granted. 0: full.
    Room { bytes: u64 },
    /// Whether there is a message for it now. 1: one has been delivered (or there already is one). 0: empty.
    Message,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Write this to the participant. It may be claimed already ([`Boards::allow`]).
    Deliver { seat: Seat, delivery: u64, message: Message, redelivered: u32 },
    /// Write an answer to the participant.
    Answer { participant: ParticipantId, request: u32, value: u64 },
    /// The participant may use this slot for another queue: nothing about the old one comes any more.
    Freed { seat: Seat },
    /// What the participant's board says cannot be: it is to be cut off, and then to be reported as gone.
    CutOff { participant: ParticipantId, why: String },
}

/// A participant did what it cannot have done rightly. It is to be cut off, and then to be reported as gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach(pub(crate) String);

/// Whether the broker is done for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Settled {
    Done,
    /// Something looks as if it had come to its end (no sender is left, everything has been received), which holds only
    /// if nothing to the contrary has been written meanwhile: read all that every participant has written by now, tell it,
    /// and then call [`Broker::confirm`](super::Broker::confirm).
    Doubtful,
}

/// The participants' entries on their boards, in memory that they share with the broker.
///
/// What is read is evidence that a participant may have made up: the broker holds it against its own books. Each call is
/// one look, or one atomic change.
pub(crate) trait Boards {
    /// The producer's side of the entry.
    fn producer(&mut self, seat: Seat) -> ProducerView;
    /// Adds credits. `bytes` is 0 where the queue has no limit on them.
    fn grant(&mut self, seat: Seat, messages: u32, bytes: u64);
    /// Takes back at most so many unused credits, and says how many these were.
    fn take_back(&mut self, seat: Seat, messages: u32, bytes: u64) -> (u32, u64);
    /// The consumer's side of the entry.
    fn consumer(&mut self, seat: Seat) -> ConsumerView;
    /// Deliveries from `from` up to and without `to` may be claimed. `from` is where the last call ended, or, if all that
    /// is left could be claimed has been claimed, any greater number.
    fn allow(&mut self, seat: Seat, from: u64, to: u64);
    /// Leaves at most `keep` deliveries to be claimed, and says from which number on nothing can be claimed any more.
    fn revoke(&mut self, seat: Seat, keep: u32) -> u64;
    /// Asks for a [`Event::Look`] once every delivery before `at` has been claimed.
    fn arm(&mut self, seat: Seat, at: u64);
    /// Shows what can no longer happen to the queue.
    fn show(&mut self, seat: Seat, state: QueueState);
}

/// What a producer's side of a board says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerView {
    /// Credits that are not used yet.
    pub(crate) credits: u32,
    pub(crate) bytes: u64,
    /// How many senders wait for room.
    pub(crate) waiting: u32,
    /// How many bytes the first of them needs.
    pub(crate) needs: u64,
}

/// What a consumer's side of a board says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerView {
    /// The number of the delivery that would be claimed next: all before it have been, or were taken back.
    pub(crate) next: u64,
    /// From this delivery on, what is claimed is to be acknowledged.
    pub(crate) acked_from: Option<u64>,
    /// How many receivers wait for a message.
    pub(crate) waiting: u32,
}
