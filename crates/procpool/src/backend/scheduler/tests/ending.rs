//! Tasks that are stopped, workers that die, pools that close.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

const DRAIN: Event<super::job::Test> = Event::Close { how: Closing::Drain { deadline: None } };

/// Behaviour 22.
#[test]
fn a_cancelled_queued_task_never_starts_and_costs_no_worker() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    assert_eq!(pool.cancel(2), ["t2 cancelled, began No"]);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
}

/// Behaviour 22.
#[test]
fn a_cancelled_unclaimed_task_is_taken_back_and_its_worker_goes_on() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    assert_eq!(pool.cancel(1), ["revoke 0.0"]);
    assert_eq!(pool.cancel(1), NOTHING);
    assert_eq!(pool.evidence(w(0), Evidence::Revoked), ["t1 cancelled, began No", "offer 0.0 t2"]);
}

/// Behaviour 22.
#[test]
fn a_cancelled_running_task_has_its_grace_and_is_killed() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(TaskOptions { grace: ms(100), ..PLAIN });
    pool.submit(PLAIN);
    assert_eq!(pool.cancel(1), ["revoke 0.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["set cancel 0.0"]);
    assert_eq!(pool.tick(100), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Claimed { at: Now::default() }), ["kill 0.0"]);
    // A dying worker is a process still: its replacement waits for it, and nobody is to blame.
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["t1 cancelled, began Yes, 0.0 SIGSEGV", "spawn 0.1 Shared"]);
}

#[test]
fn a_task_that_is_done_when_its_grace_ends_has_its_answer_count() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    assert_eq!(pool.cancel(1), ["revoke 0.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["set cancel 0.0", "inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Done), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t2"]);
}

#[test]
fn a_worker_that_says_done_and_sends_no_answer_is_killed() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(TaskOptions { run_limit: Some(ms(10)), ..PLAIN });
    assert_eq!(pool.tick(10), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Done), NOTHING);
    // The claim watch has nothing to do with it.
    assert_eq!(pool.tick(490), NOTHING);
    assert_eq!(pool.tick(510), ["kill 0.0"]);
    assert_eq!(pool.exited(w(0), Some(Evidence::Done)), ["t1 worker died, began Yes, 0.0 SIGSEGV"]);
}

/// Behaviour 24.
#[test]
fn run_time_counts_from_the_claim() {
    let mut pool = Puppet::with_workers(1, config(1));
    let limited = TaskOptions { run_limit: Some(ms(200)), ..PLAIN };
    pool.submit(limited);
    pool.submit(limited);
    assert_eq!(pool.tick(200), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Claimed { at: Now(ms(150)) }), NOTHING);
    // The other one waits all the while, and loses nothing by it.
    assert_eq!(pool.tick(150), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Claimed { at: Now(ms(340)) }), ["set cancel 0.0", "inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["kill 0.0"]);
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["t1 timed out, 0.0 SIGSEGV", "spawn 0.1 Shared"]);
    assert_eq!(pool.ready(WorkerId { slot: 0, generation: 1 }), ["offer 0.1 t2"]);
}

#[test]
fn a_deadline_ends_tasks_wherever_they_are() {
    let mut pool = Puppet::with_workers(1, config(1));
    let deadline = |left| TaskOptions { deadline: Some(Deadline { left: ms(left), whole: ms(500) }), ..PLAIN };
    pool.submit(TaskOptions { retries: 1, ..deadline(300) });
    pool.submit(deadline(200));
    pool.submit(PLAIN);
    // The second one waits for the worker that the first one has.
    assert_eq!(pool.tick(200), ["t2 cancelled, began No"]);
    assert_eq!(pool.tick(100), ["revoke 0.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["set cancel 0.0", "inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["kill 0.0"]);
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["t1 cancelled, began Yes, 0.0 SIGSEGV", "spawn 0.1 Shared"]);
    // One that ends in time leaves no timer behind (what is left is the claim watch).
    pool.cancel(3);
    pool.ready(WorkerId { slot: 0, generation: 1 });
    pool.submit(deadline(100));
    assert_eq!(pool.reply(WorkerId { slot: 0, generation: 1 }), ["t4 replied"]);
    assert_eq!(pool.scheduler.next_deadline(), Some(Now(ms(500))));
}

