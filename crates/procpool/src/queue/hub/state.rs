//! What is behind the hub's lock, and one turn of work on it.
//!
//! What participants do reaches the hub by many rings, and only within one of them is there an order. Two things make up
//! for that. What looks as if it came too early (a handle of a queue that nobody has made, a parcel that nobody has
//! parked) is held back until every ring has been read once more: what caused it was written before it. And what the
//! broker may decide only if nothing to the contrary has been written meanwhile (an answer, an end) it decides after
//! every ring has been read once more, too.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::after::After;
use super::families::{Burial, Families};
use super::link::{End, Link, Links};
use super::translate::{Said, translate};
use super::watch::Watch;
use crate::queue::broker::Broker;
use crate::queue::broker::api::{Action, Breach, Event, ParticipantId, Seat, Settled};
use crate::queue::link::{Drained, HubEnd, Incoming, Intake, LinkError, Transport, welcome};
use crate::queue::wire::{Begun, Header, Kind, ToHub};

/// How often a turn reads all links again because of what it has read. Honest participants wait for what they asked, so
/// that this ends by itself; the others are not waited for.
const ROUNDS: u32 = 64;

/// How long what is no message may be.
const RECORD_LIMIT: u64 = 1 << 20;

/// What keepers tell the hub.
#[derive(Debug)]
pub(super) enum Knock {
    Introduced { id: ParticipantId, socket: OwnedFd },
    Buried { id: ParticipantId },
}

/// The broker, and everything that it is driven by.
#[derive(Debug)]
pub(super) struct State {
    broker: Broker,
    links: Links,
    families: Families,
    transport: Transport,
    actions: Vec<Action>,
    /// Something was told to the broker since it settled last.
    is_unsettled: bool,
    /// A bell was read since somebody slept, or asked for other ones.
    took_bells: bool,
    next: u32,
}

/// Which sockets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Those that are known to be readable.
    Told,
    /// All that carry records.
    All,
}

impl State {
    pub(super) fn new(transport: Transport) -> State {
        State {
            broker: Broker::new(),
            links: Links::default(),
            families: Families::default(),
            transport,
            actions: Vec::new(),
            is_unsettled: false,
            took_bells: false,
            next: 1,
        }
    }

    /// A number for a participant that is going to be introduced. Never used twice.
    pub(super) fn number(&mut self) -> ParticipantId {
        self.next += 1;
        ParticipantId(self.next - 1)
    }

    /// The root process's own link.
    pub(super) fn add_root(&mut self, end: HubEnd) {
        self.links.all.insert(ParticipantId(0), Link::new(end));
    }

    pub(super) fn has_remotes(&self) -> bool {
        self.links.all.keys().any(|id| id.0 != 0)
    }

    /// A socket was found ready.
    pub(super) fn readable(&mut self, id: ParticipantId) {
        if let Some(link) = self.links.all.get_mut(&id) {
            link.is_readable = true;
        }
    }

    /// Opens the link of a participant and begins to watch it.
    fn open(&mut self, id: ParticipantId, socket: OwnedFd, watch: Option<&Arc<Watch>>, after: &mut After) {
        let opened = welcome(socket, self.transport).and_then(|end| {
            if let (Some(socket), Some(watch)) = (end.socket(), watch) {
                watch.add(socket, id)?;
            }
            Ok(end)
        });
        match opened {
            Ok(end) => {
                // The thread may be asleep already: this may be somebody else's turn.
                end.set_hub_waits();
                let mut link = Link::new(end);
                // It has begun to speak.
                link.is_readable = true;
                self.links.all.insert(id, link);
            }
            Err(error) => {
                after.warn(id, format!("it could not be welcomed: {error}"));
                for buried in self.families.gone(id) {
                    self.broker.buried(buried);
                }
            }
        }
    }

    fn obey(&mut self, knock: Knock, watch: Option<&Arc<Watch>>, after: &mut After) {
        match knock {
            Knock::Introduced { id, socket } => {
                self.families.introduce(id);
                self.open(id, socket, watch, after);
            }
            Knock::Buried { id } => {
                let burial = self.families.buried(id);
                self.bury(id, burial);
            }
        }
    }

    fn bury(&mut self, id: ParticipantId, burial: Burial) {
        match burial {
            Burial::Over => {
                self.broker.buried(id);
                self.is_unsettled = true;
            }
            // Something that it started holds its socket.
            Burial::StillThere => {
                if let Some(link) = self.links.all.get_mut(&id) {
                    link.end_of.get_or_insert(End::Gone);
                    // What it wrote counts, and may be known to nobody yet: the burial can be told before the socket is.
                    link.is_readable = true;
                }
            }
            Burial::Known => {}
        }
    }

