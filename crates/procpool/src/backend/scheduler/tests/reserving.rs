//! Places taken ahead of their tasks, and those who wait for one.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

/// One worker that is busy with task 1, and room for so many in the queue.
fn busy(queue_limit: usize) -> Puppet {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit, ..config(1) });
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t1"]);
    pool
}

fn placed(reservation: u64) -> TaskOptions {
    TaskOptions { admission: Admission::Reserved(ReservationId(reservation)), ..PLAIN }
}

#[test]
fn a_place_that_comes_free_goes_to_whoever_is_first_in_line() {
    let mut pool = busy(1);
    assert!(pool.reserve(0, None));
    // A task and three reservations, in this order.
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert!(!pool.reserve(0, None));
    assert!(!pool.reserve(5, None));
    assert!(!pool.reserve(-5, None));
    assert!(matches!(pool.try_reserve(), Err(Refused::QueueFull)));
    assert_eq!(pool.scheduler.reservations(), (1, 3));
    assert_eq!(pool.unreserve(0), ["r2 has a place"]);
    // It is used: the place is its task's until that runs.
    assert_eq!(pool.submit(placed(2)), NOTHING);
    assert_eq!(pool.scheduler.reservations(), (0, 2));
    // The task that was before reservation 1 needs no place any more once it has the worker; but its turn comes after
    // that of the task in the queue only by its age, and it is older.
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t3", "r1 has a place"]);
    assert_eq!(pool.unreserve(1), ["r3 has a place"]);
    assert_eq!(pool.unreserve(3), NOTHING);
    assert_eq!(pool.scheduler.reservations(), (0, 0));
}

#[test]
fn a_reservation_is_not_passed_by_tasks_behind_it_in_line() {
    let mut pool = busy(1);
    pool.submit(TaskOptions { priority: -1, ..PLAIN });
    assert!(!pool.reserve(1, None));
    // It would go before the queued task, but the reservation was first, and its place is in the queue.
    pool.submit(PLAIN);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2", "r0 has a place"]);
    assert_eq!(pool.submit(TaskOptions { priority: 1, ..placed(0) }), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t4"]);
    assert_eq!(pool.reply(w(0)), ["t4 replied", "offer 0.0 t3"]);
}

#[test]
fn a_reservation_that_is_given_up_leaves_no_gap() {
    let mut pool = busy(1);
    assert!(pool.reserve(0, None));
    assert!(!pool.reserve(0, None));
    assert!(!pool.reserve(0, None));
    assert_eq!(pool.unreserve(1), NOTHING);
    // Twice is once.
    assert_eq!(pool.unreserve(1), NOTHING);
    assert_eq!(pool.unreserve(0), ["r2 has a place"]);
    assert_eq!(pool.unreserve(0), NOTHING);
    assert_eq!(pool.scheduler.reservations(), (1, 0));
    assert!(matches!(pool.try_reserve(), Err(Refused::QueueFull)));
    // It got its place and was dropped before it could be told.
    assert_eq!(pool.unreserve(2), NOTHING);
    assert!(pool.try_reserve().is_ok());
}

#[test]
fn a_used_place_is_used_once() {
    let mut pool = busy(1);
    assert!(pool.reserve(0, None));
    assert_eq!(pool.submit(placed(0)), NOTHING);
    assert_eq!(pool.unreserve(0), NOTHING);
    assert!(!pool.reserve(0, None));
    // As if it had none: it waits.
    assert_eq!(pool.submit(placed(0)), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2", "r1 has a place"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t3"]);
}

#[test]
fn a_reservation_waits_for_so_long_and_no_longer() {
    let mut pool = busy(1);
    assert!(pool.reserve(0, None));
    assert!(!pool.reserve(0, Some(ms(30))));
    assert!(!pool.reserve(0, Some(ms(40))));
    assert_eq!(pool.tick(30), ["r1 timed out after 30ms"]);
    assert_eq!(pool.unreserve(0), ["r2 has a place"]);
    // Its time is not counted any more, only that of the task's claim.
    assert_eq!(pool.tick(470), ["inspect 0.0"]);
}

#[test]
fn a_place_that_comes_free_when_time_is_up_counts() {
    let mut pool = busy(1);
    pool.submit(TaskOptions { queue_limit: Some(ms(30)), ..PLAIN });
    assert!(!pool.reserve(0, Some(ms(30))));
    assert_eq!(pool.tick(30), ["t2 queue timed out", "r0 has a place"]);
    assert_eq!(pool.scheduler.reservations(), (1, 0));
}

#[test]
fn the_line_is_as_long_for_reservations_as_for_tasks() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 1, waiting_limit: 2, ..config(1) });
    pool.submit(PLAIN);
    assert!(pool.reserve(0, None));
    assert!(!pool.reserve(0, None));
    assert_eq!(pool.submit(PLAIN), NOTHING);
    let wait = Patience::Wait { priority: 9, limit: None };
    assert!(matches!(pool.scheduler.reserve(wait, pool.now), Err(Refused::QueueFull)));
    assert_eq!(pool.submit(PLAIN), ["t3 queue full"]);
}

#[test]
fn a_close_refuses_who_waits_and_voids_what_is_not_used() {
    for how in [Closing::Drain { deadline: None }, Closing::DropQueued { deadline: None }, Closing::Kill] {
        let mut pool = busy(1);
        assert!(pool.reserve(0, None));
        assert!(!pool.reserve(0, None));
        assert!(!pool.reserve(1, None));
        let told = pool.tell(Event::Close { how });
        assert_eq!(told[..2], ["r2 closed", "r1 closed"]);
        assert_eq!(pool.submit(placed(0)), ["t2 closed"]);
        assert_eq!(pool.unreserve(0), NOTHING);
        assert_eq!(pool.scheduler.reservations(), (0, 0));
        assert!(matches!(pool.try_reserve(), Err(Refused::Unavailable(Unavailable::Closed))));
    }
}

#[test]
fn a_drain_does_not_wait_for_a_place_that_nobody_uses() {
    let mut pool = busy(1);
    assert!(pool.reserve(0, None));
    pool.submit(PLAIN);
    pool.tell(Event::Close { how: Closing::Drain { deadline: None } });
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t2"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "retire 0.0"]);
    assert_eq!(pool.exited(w(0), None), ["closed"]);
}

#[test]
fn whoever_waits_for_a_place_is_told_when_no_worker_can_be_had() {
    let mut pool = Puppet::new(SchedulerConfig { queue_limit: 1, start_failures: 1, ..config(1) });
    assert_eq!(pool.submit(PLAIN), ["spawn 0.0 Shared"]);
    assert!(!pool.reserve(0, None));
    let failed = r#"StartFailed { failures: 1, death: "SIGSEGV" }"#;
    assert_eq!(pool.exited(w(0), None), [format!("r0 {failed}"), "t0 start failed 1: SIGSEGV".into()]);
    // When the pause is over, another try may be made.
    assert_eq!(pool.tick(100), NOTHING);
    assert!(pool.reserve(0, None));
    assert_eq!(pool.submit(placed(1)), ["spawn 0.1 Shared"]);
}
