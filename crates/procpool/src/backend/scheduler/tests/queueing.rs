//! Who runs next, where, and who waits.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

#[test]
fn nothing_starts_before_the_first_task() {
    let mut pool = Puppet::new(SchedulerConfig { min_workers: 2, ..config(4) });
    assert_eq!(pool.tell(Event::Tick), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["spawn 0.0 Shared"]);
}

/// Behaviour 28.
#[test]
fn many_blocked_tasks_start_exactly_the_maximum() {
    let mut pool = Puppet::new(config(3));
    let spawned: Vec<_> = (0..45).flat_map(|_| pool.submit(PLAIN)).collect();
    assert_eq!(spawned, ["spawn 0.0 Shared", "spawn 1.0 Shared", "spawn 2.0 Shared"]);
    for slot in 0..3 {
        assert_eq!(pool.ready(w(slot)), [format!("offer {slot}.0 t{slot}")]);
    }
    for task in 3..45 {
        let slot = task % 3;
        let done = pool.reply(w(slot));
        assert_eq!(done, [format!("t{} replied", task - 3), format!("offer {slot}.0 t{task}")]);
    }
}

/// Behaviour 29.
#[test]
fn serial_tasks_meet_one_worker() {
    let mut pool = Puppet::new(config(4));
    assert_eq!(pool.submit(PLAIN), ["spawn 0.0 Shared"]);
    assert_eq!(pool.ready(w(0)), ["offer 0.0 t0"]);
    for task in 1..50 {
        assert_eq!(pool.reply(w(0)), [format!("t{} replied", task - 1)]);
        assert_eq!(pool.submit(PLAIN), [format!("offer 0.0 t{task}")]);
    }
}

#[test]
fn the_worker_that_worked_last_works_next_and_fresh_ones_last() {
    let mut pool = Puppet::new(config(3));
    for _ in 0..3 {
        pool.submit(PLAIN);
    }
    pool.ready(w(0));
    pool.ready(w(1));
    pool.reply(w(1));
    pool.reply(w(0));
    // Worker 1 got the third task in between, so worker 2 has never worked.
    assert_eq!(pool.ready(w(2)), NOTHING);
    pool.reply(w(1));
    assert_eq!(pool.submit(PLAIN), ["offer 1.0 t3"]);
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t4"]);
    assert_eq!(pool.submit(PLAIN), ["offer 2.0 t5"]);
}

#[test]
fn a_growing_load_grows_the_pool_one_by_one() {
    let mut pool = Puppet::with_workers(1, config(3));
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t1"]);
    assert_eq!(pool.submit(PLAIN), ["spawn 1.0 Shared"]);
    // The worker that is starting is for that task; the other one comes free first and takes it.
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["spawn 2.0 Shared"]);
}

#[test]
fn higher_priorities_first_then_the_order_of_submission() {
    let mut pool = Puppet::with_workers(1, config(1));
    for priority in [0, -1, 0, 5, 0, 5] {
        pool.submit(TaskOptions { priority, ..PLAIN });
    }
    let order: Vec<_> = (0..5).map(|_| pool.reply(w(0)).pop().unwrap()).collect();
    assert_eq!(order, ["offer 0.0 t4", "offer 0.0 t6", "offer 0.0 t3", "offer 0.0 t5", "offer 0.0 t2"]);
}

/// The task that runs next, when the present one is done `after` milliseconds from now.
fn next(pool: &mut Puppet, after: u64) -> String {
    pool.now = pool.now.after(ms(after));
    pool.reply(w(0)).pop().unwrap()
}

#[test]
fn nobody_waits_for_ever_under_a_stream_of_higher_priorities() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { ageing: ms(100), ..config(1) });
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    let urgent = TaskOptions { priority: 3, ..PLAIN };
    pool.submit(urgent);
    for task in 3..33 {
        assert_eq!(next(&mut pool, 10), format!("offer 0.0 t{task}"));
        pool.submit(urgent);
    }
    // Three levels are worth 300 ms. The urgent one of that very moment is as good, and came later.
    assert_eq!(next(&mut pool, 10), "offer 0.0 t2");
    assert_eq!(next(&mut pool, 10), "offer 0.0 t33");
}

