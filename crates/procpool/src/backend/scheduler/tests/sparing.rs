//! Spare workers: who is started beyond what is needed, and who steps in.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

fn sparing(max: u32, spares: u32) -> SchedulerConfig {
    SchedulerConfig { spares, ..config(max) }
}

/// A pool of one worker, which has a task, and a spare one.
fn busy_with_spare() -> Puppet {
    let mut pool = Puppet::new(sparing(1, 1));
    assert_eq!(pool.submit(PLAIN), ["spawn 0.0 Shared", "spawn 1.0 Shared"]);
    assert_eq!(pool.ready(w(0)), ["offer 0.0 t0"]);
    assert_eq!(pool.ready(w(1)), NOTHING);
    pool
}

#[test]
fn a_pool_that_nobody_uses_has_no_spares() {
    let mut pool = Puppet::new(sparing(2, 1));
    assert_eq!(pool.tell(Event::Resize { min: 1, max: 2 }), NOTHING);
    assert_eq!(pool.tell(Event::Warm), ["spawn 0.0 Shared", "spawn 1.0 Shared"]);
}

#[test]
fn no_more_have_tasks_than_the_maximum() {
    let mut pool = busy_with_spare();
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.tasks_of(w(1)), [] as [u64; 0]);
    // Whoever is ready takes the next one: it is the number that counts.
    assert_eq!(pool.reply(w(0)), ["t0 replied", "offer 0.0 t1"]);
}

#[test]
fn a_spare_worker_steps_in_at_once_and_is_replaced() {
    let mut pool = busy_with_spare();
    pool.submit(PLAIN);
    let decided = pool.exited(w(0), Some(Evidence::Claimed { at: Now::default() }));
    assert_eq!(decided, ["t0 worker died, began Yes, 0.0 SIGSEGV", "offer 1.0 t1", "spawn 0.1 Shared"]);
}

#[test]
fn a_spare_worker_takes_over_while_the_other_is_dying() {
    let mut pool = busy_with_spare();
    pool.submit(PLAIN);
    let decided = pool.tell(Event::Broken { worker: w(0) });
    assert_eq!(decided[0], "kill 0.0");
    assert_eq!(pool.tasks_of(w(1)), [1]);
}

#[test]
fn spares_stay_when_others_go_for_idleness() {
    let limits = SchedulerConfig { idle_timeout: Some(ms(1_000)), ..sparing(2, 1) };
    let mut pool = Puppet::new(limits);
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    for slot in 0..3 {
        pool.ready(w(slot));
    }
    pool.reply(w(0));
    pool.reply(w(1));
    pool.tick(500);
    assert_eq!(pool.tick(500).len(), 2);
    assert_eq!(pool.scheduler.workers().filter(|view| view.phase == WorkerPhase::Idle).count(), 1);
}

#[test]
fn spares_that_cannot_be_had_are_let_be() {
    let mut pool = Puppet::new(SchedulerConfig { start_failures: 1, ..sparing(1, 1) });
    pool.submit(PLAIN);
    pool.exited(w(0), None);
    pool.exited(w(1), None);
    while pool.scheduler.next_deadline().is_some() {
        let at = pool.scheduler.next_deadline().unwrap().since(pool.now);
        assert!(!pool.tick(at.as_millis() as u64).iter().any(|decided| decided.starts_with("spawn")));
    }
}

#[test]
fn a_close_lets_the_spares_go() {
    let mut pool = busy_with_spare();
    pool.reply(w(0));
    let decided = pool.tell(Event::Close { how: Closing::Drain { deadline: None } });
    assert_eq!(decided, ["retire 0.0", "retire 1.0"]);
}
