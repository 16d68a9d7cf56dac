//! What goes to tasks and what comes back.

use futures::{FutureExt, StreamExt};
use procpool::{ErrorKind, RunError, Started, WorkerPanic, call};
use procpool_tests::tasks::{boom, power, same, who};
use procpool_tests::traps::{Trick, WhenDecoded, WhenEncoded};
use serde::{Deserialize, Serialize};

use super::Backend;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    items: Vec<(String, Option<f64>)>,
    note: Result<char, i8>,
}

fn parse(text: String) -> Result<u32, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

fn half(x: u32) -> u32 {
    assert!(x.is_multiple_of(2), "{x} is odd");
    x / 2
}

fn take(_: WhenEncoded) {}

fn take_decoded(_: WhenDecoded) {}

fn give(trick: Trick) -> WhenEncoded {
    WhenEncoded(trick)
}

fn give_undecodable() -> WhenDecoded {
    WhenDecoded(Trick::Fail)
}

fn zeros(len: usize) -> Vec<u8> {
    vec![0; len]
}

fn panic_with_number() {
    std::panic::panic_any(42);
}

fn facts(error: &RunError) -> (ErrorKind, Started, u32, Option<&str>) {
    (error.kind(), error.started(), error.attempts(), error.worker())
}

pub(crate) async fn values_go_there_and_back(backend: Backend) {
    let pool = backend.pool(2);
    let order = Order { id: u64::MAX, items: vec![("tea".into(), Some(0.1)), (String::new(), None)], note: Err(-1) };
    assert_eq!(pool.run(call!(same(order.clone()))).await.unwrap(), order);
    let all = futures::future::join_all((0..100u64).map(|x| pool.run(call!(power(x % 20))))).await;
    let all: Vec<u128> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, (0..100).map(|x| power(x % 20)).collect::<Vec<_>>());
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    assert!(pool.run(call!(same(bytes.clone()))).await.unwrap() == bytes);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.balances()), (102, 102, true));
}

pub(crate) async fn maps_are_ordered(backend: Backend) {
    let pool = backend.pool(2);
    let expected: Vec<u128> = (0..200).map(|x| power(x % 20)).collect();
    assert_eq!(pool.map(power, (0..200).map(|x| x % 20)).await.unwrap(), expected);
    let mut unordered = pool.map(power, (0..200).map(|x| x % 20)).unordered().await.unwrap();
    let mut sorted = expected.clone();
    unordered.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(unordered, sorted);
    assert_eq!(pool.map_with(300, |width: &u64, x: u64| width + x, 0..3).await.unwrap(), [300, 301, 302]);
    assert_eq!(pool.run_all((0..3u64).map(|x| call!(power(x)))).await.unwrap(), [1, 1, 4]);
    assert_eq!(pool.map(power, []).await.unwrap(), []);
    // As a stream it goes on past errors; awaited, it ends with the first.
    let results: Vec<_> = pool.map(half, 2..5).collect().await;
    assert_eq!(results[0].as_ref().unwrap(), &1);
    assert_eq!((results[1].as_ref().unwrap_err().index(), results[2].as_ref().unwrap()), (Some(1), &2));
    let error = pool.map(half, [2, 4, 6, 7, 8]).await.unwrap_err();
    assert_eq!((error.kind(), error.index()), (ErrorKind::Panicked, Some(3)));
    assert!(pool.shutdown().await.unwrap().balances());
}

pub(crate) async fn errors_are_values(backend: Backend) {
    let pool = backend.pool(1);
    assert_eq!(pool.run(call!(parse("17".to_string()))).await.unwrap(), Ok(17));
    let error = pool.run(call!(parse("x".to_string()))).await.unwrap().unwrap_err();
    assert_eq!(error, "x: invalid digit found in string");
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.failed), (2, 0));
}

