//! Random worlds by the thousand.
//!
//! `PROCPOOL_SIM_SEED=<n>` replays one world with its trace, `PROCPOOL_SIM_ROUNDS=<n>` runs so many,
//! and `PROCPOOL_SIM_FIRST=<n>` others than the first ones.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::backend::scheduler::tests::source::Source;
use crate::queue::key::{QueueId, Role, Shape};

use super::super::api::*;
use super::client::{Client, Life};
use super::ledger::{Seen, Whose};
use super::world::World;

fn join_world(world: &mut World) {
    if world.clients.len() < 12 {
        let id = world.clients.len() as u32;
        world.clients.push(Client::new(id));
    }
}

fn shape(world: &mut World) -> Shape {
    let capacity = world.source.of(&[1, 2, 3, 5, 40]);
    let bytes = world.source.of(&[None, None, Some(40), Some(100)]);
    Shape { capacity, bytes, max_message: world.source.of(&[1000, 64]) }
}

fn some_slot(world: &mut World, id: usize, role: Role) -> Option<u32> {
    let slots = world.clients[id].slots.iter();
    let slots = slots.filter(|(_, held)| if role == Role::Sender { held.is_sender } else { held.is_receiver });
    let slots: Vec<_> = slots.map(|(slot, _)| *slot).collect();
    if slots.is_empty() { None } else { Some(world.source.of(&slots)) }
}

/// Some handles that this one holds, of queues that were made after `after`: a queue that keeps itself alive is kept for ever.
fn some_handles(world: &mut World, id: usize, after: Option<usize>) -> Vec<(usize, Role)> {
    let mut all = Vec::new();
    for held in world.clients[id].slots.values() {
        if after.is_none_or(|after| held.queue > after) {
            all.extend(held.is_sender.then_some((held.queue, Role::Sender)));
            all.extend(held.is_receiver.then_some((held.queue, Role::Receiver)));
        }
    }
    all.retain(|_| world.source.chance(50));
    all
}

