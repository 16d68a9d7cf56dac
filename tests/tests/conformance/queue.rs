//! The queue: its bounds, its order, and what never leaves it.

use std::time::Duration;

use futures::FutureExt;
use procpool::{ErrorKind, Pool, Started, WorkerState, call};
use procpool_tests::tasks::{power, wait_at};
use procpool_tests::{Gate, Visitor, until};
use tokio_util::sync::CancellationToken;

use super::Backend;

/// Occupies the only worker of a pool until the visitor is released.
async fn occupy(pool: &Pool, gate: &Gate) -> Visitor {
    let path = gate.path();
    drop(pool.spawn(call!(wait_at(path, 0))));
    gate.arrival().await
}

pub(crate) async fn queue_limit(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(2).build().unwrap();
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    let first = pool.try_run(call!(power(1))).unwrap().spawn();
    let second = pool.try_run(call!(power(2))).unwrap().spawn();
    let refused = pool.try_run(call!(power(3))).unwrap_err();
    assert_eq!((refused.kind(), refused.started()), (ErrorKind::QueueFull, Started::No));
    assert_eq!((refused.task(), refused.attempts()), (Some("power"), 0));
    // `run` waits for a place instead.
    let third = pool.spawn(call!(power(3)));
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.queued.len(), snapshot.waiting.len()), (2, 1), "{snapshot}");
    busy.release().await;
    assert_eq!((first.await.unwrap(), second.await.unwrap(), third.await.unwrap()), (1, 4, 27));
    assert_eq!(pool.try_run(call!(power(4))).unwrap().await.unwrap(), 256);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.balances()), (5, 5, true));
}

pub(crate) async fn waiting_limit(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).max_waiting(1).build().unwrap();
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    let queued = pool.spawn(call!(power(2)));
    let waiting = pool.spawn(call!(power(3)));
    let refused = pool.spawn(call!(power(4))).await.unwrap_err();
    assert_eq!((refused.kind(), refused.started()), (ErrorKind::QueueFull, Started::No));
    busy.release().await;
    assert_eq!((queued.await.unwrap(), waiting.await.unwrap()), (4, 27));
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.refused, report.balances()), (3, 1, true));
}

pub(crate) async fn reserved_places(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).build().unwrap();
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    // A place that is held keeps others out, and is given back when it is not used.
    let held = pool.try_run(call!(power(2))).unwrap();
    assert_eq!(pool.try_run(call!(power(3))).unwrap_err().kind(), ErrorKind::QueueFull);
    drop(held);
    let used = pool.try_run(call!(power(3))).unwrap();
    busy.release().await;
    assert_eq!(used.await.unwrap(), 27);
    pool.shutdown().await.unwrap();
}

pub(crate) async fn priority(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    for (word, priority) in [(1, -1), (2, 0), (3, 5), (4, 0), (5, i32::MAX), (6, i32::MIN)] {
        let path = gate.path();
        drop(pool.run(call!(wait_at(path, word))).priority(priority).spawn());
    }
    busy.release().await;
    let mut order = Vec::new();
    for _ in 0..6 {
        let visitor = gate.arrival().await;
        order.push(visitor.word);
        visitor.release().await;
    }
    assert_eq!(order, [5, 3, 2, 4, 1, 6]);
    pool.shutdown().await.unwrap();
}

/// With an interval this short everybody is older than any priority is worth, and a full queue makes no difference.
pub(crate) async fn ageing(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(2).ageing(Duration::from_nanos(1)).build().unwrap();
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    for (word, priority) in [(1, -1), (2, 1), (3, 0), (4, 2)] {
        let path = gate.path();
        drop(pool.run(call!(wait_at(path, word))).priority(priority).spawn());
    }
    let snapshot = pool.snapshot();
    let ids = |tasks: &[procpool::TaskSnapshot]| tasks.iter().map(|task| task.id).collect::<Vec<_>>();
    assert_eq!((ids(&snapshot.queued), ids(&snapshot.waiting)), (vec![1, 2], vec![3, 4]));
    busy.release().await;
    for word in 1..=4 {
        let visitor = gate.arrival().await;
        assert_eq!(visitor.word, word);
        visitor.release().await;
    }
    pool.shutdown().await.unwrap();
}

/// Who waits for a place goes before who has one, where his priority says so.
pub(crate) async fn priority_in_a_full_queue(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).build().unwrap();
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    for (word, priority) in [(1, 0), (2, -1), (3, 5), (4, 0), (5, 5)] {
        let path = gate.path();
        drop(pool.run(call!(wait_at(path, word))).priority(priority).spawn());
    }
    assert_eq!((pool.snapshot().queued.len(), pool.snapshot().waiting.len()), (1, 4));
    busy.release().await;
    for word in [3, 5, 1, 4, 2] {
        let visitor = gate.arrival().await;
        assert_eq!(visitor.word, word);
        visitor.release().await;
    }
    pool.shutdown().await.unwrap();
}

