//! What a pool tells of itself: its statistics and its events, and a token that ends it.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use procpool::{ErrorKind, Event, Events, Pool, Shutdown, WorkerEnd, call};
use procpool_tests::tasks::{boom, power, wait_at};
use procpool_tests::{Gate, Visitor, until};
use tokio_util::sync::CancellationToken;

use super::Backend;

/// Short, and never what a result depends on.
const SHORT: Duration = Duration::from_millis(50);

fn refuse(text: String) -> Result<(), String> {
    Err(text)
}

/// Occupies a worker of a pool until the visitor is released.
async fn occupy(pool: &Pool, gate: &Gate) -> Visitor {
    let path = gate.path();
    drop(pool.spawn(call!(wait_at(path, 0))));
    gate.arrival().await
}

/// An event without what differs from run to run.
fn brief(event: &Event) -> String {
    match event {
        Event::WorkerStarted { worker, generation, .. } => format!("{worker}.{generation} started"),
        Event::WorkerReady { worker, generation, .. } => format!("{worker}.{generation} ready"),
        Event::WorkerEnded { worker, generation, why, tasks_done, .. } => {
            format!("{worker}.{generation} ended: {why:?}, {tasks_done} done")
        }
        Event::StartsPaused { failures, .. } => format!("paused after {failures}"),
        Event::TaskFailed { task, name, kind, worker, .. } => {
            format!("{name} {task} failed: {kind:?} in {}", worker.as_deref().unwrap_or("no worker"))
        }
        Event::Resized { min, max, .. } => format!("resized to {min}..={max}"),
        Event::Closing(how) => format!("closing: {how:?}"),
        Event::Closed(report) => format!("closed after {}", report.submitted),
        Event::Missed(count) => format!("missed {count}"),
        other => format!("{other:?}"),
    }
}

/// So many events.
async fn next(events: &mut Events, count: usize) -> Vec<String> {
    events.take(count).map(|event| brief(&event)).collect().await
}

/// All that are left, of a pool that has ended.
async fn rest(events: Events) -> Vec<String> {
    events.map(|event| brief(&event)).collect().await
}

pub(crate) async fn stats_count_every_task(backend: Backend) {
    let pool = backend.builder().workers(1).queue_limit(1).build().unwrap();
    let empty = pool.stats();
    assert_eq!((empty.report.submitted, empty.workers.total(), empty.wait.count()), (0, 0, 0));
    assert!(empty.utilisation().abs() < f64::EPSILON);
    let gate = Gate::new();
    let busy = occupy(&pool, &gate).await;
    let queued = pool.spawn(call!(power(2)));
    let waiting = pool.spawn(call!(boom("no".to_string())));
    let unwanted = pool.spawn(call!(power(3)));
    unwanted.abort();
    assert!(unwanted.await.unwrap_err().is_cancelled());
    let stats = pool.stats();
    assert_eq!((stats.running, stats.queued, stats.waiting), (1, 1, 1), "{stats}");
    assert_eq!((stats.workers.busy, stats.workers.total()), (1, 1), "{stats}");
    assert_eq!((stats.report.submitted, stats.report.cancelled), (4, 1), "{stats}");
    assert_eq!((stats.wait.count(), stats.run.count()), (1, 0), "{stats}");
    assert!(!stats.report.balances());
    busy.release().await;
    assert_eq!(queued.await.unwrap(), 4);
    assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Panicked);
    let stats = pool.stats();
    assert_eq!((stats.report.succeeded, stats.report.failed, stats.running), (2, 1, 0), "{stats}");
    // Whoever has its result finds it counted. The cancelled one waited, and did not run.
    assert_eq!((stats.wait.count(), stats.run.count()), (4, 3), "{stats}");
    assert!(stats.busy <= stats.ready && stats.ready <= stats.age && stats.utilisation() > 0.0, "{stats}");
    assert!(stats.wait.max() >= stats.wait.quantile(0.5), "{stats}");
    let report = pool.shutdown().await.unwrap();
    let last = pool.stats();
    assert_eq!((last.report, last.ended.closed, last.ended.total()), (report, 1, 1), "{last}");
    assert!(report.balances() && last.to_string().contains("2 succeeded, 1 failed, 1 cancelled"), "{last}");
}

pub(crate) async fn stats_of_what_happened_since(backend: Backend) {
    let pool = backend.pool(1);
    pool.run(call!(power(1))).await.unwrap();
    let before = pool.stats();
    for x in 2..5 {
        pool.run(call!(power(x))).await.unwrap();
    }
    let recent = pool.stats().since(&before);
    assert_eq!((recent.report.submitted, recent.report.workers_started), (3, 0), "{recent}");
    assert_eq!((recent.wait.count(), recent.run.count(), recent.workers.idle), (3, 3, 1), "{recent}");
    assert!(recent.busy <= recent.ready && recent.ready <= recent.age, "{recent}");
    pool.shutdown().await.unwrap();
}