/// One thing that one of them does.
fn act(world: &mut World) {
    let Some(id) = world.some_alive() else { return join_world(world) };
    let flow = world.source.chance(world.flow);
    let what = if flow { world.source.of(&[24, 0, 0, 14, 14, 24, 30]) } else { world.source.pick(64) };
    let sender = some_slot(world, id, Role::Sender);
    let receiver = some_slot(world, id, Role::Receiver);
    let World { clients, ledger, source, .. } = world;
    let client = &mut clients[id];
    match (what, sender, receiver) {
        (0..14, Some(slot), _) => {
            let queue = client.slots[&slot].queue;
            let shape = ledger.queues[queue].shape;
            let most = shape.max_message.min(shape.bytes.unwrap_or(64)).min(64);
            let bytes = source.of(&[8, 8, 16, 40, 64]).min(most);
            let handles = if source.chance(15) { some_handles(world, id, Some(queue)) } else { Vec::new() };
            let message = world.ledger.message(queue, bytes, handles);
            world.clients[id].send(slot, message, &world.ledger);
        }
        (14..20, Some(slot), _) if !client.slots[&slot].ready.is_empty() => {
            let which = source.pick(client.slots[&slot].ready.len() as u64) as usize;
            client.commit(slot, which, ledger);
        }
        (20..22, Some(slot), _) if !client.slots[&slot].waiting.is_empty() => {
            let which = source.pick(client.slots[&slot].waiting.len() as u64) as usize;
            client.cancel_send(slot, which, ledger);
        }
        (22, Some(slot), _) if !client.slots[&slot].ready.is_empty() => client.give_up(slot, 0),
        (23, Some(slot), _) => {
            let question = source.of(&[Question::Room { bytes: 8 }, Question::Len, Question::Join]);
            client.ask(slot, question);
        }
        (24..36, _, Some(slot)) => client.receive(slot, ledger),
        (36..38, _, Some(slot)) if client.slots[&slot].entry.receivers > 0 => client.cancel_receive(slot),
        (38..42, _, Some(slot)) if !client.slots[&slot].in_hand.is_empty() => {
            let which = source.pick(client.slots[&slot].in_hand.len() as u64) as usize;
            let is_done = !source.chance(30);
            client.finish(slot, which, is_done, ledger);
        }
        (42, _, Some(slot)) => client.ask(slot, source.of(&[Question::Message, Question::Len, Question::Join])),
        (43, _, Some(slot)) => {
            let held = client.slots.get_mut(&slot).unwrap();
            held.is_acked = !held.is_acked;
        }
        (44, Some(slot), _) if source.chance(20) => {
            client.up.push_back(Event::Close { slot });
            ledger.queues[client.slots[&slot].queue].is_closed = true;
        }
        (45, Some(slot), _) if source.chance(60) => client.detach(slot, Role::Sender, ledger),
        (46, _, Some(slot)) if source.chance(60) => client.detach(slot, Role::Receiver, ledger),
        // It gives another one some of what it has: that one attaches itself before this one lets go.
        (47..50, ..) => {
            let handles = some_handles(world, id, None);
            if let Some(other) = world.some_alive() {
                for (queue, role) in handles {
                    world.clients[other].attach(queue, role, &world.ledger);
                }
            }
        }
        (50, ..) => {
            let handles = some_handles(world, id, None);
            world.park(id, handles);
        }
        (51..53, ..) => {
            let parcels = ledger.parcels.iter().filter(|(_, parcel)| matches!(parcel.whose, Whose::Parker(_)));
            let parcels: Vec<_> = parcels.map(|(key, _)| *key).collect();
            if !parcels.is_empty() {
                let key = source.of(&parcels);
                world.adopt(id, key);
            }
        }
        (53..55, ..) => {
            let parcels = ledger.parcels.iter().filter(|(_, parcel)| parcel.whose == Whose::Adopter(id as u32));
            if let Some(key) = parcels.map(|(key, _)| *key).next() {
                let wanted = source.chance(70);
                world.unpark(id, key, wanted);
            }
        }
        (55, ..) if world.ledger.queues.len() < 6 => {
            let shape = shape(world);
            world.create(id, shape);
        }
        (60, ..) => {
            if let Some(&request) = client.questions.keys().next() {
                client.unask(request);
            }
        }
        (56, ..) => join_world(world),
        (57, ..) if world.source.chance(40) => world.kill(id),
        (58, ..) if world.source.chance(20) => go_mad(world, id),
        (59, ..) if !world.unburied.is_empty() => {
            let which = world.source.pick(world.unburied.len() as u64) as usize;
            world.bury(which);
        }
        _ => {}
    }
}

/// From here on it cannot be believed.
fn go_mad(world: &mut World, id: usize) {
    // What it has claimed so far is known: of what cannot be believed, the broker takes nothing to be claimed.
    let haste = std::mem::take(&mut world.haste);
    let client = &mut world.clients[id];
    for slot in client.slots.iter().filter(|(_, held)| !held.is_left).map(|(slot, _)| *slot) {
        client.up.push_back(Event::Look { slot });
    }
    world.turn(true);
    world.haste = haste;
    let (sender, receiver) = (some_slot(world, id, Role::Sender), some_slot(world, id, Role::Receiver));
    let World { clients, ledger, source, .. } = world;
    let client = &mut clients[id];
    match (source.pick(8), sender, receiver) {
        (0, Some(slot), _) => {
            client.slots.get_mut(&slot).unwrap().entry.credits += 1_000;
            client.up.push_back(Event::Look { slot });
        }
        (1, _, Some(slot)) => {
            let entry = &mut client.slots.get_mut(&slot).unwrap().entry;
            entry.next = entry.limit + 5;
            client.up.push_back(Event::Look { slot });
        }
        (2, ..) => client.up.push_back(Event::Look { slot: 77 }),
        (3, ..) => client.up.push_back(Event::Detach { slot: 78, role: Role::Sender }),
        (4, Some(slot), _) => {
            let body = vec![0; 5_000].into();
            client.up.push_back(Event::Send { slot, message: Message { body, handles: Vec::new() } });
        }
        (5, _, Some(slot)) => client.up.push_back(Event::Ack { slot, delivery: 1 << 40 }),
        (6, ..) => {
            let Shape { .. } = ledger.queues[0].shape;
            let shape = Shape { capacity: 0, bytes: None, max_message: 1 };
            let [sender_key, receiver_key] = ledger.queues[0].keys;
            client.up.push_back(Event::Create { slot: 79, queue: QueueId(1 << 50), shape, sender_key, receiver_key });
        }
        _ => client.up.push_back(Event::Attach {
            slot: 5_000,
            queue: QueueId(1),
            role: Role::Sender,
            key: ledger.queues[0].keys[0],
        }),
    }
    // What it has in hand or wrote is as if it had died.
    world.kill(id);
    world.unburied.pop();
    world.clients[id].life = Life::Mad;
    world.note(|| format!("{id} goes mad"));
}

