//! How tasks and pools are stopped.

use std::time::Duration;

use procpool::{ErrorKind, JoinHandle, Pool, RunError, Shutdown, Started, WorkerState, call};
use procpool_tests::tasks::{Identity, boom, leave, power, wait_at, who};
use procpool_tests::{Gate, Visitor, is_alive, until, visit};

use super::Backend;

/// Long enough for a task to begin, short enough for a test to wait for.
const LIMIT: Duration = Duration::from_millis(500);

/// Arrives, and ends when it is asked to. Says whether it was.
fn heed(gate: String) -> (bool, Identity) {
    visit(gate, 1);
    while !procpool::current().is_cancelled() {
        std::thread::yield_now();
    }
    (true, who())
}

/// A task that stands at the gate, and one that waits behind it.
async fn one_runs_one_waits(pool: &Pool, gate: &Gate) -> (JoinHandle<u32>, JoinHandle<u128>, Visitor) {
    let path = gate.path();
    let running = pool.spawn(call!(wait_at(path, 0)));
    let visitor = gate.arrival().await;
    let queued = pool.spawn(call!(power(4)));
    (running, queued, visitor)
}

/// The task was stopped in the act; its worker was replaced, and what it left (if it could not be killed) ends now.
async fn assert_replaced(backend: Backend, pool: &Pool, visitor: Visitor) {
    let next = pool.run(call!(who())).await.unwrap();
    assert_eq!((next.slot, next.generation), (Some(0), Some(1)));
    if backend.can_die() {
        assert_ne!(next.pid, visitor.pid);
        assert!(!is_alive(visitor.pid));
    }
    visitor.release().await;
}

pub(crate) async fn timeout(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let path = gate.path();
    let task = pool.run(call!(wait_at(path, 0))).timeout(LIMIT).spawn();
    let visitor = gate.arrival().await;
    let error = task.await.unwrap_err();
    backend.assert_stopped(&error, ErrorKind::TimedOut, visitor.pid);
    assert_eq!((error.started(), error.is_timeout()), (Started::Yes, true));
    assert!(error.to_string().contains("ran longer than its limit of 500ms"), "{error}");
    assert_replaced(backend, &pool, visitor).await;
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.timed_out, report.workers_started, report.balances()), (1, 1, 2, true));
}

pub(crate) async fn abort(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let path = gate.path();
    let task = pool.spawn(call!(wait_at(path, 0)));
    let visitor = gate.arrival().await;
    task.abort();
    let error = task.await.unwrap_err();
    backend.assert_stopped(&error, ErrorKind::Cancelled, visitor.pid);
    assert_eq!((error.started(), error.is_cancelled()), (Started::Yes, true));
    assert_replaced(backend, &pool, visitor).await;
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.cancelled, report.workers_started, report.balances()), (1, 1, 2, true));
}

pub(crate) async fn grace(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let path = gate.path();
    let task = pool.run(call!(heed(path))).grace(LIMIT * 50).spawn();
    gate.arrival().await.release().await;
    task.abort();
    // It returned in time: the result counts and the worker stays.
    let (asked, worker) = task.await.unwrap();
    let next = pool.run(call!(who())).await.unwrap();
    assert!(asked);
    assert_eq!((worker.generation, next.generation, &next.thread), (Some(0), Some(0), &worker.thread));
    // The same for a limit.
    let path = gate.path();
    let task = pool.run(call!(heed(path))).timeout(LIMIT).grace(LIMIT * 50).spawn();
    gate.arrival().await.release().await;
    assert!(task.await.unwrap().0);
    // A grace that is not used runs out.
    let path = gate.path();
    let task = pool.run(call!(wait_at(path, 0))).grace(LIMIT).spawn();
    let visitor = gate.arrival().await;
    task.abort();
    assert_eq!(pool.snapshot().workers[0].state, WorkerState::Stopping);
    backend.assert_stopped(&task.await.unwrap_err(), ErrorKind::Cancelled, visitor.pid);
    assert_replaced(backend, &pool, visitor).await;
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.cancelled, report.timed_out, report.workers_started), (4, 1, 0, 2));
}

