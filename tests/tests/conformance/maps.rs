//! One function over many items: where they come from, what ends them early, how far they are.

use std::io;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use procpool::{ErrorKind, RunError, Started};
use procpool_tests::tasks::same;
use procpool_tests::{Gate, visit};
use tokio_util::sync::CancellationToken;

use super::Backend;

fn stand((path, word): (String, u64)) -> u64 {
    visit(path, word);
    word
}

fn stands(gate: &Gate, words: std::ops::Range<u64>) -> impl Iterator<Item = (String, u64)> + use<> {
    let path = gate.path();
    words.map(move |word| (path.clone(), word))
}

fn facts(error: &RunError) -> (ErrorKind, Option<usize>, Started) {
    (error.kind(), error.index(), error.started())
}

pub(crate) async fn any_input(backend: Backend) {
    let pool = backend.pool(2);
    let wanted: Vec<u64> = (0..200).collect();
    let streamed = || stream::iter(0..200u64);
    assert_eq!(pool.map(same, 0..200u64).chunk(20).await.unwrap(), wanted);
    assert_eq!(pool.map_stream(same, streamed()).await.unwrap(), wanted);
    assert_eq!(pool.try_map(same, (0..200u64).map(Ok::<_, io::Error>)).await.unwrap(), wanted);
    assert_eq!(pool.try_map_stream(same, streamed().map(Ok::<_, io::Error>)).await.unwrap(), wanted);
    let mut unordered = pool.map_with_stream(1u64, |one, x: u64| x + one, streamed()).unordered();
    let mut results = Vec::new();
    while let Some(result) = unordered.next().await {
        results.push(result.unwrap());
    }
    results.sort_unstable();
    assert!(results.into_iter().eq(1..=200));
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.succeeded, report.balances()), (1000, true));
}

pub(crate) async fn what_is_wrong_with_the_input(backend: Backend) {
    let pool = backend.pool(2);
    let items = || vec![Ok(0), Ok(1), Err("no more"), Ok(3u64)];
    let results: Vec<_> = pool.try_map(same, items()).collect().await;
    let results: Vec<_> = results.iter().map(|result| result.as_ref().map_err(facts)).collect();
    assert_eq!(results, [Ok(&0), Ok(&1), Err((ErrorKind::Input, Some(2), Started::No))]);
    let error = pool.try_map_stream(same, stream::iter(items())).await.unwrap_err();
    assert_eq!(facts(&error), (ErrorKind::Input, Some(2), Started::No));
    for wrong in [pool.map(same, 0..3u64).chunk(0), pool.map(same, 0..3u64).window(0)] {
        assert_eq!(wrong.await.unwrap_err().kind(), ErrorKind::Misuse);
    }
    assert!(pool.shutdown().await.unwrap().balances());
}

pub(crate) async fn deadline(backend: Backend) {
    let pool = backend.pool(2);
    let gate = Gate::new();
    pool.ready().await.unwrap();
    let mut map = pool.map(stand, stands(&gate, 0..9)).chunk(1).window(3).deadline(Duration::from_secs(1));
    assert!(map.next().now_or_never().is_none());
    let mut visitors = gate.arrivals(2).await;
    visitors.sort_by_key(|visitor| visitor.word);
    visitors.remove(0).release().await;
    visitors.push(gate.arrival().await);
    let results: Vec<_> = map.collect().await;
    let results: Vec<_> = results.iter().map(|result| result.as_ref().map_err(facts)).collect();
    let timed_out = |index, started| Err((ErrorKind::TimedOut, Some(index), started));
    // The first one, once taken, made room for another: whether it did so in time is not the point.
    assert_eq!(results[..3], [Ok(&0), timed_out(1, Started::Yes), timed_out(2, Started::Yes)]);
    assert_eq!(results.last(), Some(&timed_out(results.len() - 1, Started::No)));
    for visitor in visitors {
        visitor.release().await;
    }
    assert!(pool.shutdown().await.unwrap().balances());
}

pub(crate) async fn cancelled_half_way(backend: Backend) {
    let pool = backend.pool(2);
    let gate = Gate::new();
    let token = CancellationToken::new();
    let mut map = pool.map(stand, stands(&gate, 0..9)).chunk(1).window(4).cancel_on(&token);
    assert!(map.next().now_or_never().is_none());
    let mut visitors = gate.arrivals(2).await;
    visitors.sort_by_key(|visitor| visitor.word);
    visitors.remove(0).release().await;
    visitors.push(gate.arrival().await);
    token.cancel();
    let results: Vec<_> = map.collect().await;
    let results: Vec<_> = results.iter().map(|result| result.as_ref().map_err(facts)).collect();
    let cancelled = |index, started| Err((ErrorKind::Cancelled, Some(index), started));
    assert_eq!(
        results,
        [
            Ok(&0),
            cancelled(1, Started::Yes),
            cancelled(2, Started::Yes),
            cancelled(3, Started::No),
            cancelled(4, Started::No),
        ]
    );
    for visitor in visitors {
        visitor.release().await;
    }
    assert_eq!(pool.map(same, 0..3u64).await.unwrap(), [0, 1, 2]);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.submitted, report.succeeded, report.cancelled), (7, 4, 3));
}

pub(crate) async fn progress(backend: Backend) {
    let pool = backend.pool(2);
    let (sender, seen) = std::sync::mpsc::channel();
    fn no_seven(x: u64) -> u64 {
        assert_ne!(x, 7);
        x
    }
    let map = pool.map(no_seven, 0..50).on_progress(move |now| sender.send(*now).unwrap_or(()));
    let progress = tokio::spawn(map.progress().collect::<Vec<_>>());
    assert_eq!(map.collect::<Vec<_>>().await.len(), 50);
    for last in [seen.into_iter().last(), progress.await.unwrap().pop()] {
        let last = last.unwrap();
        assert_eq!((last.done, last.failed, last.total), (50, 1, Some(50)));
    }
    pool.shutdown().await.unwrap();
}
