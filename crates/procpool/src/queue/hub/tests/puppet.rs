//! A participant that does what it is told, and nothing by itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::queue::broker::api::Question;
use crate::queue::hub::api::{Hub, LinkId};
use crate::queue::key::{Key, QueueId, Role, Shape};
use crate::queue::link::{Claim, ClientEnd, Drained, Incoming, Transport, Written, open};
use crate::queue::wire::{Cuts, Header, Kind, ToClient, ToHub};
use crate::sync::lock;
use crate::sys::socket;

/// Nothing takes this long: a test that waits longer has found a deadlock.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const SENDER_KEY: Key = Key(11);
pub(super) const RECEIVER_KEY: Key = Key(22);

pub(super) struct Puppet {
    pub(super) end: Arc<ClientEnd>,
    /// `None`: the root.
    pub(super) link: Option<LinkId>,
    inbound: Mutex<Inbound>,
}

#[derive(Default)]
struct Inbound {
    deliveries: HashMap<u32, VecDeque<(u32, Bytes)>>,
    answers: HashMap<u32, u64>,
    freed: HashSet<u32>,
}

pub(super) fn new_hub() -> Arc<Hub> {
    Hub::new(Transport::Ring)
}

impl Puppet {
    /// One in another process, as far as the hub can tell.
    pub(super) fn remote(hub: &Arc<Hub>) -> Puppet {
        let (ours, theirs) = socket::pair().unwrap();
        let link = hub.introduce(ours);
        Puppet::of(open(theirs).unwrap(), Some(link))
    }

    /// The root's own.
    pub(super) fn root(hub: &Arc<Hub>) -> Puppet {
        Puppet::root_with(hub, || {})
    }

    pub(super) fn root_with(hub: &Arc<Hub>, on_event: impl Fn() + Send + Sync + 'static) -> Puppet {
        let end = hub.root_link(Box::new(on_event)).unwrap();
        Puppet { end, link: None, inbound: Mutex::default() }
    }

    pub(super) fn of(end: ClientEnd, link: Option<LinkId>) -> Puppet {
        Puppet { end: Arc::new(end), link, inbound: Mutex::default() }
    }

    /// A worker of this one's.
    pub(super) fn introduce(&self, number: u32) -> Puppet {
        let theirs = self.introduce_unopened(number);
        Puppet::of(open(theirs).unwrap(), None)
    }

    pub(super) fn introduce_unopened(&self, number: u32) -> OwnedFd {
        use std::os::fd::AsFd;
        let (ours, theirs) = socket::pair().unwrap();
        assert_eq!(self.end.introduce(number, ours.as_fd()), Written::Whole);
        theirs
    }

    /// Writes a record, waiting for room. `false`: cut off.
    pub(super) fn write(&self, header: &Header, parts: &[&[u8]]) -> bool {
        self.wait_for(|puppet| match puppet.end.write(header, parts) {
            Written::Whole => Some(true),
            Written::Gone => Some(false),
            Written::Full => {
                puppet.end.want_room();
                match puppet.end.write(header, parts) {
                    Written::Whole => Some(true),
                    Written::Gone => Some(false),
                    Written::Full => {
                        puppet.end.ring_bell();
                        None
                    }
                }
            }
        })
    }

    /// Says something, and rings.
    pub(super) fn say(&self, what: &ToHub) -> bool {
        let (header, body) = what.encode().unwrap();
        let written = self.write(&header, &[&body]);
        self.end.ring_bell();
        written
    }

    pub(super) fn create(&self, slot: u32, queue: u64, capacity: u32) {
        let shape = Shape { capacity, bytes: None, max_message: 64 << 20 };
        let (queue, sender_key, receiver_key) = (QueueId(queue), SENDER_KEY, RECEIVER_KEY);
        assert!(self.say(&ToHub::Create { slot, queue, shape, sender_key, receiver_key }));
    }

    pub(super) fn attach(&self, slot: u32, queue: u64, role: Role) {
        let key = if role == Role::Sender { SENDER_KEY } else { RECEIVER_KEY };
        assert!(self.say(&ToHub::Attach { slot, queue: QueueId(queue), role, key }));
    }

    pub(super) fn detach(&self, slot: u32, role: Role) {
        assert!(self.say(&ToHub::Detach { slot, role }));
    }