pub(crate) async fn without_timings(backend: Backend) {
    let pool = backend.builder().workers(1).without_timings().build().unwrap();
    pool.run(call!(power(1))).await.unwrap();
    let stats = pool.stats();
    assert_eq!((stats.report.succeeded, stats.wait.count(), stats.run.count()), (1, 0, 0));
    pool.shutdown().await.unwrap();
}

pub(crate) async fn stats_tell_why_workers_ended(backend: Backend) {
    let pool = backend.builder().workers(1).max_tasks(2).build().unwrap();
    let mut events = pool.events();
    pool.run(call!(power(1))).await.unwrap();
    pool.run(call!(power(2))).await.unwrap();
    assert_eq!(next(&mut events, 3).await[2], "worker-0.0 ended: Recycled, 2 done");
    let gate = Gate::new();
    let path = gate.path();
    let task = pool.spawn(call!(wait_at(path, 0)));
    let visitor = gate.arrival().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(next(&mut events, 3).await[2], "worker-0.1 ended: Stopped, 0 done");
    visitor.release().await;
    let stats = pool.stats();
    let ended = stats.ended;
    assert_eq!((ended.recycled, ended.stopped, ended.total()), (1, 1, 2), "{stats}");
    let report = pool.shutdown().await.unwrap();
    assert_eq!(report.workers_ended, pool.stats().ended.total());
    let pool = backend.builder().workers(0..=1).idle_timeout(SHORT).build().unwrap();
    let mut events = pool.events();
    pool.run(call!(power(3))).await.unwrap();
    assert_eq!(next(&mut events, 3).await[2], "worker-0.0 ended: Idle, 1 done");
    assert_eq!((pool.stats().ended.idle, pool.stats().workers.total()), (1, 0));
    pool.shutdown().await.unwrap();
}

pub(crate) async fn events_of_a_workers_life(backend: Backend) {
    let pool = backend.builder().workers(1).max_tasks(2).build().unwrap();
    let mut events = pool.events();
    pool.run(call!(power(1))).await.unwrap();
    pool.run(call!(power(2))).await.unwrap();
    assert_eq!(
        next(&mut events, 3).await,
        ["worker-0.0 started", "worker-0.0 ready", "worker-0.0 ended: Recycled, 2 done"]
    );
    pool.run(call!(power(3))).await.unwrap();
    let report = pool.shutdown().await.unwrap();
    assert_eq!(
        rest(events).await,
        [
            "worker-0.1 started",
            "worker-0.1 ready",
            "closing: Drain",
            "worker-0.1 ended: Closed, 1 done",
            "closed after 3"
        ]
    );
    assert_eq!(report, pool.stats().report);
}

pub(crate) async fn events_of_tasks_that_fail(backend: Backend) {
    let pool = backend.pool(1);
    let mut events = pool.events();
    pool.run(call!(boom("no luck".to_string()))).await.unwrap_err();
    let told: Vec<Event> = events.by_ref().take(3).collect().await;
    assert_eq!(brief(&told[2]), "boom 0 failed: Panicked in worker-0");
    assert!(matches!(&told[2], Event::TaskFailed { message, .. } if message.contains("no luck")), "{told:?}");
    // Neither a value, nor a cancelled task, nor one that comes too late.
    pool.run(call!(power(2))).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    pool.run(call!(power(2))).cancel_on(&stop).await.unwrap_err();
    pool.shutdown().await.unwrap();
    pool.run(call!(power(2))).await.unwrap_err();
    assert_eq!(rest(events).await, ["closing: Drain", "worker-0.0 ended: Closed, 2 done", "closed after 2"]);
}

pub(crate) async fn events_of_workers_that_are_stopped(backend: Backend) {
    let pool = backend.pool(1);
    let mut events = pool.events();
    let gate = Gate::new();
    let path = gate.path();
    let slow = pool.run(call!(wait_at(path, 0))).timeout(SHORT).spawn();
    // It may be over before it gets there.
    assert!(slow.await.unwrap_err().is_timeout());
    let told: Vec<Event> = events.by_ref().take(4).collect().await;
    let words: Vec<_> = told.iter().map(brief).collect();
    assert_eq!(words[2], "worker-0.0 ended: Stopped, 0 done");
    assert!(words[3].starts_with("wait_at 0 failed: TimedOut"), "{words:?}");
    let Event::WorkerEnded { why, pid, exit, .. } = &told[2] else { panic!("{told:?}") };
    assert_eq!(*why, WorkerEnd::Stopped);
    assert_eq!((pid.is_some(), exit.is_some()), (backend.can_die(), backend.can_die()));
    drop(gate);
    pool.shutdown().await.unwrap();
}

