//! How many workers there are, who stays and who goes.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

fn slots(pool: &Puppet) -> Vec<u32> {
    pool.scheduler.workers().map(|view| view.worker.slot).collect()
}

/// Behaviour 30.
#[test]
fn between_minimum_and_maximum_and_back() {
    let limits = SchedulerConfig { min_workers: 2, idle_timeout: Some(ms(1_000)), ..config(4) };
    let mut pool = Puppet::new(limits);
    assert_eq!(pool.tell(Event::Warm), ["spawn 0.0 Shared", "spawn 1.0 Shared"]);
    assert_eq!(pool.ready(w(0)), NOTHING);
    assert_eq!(pool.ready(w(1)), ["warm"]);
    let mut counts = Vec::new();
    for task in 0..5 {
        pool.submit(PLAIN);
        if task == 2 || task == 3 {
            pool.ready(w(task));
        }
        counts.push(slots(&pool).len());
    }
    assert_eq!(counts, [2, 2, 3, 4, 4]);
    for slot in [0, 1, 2, 3, 0] {
        pool.reply(w(slot));
    }
    // The claim watch finds nothing to watch.
    assert_eq!(pool.tick(500), NOTHING);
    assert_eq!(pool.tick(500), ["retire 3.0", "retire 2.0"]);
    pool.exited(w(2), None);
    pool.exited(w(3), None);
    assert_eq!(slots(&pool), [0, 1]);
    assert_eq!(pool.scheduler.next_deadline(), None);
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    assert_eq!(pool.submit(PLAIN), ["spawn 2.1 Shared"]);
    assert_eq!(pool.submit(PLAIN), ["spawn 3.1 Shared"]);
}

/// Behaviour 33.
#[test]
fn a_worker_ends_after_its_tasks_and_is_replaced_at_once() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { max_tasks: Some(3), ..config(1) });
    for task in 1..3 {
        pool.submit(PLAIN);
        assert_eq!(pool.reply(w(0))[0], format!("t{task} replied"));
        if task == 1 {
            continue;
        }
        // The third answer was its last.
        assert_eq!(pool.scheduler.workers().next().unwrap().phase, WorkerPhase::Retiring);
    }
    assert_eq!(pool.submit(PLAIN), ["spawn 1.0 Shared"]);
    // Its exit hook hangs.
    pool.ready(w(1));
    assert_eq!(pool.tick(500), ["inspect 1.0"]);
    pool.evidence(w(1), pool.claimed());
    assert_eq!(pool.tick(2_500), ["kill 0.0, it did not end within 3s"]);
    assert_eq!(pool.exited(w(0), None), NOTHING);
}

/// Its answer to the present task counts; the next one goes to another.
#[test]
fn a_worker_that_is_worn_is_replaced_once_it_has_answered() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    assert_eq!(pool.tell(Event::Worn { worker: w(0) }), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "retire 0.0", "spawn 1.0 Shared"]);
    assert_eq!(pool.ready(w(1)), ["offer 1.0 t2"]);
    assert_eq!(pool.exited(w(0), None), NOTHING);
    pool.reply(w(1));
    // Told in idleness, it goes at once.
    assert_eq!(pool.tell(Event::Worn { worker: w(1) }), ["retire 1.0"]);
    assert_eq!(pool.submit(PLAIN), ["spawn 0.1 Shared"]);
}

#[test]
fn slow_exit_hooks_do_not_let_processes_pile_up() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { max_tasks: Some(1), ..config(1) });
    assert_eq!(pool.submit(PLAIN), ["spawn 1.0 Shared"]);
    pool.ready(w(1));
    assert_eq!(pool.reply(w(1)), ["t1 replied", "retire 1.0"]);
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.exited(w(0), None), ["spawn 0.1 Shared"]);
}

