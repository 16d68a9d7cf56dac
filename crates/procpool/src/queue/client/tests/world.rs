//! A hub, and participants that are all in this process.

use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::queue::hub::{Hub, LinkId};
use crate::queue::key::Shape;
use crate::queue::link::{self, Transport};
use crate::sys::socket;

use super::super::core::Client;
use super::super::events::Rousing;
use super::super::{Encoded, Receiving, Refused, Sending, Side, Taking};

pub(super) struct World {
    pub(super) hub: Arc<Hub>,
    root: Arc<Client>,
}

/// Where two participants are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) transport: Transport,
    pub(super) sender: Place,
    pub(super) receiver: Place,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Root,
    Worker,
}

/// All that two participants can be to each other.
pub(super) fn everywhere() -> impl Iterator<Item = Places> {
    use Place::{Root, Worker};
    [Transport::Ring, Transport::Socket].into_iter().flat_map(|transport| {
        [(Root, Root), (Root, Worker), (Worker, Root), (Worker, Worker)].map(|(sender, receiver)| Places {
            transport,
            sender,
            receiver,
        })
    })
}

impl World {
    pub(super) fn new(transport: Transport) -> World {
        let hub = Hub::new(transport);
        let slot: Arc<OnceLock<Weak<Client>>> = Arc::default();
        let seen = Arc::clone(&slot);
        let on_event = move || {
            if let Some(client) = seen.get().and_then(Weak::upgrade) {
                client.on_event();
            }
        };
        let root = Client::new(hub.root_link(Box::new(on_event)).unwrap(), Rousing::ByHub);
        slot.set(Arc::downgrade(&root)).unwrap();
        World { hub, root }
    }

    /// Another participant, as a worker is.
    pub(super) fn worker(&self) -> Arc<Client> {
        self.worker_with_id().0
    }

    pub(super) fn worker_with_id(&self) -> (Arc<Client>, LinkId) {
        let (keepers, workers) = socket::pair().unwrap();
        let id = self.hub.introduce(keepers);
        (Client::on_link(Arc::new(link::open(workers).unwrap())), id)
    }

    pub(super) fn at(&self, place: Place) -> Arc<Client> {
        match place {
            Place::Root => Arc::clone(&self.root),
            Place::Worker => self.worker(),
        }
    }

    /// A queue whose sender is held here, and whose receiver is held there.
    pub(super) fn queue(&self, places: Places, shape: Shape) -> (Side, Side) {
        let (one, other) = (self.at(places.sender), self.at(places.receiver));
        let (sender, receiver) = one.create(shape).unwrap();
        let receiver = other.attach(&receiver.capability()).unwrap();
        (sender, receiver)
    }
}

pub(super) fn shape(capacity: u32) -> Shape {
    Shape { capacity, bytes: None, max_message: 1 << 30 }
}

/// A message that can be told from others, of this length.
pub(super) fn message(number: u64, len: usize) -> Encoded {
    let mut body = vec![number as u8; len.max(8)];
    body[..8].copy_from_slice(&number.to_le_bytes());
    Encoded { body: Bytes::from(body), handles: Vec::new() }
}

/// The number of such a message, after looking at all of it.
pub(super) fn number(body: &[u8]) -> u64 {
    let (number, rest) = body.split_first_chunk().unwrap();
    let number = u64::from_le_bytes(*number);
    assert!(rest.iter().all(|&byte| byte == number as u8), "message {number} is damaged");
    number
}

pub(super) fn send(side: &Side, message: Encoded) -> Result<(), Refused> {
    Sending::new(side, message).wait(None).map(|sent| assert!(sent))
}

/// The number of the next message; `None` at the end.
pub(super) fn recv(side: &Side) -> Option<u64> {
    Receiving::new(side, Taking::Done).wait(None).ok().flatten().map(|received| number(&received.body))
}

/// As a future.
pub(super) async fn send_async(side: &Side, message: Encoded) -> Result<(), Refused> {
    let mut sending = Sending::new(side, message);
    std::future::poll_fn(|context| sending.poll(context)).await
}

pub(super) async fn recv_async(side: &Side) -> Option<u64> {
    let mut receiving = Receiving::new(side, Taking::Done);
    std::future::poll_fn(|context| receiving.poll(context)).await.ok().map(|received| number(&received.body))
}

/// One poll whose waker wakes nobody.
pub(super) fn poll_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(std::task::Waker::noop()))
}