pub(crate) async fn events_of_workers_that_do_not_start(backend: Backend) {
    let pool = backend.builder().workers(1).init(call!(refuse("no database".to_string()))).build().unwrap();
    let mut events = pool.events();
    pool.ready().await.unwrap_err();
    let told: Vec<Event> = events.by_ref().take(9).collect().await;
    let words: Vec<_> = told.iter().map(brief).collect();
    for (number, three) in words.chunks(3).enumerate() {
        let expected = [
            format!("worker-0.{number} started"),
            format!("worker-0.{number} ended: StartFailed, 0 done"),
            format!("paused after {}", number + 1),
        ];
        assert_eq!(three, expected);
    }
    let Event::WorkerEnded { detail, .. } = &told[1] else { panic!("{told:?}") };
    assert!(detail.contains("the init job `refuse` failed: no database"), "{detail}");
    pool.shutdown().await.unwrap();
    let ended = pool.stats().ended;
    assert_eq!(ended.start_failed, ended.total() - ended.closed);
    assert!(ended.start_failed >= 3);
}

pub(crate) async fn events_of_sizes(backend: Backend) {
    let pool = backend.pool(2);
    pool.ready().await.unwrap();
    let mut events = pool.events();
    pool.resize(1).unwrap();
    assert_eq!(next(&mut events, 2).await[0], "resized to 1..=1");
    pool.resize(0).unwrap_err();
    pool.resize(1..=2).unwrap();
    assert_eq!(next(&mut events, 1).await, ["resized to 1..=2"]);
    assert_eq!(pool.stats().ended.resized, 1);
    pool.shutdown().await.unwrap();
    pool.resize(2).unwrap();
    assert_eq!(rest(events).await.last().unwrap(), "closed after 0");
}

pub(crate) async fn a_slow_reader_misses_some(backend: Backend) {
    let pool = backend.pool(1);
    let slow = pool.events();
    let mut quick = pool.events();
    for max in 1..=1100 {
        pool.resize(max).unwrap();
        assert_eq!(next(&mut quick, 1).await, [format!("resized to {max}..={max}")]);
    }
    pool.shutdown().await.unwrap();
    let told = rest(slow).await;
    // With the two events of the end.
    assert_eq!((told.len(), told[0].as_str()), (1025, "missed 78"));
    assert_eq!(told[1], "resized to 79..=79");
    assert_eq!(rest(quick).await, ["closing: Drain", "closed after 0"]);
}

pub(crate) async fn events_end_with_the_pool(backend: Backend) {
    let pool = backend.pool(1);
    let (mut early, dropped) = (pool.events(), pool.events());
    drop(dropped);
    assert_eq!(early.next().now_or_never(), None);
    let waiting = tokio::spawn(rest(early));
    // It does not keep the pool.
    let last = pool.events();
    let weak = pool.clone();
    weak.shutdown_with(Shutdown::Kill).await.unwrap();
    assert_eq!(waiting.await.unwrap(), ["closing: Kill", "closed after 0"]);
    let mut late = pool.events();
    assert_eq!(late.next().await, None);
    drop((pool, weak));
    assert_eq!(rest(last).await.len(), 2);
    let pool = backend.pool(1);
    let events = pool.events();
    drop(pool);
    assert_eq!(rest(events).await, ["closing: Drain", "closed after 0"]);
}

pub(crate) async fn shutdown_on_a_token(backend: Backend) {
    let (stop, gate) = (CancellationToken::new(), Gate::new());
    let pool = backend.builder().workers(1).shutdown_on(&stop, Shutdown::DropQueued).build().unwrap();
    let busy = occupy(&pool, &gate).await;
    let queued = pool.spawn(call!(power(2)));
    stop.cancel();
    let error = queued.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    busy.release().await;
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.dropped, report.balances()), (1, 1, true));
    // A token that has fired already.
    let pool = backend.builder().shutdown_on(stop, Shutdown::Kill).build().unwrap();
    assert!(pool.snapshot().closing, "the token was cancelled already");
    assert_eq!(pool.run(call!(power(2))).await.unwrap_err().kind(), ErrorKind::Closed);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.workers_started, report.refused, report.balances()), (0, 1, true));
}

pub(crate) async fn a_token_after_the_end(backend: Backend) {
    // Nothing waits for a token that never fires.
    let stop = CancellationToken::new();
    let pool = backend.builder().workers(1).shutdown_on(&stop, Shutdown::Kill).build().unwrap();
    pool.run(call!(power(2))).await.unwrap();
    let events = pool.events();
    drop(pool);
    assert_eq!(rest(events).await.last().unwrap(), "closed after 1");
    until("nobody holds the token", || tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0);
}
