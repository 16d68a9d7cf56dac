//! Tasks that are handed to a worker while it is busy with another: only their way is shared, never their fate.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use procpool::{ErrorKind, Map, Pool, PoolBuilder, Started, call};
use procpool_tests::tasks::{pid, wait_at};
use procpool_tests::{Gate, Signal, Visitor, ended, freeze, send, test, until};

fn builder(workers: usize) -> PoolBuilder {
    Pool::builder().workers(workers)
}

fn visit((path, word): (String, u64)) -> u32 {
    wait_at(path, word)
}

fn first_waits((path, word): (String, u64)) -> u32 {
    if word == 0 { wait_at(path, word) } else { pid() }
}

type Items = std::vec::IntoIter<(String, u64)>;

/// A map over so many visits at a gate, each worker having up to eight in hand.
fn visits(pool: &Pool, gate: &Gate, f: fn((String, u64)) -> u32, count: u64) -> Map<Items, u32> {
    let items: Vec<_> = (0..count).map(|word| (gate.path(), word)).collect();
    pool.map(f, items).window(64).chunk(8)
}

async fn release_all(visitors: Vec<Visitor>) {
    for visitor in visitors {
        visitor.release().await;
    }
}

test! {
    async fn behaviour_25_a_task_behind_a_long_one_runs_elsewhere() {
        let (pool, gate) = (builder(2).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        let mut map = visits(&pool, &gate, first_waits, 40).unordered();
        // All others are answered while the first one stands at the gate: also those that lay behind it.
        let mut pids = Vec::new();
        for _ in 1..40 {
            pids.push(map.next().await.unwrap().unwrap());
        }
        let first = gate.arrival().await;
        assert!(pids.iter().any(|pid| *pid != first.pid), "{pids:?}");
        let busy = first.pid;
        first.release().await;
        assert_eq!(map.next().await.unwrap().unwrap(), busy);
        assert!(map.next().await.is_none());
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (40, 2));
    }
}

test! {
    async fn behaviour_25_a_call_behind_a_long_one_runs_elsewhere() {
        let (pool, gate) = (builder(2).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        // So that calls are known to be short.
        for _ in 0..100 {
            pool.run(call!(pid())).await.unwrap();
        }
        let long = pool.spawn(call!(wait_at(gate.path(), 0)));
        let others = join_all((0..100).map(|_| pool.run(call!(pid())))).await;
        let first = gate.arrival().await;
        assert!(others.into_iter().all(|ran| ran.unwrap() != first.pid));
        first.release().await;
        long.await.unwrap();
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (201, 2));
    }
}

test! {
    async fn what_lies_behind_another_keeps_its_place_in_the_queue() {
        let (pool, gate) = (builder(1).queue_limit(2).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        for _ in 0..100 {
            pool.run(call!(pid())).await.unwrap();
        }
        let calls: Vec<_> = (0..3).map(|word| pool.try_run(call!(wait_at(gate.path(), word))).unwrap().spawn()).collect();
        let error = pool.try_run(call!(pid())).unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::QueueFull, Started::No));
        for _ in &calls {
            gate.arrival().await.release().await;
        }
        for call in calls {
            call.await.unwrap();
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn only_the_running_one_of_a_killed_worker_fails() {
        let (pool, gate) = (builder(1).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        let mut map = visits(&pool, &gate, visit, 6);
        let first = {
            let arrival = gate.arrival();
            tokio::select! { _ = map.next() => unreachable!("nobody was released"), first = arrival => first }
        };
        send(Signal::KILL, first.pid);
        let error = map.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.started(), error.index()), (ErrorKind::WorkerDied, Started::Yes, Some(0)));
        for _ in 1..6 {
            let next = tokio::select! { _ = map.next() => unreachable!("nobody was released"), next = gate.arrival() => next };
            assert_ne!(next.pid, first.pid);
            next.release().await;
            map.next().await.unwrap().unwrap();
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (5, 1, 2));
    }
}

