//! Many calls at once: who runs when and where, growth and shrinking, reuse, the queue's bounds.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{BoxFuture, join_all, try_join_all};
use procpool::{ErrorKind, Pool, Started, WorkerState, call};
use procpool_tests::tasks::{boom, pid, power, same, wait_at};
use procpool_tests::{Gate, Visitor, children_of, test, until};

fn workers(count: usize) -> Pool {
    Pool::builder().workers(count).build().unwrap()
}

fn me() -> u32 {
    std::process::id()
}

fn pids(visitors: &[Visitor]) -> BTreeSet<u32> {
    visitors.iter().map(|visitor| visitor.pid).collect()
}

async fn release_all(visitors: Vec<Visitor>) {
    for visitor in visitors {
        visitor.release().await;
    }
}

/// One of the callers of line 26: runs, maps and cancels in turn.
async fn mix(pool: Pool, caller: u64) {
    for round in 0..5 {
        let x = caller + round;
        assert_eq!(pool.run(call!(power(x))).await.unwrap(), power(x));
        let mut dropped = pool.run(call!(power(20)));
        drop(futures::poll!(&mut dropped));
        drop(dropped);
        let aborted = pool.spawn(call!(same(x)));
        aborted.abort();
        match aborted.await {
            Ok(value) => assert_eq!(value, x),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
        let items: Vec<u64> = (x..x + 10).collect();
        assert_eq!(pool.map(same, items.clone()).await.unwrap(), items);
        assert!(pool.run(call!(boom(x.to_string()))).await.unwrap_err().to_string().contains(&x.to_string()));
    }
}

test! {
    async fn behaviour_26_mixed_callers() {
        let pool = workers(2);
        try_join_all((0..10).map(|caller| tokio::spawn(mix(pool.clone(), caller)))).await.unwrap();
        let report = pool.shutdown().await.unwrap();
        // Of each round's 14 tasks, eleven give a value, one panics, and two may or may not be cancelled in time.
        assert_eq!((report.submitted, report.failed, report.crashed, report.timed_out), (700, 50, 0, 0));
        assert!(report.succeeded >= 550 && report.balances(), "{report:?}");
    }
}

fn deep(pool: Pool, level: u64) -> BoxFuture<'static, u64> {
    Box::pin(async move {
        match pool.run(call!(same(level))).await.unwrap() {
            0 => 0,
            level => 1 + tokio::spawn(deep(pool, level - 1)).await.unwrap(),
        }
    })
}

test! {
    async fn behaviour_27_completions_that_submit() {
        let pool = workers(1);
        assert_eq!(deep(pool.clone(), 100).await, 100);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (101, 1));
    }
}

test! {
    async fn behaviour_28_blocked_tasks() {
        let (pool, gate) = (workers(3), Gate::new());
        let mut runs: Vec<_> = (0..45).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
        let mut visitors = gate.arrivals(3).await;
        let known = pids(&visitors);
        assert_eq!(known.len(), 3);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.workers.len(), snapshot.queued.len(), snapshot.waiting.len()), (3, 42, 0), "{snapshot}");
        assert_eq!(children_of(me()).into_iter().collect::<BTreeSet<_>>(), known);
        for _ in 3..45 {
            visitors.remove(0).release().await;
            visitors.push(gate.arrival().await);
        }
        assert_eq!(pids(&visitors), known);
        release_all(visitors).await;
        let ran: BTreeSet<u32> = try_join_all(runs.drain(..)).await.unwrap().into_iter().collect();
        assert_eq!(ran, known);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (45, 3));
    }
}

test! {
    async fn behaviour_29_serial_calls_one_worker() {
        let pool = workers(4);
        let first = pool.run(call!(pid())).await.unwrap();
        for _ in 0..20 {
            assert_eq!(pool.run(call!(pid())).await.unwrap(), first);
        }
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.workers.len(), snapshot.workers[0].tasks_done), (1, 21));
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
    }
}