    /// Reads what participants wrote, tells the broker, and does what it wants. Gives back whether there is more to do at
    /// once.
    pub(super) fn turn(&mut self, knocks: Vec<Knock>, watch: Option<&Arc<Watch>>, after: &mut After) -> bool {
        for knock in knocks {
            self.obey(knock, watch, after);
        }
        let mut more = self.gather(Reading::Told, watch, after);
        for _ in 0..ROUNDS {
            self.let_go(watch, after);
            if !self.is_unsettled {
                break;
            }
            more |= self.settle(watch, after);
            self.links.carry_out(&mut self.actions);
            self.judge();
            for Seat { participant, slot } in std::mem::take(&mut self.links.looks) {
                self.tell(participant, Event::Look { slot });
            }
        }
        more |= self.is_unsettled;
        for link in self.links.all.values_mut() {
            link.write();
            more |= link.end_of.is_some();
        }
        self.links.take_roused(after);
        more
    }

    /// Gives back whether more was seen than has been read. Nobody else may tell of it: its bell can have been read, too.
    fn settle(&mut self, watch: Option<&Arc<Watch>>, after: &mut After) -> bool {
        self.is_unsettled = false;
        let mut more = false;
        if self.broker.settle(&mut self.links, &mut self.actions) == Settled::Doubtful {
            more = self.gather(Reading::All, watch, after);
            self.let_go(watch, after);
            self.is_unsettled = false;
            if self.broker.confirm(&mut self.links, &mut self.actions) == Settled::Doubtful {
                self.is_unsettled = true;
            }
        }
        more
    }

    /// Asks every participant to ring when it writes something, and says whether none has written meanwhile.
    pub(super) fn may_sleep(&mut self) -> bool {
        self.took_bells = false;
        for link in self.links.all.values() {
            link.end.set_hub_waits();
        }
        !self.has_input()
    }

    /// After a turn that was not the thread's, which may sleep all the while: if the bells that were to wake it have been
    /// read by this turn, asks for others. Gives back whether something was written before it did.
    pub(super) fn put_bells_back(&mut self) -> bool {
        self.took_bells && !self.may_sleep()
    }

    #[cfg(test)]
    pub(super) fn has_taken_bells(&self) -> bool {
        self.took_bells
    }

    /// Whether a participant has written something that has not been read.
    pub(super) fn has_input(&self) -> bool {
        self.links.all.values().any(|link| link.end.has_input())
    }

    /// The root's own link rings whoever writes to it; nothing else looks.
    pub(super) fn root_may_ring(&self) {
        if let Some(link) = self.links.all.get(&ParticipantId(0)) {
            link.end.set_hub_waits();
        }
    }

    /// Reads all links and tells the broker, until nothing is left whose cause might still be unread.
    fn gather(&mut self, reading: Reading, watch: Option<&Arc<Watch>>, after: &mut After) -> bool {
        let mut more = false;
        let mut round = 0;
        loop {
            round += 1;
            if round <= ROUNDS {
                let reading = if round == 1 { reading } else { Reading::All };
                more = self.read(reading);
            }
            let heard = self.hear(round, watch, after);
            if heard.all && (!heard.questions || round > ROUNDS) {
                return more;
            }
        }
    }

    /// Takes what has been written by now. Gives back whether more was seen.
    fn read(&mut self, reading: Reading) -> bool {
        let mut more = false;
        for (id, link) in &mut self.links.all {
            if matches!(link.end_of, Some(End::Fault(_))) {
                continue;
            }
            let mut basket = Basket { broker: &self.broker, id: *id, inbox: &mut link.inbox };
            let no_ring = link.end.transport() == Transport::Socket;
            let (mut by_socket, mut by_ring) = (None, None);
            if std::mem::take(&mut link.is_readable) || (no_ring && reading == Reading::All) {
                let look = link.end.read_socket(&mut basket);
                link.is_readable = matches!(look, Ok(Drained::More));
                by_socket = Some(look);
            }
            if !no_ring && !matches!(by_socket, Some(Err(LinkError::Wire(_)))) {
                by_ring = Some(link.end.read(&mut basket));
            }
            for look in [by_socket, by_ring].into_iter().flatten() {
                match look {
                    Ok(Drained::All | Drained::Busy) => {}
                    Ok(Drained::More) => more = true,
                    Ok(Drained::Ended) | Err(LinkError::Io(_)) => {
                        link.end_of.get_or_insert(End::Gone);
                    }
                    Err(LinkError::Wire(error)) => link.blame(error.to_string()),
                }
            }
            self.took_bells |= link.end.took_bell();
            if link.end.room_is_wanted() {
                link.rouse = true;
            }
        }
        more
    }

    /// Tells the broker what has been read.
    fn hear(&mut self, round: u32, watch: Option<&Arc<Watch>>, after: &mut After) -> Heard {
        let mut heard = Heard { all: true, questions: false };
        // Each of those that are held back may be caused by another one of them.
        let held = self.links.all.values().filter(|link| link.held.is_some()).count().max(1);
        let ids: Vec<_> = self.links.all.keys().copied().collect();
        for id in ids {
            while let Some((said, passenger, since)) = self.next_of(id, round) {
                match said {
                    Said::Event(event) => {
                        let is_due = round > ROUNDS || round as usize > since as usize + held;
                        if !is_due && self.is_early(&event) {
                            if let Some(link) = self.links.all.get_mut(&id) {
                                link.held = Some((event, since));
                            }
                            heard.all = false;
                            break;
                        }
                        heard.questions |= matches!(event, Event::Ask { .. });
                        self.tell(id, event);
                    }
                    Said::Introduce { number } => self.introduce_by(id, number, passenger, watch, after),
                    Said::Buried { number } => match self.families.buried_by(id, number) {
                        Ok((ward, burial)) => {
                            self.bury(ward, burial);
                            // What it wrote last is to be read.
                            heard.all &= burial != Burial::StillThere;
                        }
                        Err(Breach(fault)) => self.blame(id, fault),
                    },
                    Said::Nothing => {}
                }
            }
        }
        heard
    }

