//! The life of workers: how many there are, when they start and end, and what they do then.

use std::cell::Cell;
use std::time::Duration;

use futures::future::join_all;
use procpool::{ErrorKind, Pool, PoolErrorKind, Started, WorkerState, call};
use procpool_tests::tasks::{Identity, power, wait_at, who};
use procpool_tests::{Gate, until, visit};

use super::Backend;

/// Long enough for a worker to start, short enough for a test to wait for.
const LIMIT: Duration = Duration::from_millis(500);

thread_local! {
    /// Every worker, a process or a thread, runs its tasks and its initialiser on one thread.
    static INITIALISED: Cell<u32> = const { Cell::new(0) };
}

fn initialise(amount: u32) -> Result<(), String> {
    let me = procpool::current();
    if !me.is_worker() || me.task().is_some() {
        return Err(format!("{me} is not a worker without a task"));
    }
    INITIALISED.set(INITIALISED.get() + amount);
    Ok(())
}

fn initialised() -> (u32, Identity) {
    (INITIALISED.get(), who())
}

fn refuse(text: String) -> Result<(), String> {
    Err(text)
}

fn panic_with(text: String) {
    panic!("{text}");
}

fn arrive(gate: String) {
    visit(gate, 0);
}

/// Makes so many tasks run at the same time; gives their workers, with the generation of each.
async fn at_once(pool: &Pool, tasks: usize) -> Vec<Option<u32>> {
    fn wait_here(gate: String) -> Identity {
        visit(gate, 0);
        who()
    }
    let gate = Gate::new();
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let path = gate.path();
            pool.spawn(call!(wait_here(path)))
        })
        .collect();
    for visitor in gate.arrivals(tasks).await {
        visitor.release().await;
    }
    let mut slots: Vec<_> = join_all(handles).await.into_iter().map(|worker| worker.unwrap().slot).collect();
    slots.sort_unstable();
    slots
}

pub(crate) async fn nothing_starts_before_it_is_needed(backend: Backend) {
    let pool = backend.pool(3);
    assert_eq!(pool.snapshot().workers.len(), 0);
    pool.ready().await.unwrap();
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.workers.len(), 3, "{snapshot}");
    assert!(snapshot.workers.iter().all(|worker| worker.state == WorkerState::Idle), "{snapshot}");
    let names: Vec<_> = snapshot.workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!(names, ["worker-0", "worker-1", "worker-2"]);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.workers_started, report.workers_ended), (0, 3, 3));
    assert_eq!(pool.ready().await.unwrap_err().kind(), PoolErrorKind::Closed);
}

pub(crate) async fn one_worker_for_serial_calls(backend: Backend) {
    let pool = backend.builder().workers(1..=4).build().unwrap();
    let first = pool.run(call!(who())).await.unwrap();
    for _ in 0..20 {
        let next = pool.run(call!(who())).await.unwrap();
        assert_eq!((&next.name, next.pid, &next.thread), (&first.name, first.pid, &first.thread));
    }
    assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
}

pub(crate) async fn growth_and_idle_timeout(backend: Backend) {
    let pool = backend.builder().workers(1..=3).idle_timeout(LIMIT).build().unwrap();
    assert_eq!(at_once(&pool, 1).await, [Some(0)]);
    assert_eq!(at_once(&pool, 3).await, [Some(0), Some(1), Some(2)]);
    assert_eq!(pool.snapshot().workers.len(), 3);
    until("all but one have gone", || pool.snapshot().workers.len() == 1);
    assert_eq!(at_once(&pool, 3).await.len(), 3);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.workers_started, report.workers_ended), (5, 5));
}

pub(crate) async fn resize(backend: Backend) {
    let pool = backend.pool(3);
    pool.ready().await.unwrap();
    pool.resize(1).unwrap();
    until("two have gone", || pool.snapshot().workers.len() == 1);
    pool.resize(2).unwrap();
    assert_eq!(at_once(&pool, 2).await.len(), 2);
    let error = pool.resize(0).unwrap_err();
    assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
    assert!(error.to_string().contains("workers is 0; it must be from 1 to"), "{error}");
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.workers_started), (2, 4));
}

