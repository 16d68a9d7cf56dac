//! The initialiser and the exit hook: when they run, what their failures become, and their own time limits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use procpool::{
    ErrorKind, Exit, Pool, PoolBuilder, PoolErrorKind, RunError, Shutdown, Started, Stdio, WorkerState, call,
};
use procpool_tests::tasks::{Identity, leave, pid, segfault, wait_at, who};
use procpool_tests::{Gate, Signal, children_of, is_alive, send, test, until, visit};

/// Long enough for the way there, short enough for a test to wait for.
const LIMIT: Duration = Duration::from_millis(500);

static INITIALISED: AtomicU32 = AtomicU32::new(0);
static TASKS: AtomicU32 = AtomicU32::new(0);

fn initialise(start: u32) {
    assert_eq!(TASKS.load(Ordering::Relaxed), 0, "a task ran before the initialiser");
    INITIALISED.fetch_add(start, Ordering::Relaxed);
}

/// What the initialiser left, how many tasks have run here (this one included), and where.
fn look() -> (u32, u32, u32) {
    (INITIALISED.load(Ordering::Relaxed), TASKS.fetch_add(1, Ordering::Relaxed) + 1, std::process::id())
}

fn refuse(text: String) -> Result<(), String> {
    eprintln!("about to refuse");
    Err(text)
}

fn panic_with(text: String) {
    panic!("{text}");
}

fn say_and_exit(line: String, code: i32) {
    eprintln!("{line}");
    std::process::exit(code);
}

fn exit_with(code: i32) {
    leave(code);
}

fn arrive(gate: String) {
    visit(gate, 0);
}

/// Fails for as long as nobody listens there.
fn connect(gate: String) -> Result<(), String> {
    if visit(&gate, 0) { Ok(()) } else { Err(format!("nobody at {gate}")) }
}

fn builder() -> PoolBuilder {
    Pool::builder().workers(1).stderr(Stdio::Capture).env("RUST_BACKTRACE", "0")
}

/// The pool's starts fail: three times with one worker, then everything that waits is told why, and nothing is left.
/// Gives the error.
async fn assert_start_fails(builder: PoolBuilder) -> RunError {
    let pool = builder.build().unwrap();
    let (first, second) = tokio::join!(pool.run(call!(pid())), pool.run(call!(pid())));
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    for error in [&first, &second] {
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No), "{error}");
        assert_eq!((error.task(), error.worker()), (Some("pid"), Some("worker-0")));
    }
    assert_eq!(first.to_string(), second.to_string());
    assert!(first.to_string().contains("3 in a row ended before they were ready"), "{first}");
    // Bounded: nothing more was started than it takes to know, and none of them is left.
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.workers_started, report.refused, report.balances()), (3, 2, true), "{report:?}");
    assert_eq!(children_of(std::process::id()), [0u32; 0]);
    first
}

test! {
    async fn behaviour_34_initialiser_once_a_worker() {
        let pool = Pool::builder().workers(2).init(call!(initialise(1 + 6))).build().unwrap();
        // Nothing starts before it is needed, or asked for.
        assert_eq!(children_of(std::process::id()).len(), 0);
        pool.ready().await.unwrap();
        let workers = children_of(std::process::id());
        assert_eq!(workers.len(), 2);
        let looks = join_all((0..20).map(|_| pool.run(call!(look())))).await;
        let mut counts = [0, 0];
        for look in looks {
            let (left, count, pid) = look.unwrap();
            assert_eq!(left, 7, "its state is visible, and it ran once");
            let index = workers.iter().position(|worker| *worker == pid).unwrap();
            counts[index] = counts[index].max(count);
        }
        assert_eq!(counts[0] + counts[1], 20);
        // Again in a replacement, whose own first task sees it.
        let dead = pool.run(call!(segfault())).await.unwrap_err().pid().unwrap();
        let gate = Gate::new();
        let runs = [0, 1].map(|word| {
            let path = gate.path();
            pool.spawn(call!(wait_at(path, word)))
        });
        let pids: Vec<u32> = gate.arrivals(2).await.iter().map(|visitor| visitor.pid).collect();
        assert!(!pids.contains(&dead) && pids[0] != pids[1], "{pids:?}");
        for run in runs {
            run.await.unwrap();
        }
        let looks = join_all((0..20).map(|_| pool.run(call!(look())))).await;
        assert!(looks.iter().all(|look| look.as_ref().unwrap().0 == 7), "{looks:?}");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.workers_started, report.crashed), (3, 1));
    }
}