pub(crate) async fn queue_timeout(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    let limit = Duration::from_millis(50);
    // The limit of the run does not count in the queue.
    let patient = pool.run(call!(power(2))).timeout(limit * 100).spawn();
    let error = pool.run(call!(power(3))).queue_timeout(limit).await.unwrap_err();
    assert_eq!((error.kind(), error.started(), error.is_timeout()), (ErrorKind::QueueTimedOut, Started::No, true));
    assert!(error.to_string().contains("50ms"), "{error}");
    assert!(!patient.is_finished());
    busy.release().await;
    assert_eq!(patient.await.unwrap(), 4);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.timed_out, report.workers_started), (2, 1, 1));
}

pub(crate) async fn cancelled_in_the_queue(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    let path = || gate.path();
    let (one, two, three, four) = (path(), path(), path(), path());
    let token = CancellationToken::new();
    let aborted = pool.spawn(call!(wait_at(one, 1)));
    let mut dropped = pool.run(call!(wait_at(two, 2)));
    assert!((&mut dropped).now_or_never().is_none());
    let stopped = pool.run(call!(wait_at(three, 3))).cancel_on(&token).spawn();
    let kept = pool.spawn(call!(wait_at(four, 4)));
    assert_eq!(pool.snapshot().queued.len(), 4);
    aborted.abort();
    drop(dropped);
    token.cancel();
    for handle in [aborted, stopped] {
        let error = handle.await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::Cancelled, Started::No), "{error}");
        assert_eq!(error.worker(), None);
    }
    until("only one is left", || pool.snapshot().queued.len() == 1);
    busy.release().await;
    // None of the three ever comes.
    let visitor = gate.arrival().await;
    assert_eq!(visitor.word, 4);
    visitor.release().await;
    kept.await.unwrap();
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.cancelled, report.workers_started), (2, 3, 1));
}

pub(crate) async fn token_cancelled_before(backend: Backend) {
    let pool = backend.pool(1);
    let token = CancellationToken::new();
    token.cancel();
    let error = pool.run(call!(power(2))).cancel_on(&token).now_or_never().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.started(), error.attempts()), (ErrorKind::Cancelled, Started::No, 0));
    assert_eq!(pool.snapshot().workers.len(), 0);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.workers_started), (0, 0));
}

pub(crate) async fn options_after_the_first_poll(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    let mut run = pool.run(call!(power(2)));
    assert!((&mut run).now_or_never().is_none());
    let error = run.timeout(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("`timeout` was set after the first poll"), "{error}");
    busy.release().await;
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.cancelled, report.balances()), (1, 1, true));
}

pub(crate) async fn detached_tasks_go_on(backend: Backend) {
    let pool = backend.pool(2);
    let gate = Gate::new();
    for word in [1, 2, 3] {
        let path = gate.path();
        drop(pool.spawn(call!(wait_at(path, word))));
    }
    // A call that was polled once and never again goes on as well.
    let path = gate.path();
    let mut run = pool.run(call!(wait_at(path, 4)));
    assert!((&mut run).now_or_never().is_none());
    for _ in 0..4 {
        gate.arrival().await.release().await;
    }
    until("it is over", || pool.snapshot().workers.iter().all(|worker| worker.state == WorkerState::Idle));
    drop(run);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.cancelled), (4, 4, 0));
}

pub(crate) async fn snapshot(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).build().unwrap();
    assert_eq!(pool.snapshot().to_string(), "0 workers, 0 queued, 0 waiting\n");
    let gate = Gate::new();
    let path = gate.path();
    let busy = pool.spawn(call!(wait_at(path, 0)).name("the busy one"));
    let visitor = gate.arrival().await;
    let queued = pool.spawn(call!(power(2)));
    let waiting = pool.spawn(call!(power(3)).name("the last"));
    let snapshot = pool.snapshot();
    let worker = &snapshot.workers[0];
    assert_eq!((worker.name.as_str(), worker.generation, worker.state), ("worker-0", 0, WorkerState::Busy));
    assert_eq!(worker.pid, backend.can_die().then_some(visitor.pid));
    assert_eq!(worker.task.as_ref().unwrap().name, "the busy one");
    assert_eq!((snapshot.workers.len(), snapshot.queued.len(), snapshot.waiting.len()), (1, 1, 1));
    assert_eq!((snapshot.queued[0].name.as_str(), snapshot.waiting[0].name.as_str()), ("power", "the last"));
    assert!(snapshot.to_string().contains("Busy with `the busy one`"), "{snapshot}");
    assert!(!snapshot.closing);
    visitor.release().await;
    for handle in [queued, waiting] {
        handle.await.unwrap();
    }
    busy.await.unwrap();
    until("it is idle", || pool.snapshot().workers[0].state == WorkerState::Idle);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.workers[0].tasks_done, snapshot.queued.len()), (3, 0), "{snapshot}");
    pool.shutdown().await.unwrap();
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.workers.len(), snapshot.closing), (0, true), "{snapshot}");
}
