//! Random worlds by the thousand.
//!
//! `PROCPOOL_SIM_SEED=<n>` replays one world with its trace, `PROCPOOL_SIM_ROUNDS=<n>` runs so many,
//! and `PROCPOOL_SIM_FIRST=<n>` others than the first ones.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::super::*;
use super::ledger::{Ledger, ReservationRecord, ms};
use super::source::Source;
use super::world::{Faults, World};

/// A world with everything chosen by `source`.
pub(super) fn world(mut source: Source) -> World {
    let s = &mut source;
    let min_workers = s.of(&[0, 0, 1, 2]);
    let config = SchedulerConfig {
        min_workers,
        max_workers: (1 + s.pick(4) as u32).max(min_workers),
        spares: s.of(&[0, 0, 1, 2]),
        queue_limit: s.of(&[4, 8, 2, 1, 0]),
        waiting_limit: s.of(&[4, 8, 1, 0]),
        ageing: s.of(&[Duration::MAX, ms(1), ms(30), ms(0)]),
        idle_timeout: s.of(&[None, Some(ms(40)), Some(ms(200))]),
        max_tasks: s.of(&[None, None, Some(1), Some(3)]),
        start_limit: ms(50),
        init_limit: ms(50),
        exit_limit: s.of(&[ms(50), ms(200)]),
        claim_limit: s.of(&[ms(20), ms(100), ms(4)]),
        max_offers: s.of(&[3, 1, 2]),
        max_depth: s.of(&[64, 1, 2, 8]),
        start_failures: s.of(&[3, 1, 2]),
        backoff: s.of(&[ms(10), ms(0)]),
        max_backoff: s.of(&[ms(80), ms(15)]),
    };
    let faults = Faults {
        spawn: s.of(&[0, 0, 0, 5, 40, 95]),
        start: s.of(&[0, 0, 0, 5, 40, 90]),
        silent: s.of(&[0, 0, 5, 30]),
        crash: s.of(&[0, 10, 40]),
        hang: s.of(&[0, 5, 30]),
        lie: s.of(&[0, 5, 20]),
        slow: s.of(&[30, 3, 1]),
        stray: s.of(&[0, 5, 30]),
        lots: s.of(&[0, 0, 20, 60, 95]),
    };
    World::new(config, faults, source)
}

fn options(world: &mut World, admission: Admission) -> TaskOptions {
    let s = &mut world.source;
    let left = if s.chance(6) { Some(s.of(&[ms(150), ms(30), ms(0)])) } else { None };
    let deadline = left.map(|left| Deadline { left, whole: ms(7) });
    TaskOptions {
        placement: if s.chance(10) { Placement::Dedicated } else { Placement::Shared },
        admission,
        priority: s.of(&[0, 0, 1, -1]),
        retries: s.of(&[0, 0, 1, 2]),
        run_limit: s.of(&[None, Some(ms(15)), Some(ms(50)), Some(Duration::MAX), Some(ms(0))]),
        queue_limit: s.of(&[None, None, None, None, Some(ms(5)), Some(ms(40)), Some(ms(200)), Some(ms(0))]),
        grace: s.of(&[ms(0), ms(0), ms(10), ms(60)]),
        deadline,
        batch: s.of(&[Batch::One, Batch::One, Batch::Auto, Batch::UpTo(2), Batch::UpTo(5), Batch::UpTo(64)]),
    }
}

/// What a map asks for.
fn lot_options(world: &mut World) -> TaskOptions {
    TaskOptions {
        placement: Placement::Shared,
        admission: Admission::Bounded,
        retries: 0,
        run_limit: None,
        queue_limit: None,
        batch: LOTS_IN_HAND,
        ..options(world, Admission::Bounded)
    }
}

fn some_task(world: &mut World) -> Option<TaskId> {
    let all: Vec<_> = world.ledger.unresolved.iter().copied().collect();
    if all.is_empty() { None } else { Some(world.source.of(&all)) }
}

fn some_reservation(world: &mut World, which: impl Fn(&ReservationRecord) -> bool) -> Option<ReservationId> {
    let all: Vec<_> = world.ledger.reservations.iter().filter(|(_, record)| which(record)).map(|(&id, _)| id).collect();
    if all.is_empty() { None } else { Some(world.source.of(&all)) }
}

fn closing(world: &mut World) -> Closing {
    let deadline = world.now.after(ms(world.source.pick(100)));
    let drain = Closing::Drain { deadline: None };
    let timed = Closing::Drain { deadline: Some(deadline) };
    let drop = Closing::DropQueued { deadline: None };
    let timed_drop = Closing::DropQueued { deadline: Some(deadline) };
    world.source.of(&[drain, timed, drop, timed_drop, Closing::Kill])
}

