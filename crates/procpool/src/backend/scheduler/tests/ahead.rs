//! Tasks in the hand of a worker that is busy with another.

use super::super::*;
use super::ledger::ms;
use super::puppet::{NOTHING, PLAIN, Puppet, config, w};

const SOME: TaskOptions = TaskOptions { batch: Batch::UpTo(8), ..PLAIN };
const AUTO: TaskOptions = TaskOptions { batch: Batch::Auto, ..PLAIN };

/// A pool of `workers` with so many tasks handed over, the first of which has the number `workers`.
fn with_tasks(workers: u32, tasks: u32, config: SchedulerConfig) -> Puppet {
    let mut pool = Puppet::with_workers(workers, config);
    for _ in 0..tasks {
        pool.submit(SOME);
    }
    pool
}

#[test]
fn idle_workers_come_first_and_hands_are_filled_evenly() {
    let mut pool = Puppet::with_workers(2, config(2));
    assert_eq!(pool.submit(SOME), ["offer 0.0 t2"]);
    assert_eq!(pool.submit(SOME), ["offer 1.0 t3"]);
    for _ in 0..4 {
        pool.submit(SOME);
    }
    assert_eq!((pool.tasks_of(w(0)), pool.tasks_of(w(1))), (vec![2, 4, 6], vec![3, 5, 7]));
    assert_eq!(pool.reply(w(0)), ["t2 replied"]);
    assert_eq!(pool.tasks_of(w(0)), [4, 6]);
}

#[test]
fn a_hand_is_filled_when_it_is_half_empty_and_all_of_it_then() {
    let mut pool = with_tasks(1, 20, config(1));
    assert_eq!(pool.tasks_of(w(0)), [1, 2, 3, 4, 5]);
    for task in 1..=4 {
        let told = pool.reply(w(0));
        let more =
            if task == 1 { vec!["offer 0.0 t6", "offer 0.0 t7", "offer 0.0 t8", "offer 0.0 t9"] } else { vec![] };
        assert_eq!(told[0], format!("t{task} replied"));
        assert_eq!(told[1..], more);
    }
}