test! {
    async fn behaviour_34_no_task_before_the_initialiser() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = Pool::builder().workers(1).init(call!(arrive(path))).build().unwrap();
        let task = pool.spawn(call!(who()));
        let visitor = gate.arrival().await;
        // Its hello may not have been read yet.
        until("the initialiser runs", || pool.snapshot().workers[0].state == WorkerState::Initialising);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.workers[0].state, snapshot.queued.len()), (WorkerState::Initialising, 1), "{snapshot}");
        assert_eq!(snapshot.workers[0].pid, Some(visitor.pid));
        assert!(!task.is_finished());
        let worker = visitor.pid;
        visitor.release().await;
        let Identity { name, slot, generation, task, pid, .. } = task.await.unwrap();
        assert_eq!((name.as_str(), slot, generation, pid), ("worker-0", Some(0), Some(0), worker));
        assert!(task.is_some());
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_35_initialiser_fails() {
        let error = assert_start_fails(builder().init(call!(refuse("no database".to_string())))).await;
        assert!(error.to_string().contains("the init job `refuse` failed: no database"), "{error}");
        assert_eq!(error.stderr(), ["about to refuse"]);
    }
}

test! {
    async fn behaviour_35_initialiser_panics() {
        let error = assert_start_fails(builder().init(call!(panic_with("bad model".to_string())))).await;
        let text = error.to_string();
        assert!(text.contains("the init job `panic_with` failed: it panicked: bad model, at "), "{text}");
        assert!(text.contains(file!()), "{text}");
        // Said once.
        assert_eq!(text.matches("bad model").count(), 1, "{text}");
        assert!(error.stderr().join("\n").contains("bad model"), "{error:#}");
    }
}

test! {
    async fn behaviour_35_initialiser_exits() {
        let error = assert_start_fails(builder().init(call!(say_and_exit("no licence".to_string(), 3)))).await;
        assert_eq!(error.exit(), Some(Exit::Code(3)));
        assert!(error.to_string().contains("exit code 3"), "{error}");
        // What it printed is in the error.
        assert_eq!(error.stderr(), ["no licence"]);
        assert!(format!("{error:#}").contains("no licence"), "{error:#}");
        // Also with code 0: to start is not to end.
        let error = assert_start_fails(builder().init(call!(exit_with(0)))).await;
        assert_eq!(error.exit(), Some(Exit::Code(0)));
    }
}

test! {
    async fn behaviour_35_ready_and_later_tasks_learn_why() {
        let pool = builder().init(call!(say_and_exit("no licence".to_string(), 3))).build().unwrap();
        let error = pool.ready().await.unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::StartFailed);
        assert!(error.to_string().contains("exit code 3") && error.to_string().contains("no licence"), "{error}");
        // While the pause lasts, whoever comes is told at once.
        let refused = pool.run(call!(pid())).await.unwrap_err();
        assert_eq!((refused.kind(), refused.exit()), (ErrorKind::StartFailed, Some(Exit::Code(3))));
        let refused = match pool.try_run(call!(pid())) {
            Err(refused) => refused,
            // On a slow machine the next probe is under way by now, and is waited for.
            Ok(run) => run.await.unwrap_err(),
        };
        assert_eq!((refused.kind(), refused.exit()), (ErrorKind::StartFailed, Some(Exit::Code(3))));
        pool.shutdown_with(Shutdown::Kill).await.unwrap();
    }
}

test! {
    async fn behaviour_35_four_workers_fail_together() {
        let pool = builder().workers(4).init(call!(refuse("no database".to_string()))).build().unwrap();
        let results = join_all((0..8).map(|_| pool.run(call!(pid())))).await;
        for result in results {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::StartFailed);
        }
        let report = pool.shutdown().await.unwrap();
        // At most the four that were started together, and a probe for each pause.
        assert!((3..=6).contains(&report.workers_started), "{report:?}");
        assert_eq!((report.refused, report.balances()), (8, true));
    }
}

