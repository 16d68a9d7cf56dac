//! One function over many items.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::cell::Cell;
use std::rc::Rc;

use futures::{FutureExt, StreamExt};
use procpool::{ErrorKind, Pool, Started, call};
use procpool_tests::tasks::{power, same, visit_item};
use procpool_tests::{Gate, test};

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

fn refuse_three(x: u64) -> u64 {
    assert_ne!(x, 3, "not this one");
    x
}

test! {
    async fn results_are_in_the_order_of_the_items() {
        let (pool, gate) = (pool(), Gate::new());
        let map = tokio::spawn(pool.map(visit_item, gate.items(0..4)).into_future());
        let mut visitors = gate.arrivals(2).await;
        visitors.sort_by_key(|visitor| visitor.word);
        // The second item ends first, and then the third.
        let first = visitors.remove(0);
        visitors.remove(0).release().await;
        for word in [2, 3] {
            let visitor = gate.arrival().await;
            assert_eq!(visitor.word, word);
            visitor.release().await;
        }
        assert_eq!(first.word, 0);
        first.release().await;
        assert_eq!(map.await.unwrap().unwrap(), [0, 1, 2, 3]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_06_awaited_it_stops_at_the_first_error() {
        let pool = pool();
        let error = pool.map(refuse_three, 0..100).window(4).await.unwrap_err();
        assert_eq!((error.kind(), error.index()), (ErrorKind::Panicked, Some(3)));
        let text = error.to_string();
        assert!(text.contains("item 3") && text.contains("not this one"), "{text}");
        let report = pool.shutdown().await.unwrap();
        // Items 0 to 2 made room for three more; those behind the error were never handed over.
        assert!((4..=8).contains(&report.submitted), "{report:?}");
        assert_eq!(report.failed, 1);
        assert!(report.balances());
    }
}

test! {
    async fn behaviour_09_returned_error_is_a_value_of_its_item() {
        fn half(x: u64) -> Result<u64, String> {
            if x.is_multiple_of(2) { Ok(x / 2) } else { Err(format!("{x} is odd")) }
        }
        let pool = pool();
        let halves = pool.map(half, 0..4).await.unwrap();
        assert_eq!(halves, [Ok(0), Err("1 is odd".to_owned()), Ok(1), Err("3 is odd".to_owned())]);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.failed), (4, 0));
    }
}

test! {
    async fn a_future_that_has_ended_says_so() {
        let pool = pool();
        let mut map = pool.map(refuse_three, 0..10).into_future();
        assert_eq!((&mut map).await.unwrap_err().index(), Some(3));
        assert_eq!(map.await.unwrap_err().kind(), ErrorKind::Misuse);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_23_first_error_cancels_what_is_on_its_way() {
        let (pool, gate) = (Pool::builder().workers(3).build().unwrap(), Gate::new());
        fn visit_or_fail((path, word): (String, u64)) -> u64 {
            procpool_tests::visit(path, word);
            assert_ne!(word, 0, "the first one fails");
            word
        }
        let map = tokio::spawn(pool.map(visit_or_fail, gate.items(0..6)).into_future());
        let mut visitors = gate.arrivals(3).await;
        visitors.sort_by_key(|visitor| visitor.word);
        let failing = visitors.remove(0);
        failing.release().await;
        assert_eq!(map.await.unwrap().unwrap_err().index(), Some(0));
        for visitor in visitors {
            visitor.gone().await;
        }
        assert_eq!(pool.run(call!(same(1))).await.unwrap(), 1);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.failed, report.cancelled, report.succeeded), (7, 1, 5, 1));
    }
}

test! {
    async fn behaviour_06_stream_goes_on_past_errors() {
        let pool = pool();
        let results: Vec<_> = pool.map(refuse_three, 0..6).collect().await;
        let results: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.index())).collect();
        assert_eq!(results, [Ok(0), Ok(1), Ok(2), Err(Some(3)), Ok(4), Ok(5)]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_04_thousand_ordered_and_unordered() {
        let pool = pool();
        let ordered: Vec<u64> = pool.map(same, 0..1000).map(Result::unwrap).collect().await;
        assert!(ordered.iter().copied().eq(0..1000));
        let mut unordered: Vec<u64> = pool.map(same, 0..1000).unordered().map(Result::unwrap).collect().await;
        unordered.sort_unstable();
        assert_eq!(unordered, ordered);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (2000, 2));
    }
}