test! {
    async fn a_task_that_exhausts_its_time_costs_those_behind_it_nothing() {
        let (pool, gate) = (builder(1).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        let mut map = visits(&pool, &gate, first_waits, 8).timeout(Duration::from_millis(200));
        let error = map.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.index()), (ErrorKind::TimedOut, Some(0)));
        for _ in 1..8 {
            map.next().await.unwrap().unwrap();
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.timed_out, report.crashed), (7, 1, 0));
    }
}

test! {
    async fn cancelled_tasks_behind_another_never_start() {
        let (pool, gate) = (builder(1).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        let busy = pool.spawn(call!(wait_at(gate.path(), 9)));
        let first = gate.arrival().await;
        let mut map = visits(&pool, &gate, visit, 6);
        // Its tasks are with the worker, behind the one that runs.
        assert!(futures::poll!(map.next()).is_pending());
        drop(map);
        let pid = first.pid;
        first.release().await;
        assert_eq!(busy.await.unwrap(), pid);
        // The same worker goes on; whoever arrives next is none of the cancelled.
        let last = pool.spawn(call!(wait_at(gate.path(), 7)));
        let next = gate.arrival().await;
        assert_eq!((next.word, next.pid), (7, pid));
        next.release().await;
        last.await.unwrap();
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.cancelled, report.workers_started), (2, 6, 1));
    }
}

test! {
    async fn what_a_stopped_worker_has_in_hand_runs_elsewhere() {
        let pool = builder(2).claim_timeout(Duration::from_millis(300)).build().unwrap();
        let gate = Gate::new();
        pool.ready().await.unwrap();
        let stopped = pool.run(call!(pid())).await.unwrap();
        freeze(stopped);
        let map = tokio::spawn(visits(&pool, &gate, visit, 12).into_future());
        for _ in 0..12 {
            let visitor = gate.arrival().await;
            assert_ne!(visitor.pid, stopped);
            visitor.release().await;
        }
        assert_eq!(map.await.unwrap().unwrap().len(), 12);
        ended(stopped).await;
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed), (13, 0));
    }
}

test! {
    async fn each_worker_is_told_apart_by_its_own_task() {
        let (pool, gate) = (builder(2).build().unwrap(), Gate::new());
        let map = tokio::spawn(visits(&pool, &gate, visit, 10).into_future());
        for _ in 0..5 {
            // Two at a time, whatever lies behind them.
            release_all(gate.arrivals(2).await).await;
        }
        assert_eq!(map.await.unwrap().unwrap().len(), 10);
        pool.shutdown().await.unwrap();
    }
}

fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

test! {
    async fn big_and_small_arguments_arrive_in_any_order() {
        let pool = builder(2).build().unwrap();
        let sizes = [0, 10, 3 << 20, 1, 100_000, 8 << 10, 5, 70_000, 0, 200_000];
        let lengths: Vec<usize> = (0..200).map(|item| sizes[item % sizes.len()] + item).collect();
        let items = lengths.clone().into_iter().map(|length| vec![1; length]);
        assert_eq!(pool.map(length, items).window(64).chunk(16).await.unwrap(), lengths);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (200, 2));
    }
}

test! {
    async fn a_worker_too_many_goes_after_its_task_whatever_lies_behind_it() {
        let (pool, gate) = (builder(2).build().unwrap(), Gate::new());
        pool.ready().await.unwrap();
        let map = tokio::spawn(visits(&pool, &gate, visit, 24).into_future());
        let mut standing = gate.arrivals(2).await;
        let stays = standing.pop().unwrap();
        until("all are handed over", || pool.stats().report.submitted == 24);
        let busy = pool.stats();
        assert_eq!((busy.running, busy.queued), (2, 22), "{busy}");
        pool.resize(1).unwrap();
        let goes = standing.pop().unwrap();
        let pid = goes.pid;
        goes.release().await;
        ended(pid).await;
        // The other has not moved, and does all the rest.
        assert_eq!(pool.stats().running, 1);
        let last = stays.pid;
        stays.release().await;
        for _ in 2..24 {
            gate.arrival().await.release().await;
        }
        let pids = map.await.unwrap().unwrap();
        assert_eq!(pids.iter().filter(|ran| **ran == last).count(), 23, "{pids:?}");
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 2);
    }
}