#[test]
fn strict_priorities_never_age() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    pool.submit(TaskOptions { priority: i32::MIN, ..PLAIN });
    pool.submit(TaskOptions { priority: i32::MIN + 1, ..PLAIN });
    for task in 4..50 {
        pool.now = pool.now.after(std::time::Duration::from_secs(1 << 40));
        pool.submit(TaskOptions { priority: task % 2, ..PLAIN });
        assert_eq!(next(&mut pool, 0), format!("offer 0.0 t{task}"));
    }
    assert_eq!(next(&mut pool, 0), "offer 0.0 t3");
    pool.submit(TaskOptions { priority: i32::MAX, ..PLAIN });
    assert_eq!(next(&mut pool, 0), "offer 0.0 t50");
    assert_eq!(next(&mut pool, 0), "offer 0.0 t2");
}

#[test]
fn a_task_that_lost_its_worker_takes_its_old_rank_again() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { ageing: ms(100), ..config(1) });
    pool.submit(TaskOptions { retries: 1, ..PLAIN });
    pool.now = Now(ms(150));
    pool.submit(TaskOptions { priority: 1, ..PLAIN });
    pool.submit(TaskOptions { priority: 2, ..PLAIN });
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["spawn 0.1 Shared"]);
    let worker = WorkerId { slot: 0, generation: 1 };
    assert_eq!(pool.ready(worker), ["offer 0.1 t3"]);
    assert_eq!(pool.reply(worker), ["t3 replied", "offer 0.1 t1"]);
    assert_eq!(pool.reply(worker), ["t1 replied", "offer 0.1 t2"]);
}

#[test]
fn a_full_queue_changes_nothing_about_the_order() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 2, ..config(1) });
    for priority in [0, 0, -1, 0, 5, 0, 5] {
        pool.submit(TaskOptions { priority, ..PLAIN });
    }
    let shown = |pool: &Puppet| pool.scheduler.tasks().map(|(id, ..)| id.0).collect::<Vec<_>>();
    assert_eq!(shown(&pool), [5, 7, 1, 2, 4, 6, 3]);
    let order: Vec<_> = (0..6).map(|_| next(&mut pool, 0)).collect();
    assert_eq!(order, [5, 7, 2, 4, 6, 3].map(|task| format!("offer 0.0 t{task}")));
}

/// Behaviour 32.
#[test]
fn a_full_queue_refuses_or_makes_wait_and_room_lets_the_oldest_in() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 2, waiting_limit: 1, ..config(1) });
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t1"]);
    // Two places, taken as `try_run` takes them; the third is refused.
    let place = pool.try_reserve().unwrap();
    assert!(pool.try_reserve().is_ok());
    assert!(matches!(pool.try_reserve(), Err(Refused::QueueFull)));
    assert_eq!(pool.submit(TaskOptions { admission: Admission::Reserved(place), ..PLAIN }), NOTHING);
    // `run` waits, as long as there is room for waiters.
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["t4 queue full"]);
    let phase = |pool: &Puppet, task| pool.scheduler.tasks().find(|(id, ..)| *id == TaskId(task)).unwrap().1;
    assert_eq!(phase(&pool, 2), TaskPhase::Queued);
    assert_eq!(phase(&pool, 3), TaskPhase::Waiting);
    assert_eq!(pool.unreserve(1), NOTHING);
    assert_eq!(phase(&pool, 3), TaskPhase::Queued);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t3"]);
}

#[test]
fn who_holds_back_by_himself_is_not_refused() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 1, waiting_limit: 0, ..config(1) });
    let bounded = TaskOptions { admission: Admission::Bounded, ..PLAIN };
    assert_eq!(pool.submit(bounded), ["offer 0.0 t1"]);
    assert_eq!(pool.submit(bounded), NOTHING);
    assert_eq!(pool.submit(bounded), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["t4 queue full"]);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t3"]);
}

