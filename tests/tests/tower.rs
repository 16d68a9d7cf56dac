//! A pool as a `tower::Service`, under tower's own middleware.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use procpool::{Call, ErrorKind, Pool, call};
use procpool_tests::tasks::{pid, power, visit_and_spin, wait_at};
use procpool_tests::{Gate, Visitor, ended, test, until};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{Service, ServiceBuilder, ServiceExt};

/// A pool with one worker and one place in its queue.
fn narrow() -> Pool {
    Pool::builder().workers(1).queue_limit(1).build().unwrap()
}

/// Occupies the only worker of a pool until the visitor is released.
async fn occupy(pool: &Pool, gate: &Gate) -> Visitor {
    drop(pool.spawn(call!(wait_at(gate.path(), 0))));
    gate.arrival().await
}

test! {
    async fn a_service_makes_calls() {
        fn can_go_anywhere<T: Clone + Send + Sync + 'static>(_: &T) {}
        let pool = Pool::builder().workers(2).build().unwrap();
        let mut service = pool.service();
        can_go_anywhere(&service);
        assert_eq!(service.ready().await.unwrap().call(call!(power(4))).await.unwrap(), 256);
        assert_eq!(service.clone().oneshot(call!(power(3))).await.unwrap(), 27);
        // One that was not asked whether there is room waits for it.
        assert_eq!(service.call(call!(power(2))).await.unwrap(), 4);
        let jobs = stream::iter((1..=5).map(|x| call!(power(x))));
        let powers: Vec<u128> = service.call_all(jobs).map(Result::unwrap).collect().await;
        assert_eq!(powers, [1, 4, 27, 256, 3125]);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded), (8, 8));
    }
}

test! {
    async fn being_ready_is_having_a_place_in_the_queue() {
        let (pool, gate) = (narrow(), Gate::new());
        let busy = occupy(&pool, &gate).await;
        let mut first = pool.service();
        first.ready().await.unwrap();
        // Asked twice, it has one place.
        first.ready().await.unwrap();
        let mut second = first.clone();
        assert!(second.ready().now_or_never().is_none());
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.reserved, snapshot.reserving), (1, 1), "{snapshot}");
        assert_eq!(pool.try_run(call!(power(2))).unwrap_err().kind(), ErrorKind::QueueFull);
        // The place goes to whoever waits for it, and is kept until the call is made.
        drop(first);
        second.ready().await.unwrap();
        let run = second.call(call!(power(2)));
        assert!(second.ready().now_or_never().is_none());
        busy.release().await;
        assert_eq!(run.await.unwrap(), 4);
        second.ready().await.unwrap();
        drop(second);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.reserved, snapshot.reserving), (0, 0), "{snapshot}");
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_closed_pool_is_never_ready() {
        let (pool, gate) = (narrow(), Gate::new());
        let busy = occupy(&pool, &gate).await;
        let _place = pool.try_reserve().unwrap();
        let mut service = pool.service::<Call<u128>>();
        assert!(service.ready().now_or_never().is_none());
        let ending = tokio::spawn({
            let pool = pool.clone();
            async move { pool.shutdown().await }
        });
        assert_eq!(service.ready().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(service.ready().await.unwrap_err().kind(), ErrorKind::Closed);
        busy.release().await;
        assert!(ending.await.unwrap().unwrap().balances());
    }
}

test! {
    async fn a_timeout_stops_the_work() {
        let (pool, gate) = (Pool::builder().workers(1).build().unwrap(), Gate::new());
        let mut service = ServiceBuilder::new().timeout(Duration::from_millis(500)).service(pool.service());
        let slow = service.ready().await.unwrap().call(call!(visit_and_spin(gate.path())));
        let (visitor, slow) = tokio::join!(gate.arrival(), slow);
        assert!(slow.unwrap_err().is::<Elapsed>());
        ended(visitor.pid).await;
        assert_ne!(pool.run(call!(pid())).await.unwrap(), visitor.pid);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.cancelled, report.succeeded), (1, 1));
    }
}

test! {
    async fn load_is_shed_when_the_queue_is_full() {
        let (pool, gate) = (narrow(), Gate::new());
        let mut service = ServiceBuilder::new().load_shed().service(pool.service());
        let busy = occupy(&pool, &gate).await;
        let queued = service.ready().await.unwrap().call(call!(power(2)));
        let shed = service.ready().await.unwrap().call(call!(power(3))).await;
        assert!(shed.unwrap_err().is::<Overloaded>());
        busy.release().await;
        assert_eq!(queued.await.unwrap(), 4);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn buffers_and_limits_go_on_top() {
        let (pool, gate) = (Pool::builder().workers(3).build().unwrap(), Gate::new());
        let service = ServiceBuilder::new().buffer(8).concurrency_limit(2).service(pool.service());
        let calls: Vec<_> = (0..6)
            .map(|word| tokio::spawn(service.clone().oneshot(call!(wait_at(gate.path(), word)))))
            .collect();
        let mut inside = gate.arrivals(2).await;
        for _ in 2..6 {
            // Nobody else comes until somebody has left.
            assert!(gate.arrival().now_or_never().is_none());
            assert_eq!(pool.stats().running, 2);
            inside.pop().unwrap().release().await;
            inside.push(gate.arrival().await);
        }
        for visitor in inside {
            visitor.release().await;
        }
        for call in calls {
            call.await.unwrap().unwrap();
        }
        drop(service);
        // The buffer's task lets its handle of the pool go.
        until("the pool is idle", || pool.stats().running == 0);
        assert_eq!(pool.shutdown().await.unwrap().succeeded, 6);
    }
}
