//! The options of a map: window, chunk, progress, and those that come too late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use procpool::{ErrorKind, Map, Pool, Progress, RunError};
use procpool_tests::tasks::{power, same, visit_item};
use procpool_tests::{Gate, test};
use tokio_util::sync::CancellationToken;

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

fn odd_ones_fail(x: u64) -> u64 {
    assert_eq!(x % 2, 0, "odd");
    x
}

/// Endless items, and how many were taken.
fn counted() -> (impl Iterator<Item = u64>, Arc<AtomicU64>) {
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    (std::iter::from_fn(move || Some(counter.fetch_add(1, Ordering::Relaxed))), pulled)
}

test! {
    async fn items_are_not_refused_for_want_of_room() {
        let pool = Pool::builder().workers(2).queue_limit(1).max_waiting(0).build().unwrap();
        assert_eq!(pool.map(same, 0..100u64).await.unwrap(), Vec::from_iter(0..100));
        assert_eq!(pool.map(same, 0..100u64).window(64).chunk(8).await.unwrap(), Vec::from_iter(0..100));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.refused), (200, 200, 0));
    }
}

test! {
    async fn behaviour_02_chunks_of_every_size() {
        let pool = pool();
        let wanted: Vec<u64> = (0..100).collect();
        for chunk in [1, 20, 100, 1000, usize::MAX] {
            assert_eq!(pool.map(same, 0..100u64).chunk(chunk).await.unwrap(), wanted, "chunks of {chunk}");
            let mut unordered = pool.map(same, 0..100u64).chunk(chunk).window(150).unordered().await.unwrap();
            unordered.sort_unstable();
            assert_eq!(unordered, wanted, "chunks of {chunk}");
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (1000, 2));
    }
}

test! {
    async fn behaviour_02_chunk_of_zero() {
        let pool = pool();
        let (items, pulled) = counted();
        let error = pool.map(same, items).chunk(0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("chunk of 0") && error.to_string().contains("at least 1"), "{error}");
        let mut map = pool.map(same, 0..3u64).chunk(0);
        assert_eq!(map.next().await.unwrap().unwrap_err().kind(), ErrorKind::Misuse);
        assert!(map.next().await.is_none());
        assert_eq!((pulled.load(Ordering::Relaxed), pool.shutdown().await.unwrap().submitted), (0, 0));
    }
}

test! {
    async fn a_window_of_zero() {
        let pool = pool();
        let error = pool.map(same, 0..3u64).window(0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("window of 0"), "{error}");
        // The first thing that was wrong is told.
        let error = pool.map(same, 0..3u64).window(0).chunk(0).await.unwrap_err();
        assert!(error.to_string().contains("window of 0"), "{error}");
        assert_eq!(pool.shutdown().await.unwrap().submitted, 0);
    }
}

test! {
    async fn a_chunk_is_transport_only() {
        let pool = pool();
        // One of them takes its worker along, and another fails: that is theirs alone.
        fn fate(x: u64) -> u64 {
            match x {
                7 => std::process::abort(),
                11 => panic!("eleven"),
                x => x,
            }
        }
        let results: Vec<_> = pool.map(fate, 0..40).chunk(20).collect().await;
        for (index, result) in results.iter().enumerate() {
            match (index, result) {
                (7, Err(error)) => assert_eq!((error.kind(), error.index()), (ErrorKind::WorkerDied, Some(7))),
                (11, Err(error)) => assert_eq!((error.kind(), error.index()), (ErrorKind::Panicked, Some(11))),
                (_, result) => assert_eq!(*result.as_ref().unwrap(), index as u64),
            }
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.crashed, report.failed), (40, 38, 1, 1));
    }
}

