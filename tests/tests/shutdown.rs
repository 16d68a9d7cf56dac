//! The ways to end a pool, and the numbers of its report.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::time::{Duration, Instant};

use futures::future::join_all;
use procpool::{ErrorKind, JoinHandle, Pool, PoolErrorKind, RunError, Shutdown, Started, call};
use procpool_tests::tasks::{boom, hang, leave, pid, power, same, spin, visit_and_spin, wait_at};
use procpool_tests::{Gate, Visitor, children_of, test, until};

fn workers(count: usize) -> Pool {
    Pool::builder().workers(count).build().unwrap()
}

fn no_children() -> bool {
    children_of(std::process::id()).is_empty()
}

/// One worker at the gate, and so many tasks behind it.
async fn busy(gate: &Gate, queued: u64) -> (Pool, Visitor, Vec<JoinHandle<u32>>) {
    let pool = workers(1);
    let mut runs = vec![pool.spawn(call!(wait_at(gate.path(), 0)))];
    let visitor = gate.arrival().await;
    runs.extend((1..=queued).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))));
    (pool, visitor, runs)
}

fn assert_closed(error: &RunError, started: Started) {
    assert_eq!((error.kind(), error.started()), (ErrorKind::Closed, started), "{error}");
}

test! {
    async fn behaviour_37_submit_after_shutdown() {
        let pool = workers(1);
        let other = pool.clone();
        assert_eq!(pool.run(call!(same(1))).await.unwrap(), 1);
        let inert = other.run(call!(same(2)));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.balances()), (1, 1, true));
        assert!(no_children());
        assert_closed(&inert.await.unwrap_err(), Started::No);
        assert_closed(&other.run(call!(same(3))).await.unwrap_err(), Started::No);
        assert_closed(&other.spawn(call!(same(4))).await.unwrap_err(), Started::No);
        assert_closed(&other.try_run(call!(same(5))).unwrap_err(), Started::No);
        let error = other.map(power, [1, 2]).await.unwrap_err();
        assert_closed(&error, Started::No);
        assert_eq!(error.index(), Some(0));
        assert_eq!(other.ready().await.unwrap_err().kind(), PoolErrorKind::Closed);
        assert!(other.snapshot().closing && no_children());
        let text = error.to_string();
        assert!(text.contains("the pool is shut down"), "{text}");
    }
}

test! {
    async fn behaviour_37_drain() {
        let gate = Gate::new();
        let (pool, visitor, runs) = busy(&gate, 3).await;
        let ending = tokio::spawn({
            let pool = pool.clone();
            async move { pool.shutdown().await.unwrap() }
        });
        until("it is closing", || pool.snapshot().closing);
        assert_closed(&pool.run(call!(pid())).await.unwrap_err(), Started::No);
        assert!(!ending.is_finished());
        let worker = visitor.pid;
        visitor.release().await;
        for word in 1..=3 {
            let visitor = gate.arrival().await;
            assert_eq!((visitor.word, visitor.pid), (word, worker));
            visitor.release().await;
        }
        let report = ending.await.unwrap();
        assert!(no_children());
        for result in join_all(runs).await {
            assert_eq!(result.unwrap(), worker);
        }
        // The one that came too late was not taken, so it was not dropped either.
        assert_eq!((report.submitted, report.succeeded, report.refused, report.dropped), (5, 4, 1, 0));
        assert!(report.balances());
    }
}

test! {
    async fn behaviour_37_drain_with_deadline() {
        let gate = Gate::new();
        let (pool, visitor, mut runs) = busy(&gate, 2).await;
        let began = Instant::now();
        let report = pool.shutdown_with(Shutdown::DrainFor(Duration::from_millis(200))).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(200));
        assert!(no_children());
        let running = runs.remove(0).await.unwrap_err();
        assert_closed(&running, Started::Yes);
        for result in join_all(runs).await {
            assert_closed(&result.unwrap_err(), Started::No);
        }
        visitor.gone().await;
        assert_eq!((report.submitted, report.dropped, report.balances()), (3, 3, true));
    }
}

test! {
    async fn behaviour_37_drain_within_deadline() {
        let pool = workers(2);
        let runs: Vec<_> = (0..10u64).map(|x| pool.spawn(call!(same(x)))).collect();
        let report = pool.shutdown_with(Shutdown::DrainFor(Duration::from_secs(50))).await.unwrap();
        assert_eq!((report.succeeded, report.dropped), (10, 0));
        for (x, result) in (0..10u64).zip(join_all(runs).await) {
            assert_eq!(result.unwrap(), x);
        }
    }
}

test! {
    async fn behaviour_37_drop_queued() {
        let gate = Gate::new();
        let (pool, visitor, mut runs) = busy(&gate, 3).await;
        let running = runs.remove(0);
        let (report, worker) = tokio::join!(pool.shutdown_with(Shutdown::DropQueued), async {
            // They are told at once, while the other one runs on.
            for result in join_all(runs).await {
                assert_closed(&result.unwrap_err(), Started::No);
            }
            assert!(!running.is_finished());
            let worker = visitor.pid;
            visitor.release().await;
            worker
        });
        assert_eq!(running.await.unwrap(), worker);
        let report = report.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.dropped), (4, 1, 3));
        assert!(report.balances() && no_children());
    }
}