pub(crate) async fn max_tasks(backend: Backend) {
    let pool = backend.builder().workers(1).max_tasks(3).build().unwrap();
    let mut workers = Vec::new();
    for _ in 0..7 {
        workers.push(pool.run(call!(who())).await.unwrap());
    }
    let generations: Vec<_> = workers.iter().filter_map(|worker| worker.generation).collect();
    assert_eq!(generations.len(), 7);
    for (index, worker) in workers.iter().enumerate() {
        let first = &workers[index / 3 * 3];
        assert_eq!((&worker.thread, worker.pid), (&first.thread, first.pid), "the worker of task {index}");
    }
    let distinct: std::collections::HashSet<_> = workers.iter().map(|w| (w.pid, w.slot, w.generation)).collect();
    assert_eq!(distinct.len(), 3);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.workers_started, report.workers_ended), (7, 3, 3));
    let error = backend.builder().max_tasks(0).build().unwrap_err();
    assert_eq!(error.to_string(), "max_tasks is 0; it must be at least 1");
}

pub(crate) async fn init_once_a_worker(backend: Backend) {
    let pool = backend.builder().workers(2).max_tasks(5).init(call!(initialise(1 + 6))).build().unwrap();
    let looks = join_all((0..20).map(|_| pool.run(call!(initialised())))).await;
    for look in looks {
        let (left, worker) = look.unwrap();
        assert_eq!(left, 7, "{worker:?}");
        backend.assert_at_home(&worker);
    }
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.failed), (20, 0));
    assert!(report.workers_started >= 4, "{report:?}");
}

pub(crate) async fn init_fails(backend: Backend) {
    let refusing = backend.builder().init(call!(refuse("no database".to_string())));
    let panicking = backend.builder().init(call!(panic_with("no database".to_string())));
    for (builder, words) in [
        (refusing, "the init job `refuse` failed: no database"),
        (panicking, "the init job `panic_with` failed: it panicked: no database"),
    ] {
        let pool = builder.workers(1).build().unwrap();
        let ready = pool.ready().await.unwrap_err();
        assert_eq!(ready.kind(), PoolErrorKind::StartFailed);
        assert!(ready.to_string().contains(words), "{ready}");
        // During the pause that follows, tasks are refused with the cause.
        let refused = match pool.try_run(call!(power(2))) {
            Err(refused) => refused,
            // On a slow machine the next probe is under way by now, and is waited for.
            Ok(run) => run.await.unwrap_err(),
        };
        assert_eq!((refused.kind(), refused.started()), (ErrorKind::StartFailed, Started::No));
        assert_eq!((refused.task(), refused.worker()), (Some("power"), Some("worker-0")));
        assert!(refused.to_string().contains(words), "{refused}");
        let report = pool.shutdown().await.unwrap();
        assert!(report.workers_started >= 3 && report.balances(), "{report:?}");
    }
}

pub(crate) async fn init_takes_too_long(backend: Backend) {
    let gate = Gate::new();
    let path = gate.path();
    let pool = backend.builder().workers(1).init(call!(arrive(path))).init_timeout(LIMIT).build().unwrap();
    let task = pool.spawn(call!(power(2)));
    let visitors = gate.arrivals(3).await;
    let error = task.await.unwrap_err();
    assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
    assert!(error.to_string().contains("worker-0: its initialisation took longer than 500ms"), "{error}");
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.workers_started, report.workers_ended, report.refused), (3, 3, 1));
    drop(visitors);
}

pub(crate) async fn exit_hook(backend: Backend) {
    let gate = Gate::new();
    let path = gate.path();
    let pool = backend.builder().workers(1).max_tasks(1).exit(call!(arrive(path))).build().unwrap();
    let path = gate.path();
    let task = pool.spawn(call!(wait_at(path, 1)));
    let visitor = gate.arrival().await;
    assert_eq!(visitor.word, 1);
    visitor.release().await;
    task.await.unwrap();
    // It is worn out, and its hook runs while another works.
    let hook = gate.arrival().await;
    assert_eq!(hook.word, 0);
    assert_eq!(pool.run(call!(who())).await.unwrap().slot, Some(1));
    let second = gate.arrival().await;
    // The end of the pool waits for both.
    let (report, ()) = tokio::join!(pool.shutdown(), async {
        until("the pool closes", || pool.snapshot().closing);
        let retiring = pool.snapshot().workers.iter().filter(|worker| worker.state == WorkerState::Retiring).count();
        assert_eq!(retiring, 2);
        hook.release().await;
        second.release().await;
    });
    let report = report.unwrap();
    assert_eq!((report.succeeded, report.workers_started, report.workers_ended), (2, 2, 2));
    // A limit of its own ends it.
    let path = gate.path();
    let pool = backend.builder().workers(1).exit(call!(arrive(path))).exit_timeout(LIMIT).build().unwrap();
    pool.ready().await.unwrap();
    let (report, stuck) = tokio::join!(pool.shutdown(), gate.arrival());
    assert_eq!(report.unwrap().workers_ended, 1);
    stuck.release().await;
}
