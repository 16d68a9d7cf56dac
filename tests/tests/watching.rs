//! What a pool of processes tells of the ends of its workers.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use futures::StreamExt;
use procpool::{ErrorKind, Event, Events, Exit, Pool, WorkerEnd, call};
use procpool_tests::tasks::{leave, pid};
use procpool_tests::{Famine, Signal, send, test};

/// The next worker's end: its reason, process and exit.
async fn next_end(events: &mut Events) -> (WorkerEnd, Option<u32>, Option<Exit>) {
    loop {
        if let Event::WorkerEnded { why, pid, exit, .. } = events.next().await.unwrap() {
            return (why, pid, exit);
        }
    }
}

test! {
    async fn a_crash_is_told_with_its_process_and_its_task() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        let mut events = pool.events();
        let error = pool.run(call!(leave(3))).await.unwrap_err();
        assert_eq!(next_end(&mut events).await, (WorkerEnd::Died, Some(worker), Some(Exit::Code(3))));
        let failed = events.next().await.unwrap();
        let Event::TaskFailed { name, kind, message, .. } = failed else { panic!("{failed:?}") };
        assert_eq!((name.as_str(), kind, message), ("leave", ErrorKind::WorkerDied, error.to_string()));
        let second = pool.run(call!(pid())).await.unwrap();
        let started = events.next().await.unwrap();
        assert!(
            matches!(started, Event::WorkerStarted { pid, generation: 1, .. } if pid == Some(second)),
            "{started:?}"
        );
        pool.shutdown().await.unwrap();
        let stats = pool.stats();
        assert_eq!((stats.ended.died, stats.ended.closed, stats.ended.total()), (1, 1, 2), "{stats}");
    }
}

test! {
    async fn a_worker_that_is_killed_from_outside_died() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        let mut events = pool.events();
        send(Signal::KILL, worker);
        let (why, pid, exit) = next_end(&mut events).await;
        assert_eq!((why, pid, exit.and_then(Exit::signal)), (WorkerEnd::Died, Some(worker), Some(9)));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_process_that_could_not_be_made_has_only_an_end() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let mut events = pool.events();
        let famine = Famine::new();
        pool.ready().await.unwrap_err();
        drop(famine);
        let told: Vec<Event> = events.by_ref().take(2).collect().await;
        let [Event::WorkerEnded { why, pid, exit, detail, .. }, Event::StartsPaused { failures: 1, .. }] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((*why, *pid, *exit), (WorkerEnd::StartFailed, None, None));
        assert!(detail.contains("worker-0: its process could not be started"), "{detail}");
        pool.shutdown().await.unwrap();
    }
}
