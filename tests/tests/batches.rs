//! Items of a map that travel together: only their way is shared, never their fate.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use procpool::{ErrorKind, Pool, Started, WorkerState};
use procpool_tests::tasks::wait_at;
use procpool_tests::{Gate, Random, Signal, send_to_child, test, watched};

/// The number of the task that runs this. Those of lots are far from each other, and those in a lot follow each other.
fn number(_: u64) -> u64 {
    procpool::current().task().unwrap_or_default()
}

/// How many numbers belong to one lot.
const LOT: u64 = 8192;

/// Has the pool learn that items are short: from then on they travel together. Gives how many items that took.
async fn until_items_travel_together(pool: &Pool) -> u64 {
    let mut items = 0;
    loop {
        let numbers = pool.map(number, 0..2000).await.unwrap();
        items += 2000;
        let seen: HashSet<u64> = numbers.iter().copied().collect();
        let lots: HashSet<u64> = numbers.iter().map(|number| number / LOT).collect();
        assert_eq!(seen.len(), numbers.len(), "each item has a number of its own");
        if lots.len() > 3 && numbers.iter().any(|number| number % LOT > 20) {
            return items;
        }
    }
}

fn next(x: u64) -> u64 {
    x + 1
}

test! {
    async fn every_item_has_its_result_and_is_counted() {
        let pool = Pool::builder().workers(2).build().unwrap();
        let warm = until_items_travel_together(&pool).await;
        let results = pool.map(next, 0..300_000).await.unwrap();
        assert!(results.into_iter().eq(1..=300_000));
        let mut results: Vec<_> = pool.map(next, 0..100_000).unordered().await.unwrap();
        results.sort_unstable();
        assert!(results.into_iter().eq(1..=100_000));
        let mut map = pool.map_with(vec![7u64; 1000], |context: &Vec<u64>, x: u64| context[(x % 1000) as usize] + x, 0..50_000);
        let mut progress = map.progress();
        for x in 0..50_000 {
            assert_eq!(map.next().await.unwrap().unwrap(), x + 7);
        }
        assert!(map.next().await.is_none());
        assert_eq!(progress.next().await.unwrap().done, 50_000);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded), (450_000 + warm, 450_000 + warm), "{report:?}");
        assert_eq!((report.balances(), report.workers_started), (true, 2));
    }
}

fn odd_ones_fail(x: u64) -> Vec<u8> {
    match x % 1000 {
        501 => panic!("item {x}"),
        777 => vec![7; 200_000],
        778 => vec![7; 2_000_000],
        _ => x.to_le_bytes().to_vec(),
    }
}

test! {
    async fn failures_and_big_results_are_those_of_single_items() {
        let pool = Pool::builder().workers(2).max_message(1_000_000).build().unwrap();
        let warm = until_items_travel_together(&pool).await;
        let mut map = pool.map(odd_ones_fail, 0..5000);
        for x in 0..5000u64 {
            match (x % 1000, map.next().await.unwrap()) {
                (501, Err(error)) => {
                    assert_eq!((error.kind(), error.index()), (ErrorKind::Panicked, Some(x as usize)), "{error}");
                    assert_eq!(error.panic().unwrap().message(), format!("item {x}"));
                }
                (777, Ok(bytes)) => assert_eq!(bytes.len(), 200_000),
                (778, Err(error)) => {
                    assert_eq!((error.kind(), error.index()), (ErrorKind::TooLarge, Some(x as usize)), "{error}");
                }
                (_, result) => assert_eq!(result.unwrap(), x.to_le_bytes()),
            }
        }
        assert!(map.next().await.is_none());
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.failed), (warm + 5000, warm + 4990, 10), "{report:?}");
    }
}

fn one_waits((gate, x): (String, u64)) -> u64 {
    if gate.is_empty() {
        return x;
    }
    let _ = wait_at(gate, x);
    x
}

test! {
    async fn behaviour_25_items_behind_a_long_one_run_elsewhere() {
        let (pool, gate) = (Pool::builder().workers(2).build().unwrap(), Gate::new());
        until_items_travel_together(&pool).await;
        let items: Vec<_> = (0..3000).map(|x| (if x == 700 { gate.path() } else { String::new() }, x)).collect();
        let mut map = pool.map(one_waits, items).window(5000).unordered();
        let mut seen = HashSet::new();
        for _ in 1..3000 {
            assert!(seen.insert(map.next().await.unwrap().unwrap()));
        }
        assert!(!seen.contains(&700));
        let visitor = gate.arrival().await;
        visitor.release().await;
        assert_eq!(map.next().await.unwrap().unwrap(), 700);
        assert!(map.next().await.is_none());
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.balances(), report.workers_started), (true, 2));
    }
}

test! {
    async fn a_lone_worker_takes_back_what_lay_behind_a_long_item() {
        let (pool, gate) = (Pool::builder().workers(1).build().unwrap(), Gate::new());
        until_items_travel_together(&pool).await;
        let items: Vec<_> = (0..3000).map(|x| (if x == 700 { gate.path() } else { String::new() }, x)).collect();
        let map = tokio::spawn(pool.map(one_waits, items).window(5000).into_future());
        gate.arrival().await.release().await;
        assert!(map.await.unwrap().unwrap().into_iter().eq(0..3000));
    }
}

test! {
    async fn a_dropped_map_costs_nothing_but_itself() {
        let pool = watched(Pool::builder().workers(2).build().unwrap());
        until_items_travel_together(&pool).await;
        let mut random = Random::new();
        for _ in 0..200 {
            let mut map = pool.map(next, 0..);
            for x in 0..random.below(3000) {
                assert_eq!(map.next().await.unwrap().unwrap(), x + 1);
            }
            drop(map);
        }
        assert!(pool.map(next, 0..1000).await.unwrap().into_iter().eq(1..=1000));
        let report = pool.shutdown().await.unwrap();
        assert!(report.balances(), "{report:?}");
        assert!(report.cancelled > 0, "{report:?}");
    }
}

