//! Another size while tasks run: nothing is lost, who stays is not disturbed, and the numbers are exact.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use futures::stream::FuturesUnordered;
use procpool::{ErrorKind, Exit, Pool, PoolErrorKind, Snapshot, WorkerState, call};
use procpool_tests::tasks::{pid, power, wait_at};
use procpool_tests::{Gate, Random, Signal, Visitor, children_of, send_to_child, test, until, watched};

const SIZES: [usize; 8] = [12, 2, 1, 12, 6, 1, 8, 5];

/// Who is there: name, generation, pid.
fn workers(pool: &Pool) -> BTreeSet<(String, u32, Option<u32>)> {
    pool.snapshot().workers.into_iter().map(|worker| (worker.name, worker.generation, worker.pid)).collect()
}

/// Goes through all sizes while there is always more to do than there are workers.
async fn sizes_in_turn(pool: Pool) {
    const TASKS: u64 = 100;
    let pool = watched(pool);
    let gate = Gate::new();
    let runs: Vec<_> = (0..TASKS).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
    let (mut standing, mut words): (Vec<Visitor>, BTreeSet<u64>) = (Vec::new(), BTreeSet::new());
    let mut before = BTreeSet::new();
    for size in SIZES {
        pool.resize(size).unwrap();
        // Nobody goes before his task is over; then as many go as are too many.
        assert!(workers(&pool).is_superset(&before), "{size}");
        while standing.len() > size {
            let visitor = standing.remove(0);
            assert!(words.insert(visitor.word));
            visitor.release().await;
        }
        until("who is too many has gone", || pool.snapshot().workers.len() <= size);
        while standing.len() < size {
            standing.push(gate.arrival().await);
        }
        let now = workers(&pool);
        assert_eq!(now.len(), size, "{}", pool.snapshot());
        assert!(now.is_subset(&before) || before.is_subset(&now), "{before:?} became {now:?}");
        assert!(pool.snapshot().workers.iter().all(|worker| worker.state == WorkerState::Busy));
        // Who has stayed goes on to the next task.
        let visitor = standing.remove(0);
        assert!(words.insert(visitor.word));
        visitor.release().await;
        standing.push(gate.arrival().await);
        assert_eq!(workers(&pool), now);
        before = now;
    }
    while let Some(visitor) = standing.pop() {
        assert!(words.insert(visitor.word));
        visitor.release().await;
        if words.len() + standing.len() < TASKS as usize {
            standing.push(gate.arrival().await);
        }
    }
    assert_eq!(words.len() as u64, TASKS);
    try_join_all(runs).await.unwrap();
    until("all are idle", || pool.snapshot().workers.iter().all(|worker| worker.state == WorkerState::Idle));
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.workers.len(), snapshot.queued.len(), snapshot.waiting.len()), (5, 0, 0), "{snapshot}");
    assert_eq!(workers(&pool), before);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.balances()), (TASKS, TASKS, true), "{report:?}");
    // Twelve, and what it grew by: eleven, and seven.
    assert_eq!((report.workers_started, report.workers_ended), (30, 30), "{report:?}");
}

test! {
    async fn behaviour_31_resizing_under_load() {
        sizes_in_turn(Pool::builder().workers(12).build().unwrap()).await;
        assert_eq!(children_of(std::process::id()), Vec::<u32>::new());
    }
}

test! {
    async fn behaviour_31_resizing_threads_under_load() {
        sizes_in_turn(Pool::builder().in_process().workers(12).build().unwrap()).await;
    }
}

test! {
    async fn growing_while_tasks_wait_for_a_place() {
        let (pool, gate) = (Pool::builder().workers(1).queue_limit(1).build().unwrap(), Gate::new());
        let runs: Vec<_> = (0..6).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
        let permits = pool.reserve();
        pool.resize(6).unwrap();
        // A worker is what they all lack, and not a place.
        let visitors = gate.arrivals(6).await;
        assert_eq!(visitors.iter().map(|visitor| visitor.pid).collect::<HashSet<_>>().len(), 6);
        drop(permits.await.unwrap());
        for visitor in visitors {
            visitor.release().await;
        }
        try_join_all(runs).await.unwrap();
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 6);
    }
}

test! {
    async fn shrinking_while_workers_start() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = watched(Pool::builder().workers(4).init(call!(arrive(path))).build().unwrap());
        let runs: Vec<_> = (0..8).map(|_| pool.spawn(call!(pid()))).collect();
        let starting = gate.arrivals(4).await;
        pool.resize(1).unwrap();
        until("three have gone", || children_of(std::process::id()).len() == 1);
        let last = children_of(std::process::id())[0];
        for visitor in starting {
            if visitor.pid == last {
                visitor.release().await;
            } else {
                visitor.gone().await;
            }
        }
        for run in join_all(runs).await {
            assert_eq!(run.unwrap(), last);
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started, report.balances()), (8, 4, true), "{report:?}");
    }
}

fn arrive(gate: String) {
    procpool_tests::visit(gate, 0);
}

