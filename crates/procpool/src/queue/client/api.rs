//! The shapes of what is to come.
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::Question;
use crate::queue::key::{Capability, Key, QueueState, Shape};
use crate::sync::lock;

#[derive(Debug)]
pub(crate) struct Client;

/// Why queues cannot be used in this process (any more).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Arc<str>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// A worker of this process that was introduced further up.
#[derive(Debug)]
pub(crate) struct Introduced;

static SOCKET: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// In a worker, once: its end of the socket.
pub(crate) fn set_socket(socket: OwnedFd) {
    *lock(&SOCKET) = Some(socket);
}

/// This process's client.
pub(crate) fn client() -> Result<&'static Arc<Client>, Broken> {
    Err(Broken("nothing is here yet".into()))
}

/// All control records that wait have left, if this process uses queues at all.
pub(crate) fn settle_if_open() {}

/// Names references that were left behind for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParcelKey(pub(crate) Key);

#[derive(Debug)]
pub(crate) struct Parcel;

impl Client {
    pub(crate) fn introduce(&self, _socket: OwnedFd) -> Introduced {
        Introduced
    }
    pub(crate) fn buried(&self, _introduced: Introduced) {}
    pub(crate) fn create(self: &Arc<Self>, _shape: Shape) -> Result<(Side, Side), Broken> {
        todo!()
    }
    pub(crate) fn attach(self: &Arc<Self>, _capability: &Capability) -> Result<Side, Broken> {
        todo!()
    }
    pub(crate) fn park(self: &Arc<Self>, _sides: &[Side]) -> Result<ParcelKey, Broken> {
        todo!()
    }
    pub(crate) fn adopt(self: &Arc<Self>, _key: ParcelKey) -> Parcel {
        todo!()
    }
    pub(crate) fn settle(&self) {}
}

#[derive(Clone, Debug)]
pub(crate) struct Side;

impl Side {
    pub(crate) fn capability(&self) -> Capability {
        todo!()
    }
    pub(crate) fn shape(&self) -> Shape {
        todo!()
    }
    pub(crate) fn state(&self) -> QueueState {
        todo!()
    }
    pub(crate) fn close(&self) {}
    pub(crate) fn ack(&self, _delivery: u32) -> Result<(), Broken> {
        todo!()
    }
    pub(crate) fn nack(&self, _delivery: u32) -> Result<(), Broken> {
        todo!()
    }
    pub(crate) fn opened(&self, _delivery: u32) {}
}

#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) body: Bytes,
    pub(crate) handles: Vec<Side>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Disconnected,
    TooLarge { len: u64, limit: u64 },
    Broken(Broken),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Closed,
    Disconnected,
    Broken(Broken),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    Done,
    ToAcknowledge,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) body: Bytes,
    pub(crate) delivery: u32,
    pub(crate) redelivered: u32,
    pub(crate) handles: bool,
}

macro_rules! progress {
    ($name:ident, $value:ty, $error:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name;
        impl $name {
            pub(crate) fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<Result<$value, $error>> {
                todo!()
            }
        }
    };
}
progress!(Sending, (), Refused);
progress!(Reserving, Place, Refused);
progress!(Receiving, Received, Ended);
progress!(Asking, u64, Broken);

impl Sending {
    pub(crate) fn new(_side: &Side, _message: Encoded) -> Sending {
        todo!()
    }
    pub(crate) fn attempt(&mut self) -> Result<bool, Refused> {
        todo!()
    }
    pub(crate) fn wait(&mut self, _deadline: Option<Instant>) -> Result<bool, Refused> {
        todo!()
    }
}

impl Reserving {
    pub(crate) fn new(_side: &Side) -> Reserving {
        todo!()
    }
    pub(crate) fn attempt(&mut self) -> Result<Option<Place>, Refused> {
        todo!()
    }
    pub(crate) fn wait(&mut self, _deadline: Option<Instant>) -> Result<Option<Place>, Refused> {
        todo!()
    }
}

/// A place for one message, held.
#[derive(Debug)]
pub(crate) struct Place;

impl Place {
    pub(crate) fn send(self, _message: Encoded) -> Sending {
        todo!()
    }
}

impl Receiving {
    pub(crate) fn new(_side: &Side, _taking: Taking) -> Receiving {
        todo!()
    }
    pub(crate) fn attempt(&mut self) -> Result<Option<Received>, Ended> {
        todo!()
    }
    pub(crate) fn wait(&mut self, _deadline: Option<Instant>) -> Result<Option<Received>, Ended> {
        todo!()
    }
}

impl Asking {
    pub(crate) fn new(_side: &Side, _question: Question) -> Asking {
        todo!()
    }
    pub(crate) fn wait(&mut self, _deadline: Option<Instant>) -> Result<Option<u64>, Broken> {
        todo!()
    }
}