/// The participants do what they can do by themselves.
fn stir(world: &mut World) {
    let Some(id) = world.some_alive() else { return };
    let World { clients, ledger, source, .. } = world;
    let client = &mut clients[id];
    for _ in 0..source.pick(4) {
        client.read(ledger);
    }
    for slot in client.slots.keys().copied().collect::<Vec<_>>() {
        if source.chance(60) {
            client.try_receivers(slot, ledger);
        }
        if source.chance(60) {
            client.try_senders(slot, ledger);
        }
        if source.chance(30) {
            client.open(slot, ledger);
        }
    }
}

fn live(world: &mut World, deeds: u64) {
    for _ in 0..2 + world.source.pick(4) {
        join_world(world);
    }
    let first = shape(world);
    world.create(0, first);
    for _ in 0..deeds {
        for _ in 0..1 + world.source.pick(3) {
            act(world);
        }
        match world.source.pick(8) {
            0..3 => world.turn(false),
            3 => world.turn(true),
            4 if world.source.chance(20) => {
                world.rest();
                world.check_rest();
            }
            _ => stir(world),
        }
    }
    world.rest();
    world.check_rest();
    world.end();
}

fn run(world: &mut World, deeds: u64) -> std::thread::Result<()> {
    let result = catch_unwind(AssertUnwindSafe(|| live(world, deeds)));
    if result.is_err() {
        let trace = world.trace.iter().flatten();
        for line in trace.clone().skip(trace.count().saturating_sub(400)) {
            eprintln!("{line}");
        }
    }
    result
}

fn round(seed: u64, trace: bool) -> Seen {
    let mut world = World::new(Source::Seed(seed));
    world.trace = trace.then(Vec::new);
    if let Err(panic) = run(&mut world, 150) {
        eprintln!("to see it again: PROCPOOL_SIM_SEED={seed} cargo test -p procpool --lib broker::tests::sim");
        resume_unwind(panic);
    }
    world.ledger.seen
}

/// A few seconds.
const ROUNDS: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_worlds_keep_all_promises() {
    if let Some(seed) = number("PROCPOOL_SIM_SEED") {
        round(seed, true);
        return;
    }
    let (first, rounds) = (number("PROCPOOL_SIM_FIRST").unwrap_or(0), number("PROCPOOL_SIM_ROUNDS").unwrap_or(ROUNDS));
    let mut sums = [0; 12];
    for seed in first..first + rounds {
        let Seen {
            claims,
            returned,
            moved,
            dropped,
            taken_back,
            drained,
            joins,
            cuts,
            handles,
            jumps,
            confirms,
            offers,
        } = round(seed, false);
        let seen =
            [claims, returned, moved, dropped, taken_back, drained, joins, cuts, handles, jumps, confirms, offers];
        sums.iter_mut().zip(seen).for_each(|(sum, n)| *sum += n);
    }
    println!("{rounds} worlds from seed {first} on, {sums:?} of each kind");
    assert!(rounds < ROUNDS || sums.iter().all(|&n| n >= 30), "too few of a kind: {sums:?}");
}

mod short {
    use proptest::prelude::*;

    use super::{Source, World, run};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        /// The same worlds, driven by bytes: what fails here is shrunk to a schedule short enough to read.
        #[test]
        fn short_schedules_keep_all_promises(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut world = World::new(Source::Bytes { bytes, at: 0 });
            world.trace = Some(Vec::new());
            prop_assert!(run(&mut world, 30).is_ok(), "see the trace");
        }
    }
}