test! {
    async fn sizes_after_ready_and_after_the_end() {
        let pool = Pool::builder().workers(1..=4).build().unwrap();
        pool.ready().await.unwrap();
        assert_eq!(pool.snapshot().workers.len(), 1);
        // The minimum is kept from `ready` on; the same size again is none.
        pool.resize(3..=4).unwrap();
        pool.ready().await.unwrap();
        let three = workers(&pool);
        pool.resize(3..=3).unwrap();
        assert_eq!(workers(&pool), three);
        assert_eq!(pool.resize(0).unwrap_err().kind(), PoolErrorKind::InvalidConfig);
        assert_eq!(workers(&pool), three);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.workers_started, report.workers_ended), (3, 3));
        pool.resize(2).unwrap();
        assert_eq!(pool.run(call!(power(2))).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(pool.snapshot().workers.len(), 0);
    }
}

/// Works for a moment.
fn work(number: u32, rounds: u64) -> u32 {
    for _ in 0..rounds {
        std::hint::black_box(number);
    }
    number
}

/// Workers that count against the size.
fn kept(snapshot: &Snapshot) -> usize {
    let gone = |state| matches!(state, WorkerState::Retiring | WorkerState::Dying);
    snapshot.workers.iter().filter(|worker| !gone(worker.state)).count()
}

/// Every 50 ms another size, under load, with kills.
async fn storm(length: Duration) {
    let mut random = Random::new();
    let pool = watched(Pool::builder().workers(12).build().unwrap());
    pool.ready().await.unwrap();
    let mut running = FuturesUnordered::new();
    let (mut submitted, mut done, mut failed) = (0u32, 0u64, 0u64);
    let mut killed = HashSet::new();
    let (mut sizes, mut size, mut most, mut resizes) = (SIZES.into_iter().cycle(), 12, 12, 0);
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
    let mut on = true;
    while on || !running.is_empty() {
        while on && running.len() < 40 {
            let (number, rounds) = (submitted, random.below(1_000_000));
            submitted += 1;
            let handle = pool.spawn(call!(work(number, rounds)));
            running.push(async move { (number, handle.await) });
        }
        tokio::select! {
            _ = ticks.tick(), if on => {
                let snapshot = pool.snapshot();
                assert!(kept(&snapshot) <= most, "at most {most}: {snapshot}");
                // It may yet have grown to the size that it had until now, and shrinks from what it has.
                let next = sizes.next().unwrap();
                most = kept(&snapshot).max(size).max(next);
                size = next;
                pool.resize(size).unwrap();
                resizes += 1;
                let ready = |state| matches!(state, WorkerState::Idle | WorkerState::Busy);
                let ready: Vec<_> =
                    snapshot.workers.iter().filter(|worker| ready(worker.state)).filter_map(|worker| worker.pid).collect();
                for _ in 0..random.below(3) {
                    if let Some(&victim) = random.pick(&ready) && send_to_child(Signal::KILL, victim) {
                        killed.insert(victim);
                    }
                }
                on = began.elapsed() < length;
            }
            Some((number, result)) = running.next() => match result {
                Ok(value) => {
                    assert_eq!(value, number);
                    done += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
                    assert_eq!(error.exit().and_then(Exit::signal_name), Some("SIGKILL"), "{error}");
                    assert!(killed.contains(&error.pid().unwrap()), "nobody killed it: {error}");
                    failed += 1;
                }
            },
        }
    }
    eprintln!("{resizes} sizes, {} kills, {done} values, {failed} failures", killed.len());
    assert_eq!(done + failed, u64::from(submitted));
    assert!(failed <= killed.len() as u64, "each kill costs one task at most");
    // This may be the thread on which the pool lives.
    let settled = |snapshot: &Snapshot| {
        snapshot.workers.len() == size && snapshot.workers.iter().all(|worker| worker.state == WorkerState::Idle)
    };
    let mut snapshot = pool.snapshot();
    while !settled(&snapshot) {
        tokio::task::yield_now().await;
        snapshot = pool.snapshot();
    }
    assert_eq!((snapshot.queued.len(), snapshot.waiting.len(), snapshot.reason), (0, 0, None), "{snapshot}");
    assert_eq!(children_of(std::process::id()).len(), size);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.crashed, report.balances()), (done, failed, true), "{report:?}");
    assert_eq!(report.workers_started, report.workers_ended, "{report:?}");
    assert!(report.workers_ended >= killed.len() as u64, "{report:?}");
}

test! {
    slow async fn storm_resizing_under_load_with_kills() {
        // A few seconds, or as many as it is told.
        let given = std::env::var("PROCPOOL_TEST_STORM_SECS").ok().and_then(|seconds| seconds.parse().ok());
        storm(Duration::from_secs(given.unwrap_or(3))).await;
    }
}

test! {
    current_thread async fn storm_resizing_under_load_with_kills_current_thread() {
        storm(Duration::from_secs(2)).await;
    }
}