test! {
    async fn the_worker_used_last_is_used_next() {
        let (pool, gate) = (workers(3), Gate::new());
        let runs: Vec<_> = (0..3).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
        let mut visitors = gate.arrivals(3).await;
        let last = visitors.remove(1);
        let worker = last.pid;
        for visitor in visitors {
            let (worker, before) = (visitor.pid, idle(&pool));
            visitor.release().await;
            until("the worker is idle", || idle(&pool) > before);
            assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        }
        last.release().await;
        until("all are idle", || idle(&pool) == 3);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        join_all(runs).await;
        pool.shutdown().await.unwrap();
    }
}

fn idle(pool: &Pool) -> usize {
    pool.snapshot().workers.iter().filter(|worker| worker.state == WorkerState::Idle).count()
}

/// Starts tasks one after the other; how many workers there are after each.
async fn grow(pool: &Pool, gate: &Gate) -> (Vec<usize>, Vec<Visitor>) {
    let (mut counts, mut visitors) = (Vec::new(), Vec::new());
    for word in 0..5 {
        drop(pool.spawn(call!(wait_at(gate.path(), word))));
        if word < 4 {
            visitors.push(gate.arrival().await);
        }
        counts.push(pool.snapshot().workers.len());
    }
    (counts, visitors)
}

test! {
    async fn behaviour_30_growth_and_idle_timeout() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(2..=4).idle_timeout(Duration::from_millis(200)).build().unwrap();
        assert_eq!(pool.snapshot().workers.len(), 0);
        pool.ready().await.unwrap();
        assert_eq!(pool.snapshot().workers.len(), 2);
        for _ in 0..2 {
            let (counts, mut visitors) = grow(&pool, &gate).await;
            assert_eq!(counts, [2, 2, 3, 4, 4]);
            visitors.remove(0).release().await;
            visitors.push(gate.arrival().await);
            release_all(visitors).await;
            until("idle workers go", || children_of(me()).len() == 2);
            assert_eq!(pool.snapshot().workers.len(), 2);
        }
        // Those that are kept do not go, however long they wait.
        let clock = tokio::time::timeout(Duration::from_millis(500), std::future::pending::<()>());
        assert!(clock.await.is_err());
        assert_eq!(children_of(me()).len(), 2);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started, report.workers_ended), (10, 6, 6));
    }
}

test! {
    async fn behaviour_32_queue_limit() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(1).queue_limit(2).build().unwrap();
        let first = pool.spawn(call!(wait_at(gate.path(), 1)));
        let visitor = gate.arrival().await;
        let second = pool.try_run(call!(wait_at(gate.path(), 2))).unwrap();
        let third = pool.try_run(call!(wait_at(gate.path(), 3))).unwrap().spawn();
        let error = pool.try_run(call!(wait_at(gate.path(), 4))).unwrap_err();
        assert_eq!((error.kind(), error.started(), error.task()), (ErrorKind::QueueFull, Started::No, Some("wait_at")));

        // `run` waits, and goes on when there is room.
        let waiting = pool.spawn(call!(wait_at(gate.path(), 5)));
        let second = second.spawn();
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.queued.len(), snapshot.waiting.len()), (2, 1), "{snapshot}");
        visitor.release().await;
        // Equals run in order of submission, and reserving a place is not submitting.
        for expected in [3, 5, 2] {
            let visitor = gate.arrival().await;
            assert_eq!(visitor.word, expected);
            assert_eq!(pool.snapshot().waiting.len(), 0);
            visitor.release().await;
        }
        for run in [first, second, third, waiting] {
            run.await.unwrap();
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.refused), (4, 4, 0));
    }
}

