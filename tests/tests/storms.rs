//! Thousands of tasks, crashes and kills: every task resolves exactly once, nothing is left, and the pool goes on.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use procpool::{ErrorKind, Exit, JoinHandle, Pool, Started, WorkerState, call};
use procpool_tests::tasks::{abort, leave, pid, power, segfault, spin, wait_at};
use procpool_tests::traps::{Trick, WhenDecoded, WhenEncoded};
use procpool_tests::{
    Gate, Random, Signal, children_of, ended, is_alive, send, send_to_child, test, until, visit, watched,
};

async fn hundred_thousand_runs() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let values = join_all((0..100_000u64).map(|x| pool.run(call!(power(x % 20))))).await;
    for (x, value) in (0..100_000u64).zip(values) {
        assert_eq!(value.unwrap(), power(x % 20));
    }
    assert_eq!(children_of(std::process::id()).len(), 2);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.workers_started), (100_000, 100_000, 2), "{report:?}");
    assert!(report.balances());
}

test! {
    async fn storm_hundred_thousand_runs() {
        hundred_thousand_runs().await;
    }
}

test! {
    current_thread async fn storm_hundred_thousand_runs_current_thread() {
        hundred_thousand_runs().await;
    }
}

test! {
    async fn storm_thousand_crashes() {
        let pool = watched(Pool::builder().workers(2).build().unwrap());
        let mut dead = HashSet::new();
        for number in 0..1000u32 {
            let (error, exit) = match number % 3 {
                0 => (pool.run(call!(abort())).await, (None, Some("SIGABRT"))),
                1 => (pool.run(call!(segfault())).await, (None, Some("SIGSEGV"))),
                _ => (pool.run(call!(leave(7))).await, (Some(7), None)),
            };
            let error = error.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{number}: {error}");
            let found = error.exit().unwrap();
            assert_eq!((found.code(), found.signal_name()), exit, "{number}: {error}");
            dead.insert(error.pid().unwrap());
        }
        assert!(dead.len() > 900, "each was the death of another worker");
        assert!(children_of(std::process::id()).len() <= 2);
        assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.crashed, report.succeeded), (1001, 1000, 1), "{report:?}");
        assert!(report.balances());
    }
}

/// Leaves a mark that outlives this process: this task has begun. Then works for a moment.
fn mark(log: PathBuf, number: u32, rounds: u64) -> u32 {
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    log.write_all(&number.to_le_bytes()).unwrap();
    for _ in 0..rounds {
        std::hint::black_box(number);
    }
    number
}

/// A file that marks go to; removed when dropped.
struct Log(PathBuf);

impl Log {
    fn new() -> Log {
        let path = std::env::temp_dir().join(format!("procpool-{}-marks", std::process::id()));
        std::fs::write(&path, []).unwrap();
        Log(path)
    }

    fn numbers(&self) -> Vec<u32> {
        let bytes = std::fs::read(&self.0).unwrap();
        let (marks, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty());
        marks.iter().map(|mark| u32::from_le_bytes(*mark)).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

const KILLS: usize = 1000;

test! {
    async fn storm_thousand_kills_under_load() {
        let mut random = Random::new();
        let log = Log::new();
        let pool = watched(Pool::builder().workers(4).build().unwrap());
        pool.ready().await.unwrap();
        let (mut running, mut submitted) = (FuturesUnordered::new(), 0u32);
        let mut killed: HashSet<u32> = HashSet::new();
        let (mut done, mut failed) = (HashSet::new(), HashSet::new());
        // Tasks that did not begin, since four workers in a row died with them unclaimed.
        let (mut victims_of_errors, mut unlucky) = (HashSet::new(), HashSet::new());
        while killed.len() < KILLS || !running.is_empty() {
            // Load: always more tasks than workers.
            while killed.len() < KILLS && running.len() < 16 {
                let (number, rounds, path) = (submitted, random.below(20_000), log.0.clone());
                submitted += 1;
                let handle = pool.spawn(call!(mark(path, number, rounds)));
                running.push(async move { (number, handle.await) });
            }
            // Only workers that were ready: deaths before that count as failed starts, which is another test.
            if killed.len() < KILLS && random.below(12) == 0 {
                let workers = pool.snapshot().workers;
                let ready: Vec<u32> = workers
                    .iter()
                    .filter(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy))
                    .filter_map(|worker| worker.pid)
                    .collect();
                if let Some(&victim) = random.pick(&ready) && send_to_child(Signal::KILL, victim) {
                    killed.insert(victim);
                }
            }
            let Some((number, result)) = running.next().await else { continue };
            match result {
                Ok(value) => {
                    assert_eq!(value, number);
                    assert!(done.insert(number));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
                    assert_eq!(error.exit().and_then(Exit::signal_name), Some("SIGKILL"), "{error}");
                    let victim = error.pid().unwrap();
                    assert!(killed.contains(&victim), "nobody killed {victim}: {error}");
                    assert!(victims_of_errors.insert(victim), "{victim}'s death cost two tasks");
                    assert!(failed.insert(number));
                    match error.started() {
                        Started::Yes => {}
                        Started::No => assert!(unlucky.insert(number)),
                        Started::Unknown => panic!("the page tells: {error}"),
                    }
                }
            }
        }
        assert_eq!(done.len() + failed.len(), submitted as usize);
        assert!(done.is_disjoint(&failed));
        // None ran twice, and none that gave a value did not run.
        let begun = log.numbers();
        let distinct: HashSet<u32> = begun.iter().copied().collect();
        assert_eq!(begun.len(), distinct.len(), "a task ran twice");
        assert!(done.is_subset(&distinct) && unlucky.is_disjoint(&distinct));
        assert!(failed.len() + 3 * unlucky.len() <= killed.len(), "each kill costs one task at most");
        assert!(unlucky.len() <= KILLS / 100, "{unlucky:?}");
        eprintln!("{submitted} tasks, {} kills, {} failures, {} not begun", killed.len(), failed.len(), unlucky.len());
        assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.crashed as usize, report.succeeded as usize), (failed.len(), done.len() + 1));
        assert!(report.balances(), "{report:?}");
    }
}

