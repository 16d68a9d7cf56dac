//! Pools that end without a shutdown: the last handle, the runtime, `main`, or the whole program is gone.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, it fails the test")]

use std::time::{Duration, Instant};

use futures::future::join_all;
use procpool::{ErrorKind, Pool, Shutdown, Started, call};
use procpool_tests::tasks::{pid, same, spin, wait_at};
use procpool_tests::{Gate, Part, Visitor, children_of, ended, test, until, visit};
use tokio::runtime::{Builder, Runtime};

fn workers(count: usize) -> Pool {
    Pool::builder().workers(count).build().unwrap()
}

fn no_children() -> bool {
    children_of(std::process::id()).is_empty()
}

fn small_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A task with a pool of its own, whose task has a pool of its own …, each of which spins once it has come to the gate.
fn nest(gate: String, depth: u64) {
    let runtime = small_runtime();
    let _inside = runtime.enter();
    if depth > 0 {
        let pool = workers(1);
        let path = gate.clone();
        drop(pool.spawn(call!(nest(path, depth - 1))));
        // The runtime drives its pool on this thread, while the innermost task comes to the gate.
        runtime.block_on(async {
            tokio::task::spawn_blocking(move || visit(gate, depth)).await.unwrap();
            spin();
        });
    } else {
        visit(gate, 0);
        spin();
    }
}

async fn spinning(gate: &Gate, count: usize) -> Vec<u32> {
    let mut pids = Vec::new();
    for visitor in gate.arrivals(count).await {
        pids.push(visitor.pid);
        visitor.release().await;
    }
    pids
}

test! {
    async fn behaviour_38_nested_pools_die_too() {
        let (pool, gate) = (workers(2), Gate::new());
        drop((pool.spawn(call!(nest(gate.path(), 2))), pool.spawn(call!(nest(gate.path(), 2)))));
        let pids = spinning(&gate, 6).await;
        let began = Instant::now();
        pool.shutdown_with(Shutdown::Kill).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        // The workers themselves are reaped by now, and theirs follow.
        assert!(no_children());
        join_all(pids.into_iter().map(ended)).await;
    }
}

test! {
    async fn a_nested_pool_dies_with_its_task() {
        let (pool, gate) = (workers(1), Gate::new());
        let run = pool.spawn(call!(nest(gate.path(), 1)));
        let pids = spinning(&gate, 2).await;
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
        join_all(pids.into_iter().map(ended)).await;
        assert_eq!(pool.run(call!(same(3))).await.unwrap(), 3);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_39_last_handle_dropped() {
        let (pool, gate) = (workers(1), Gate::new());
        let running = pool.spawn(call!(wait_at(gate.path(), 1)));
        let visitor = gate.arrival().await;
        let mut polled = pool.run(call!(wait_at(gate.path(), 2)));
        assert!(futures::poll!(&mut polled).is_pending());
        drop(pool.spawn(call!(wait_at(gate.path(), 3))));
        let clone = pool.clone();
        drop(pool);
        assert!(!clone.snapshot().closing);
        drop(clone);
        // What was handed over is finished, also what nobody waits for.
        let worker = visitor.pid;
        visitor.release().await;
        for word in [2, 3] {
            let visitor = gate.arrival().await;
            assert_eq!((visitor.word, visitor.pid), (word, worker));
            visitor.release().await;
        }
        assert_eq!((running.await.unwrap(), polled.await.unwrap()), (worker, worker));
        until("the worker ends", no_children);
    }
}

test! {
    async fn behaviour_39_last_handle_dropped_with_nothing_to_do() {
        let pool = workers(2);
        pool.ready().await.unwrap();
        assert_eq!(children_of(std::process::id()).len(), 2);
        drop(pool);
        until("the workers end", no_children);
    }
}

test! {
    async fn an_inert_run_keeps_its_pool() {
        let pool = workers(1);
        let run = pool.run(call!(same(7)));
        let mapped = pool.map(same, [1u64, 2]);
        drop(pool);
        assert_eq!(run.await.unwrap(), 7);
        assert_eq!(mapped.await.unwrap(), [1, 2]);
        until("the worker ends", no_children);
    }
}

async fn runtime_ends(runtime: Runtime, end: impl FnOnce(Runtime) + Send + 'static) {
    let gate = Gate::new();
    let pool = {
        let _inside = runtime.enter();
        workers(2)
    };
    let running: Vec<_> = (0..2).map(|word| pool.spawn(call!(wait_at(gate.path(), word)))).collect();
    let queued = pool.spawn(call!(pid()));
    // A current-thread runtime works only while somebody is in it.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        drop(runtime.block_on(stopped));
        end(runtime);
    });
    let visitors: Vec<Visitor> = gate.arrivals(2).await;
    stop.send(()).unwrap();
    for run in running {
        let error = run.await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::Closed, Started::Yes), "{error}");
    }
    let error = queued.await.unwrap_err();
    assert_eq!((error.kind(), error.started()), (ErrorKind::Closed, Started::No));
    for visitor in visitors {
        visitor.gone().await;
    }
    thread.join().unwrap();
    until("the workers are reaped", no_children);
    assert_eq!(pool.run(call!(pid())).await.unwrap_err().kind(), ErrorKind::Closed);
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.dropped, report.refused, report.balances()), (3, 1, true));
}

