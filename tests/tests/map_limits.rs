//! What ends a map before its input does: a deadline, a cancellation token, a drop.

use std::collections::HashSet;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, SinkExt, StreamExt};
use procpool::{ErrorKind, Pool, RunError, Started, WorkerState, call};
use procpool_tests::tasks::{pid, same, visit_item};
use procpool_tests::{Gate, Visitor, test, until};
use tokio_util::sync::CancellationToken;

/// A deadline: long enough for the few steps before it, of workers that are ready.
const SOON: Duration = Duration::from_secs(1);

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// So many visitors, by word.
async fn arrivals(gate: &Gate, count: usize) -> Vec<Visitor> {
    let mut visitors = gate.arrivals(count).await;
    visitors.sort_by_key(|visitor| visitor.word);
    visitors
}

fn facts(error: &RunError) -> (ErrorKind, Option<usize>, Started) {
    (error.kind(), error.index(), error.started())
}

fn idle(pool: &Pool) -> HashSet<u32> {
    let workers = pool.snapshot().workers;
    workers.iter().filter(|worker| worker.state == WorkerState::Idle).filter_map(|worker| worker.pid).collect()
}

test! {
    async fn behaviour_07_deadline_keeps_what_was_finished() {
        let (pool, gate) = (pool(2), Gate::new());
        for unordered in [false, true] {
            pool.ready().await.unwrap();
            // One at a time, so that they begin in their order.
            let map = pool.map(visit_item, gate.items(0..100)).chunk(1).window(4).deadline(SOON);
            let mut map = if unordered { map.unordered() } else { map };
            assert!(map.next().now_or_never().is_none());
            let mut visitors = arrivals(&gate, 2).await;
            visitors.remove(0).release().await;
            assert_eq!(map.next().await.unwrap().unwrap(), 0);
            visitors.push(gate.arrival().await);
            // Nobody polls the map: those that run are stopped all the same.
            for visitor in visitors {
                visitor.gone().await;
            }
            let mut errors: Vec<_> = map.map(Result::unwrap_err).collect().await;
            errors.sort_by_key(RunError::index);
            let seen: Vec<_> = errors.iter().map(facts).collect();
            let timed_out = |index, started| (ErrorKind::TimedOut, Some(index), started);
            assert_eq!(seen, [
                timed_out(1, Started::Yes),
                timed_out(2, Started::Yes),
                timed_out(3, Started::No),
                timed_out(4, Started::No),
                timed_out(5, Started::No),
            ]);
            for error in errors {
                assert!(error.is_timeout() && error.to_string().contains("deadline of 1s for the whole map"), "{error}");
            }
        }
        assert_eq!(pool.map(same, 0..3u64).await.unwrap(), [0, 1, 2]);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.timed_out, report.balances()), (13, 5, 8, true));
    }
}

