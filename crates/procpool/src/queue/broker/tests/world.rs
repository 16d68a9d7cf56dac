//! Participants, their links and the broker, driven as the hub drives it.

use crate::backend::scheduler::tests::source::Source;
use crate::queue::key::{Key, Shape};

use super::super::Broker;
use super::super::api::*;
use super::client::{Client, Down, Life, Role, named_in};
use super::deck::Deck;
use super::ledger::{Fate, Ledger, ParcelRecord, QueueNo, Whose};

pub(super) struct World {
    pub(super) broker: Broker,
    pub(super) clients: Vec<Client>,
    pub(super) ledger: Ledger,
    pub(super) source: Source,
    pub(super) haste: u64,
    /// Dead ones that their guardians have not buried yet.
    pub(super) unburied: Vec<u32>,
    pub(super) trace: Option<Vec<String>>,
    next_parcel: u128,
}

impl World {
    pub(super) fn new(mut source: Source) -> World {
        let haste = source.of(&[0, 10, 40]);
        World {
            broker: Broker::new(),
            clients: Vec::new(),
            ledger: Ledger::default(),
            source,
            haste,
            unburied: Vec::new(),
            trace: None,
            next_parcel: 1,
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    pub(super) fn with<R>(&mut self, what: impl FnOnce(&mut Broker, &mut Deck<'_>) -> R) -> R {
        let World { broker, clients, ledger, source, haste, .. } = self;
        what(broker, &mut Deck { clients, ledger, source, haste: *haste })
    }

    pub(super) fn create(&mut self, client: usize, shape: Shape) -> QueueNo {
        let queue = self.ledger.queue(shape);
        let client = &mut self.clients[client];
        let slot = client.free_slot();
        let held = client.slots.entry(slot).or_default();
        (held.queue, held.is_sender, held.is_receiver) = (queue, true, true);
        let record = &self.ledger.queues[queue];
        let [sender_key, receiver_key] = record.keys;
        client.up.push_back(Event::Create { slot, queue: record.id, shape, sender_key, receiver_key });
        queue
    }

    pub(super) fn park(&mut self, client: usize, handles: Vec<(QueueNo, Role)>) {
        let key = self.next_parcel;
        self.next_parcel += 1;
        let named = handles.iter().map(|(queue, role)| self.ledger.named(*queue, *role)).collect();
        let parker = client as u32;
        self.ledger.parcels.insert(key, ParcelRecord { whose: Whose::Parker(parker), parker, handles });
        self.clients[client].up.push_back(Event::Park { parcel: Key(key), handles: named });
    }

    pub(super) fn adopt(&mut self, client: usize, key: u128) {
        self.ledger.parcels.get_mut(&key).unwrap().whose = Whose::Adopter(client as u32);
        self.clients[client].up.push_back(Event::Adopt { parcel: Key(key) });
    }

    pub(super) fn unpark(&mut self, client: usize, key: u128, wanted: bool) {
        let parcel = self.ledger.parcels.remove(&key).unwrap();
        for (queue, role) in parcel.handles {
            if wanted {
                self.clients[client].attach(queue, role, &self.ledger);
            }
        }
        self.clients[client].up.push_back(Event::Unpark { parcel: Key(key) });
    }

    pub(super) fn kill(&mut self, id: usize) {
        self.note(|| format!("{id} dies"));
        let client = &mut self.clients[id];
        client.life = Life::Dead;
        for held in client.slots.values_mut() {
            for (_, message) in std::mem::take(&mut held.in_hand) {
                self.ledger.returned(message);
            }
        }
        self.ledger.parcels.retain(|_, parcel| parcel.whose != Whose::Adopter(id as u32));
        self.unburied.push(id as u32);
    }

    pub(super) fn bury(&mut self, which: usize) {
        let id = self.unburied[which];
        if self.clients[id as usize].life == Life::Gone {
            self.unburied.remove(which);
            self.note(|| format!("{id} is buried"));
            self.ledger.parcels.retain(|_, parcel| parcel.parker != id || matches!(parcel.whose, Whose::Adopter(_)));
            self.broker.buried(ParticipantId(id));
        }
    }

    /// Whether what caused this event may be unread yet.
    fn is_early(&self, event: &Event) -> bool {
        match event {
            Event::Attach { queue, .. } => !self.broker.knows(*queue),
            Event::Adopt { parcel } => !self.broker.knows_parcel(*parcel),
            _ => false,
        }
    }

    /// Tells the broker the next thing that a participant wrote. Gives back whether there was one that could be told.
    fn tell(&mut self, id: usize) -> bool {
        if self.clients[id].life == Life::Gone {
            return false;
        }
        let is_causeless = match self.clients[id].up.front() {
            None => return false,
            Some(event) => self.is_early(event),
        };
        if is_causeless {
            let others = self.clients.iter().enumerate().filter(|(other, _)| *other != id);
            let caused = others.clone().any(|(_, other)| {
                other.up.iter().any(|event| match (event, self.clients[id].up.front()) {
                    (Event::Create { queue, .. }, Some(Event::Attach { queue: wanted, .. })) => queue == wanted,
                    (Event::Park { parcel, .. }, Some(Event::Adopt { parcel: wanted })) => parcel == wanted,
                    _ => false,
                })
            });
            if caused {
                return false;
            }
        }
        let Some(event) = self.clients[id].up.pop_front() else { return false };
        self.note(|| format!("{id} wrote {event:?}"));
        let told = self.with(|broker, deck| broker.handle(ParticipantId(id as u32), event, deck));
        if let Err(Breach(why)) = told {
            assert_eq!(self.clients[id].life, Life::Mad, "{id} is honest, and is blamed: {why}");
            self.cut(id);
        }
        true
    }

    fn cut(&mut self, id: usize) {
        self.ledger.seen.cuts += 1;
        self.clients[id].up.clear();
        self.kill(id);
        self.let_go(id);
    }

    /// A dead one whose link has been read is gone.
    fn let_go(&mut self, id: usize) {
        self.with(|broker, deck| broker.gone(ParticipantId(id as u32), deck));
        self.clients[id].life = Life::Gone;
        self.note(|| format!("{id} is gone"));
    }

    /// Reads something of what has been written, and decides.
    pub(super) fn turn(&mut self, all: bool) {
        if all {
            self.read_all();
        } else {
            for _ in 0..self.source.pick(6) {
                let id = self.source.pick(self.clients.len() as u64) as usize;
                for _ in 0..self.source.pick(4) {
                    self.tell(id);
                }
                if self.source.chance(10) {
                    self.bury_read(id);
                }
            }
        }
        self.settle();
    }

    fn bury_read(&mut self, id: usize) {
        if self.clients[id].life == Life::Dead && self.clients[id].up.is_empty() {
            self.let_go(id);
        }
    }

    fn read_all(&mut self) {
        self.ledger.mark = self.ledger.serial;
        // What is written while this reads is not needed.
        let mut left: Vec<_> = self.clients.iter().map(|client| client.up.len()).collect();
        let mut progress = true;
        while progress {
            progress = false;
            for (id, left) in left.iter_mut().enumerate() {
                while *left > 0 && self.tell(id) {
                    *left = (*left - 1).min(self.clients[id].up.len());
                    progress = true;
                }
            }
        }
        for id in 0..self.clients.len() {
            self.bury_read(id);
        }
    }

    fn settle(&mut self) {
        let mut actions = Vec::new();
        for round in 0.. {
            assert!(round < 1_000, "it never comes to rest");
            let settled = self.with(|broker, deck| broker.settle(deck, &mut actions));
            self.carry_out(&mut actions);
            if settled == Settled::Done {
                break;
            }
            self.read_all();
            self.ledger.seen.confirms += 1;
            let settled = self.with(|broker, deck| broker.confirm(deck, &mut actions));
            self.carry_out(&mut actions);
            if settled == Settled::Done {
                break;
            }
        }
        self.ledger.check_capacity(&self.clients);
    }

    fn carry_out(&mut self, actions: &mut Vec<Action>) {
        self.do_all(actions);
        self.ledger.taken_back.clear();
    }

    fn do_all(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            if let Some(trace) = &mut self.trace {
                trace.push(format!("  {action:?}"));
            }
            match action {
                Action::Deliver { seat, delivery, message, redelivered } => {
                    let client = &mut self.clients[seat.participant.0 as usize];
                    let handles = !message.handles.is_empty();
                    let message = named_in(&message.body);
                    self.ledger.delivered(seat, delivery, message);
                    client.down.push_back(Down::Deliver { slot: seat.slot, delivery, message, redelivered, handles });
                }
                Action::Answer { participant, request, value } => {
                    let client = &mut self.clients[participant.0 as usize];
                    assert_ne!(client.life, Life::Gone, "an answer for one who is gone");
                    if let Some((queue, question)) = client.questions.get(&request) {
                        self.ledger.check_answer(*queue, *question, value);
                    }
                    client.down.push_back(Down::Answer { request, value });
                }
                Action::Freed { seat } => {
                    self.ledger.delivered.remove(&seat);
                    self.clients[seat.participant.0 as usize].down.push_back(Down::Freed { slot: seat.slot });
                }
                Action::CutOff { participant, why } => {
                    let id = participant.0 as usize;
                    assert_eq!(self.clients[id].life, Life::Mad, "{id} is honest, and is cut off: {why}");
                    self.cut(id);
                }
            }
        }
    }

    /// Reads and does everything that is to be read and done, until nothing happens any more.
    pub(super) fn rest(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it never comes to rest");
            let cuts = self.ledger.seen.cuts;
            self.turn(true);
            let mut any = self.ledger.seen.cuts > cuts;
            for client in &mut self.clients {
                if client.life == Life::Mad && client.up.is_empty() {
                    client.life = Life::Dead;
                    self.unburied.push(client.id);
                }
                any |= !client.up.is_empty() && client.life != Life::Gone;
                if client.life == Life::Alive {
                    while client.read(&mut self.ledger) {
                        any = true;
                    }
                    for slot in client.slots.keys().copied().collect::<Vec<_>>() {
                        let before = client.up.len() + client.slots[&slot].ready.len();
                        client.try_receivers(slot, &mut self.ledger);
                        client.try_senders(slot, &self.ledger);
                        any |= client.up.len() + client.slots[&slot].ready.len() != before;
                    }
                }
            }
            if !any && self.clients.iter().all(|client| client.life != Life::Dead) {
                return;
            }
        }
    }

    pub(super) fn some_alive(&mut self) -> Option<usize> {
        let alive = self.clients.iter().filter(|client| client.life == Life::Alive);
        let alive: Vec<_> = alive.map(|client| client.id as usize).collect();
        if alive.is_empty() { None } else { Some(self.source.of(&alive)) }
    }
}

impl Ledger {
    fn check_answer(&mut self, queue: QueueNo, question: Question, value: u64) {
        if question == Question::Join {
            self.seen.joins += 1;
            let left = self.messages.iter().filter(|message| message.queue == queue && message.serial <= self.mark);
            let mut left = left.filter(|message| matches!(message.fate, Fate::Sent | Fate::InHand));
            assert!(left.next().is_none(), "joined queue {queue}, and something is left");
        }
        if matches!(question, Question::Room { .. } | Question::Message) && value == 1 {
            self.seen.offers += 1;
        }
    }
}
