//! Time limits of the run and of the queue.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::time::{Duration, Instant};

use procpool::{ErrorKind, Pool, Started, call};
use procpool_tests::tasks::{hang, pid, same, spin, visit_and_spin, visit_until_cancelled, wait_at};
use procpool_tests::{Gate, Signal, children_of, is_alive, send, test};

/// Long enough that a test which waits for it to pass has failed.
const LONG: Duration = Duration::from_secs(40);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn one_worker() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

fn hang_if_odd(x: u32) -> u32 {
    if x % 2 == 1 {
        hang();
    }
    x
}

test! {
    async fn behaviour_19_endless_task() {
        let pool = one_worker();
        let first = pool.run(call!(pid())).await.unwrap();
        let began = Instant::now();
        let error = pool.run(call!(spin())).timeout(ms(100)).await.unwrap_err();
        assert!(began.elapsed() >= ms(100), "{:?}", began.elapsed());
        assert_eq!((error.kind(), error.is_timeout(), error.started()), (ErrorKind::TimedOut, true, Started::Yes));
        assert_eq!((error.pid(), error.worker(), error.task()), (Some(first), Some("worker-0"), Some("spin")));
        assert_eq!(error.exit().and_then(|exit| exit.signal()), Some(9), "{error}");
        assert!(error.to_string().contains("longer than its limit of 100ms"), "{error}");
        // Told once the work has been stopped, not when that was ordered.
        assert!(!is_alive(first) && !children_of(std::process::id()).contains(&first));
        assert_ne!(pool.run(call!(pid())).await.unwrap(), first);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.timed_out, report.succeeded, report.workers_started), (1, 2, 2));
        assert!(report.balances());
    }
}

test! {
    async fn behaviour_19_task_that_ignores_term() {
        let (pool, gate) = (one_worker(), Gate::new());
        let began = Instant::now();
        let run = pool.run(call!(visit_and_spin(gate.path()))).timeout(ms(1000)).grace(ms(500)).spawn();
        let visitor = gate.arrival().await;
        let worker = visitor.pid;
        send(Signal::TERM, worker);
        visitor.release().await;
        let error = run.await.unwrap_err();
        // Had the signal ended it, it would be a death, and before its time.
        assert!(began.elapsed() >= ms(1500), "{:?}", began.elapsed());
        assert_eq!((error.kind(), error.pid()), (ErrorKind::TimedOut, Some(worker)));
        assert_eq!(error.exit().and_then(|exit| exit.signal()), Some(9));
        assert_ne!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn grace_spares_the_worker_of_a_task_that_notices() {
        let (pool, gate) = (one_worker(), Gate::new());
        let run = pool.run(call!(visit_until_cancelled(gate.path()))).timeout(ms(100)).grace(LONG).spawn();
        let visitor = gate.arrival().await;
        let worker = visitor.pid;
        visitor.release().await;
        // It came back in time, so its result counts.
        assert_eq!(run.await.unwrap(), worker);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.timed_out, report.workers_started), (2, 0, 1));
    }
}

test! {
    async fn grace_after_an_abort_spares_the_worker() {
        let (pool, gate) = (one_worker(), Gate::new());
        let run = pool.run(call!(visit_until_cancelled(gate.path()))).grace(LONG).spawn();
        let visitor = gate.arrival().await;
        let worker = visitor.pid;
        run.abort();
        visitor.release().await;
        assert_eq!(run.await.unwrap(), worker);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_20_odd_ones_over_time() {
        let pool = Pool::builder().workers(3).build().unwrap();
        let runs = (0..6u32).map(|x| pool.run(call!(hang_if_odd(x))).timeout(ms(500)));
        let results = futures::future::join_all(runs).await;
        let mut killed = Vec::new();
        for (x, result) in (0..6u32).zip(results) {
            match result {
                Ok(value) => assert_eq!((value, value % 2), (x, 0)),
                Err(error) => {
                    assert_eq!((x % 2, error.kind()), (1, ErrorKind::TimedOut), "{error}");
                    killed.extend(error.pid());
                }
            }
        }
        killed.sort_unstable();
        killed.dedup();
        assert_eq!(killed.len(), 3);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.timed_out, report.crashed), (3, 3, 0));
        assert!(report.balances());
    }
}

test! {
    async fn behaviour_24_waiting_does_not_count() {
        let (pool, gate) = (one_worker(), Gate::new());
        let long = pool.spawn(call!(wait_at(gate.path(), 1)));
        let visitor = gate.arrival().await;
        // Queued behind it: one with a limit on its run, and as a clock one with a longer limit on its wait.
        let limited = pool.run(call!(same(7))).timeout(ms(1000)).spawn();
        let clock = pool.run(call!(pid())).queue_timeout(ms(1200)).spawn();
        let error = clock.await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::QueueTimedOut, Started::No));
        assert!(error.is_timeout() && error.attempts() <= 1, "{error}");
        let worker = visitor.pid;
        visitor.release().await;
        assert_eq!((limited.await.unwrap(), long.await.unwrap()), (7, worker));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.timed_out, report.workers_started), (2, 1, 1));
    }
}

test! {
    async fn a_limit_that_is_not_reached_leaves_no_trace() {
        let pool = one_worker();
        let first = pool.run(call!(pid())).timeout(LONG).queue_timeout(LONG).grace(LONG).await.unwrap();
        // Never: a sum with such a limit must not overflow.
        let second = pool.run(call!(pid())).timeout(Duration::MAX).queue_timeout(Duration::MAX).await.unwrap();
        assert_eq!(first, second);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn in_a_map_each_item_has_its_own_limit() {
        use futures::StreamExt;
        let pool = Pool::builder().workers(2).build().unwrap();
        let results: Vec<_> = pool.map(hang_if_odd, [0, 1, 2, 3]).timeout(ms(500)).collect().await;
        let kinds: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind())).collect();
        assert_eq!(kinds, [Ok(0), Err(ErrorKind::TimedOut), Ok(2), Err(ErrorKind::TimedOut)]);
        pool.shutdown().await.unwrap();
    }
}