    /// Sends, once there is a credit. `false`: cut off.
    pub(super) fn send(&self, slot: u32, stream: u32, body: &[u8]) -> bool {
        self.take_credit(slot) && self.send_without_credit(slot, stream, body)
    }

    /// Waits for a credit. `false`: cut off.
    pub(super) fn take_credit(&self, slot: u32) -> bool {
        let board = self.end.board();
        if board.take_credit(slot, 0) {
            return true;
        }
        board.set_senders_waiting(slot, 1, 0);
        self.say(&ToHub::Look { slot });
        let taken = self.wait_for(|puppet| {
            let gone = puppet.end.board().is_gone().then_some(false);
            gone.or(puppet.end.board().take_credit(slot, 0).then_some(true))
        });
        board.set_senders_waiting(slot, 0, 0);
        taken
    }

    pub(super) fn send_without_credit(&self, slot: u32, stream: u32, body: &[u8]) -> bool {
        let mut cuts = Cuts::new(Header::whole(Kind::Send, slot, stream), 0, body.len());
        while let Some(cut) = cuts.current() {
            if !self.write(&cut.header, &cut.parts(&[], body)) {
                return false;
            }
            self.end.ring_bell();
            cuts.advance();
        }
        true
    }

    /// Receives one message. `None`: cut off.
    pub(super) fn recv(&self, slot: u32) -> Option<Bytes> {
        self.end.board().set_receivers_waiting(slot, 1);
        self.say(&ToHub::Look { slot });
        let received = self.wait_for(|puppet| {
            if puppet.end.board().is_gone() {
                return Some(None);
            }
            let mut inbound = lock(&puppet.inbound);
            let deliveries = inbound.deliveries.entry(slot).or_default();
            while let Some((number, _)) = deliveries.front() {
                match puppet.end.board().claim(slot, *number) {
                    Claim::Taken => return Some(deliveries.pop_front().map(|(_, body)| body)),
                    Claim::Stale => drop(deliveries.pop_front()),
                    Claim::NotYet => return None,
                }
            }
            None
        });
        self.end.board().set_receivers_waiting(slot, 0);
        self.say(&ToHub::Look { slot });
        received
    }

    pub(super) fn ask(&self, slot: u32, request: u32, question: Question) -> u64 {
        assert!(self.say(&ToHub::Ask { slot, request, question }));
        self.answer(request)
    }

    pub(super) fn answer(&self, request: u32) -> u64 {
        self.wait_for(|puppet| lock(&puppet.inbound).answers.remove(&request))
    }

    pub(super) fn until_gone(&self) {
        self.wait_for(|puppet| puppet.end.board().is_gone().then_some(()));
    }

    pub(super) fn until_freed(&self, slot: u32) {
        self.wait_for(|puppet| lock(&puppet.inbound).freed.take(&slot).map(drop));
    }

    /// Looks until there is an answer.
    pub(super) fn wait_for<R>(&self, mut look: impl FnMut(&Puppet) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let noted = self.end.set_waits();
            self.read();
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "nothing happened for {PATIENCE:?}");
            let _ = self.end.wait(noted, Some(deadline));
        }
    }

    /// Takes in what the hub wrote.
    pub(super) fn read(&self) {
        let mut take = |Incoming { header, body, .. }: Incoming| {
            let mut inbound = lock(&self.inbound);
            match ToClient::decode(&header, body).unwrap() {
                ToClient::Deliver { slot, delivery, body, .. } => {
                    inbound.deliveries.entry(slot).or_default().push_back((delivery, body));
                }
                ToClient::Answer { request, value } => drop(inbound.answers.insert(request, value)),
                ToClient::Freed { slot } => {
                    // What was left of the old queue is no business of the next one's.
                    inbound.deliveries.remove(&slot);
                    inbound.freed.insert(slot);
                }
            }
            ControlFlow::Continue(())
        };
        loop {
            let drained = self.end.read(&mut take);
            self.end.made_room();
            if !matches!(drained, Ok(Drained::More)) {
                return;
            }
        }
    }
}

/// Waits until something is so that nobody tells of.
pub(super) fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "nothing happened for {PATIENCE:?}");
        std::thread::yield_now();
    }
}