/// How many items a map takes before it waits.
async fn appetite(
    pool: &Pool,
    gate: &Gate,
    set: impl FnOnce(Map<Box<dyn Iterator<Item = (String, u64)>>, u64>) -> Map<Box<dyn Iterator<Item = (String, u64)>>, u64>,
) -> u64 {
    let (items, pulled) = counted();
    let path = gate.path();
    let items = Box::new(items.map(move |word| (path.clone(), word))) as Box<dyn Iterator<Item = _>>;
    let mut map = set(pool.map(visit_item, items));
    // Nobody lets the first one go; polled as often as it asks for, the map gets to where its window is full.
    let mut seen = u64::MAX;
    while std::mem::replace(&mut seen, pulled.load(Ordering::Relaxed)) != seen {
        assert!(map.next().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(map);
    seen
}

test! {
    async fn the_window_fits_the_workers_and_their_chunks() {
        let (pool, gate) = (Pool::builder().workers(1).build().unwrap(), Gate::new());
        assert_eq!(appetite(&pool, &gate, |map| map).await, 16);
        assert_eq!(appetite(&pool, &gate, |map| map.chunk(10)).await, 20);
        assert_eq!(appetite(&pool, &gate, |map| map.chunk(100)).await, 200);
        assert_eq!(appetite(&pool, &gate, |map| map.chunk(10).window(5)).await, 5);
        pool.resize(6).unwrap();
        assert_eq!(appetite(&pool, &gate, |map| map).await, 24);
        pool.resize(1..=2).unwrap();
        assert_eq!(appetite(&pool, &gate, |map| map).await, 16);
        pool.shutdown().await.unwrap();
    }
}

type Numbers = Map<std::ops::RangeFrom<u64>, u64>;
/// Sets an option.
type Late = fn(Numbers) -> Numbers;

test! {
    async fn options_after_the_first_poll() {
        let pool = pool();
        let late: [(&str, Late); 11] = [
            ("window", |map| map.window(3)),
            ("chunk", |map| map.chunk(3)),
            ("deadline", |map| map.deadline(Duration::from_secs(9))),
            ("on_progress", |map| map.on_progress(|_| ())),
            ("timeout", |map| map.timeout(Duration::from_secs(9))),
            ("queue_timeout", |map| map.queue_timeout(Duration::from_secs(9))),
            ("priority", |map| map.priority(1)),
            ("retries", |map| map.retries(1)),
            ("cancel_on", |map| map.cancel_on(CancellationToken::new())),
            ("grace", |map| map.grace(Duration::ZERO)),
            ("window", |map| map.window(3).chunk(3)),
        ];
        for (name, set) in late {
            let mut map = pool.map(same, 0..).window(2);
            assert_eq!(map.next().await.unwrap().unwrap(), 0);
            let results: Vec<_> = set(map).collect().await;
            // What was on its way is given, then the error, and nothing more.
            assert_eq!(results.len(), 3, "{name}");
            let error = results[2].as_ref().unwrap_err();
            assert_eq!((results[0].as_ref().unwrap(), results[1].as_ref().unwrap()), (&1, &2), "{name}");
            assert_eq!(error.kind(), ErrorKind::Misuse, "{name}");
            assert!(error.to_string().contains(&format!("`{name}` was set after the first poll")), "{error}");
        }
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

/// Where `on_progress` writes to.
fn notes() -> (impl FnMut(&Progress) + Send + 'static, Arc<Mutex<Vec<Progress>>>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&notes);
    (move |progress: &Progress| written.lock().unwrap().push(*progress), notes)
}

fn assert_rising(notes: &[Progress]) {
    assert!(notes.is_sorted_by(|a, b| a.done <= b.done && a.failed <= b.failed && a.elapsed <= b.elapsed));
    assert!(notes.iter().all(|p| p.failed <= p.done && p.rate().is_finite()));
}

test! {
    async fn progress_is_exact() {
        let pool = pool();
        for unordered in [false, true] {
            let (note, notes) = notes();
            let map = pool.map(odd_ones_fail, 0..100).on_progress(note);
            let map = if unordered { map.unordered() } else { map };
            let results: Vec<_> = map.collect().await;
            assert_eq!(results.iter().filter(|result| result.is_err()).count(), 50);
            let notes = notes.lock().unwrap();
            assert_rising(&notes);
            assert!(notes.iter().all(|p| p.total == Some(100)));
            let last = notes.last().unwrap();
            assert_eq!((last.done, last.failed, last.remaining()), (100, 50, Some(Duration::ZERO)));
            assert!(last.rate() > 0.0);
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn the_total_is_known_when_the_input_says_it_or_has_ended() {
        let pool = pool();
        let (note, notes) = notes();
        let even = (0..100u64).filter(|x| x % 2 == 0);
        let map = pool.map(same, even).window(4).on_progress(note);
        assert_eq!(map.await.unwrap().len(), 50);
        let notes = std::mem::take(&mut *notes.lock().unwrap());
        assert_eq!((notes[0].total, notes[0].remaining()), (None, None));
        assert_eq!((notes.last().unwrap().done, notes.last().unwrap().total), (50, Some(50)));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn progress_counts_what_never_ran_and_what_ended_the_map() {
        let pool = pool();
        // A value that does not encode, and an input that fails.
        #[derive(serde::Deserialize)]
        struct Fussy(u64);
        impl serde::Serialize for Fussy {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0 {
                    1 => Err(serde::ser::Error::custom("not this one")),
                    x => serializer.serialize_u64(x),
                }
            }
        }
        let (note, notes) = notes();
        let items = vec![Ok(Fussy(0)), Ok(Fussy(1)), Ok(Fussy(2)), Err("no more")];
        let results: Vec<_> = pool.try_map(|x: Fussy| x.0, items).on_progress(note).collect().await;
        let kinds: Vec<_> = results.iter().map(|result| result.as_ref().err().map(RunError::kind)).collect();
        assert_eq!(kinds, [None, Some(ErrorKind::Encode), None, Some(ErrorKind::Input)]);
        let last = *notes.lock().unwrap().last().unwrap();
        assert_eq!((last.done, last.failed, last.total), (4, 2, Some(4)));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn on_progress_is_called_while_the_first_result_is_awaited() {
        let (pool, gate) = (pool(), Gate::new());
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let map = pool.map(visit_item, gate.items(0..3)).on_progress(move |p| sender.send(p.done).unwrap_or(()));
        let map = tokio::spawn(map.into_future());
        let mut visitors = gate.arrivals(2).await;
        visitors.sort_by_key(|visitor| visitor.word);
        let first = visitors.remove(0);
        visitors.remove(0).release().await;
        // The second has ended; the first, which is due, has not.
        assert_eq!(seen.recv().await, Some(1));
        gate.arrival().await.release().await;
        assert_eq!(seen.recv().await, Some(2));
        first.release().await;
        assert_eq!(seen.recv().await, Some(3));
        assert_eq!(map.await.unwrap().unwrap(), [0, 1, 2]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_progress_stream_needs_no_consumer_of_the_map() {
        let (pool, gate) = (pool(), Gate::new());
        let mut map = pool.map(visit_item, gate.items(0..3));
        let mut progress = map.progress();
        let before = progress.next().await.unwrap();
        assert_eq!((before.done, before.total, before.elapsed), (0, Some(3), Duration::ZERO));
        assert!(map.next().now_or_never().is_none());
        // Nobody polls the map from here on.
        for done in 1..=3 {
            gate.arrival().await.release().await;
            let now = loop {
                let now = progress.next().await.unwrap();
                if now.done == done {
                    break now;
                }
            };
            assert_eq!((now.failed, now.total), (0, Some(3)));
        }
        let other = map.progress();
        assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>().await, [0, 1, 2]);
        for stream in [progress, other] {
            let rest: Vec<_> = tokio::spawn(stream.collect()).await.unwrap();
            assert_eq!(rest.last().map(|p: &Progress| p.done), Some(3));
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_progress_stream_ends_with_its_map() {
        let (pool, gate) = (pool(), Gate::new());
        let never_polled = pool.map(power, 0..3).progress();
        assert_eq!(never_polled.collect::<Vec<_>>().await.last().map(|p| p.done), Some(0));
        let mut map = pool.map(visit_item, gate.items(0..3));
        let progress = tokio::spawn(map.progress().collect::<Vec<_>>());
        assert!(map.next().now_or_never().is_none());
        let visitors = gate.arrivals(2).await;
        drop(map);
        assert_eq!(progress.await.unwrap().last().map(|p| p.total), Some(Some(3)));
        for visitor in visitors {
            visitor.gone().await;
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_panic_in_on_progress_loses_no_result() {
        let pool = pool();
        let mut armed = true;
        let mut map = pool.map(same, 0..20u64).on_progress(move |_| {
            if std::mem::take(&mut armed) {
                panic!("the bar is full");
            }
        });
        let mut results = Vec::new();
        let mut panics = 0;
        loop {
            match std::panic::AssertUnwindSafe(map.next()).catch_unwind().await {
                Ok(Some(result)) => results.push(result.unwrap()),
                Ok(None) => break,
                Err(_) => panics += 1,
            }
        }
        assert_eq!(panics, 1);
        assert!(results.into_iter().eq(0..20));
        pool.shutdown().await.unwrap();
    }
}
