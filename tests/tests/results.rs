//! What goes to tasks and what comes back: values, errors as values, what does not encode or decode, big values.

use futures::{FutureExt, StreamExt};
use procpool::{AnyError, ErrorKind, Pool, Started, call, current};
use procpool_tests::tasks::{pid, power, same};
use procpool_tests::traps::{Trick, WhenDecoded, WhenEncoded};
use procpool_tests::{Gate, children_of, test, until, visit};

const MEGABYTE: usize = 1 << 20;

/// So many bytes, no two blocks of which look the same at the same place.
fn pattern(len: usize) -> Vec<u8> {
    // A prime, so that a block that is moved or dropped does not fit.
    let period: Vec<u8> = (0..251).collect();
    let mut bytes = period.repeat(len / period.len() + 1);
    bytes.truncate(len);
    bytes
}

fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn parse(text: String) -> Result<u32, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

fn read(path: String) -> Result<String, AnyError> {
    Ok(std::fs::read_to_string(path)?)
}

fn take(_: WhenEncoded) -> u32 {
    std::process::id()
}

fn give_unencodable() -> WhenEncoded {
    WhenEncoded(Trick::Fail)
}

fn give_undecodable() -> WhenDecoded {
    WhenDecoded(Trick::Fail)
}

fn give_after(gate: String, len: usize) -> Vec<u8> {
    visit(gate, 0);
    pattern(len)
}

test! {
    async fn behaviour_01_handles_in_any_order() {
        let pool = Pool::builder().workers(2).build().unwrap();
        let mut runs: Vec<_> = (0..10u64).map(|x| (x, pool.spawn(call!(power(x))))).collect();
        for index in [9, 0, 4, 4, 1, 2, 2, 2, 0, 0] {
            let (x, run) = runs.remove(index.min(runs.len() - 1));
            assert_eq!(run.await.unwrap(), power(x));
        }
        assert_eq!(pool.run(call!(same("text".to_string()))).await.unwrap(), "text");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.balances()), (11, 11, true));
    }
}

test! {
    async fn behaviour_03_empty_input() {
        let pool = Pool::builder().workers(2).build().unwrap();
        // At once: the first poll has the answer.
        assert_eq!(pool.map(power, []).into_future().now_or_never().unwrap().unwrap(), []);
        let sums = pool.map_with(1, |x: &u64, y: u64| x + y, []).into_future().now_or_never();
        assert_eq!(sums.unwrap().unwrap(), Vec::<u64>::new());
        let jobs = (0..0u64).map(|x| call!(power(x)));
        assert_eq!(pool.run_all(jobs).into_future().now_or_never().unwrap().unwrap(), []);
        assert!(pool.map(power, []).next().now_or_never().unwrap().is_none());
        assert!(pool.map(power, []).unordered().next().now_or_never().unwrap().is_none());
        assert_eq!((pool.snapshot().workers.len(), children_of(std::process::id()).len()), (0, 0));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.workers_started), (0, 0));
    }
}

test! {
    async fn behaviour_09_returned_error_is_a_value() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        assert_eq!(pool.run(call!(parse("17".to_string()))).await.unwrap(), Ok(17));
        let error = pool.run(call!(parse("x17".to_string()))).await.unwrap().unwrap_err();
        assert_eq!(error, "x17: invalid digit found in string");
        let error = pool.run(call!(read("/nonexistent".to_string()))).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.failed, report.workers_started), (5, 0, 1));
    }
}

test! {
    async fn behaviour_10_arguments_that_do_not_encode() {
        let pool = Pool::builder().workers(2).build().unwrap();
        let mut good = Vec::new();
        for x in 0..100u64 {
            good.push(pool.spawn(call!(power(x % 20))));
            // At the call: nothing is waited for.
            let bad = pool.run(call!(take(WhenEncoded(Trick::Fail)))).now_or_never().unwrap();
            let error = bad.unwrap_err();
            assert_eq!((error.kind(), error.started(), error.attempts()), (ErrorKind::Encode, Started::No, 0));
            assert_eq!((error.task(), error.pid()), (Some("take"), None));
            assert!(error.to_string().contains("a trap that fails"), "{error}");
        }
        for (x, run) in (0..100u64).zip(good) {
            assert_eq!(run.await.unwrap(), power(x % 20));
        }
        let worker = pool.run(call!(take(WhenEncoded(Trick::None)))).await.unwrap();
        assert!(children_of(std::process::id()).contains(&worker));
        let report = pool.shutdown().await.unwrap();
        // What could not be encoded was never handed over.
        assert_eq!((report.submitted, report.succeeded, report.balances()), (101, 101, true));
        assert!(report.workers_started <= 2, "{report:?}");
    }
}