pub(crate) async fn what_does_not_encode(backend: Backend) {
    let pool = backend.pool(1);
    let worker = pool.run(call!(who())).await.unwrap();
    let refused = pool.run(call!(take(WhenEncoded(Trick::Fail)))).now_or_never().unwrap().unwrap_err();
    assert_eq!(facts(&refused), (ErrorKind::Encode, Started::No, 0, None));
    assert!(refused.to_string().contains("a trap that fails"), "{refused}");
    let error = pool.run(call!(give(Trick::Fail))).await.unwrap_err();
    assert_eq!(facts(&error), (ErrorKind::Encode, Started::Yes, 1, Some("worker-0")));
    assert!(error.to_string().contains("the result: "), "{error}");
    let panicked = pool.run(call!(give(Trick::Panic))).await.unwrap_err();
    assert_eq!(facts(&panicked), (ErrorKind::Panicked, Started::Yes, 1, Some("worker-0")));
    let after = pool.run(call!(who())).await.unwrap();
    assert_eq!((after.slot, after.generation, after.thread), (worker.slot, worker.generation, worker.thread));
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.failed, report.workers_started), (4, 2, 2, 1));
}

pub(crate) async fn what_does_not_decode(backend: Backend) {
    let pool = backend.pool(1);
    let error = pool.run(call!(take_decoded(WhenDecoded(Trick::Fail)))).await.unwrap_err();
    assert_eq!(facts(&error), (ErrorKind::Decode, Started::No, 1, Some("worker-0")));
    assert!(error.to_string().contains("the arguments, in the worker: "), "{error}");
    let error = pool.run(call!(take_decoded(WhenDecoded(Trick::Panic)))).await.unwrap_err();
    assert_eq!(error.panic().map(WorkerPanic::message), Some("a trap that panics"));
    let error = pool.run(call!(give_undecodable())).await.unwrap_err();
    assert_eq!((error.kind(), error.started()), (ErrorKind::Decode, Started::Yes));
    assert!(error.to_string().contains("the result: "), "{error}");
    assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
    assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
}

pub(crate) async fn panics_are_errors(backend: Backend) {
    let pool = backend.pool(1);
    let worker = pool.run(call!(who())).await.unwrap();
    let error = pool.run(call!(boom("no such page".to_string()))).await.unwrap_err();
    assert_eq!(facts(&error), (ErrorKind::Panicked, Started::Yes, 1, Some("worker-0")));
    assert_eq!((error.pid(), error.task(), error.exit()), (backend.pid(&worker), Some("boom"), None));
    assert_eq!(error.location().unwrap().file(), file!());
    let panic = error.panic().unwrap();
    assert_eq!((panic.message(), panic.location().is_some()), ("no such page", backend.can_die()));
    assert!(error.to_string().contains("no such page"), "{error}");
    let error = pool.run(call!(panic_with_number())).await.unwrap_err();
    assert_eq!(error.panic().unwrap().message(), "panic with a payload that is not a string");
    let after = pool.run(call!(who())).await.unwrap();
    assert_eq!((after.generation, after.thread), (worker.generation, worker.thread));
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.failed, report.workers_started), (2, 2, 1));
}

pub(crate) async fn too_large(backend: Backend) {
    let pool = backend.builder().workers(1).max_message(1000).build().unwrap();
    let refused = pool.run(call!(same(zeros(1001)))).now_or_never().unwrap().unwrap_err();
    assert_eq!(facts(&refused), (ErrorKind::TooLarge, Started::No, 0, None));
    let error = pool.run(call!(zeros(1001))).await.unwrap_err();
    assert_eq!(facts(&error), (ErrorKind::TooLarge, Started::Yes, 1, Some("worker-0")));
    assert!(error.to_string().contains("max_message is 1000"), "{error}");
    assert_eq!(pool.run(call!(zeros(990))).await.unwrap(), zeros(990));
    assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
}

pub(crate) async fn tasks_know_who_they_are(backend: Backend) {
    let pool = backend.pool(1);
    let first = pool.run(call!(who())).await.unwrap();
    let second = pool.run(call!(who())).await.unwrap();
    for worker in [&first, &second] {
        backend.assert_at_home(worker);
        assert_eq!((worker.name.as_str(), worker.slot, worker.generation), ("worker-0", Some(0), Some(0)));
        assert_eq!(worker.attempt, Some(1));
    }
    assert!(first.task.is_some() && second.task.is_some());
    assert_ne!(first.task, second.task);
    // Whoever asks outside of tasks is not a worker.
    let me = who();
    assert_eq!((me.name.as_str(), me.slot, me.task, me.attempt), ("main", None, None, None));
    pool.shutdown().await.unwrap();
}