/// The clock may be late: the answer that makes the worker free comes before the tick.
#[test]
fn whose_time_to_wait_is_over_does_not_start_before_the_clock_says_so() {
    let mut pool = Puppet::with_workers(1, config(1));
    let ahead = TaskOptions { batch: Batch::UpTo(2), queue_limit: Some(ms(10)), ..PLAIN };
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t1"]);
    pool.submit(TaskOptions { queue_limit: Some(ms(10)), ..PLAIN });
    pool.submit(ahead);
    pool.submit(PLAIN);
    pool.now = pool.now.after(ms(11));
    assert_eq!(pool.reply(w(0)), ["t1 replied", "t2 queue timed out", "t3 queue timed out", "offer 0.0 t4"]);
}

#[test]
fn reservations_that_take_all_places_keep_no_worker_from_waiters() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 1, ..config(1) });
    pool.submit(PLAIN);
    assert!(pool.try_reserve().is_ok());
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
}

/// Behaviour A: progress needs nobody who polls.
#[test]
fn a_task_that_nobody_looks_at_gives_its_place_back() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 1, ..config(1) });
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t3"]);
    assert_eq!(pool.reply(w(0)), ["t3 replied"]);
}

#[test]
fn the_time_in_the_queue_ends_with_the_first_claim() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { claim_limit: ms(10_000), ..config(1) });
    pool.tell(Event::Cancel { task: TaskId(77), why: CancelReason::Token });
    let limited = TaskOptions { queue_limit: Some(ms(50)), ..PLAIN };
    assert_eq!(pool.submit(limited), ["offer 0.0 t1"]);
    assert_eq!(pool.submit(limited), NOTHING);
    // Both are due: the queued one is over, the offered one only if it can be taken back.
    assert_eq!(pool.tick(50), ["revoke 0.0", "t2 queue timed out"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);

    assert_eq!(pool.submit(limited), ["offer 0.0 t3"]);
    assert_eq!(pool.tick(50), ["revoke 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Revoked), ["t3 queue timed out"]);
    // The worker did nothing wrong.
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t4"]);
}

#[test]
fn dedicated_tasks_have_a_worker_of_their_own_outside_the_size() {
    let dedicated = TaskOptions { placement: Placement::Dedicated, ..PLAIN };
    let mut pool = Puppet::new(config(1));
    assert_eq!(pool.submit(PLAIN), ["spawn 0.0 Shared"]);
    assert_eq!(pool.submit(dedicated), ["spawn 1.0 Dedicated"]);
    assert_eq!(pool.submit(dedicated), ["spawn 2.0 Dedicated"]);
    assert_eq!(pool.ready(w(1)), ["offer 1.0 t1"]);
    assert_eq!(pool.reply(w(1)), ["t1 replied", "retire 1.0"]);
    assert_eq!(pool.exited(w(1), None), NOTHING);
    // Its end before it was ready is that task's alone, and no reason to pause.
    assert_eq!(pool.exited(w(2), None), ["t2 start failed 1: SIGSEGV"]);
    assert_eq!(pool.submit(dedicated), ["spawn 1.1 Dedicated"]);
    assert_eq!(pool.cancel(3), ["kill 1.1"]);
    let worker = WorkerId { slot: 1, generation: 1 };
    assert_eq!(pool.exited(worker, None), ["t3 cancelled, began No, 1.1 SIGSEGV"]);
    assert_eq!(pool.ready(w(0)), ["offer 0.0 t0"]);
}

/// Whoever asked for a process knows it by its number, and may have told it to end: there is no second one.
#[test]
fn a_dedicated_task_is_offered_to_one_worker_only() {
    let dedicated = TaskOptions { placement: Placement::Dedicated, ..PLAIN };
    let mut pool = Puppet::new(config(1));
    assert_eq!(pool.submit(dedicated), ["spawn 0.0 Dedicated"]);
    assert_eq!(pool.ready(w(0)), ["offer 0.0 t0"]);
    let offered = Some(pool.offered());
    assert_eq!(pool.exited(w(0), offered), ["t0 worker died, began No, 0.0 SIGSEGV"]);
}