/// One thing that a user does.
fn act(world: &mut World) {
    match world.source.pick(50) {
        0..20 => {
            if world.source.chance(world.faults.lots) {
                let options = lot_options(world);
                let items = world.source.of(&[1, 2, 3, 5, 9, 20]);
                world.submit_lot(options, items);
                return;
            }
            let admission = world.source.of(&[Admission::Wait, Admission::Wait, Admission::Bounded]);
            let options = options(world, admission);
            world.submit(options);
        }
        20..29 => {
            if let Some(task) = some_task(world) {
                let why = world.source.of(&[CancelReason::Dropped, CancelReason::Aborted, CancelReason::Token]);
                let task = world.ledger.known_as(task);
                world.tell(Event::Cancel { task, why });
            }
        }
        29..32 | 40..46 => {
            let limit = world.source.of(&[None, None, Some(ms(10)), Some(ms(100)), Some(ms(0))]);
            let priority = world.source.of(&[0, 0, 1, -1]);
            let wait = Patience::Wait { priority, limit };
            let patience = world.source.of(&[Patience::None, wait, wait]);
            world.reserve(patience);
        }
        32..34 => {
            if let Some(place) = some_reservation(world, |reservation| reservation.held) {
                let options = options(world, Admission::Reserved(place));
                world.submit(options);
            }
        }
        34..36 => {
            if let Some(reservation) = some_reservation(world, |_| true) {
                world.tell(Event::Unreserve { reservation });
            }
        }
        36 => {
            let min = world.source.pick(3) as u32;
            let max = (1 + world.source.pick(5) as u32).max(min);
            world.tell(Event::Resize { min, max });
        }
        37 => {
            // The pool is older than it seems: any number may be next.
            world.scheduler.next_offer += world.source.pick(128);
            world.tell(Event::Warm);
        }
        38 if world.source.chance(world.faults.stray) => world.stray(),
        46..50 => {
            if let Some(task) = some_task(world) {
                world.ledger.try_add(task);
            }
        }
        39 if world.source.chance(10) => {
            let how = closing(world);
            world.tell(Event::Close { how });
        }
        _ => {}
    }
}

/// Lets the world run until nothing happens any more.
fn settle(world: &mut World) {
    let mut vain = 0;
    while !world.is_at_rest() && world.step() {
        let before = world.acted;
        let tick = world.scheduler.next_deadline();
        vain = if world.acted == before && tick.is_some() { vain + 1 } else { 0 };
        assert!(vain < 2_000, "it never comes to rest");
    }
}

/// A whole life, from the first task to the end.
pub(super) fn live(world: &mut World, deeds: u64) {
    for _ in 0..deeds {
        act(world);
        for _ in 0..world.source.pick(14) {
            if !world.is_at_rest() {
                world.step();
            }
        }
    }
    // The faults go on: rest must come in a bad world too, as long as it is not all bad.
    world.faults.spawn = world.faults.spawn.min(40);
    world.faults.start = world.faults.start.min(40);
    // Half of the pools are closed in the midst of their work.
    if !world.source.chance(50) {
        settle(world);
        // Places that nobody fills must be given back before we ask who waits in vain.
        while let Some(reservation) = some_reservation(world, |_| true) {
            world.tell(Event::Unreserve { reservation });
        }
        settle(world);
        if !world.ledger.closing {
            world.check_quiet();
        }
    }
    let how = closing(world);
    world.tell(Event::Close { how });
    settle(world);
    if !world.ledger.closed {
        // Somebody runs for ever, and nobody said that there is an end to patience.
        assert!(!world.ledger.unresolved.is_empty(), "nothing left, and not closed");
        world.tell(Event::Close { how: Closing::Kill });
        settle(world);
    }
    assert!(world.ledger.closed && world.ledger.unresolved.is_empty());
    assert_eq!(world.scheduler.next_deadline(), None);
    assert!(world.ledger.reservations.is_empty(), "somebody waits for a place in a closed pool");
    let options = options(world, Admission::Wait);
    world.submit(options);
    world.tell(Event::Close { how: Closing::Kill });
    assert!(world.ledger.unresolved.is_empty(), "a closed pool answers");
}

/// As [`live`], with the end of the trace (if one is kept) when a promise was broken.
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

/// How many events there were, and how often there was what.
fn round(seed: u64, trace: bool) -> (u64, [u64; KINDS]) {
    let mut world = world(Source::Seed(seed));
    world.trace = trace.then(Vec::new);
    if let Err(panic) = run(&mut world, 60) {
        eprintln!("to see it again: PROCPOOL_SIM_SEED={seed} cargo test -p procpool --lib scheduler::tests::sim");
        resume_unwind(panic);
    }
    let counts = world.scheduler.counts();
    let Ledger { granted, ahead, reclaimed, lots, .. } = &world.ledger;
    let seen = [
        counts.replied,
        counts.cancelled,
        counts.timed_out,
        counts.queue_timed_out,
        counts.worker_died,
        counts.queue_full,
        counts.unavailable,
        counts.shut_down,
        counts.retried,
        *granted,
        *ahead,
        *reclaimed,
        lots.seen.answered,
        lots.seen.blamed,
        lots.seen.unknown,
        lots.seen.spared,
        lots.seen.parts,
        lots.seen.whole,
    ];
    (world.events, seen)
}

const KINDS: usize = 18;

/// Enough for a million events, in a few seconds.
const ROUNDS: u64 = 6_000;

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
    let mut events = 0;
    // A simulation proves nothing about what never happened in it.
    let mut seen = [0; KINDS];
    for seed in first..first + rounds {
        let (more, kinds) = round(seed, false);
        events += more;
        seen.iter_mut().zip(kinds).for_each(|(sum, n)| *sum += n);
    }
    println!("{rounds} worlds from seed {first} on, {events} events, {seen:?} of each kind");
    assert!(rounds < ROUNDS || events >= 1_000_000, "only {events} events");
    assert!(rounds < ROUNDS || seen.iter().all(|&n| n >= 500), "too few of a kind: {seen:?}");
}

mod short {
    use proptest::prelude::*;

    use super::{Source, run, world};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        /// The same worlds, driven by bytes: what fails here is shrunk to a schedule short enough to read.
        #[test]
        fn short_schedules_keep_all_promises(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut world = world(Source::Bytes { bytes, at: 0 });
            world.trace = Some(Vec::new());
            prop_assert!(run(&mut world, 8).is_ok(), "see the trace");
        }
    }
}