#[test]
fn a_task_that_wants_an_idle_worker_is_not_passed_by_others() {
    let mut pool = with_tasks(1, 2, config(1));
    assert_eq!(pool.submit(PLAIN), NOTHING);
    assert_eq!(pool.submit(SOME), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t3", "offer 0.0 t4"]);
}

/// Behaviour 25.
#[test]
fn an_idle_worker_gets_half_of_the_longest_hand_from_its_end() {
    let mut pool = with_tasks(2, 8, config(2));
    assert_eq!((pool.tasks_of(w(0)), pool.tasks_of(w(1))), (vec![2, 4, 6, 8], vec![3, 5, 7, 9]));
    for task in [3, 5, 7] {
        assert_eq!(pool.reply(w(1)), [format!("t{task} replied")]);
    }
    assert_eq!(pool.reply(w(1)), ["t9 replied", "revoke 0.0", "revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 8, Evidence::Revoked), ["offer 1.0 t8"]);
    assert_eq!(pool.evidence_of(w(0), 6, Evidence::Revoked), ["offer 1.0 t6"]);
    assert_eq!((pool.tasks_of(w(0)), pool.tasks_of(w(1))), (vec![2, 4], vec![8, 6]));
}

#[test]
fn what_is_claimed_when_it_is_to_be_shared_stays() {
    let mut pool = with_tasks(2, 3, config(2));
    assert_eq!(pool.reply(w(1)), ["t3 replied", "revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 4, pool.claimed()), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t2 replied"]);
    assert_eq!(pool.reply(w(0)), ["t4 replied"]);
}

/// Behaviour 22.
#[test]
fn a_cancelled_task_behind_another_is_taken_back_and_costs_nothing() {
    let mut pool = with_tasks(1, 3, config(1));
    assert_eq!(pool.cancel(2), ["revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 2, Evidence::Revoked), ["t2 cancelled, began No"]);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.tasks_of(w(0)), [3]);
}

#[test]
fn a_cancelled_task_behind_another_that_has_begun_is_stopped_when_its_turn_is_known() {
    let mut pool = with_tasks(1, 3, config(1));
    assert_eq!(pool.cancel(2), ["revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 2, pool.claimed()), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "revoke 0.0", "set cancel 0.0", "inspect 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 3, Evidence::Revoked), NOTHING);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["kill 0.0"]);
    let told = pool.exited(w(0), Some(pool.claimed()));
    assert_eq!(told, ["t2 cancelled, began Yes, 0.0 SIGSEGV", "spawn 0.1 Shared"]);
}

#[test]
fn before_a_running_task_is_killed_those_behind_it_are_taken_back() {
    let mut pool = with_tasks(1, 3, config(1));
    assert_eq!(pool.cancel(1), ["revoke 0.0"]);
    let last_look = ["revoke 0.0", "revoke 0.0", "set cancel 0.0", "inspect 0.0"];
    assert_eq!(pool.evidence(w(0), pool.claimed()), last_look);
    assert_eq!(pool.evidence_of(w(0), 3, Evidence::Revoked), NOTHING);
    // It is not given back to the same worker.
    assert_eq!(pool.evidence_of(w(0), 2, Evidence::Revoked), NOTHING);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["kill 0.0"]);
    let told = pool.exited(w(0), Some(pool.claimed()));
    assert_eq!(told, ["t1 cancelled, began Yes, 0.0 SIGSEGV", "spawn 0.1 Shared"]);
    let again = WorkerId { slot: 0, generation: 1 };
    assert_eq!(pool.ready(again), ["offer 0.1 t2", "offer 0.1 t3"]);
}

#[test]
fn a_worker_that_has_begun_the_next_task_is_not_killed_for_the_one_before() {
    let mut pool = with_tasks(1, 2, config(1));
    pool.cancel(1);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["revoke 0.0", "set cancel 0.0", "inspect 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 2, pool.claimed()), NOTHING);
    assert_eq!(pool.evidence(w(0), Evidence::Done), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied"]);
}

/// Behaviour 15.
#[test]
fn only_the_claimed_one_is_to_blame_for_a_death_and_the_others_lose_nothing() {
    let mut pool = with_tasks(1, 3, SchedulerConfig { max_offers: 1, ..config(1) });
    let (claimed, offered) = (pool.claimed(), pool.offered());
    let told = pool.exited_with(w(0), &[claimed, offered, offered]);
    assert_eq!(told, ["t1 worker died, began Yes, 0.0 SIGSEGV", "spawn 0.1 Shared"]);
    let again = WorkerId { slot: 0, generation: 1 };
    assert_eq!(pool.ready(again), ["offer 0.1 t2", "offer 0.1 t3"]);
    // It was its turn this time.
    let told = pool.exited_with(again, &[offered, offered]);
    assert_eq!(told, ["t2 worker died, began No, 0.1 SIGSEGV", "spawn 0.2 Shared"]);
}

#[test]
fn a_page_with_two_claims_proves_nothing() {
    let mut pool = with_tasks(1, 2, config(1));
    let claimed = pool.claimed();
    let told = pool.exited_with(w(0), &[claimed, claimed]);
    let unknown = |task| format!("t{task} worker died, began Unknown, 0.0 SIGSEGV");
    assert_eq!(told, [unknown(1), unknown(2)]);
}

#[test]
fn an_answer_that_passes_over_another_counts_and_ends_its_worker() {
    let mut pool = with_tasks(1, 3, config(1));
    let (offer, task) = pool.hand(w(0))[1];
    let told = pool.tell(Event::Replied { worker: w(0), offer, reply: (task, offer) });
    assert_eq!(told, ["t2 replied", "revoke 0.0", "kill 0.0"]);
}

/// Behaviour F, first half.
#[test]
fn a_silent_worker_loses_all_that_it_has_in_hand() {
    let mut pool = with_tasks(1, 3, config(1));
    assert_eq!(pool.tick(500), ["inspect 0.0"]);
    let since = Evidence::Offered { since: Now::default() };
    assert_eq!(pool.evidence(w(0), since), ["revoke 0.0", "revoke 0.0", "revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 3, Evidence::Revoked), NOTHING);
    assert_eq!(pool.evidence_of(w(0), 2, Evidence::Revoked), NOTHING);
    assert_eq!(pool.evidence(w(0), Evidence::Revoked), ["kill 0.0, it did not take the task within 500ms"]);
    assert_eq!(pool.exited(w(0), None), ["spawn 0.1 Shared"]);
    let again = WorkerId { slot: 0, generation: 1 };
    assert_eq!(pool.ready(again), ["offer 0.1 t1", "offer 0.1 t2", "offer 0.1 t3"]);
}

#[test]
fn run_time_and_claim_time_count_from_a_tasks_own_turn() {
    let mut pool = Puppet::with_workers(1, config(1));
    let limited = TaskOptions { run_limit: Some(ms(200)), ..SOME };
    pool.submit(limited);
    pool.submit(limited);
    pool.now = Now(ms(190));
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.tick(200), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), Evidence::Claimed { at: Now(ms(195)) }), NOTHING);
    assert_eq!(pool.tick(5), ["inspect 0.0"]);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["set cancel 0.0", "inspect 0.0"]);
}

#[test]
fn a_queue_limit_counts_behind_another_task_too() {
    let mut pool = with_tasks(1, 1, config(1));
    pool.submit(TaskOptions { queue_limit: Some(ms(100)), ..SOME });
    assert_eq!(pool.tick(100), ["revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 2, Evidence::Revoked), ["t2 queue timed out"]);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
}

#[test]
fn a_pool_goes_on_growing_and_leaves_tasks_for_the_workers_that_start() {
    let mut pool = Puppet::with_workers(1, config(3));
    pool.submit(SOME);
    assert_eq!(pool.submit(SOME), ["offer 0.0 t2", "spawn 1.0 Shared"]);
    assert_eq!(pool.submit(SOME), ["spawn 2.0 Shared"]);
    assert_eq!(pool.submit(SOME), NOTHING);
    assert_eq!(pool.submit(SOME), ["offer 0.0 t3"]);
    assert_eq!(pool.ready(w(2)), ["offer 2.0 t4"]);
    assert_eq!(pool.ready(w(1)), ["offer 1.0 t5"]);
}

#[test]
fn no_worker_is_given_more_than_it_may_still_do() {
    let mut pool = with_tasks(1, 5, SchedulerConfig { max_tasks: Some(3), ..config(1) });
    assert_eq!(pool.tasks_of(w(0)), [1, 2]);
    assert_eq!(pool.reply(w(0)), ["t1 replied"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "retire 0.0", "spawn 1.0 Shared"]);
}

#[test]
fn a_worker_that_is_to_go_gives_back_what_lies_behind_its_task() {
    let mut pool = with_tasks(1, 2, config(1));
    assert_eq!(pool.tell(Event::Worn { worker: w(0) }), ["revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 2, Evidence::Revoked), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "retire 0.0", "spawn 1.0 Shared"]);
}

#[test]
fn for_a_more_urgent_task_one_worker_makes_way() {
    let mut pool = with_tasks(2, 6, config(2));
    let urgent = TaskOptions { priority: 1, ..PLAIN };
    assert_eq!(pool.submit(urgent), ["revoke 0.0", "revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), 6, Evidence::Revoked), NOTHING);
    assert_eq!(pool.evidence_of(w(0), 4, Evidence::Revoked), NOTHING);
    assert_eq!(pool.reply(w(1)), ["t3 replied"]);
    assert_eq!(pool.reply(w(0)), ["t2 replied", "offer 0.0 t8", "offer 0.0 t4", "offer 0.0 t6"]);
}

#[test]
fn no_two_offers_in_a_hand_have_the_same_slot() {
    let mut pool = with_tasks(1, 4, config(1));
    let (first, _) = pool.hand(w(0))[0];
    pool.scheduler.next_offer = first.0 + 64;
    pool.submit(SOME);
    let offers: Vec<_> = pool.hand(w(0)).into_iter().map(|(offer, _)| offer.0 - first.0).collect();
    assert_eq!(offers, [0, 1, 2, 3, 68]);
}

#[test]
fn hands_are_as_full_as_recent_tasks_are_short() {
    let mut pool = Puppet::with_workers(1, config(1));
    for _ in 0..100 {
        pool.submit(AUTO);
    }
    // Nothing is known yet.
    assert_eq!(pool.tasks_of(w(0)).len(), 1);
    pool.reply(w(0));
    assert_eq!(pool.scheduler.auto_depth(), 64);
    assert_eq!(pool.tasks_of(w(0)).len(), 64);
    // They turn out long: behind such a one nothing is put.
    for _ in 0..63 {
        pool.now = pool.now.after(ms(5));
        pool.reply(w(0));
    }
    assert_eq!(pool.scheduler.auto_depth(), 1);
    assert_eq!(pool.tasks_of(w(0)).len(), 1);
}

#[test]
fn a_worker_shot_with_tasks_in_hand_costs_the_pool_nothing_else() {
    let mut pool = with_tasks(2, 8, config(2));
    assert_eq!(pool.tell(Event::Broken { worker: w(0) }), ["revoke 0.0", "revoke 0.0", "revoke 0.0", "kill 0.0"]);
    let (claimed, revoked) = (pool.claimed(), Evidence::Revoked);
    let told = pool.exited_with(w(0), &[claimed, revoked, revoked, revoked]);
    assert_eq!(told.first().map(String::as_str), Some("t2 worker died, began Yes, 0.0 SIGSEGV"));
    // The other three are older than what the second worker has ahead.
    assert_eq!(told[1..], ["revoke 1.0", "revoke 1.0", "revoke 1.0", "spawn 0.1 Shared"]);
}

#[test]
fn a_worker_that_is_worn_gives_back_what_it_has_not_begun() {
    let mut pool = with_tasks(1, 3, config(1));
    assert_eq!(pool.tell(Event::Worn { worker: w(0) }), ["revoke 0.0", "revoke 0.0"]);
    for task in [3, 2] {
        assert_eq!(pool.evidence_of(w(0), task, Evidence::Revoked), NOTHING);
    }
    // Nothing new is put there, either.
    assert_eq!(pool.submit(SOME), NOTHING);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "retire 0.0", "spawn 1.0 Shared"]);
    assert_eq!(pool.ready(w(1)), ["offer 1.0 t2", "offer 1.0 t3", "offer 1.0 t4"]);
}

/// Behaviours 18 and 25.
#[test]
fn what_lies_behind_a_task_that_turns_out_long_goes_back_to_the_head_of_the_queue() {
    let mut pool = Puppet::with_workers(2, config(2));
    // All are known to be short, until one is not.
    for _ in 0..2 {
        pool.submit(AUTO);
    }
    pool.reply(w(0));
    pool.reply(w(1));
    for _ in 0..4 {
        pool.submit(AUTO);
    }
    let (stuck, running) = (pool.tasks_of(w(0)), pool.tasks_of(w(1)));
    assert_eq!((stuck.len(), running.len()), (2, 2));
    pool.now = pool.now.after(ms(3));
    // The other one is slow in being heard, and the page says so.
    assert_eq!(pool.submit(AUTO), ["inspect 0.0", "inspect 1.0"]);
    assert_eq!(pool.evidence(w(1), Evidence::Done), NOTHING);
    assert_eq!(pool.evidence(w(0), pool.claimed()), ["revoke 0.0"]);
    assert_eq!(pool.evidence_of(w(0), stuck[1], Evidence::Revoked), NOTHING);
    // Before all that came after it.
    let told = pool.reply(w(1));
    assert_eq!(told[0], format!("t{} replied", running[0]));
    assert_eq!(pool.tasks_of(w(0)), [stuck[0]]);
}

#[test]
fn a_task_behind_another_keeps_its_place_in_the_queue() {
    let mut pool = Puppet::with_workers(1, SchedulerConfig { queue_limit: 3, waiting_limit: 1, ..config(1) });
    for _ in 0..5 {
        pool.submit(SOME);
    }
    // The last one waits for a place, and is not given ahead until it has one.
    assert_eq!(pool.tasks_of(w(0)), [1, 2, 3, 4]);
    assert_eq!(pool.submit(SOME), ["t6 queue full"]);
    assert_eq!(pool.reply(w(0)), ["t1 replied", "offer 0.0 t5"]);
    assert_eq!(pool.submit(SOME), NOTHING);
    assert_eq!(pool.submit(SOME), ["t8 queue full"]);
}
