//! The life of a worker: start, failure to start, recycling, replacement, resizing.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use procpool::{ErrorKind, Pool, PoolBuilder, PoolErrorKind, Started, Stdio, WorkerState, call};
use procpool_tests::tasks::{Identity, leave, pid, same, wait_at, who};
use procpool_tests::{Famine, Gate, Signal, Swamp, Visitor, children_of, ended, freeze, is_alive, send, test, until};

fn builder(workers: usize) -> PoolBuilder {
    Pool::builder().workers(workers)
}

fn children() -> BTreeSet<u32> {
    children_of(std::process::id()).into_iter().collect()
}

async fn release_all(visitors: Vec<Visitor>) {
    for visitor in visitors {
        visitor.release().await;
    }
}

/// Has so many workers busy at a time, and tells which processes they are.
async fn all_pids(pool: &Pool, gate: &Gate, count: usize) -> BTreeSet<u32> {
    let runs: Vec<_> = (0..count as u64).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
    release_all(gate.arrivals(count).await).await;
    try_join_all(runs).await.unwrap().into_iter().collect()
}

test! {
    async fn behaviour_33_max_tasks() {
        let pool = builder(1).max_tasks(3).build().unwrap();
        let mut pids = Vec::new();
        for _ in 0..7 {
            pids.push(pool.run(call!(pid())).await.unwrap());
        }
        assert_eq!((pids[1], pids[2]), (pids[0], pids[0]));
        assert_eq!((pids[4], pids[5]), (pids[3], pids[3]));
        assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 3, "{pids:?}");
        until("the old ones are reaped", || children() == BTreeSet::from([pids[6]]));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (7, 0, 3));
    }
}

test! {
    async fn behaviour_33_hundred_tasks() {
        let pool = builder(1).max_tasks(10).build().unwrap();
        let pids = try_join_all((0..100).map(|_| pool.run(call!(pid())))).await.unwrap();
        for ten in pids.chunks(10) {
            assert!(ten.iter().all(|pid| *pid == ten[0]), "{pids:?}");
        }
        assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 10, "{pids:?}");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started, report.workers_ended), (100, 10, 10));
    }
}

test! {
    async fn behaviour_33_one_process_a_task() {
        let pool = builder(2).max_tasks(1).build().unwrap();
        let pids = try_join_all((0..10).map(|_| pool.run(call!(pid())))).await.unwrap();
        assert_eq!(pids.into_iter().collect::<BTreeSet<_>>().len(), 10);
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 10);
    }
}

test! {
    async fn behaviour_33_zero_refused() {
        let error = builder(1).max_tasks(0).build().unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        assert_eq!(error.to_string(), "max_tasks is 0; it must be at least 1");
    }
}

test! {
    async fn a_replacement_has_the_slot_and_the_next_generation() {
        let pool = builder(1).build().unwrap();
        let mut pids = BTreeSet::new();
        for generation in 0..4 {
            let Identity { name, slot, generation: counted, pid, .. } = pool.run(call!(who())).await.unwrap();
            assert_eq!((name.as_str(), slot, counted), ("worker-0", Some(0), Some(generation)));
            let worker = pool.snapshot().workers[0].clone();
            assert_eq!((worker.name, worker.generation, worker.pid), (name, generation, Some(pid)));
            assert!(pids.insert(pid));
            assert_eq!(pool.run(call!(leave(3))).await.unwrap_err().pid(), Some(pid));
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.crashed, report.succeeded, report.balances()), (4, 4, true));
    }
}

test! {
    async fn an_idle_worker_that_is_killed_is_nobodys_failure() {
        let pool = builder(1).build().unwrap();
        let first = pool.run(call!(pid())).await.unwrap();
        send(Signal::KILL, first);
        until("it is reaped", || children().is_empty());
        assert_ne!(pool.run(call!(pid())).await.unwrap(), first);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (2, 0, 2));
    }
}

test! {
    async fn resizing_keeps_who_stays() {
        let (pool, gate) = (builder(4).build().unwrap(), Gate::new());
        let four = all_pids(&pool, &gate, 4).await;
        assert_eq!((four.len(), &four), (4, &children()));
        pool.resize(2).unwrap();
        until("two go", || children().len() == 2);
        let two = all_pids(&pool, &gate, 2).await;
        assert!(two.len() == 2 && two.is_subset(&four), "{two:?} of {four:?}");
        pool.resize(5).unwrap();
        let five = all_pids(&pool, &gate, 5).await;
        assert!(five.len() == 5 && two.is_subset(&five), "{two:?} in {five:?}");
        // The lowest free slots are used.
        let names: Vec<_> = pool.snapshot().workers.into_iter().map(|worker| worker.name).collect();
        assert_eq!(names, ["worker-0", "worker-1", "worker-2", "worker-3", "worker-4"]);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started, report.workers_ended), (11, 7, 7));
    }
}

test! {
    async fn resizing_does_not_disturb_who_works() {
        let (pool, gate) = (builder(3).build().unwrap(), Gate::new());
        let runs: Vec<_> = (0..5).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
        let mut visitors = gate.arrivals(3).await;
        pool.resize(1).unwrap();
        assert_eq!(pool.snapshot().workers.len(), 3);
        // Whoever is free first goes; the last one does the rest.
        let last = visitors.remove(2);
        for visitor in visitors {
            let worker = visitor.pid;
            visitor.release().await;
            ended(worker).await;
        }
        let stays = last.pid;
        last.release().await;
        for _ in 0..2 {
            let visitor = gate.arrival().await;
            assert_eq!(visitor.pid, stays);
            visitor.release().await;
        }
        try_join_all(runs).await.unwrap();
        assert_eq!(children(), BTreeSet::from([stays]));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (5, 3));
    }
}

