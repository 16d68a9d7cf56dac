//! Another size while the pool works, starts, or ends.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

fn resize(pool: &mut Puppet, min: u32, max: u32) -> Vec<String> {
    pool.tell(Event::Resize { min, max })
}

fn slots(pool: &Puppet) -> Vec<u32> {
    pool.scheduler.workers().map(|view| view.worker.slot).collect()
}

/// Behaviour 31.
#[test]
fn under_load_no_task_is_disturbed_and_who_stays_stays() {
    let mut pool = Puppet::with_workers(4, config(4));
    for _ in 0..2 {
        pool.submit(PLAIN);
    }
    // 0 and 1 are busy; of the idle ones the longest idle goes, and then whoever is free first.
    assert_eq!(resize(&mut pool, 0, 3), ["retire 3.0"]);
    assert_eq!(resize(&mut pool, 0, 1), ["retire 2.0"]);
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.reply(w(1)), ["t5 replied", "retire 1.0"]);
    assert_eq!(pool.reply(w(0)), ["t4 replied", "offer 0.0 t6"]);
    for slot in 1..4 {
        pool.exited(w(slot), None);
    }
    assert_eq!(slots(&pool), [0]);
    assert_eq!(resize(&mut pool, 0, 3), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["spawn 1.1 Shared"]);
}

#[test]
fn who_goes_goes_after_its_task_and_not_after_all_in_its_hand() {
    let some = TaskOptions { batch: Batch::UpTo(8), ..PLAIN };
    let mut pool = Puppet::with_workers(2, config(2));
    for _ in 0..6 {
        pool.submit(some);
    }
    assert_eq!((pool.tasks_of(w(0)), pool.tasks_of(w(1))), (vec![2, 4, 6], vec![3, 5, 7]));
    assert_eq!(resize(&mut pool, 0, 1), ["revoke 0.0", "revoke 0.0", "revoke 1.0", "revoke 1.0"]);
    for (worker, task) in [(w(0), 6), (w(0), 4), (w(1), 7)] {
        assert_eq!(pool.evidence_of(worker, task, Evidence::Revoked), NOTHING);
    }
    // One had gone on before it heard of it.
    assert_eq!(pool.evidence_of(w(1), 5, pool.claimed()), NOTHING);
    assert_eq!(pool.reply(w(1)), ["t3 replied"]);
    assert_eq!(pool.reply(w(1)), ["t5 replied", "retire 1.0", "offer 0.0 t4", "offer 0.0 t6", "offer 0.0 t7"]);
}

#[test]
fn the_same_size_again_changes_nothing() {
    let mut pool = Puppet::with_workers(2, config(2));
    pool.submit(PLAIN);
    assert_eq!(resize(&mut pool, 0, 2), NOTHING);
    assert_eq!(resize(&mut pool, 2, 2), NOTHING);
    assert_eq!(slots(&pool), [0, 1]);
}

#[test]
fn growing_starts_at_once_what_is_queued_for() {
    let mut pool = Puppet::with_workers(1, config(1));
    for _ in 0..4 {
        pool.submit(PLAIN);
    }
    assert_eq!(resize(&mut pool, 0, 3), ["spawn 1.0 Shared", "spawn 2.0 Shared"]);
    // Smaller before they are there: they have done nothing yet, and go first, the last one before the others.
    pool.told();
    assert_eq!(resize(&mut pool, 0, 2), ["kill 2.0"]);
    assert_eq!(pool.ready(w(1)), ["offer 1.0 t2"]);
    // That was nobody's failure.
    assert_eq!(pool.exited(w(2), None), NOTHING);
    assert!(pool.told().iter().any(|told| told.contains("Resized")), "why it went");
    assert_eq!(resize(&mut pool, 0, 3), ["spawn 2.1 Shared"]);
}