    /// What a participant said next, with the socket that came with it, and in which round it was looked at first.
    fn next_of(&mut self, id: ParticipantId, round: u32) -> Option<(Said, Option<OwnedFd>, u32)> {
        let link = self.links.all.get_mut(&id)?;
        if let Some((event, since)) = link.held.take() {
            return Some((Said::Event(event), None, since));
        }
        let Incoming { header, body, passenger } = link.inbox.pop_front()?;
        match ToHub::decode(&header, body).and_then(|said| translate(said, link.end.board())) {
            Ok(said) => Some((said, passenger, round)),
            Err(error) => {
                link.blame(error.to_string());
                None
            }
        }
    }

    /// A participant has a worker of its own.
    fn introduce_by(
        &mut self,
        id: ParticipantId,
        number: u32,
        socket: Option<OwnedFd>,
        watch: Option<&Arc<Watch>>,
        after: &mut After,
    ) {
        let ward = self.number();
        match (self.families.introduce_by(id, number, ward), socket) {
            (Ok(()), Some(socket)) => self.open(ward, socket, watch, after),
            (Ok(()), None) => self.blame(id, "it introduced a worker without its socket".to_owned()),
            (Err(Breach(fault)), _) => self.blame(id, fault),
        }
    }

    /// Whether an event may have been read before what caused it.
    fn is_early(&self, event: &Event) -> bool {
        match event {
            Event::Attach { queue, .. } => !self.broker.knows(*queue),
            Event::Adopt { parcel } => !self.broker.knows_parcel(*parcel),
            _ => false,
        }
    }

    fn tell(&mut self, id: ParticipantId, event: Event) {
        let Some(link) = self.links.all.get_mut(&id) else { return };
        let question = match event {
            Event::Ask { request, slot, .. } => Some((request, slot)),
            Event::Unask { request } => {
                link.questions.remove(&request);
                None
            }
            _ => None,
        };
        self.is_unsettled = true;
        if let Err(Breach(fault)) = self.broker.handle(id, event, &mut self.links) {
            self.blame(id, fault);
        } else if let Some((request, slot)) = question
            && let Some(link) = self.links.all.get_mut(&id)
        {
            link.questions.insert(request, slot);
        }
    }

    fn blame(&mut self, id: ParticipantId, fault: String) {
        if let Some(link) = self.links.all.get_mut(&id) {
            link.blame(fault);
        }
    }

    /// Blames whoever has scribbled on its board.
    fn judge(&mut self) {
        for link in self.links.all.values_mut() {
            if let Some(nonsense) = link.end.board().nonsense() {
                let nonsense = nonsense.to_owned();
                link.blame(nonsense);
            }
        }
    }

    /// Lets go of those of whom nothing more is wanted.
    fn let_go(&mut self, watch: Option<&Arc<Watch>>, after: &mut After) {
        self.judge();
        let ended = self.links.all.iter().filter(|(_, link)| link.end_of.is_some());
        let ended: Vec<_> = ended.map(|(id, _)| *id).collect();
        for id in ended {
            self.broker.gone(id, &mut self.links);
            self.is_unsettled = true;
            for buried in self.families.gone(id) {
                self.broker.buried(buried);
            }
            let Some(link) = self.links.all.remove(&id) else { continue };
            link.end.set_gone();
            if let (Some(socket), Some(watch)) = (link.end.socket(), watch) {
                watch.remove(socket);
            }
            if let Some(End::Fault(fault)) = &link.end_of {
                after.warn(id, fault.clone());
            }
            after.roused.push(link.end.rouser());
            after.ended.push(link);
        }
    }
}

/// What came of telling the broker.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// Nothing is held back.
    all: bool,
    /// Something was asked.
    questions: bool,
}

/// Collects what a participant wrote.
struct Basket<'a> {
    broker: &'a Broker,
    id: ParticipantId,
    inbox: &'a mut VecDeque<Incoming>,
}

impl Intake for Basket<'_> {
    fn limit(&self, header: &Header, begun: Begun) -> u64 {
        match header.kind {
            // With the table of handles that precedes it.
            Kind::Send => {
                let seat = Seat { participant: self.id, slot: header.slot };
                match self.broker.longest(seat, begun.messages, begun.bytes) {
                    0 => 0,
                    longest => longest.saturating_add(RECORD_LIMIT),
                }
            }
            _ => RECORD_LIMIT,
        }
    }

    fn take(&mut self, incoming: Incoming) -> ControlFlow<()> {
        self.inbox.push_back(incoming);
        ControlFlow::Continue(())
    }
}