test! {
    async fn sizes_that_cannot_be_are_refused() {
        let pool = builder(1).build().unwrap();
        #[expect(clippy::reversed_empty_ranges, reason = "it is to be refused")]
        for range in [3..=2, 0..=0, 0..=1_000_000] {
            assert_eq!(pool.resize(range.clone()).unwrap_err().kind(), PoolErrorKind::InvalidConfig);
            assert_eq!(Pool::builder().workers(range).build().unwrap_err().kind(), PoolErrorKind::InvalidConfig);
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_worker_that_never_says_hello() {
        let swamp = Swamp::new();
        let pool = builder(1).env("LD_PRELOAD", swamp.path()).start_timeout(Duration::from_millis(200)).build().unwrap();
        let began = Instant::now();
        let runs = [pool.spawn(call!(pid())), pool.spawn(call!(pid()))];
        for result in join_all(runs).await {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
            let text = error.to_string();
            assert!(text.contains("3 in a row ended before they were ready"), "{text}");
            assert!(text.contains("it was not up within 200ms of its start"), "{text}");
        }
        assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
        // For a while it is not tried again: whoever asks meanwhile is told at once.
        let error = pool.run(call!(pid())).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
        assert!(children().is_empty());
        let error = pool.ready().await.unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::StartFailed);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.refused, report.workers_started), (3, 3, 3));
        assert!(report.balances());
    }
}

test! {
    async fn peer_death_before_ready() {
        let swamp = Swamp::new();
        // The loader prints that it cannot find the first of these, and is then stuck with the second.
        let preload = format!("/procpool-has-no-such-file.so:{}", swamp.path().display());
        let pool = builder(1).env("LD_PRELOAD", preload).stderr(Stdio::Capture).build().unwrap();
        let run = pool.spawn(call!(pid()));
        let mut killed = BTreeSet::new();
        while killed.len() < 3 {
            let stuck = swamp.catch();
            let mut known = None;
            until("the pool knows its worker", || {
                known = pool.snapshot().workers.iter().find_map(|worker| worker.pid).filter(|pid| !killed.contains(pid));
                known.is_some()
            });
            let pid = known.unwrap();
            send(Signal::KILL, pid);
            ended(pid).await;
            drop(stuck);
            killed.insert(pid);
        }
        let error = run.await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
        let text = error.to_string();
        assert!(text.contains("3 in a row ended before they were ready") && text.contains("SIGKILL"), "{text}");
        // What it printed.
        assert!(error.stderr().iter().any(|line| line.contains("procpool-has-no-such-file")), "{:?}", error.stderr());
        assert!(format!("{error:#}").contains("procpool-has-no-such-file"));
        assert!(error.pid().is_some_and(|pid| killed.contains(&pid)));
        assert!(killed.into_iter().all(|pid| !is_alive(pid)));
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 3);
    }
}

test! {
    async fn behaviour_36_spawn_fails() {
        let (pool, gate) = (builder(3).build().unwrap(), Gate::new());
        let three = all_pids(&pool, &gate, 3).await;
        assert_eq!(three.len(), 3);
        pool.resize(5).unwrap();
        let famine = Famine::new();
        let error = pool.ready().await.unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::StartFailed);
        assert!(error.to_string().contains("Too many open files"), "{error}");
        // The three that there are do the work.
        let pids = try_join_all((0..20).map(|_| pool.run(call!(pid())))).await.unwrap();
        assert!(pids.iter().all(|pid| three.contains(pid)));
        assert_eq!(pool.snapshot().workers.iter().filter(|worker| worker.state == WorkerState::Idle).count(), 3);
        drop(famine);
        // The trouble is over, which the pool finds out by itself.
        let five = all_pids(&pool, &gate, 5).await;
        assert!(five.len() == 5 && three.is_subset(&five));
        assert_eq!(children(), five);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.refused, report.balances()), (28, 0, true));
    }
}

test! {
    async fn behaviour_36_no_worker_can_be_spawned() {
        let pool = builder(5).build().unwrap();
        let famine = Famine::new();
        for result in join_all((0..5).map(|x| pool.run(call!(same(x))))).await {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
            assert!(error.to_string().contains("Too many open files"), "{error}");
        }
        drop(famine);
        until("the pause is over", || pool.try_run(call!(pid())).is_ok());
        assert_eq!(pool.run(call!(same(4))).await.unwrap(), 4);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.refused, report.balances()), (1, 5, true));
    }
}

test! {
    async fn behaviour_f_stopped_worker() {
        let pool = builder(2).claim_timeout(Duration::from_millis(300)).build().unwrap();
        let stopped = pool.run(call!(pid())).await.unwrap();
        freeze(stopped);
        // It is idle, so it is chosen; when it does not take the task, the task goes elsewhere.
        let other = pool.run(call!(pid())).await.unwrap();
        assert_ne!(other, stopped);
        ended(stopped).await;
        assert_eq!(pool.run(call!(pid())).await.unwrap(), other);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (3, 0, 2));
    }
}