/// Behaviour 35.
#[test]
fn a_pool_whose_workers_never_get_ready_gives_up_and_says_why() {
    let mut pool = Puppet::new(config(4));
    assert_eq!(pool.submit(PLAIN), ["spawn 0.0 Shared"]);
    assert_eq!(pool.exited(w(0), None), NOTHING);
    let again = |generation| WorkerId { slot: 0, generation };
    assert_eq!(pool.tick(100), ["spawn 0.1 Shared"]);
    // One at a time while it fails.
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.tell(Event::SpawnFailed { worker: again(1), death: "EAGAIN" }), NOTHING);
    assert_eq!(pool.tick(200), ["spawn 0.2 Shared"]);
    pool.tell(Event::Booted { worker: again(2) });
    let refused = ["t0 start failed 3: SIGSEGV", "t1 start failed 3: SIGSEGV"];
    assert_eq!(pool.exited(again(2), None), refused);
    // During the pause everybody is told at once; after it one more is tried.
    assert_eq!(pool.submit(PLAIN), ["t2 start failed 3: SIGSEGV"]);
    assert!(matches!(pool.try_reserve(), Err(Refused::Unavailable(_))));
    assert_eq!(pool.tell(Event::Warm).last().map(String::as_str), Some("warm"));
    assert_eq!(pool.tick(300), NOTHING);
    assert_eq!(pool.scheduler.next_deadline(), None);
    assert_eq!(pool.submit(PLAIN), ["spawn 0.3 Shared"]);
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.exited(again(3), None), ["t3 start failed 4: SIGSEGV", "t4 start failed 4: SIGSEGV"]);
    pool.tick(300);
    assert_eq!(pool.submit(PLAIN), ["spawn 0.4 Shared"]);
    assert_eq!(pool.submit(PLAIN), NOTHING);
    // All is well again, and grows as usual.
    assert_eq!(pool.ready(again(4)), ["offer 0.4 t5", "spawn 1.0 Shared"]);
}

/// Behaviour 36.
#[test]
fn one_failed_start_of_five_costs_nobody_anything() {
    let mut pool = Puppet::new(SchedulerConfig { start_failures: 1, ..config(5) });
    for _ in 0..5 {
        pool.submit(PLAIN);
    }
    assert_eq!(pool.tell(Event::SpawnFailed { worker: w(3), death: "EAGAIN" }), NOTHING);
    for slot in [0, 1, 2, 4] {
        pool.ready(w(slot));
    }
    assert_eq!(pool.scheduler.counts().unavailable, 0);
    assert_eq!(pool.reply(w(0)), ["t0 replied", "offer 0.0 t4"]);
}

#[test]
fn a_minimum_that_cannot_be_had_is_said_and_let_be() {
    let mut pool = Puppet::new(SchedulerConfig { min_workers: 1, start_failures: 2, ..config(2) });
    assert_eq!(pool.tell(Event::Warm), ["spawn 0.0 Shared"]);
    pool.exited(w(0), None);
    assert_eq!(pool.tick(100), ["spawn 0.1 Shared"]);
    let second = WorkerId { slot: 0, generation: 1 };
    let told = pool.exited(second, None);
    assert_eq!(told, ["not warm: StartFailed { failures: 2, death: \"SIGSEGV\" }"]);
    assert_eq!(pool.tick(200), NOTHING);
    assert_eq!(pool.scheduler.next_deadline(), None);
    assert_eq!(pool.tell(Event::Warm), ["spawn 0.2 Shared"]);
    assert_eq!(pool.ready(WorkerId { slot: 0, generation: 2 }), ["warm"]);
    // From now on it is kept.
    assert_eq!(pool.exited(WorkerId { slot: 0, generation: 2 }, None), NOTHING);
    assert_eq!(pool.tick(100), ["spawn 0.3 Shared"]);
}

/// Something that the initialiser left running may end each worker a moment after it is ready.
#[test]
fn a_worker_that_dies_idle_before_its_first_task_is_replaced_after_a_pause() {
    let mut pool = Puppet::new(SchedulerConfig { min_workers: 1, ..config(1) });
    pool.tell(Event::Warm);
    for generation in 0..5 {
        let worker = WorkerId { slot: 0, generation };
        assert_eq!(pool.ready(worker), if generation == 0 { vec!["warm"] } else { vec![] });
        assert_eq!(pool.exited(worker, None), NOTHING);
        assert_eq!(pool.tick(100), [format!("spawn 0.{} Shared", generation + 1)]);
    }
    // Tasks wait for the next one, and are not refused: it may have been anybody's doing.
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.ready(WorkerId { slot: 0, generation: 5 }), ["offer 0.5 t0"]);
    pool.reply(WorkerId { slot: 0, generation: 5 });
    // One that has worked is replaced at once.
    assert_eq!(pool.exited(WorkerId { slot: 0, generation: 5 }, None), ["spawn 0.6 Shared"]);
}

