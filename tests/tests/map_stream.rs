//! Maps over streams, and over inputs that can fail.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use futures::channel::mpsc;
use futures::stream::{self, FusedStream};
use futures::{FutureExt, SinkExt, Stream, StreamExt, TryStreamExt};
use procpool::{ErrorKind, Pool, RunError, Started, call};
use procpool_tests::tasks::{power, same};
use procpool_tests::{Gate, test};

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

fn visit((path, word): (String, u64)) -> u64 {
    procpool_tests::visit(path, word);
    word
}

/// A stream that gives 0, 1, … and tells how often it was asked for an item that it had.
fn counted(pulled: &std::sync::Arc<std::sync::atomic::AtomicU64>) -> impl Stream<Item = u64> + Send + use<> {
    let pulled = std::sync::Arc::clone(pulled);
    stream::poll_fn(move |_| Poll::Ready(Some(pulled.fetch_add(1, std::sync::atomic::Ordering::Relaxed))))
}

test! {
    async fn behaviour_03_empty_streams() {
        let pool = pool();
        assert!(pool.map_stream(power, stream::empty()).await.unwrap().is_empty());
        assert!(pool.map_stream(power, stream::empty()).next().await.is_none());
        assert!(pool.map_stream(power, stream::empty()).unordered().await.unwrap().is_empty());
        assert!(pool.map_with_stream(1u8, |_, x: u8| x, stream::empty()).await.unwrap().is_empty());
        assert!(pool.try_map(power, Vec::<Result<u64, io::Error>>::new()).await.unwrap().is_empty());
        assert!(pool.try_map_stream(power, stream::empty::<io::Result<u64>>()).await.unwrap().is_empty());
        assert_eq!(pool.snapshot().workers.len(), 0);
        assert_eq!(pool.shutdown().await.unwrap().submitted, 0);
    }
}