test! {
    async fn behaviour_11_results_that_do_not_encode() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        for _ in 0..20 {
            let error = pool.run(call!(give_unencodable())).await.unwrap_err();
            assert_eq!((error.kind(), error.started(), error.attempts()), (ErrorKind::Encode, Started::Yes, 1));
            assert_eq!((error.pid(), error.worker(), error.exit()), (Some(worker), Some("worker-0"), None));
            assert!(error.to_string().contains("the result: "), "{error}");
            assert!(error.to_string().contains("a trap that fails"), "{error}");
        }
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.failed, report.workers_started), (2, 20, 1));
    }
}

test! {
    async fn behaviour_14_result_that_does_not_decode() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        let others: Vec<_> = (0..5u64).map(|x| pool.spawn(call!(power(x)))).collect();
        let error = pool.run(call!(give_undecodable())).await.unwrap_err();
        // The work was done, and may have had effects.
        assert_eq!((error.kind(), error.started()), (ErrorKind::Decode, Started::Yes));
        assert_eq!(error.task(), Some("give_undecodable"));
        assert!(error.to_string().contains("the result: "), "{error}");
        assert!(error.to_string().contains("a trap that fails"), "{error}");
        for (x, run) in (0..5u64).zip(others) {
            assert_eq!(run.await.unwrap(), power(x));
        }
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn an_undecodable_result_says_how_many_attempts_it_took() {
        fn crash_once() -> WhenDecoded {
            if current().attempt() == Some(1) {
                std::process::abort();
            }
            give_undecodable()
        }
        let pool = Pool::builder().workers(1).build().unwrap();
        let error = pool.run(call!(crash_once())).retries(3).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Decode, 2));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_18_hundred_megabytes() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        let sent = pattern(100 * MEGABYTE);
        let received = pool.run(call!(same(sent))).await.unwrap();
        // Not `assert_eq!`, which would print them.
        assert!(received == pattern(100 * MEGABYTE), "{} bytes came back, and not the same", received.len());
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_18_over_the_limit() {
        let pool = Pool::builder().workers(1).max_message(MEGABYTE as u64).build().unwrap();
        // An argument: refused at the call, before anything is started or sent.
        let error = pool.run(call!(length(vec![7; MEGABYTE + 1]))).now_or_never().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.started(), error.attempts()), (ErrorKind::TooLarge, Started::No, 0));
        assert!(error.to_string().contains("max_message is 1048576"), "{error}");
        assert_eq!((pool.snapshot().workers.len(), children_of(std::process::id()).len()), (0, 0));
        // A result: refused by its worker, which goes on.
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(pattern(MEGABYTE + 1))).await.unwrap_err();
        assert_eq!((error.kind(), error.started(), error.pid()), (ErrorKind::TooLarge, Started::Yes, Some(worker)));
        assert!(error.to_string().contains("max_message is 1048576"), "{error}");
        // What just fits, goes. (A few bytes say how long it is.)
        assert_eq!(pool.run(call!(length(vec![7; MEGABYTE - 16]))).await.unwrap(), MEGABYTE - 16);
        assert_eq!(pool.run(call!(pattern(MEGABYTE - 16))).await.unwrap().len(), MEGABYTE - 16);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.failed), (5, 4, 1));
    }
}

/// What the machine could give now, in bytes; `None` where that is not told.
fn memory_available() -> Option<u64> {
    let facts = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = facts.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

test! {
    slow async fn behaviour_18_over_two_gigabytes() {
        // The value, its encoding, what the worker has read and what it makes of it are there at once.
        if memory_available().is_none_or(|bytes| bytes < 14 << 30) {
            println!("left out: it takes 10 GB of memory");
            return;
        }
        const LEN: usize = (2 << 30) + 5;
        fn ends(bytes: Vec<u8>) -> (usize, u8, u8, u8) {
            (bytes.len(), bytes[0], bytes[LEN / 2], bytes[LEN - 1])
        }
        let mut sent = vec![0; LEN];
        (sent[0], sent[LEN / 2], sent[LEN - 1]) = (1, 2, 3);
        // The default is 2 GiB.
        let pool = Pool::builder().workers(1).max_message(3 << 30).build().unwrap();
        assert_eq!(pool.run(call!(ends(sent))).await.unwrap(), (LEN, 1, 2, 3));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn peer_unjoined_result_then_large_argument() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let gate = Gate::new();
        let path = gate.path();
        let unjoined = pool.spawn(call!(give_after(path, 8 * MEGABYTE)));
        gate.arrival().await.release().await;
        until("the result is there", || unjoined.is_finished());
        let sent = pattern(32 * MEGABYTE);
        assert_eq!(pool.run(call!(length(sent))).await.unwrap(), 32 * MEGABYTE);
        assert!(unjoined.await.unwrap() == pattern(8 * MEGABYTE));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (2, 1));
    }
}
