//! Places in the queue taken ahead of their tasks.

use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, poll};
use procpool::{ErrorKind, Pool, RunError, Started, call};
use procpool_tests::tasks::{power, wait_at};
use procpool_tests::{Gate, Random, Visitor, until};
use tokio_util::sync::CancellationToken;

use super::Backend;

/// A pool whose only worker is busy until the visitor is released.
async fn busy(backend: Backend, queue_limit: usize, gate: &Gate) -> (Pool, Visitor) {
    let pool = backend.builder().workers(1).queue_limit(queue_limit).build().unwrap();
    let path = gate.path();
    drop(pool.spawn(call!(wait_at(path, 0))));
    (pool, gate.arrival().await)
}

fn assert_refused(error: &RunError, kind: ErrorKind) {
    assert_eq!((error.kind(), error.started(), error.attempts()), (kind, Started::No, 0), "{error}");
}

/// How many places are reserved, and how many wait for one.
fn places(pool: &Pool) -> (usize, usize) {
    let snapshot = pool.snapshot();
    (snapshot.reserved, snapshot.reserving)
}

pub(crate) async fn a_permit_is_one_place(backend: Backend) {
    let gate = Gate::new();
    let (pool, visitor) = busy(backend, 2, &gate).await;
    let first = pool.reserve().await.unwrap();
    let second = pool.try_reserve().unwrap();
    assert_eq!(places(&pool), (2, 0));
    assert_refused(&pool.try_reserve().unwrap_err(), ErrorKind::QueueFull);
    assert_refused(&pool.try_run(call!(power(2))).unwrap_err(), ErrorKind::QueueFull);
    // A call takes the place with it, before and after its first poll, and gives it back when it is dropped.
    let mut run = first.run(call!(power(3))).timeout(Duration::from_secs(60));
    assert_eq!(places(&pool), (2, 0));
    assert!(poll!(&mut run).is_pending());
    assert_eq!((places(&pool), pool.snapshot().queued.len()), ((1, 0), 1));
    drop(run);
    assert_eq!((places(&pool), pool.snapshot().queued.len()), ((1, 0), 0));
    let inert = pool.try_reserve().unwrap().run(call!(power(4)));
    assert_eq!(places(&pool), (2, 0));
    drop(inert);
    assert_eq!(places(&pool), (1, 0));
    let handle = second.spawn(call!(power(5)));
    assert_eq!(places(&pool), (0, 0));
    visitor.release().await;
    assert_eq!(handle.await.unwrap(), 3125);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.cancelled), (3, 2, 1), "{report:?}");
    assert_eq!(report.workers_started, 1);
}

pub(crate) async fn places_are_given_in_order(backend: Backend) {
    let gate = Gate::new();
    let (pool, visitor) = busy(backend, 1, &gate).await;
    let held = pool.reserve().await.unwrap();
    let (mut low, mut first, mut second) = (pool.reserve().priority(-1), pool.reserve(), pool.reserve());
    let mut high = pool.reserve().priority(1);
    assert!(poll!(&mut low).is_pending());
    assert!(poll!(&mut first).is_pending());
    // A call that waits stands in the same line.
    let run = pool.spawn(call!(power(2)));
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut high).is_pending());
    assert_eq!((places(&pool), pool.snapshot().waiting.len()), ((1, 4), 1));
    drop(held);
    assert!((&mut first).now_or_never().is_none(), "there is somebody with a higher priority");
    let high = high.await.unwrap();
    drop(high);
    let first = first.await.unwrap();
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert_eq!(pool.snapshot().queued.len(), 1, "the call's turn");
    assert!((&mut second).now_or_never().is_none());
    visitor.release().await;
    assert_eq!(run.await.unwrap(), 4);
    drop(second.await.unwrap());
    drop(low.await.unwrap());
    assert_eq!(places(&pool), (0, 0));
    pool.shutdown().await.unwrap();
}

pub(crate) async fn a_dropped_reserve_passes_its_place_on(backend: Backend) {
    let gate = Gate::new();
    let (pool, visitor) = busy(backend, 1, &gate).await;
    let held = pool.reserve().await.unwrap();
    let (mut first, mut second, mut third) = (pool.reserve(), pool.reserve(), pool.reserve());
    for reserve in [&mut first, &mut second, &mut third] {
        assert!(poll!(reserve).is_pending());
    }
    drop(first);
    assert_eq!(places(&pool), (1, 2));
    // The second has its place now, and nobody takes it.
    drop(held);
    assert_eq!(places(&pool), (1, 1));
    drop(second);
    drop(third.await.unwrap());
    assert_eq!(places(&pool), (0, 0));
    visitor.release().await;
    pool.shutdown().await.unwrap();
}

