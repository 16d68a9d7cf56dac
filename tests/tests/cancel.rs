//! Work that is not wanted any more: dropped runs, `abort`, tokens, time-outs of the caller.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::future::Future;
use std::time::Duration;

use procpool::{ErrorKind, Pool, RunError, Started, call};
use procpool_tests::tasks::{pid, power, same, wait_at};
use procpool_tests::{Gate, Visitor, children_of, is_alive, test};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

fn one_worker() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

/// Polls a future until a task has come to the gate.
async fn until_arrival<F: Future<Output: std::fmt::Debug> + Unpin>(run: &mut F, gate: &Gate) -> Visitor {
    tokio::select! {
        result = run => panic!("{result:?} before its task was released"),
        visitor = gate.arrival() => visitor,
    }
}

/// The worker is gone, and the next task has a new one.
async fn assert_replaced(pool: &Pool, visitor: Visitor) {
    let worker = visitor.pid;
    visitor.gone().await;
    assert_ne!(pool.run(call!(pid())).await.unwrap(), worker);
    // The slot was free, so the old worker has been reaped.
    assert!(!children_of(std::process::id()).contains(&worker));
}

fn assert_stopped(error: &RunError, worker: u32, why: &str) {
    assert_eq!((error.kind(), error.started(), error.is_cancelled()), (ErrorKind::Cancelled, Started::Yes, true));
    assert_eq!((error.pid(), error.exit().and_then(|exit| exit.signal())), (Some(worker), Some(9)));
    assert!(error.to_string().contains(why), "{error}");
    assert!(!is_alive(worker));
}

fn assert_never_started(error: &RunError) {
    assert_eq!((error.kind(), error.started()), (ErrorKind::Cancelled, Started::No), "{error}");
    assert_eq!((error.pid(), error.exit()), (None, None));
}

test! {
    async fn behaviour_22_drop_while_running() {
        let (pool, gate) = (one_worker(), Gate::new());
        let mut run = pool.run(call!(wait_at(gate.path(), 0)));
        let visitor = until_arrival(&mut run, &gate).await;
        drop(run);
        assert_replaced(&pool, visitor).await;
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.cancelled, report.succeeded, report.workers_started), (1, 1, 2));
        assert!(report.balances());
    }
}

test! {
    async fn behaviour_22_abort_while_running() {
        let (pool, gate) = (one_worker(), Gate::new());
        let handle = pool.spawn(call!(wait_at(gate.path(), 0)));
        let visitor = gate.arrival().await;
        assert!(!handle.is_finished());
        handle.abort();
        // A second time does nothing more.
        handle.abort();
        assert_stopped(&handle.await.unwrap_err(), visitor.pid, "it was aborted");
        assert_replaced(&pool, visitor).await;
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.cancelled, report.crashed, report.workers_started), (1, 0, 2));
    }
}

test! {
    async fn behaviour_22_abort_handle() {
        let (pool, gate) = (one_worker(), Gate::new());
        let handle = pool.spawn(call!(wait_at(gate.path(), 0)));
        let abort = handle.abort_handle();
        let visitor = gate.arrival().await;
        // The task is detached, and can still be stopped.
        drop(handle);
        abort.abort();
        assert_replaced(&pool, visitor).await;
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_22_queued_never_starts() {
        let (pool, gate) = (one_worker(), Gate::new());
        let first = pool.spawn(call!(wait_at(gate.path(), 1)));
        let visitor = gate.arrival().await;
        let token = CancellationToken::new();
        let aborted = pool.spawn(call!(wait_at(gate.path(), 2)));
        let by_token = pool.run(call!(wait_at(gate.path(), 3))).cancel_on(&token).spawn();
        let mut dropped = pool.run(call!(wait_at(gate.path(), 4)));
        assert!(futures::poll!(&mut dropped).is_pending());
        let last = pool.spawn(call!(wait_at(gate.path(), 5)));
        assert_eq!(pool.snapshot().queued.len(), 4);

        aborted.abort();
        token.cancel();
        drop(dropped);
        assert_never_started(&aborted.await.unwrap_err());
        assert_never_started(&by_token.await.unwrap_err());
        assert_eq!(pool.snapshot().queued.len(), 1);

        let worker = visitor.pid;
        visitor.release().await;
        // The next to come is the last: none of the others did, and no worker was lost for it.
        let visitor = gate.arrival().await;
        assert_eq!((visitor.word, visitor.pid), (5, worker));
        visitor.release().await;
        assert_eq!((first.await.unwrap(), last.await.unwrap()), (worker, worker));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.cancelled, report.workers_started), (2, 3, 1));
        assert!(report.balances());
    }
}

test! {
    async fn behaviour_22_token_while_running() {
        let (pool, gate) = (one_worker(), Gate::new());
        let (token, other) = (CancellationToken::new(), CancellationToken::new());
        // Any of several tokens will do.
        let run = pool.run(call!(wait_at(gate.path(), 0))).cancel_on(&other).cancel_on(&token).spawn();
        let visitor = gate.arrival().await;
        token.cancel();
        assert_stopped(&run.await.unwrap_err(), visitor.pid, "its cancellation token fired");
        assert_replaced(&pool, visitor).await;
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_22_token_cancelled_before() {
        let pool = one_worker();
        let token = CancellationToken::new();
        token.cancel();
        let error = pool.run(call!(pid())).cancel_on(&token).await.unwrap_err();
        assert_never_started(&error);
        let error = pool.run(call!(pid())).cancel_on(token.child_token()).spawn().await.unwrap_err();
        assert_never_started(&error);
        // Nothing was queued, and no process started.
        let snapshot = pool.snapshot();
        assert!(snapshot.queued.is_empty() && snapshot.workers.is_empty(), "{snapshot}");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.workers_started), (0, 0));
    }
}

