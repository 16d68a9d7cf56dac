//! Big values: sizes at every edge, in each position; taken back, and cut off by a death, half-way; their memory is used
//! again, and given back.

use bytes::Bytes;
use procpool::{ErrorKind, Pool, call};
use procpool_tests::tasks::{power, same};
use procpool_tests::{Gate, Signal, freeze, send, test, until, visit};

const SIZES: [usize; 8] = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, (1 << 20) + 1, 5_000_000, 20 << 20];

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn text(len: usize) -> String {
    "ä.".chars().cycle().take(len).collect()
}

/// The lengths, and whether all three are what `pattern` makes.
fn measure(first: Vec<u8>, between: u32, second: Vec<u8>, third: Bytes) -> (usize, u32, usize, usize, bool) {
    let fine = first == pattern(first.len()) && second == pattern(second.len()) && third == pattern(third.len());
    (first.len(), between, second.len(), third.len(), fine)
}

fn lent(bytes: &[u8]) -> usize {
    bytes.len()
}

/// Waits at the gate, with its argument.
fn arrive(gate: String, bytes: Vec<u8>) -> Vec<u8> {
    visit(gate, 0);
    bytes
}

/// As long as its argument, and something else.
fn turned(bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// How many MiB a process has.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn sizes(pool: Pool) {
    for len in SIZES {
        let bytes = pattern(len);
        assert!(pool.run(call!(same(bytes.clone()))).await.unwrap() == bytes, "{len} bytes");
        let shared = Bytes::from(bytes);
        assert!(pool.run(call!(same(shared.clone()))).await.unwrap() == shared, "{len} bytes, shared");
        let text = text(len);
        assert!(pool.run(call!(same(text.clone()))).await.unwrap() == text, "{len} characters");
        let nested = Some(pattern(len));
        assert!(pool.run(call!(same(nested.clone()))).await.unwrap() == nested, "{len} bytes in an option");
        assert_eq!(pool.run(call!(lent(&shared[..]))).await.unwrap(), len);
    }
    assert!(pool.map(same, SIZES.map(pattern)).await.unwrap() == SIZES.map(pattern));
    pool.shutdown().await.unwrap();
}

async fn positions(pool: Pool) {
    let lens = [0, 64 << 10, 100_000];
    for (first, second, third) in lens.iter().flat_map(|a| lens.iter().flat_map(move |b| lens.map(|c| (*a, *b, c)))) {
        let (one, two, three) = (pattern(first), pattern(second), Bytes::from(pattern(third)));
        let seen = pool.run(call!(measure(one, 7, two, three))).await.unwrap();
        assert_eq!(seen, (first, 7, second, third, true));
    }
    pool.shutdown().await.unwrap();
}

test! {
    async fn big_values_of_every_size_go_there_and_back() {
        sizes(Pool::builder().workers(2).build().unwrap()).await;
    }
}

test! {
    async fn they_do_also_on_threads() {
        sizes(Pool::builder().workers(2).in_process().build().unwrap()).await;
    }
}

test! {
    async fn big_arguments_may_stand_anywhere() {
        positions(Pool::builder().workers(1).build().unwrap()).await;
    }
}

test! {
    async fn a_big_argument_counts_against_max_message_and_a_big_result_too() {
        let pool = Pool::builder().workers(1).max_message(1 << 20).build().unwrap();
        let error = pool.run(call!(same(pattern(1 << 20)))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "its length is encoded, too");
        let error = pool.run(call!(pattern(1 << 20))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let most = (1 << 20) - 3;
        assert!(pool.run(call!(same(pattern(most)))).await.unwrap() == pattern(most));
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
    }
}

test! {
    async fn a_worker_that_dies_with_a_big_argument_leaves_it_to_the_next_attempt() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(1).build().unwrap();
        let bytes = pattern(20 << 20);
        let task = pool.run(call!(arrive(gate.path(), bytes.clone()))).retries(1).spawn();
        send(Signal::KILL, gate.arrival().await.pid);
        gate.arrival().await.release().await;
        assert!(task.await.unwrap() == bytes);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn big_arguments_that_are_taken_back_on_their_way_cost_no_worker() {
        let pool = Pool::builder().workers(1).build().unwrap();
        for _ in 0..3 {
            // Stopped, it takes no more than the socket holds.
            let worker = pool.run(call!(std::process::id())).await.unwrap();
            freeze(worker);
            let task = pool.spawn(call!(same(pattern(20 << 20))));
            task.abort();
            assert_eq!(task.await.unwrap_err().kind(), ErrorKind::Cancelled);
            send(Signal::CONT, worker);
            assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        }
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
    }
}

test! {
    async fn memory_is_used_again_for_what_has_another_length() {
        let pool = Pool::builder().workers(2).build().unwrap();
        for len in [4_000_001, 4_000_000, 3_333_333, 4_100_000, 4_000_001, 1 << 20, (1 << 20) + 1, (1 << 20) - 1] {
            let (bytes, opposite) = (pattern(len), turned(pattern(len)));
            let (same_one, other, third) = tokio::join!(
                pool.run(call!(same(bytes.clone()))),
                pool.run(call!(turned(bytes.clone()))),
                pool.run(call!(same(opposite.clone())))
            );
            assert!(same_one.unwrap() == bytes && other.unwrap() == opposite && third.unwrap() == opposite, "{len}");
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn memory_of_big_values_is_given_back() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(std::process::id())).await.unwrap();
        let ours = std::process::id();
        let before = resident(ours) + resident(worker);
        for _ in 0..3 {
            assert_eq!(pool.run(call!(same(pattern(50 << 20)))).await.unwrap().len(), 50 << 20);
        }
        until("their memory is given back", || resident(ours) + resident(worker) < before + 20);
        pool.shutdown().await.unwrap();
    }
}