test! {
    async fn behaviour_07_deadline_awaited() {
        let (pool, gate) = (pool(2), Gate::new());
        let error = pool.map(visit_item, gate.items(0..100)).deadline(SOON).await.unwrap_err();
        assert_eq!((error.kind(), error.index()), (ErrorKind::TimedOut, Some(0)));
        drop(gate);
        // What is done in time is done.
        let long = Duration::from_secs(3600);
        assert_eq!(pool.map(same, 0..100u64).deadline(long).await.unwrap().len(), 100);
        assert_eq!(pool.map(same, 0..3u64).deadline(Duration::MAX).await.unwrap(), [0, 1, 2]);
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

test! {
    async fn a_deadline_that_has_passed_takes_no_item() {
        let pool = pool(1);
        let results: Vec<_> = pool.map(same, 0..9u64).deadline(Duration::ZERO).collect().await;
        assert_eq!(results.len(), 1);
        assert_eq!(facts(results[0].as_ref().unwrap_err()), (ErrorKind::TimedOut, Some(0), Started::No));
        assert!(pool.map(same, 0..0u64).deadline(Duration::ZERO).await.unwrap().is_empty());
        // One that does not know its length is asked whether there is more.
        let unknown = |n: u64| (0..9).filter(move |x| *x < n);
        assert!(pool.map(same, unknown(0)).deadline(Duration::ZERO).await.unwrap().is_empty());
        assert!(pool.map(same, unknown(1)).deadline(Duration::ZERO).await.unwrap_err().is_timeout());
        assert_eq!(pool.shutdown().await.unwrap().submitted, 0);
    }
}

test! {
    async fn a_deadline_that_comes_after_the_last_item_changes_nothing() {
        let (pool, gate) = (pool(2), Gate::new());
        pool.ready().await.unwrap();
        // The window is exactly full: the map has not seen that there are no more items.
        let items = gate.items(0..2).filter(|_| true);
        let mut map = pool.map(visit_item, items).window(2).deadline(SOON);
        let start = std::time::Instant::now();
        assert!(map.next().now_or_never().is_none());
        for visitor in gate.arrivals(2).await {
            visitor.release().await;
        }
        until("both have ended", || pool.snapshot().workers.iter().all(|worker| worker.state == WorkerState::Idle));
        until("the deadline has passed", || start.elapsed() > SOON);
        assert_eq!(map.map(|result| result.map_err(|error| error.to_string())).collect::<Vec<_>>().await, [Ok(0), Ok(1)]);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn deadline_and_token_wake_a_map_whose_input_is_pending() {
        let pool = pool(1);
        pool.ready().await.unwrap();
        for cancelled in [false, true] {
            let (mut items, receiver) = mpsc::channel(1);
            let token = CancellationToken::new();
            let map = pool.map_stream(same, receiver).cancel_on(&token);
            let mut map = if cancelled { map } else { map.deadline(SOON) };
            items.send(7u64).await.unwrap();
            assert_eq!(map.next().await.unwrap().unwrap(), 7);
            let (sender, waiting) = tokio::sync::oneshot::channel();
            let consumer = tokio::spawn(async move {
                assert!(map.next().now_or_never().is_none());
                sender.send(()).unwrap();
                map.collect::<Vec<_>>().await
            });
            waiting.await.unwrap();
            if cancelled {
                token.cancel();
            }
            let results = consumer.await.unwrap();
            let kind = if cancelled { ErrorKind::Cancelled } else { ErrorKind::TimedOut };
            assert_eq!(results.len(), 1);
            assert_eq!(facts(results[0].as_ref().unwrap_err()), (kind, Some(1), Started::No));
            assert!(items.is_closed(), "the input is let go");
        }
        assert_eq!(pool.shutdown().await.unwrap().submitted, 2);
    }
}

test! {
    async fn behaviour_23_cancelled_half_way() {
        let (pool, gate) = (pool(4), Gate::new());
        pool.ready().await.unwrap();
        for unordered in [false, true] {
            until("all are idle", || idle(&pool).len() == 4);
            let token = CancellationToken::new();
            let map = pool.map(visit_item, gate.items(0..100)).window(6).cancel_on(&token);
            let mut map = if unordered { map.unordered() } else { map };
            assert!(map.next().now_or_never().is_none());
            let visitors = arrivals(&gate, 4).await;
            let mut stay = Vec::new();
            for visitor in visitors {
                // 0 and 1 are done; 2 and 3 run, and so do soon 4 and 5.
                match visitor.word {
                    0 | 1 => visitor.release().await,
                    _ => stay.push(visitor),
                }
            }
            stay.extend(gate.arrivals(2).await);
            token.cancel();
            // Nobody polls the map.
            for visitor in stay {
                visitor.gone().await;
            }
            let results: Vec<_> = map.collect().await;
            assert_eq!(results.len(), 7);
            let mut done = Vec::new();
            let mut cancelled = Vec::new();
            for result in results {
                match result {
                    Ok(word) => done.push(word),
                    Err(error) => cancelled.push(facts(&error)),
                }
            }
            done.sort_unstable();
            cancelled.sort_by_key(|facts| facts.1);
            assert_eq!(done, [0, 1]);
            let running = |index| (ErrorKind::Cancelled, Some(index), Started::Yes);
            let next = (ErrorKind::Cancelled, Some(6), Started::No);
            assert_eq!(cancelled, [running(2), running(3), running(4), running(5), next]);
        }
        assert_eq!(pool.map(same, 0..3u64).await.unwrap(), [0, 1, 2]);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.cancelled), (15, 7, 8));
    }
}

test! {
    async fn behaviour_23_idle_workers_stay_and_what_waits_never_starts() {
        let (pool, gate) = (pool(3), Gate::new());
        pool.ready().await.unwrap();
        until("all are idle", || idle(&pool).len() == 3);
        let before = idle(&pool);
        // One worker is busy with something else; two have an item; the others wait.
        let other = gate.path();
        let other = pool.spawn(call!(procpool_tests::tasks::wait_at(other, 77)));
        let bystander = gate.arrival().await;
        let token = CancellationToken::new();
        let mut map = pool.map(visit_item, gate.items(0..50)).chunk(1).window(20).cancel_on(&token);
        // All twenty are handed over.
        assert!(map.next().now_or_never().is_none());
        let map = tokio::spawn(map.into_future());
        let visitors = gate.arrivals(2).await;
        token.cancel();
        let error = map.await.unwrap().unwrap_err();
        assert_eq!(facts(&error), (ErrorKind::Cancelled, Some(0), Started::Yes));
        let stopped: HashSet<u32> = visitors.iter().map(|visitor| visitor.pid).collect();
        for visitor in visitors {
            visitor.gone().await;
        }
        bystander.release().await;
        let bystander = other.await.unwrap();
        until("all are idle again", || idle(&pool).len() == 3);
        let after = idle(&pool);
        assert!(before.contains(&bystander) && after.contains(&bystander));
        assert!(stopped.is_subset(&before) && stopped.is_disjoint(&after));
        assert!(before == stopped.into_iter().chain([bystander]).collect());
        let report = pool.shutdown().await.unwrap();
        // Two replacements, and not one more.
        assert_eq!((report.cancelled, report.succeeded, report.workers_started), (20, 1, 5));
    }
}

test! {
    async fn a_token_that_has_fired_takes_no_item() {
        let pool = pool(1);
        let token = CancellationToken::new();
        token.cancel();
        let results: Vec<_> = pool.map(same, 0..u64::MAX).cancel_on(&token).collect().await;
        assert_eq!(results.len(), 1);
        assert_eq!(facts(results[0].as_ref().unwrap_err()), (ErrorKind::Cancelled, Some(0), Started::No));
        assert!(pool.map(same, 0..0u64).cancel_on(&token).await.unwrap().is_empty());
        // Any of several.
        let other = CancellationToken::new();
        assert!(pool.map(same, 0..3u64).cancel_on(&other).cancel_on(&token).await.unwrap_err().is_cancelled());
        assert_eq!(pool.map(same, 0..3u64).cancel_on(&other).await.unwrap(), [0, 1, 2]);
        assert_eq!(pool.shutdown().await.unwrap().submitted, 3);
    }
}

test! {
    async fn results_that_are_there_outlive_the_token() {
        let pool = pool(2);
        let token = CancellationToken::new();
        let mut map = pool.map(same, 0..).window(10).cancel_on(&token);
        assert_eq!(map.next().await.unwrap().unwrap(), 0u64);
        let idle = || pool.snapshot().workers.iter().all(|worker| worker.state == WorkerState::Idle);
        until("ten more have ended", || pool.snapshot().queued.is_empty() && idle());
        token.cancel();
        let results: Vec<_> = map.map(|result| result.map_err(|error| error.index())).collect().await;
        let wanted: Vec<_> = (1..=10).map(Ok).chain([Err(Some(11))]).collect();
        assert_eq!(results, wanted);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_23_dropped_at_any_point() {
        let pool = pool(2);
        for polls in 0..60 {
            let mut map = pool.map(|x: u64| (x, std::process::id()), 0..40).window(7);
            if polls % 2 == 0 {
                map = map.unordered();
            }
            for _ in 0..polls {
                if map.next().now_or_never().is_none() {
                    tokio::task::yield_now().await;
                }
            }
            drop(map);
        }
        pool.run(call!(pid())).await.unwrap();
        assert!(pool.shutdown().await.unwrap().balances());
    }
}
