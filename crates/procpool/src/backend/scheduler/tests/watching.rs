//! What is told beside the decisions: why workers end, and where the time goes.

use super::super::*;
use super::job::{Job, Test};
use super::ledger::ms;
use super::puppet::{PLAIN, Puppet, config, w};

/// Tells the scheduler something, and gives what a task that ends by it was told of its time, in milliseconds.
fn timing(puppet: &mut Puppet, event: Event<Test>) -> Vec<(Option<u128>, Option<u128>)> {
    let mut actions = Vec::new();
    puppet.scheduler.handle(event, puppet.now, &mut actions);
    let ms = |time: Option<std::time::Duration>| time.map(|time| time.as_millis());
    let timings = actions.iter().filter_map(|action| match action {
        Action::Resolve { timing, .. } => Some((ms(timing.waited), ms(timing.ran))),
        _ => None,
    });
    timings.collect()
}

fn answer(puppet: &mut Puppet, worker: WorkerId) -> Vec<(Option<u128>, Option<u128>)> {
    let (offer, task) = puppet.hand(worker)[0];
    timing(puppet, Event::Replied { worker, offer, reply: (task, offer) })
}

fn pass(puppet: &mut Puppet, time: u64) {
    puppet.now = puppet.now.after(ms(time));
}

#[test]
fn time_is_spent_waiting_or_in_a_workers_hand() {
    let mut puppet = Puppet::with_workers(1, config(1));
    puppet.submit(PLAIN);
    puppet.submit(PLAIN);
    pass(&mut puppet, 30);
    assert_eq!(answer(&mut puppet, w(0)), [(Some(0), Some(30))]);
    pass(&mut puppet, 5);
    assert_eq!(answer(&mut puppet, w(0)), [(Some(30), Some(5))]);
    // Of 35 milliseconds with a task there was none without; then come 65.
    pass(&mut puppet, 65);
    assert_eq!(puppet.scheduler.worker_time(puppet.now), (ms(35), ms(100)));
}

#[test]
fn attempts_add_up_and_what_was_not_begun_has_waited() {
    let mut puppet = Puppet::with_workers(1, config(1));
    puppet.submit(TaskOptions { retries: 1, ..PLAIN });
    pass(&mut puppet, 40);
    let claimed = Some(puppet.claimed());
    puppet.exited(w(0), claimed);
    pass(&mut puppet, 7);
    let second = WorkerId { slot: 0, generation: 1 };
    puppet.tell(Event::Ready { worker: second });
    pass(&mut puppet, 100);
    // The second worker never begins, and is gone: the task is handed to a third one.
    let offered = Some(puppet.offered());
    puppet.exited(second, offered);
    let third = WorkerId { slot: 0, generation: 2 };
    puppet.tell(Event::Ready { worker: third });
    pass(&mut puppet, 3);
    assert_eq!(answer(&mut puppet, third), [(Some(107), Some(43))]);
}

#[test]
fn who_never_ran_has_waited_and_who_was_refused_has_not() {
    let mut puppet = Puppet::with_workers(1, SchedulerConfig { queue_limit: 1, waiting_limit: 0, ..config(1) });
    puppet.submit(PLAIN);
    puppet.submit(PLAIN);
    pass(&mut puppet, 20);
    let mut actions = Vec::new();
    puppet.scheduler.submit(Job::Plain, PLAIN, puppet.now, &mut actions);
    assert!(matches!(actions[..], [Action::Resolve { timing: Timing { waited: None, ran: None }, .. }]));
    let cancel = Event::Cancel { task: TaskId(2), why: CancelReason::Dropped };
    assert_eq!(timing(&mut puppet, cancel), [(Some(20), None)]);
}

#[test]
fn the_end_of_a_worker_is_told_with_its_reason() {
    let limits = SchedulerConfig { max_tasks: Some(2), idle_timeout: Some(ms(50)), ..config(2) };
    let mut puppet = Puppet::with_workers(2, limits);
    let births = puppet.told();
    assert_eq!(births, ["0.0 started", "0.0 ready after 0ns", "1.0 started", "1.0 ready after 0ns"]);
    // Worker 0 works for the second time.
    puppet.submit(PLAIN);
    puppet.reply(w(0));
    puppet.exited(w(0), None);
    assert_eq!(puppet.told(), ["0.0 ended: Recycled, 2 done"]);
    puppet.tick(50);
    puppet.exited(w(1), None);
    assert_eq!(puppet.told(), ["1.0 ended: Idle, 1 done"]);
}

#[test]
fn a_worker_that_is_killed_for_its_task_was_stopped() {
    let mut puppet = Puppet::with_workers(1, config(1));
    puppet.told();
    puppet.submit(PLAIN);
    puppet.cancel(1);
    let claimed = puppet.claimed();
    puppet.evidence(w(0), claimed);
    puppet.evidence(w(0), claimed);
    puppet.exited(w(0), Some(claimed));
    assert_eq!(puppet.told(), ["0.0 ended: Stopped, 1 done"]);
}

#[test]
fn who_dies_by_itself_died_and_who_is_never_ready_failed_to_start() {
    let mut puppet = Puppet::with_workers(1, config(1));
    puppet.told();
    puppet.submit(PLAIN);
    let claimed = Some(puppet.claimed());
    puppet.exited(w(0), claimed);
    puppet.submit(PLAIN);
    let second = WorkerId { slot: 0, generation: 1 };
    puppet.exited(second, None);
    assert_eq!(
        puppet.told(),
        ["0.0 ended: Died, 1 done", "0.1 ended: StartFailed, 0 done", "starts paused for 100ms, 1 failures"]
    );
}

#[test]
fn sizes_and_the_end_are_told_and_nothing_after_it() {
    let mut puppet = Puppet::with_workers(2, config(2));
    puppet.told();
    puppet.tell(Event::Resize { min: 0, max: 1 });
    puppet.exited(w(1), None);
    puppet.tell(Event::Close { how: Closing::Drain { deadline: None } });
    puppet.tell(Event::Close { how: Closing::Drain { deadline: None } });
    puppet.tell(Event::Close { how: Closing::Kill });
    puppet.exited(w(0), None);
    puppet.tell(Event::Resize { min: 0, max: 3 });
    puppet.tell(Event::Close { how: Closing::Kill });
    assert_eq!(
        puppet.told(),
        [
            "resized to 0..=1",
            "1.0 ended: Resized, 1 done",
            "closing: Drain { deadline: None }",
            "closing: Kill",
            "0.0 ended: Closed, 1 done",
        ]
    );
}