test! {
    async fn behaviour_37_kill() {
        let gate = Gate::new();
        let (pool, visitor, mut runs) = busy(&gate, 2).await;
        let report = pool.shutdown_with(Shutdown::Kill).await.unwrap();
        assert!(no_children());
        visitor.gone().await;
        let running = runs.remove(0).await.unwrap_err();
        assert_closed(&running, Started::Yes);
        assert!(running.to_string().contains("was stopped: the pool was shut down"), "{running}");
        for result in join_all(runs).await {
            assert_closed(&result.unwrap_err(), Started::No);
        }
        assert_eq!((report.submitted, report.dropped, report.balances()), (3, 3, true));
    }
}

test! {
    async fn behaviour_37_a_harsher_way_overrides() {
        let gate = Gate::new();
        let (pool, visitor, runs) = busy(&gate, 1).await;
        let (drained, killed) = tokio::join!(pool.shutdown(), async {
            until("it is closing", || pool.snapshot().closing);
            pool.shutdown_with(Shutdown::Kill).await
        });
        assert_eq!(drained.unwrap(), killed.unwrap());
        visitor.gone().await;
        let started: Vec<_> = join_all(runs).await.into_iter().map(|result| result.unwrap_err().started()).collect();
        assert_eq!(started, [Started::Yes, Started::No]);
    }
}

test! {
    async fn shutdown_twice_gives_the_same_report() {
        let pool = workers(1);
        assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        let (first, second) = tokio::join!(pool.shutdown(), pool.shutdown());
        let third = pool.shutdown_with(Shutdown::Kill).await.unwrap();
        assert_eq!((first.unwrap(), second.unwrap()), (third, third));
        assert_eq!((third.succeeded, third.balances()), (1, true));
    }
}

test! {
    async fn shutdown_of_an_unused_pool() {
        let report = workers(2).shutdown().await.unwrap();
        assert_eq!((report.submitted, report.workers_started, report.balances()), (0, 0, true));
        // One that only warmed up.
        let pool = workers(2);
        pool.ready().await.unwrap();
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.workers_started, report.workers_ended), (0, 2, 2));
    }
}

test! {
    async fn a_dropped_shutdown_goes_on() {
        let gate = Gate::new();
        let (pool, visitor, runs) = busy(&gate, 1).await;
        {
            let mut ending = Box::pin(pool.shutdown());
            assert!(futures::poll!(&mut ending).is_pending());
        }
        assert!(pool.snapshot().closing);
        assert_closed(&pool.run(call!(pid())).await.unwrap_err(), Started::No);
        let worker = visitor.pid;
        visitor.release().await;
        gate.arrival().await.release().await;
        for result in join_all(runs).await {
            assert_eq!(result.unwrap(), worker);
        }
        until("the worker ends", no_children);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.refused, report.balances()), (2, 1, true));
    }
}

test! {
    async fn the_numbers_add_up() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(2).queue_limit(4).max_waiting(1).build().unwrap();
        for x in 0..3 {
            assert_eq!(pool.run(call!(same(x))).await.unwrap(), x);
        }
        assert!(pool.run(call!(boom(String::new()))).await.unwrap_err().is_panic());
        assert_eq!(pool.run(call!(leave(1))).retries(2).await.unwrap_err().attempts(), 3);
        assert!(pool.run(call!(hang())).timeout(Duration::from_millis(100)).await.unwrap_err().is_timeout());
        let runs: Vec<_> = (0..2).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
        let visitors = gate.arrivals(2).await;
        // Four in the queue, one that waits, two too many.
        let queued: Vec<_> = (0..7).map(|x| pool.spawn(call!(same(x)))).collect();
        queued[0].abort();
        let report = pool.shutdown_with(Shutdown::Kill).await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.failed, report.crashed), (15, 3, 1, 1));
        assert_eq!((report.timed_out, report.cancelled, report.refused, report.dropped), (1, 1, 2, 6));
        assert_eq!((report.retried, report.balances()), (2, true));
        drop((runs, visitors, queued));
    }
}

test! {
    async fn behaviour_38_kill_is_quick() {
        let (pool, gate) = (workers(4), Gate::new());
        let runs: Vec<_> = (0..100).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
        let visitors = gate.arrivals(4).await;
        let began = Instant::now();
        let report = pool.shutdown_with(Shutdown::Kill).await.unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(no_children());
        let started = join_all(runs).await.into_iter().map(|result| result.unwrap_err().started());
        assert_eq!(started.filter(|started| *started == Started::Yes).count(), 4);
        assert_eq!((report.submitted, report.dropped, report.balances()), (100, 100, true));
        for visitor in visitors {
            visitor.gone().await;
        }
    }
}

test! {
    async fn killing_workers_that_spin() {
        let (pool, gate) = (workers(2), Gate::new());
        let mut runs = vec![pool.spawn(call!(spin())), pool.spawn(call!(visit_and_spin(gate.path())))];
        gate.arrival().await.release().await;
        let began = Instant::now();
        pool.shutdown_with(Shutdown::Kill).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_closed(&runs.remove(1).await.unwrap_err(), Started::Yes);
    }
}

test! {
    async fn shutdown_while_workers_start() {
        for how in [Shutdown::Drain, Shutdown::DropQueued, Shutdown::Kill] {
            let pool = workers(3);
            let runs: Vec<_> = (0..6u64).map(|x| pool.spawn(call!(same(x)))).collect();
            let report = pool.shutdown_with(how).await.unwrap();
            assert!(report.balances() && report.submitted == 6, "{how:?}: {report:?}");
            for (x, result) in (0..6u64).zip(join_all(runs).await) {
                match result {
                    Ok(value) => assert_eq!(value, x),
                    Err(error) => assert_eq!((error.kind(), how != Shutdown::Drain), (ErrorKind::Closed, true)),
                }
            }
            assert!(no_children());
        }
    }
}