test! {
    async fn behaviour_35_the_pool_recovers() {
        let gate = Gate::new();
        let place = gate.path();
        drop(gate);
        let path = place.clone();
        let pool = builder().init(call!(connect(path))).build().unwrap();
        let error = pool.run(call!(pid())).await.unwrap_err();
        assert!(error.to_string().contains("the init job `connect` failed: nobody at "), "{error}");
        // What it needs comes back, and so does the pool: no pool stays broken.
        let gate = Gate::at(place);
        let worker = loop {
            tokio::select! {
                visitor = gate.arrival() => visitor.release().await,
                // Until the pause is over, there is the same error at once.
                result = pool.run(call!(pid())) => match result {
                    Ok(worker) => break worker,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::StartFailed),
                },
            }
        };
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_21_initialiser_limit() {
        let gate = Gate::new();
        let path = gate.path();
        let init = call!(arrive(path));
        let pool = builder().init(init).init_timeout(LIMIT).build().unwrap();
        let task = pool.spawn(call!(pid()));
        let visitors = gate.arrivals(3).await;
        let error = task.await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
        assert_eq!(error.exit().and_then(Exit::signal_name), Some("SIGKILL"));
        assert!(error.to_string().contains("worker-0: its initialisation took longer than 500ms"), "{error}");
        assert!(visitors.iter().all(|visitor| !is_alive(visitor.pid)));
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.workers_started, report.refused, report.balances()), (3, 1, true));
    }
}

test! {
    async fn behaviour_21_exit_hook_limit() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = builder().exit(call!(arrive(path))).exit_timeout(LIMIT).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        // It comes, it never goes, and the end of the pool does not wait for it.
        let (report, visitor) = tokio::join!(pool.shutdown(), gate.arrival());
        assert_eq!(visitor.pid, worker);
        assert!(!is_alive(worker));
        let report = report.unwrap();
        assert_eq!((report.succeeded, report.workers_ended, report.balances()), (1, 1, true));
    }
}

test! {
    async fn exit_hook_runs_when_a_worker_retires() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = builder().max_tasks(1).exit(call!(arrive(path))).build().unwrap();
        // Worn out by one task: its hook runs while the next worker works.
        let first = pool.run(call!(pid())).await.unwrap();
        let visitor = gate.arrival().await;
        assert_eq!(visitor.pid, first);
        let second = pool.run(call!(pid())).await.unwrap();
        assert_ne!(second, first);
        assert!(is_alive(first), "its hook is not over");
        visitor.release().await;
        let visitor = gate.arrival().await;
        assert_eq!(visitor.pid, second);
        visitor.release().await;
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started, report.workers_ended), (2, 2, 2));
    }
}

test! {
    async fn exit_hook_does_not_run_in_a_worker_that_is_killed() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = builder().exit(call!(arrive(path))).build().unwrap();
        let first = pool.run(call!(pid())).await.unwrap();
        send(Signal::KILL, first);
        until("it is gone", || !is_alive(first));
        let second = pool.run(call!(pid())).await.unwrap();
        pool.run(call!(segfault())).await.unwrap_err();
        let third = pool.run(call!(pid())).await.unwrap();
        assert!(first != second && second != third);
        let (report, only) = tokio::join!(pool.shutdown(), async {
            let visitor = gate.arrival().await;
            let pid = visitor.pid;
            visitor.release().await;
            pid
        });
        // Whoever came at all was the one that ended in order: the others are dead, and the gate serves in order.
        assert_eq!((only, report.unwrap().workers_ended), (third, 3));
    }
}

test! {
    async fn exit_hook_that_fails_harms_nobody() {
        for job in [call!(panic_with("late".to_string())), call!(exit_with(5))] {
            let pool = builder().exit(job).build().unwrap();
            pool.run(call!(pid())).await.unwrap();
            let report = pool.shutdown().await.unwrap();
            assert_eq!((report.succeeded, report.failed, report.crashed, report.balances()), (1, 0, 0, true));
        }
    }
}