/// Behaviour F, second half: the shell reads sockets before it tells the time.
#[test]
fn an_answer_that_waited_in_the_socket_beats_the_time_limit() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(TaskOptions { run_limit: Some(ms(200)), ..PLAIN });
    pool.now = Now(ms(60_000));
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.tell(Event::Tick), NOTHING);
    assert_eq!(pool.scheduler.next_deadline(), None);
}

/// Behaviour F, first half.
#[test]
fn a_silent_worker_loses_its_task_and_is_replaced() {
    let mut pool = Puppet::with_workers(2, config(2));
    pool.submit(PLAIN);
    assert_eq!(pool.tick(500), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Offered { since: Now::default() }), ["revoke 0.0"]);
    assert_eq!(
        pool.evidence(w(0), Evidence::Revoked),
        ["kill 0.0, it did not take the task within 500ms", "offer 1.0 t2"]
    );
    pool.exited(w(0), None);
    assert_eq!(pool.reply(w(1)), ["t2 replied"]);
}

#[test]
fn an_offer_whose_bytes_move_is_not_silence() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    assert_eq!(pool.tick(500), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Offered { since: Now(ms(450)) }), NOTHING);
    assert_eq!(pool.tick(450), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Claimed { at: Now(ms(940)) }), NOTHING);
    assert_eq!(pool.scheduler.next_deadline(), None);
}

#[test]
fn an_unclaimed_task_is_offered_so_often_and_no_oftener() {
    let mut pool = Puppet::with_workers(3, SchedulerConfig { max_offers: 2, ..config(3) });
    assert_eq!(pool.submit(PLAIN), ["offer 0.0 t3"]);
    let offered = Some(pool.offered());
    assert_eq!(pool.exited(w(0), offered), ["offer 1.0 t3"]);
    pool.tick(500);
    assert_eq!(pool.evidence(w(1), Evidence::Offered { since: Now::default() }), ["revoke 1.0"]);
    // The second worker's silence was one too many; whose death it was is known when it is dead.
    assert_eq!(pool.evidence(w(1), Evidence::Revoked), ["kill 1.0, it did not take the task within 500ms"]);
    let died = ["t3 worker died, began No, 1.0 SIGSEGV"];
    assert_eq!(pool.exited(w(1), Some(Evidence::Revoked)), died);
}

/// Behaviours 15 and D: whatever is known of the death, the task ends, and it alone.
#[test]
fn a_death_with_a_task_in_hand_fails_that_task_alone() {
    let mut pool = Puppet::with_workers(3, config(3));
    for _ in 0..3 {
        pool.submit(PLAIN);
    }
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["t3 worker died, began Yes, 0.0 SIGSEGV"]);
    assert_eq!(pool.exited(w(1), Some(Evidence::Nonsense)), ["t4 worker died, began Unknown, 1.0 SIGSEGV"]);
    assert_eq!(pool.exited(w(2), None), ["t5 worker died, began Unknown, 2.0 SIGSEGV"]);
    // Crashes of tasks are no reason to pause.
    assert_eq!(pool.submit(PLAIN), ["spawn 0.1 Shared"]);
}

#[test]
fn retries_run_again_after_a_death_and_never_after_a_stop() {
    let mut pool = Puppet::with_workers(3, config(3));
    pool.submit(TaskOptions { retries: 1, ..PLAIN });
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["offer 1.0 t3"]);
    assert_eq!(pool.scheduler.attempt(TaskId(3)), 2);
    assert_eq!(pool.exited(w(1), claimed), ["t3 worker died, began Yes, 1.0 SIGSEGV"]);

    pool.submit(TaskOptions { retries: 1, grace: ms(5), ..PLAIN });
    assert_eq!(pool.cancel(4), ["revoke 2.0"]);
    assert_eq!(pool.exited(w(2), claimed), ["t4 cancelled, began Yes, 2.0 SIGSEGV"]);
    assert_eq!(pool.scheduler.counts().retried, 1);
}

#[test]
fn a_task_cancelled_before_its_second_attempt_did_begin() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(TaskOptions { retries: 1, ..PLAIN });
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["spawn 0.1 Shared"]);
    assert_eq!(pool.cancel(1), ["t1 cancelled, began Yes"]);
}