#[test]
fn of_those_that_start_who_has_come_furthest_stays() {
    let mut pool = Puppet::new(config(3));
    for _ in 0..3 {
        pool.submit(PLAIN);
    }
    pool.tell(Event::Booted { worker: w(2) });
    assert_eq!(resize(&mut pool, 0, 1), ["kill 1.0", "kill 0.0"]);
    assert_eq!(pool.tell(Event::Ready { worker: w(2) }), ["offer 2.0 t0"]);
    pool.exited(w(0), None);
    assert_eq!(pool.exited(w(1), None), NOTHING);
    assert_eq!(pool.reply(w(2)), ["t0 replied", "offer 2.0 t1"]);
    assert_eq!(resize(&mut pool, 0, 2), ["spawn 0.1 Shared"]);
}

#[test]
fn a_minimum_is_kept_once_the_pool_is_warm() {
    let mut pool = Puppet::new(config(4));
    // Nobody has asked for workers yet.
    assert_eq!(resize(&mut pool, 2, 4), NOTHING);
    assert_eq!(pool.tell(Event::Warm), ["spawn 0.0 Shared", "spawn 1.0 Shared"]);
    // Whoever waits for the pool to be warm waits for the size that it is to have now.
    assert_eq!(resize(&mut pool, 3, 4), ["spawn 2.0 Shared"]);
    pool.ready(w(0));
    assert_eq!(pool.ready(w(1)), NOTHING);
    assert_eq!(resize(&mut pool, 2, 4), ["warm"]);
    assert_eq!(pool.ready(w(2)), NOTHING);
    assert_eq!(resize(&mut pool, 4, 4), ["spawn 3.0 Shared"]);
    pool.ready(w(3));
    let fewer = resize(&mut pool, 1, 1);
    assert_eq!(fewer.len(), 3, "{fewer:?}");
    assert!(fewer.iter().all(|action| action.starts_with("retire")), "{fewer:?}");
}

#[test]
fn a_size_beyond_what_is_there_waits_for_those_who_are_still_dying() {
    let mut pool = Puppet::with_workers(2, config(2));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    pool.tell(Event::Broken { worker: w(0) });
    assert_eq!(resize(&mut pool, 0, 1), NOTHING);
    pool.submit(PLAIN);
    // One works, one dies: the size is 1 already.
    assert_eq!(pool.exited(w(0), None), ["t2 worker died, began Unknown, 0.0 SIGSEGV"]);
    assert_eq!(pool.reply(w(1)), ["t3 replied", "offer 1.0 t4"]);
}

#[test]
fn a_drain_may_be_hastened_or_slowed_and_an_end_not_undone() {
    let mut pool = Puppet::with_workers(1, config(1));
    for _ in 0..4 {
        pool.submit(PLAIN);
    }
    pool.tell(Event::Close { how: Closing::Drain { deadline: None } });
    assert_eq!(resize(&mut pool, 2, 2), ["spawn 1.0 Shared"]);
    assert_eq!(pool.ready(w(1)), ["offer 1.0 t2"]);
    assert_eq!(resize(&mut pool, 1, 1), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "retire 0.0"]);
    assert_eq!(pool.reply(w(1)), ["t2 replied", "offer 1.0 t3"]);
    assert_eq!(pool.exited(w(0), None), NOTHING);
    pool.reply(w(1));
    assert_eq!(pool.reply(w(1)), ["t4 replied", "retire 1.0"]);
    assert_eq!(pool.exited(w(1), None), ["closed"]);
    assert_eq!(resize(&mut pool, 3, 3), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["t5 closed"]);
}

#[test]
fn a_pool_whose_starts_are_paused_stays_paused() {
    let mut pool = Puppet::new(config(2));
    pool.submit(PLAIN);
    pool.exited(w(0), None);
    assert_eq!(resize(&mut pool, 0, 8), NOTHING);
    assert_eq!(pool.tick(100), ["spawn 0.1 Shared"]);
    assert_eq!(pool.scheduler.next_deadline(), Some(Now(ms(1_100))));
}