/// The only worker of a pool in one of these states.
fn worker_in(pool: &Pool, states: &[WorkerState]) -> Option<u32> {
    pool.snapshot().workers.iter().find(|worker| states.contains(&worker.state)).and_then(|worker| worker.pid)
}

fn busy_wait(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Twelve tasks that are all well, in spite of what happened before.
async fn assert_goes_on(pool: &Pool) {
    for x in 0..12 {
        assert_eq!(pool.run(call!(power(x))).await.unwrap(), power(x));
    }
}

test! {
    async fn kill_right_after_the_spawn() {
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        for _ in 0..30 {
            let run = pool.spawn(call!(pid()));
            let mut victim = None;
            until("a worker exists", || {
                victim = worker_in(&pool, &[WorkerState::Starting, WorkerState::Initialising]);
                victim.is_some() || run.is_finished()
            });
            if let Some(victim) = victim {
                send_to_child(Signal::KILL, victim);
            }
            // It may have become ready, and begun, between the look and the kill.
            if let Err(error) = run.await {
                assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{error}");
                assert_eq!(error.pid(), victim);
            }
            // The next one starts afresh.
            pool.run(call!(leave(0))).await.unwrap_err();
        }
        assert_goes_on(&pool).await;
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

test! {
    async fn kill_during_init() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = watched(Pool::builder().workers(1).init(call!(visit_only(path))).build().unwrap());
        for _ in 0..3 {
            let run = pool.spawn(call!(pid()));
            let victim = gate.arrival().await;
            // It may be at the gate before its hello has been read.
            until("it is known to initialise", || worker_in(&pool, &[WorkerState::Initialising]) == Some(victim.pid));
            assert!(send_to_child(Signal::KILL, victim.pid));
            let next = gate.arrival().await;
            assert_ne!(next.pid, victim.pid);
            let worker = next.pid;
            next.release().await;
            assert_eq!(run.await.unwrap(), worker, "the task had not begun: it ran in the next worker");
            pool.run(call!(leave(0))).await.unwrap_err();
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (3, 3, 6), "{report:?}");
    }
}

fn visit_only(gate: String) {
    visit(gate, 0);
}

test! {
    async fn kill_idle() {
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        for _ in 0..50 {
            let victim = pool.run(call!(pid())).await.unwrap();
            assert!(send_to_child(Signal::KILL, victim));
            // At once, when the pool may not know yet.
            let next = pool.run(call!(pid())).await.unwrap();
            assert_ne!(next, victim);
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed), (100, 0), "an idle worker's death fails nothing: {report:?}");
    }
}

fn take(_: WhenDecoded) {}

fn give(trick: Trick) -> WhenEncoded {
    WhenEncoded(trick)
}

/// A task that stands at the gate in one of its steps.
fn at_step(pool: &Pool, step: u64, gate: &str) -> JoinHandle<()> {
    let gate = gate.to_owned();
    let pool = pool.clone();
    match step {
        0 => {
            let trap = WhenDecoded(Trick::Visit(gate));
            pool.spawn(call!(take(trap)))
        }
        1 => pool.spawn(call!(visit_only(gate))),
        _ => pool.spawn(call!(visit_in_a_thread(gate))),
    }
}

/// As a task that waits for a thread of its own.
fn visit_in_a_thread(gate: String) {
    std::thread::scope(|scope| drop(scope.spawn(|| visit_only(gate)).join()));
}

test! {
    async fn kill_during_decode_and_run() {
        let gate = Gate::new();
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        for step in [0, 1, 2].repeat(5) {
            let run = at_step(&pool, step, &gate.path());
            let waiting = pool.spawn(call!(pid()));
            let victim = gate.arrival().await;
            send(Signal::KILL, victim.pid);
            let error = run.await.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{error}");
            assert_eq!((error.pid(), is_alive(victim.pid)), (Some(victim.pid), false));
            assert_ne!(waiting.await.unwrap(), victim.pid, "the one behind it was not touched");
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (15, 15, 16), "{report:?}");
    }
}

test! {
    async fn kill_during_encode() {
        let gate = Gate::new();
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        for _ in 0..5 {
            let trick = Trick::Visit(gate.path());
            let run = pool.spawn(call!(give(trick)));
            let victim = gate.arrival().await;
            send(Signal::KILL, victim.pid);
            let error = run.await.map(drop).unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{error}");
        }
        assert_goes_on(&pool).await;
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

fn give_much(gate: String) -> Vec<u8> {
    visit(gate, 0);
    vec![7; 16 << 20]
}

test! {
    async fn kill_while_a_big_result_is_written() {
        let mut random = Random::new();
        let gate = Gate::new();
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        let mut values = 0;
        for _ in 0..30 {
            let path = gate.path();
            let run = pool.spawn(call!(give_much(path)));
            let visitor = gate.arrival().await;
            let victim = visitor.pid;
            visitor.release().await;
            busy_wait(Duration::from_micros(random.below(20_000)));
            send_to_child(Signal::KILL, victim);
            match run.await {
                Ok(value) => {
                    assert!(value.len() == 16 << 20 && value.iter().all(|&byte| byte == 7), "whole or not at all");
                    values += 1;
                }
                Err(error) => {
                    assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{error}");
                    assert_eq!(error.pid(), Some(victim));
                }
            }
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed), (values, 30 - values), "{report:?}");
        assert!(report.balances());
    }
}

fn visit_and_leave_spinning(gate: String) {
    visit(gate, 9);
    spin();
}

test! {
    async fn kill_during_the_exit_hook() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = Pool::builder().workers(2).exit(call!(visit_and_leave_spinning(path))).build().unwrap();
        let pool = watched(pool);
        pool.ready().await.unwrap();
        let workers: Vec<u32> = pool.snapshot().workers.iter().filter_map(|worker| worker.pid).collect();
        let ending = pool.shutdown();
        let killing = async {
            for victim in gate.arrivals(2).await {
                assert!(workers.contains(&victim.pid));
                send(Signal::KILL, victim.pid);
            }
        };
        let (report, ()) = futures::join!(ending, killing);
        let report = report.unwrap();
        assert_eq!((report.workers_started, report.workers_ended), (2, 2), "{report:?}");
        assert_eq!(children_of(std::process::id()), Vec::<u32>::new());
    }
}

test! {
    async fn kill_during_shutdown() {
        let gate = Gate::new();
        for _ in 0..5 {
            let pool = watched(Pool::builder().workers(2).build().unwrap());
            let paths = [gate.path(), gate.path()];
            let runs = paths.map(|path| pool.spawn(call!(wait_at(path, 0))));
            let queued = pool.spawn(call!(power(4)));
            let visitors = gate.arrivals(2).await;
            let ending = pool.shutdown();
            let killing = async {
                until("the pool is closing", || pool.snapshot().closing);
                for visitor in visitors {
                    send(Signal::KILL, visitor.pid);
                    ended(visitor.pid).await;
                }
            };
            let (report, ()) = futures::join!(ending, killing);
            let report = report.unwrap();
            for run in runs {
                assert_eq!(run.await.unwrap_err().kind(), ErrorKind::WorkerDied);
            }
            assert_eq!(queued.await.unwrap(), 256, "a drain starts workers for what is queued");
            assert_eq!((report.succeeded, report.crashed, report.balances()), (1, 2, true), "{report:?}");
        }
    }
}

test! {
    async fn storm_kills_at_any_moment() {
        let mut random = Random::new();
        for _ in 0..150 {
            let pool = watched(Pool::builder().workers(2).build().unwrap());
            let runs: Vec<_> = (0..6).map(|x| pool.spawn(call!(power(x)))).collect();
            let ending = (random.below(2) == 0).then(|| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.shutdown().await })
            });
            for _ in 0..2 {
                busy_wait(Duration::from_micros(random.below(4_000)));
                let alive = children_of(std::process::id());
                if let Some(&victim) = random.pick(&alive) {
                    send_to_child(Signal::KILL, victim);
                }
            }
            for (x, run) in (0..6).zip(runs) {
                match run.await {
                    Ok(value) => assert_eq!(value, power(x)),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}"),
                }
            }
            match ending {
                Some(ending) => drop(ending.await.unwrap().unwrap()),
                None => assert_goes_on(&pool).await,
            }
            let report = pool.shutdown().await.unwrap();
            assert!(report.balances() && report.crashed <= 2, "{report:?}");
        }
    }
}
