//! Making a pool: what is wrong is told at once, by name, and nothing is started for it.

use std::time::Duration;

use futures::StreamExt;
use procpool::{ErrorKind, Pool, PoolBuilder, PoolErrorKind, WaitReason, call};
use procpool_tests::tasks::{same, wait_at};
use procpool_tests::{Gate, children_of, test};

type Setting = fn(PoolBuilder) -> PoolBuilder;

#[test]
fn outside_a_runtime_the_error_says_where_to_make_a_pool() {
    for builder in [Pool::builder(), Pool::builder().in_process()] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::NoRuntime);
        assert!(error.to_string().contains("#[tokio::test]"), "{error}");
    }
}

#[test]
fn a_runtime_without_io_is_an_error_and_not_a_panic_of_the_keeper() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { Pool::new() }).unwrap_err();
    assert_eq!(error.kind(), PoolErrorKind::NoRuntime);
    assert!(error.to_string().contains("enable_io()"), "{error}");
}

test! {
    async fn every_setting_out_of_range_is_named() {
        let wrong: [(Setting, &str); 10] = [
            (|builder| builder.workers(0), "workers is 0; it must be from 1"),
            (|builder| builder.max_tasks(0), "max_tasks is 0"),
            (|builder| builder.queue_limit(0), "queue_limit is 0"),
            (|builder| builder.max_message(0), "max_message is 0"),
            (|builder| builder.ageing(Duration::ZERO), "ageing is zero"),
            (|builder| builder.idle_timeout(Duration::ZERO), "idle_timeout is zero"),
            (|builder| builder.start_timeout(Duration::ZERO), "start_timeout is zero"),
            (|builder| builder.init_timeout(Duration::ZERO), "init_timeout is zero"),
            (|builder| builder.exit_timeout(Duration::ZERO), "exit_timeout is zero"),
            (|builder| builder.claim_timeout(Duration::ZERO), "claim_timeout is zero"),
        ];
        for (set, text) in wrong {
            let error = set(Pool::builder()).build().unwrap_err();
            assert_eq!(error.kind(), PoolErrorKind::InvalidConfig, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(children_of(std::process::id()).is_empty());
    }
}

test! {
    async fn a_snapshot_says_why_tasks_wait() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(1).build().unwrap();
        let (first, path) = (gate.path(), gate.path());
        let running = pool.spawn(call!(wait_at(first, 1)));
        assert_eq!(pool.snapshot().reason, Some(WaitReason::WorkersStarting));
        let visitor = gate.arrival().await;
        assert_eq!(pool.snapshot().reason, None);
        let queued = pool.spawn(call!(wait_at(path, 2)));
        assert_eq!(pool.snapshot().reason, Some(WaitReason::WorkersBusy));
        assert!(pool.snapshot().to_string().contains("1 queued, 0 waiting for busy workers"));
        visitor.release().await;
        gate.arrival().await.release().await;
        running.await.unwrap();
        queued.await.unwrap();
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn options_of_a_map_that_come_after_the_first_poll_are_an_error() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let mut map = pool.map(same::<u64>, 0..1000).window(2);
        assert_eq!(map.next().await.unwrap().unwrap(), 0);
        let late: Vec<_> = map.timeout(Duration::from_secs(9)).collect().await;
        let error = late.last().unwrap().as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("`timeout`"), "{error}");
        // What was on its way is delivered before it, and nothing more is taken.
        assert!(late.len() <= 4, "{}", late.len());
        pool.shutdown().await.unwrap();
    }
}
