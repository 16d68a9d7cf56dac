//! This process's handles, and its way to the queues: one implementation for every process.
//!
//! # Who wakes whom
//! Whoever waits here, a future or a blocked thread, is a [`Waker`](std::task::Waker) in a line (of a queue's senders, of
//! its receivers, of those who ask, of those who need room in the link). What the hub changes becomes known in
//! [`Client::on_event`], which reads the link and calls the wakers it concerns, without a lock. In the root process the
//! hub calls it. In a worker *one* thread waits on the link's event word: the leader. A blocked thread becomes the leader if
//! there is none, and hands that on when it goes; where futures wait, the thread `procpool-queue` leads, from the first such
//! wait to the end of the process. See `events.rs`.
//!
//! # Locks
//! In this order, and none while a thread blocks or foreign code (a waker) runs or the bell is rung: the table of slots, or
//! the list of slots that somebody waits at; a slot's outgoing or incoming half; the link's writer; the backlog.

mod asking;
mod core;
mod credit;
mod errors;
mod events;
mod incoming;
mod line;
mod outbox;
mod own;
mod parcel;
mod parker;
mod place;
mod receiving;
mod sending;
mod side;
mod slot;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::core::Introduced;
pub(crate) use crate::queue::broker::api::Question;
pub(crate) use asking::Asking;
pub(crate) use errors::{Broken, Ended, Refused};
pub(crate) use own::{client, set_socket, settle_if_open};
pub(crate) use parcel::{Parcel, ParcelKey};
pub(crate) use place::{Place, Reserving};
pub(crate) use receiving::{Received, Receiving, Taking};
pub(crate) use sending::{Encoded, Sending};
pub(crate) use side::Side;