test! {
    async fn token_cancelled_afterwards_disturbs_nobody() {
        let pool = one_worker();
        let token = CancellationToken::new();
        let first = pool.run(call!(pid())).cancel_on(&token).await.unwrap();
        let second = pool.spawn(call!(pid()));
        token.cancel();
        assert_eq!(second.await.unwrap(), first);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn token_stops_the_items_of_a_map() {
        use futures::StreamExt;
        let pool = Pool::builder().workers(2).build().unwrap();
        let (gate, token) = (Gate::new(), CancellationToken::new());
        let path = gate.path();
        let map = pool.map(|(path, x)| wait_at(path, x), (0..4u64).map(|x| (path.clone(), x)));
        // Two are on their way; the others are not taken any more, and one error stands for them.
        let mut map = map.window(2).cancel_on(&token);
        let mut next = map.next();
        let mut visitors = Vec::new();
        while visitors.len() < 2 {
            visitors.push(until_arrival(&mut next, &gate).await);
        }
        token.cancel();
        let ends = [next.await, map.next().await, map.next().await].map(|result| {
            let error = result.unwrap().unwrap_err();
            assert!(error.is_cancelled());
            (error.index(), error.started())
        });
        assert_eq!(ends, [(Some(0), Started::Yes), (Some(1), Started::Yes), (Some(2), Started::No)]);
        assert!(map.next().await.is_none());
        for visitor in visitors {
            visitor.gone().await;
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.cancelled), (2, 2));
    }
}

test! {
    async fn a_run_dropped_before_its_first_poll_does_nothing() {
        let (pool, token) = (one_worker(), CancellationToken::new());
        let limit = Duration::from_secs(1);
        drop(pool.run(call!(pid())));
        drop(pool.run(call!(pid())).timeout(limit).priority(3).retries(2).cancel_on(&token));
        drop(pool.map(power, [1, 2]).timeout(limit));
        let snapshot = pool.snapshot();
        assert!(snapshot.workers.is_empty() && snapshot.queued.is_empty(), "{snapshot}");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.workers_started), (0, 0));
    }
}

test! {
    async fn an_option_after_the_first_poll_is_misuse() {
        let (pool, gate) = (one_worker(), Gate::new());
        let mut run = pool.run(call!(wait_at(gate.path(), 0)));
        let visitor = until_arrival(&mut run, &gate).await;
        let error = run.timeout(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("the option `timeout` was set after the first poll"), "{error}");
        assert_replaced(&pool, visitor).await;
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_run_polled_after_its_end_is_misuse() {
        let pool = one_worker();
        let mut run = pool.run(call!(same(4)));
        assert_eq!((&mut run).await.unwrap(), 4);
        assert_eq!((&mut run).await.unwrap_err().kind(), ErrorKind::Misuse);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn select_with_a_borrowed_run_does_not_stop_it() {
        let (pool, gate) = (one_worker(), Gate::new());
        let mut run = pool.run(call!(wait_at(gate.path(), 0)));
        let visitor = until_arrival(&mut run, &gate).await;
        for _ in 0..3 {
            tokio::select! {
                biased;
                result = &mut run => panic!("{result:?} before its task was released"),
                () = std::future::ready(()) => {}
            }
        }
        let worker = visitor.pid;
        visitor.release().await;
        assert_eq!(run.await.unwrap(), worker);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (2, 1));
    }
}

test! {
    async fn a_timeout_around_a_run_stops_the_work() {
        let (pool, gate) = (one_worker(), Gate::new());
        pool.ready().await.unwrap();
        let run = timeout(Duration::from_secs(1), pool.run(call!(wait_at(gate.path(), 0))));
        let (result, visitor) = tokio::join!(run, gate.arrival());
        assert!(result.is_err());
        assert_replaced(&pool, visitor).await;
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.cancelled, report.timed_out), (1, 0));
    }
}

test! {
    async fn an_aborted_tokio_task_stops_the_run_in_it() {
        let (pool, gate) = (one_worker(), Gate::new());
        let task = tokio::spawn(pool.run(call!(wait_at(gate.path(), 0))));
        let visitor = gate.arrival().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_replaced(&pool, visitor).await;
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_dropped_join_handle_detaches() {
        let (pool, gate) = (one_worker(), Gate::new());
        drop(pool.spawn(call!(wait_at(gate.path(), 0))));
        let visitor = gate.arrival().await;
        let worker = visitor.pid;
        visitor.release().await;
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.cancelled), (2, 0));
    }
}

test! {
    async fn abort_after_the_end_keeps_the_result() {
        let pool = one_worker();
        let handle = pool.spawn(call!(power(3)));
        // Answers come in order from one worker, so this one's says that the other is there.
        let worker = pool.run(call!(pid())).await.unwrap();
        assert!(handle.is_finished());
        let abort = handle.abort_handle();
        handle.abort();
        abort.abort();
        assert_eq!(handle.await.unwrap(), 27);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    current_thread async fn cancelled_while_its_worker_starts() {
        let pool = one_worker();
        // No worker exists yet, and on a runtime with one thread none can be ready before the next await.
        let handle = pool.spawn(call!(pid()));
        let mut run = pool.run(call!(pid()));
        assert!(futures::poll!(&mut run).is_pending());
        handle.abort();
        drop(run);
        assert_never_started(&handle.await.unwrap_err());
        let first = pool.run(call!(pid())).await.unwrap();
        assert_eq!(pool.run(call!(pid())).await.unwrap(), first);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.cancelled, report.succeeded, report.workers_started), (2, 2, 1));
    }
}