#[test]
fn a_drain_finishes_what_was_taken_and_starts_workers_for_it() {
    let mut pool = Puppet::new(config(1));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    assert_eq!(pool.tell(DRAIN), NOTHING);
    assert_eq!(pool.submit(PLAIN), ["t2 closed"]);
    assert!(matches!(pool.try_reserve(), Err(Refused::Unavailable(Unavailable::Closed))));
    assert_eq!(pool.exited(w(0), None), NOTHING);
    assert_eq!(pool.tick(100), ["spawn 0.1 Shared"]);
    let worker = WorkerId { slot: 0, generation: 1 };
    pool.ready(worker);
    assert_eq!(pool.reply(worker), ["t0 replied", "offer 0.1 t1"]);
    assert_eq!(pool.reply(worker), ["t1 replied", "retire 0.1"]);
    assert_eq!(pool.exited(worker, None), ["closed"]);
    assert_eq!(pool.submit(PLAIN), ["t3 closed"]);
    assert_eq!(pool.tell(Event::Close { how: Closing::Kill }), NOTHING);
    assert_eq!(pool.scheduler.next_deadline(), None);
}

#[test]
fn an_unused_pool_closes_at_once() {
    let mut pool = Puppet::new(config(1));
    assert!(pool.try_reserve().is_ok());
    assert_eq!(pool.tell(DRAIN), ["closed"]);
    assert_eq!(pool.unreserve(0), NOTHING);
}

/// Behaviour 37.
#[test]
fn a_drain_that_takes_too_long_kills_what_is_left() {
    let mut pool = Puppet::with_workers(1, config(1));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    let deadline = Some(Now(ms(300)));
    pool.tell(Event::Close { how: Closing::Drain { deadline } });
    // A softer call takes nothing back.
    pool.tell(DRAIN);
    assert_eq!(pool.tick(300), ["t2 shut down, began No", "kill 0.0"]);
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["t1 shut down, began Yes", "closed"]);
    let counts = pool.scheduler.counts();
    assert_eq!((counts.submitted, counts.replied, counts.shut_down), (3, 1, 2));
}

/// Behaviour 37.
#[test]
fn dropping_the_queue_lets_running_tasks_finish() {
    let mut pool = Puppet::with_workers(2, config(2));
    for _ in 0..3 {
        pool.submit(PLAIN);
    }
    let how = Closing::DropQueued { deadline: None };
    assert_eq!(pool.tell(Event::Close { how }), ["t4 shut down, began No", "revoke 0.0", "revoke 1.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), NOTHING);
    assert_eq!(pool.evidence(w(1), Evidence::Revoked), ["t3 shut down, began No"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "retire 0.0", "retire 1.0"]);
    pool.exited(w(0), None);
    assert_eq!(pool.exited(w(1), None), ["closed"]);
}

/// Behaviour 38.
#[test]
fn killing_waits_for_deaths_and_nothing_else() {
    let mut pool = Puppet::with_workers(2, config(3));
    pool.submit(TaskOptions { grace: ms(10_000), retries: 5, ..PLAIN });
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    let killed = pool.tell(Event::Close { how: Closing::Kill });
    assert_eq!(killed, ["t4 shut down, began No", "kill 0.0", "kill 1.0", "kill 2.0"]);
    // An answer that was sent before the end counts.
    assert_eq!(pool.reply(w(1)), ["t3 replied"]);
    let claimed = Some(pool.claimed());
    assert_eq!(pool.exited(w(0), claimed), ["t2 shut down, began Yes"]);
    assert_eq!(pool.exited(w(1), None), NOTHING);
    assert_eq!(pool.exited(w(2), None), ["closed"]);
}

#[test]
fn a_close_does_not_wait_for_workers_that_are_starting() {
    let mut pool = Puppet::with_workers(1, config(2));
    pool.submit(PLAIN);
    pool.submit(PLAIN);
    pool.reply(w(0));
    pool.tell(DRAIN);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "retire 0.0", "kill 1.0"]);
    assert_eq!(pool.exited(w(0), None), NOTHING);
    assert_eq!(pool.exited(w(1), None), ["closed"]);
}

#[test]
fn a_close_answers_whoever_waits_for_the_pool_to_be_warm() {
    let mut pool = Puppet::new(SchedulerConfig { min_workers: 1, ..config(2) });
    pool.tell(Event::Warm);
    assert_eq!(pool.tell(DRAIN), ["not warm: Closed", "kill 0.0"]);
    assert_eq!(pool.tell(Event::Warm), ["not warm: Closed"]);
    assert_eq!(pool.exited(w(0), None), ["closed"]);
}