test! {
    async fn unordered_gives_what_is_done() {
        let (pool, gate) = (pool(), Gate::new());
        let mut map = pool.map(visit_item, gate.items(0..3)).unordered();
        assert!(map.next().now_or_never().is_none());
        let mut visitors = gate.arrivals(2).await;
        visitors.sort_by_key(|visitor| visitor.word);
        let first = visitors.remove(0);
        visitors.remove(0).release().await;
        assert_eq!(map.next().await.unwrap().unwrap(), 1);
        gate.arrival().await.release().await;
        assert_eq!(map.next().await.unwrap().unwrap(), 2);
        first.release().await;
        assert_eq!(map.next().await.unwrap().unwrap(), 0);
        assert!(map.next().await.is_none());
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn an_endless_iterator_is_pulled_within_its_window() {
        let pool = pool();
        let pulled = Rc::new(Cell::new(0u64));
        let counter = Rc::clone(&pulled);
        let items = std::iter::from_fn(move || {
            counter.set(counter.get() + 1);
            Some(counter.get())
        });
        let mut map = pool.map(same, items).window(3);
        assert_eq!(pulled.get(), 0);
        for taken in 1..=50 {
            assert_eq!(map.next().await.unwrap().unwrap(), taken);
            assert!(pulled.get() <= taken + 3, "{} pulled for {taken}", pulled.get());
        }
        drop(map);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.balances()), (53, true));
    }
}

test! {
    async fn behaviour_05_iterator_panics() {
        let pool = pool();
        let items = || (0..10u64).inspect(|&x| assert_ne!(x, 3, "no more items"));
        let results: Vec<_> = pool.map(same, items()).collect().await;
        assert_eq!(results.len(), 4);
        let mut results = results.into_iter();
        for x in 0..3 {
            assert_eq!(results.next().unwrap().unwrap(), x);
        }
        let error = results.next().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.index(), error.started()), (ErrorKind::Input, Some(3), Started::No));
        assert!(error.to_string().contains("no more items"), "{error}");
        let error = pool.map(same, items()).await.unwrap_err();
        assert_eq!((error.kind(), error.index()), (ErrorKind::Input, Some(3)));
        assert_eq!(pool.map(same, 0..3u64).await.unwrap(), [0, 1, 2]);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded), (9, 9));
    }
}

test! {
    async fn behaviour_23_dropped_map_cancels() {
        let (pool, gate) = (pool(), Gate::new());
        let mut map = pool.map(visit_item, gate.items(0..100)).window(5);
        assert!(map.next().now_or_never().is_none());
        let visitors = gate.arrivals(2).await;
        drop(map);
        for visitor in visitors {
            visitor.gone().await;
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.cancelled, report.succeeded), (5, 5, 0));
        assert!(report.balances());
    }
}

test! {
    async fn progress_does_not_need_the_consumer() {
        let (pool, gate) = (pool(), Gate::new());
        let mut map = pool.map(visit_item, gate.items(0..6)).window(6);
        assert!(map.next().now_or_never().is_none());
        // Nobody polls the map meanwhile.
        for _ in 0..6 {
            gate.arrival().await.release().await;
        }
        assert_eq!(pool.map(same, [7u64]).await.unwrap(), [7]);
        assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>().await, [0, 1, 2, 3, 4, 5]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn empty_input_starts_nothing() {
        let pool = pool();
        assert!(pool.map(power, []).await.unwrap().is_empty());
        assert!(pool.map(power, []).next().await.is_none());
        assert!(pool.map(power, []).unordered().next().await.is_none());
        assert!(pool.map(power, []).unordered().await.unwrap().is_empty());
        assert_eq!(pool.snapshot().workers.len(), 0);
        assert_eq!(pool.shutdown().await.unwrap().submitted, 0);
    }
}