test! {
    async fn a_pool_that_drains_does_all_that_it_has_taken() {
        for round in 0..20 {
            let pool = watched(Pool::builder().workers(2).build().unwrap());
            until_items_travel_together(&pool).await;
            let mut map = pool.map(next, 0..).window(3000);
            assert_eq!(map.next().await.unwrap().unwrap(), 1);
            let victim = pool.snapshot().workers.first().and_then(|worker| worker.pid).unwrap();
            let end = tokio::spawn(async move { pool.shutdown().await.unwrap() });
            send_to_child(Signal::KILL, victim);
            let (mut values, mut died, mut closed) = (1, 0, 0);
            while closed < 1 {
                match map.next().await.unwrap() {
                    Ok(_) => values += 1,
                    Err(error) if error.kind() == ErrorKind::WorkerDied => died += 1,
                    Err(error) => {
                        assert_eq!((error.kind(), error.started()), (ErrorKind::Closed, Started::No), "{error}");
                        closed += 1;
                    }
                }
            }
            assert!(died <= 1 && values > 1, "{round}: {died} {values}");
            drop(map);
            let report = end.await.unwrap();
            assert!(report.balances(), "{report:?}");
        }
    }
}

/// A file that marks go to; removed when dropped.
struct Log(PathBuf);

impl Log {
    fn new(name: &str) -> Log {
        let path = std::env::temp_dir().join(format!("procpool-{}-{name}", std::process::id()));
        std::fs::write(&path, []).unwrap();
        Log(path)
    }

    fn numbers(&self) -> Vec<u64> {
        let bytes = std::fs::read(&self.0).unwrap();
        let (marks, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty());
        marks.iter().map(|mark| u64::from_le_bytes(*mark)).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

thread_local! {
    static FILE: std::cell::RefCell<Option<std::fs::File>> = const { std::cell::RefCell::new(None) };
}

/// Leaves a mark that outlives this process: this item has begun.
fn mark(log: &String, number: u64) -> u64 {
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| OpenOptions::new().append(true).open(log).unwrap());
        file.write_all(&number.to_le_bytes()).unwrap();
    });
    number
}

test! {
    async fn an_input_that_waits_for_what_it_has_given_is_no_deadlock() {
        let log = Log::new("waits");
        let pool = watched(Pool::builder().workers(2).build().unwrap());
        until_items_travel_together(&pool).await;
        let path = log.0.clone();
        let input = (0..300u64).inspect(move |&x| {
            while std::fs::metadata(&path).unwrap().len() < x * 8 {
                std::thread::yield_now();
            }
        });
        let path = log.0.to_str().unwrap().to_owned();
        assert!(pool.map_with(path, mark, input).await.unwrap().into_iter().eq(0..300));
    }
}

const KILLS: usize = 1000;

test! {
    slow async fn storm_thousand_kills_among_items_that_travel_together() {
        let mut random = Random::new();
        let log = Log::new("kills");
        let pool = watched(Pool::builder().workers(3).build().unwrap());
        until_items_travel_together(&pool).await;
        let path = log.0.to_str().unwrap().to_owned();
        let mut killed: HashSet<u32> = HashSet::new();
        let (mut done, mut blamed, mut unlucky) = (HashSet::new(), HashSet::new(), HashSet::new());
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let input = (0..u64::MAX).take_while(move |_| !ends.load(Ordering::Relaxed));
        let mut map = pool.map_with(path, mark, input);
        let mut index = 0u64;
        while let Some(result) = map.next().await {
            match result {
                Ok(value) => {
                    assert_eq!(value, index, "in order");
                    done.insert(value);
                }
                Err(error) => {
                    assert_eq!((error.kind(), error.index()), (ErrorKind::WorkerDied, Some(index as usize)), "{error}");
                    match error.started() {
                        Started::Yes => {
                            assert!(blamed.insert(index));
                            assert!(killed.contains(&error.pid().unwrap()), "{error}");
                        }
                        Started::No => drop(unlucky.insert(index)),
                        Started::Unknown => panic!("{error}"),
                    }
                }
            }
            index += 1;
            over.store(killed.len() >= KILLS, Ordering::Relaxed);
            if killed.len() < KILLS && random.below(300) == 0 {
                let workers = pool.snapshot().workers;
                let is_ready = |state| matches!(state, WorkerState::Idle | WorkerState::Busy);
                let ready: Vec<u32> =
                    workers.iter().filter(|worker| is_ready(worker.state)).filter_map(|worker| worker.pid).collect();
                if let Some(&victim) = random.pick(&ready) && send_to_child(Signal::KILL, victim) {
                    killed.insert(victim);
                }
            }
        }
        let begun = log.numbers();
        let once: HashSet<_> = begun.iter().copied().collect();
        assert_eq!(begun.len(), once.len(), "no item began twice");
        assert!(done.is_subset(&once));
        assert!(once.iter().all(|item| done.contains(item) || blamed.contains(item)), "who began is done, or blamed");
        assert!(blamed.len() <= killed.len() && done.len() + blamed.len() + unlucky.len() == index as usize);
        assert!(unlucky.is_disjoint(&once));
        println!("{index} items, {} blamed, {} unlucky", blamed.len(), unlucky.len());
        let report = pool.shutdown().await.unwrap();
        assert_eq!(report.crashed as usize, blamed.len() + unlucky.len(), "{report:?}");
        assert!(report.balances(), "{report:?}");
    }
}