pub(crate) async fn limits_of_waiting_for_a_place(backend: Backend) {
    let gate = Gate::new();
    let (pool, visitor) = busy(backend, 1, &gate).await;
    let held = pool.reserve().await.unwrap();
    let limit = Duration::from_millis(30);
    let error = pool.reserve().queue_timeout(limit).await.unwrap_err();
    assert_refused(&error, ErrorKind::QueueTimedOut);
    assert!(error.is_timeout() && error.to_string().contains("30ms"), "{error}");
    let (token, other) = (CancellationToken::new(), CancellationToken::new());
    let mut reserve = pool.reserve().cancel_on(&other).cancel_on(&token);
    assert!(poll!(&mut reserve).is_pending());
    token.cancel();
    let error = reserve.await.unwrap_err();
    assert_refused(&error, ErrorKind::Cancelled);
    assert_refused(&pool.reserve().cancel_on(token).await.unwrap_err(), ErrorKind::Cancelled);
    let mut late = pool.reserve();
    assert!(poll!(&mut late).is_pending());
    let mut late = late.priority(1);
    let error = (&mut late).await.unwrap_err();
    assert_refused(&error, ErrorKind::Misuse);
    assert!(error.to_string().contains("`priority` was set after the first poll"), "{error}");
    assert_refused(&late.await.unwrap_err(), ErrorKind::Misuse);
    assert_eq!(places(&pool), (1, 0));
    drop(held);
    visitor.release().await;
    pool.shutdown().await.unwrap();
}

pub(crate) async fn a_full_line_refuses(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).max_waiting(1).build().unwrap();
    let held = pool.reserve().await.unwrap();
    let mut waiting = pool.reserve();
    assert!(poll!(&mut waiting).is_pending());
    assert_refused(&pool.reserve().await.unwrap_err(), ErrorKind::QueueFull);
    drop(held);
    // With an idle worker (or none yet) a place is all that is needed.
    assert_eq!(waiting.await.unwrap().run(call!(power(3))).await.unwrap(), 27);
    pool.shutdown().await.unwrap();
}

pub(crate) async fn closing_ends_all_reservations(backend: Backend) {
    let gate = Gate::new();
    let (pool, visitor) = busy(backend, 2, &gate).await;
    let (held, unused) = (pool.reserve().await.unwrap(), pool.reserve().await.unwrap());
    let mut waiting = pool.reserve();
    assert!(poll!(&mut waiting).is_pending());
    let ending = tokio::spawn({
        let pool = pool.clone();
        async move { pool.shutdown().await }
    });
    assert_refused(&waiting.await.unwrap_err(), ErrorKind::Closed);
    assert_eq!(places(&pool), (0, 0));
    let error = held.run(call!(power(3))).await.unwrap_err();
    assert_eq!((error.kind(), error.started(), error.task()), (ErrorKind::Closed, Started::No, Some("power")));
    assert_refused(&pool.reserve().await.unwrap_err(), ErrorKind::Closed);
    visitor.release().await;
    // The permit that is left holds nobody up.
    let report = ending.await.unwrap().unwrap();
    assert_eq!((report.succeeded, report.refused, report.balances()), (1, 1, true), "{report:?}");
    drop(unused);
}

pub(crate) async fn a_permit_is_a_handle(backend: Backend) {
    let pool = backend.pool(1);
    let permit = pool.reserve().await.unwrap();
    drop(pool);
    assert_eq!(permit.run(call!(power(4))).await.unwrap(), 256);
}

fn refuse() -> Result<(), String> {
    Err("no work today".into())
}

pub(crate) async fn no_worker_to_wait_for(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).init(call!(refuse())).build().unwrap();
    let task = pool.spawn(call!(power(1)));
    let error = pool.reserve().await.unwrap_err();
    assert_refused(&error, ErrorKind::StartFailed);
    assert!(error.to_string().contains("no work today"), "{error}");
    assert_eq!(task.await.unwrap_err().kind(), ErrorKind::StartFailed);
    pool.shutdown().await.unwrap();
}

/// Waits for a place now and then in vain, and gives it back now and then unused.
async fn producer(pool: Pool, mut random: Random) -> u64 {
    let mut done = 0;
    while done < 50 {
        let mut reserve = pool.reserve().priority(random.below(3) as i32);
        if random.below(3) == 0 {
            drop(poll!(&mut reserve));
            for _ in 0..random.below(4) {
                tokio::task::yield_now().await;
            }
            continue;
        }
        let permit = reserve.await.unwrap();
        match random.below(6) {
            0 => drop(permit),
            1 => drop(permit.run(call!(power(3)))),
            _ => {
                assert_eq!(permit.run(call!(power(3))).await.unwrap(), 27);
                done += 1;
            }
        }
    }
    done
}

pub(crate) async fn many_producers(backend: Backend) {
    let mut random = Random::new();
    let pool = backend.builder().workers(2).queue_limit(3).build().unwrap();
    let producers: Vec<_> = (0..8).map(|_| tokio::spawn(producer(pool.clone(), random.fork()))).collect();
    let done: u64 = join_all(producers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!((done, places(&pool)), (400, (0, 0)));
    // All places are there again.
    let permits: Vec<_> = (0..3).map(|_| pool.try_reserve().unwrap()).collect();
    assert!(pool.try_reserve().is_err());
    drop(permits);
    until("nothing is reserved", || places(&pool) == (0, 0));
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded), (400, 400), "{report:?}");
}