test! {
    async fn behaviour_39_runtime_dropped() {
        runtime_ends(small_runtime(), drop).await;
    }
}

test! {
    async fn behaviour_39_runtime_with_threads_dropped() {
        runtime_ends(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(), drop).await;
    }
}

test! {
    async fn behaviour_39_runtime_shut_down_in_the_background() {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime_ends(runtime, Runtime::shutdown_background).await;
    }
}

/// A program with busy workers: two that spin, and one with pools of its own.
fn serve(gate: &str) -> (Runtime, Pool) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let pool = workers(3);
    drop((0..2).map(|_| pool.spawn(call!(nest(gate.to_owned(), 0)))).collect::<Vec<_>>());
    drop(pool.spawn(call!(nest(gate.to_owned(), 1))));
    (runtime, pool)
}

/// How many processes [`serve`] has.
const SERVED: usize = 4;

procpool_tests::part! {
    fn service_that_waits(gate: String) {
        let _service = serve(&gate);
        loop {
            std::thread::park();
        }
    }
}

procpool_tests::part! {
    fn service_that_leaves_main(gate: String) {
        let service = serve(&gate);
        visit(&gate, 100);
        // As from statics: nothing is dropped.
        std::mem::forget(service);
    }
}

procpool_tests::part! {
    fn service_that_exits(gate: String) {
        let _service = serve(&gate);
        visit(&gate, 100);
        std::process::exit(7);
    }
}

procpool_tests::part! {
    fn service_that_drops_all_but_the_runtime(gate: String) {
        let (runtime, pool) = serve(&gate);
        visit(&gate, 100);
        drop(pool);
        // The drain of a pool whose tasks never end does not hold this up.
        drop(runtime);
    }
}

/// The service's workers, busy, and the service itself if it comes to the gate.
async fn at_work(gate: &Gate, service: &Part, comes: bool) -> (Vec<u32>, Option<Visitor>) {
    let visitors = gate.arrivals(SERVED + usize::from(comes)).await;
    let (mut pids, mut itself) = (Vec::new(), None);
    for visitor in visitors {
        if visitor.pid == service.pid() {
            itself = Some(visitor);
        } else {
            pids.push(visitor.pid);
            visitor.release().await;
        }
    }
    (pids, itself)
}

async fn service_ends(name: &str, code: i32) {
    let gate = Gate::new();
    let mut service = Part::start(name, &gate.path());
    let (pids, itself) = at_work(&gate, &service, true).await;
    itself.unwrap().release().await;
    assert_eq!(service.end().code(), Some(code));
    join_all(pids.into_iter().map(ended)).await;
}

test! {
    async fn behaviour_39_main_left() {
        service_ends("service_that_leaves_main", 0).await;
    }
}

test! {
    async fn behaviour_39_exit_called() {
        service_ends("service_that_exits", 7).await;
    }
}

test! {
    async fn behaviour_39_main_drops_its_runtime() {
        service_ends("service_that_drops_all_but_the_runtime", 0).await;
    }
}

test! {
    async fn behaviour_39_parent_killed() {
        let gate = Gate::new();
        let (limit, mut best) = (Duration::from_millis(100), Duration::MAX);
        // On a busy machine the kernel may keep a process from its core for longer than that, so there are many tries;
        // workers that looked now and then would fail them all. That all are gone, however late, counts each time.
        for _ in 0..20 {
            let mut service = Part::start("service_that_waits", &gate.path());
            let (pids, _) = at_work(&gate, &service, false).await;
            let watches: Vec<_> = pids.into_iter().map(|pid| tokio::spawn(ended(pid))).collect();
            let began = Instant::now();
            service.kill();
            join_all(watches).await;
            best = best.min(began.elapsed());
            if best < limit {
                break;
            }
        }
        assert!(best < limit, "{best:?}");
    }
}
