//! Nothing is called, nothing is set up: the feature `test-harness` in the dev-dependencies lets every `#[tokio::test]`
//! make pools, under `cargo test` (where tests are threads of one process) and under nextest.

use procpool::{ErrorKind, Pool, call};
use procpool_example_test_harness::Calculator;

fn calculator() -> Calculator {
    // A pool belongs to its runtime, and each test has one of its own: so each test makes its own pool. It starts in a
    // millisecond.
    let pool = Pool::builder().workers(1).build().unwrap_or_else(|error| panic!("{error}"));
    Calculator::new(pool)
}

#[tokio::test]
async fn sums() {
    let calculator = calculator();
    assert_eq!(calculator.evaluate("1 + 2 + 39").await.ok(), Some(Ok(42)));
    assert!(calculator.evaluate("1 + x").await.is_ok_and(|sum| sum.is_err_and(|why| why.contains("`x`"))));
    // Not needed, and good manners: what is left when a test's runtime ends is killed.
    calculator.shutdown().await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_costs_one_answer() {
    let calculator = calculator();
    let error = calculator.evaluate("crash").await.expect_err("it crashed");
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    assert_eq!(error.exit().and_then(|exit| exit.signal_name()), Some("SIGABRT"));
    assert_eq!(calculator.evaluate("1 + 1").await.ok(), Some(Ok(2)));
}

#[tokio::test]
async fn an_endless_one_is_stopped() {
    let calculator = calculator();
    assert!(calculator.evaluate("spin").await.expect_err("it never ends").is_timeout());
    assert_eq!(calculator.evaluate("1 + 1").await.ok(), Some(Ok(2)));
}

/// Where no process is wanted (under a debugger, Miri or a coverage tool) threads do: the same API, and values are
/// encoded all the same, so that what cannot travel fails here, too.
#[tokio::test]
async fn on_threads() {
    let calculator = Calculator::new(Pool::in_process().unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(calculator.evaluate("40 + 2").await.ok(), Some(Ok(42)));
}

/// The global pool has a runtime of its own, so that all tests of a program can share it.
#[tokio::test]
async fn on_the_global_pool() {
    let length = procpool::spawn_blocking_process(call!(str::len("four"))).await;
    assert_eq!(length.ok(), Some(4));
}

/// A test without a runtime needs none for the global pool.
#[test]
fn without_a_runtime() {
    let handle = procpool::spawn_blocking_process(call!(str::len("four")));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(runtime.block_on(handle).ok(), Some(4));
}
