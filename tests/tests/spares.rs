//! Spare workers step in.

use std::collections::BTreeSet;

use procpool::{ErrorKind, Pool, PoolErrorKind, WorkerState, call};
use procpool_tests::tasks::{pid, wait_at};
use procpool_tests::{Gate, Signal, send, test, until, watched};

/// The pids of those who have nothing to do.
fn idle(pool: &Pool) -> BTreeSet<u32> {
    let workers = pool.snapshot().workers;
    workers.into_iter().filter(|worker| worker.state == WorkerState::Idle).filter_map(|worker| worker.pid).collect()
}

test! {
    async fn a_spare_worker_has_the_next_task_when_one_dies() {
        let pool = watched(Pool::builder().workers(1).spares(1).build().unwrap());
        assert_eq!(pool.snapshot().workers.len(), 0, "nobody has used it");
        pool.ready().await.unwrap();
        until("the spare worker is there", || idle(&pool).len() == 2);
        for _ in 0..5 {
            let before = idle(&pool);
            let gate = Gate::new();
            let task = pool.spawn(call!(wait_at(gate.path(), 0)));
            let visitor = gate.arrival().await;
            let other = pool.spawn(call!(pid()));
            // One more is there, and one has a task: that is all that may.
            assert_eq!(idle(&pool).len(), 1);
            assert_eq!(pool.snapshot().queued.len(), 1);
            send(Signal::KILL, visitor.pid);
            assert_eq!(task.await.unwrap_err().kind(), ErrorKind::WorkerDied);
            let next = other.await.unwrap();
            assert!(before.contains(&next) && next != visitor.pid, "{next} was not there before");
            until("there is another spare worker", || idle(&pool).len() == 2);
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.crashed), (10, 5, 5));
    }
}

test! {
    async fn a_worker_with_its_last_task_behind_it_has_a_successor_at_once() {
        let pool = watched(Pool::builder().workers(1).spares(1).max_tasks(1).build().unwrap());
        pool.ready().await.unwrap();
        for _ in 0..5 {
            until("the spare worker is there", || idle(&pool).len() == 2);
            let there = idle(&pool);
            let (one, two) = tokio::join!(pool.run(call!(pid())), pool.run(call!(pid())));
            assert_eq!(BTreeSet::from([one.unwrap(), two.unwrap()]), there);
        }
    }
}

test! {
    async fn too_many_spares_are_refused() {
        let error = Pool::builder().spares(4097).build().unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        assert!(error.to_string().contains("spares is 4097"), "{error}");
    }
}