test! {
    async fn a_reserved_place_is_given_back_on_drop() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(1).queue_limit(1).build().unwrap();
        let first = pool.spawn(call!(wait_at(gate.path(), 1)));
        let visitor = gate.arrival().await;
        for _ in 0..3 {
            let reserved = pool.try_run(call!(pid())).unwrap();
            assert_eq!(pool.try_run(call!(pid())).unwrap_err().kind(), ErrorKind::QueueFull);
            drop(reserved);
        }
        // A place that is only reserved holds back who waits, and lets them in when it is given back.
        let reserved = pool.try_run(call!(pid())).unwrap();
        let waiting = pool.spawn(call!(pid()));
        assert_eq!(pool.snapshot().waiting.len(), 1);
        drop(reserved);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.queued.len(), snapshot.waiting.len()), (1, 0), "{snapshot}");
        visitor.release().await;
        assert_eq!(first.await.unwrap(), waiting.await.unwrap());
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded), (2, 2));
    }
}

test! {
    async fn the_waiting_list_is_bounded_too() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(1).queue_limit(1).max_waiting(1).build().unwrap();
        let first = pool.spawn(call!(wait_at(gate.path(), 1)));
        let visitor = gate.arrival().await;
        let (queued, waiting) = (pool.spawn(call!(pid())), pool.spawn(call!(pid())));
        let error = pool.run(call!(pid())).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::QueueFull, Started::No));
        assert_eq!(pool.spawn(call!(pid())).await.unwrap_err().kind(), ErrorKind::QueueFull);
        visitor.release().await;
        let worker = first.await.unwrap();
        assert_eq!((queued.await.unwrap(), waiting.await.unwrap()), (worker, worker));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.refused), (5, 3, 2));
        assert!(report.balances());
    }
}

test! {
    async fn higher_priority_first_and_equals_in_order() {
        let (pool, gate) = (workers(1), Gate::new());
        let first = pool.spawn(call!(wait_at(gate.path(), 0)));
        let visitor = gate.arrival().await;
        let priorities = [0, -1, 5, 0, 5, -1, i32::MAX, i32::MIN];
        let runs: Vec<_> = (1u64..)
            .zip(priorities)
            .map(|(word, priority)| pool.run(call!(wait_at(gate.path(), word))).priority(priority).spawn())
            .collect();
        visitor.release().await;
        let mut order = Vec::new();
        for _ in &runs {
            let visitor = gate.arrival().await;
            order.push(visitor.word);
            visitor.release().await;
        }
        assert_eq!(order, [7, 3, 5, 1, 4, 2, 6, 8]);
        try_join_all(runs).await.unwrap();
        first.await.unwrap();
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_a_polled_once() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(1).queue_limit(1).build().unwrap();
        let mut forgotten = pool.run(call!(wait_at(gate.path(), 1)));
        let mut queued = pool.run(call!(same(2)));
        let mut waiting = pool.run(call!(same(3)));
        assert!(futures::poll!(&mut forgotten).is_pending());
        assert!(futures::poll!(&mut queued).is_pending());
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.arrival().await.release().await;
        // None of them is polled again, and nobody waits behind them.
        for _ in 0..5 {
            assert_eq!(pool.run(call!(same(4))).await.unwrap(), 4);
        }
        assert_eq!(pool.snapshot().workers[0].tasks_done, 8);
        assert_eq!((queued.await.unwrap(), waiting.await.unwrap()), (2, 3));
        drop(forgotten);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.cancelled, report.workers_started), (8, 0, 1));
    }
}

test! {
    async fn join_all_of_different_kinds() {
        let pool = workers(2);
        let jobs = (0..200u64).map(|x| {
            let pool = &pool;
            async move {
                match x % 4 {
                    0 => pool.run(call!(power(x % 20))).await.map(|y| y == power(x % 20)),
                    1 => pool.spawn(call!(same(x))).await.map(|y| y == x),
                    2 => pool.map(same, [x, x + 1]).await.map(|ys| ys == [x, x + 1]),
                    _ => pool.run(call!(boom(String::new()))).await.map(|_| false).or_else(|error| match error.is_panic() {
                        true => Ok(true),
                        false => Err(error),
                    }),
                }
            }
        });
        assert!(try_join_all(jobs).await.unwrap().into_iter().all(|right| right));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.failed), (250, 200, 50));
        assert_eq!(report.workers_started, 2);
    }
}