/// Behaviour 36: whoever waits for all of them learns that there are fewer.
#[test]
fn a_minimum_that_cannot_be_had_is_said_while_others_work() {
    let mut pool = Puppet::new(SchedulerConfig { min_workers: 2, start_failures: 1, ..config(2) });
    pool.tell(Event::Warm);
    assert_eq!(pool.ready(w(0)), NOTHING);
    let told = pool.tell(Event::SpawnFailed { worker: w(1), death: "EAGAIN" });
    assert_eq!(told, ["not warm: StartFailed { failures: 1, death: \"EAGAIN\" }"]);
    // It is tried again all the same.
    assert_eq!(pool.tick(100), ["spawn 1.1 Shared"]);
}

/// Behaviour 21.
#[test]
fn start_and_initialiser_have_their_own_limits() {
    let mut pool = Puppet::new(config(1));
    pool.submit(PLAIN);
    assert_eq!(pool.tick(1_000), ["kill 0.0, it was not up within 1s of its start"]);
    assert_eq!(pool.exited(w(0), None), NOTHING);
    assert_eq!(pool.tick(100), ["spawn 0.1 Shared"]);
    let second = WorkerId { slot: 0, generation: 1 };
    pool.tell(Event::Booted { worker: second });
    assert_eq!(pool.tick(2_000), ["kill 0.1, its initialisation took longer than 2s"]);
    pool.exited(second, None);
    assert_eq!(pool.tick(200), ["spawn 0.2 Shared"]);
}

#[test]
fn odd_events_change_nothing() {
    let mut pool = Puppet::with_workers(1, config(1));
    let nobody = WorkerId { slot: 9, generation: 0 };
    let offer = OfferId(0);
    for worker in [nobody, w(0), WorkerId { slot: 0, generation: 5 }] {
        assert_eq!(pool.tell(Event::Spawned { worker }), NOTHING);
        assert_eq!(pool.tell(Event::Booted { worker }), NOTHING);
        assert_eq!(pool.tell(Event::Ready { worker }), NOTHING);
        assert_eq!(pool.tell(Event::Replied { worker, offer, reply: (TaskId(0), offer) }), NOTHING);
        assert_eq!(pool.tell(Event::Evidence { worker, offer, evidence: Evidence::Nonsense }), NOTHING);
    }
    assert_eq!(pool.exited(nobody, None), NOTHING);
    assert_eq!(pool.tell(Event::Broken { worker: nobody }), NOTHING);
    assert_eq!(pool.tell(Event::Worn { worker: nobody }), NOTHING);
    assert_eq!(pool.cancel(0), NOTHING);
    assert_eq!(pool.unreserve(0), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t1"]);
}

/// Behaviour 35: a pool of four that runs into a wall tries as often as a pool of one.
#[test]
fn workers_that_fail_together_are_one_failed_start() {
    let mut pool = Puppet::new(SchedulerConfig { start_failures: 3, ..config(4) });
    for _ in 0..8 {
        pool.submit(PLAIN);
    }
    for slot in 0..4 {
        assert_eq!(pool.exited(w(slot), None), NOTHING);
    }
    assert_eq!(pool.tick(100), ["spawn 0.1 Shared"]);
    let probe = WorkerId { slot: 0, generation: 1 };
    // No other is tried while this one is being killed for its failure.
    assert_eq!(pool.tell(Event::Broken { worker: probe }), ["kill 0.1"]);
    assert_eq!(pool.exited(probe, None), NOTHING);
    assert_eq!(pool.tick(200), ["spawn 0.2 Shared"]);
    let told = pool.exited(WorkerId { slot: 0, generation: 2 }, None);
    assert_eq!(told.len(), 8, "{told:?}");
}