test! {
    async fn behaviour_04_thousand_from_a_stream() {
        let pool = pool();
        let ordered: Vec<u64> = pool.map_stream(same, stream::iter(0..1000)).try_collect().await.unwrap();
        assert!(ordered.iter().copied().eq(0..1000));
        let mut unordered = pool.map_stream(same, stream::iter(0..1000u64)).unordered().await.unwrap();
        unordered.sort_unstable();
        assert_eq!(unordered, ordered);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn all_kinds_take_streams_that_are_not_unpin() {
        let pool = pool();
        // An `async` block is not `Unpin`, and so is what is made of it.
        let items = || stream::unfold(0u64, |n| async move { (n < 3).then_some((n, n + 1)) });
        assert_eq!(pool.map_stream(same, items()).await.unwrap(), [0, 1, 2]);
        assert_eq!(pool.map_with_stream(10u64, |ten, x: u64| ten * x, items()).await.unwrap(), [0, 10, 20]);
        assert_eq!(pool.run_all_stream(items().map(|x| call!(power(x)))).await.unwrap(), [1, 1, 4]);
        assert_eq!(pool.try_map_stream(same, items().map(Ok::<_, io::Error>)).await.unwrap(), [0, 1, 2]);
        // And goes where futures go.
        assert_eq!(tokio::spawn(pool.map_stream(same, items()).into_future()).await.unwrap().unwrap(), [0, 1, 2]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn an_endless_stream_is_asked_only_when_there_is_room() {
        let pool = pool();
        let pulled = std::sync::Arc::default();
        let mut map = pool.map_stream(same, counted(&pulled)).window(3);
        for taken in 0..50 {
            assert_eq!(map.next().await.unwrap().unwrap(), taken);
            let pulled = pulled.load(std::sync::atomic::Ordering::Relaxed);
            assert!(pulled <= taken + 4, "{pulled} pulled for {taken}");
        }
        drop(map);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.balances()), (53, true));
    }
}

test! {
    async fn a_pending_input_holds_back_no_result() {
        let (pool, gate) = (pool(), Gate::new());
        let path = gate.path();
        for unordered in [false, true] {
            let (mut items, receiver) = mpsc::channel(8);
            let mut map = pool.map_stream(visit, receiver);
            if unordered {
                map = map.unordered();
            }
            assert!(map.next().now_or_never().is_none());
            for word in 0..3 {
                items.send((path.clone(), word)).await.unwrap();
                // The consumer waits while the item comes, while it runs, and until it has ended.
                let consumer = tokio::spawn(async move { (map.next().await, map) });
                let visitor = gate.arrival().await;
                assert_eq!(visitor.word, word);
                visitor.release().await;
                let (result, back) = consumer.await.unwrap();
                assert_eq!(result.unwrap().unwrap(), word);
                map = back;
                assert!(map.next().now_or_never().is_none());
                assert!(!map.is_terminated());
            }
            drop(items);
            assert!(map.next().await.is_none());
            assert!(map.is_terminated());
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_consumer_that_waits_learns_that_the_input_has_ended() {
        let pool = pool();
        let (items, receiver) = mpsc::channel::<u64>(1);
        let map = tokio::spawn(pool.map_stream(same, receiver).into_future());
        drop(items);
        assert!(map.await.unwrap().unwrap().is_empty());
        pool.shutdown().await.unwrap();
    }
}

fn assert_input_error(error: &RunError, index: usize) {
    assert_eq!((error.kind(), error.index(), error.started()), (ErrorKind::Input, Some(index), Started::No), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("item {index}")) && text.contains("no more items"), "{text}");
}

/// Three good items, a bad one, and one that nobody must see.
fn failing() -> impl Iterator<Item = io::Result<u64>> {
    let mut items = 0..;
    std::iter::from_fn(move || match items.next() {
        Some(3) => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no more items"))),
        Some(n @ 0..3) => Some(Ok(n)),
        _ => panic!("asked after its error"),
    })
}

async fn assert_three_then_the_error(map: impl Stream<Item = Result<u64, RunError>>) -> RunError {
    let mut map = std::pin::pin!(map);
    for x in 0..3 {
        assert_eq!(map.next().await.unwrap().unwrap(), x);
    }
    let error = map.next().await.unwrap().unwrap_err();
    assert_input_error(&error, 3);
    assert!(map.next().await.is_none());
    error
}

test! {
    async fn behaviour_05_input_ends_in_an_error() {
        let pool = pool();
        let streamed = || stream::iter(failing());
        for error in [
            assert_three_then_the_error(pool.try_map(same, failing())).await,
            assert_three_then_the_error(pool.try_map_stream(same, streamed())).await,
            pool.try_map(same, failing()).await.unwrap_err(),
            pool.try_map_stream(same, streamed()).unordered().await.unwrap_err(),
        ] {
            assert_input_error(&error, 3);
            let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
            assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof);
        }
        // Other kinds of errors, whatever becomes a boxed one.
        let error = pool.try_map(same, [Ok(1u8), Err("no more items")]).await.unwrap_err();
        assert_input_error(&error, 1);
        let error = pool.try_map(same, [Err::<u8, _>(String::from("no more items"))]).await.unwrap_err();
        assert_input_error(&error, 0);
        let boxed: Box<dyn Error + Send + Sync> = "no more items".into();
        assert_input_error(&pool.try_map(same, [Err::<u8, _>(boxed)]).await.unwrap_err(), 0);
        assert_eq!(pool.map(same, 0..3u64).await.unwrap(), [0, 1, 2]);
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

test! {
    async fn behaviour_05_stream_panics() {
        let pool = pool();
        let items = || stream::iter(0..10u64).inspect(|&x| assert_ne!(x, 3, "no more items"));
        let error = assert_three_then_the_error(pool.map_stream(same, items())).await;
        assert!(error.source().is_none());
        assert_input_error(&pool.map_stream(same, items()).unordered().await.unwrap_err(), 3);
        assert_eq!(pool.map(same, 0..3u64).await.unwrap(), [0, 1, 2]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_05_the_error_waits_for_the_results_before_it() {
        let (pool, gate) = (pool(), Gate::new());
        let path = gate.path();
        let items = vec![Ok((path.clone(), 0)), Ok((path, 1)), Err("no more items"), Ok((String::new(), 2))];
        let mut map = pool.try_map(visit, items).unordered();
        assert!(map.next().now_or_never().is_none());
        for visitor in gate.arrivals(2).await {
            let word = visitor.word;
            visitor.release().await;
            assert_eq!(map.next().await.unwrap().unwrap(), word);
        }
        assert_input_error(&map.next().await.unwrap().unwrap_err(), 2);
        assert!(map.next().await.is_none());
        assert_eq!(pool.shutdown().await.unwrap().submitted, 2);
    }
}

test! {
    current_thread async fn a_map_that_never_waits_lets_others_run() {
        let pool = pool();
        // The other task is on the same thread: it runs only if the map makes room.
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let noted = std::sync::Arc::clone(&done);
        let other = tokio::spawn(async move { noted.store(true, std::sync::atomic::Ordering::Relaxed) });
        let pulled = std::sync::Arc::default();
        let mut map = pool.map_stream(same, counted(&pulled)).window(1_000_000);
        std::future::poll_fn(|context| match done.load(std::sync::atomic::Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Pin::new(&mut map).poll_next(context).map(drop),
        })
        .await;
        drop(map);
        other.await.unwrap();
        let pulled = pulled.load(std::sync::atomic::Ordering::Relaxed);
        assert!(pulled <= 1000, "{pulled} items were handed over in one go");
        pool.shutdown().await.unwrap();
    }
}
