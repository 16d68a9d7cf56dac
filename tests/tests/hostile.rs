//! A worker that writes nonsense into the memory that it shares with its parent: page and rings. It fails alone.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use procpool::{Pool, call};
use procpool_tests::Random;
use procpool_tests::tasks::{pid, same};
use procpool_tests::test;

/// The page, and behind it both rings, each with its head: see `wire/page.rs` and `wire/ring.rs`.
const PAGE: u64 = 16 * 1024;
const RING: u64 = 512 + 512 * 1024;
const ALL: u64 = PAGE + 2 * RING;
/// Where in a ring's head the writer says how far it is, and the reader.
const TAIL: u64 = 0;
const HEAD: u64 = 128;
const DOWN: u64 = PAGE;
const UP: u64 = PAGE + RING;

/// This worker's own memory, at the place that it shares with its parent.
struct Shared {
    memory: File,
    start: u64,
}

impl Shared {
    fn find() -> Shared {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("procpool-page")).expect("a worker has a page");
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        assert!((end - start).abs_diff(ALL) < 4096, "it has another length now: {}", end - start);
        Shared { memory: OpenOptions::new().write(true).open("/proc/self/mem").unwrap(), start }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        self.memory.seek(SeekFrom::Start(self.start + at)).unwrap();
        self.memory.write_all(bytes).unwrap();
    }
}

/// Has this word written again and again, for as long as this process lives.
fn insist(at: u64, word: u64, bytes: Vec<u8>) -> Vec<u8> {
    let mut shared = Shared::find();
    std::thread::spawn(move || {
        loop {
            shared.write(at, &word.to_le_bytes());
        }
    });
    bytes
}

/// Writes words of nonsense somewhere, some at once and then more, for as long as this process lives.
fn scribble(seed: u64, words: u32, from: u64, to: u64) {
    let (mut shared, mut random) = (Shared::find(), Random::of(seed));
    let mut write = move || {
        let at = from + random.below((to - from) / 8) * 8;
        let word = match random.below(4) {
            0 => random.below(1 << 20),
            1 => u64::MAX - random.below(1 << 10),
            _ => random.below(u64::MAX),
        };
        shared.write(at, &word.to_le_bytes());
    };
    (0..words).for_each(|_| write());
    std::thread::spawn(move || {
        loop {
            write();
        }
    });
}

/// One that is hostile, and one that is not.
fn pair() -> (Pool, Pool) {
    let pool = || Pool::builder().workers(1).build().unwrap();
    (pool(), pool())
}

/// Whether the rings carry anything at all.
fn by_rings() -> bool {
    std::env::var_os("PROCPOOL_LINK").is_none_or(|link| link != "socket")
}

/// A limit after which a worker that has got lost in its own nonsense is replaced.
const LOST: Duration = Duration::from_millis(500);

test! {
    async fn an_index_that_cannot_be_ends_its_worker_and_says_why() {
        if !by_rings() {
            return;
        }
        let (hostile, honest) = pair();
        let bytes = vec![7u8; 2 << 20];
        // Not at a word; far beyond the ring; before what has been read.
        for word in [1 << 40 | 4, 1 << 40, 8] {
            // It writes the right one, too, which may be what is seen.
            loop {
                let error = hostile.run(call!(insist(UP + TAIL, word, bytes.clone()))).timeout(LOST).await.err();
                assert_eq!(honest.run(call!(same(7))).await.unwrap(), 7);
                if error.is_some_and(|error| error.to_string().contains("shared ring")) {
                    break;
                }
            }
        }
        hostile.shutdown().await.unwrap();
        honest.shutdown().await.unwrap();
    }
}

test! {
    // No task had it when that was seen.
    async fn an_index_that_cannot_be_costs_the_next_task_nothing_but_its_worker() {
        if !by_rings() {
            return;
        }
        let (hostile, honest) = pair();
        // More than a ring holds: the parent looks how far it has been read.
        let bytes = vec![7u8; 2 << 20];
        let first = hostile.run(call!(pid())).await.unwrap();
        hostile.run(call!(insist(DOWN + HEAD, 1 << 40, Vec::new()))).await.unwrap();
        while hostile.run(call!(pid())).await.unwrap() == first {
            assert!(hostile.run(call!(same(bytes.clone()))).await.unwrap() == bytes);
            assert_eq!(honest.run(call!(same(7))).await.unwrap(), 7);
        }
        hostile.shutdown().await.unwrap();
        honest.shutdown().await.unwrap();
    }
}

async fn storm(rounds: u64, words: u32, from: u64, to: u64) {
    let (hostile, honest) = pair();
    let mut random = Random::new();
    let bytes = vec![7u8; 300_000];
    for round in 0..rounds {
        // Whatever comes of it: it comes.
        let scribbles = hostile.run(call!(scribble(random.below(u64::MAX), words, from, to))).timeout(LOST);
        let echo = hostile.run(call!(same(bytes.clone()))).timeout(LOST);
        let (_, _, honestly) = futures::join!(scribbles, echo, honest.run(call!(same(bytes.clone()))));
        assert!(honestly.unwrap() == bytes, "round {round}");
    }
    let report = hostile.shutdown().await.unwrap();
    assert!(report.balances() && report.submitted == rounds * 2, "{report:?}");
    honest.shutdown().await.unwrap();
}

test! {
    async fn nonsense_in_the_heads_of_the_rings_harms_nobody_else() {
        storm(15, 60, DOWN, DOWN + 512).await;
        storm(15, 60, UP, UP + 512).await;
    }
}

test! {
    async fn nonsense_in_the_rings_harms_nobody_else() {
        storm(20, 2000, PAGE + 512, ALL).await;
    }
}

test! {
    async fn nonsense_in_the_page_harms_nobody_else() {
        storm(20, 300, 0, PAGE).await;
        storm(10, 30, 64 * 8, 256 * 8).await;
    }
}