pub(crate) async fn retries(backend: Backend) {
    let pool = backend.pool(1);
    // Never after a panic or a time limit.
    let error = pool.run(call!(boom("once".to_string()))).retries(3).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Panicked, 1));
    let gate = Gate::new();
    let path = gate.path();
    let task = pool.run(call!(wait_at(path, 0))).retries(3).timeout(LIMIT).spawn();
    let visitor = gate.arrival().await;
    let error = task.await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TimedOut, 1));
    assert_replaced(backend, &pool, visitor).await;
    let mut expected = (0, 0);
    if backend.can_die() {
        let error = pool.run(call!(leave(3))).retries(2).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::WorkerDied, 3));
        expected = (1, 2);
    }
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.crashed, report.retried, report.balances()), (expected.0, expected.1, true));
}

fn assert_closed(error: &RunError, started: Started) {
    assert_eq!((error.kind(), error.started()), (ErrorKind::Closed, started), "{error}");
}

pub(crate) async fn drain(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let (running, queued, visitor) = one_runs_one_waits(&pool, &gate).await;
    let worker = visitor.pid;
    let (report, refused) = tokio::join!(pool.shutdown(), async {
        // The shutdown has begun.
        until("the pool closes", || pool.snapshot().closing);
        let refused = pool.run(call!(power(2))).await.unwrap_err();
        assert_closed(&pool.try_run(call!(power(2))).unwrap_err(), Started::No);
        visitor.release().await;
        refused
    });
    assert_closed(&refused, Started::No);
    assert_eq!((running.await.unwrap(), queued.await.unwrap()), (worker, 256));
    let report = report.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.refused, report.balances()), (3, 2, 1, true));
    assert_eq!((report.workers_started, report.workers_ended), (1, 1));
    // Again, there is the same report.
    assert_eq!(pool.shutdown_with(Shutdown::Kill).await.unwrap(), report);
}

pub(crate) async fn drain_with_deadline(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let (running, queued, visitor) = one_runs_one_waits(&pool, &gate).await;
    let report = pool.shutdown_with(Shutdown::DrainFor(LIMIT)).await.unwrap();
    assert_closed(&running.await.unwrap_err(), Started::Yes);
    assert_closed(&queued.await.unwrap_err(), Started::No);
    assert_eq!((report.submitted, report.dropped, report.workers_ended, report.balances()), (2, 2, 1, true));
    visitor.release().await;
}

pub(crate) async fn drop_queued(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let (running, queued, visitor) = one_runs_one_waits(&pool, &gate).await;
    let (report, ()) = tokio::join!(pool.shutdown_with(Shutdown::DropQueued), async {
        // Told at once, and not when the other has finished.
        assert_closed(&queued.await.unwrap_err(), Started::No);
        visitor.release().await;
    });
    running.await.unwrap();
    let report = report.unwrap();
    assert_eq!((report.succeeded, report.dropped, report.workers_ended, report.balances()), (1, 1, 1, true));
}

pub(crate) async fn kill(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let (running, queued, visitor) = one_runs_one_waits(&pool, &gate).await;
    let report = pool.shutdown_with(Shutdown::Kill).await.unwrap();
    assert_closed(&running.await.unwrap_err(), Started::Yes);
    assert_closed(&queued.await.unwrap_err(), Started::No);
    assert_eq!((report.submitted, report.dropped, report.workers_ended, report.balances()), (2, 2, 1, true));
    visitor.release().await;
}

pub(crate) async fn last_handle_dropped(backend: Backend) {
    let pool = backend.pool(1);
    let gate = Gate::new();
    let (running, queued, visitor) = one_runs_one_waits(&pool, &gate).await;
    let path = gate.path();
    let detached = pool.spawn(call!(wait_at(path, 7)));
    drop(detached);
    drop(pool);
    let worker = visitor.pid;
    visitor.release().await;
    assert_eq!((running.await.unwrap(), queued.await.unwrap()), (worker, 256));
    // A detached task finishes, too. That nothing is left afterwards is seen to by the harness.
    let visitor = gate.arrival().await;
    assert_eq!(visitor.word, 7);
    visitor.release().await;
    // A call that holds the only handle is enough for it to work.
    assert_eq!(backend.pool(1).run(call!(power(3))).await.unwrap(), 27);
}

pub(crate) async fn unused_pool_dropped(backend: Backend) {
    drop(backend.pool(2));
    let pool = backend.pool(2);
    drop(pool.run(call!(power(3))));
    let other = pool.clone();
    drop(pool);
    assert_eq!(other.run(call!(power(3))).await.unwrap(), 27);
}
