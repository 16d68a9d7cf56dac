//! Workers with a state: made once in each, before its first task, and anew in a replacement.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use procpool::{ErrorKind, Exit, Pool, PoolBuilder, PoolErrorKind, RunError, Started, StatePool, Stdio, call};
use procpool_tests::tasks::{hang, leave, pid, segfault};
use procpool_tests::{Gate, Signal, children_of, send, test, until, visit};

/// Neither `Send` nor `Sync` nor serialisable.
struct Counter {
    uses: Rc<u32>,
    made_by: u32,
    made_on: std::thread::ThreadId,
}

static MADE: AtomicU32 = AtomicU32::new(0);

fn counter(start: u32) -> Counter {
    MADE.fetch_add(1, Ordering::Relaxed);
    Counter { uses: Rc::new(start), made_by: std::process::id(), made_on: std::thread::current().id() }
}

/// How often this state was used, this time included, and in which process it was made.
fn use_it(counter: &mut Counter, _: u32) -> (u32, u32) {
    assert_eq!((counter.made_by, counter.made_on), (std::process::id(), std::thread::current().id()));
    *Rc::make_mut(&mut counter.uses) += 1;
    (*counter.uses, counter.made_by)
}

fn boom(counter: &mut Counter, text: String) {
    counter.uses = Rc::new(1_000);
    panic!("{text}");
}

fn made() -> u32 {
    MADE.load(Ordering::Relaxed)
}

fn builder() -> PoolBuilder {
    Pool::builder().workers(1).stderr(Stdio::Capture).env("RUST_BACKTRACE", "0")
}

/// A file that processes write lines to.
struct Log(PathBuf);

impl Log {
    fn new(name: &str) -> Log {
        let path = std::env::temp_dir().join(format!("procpool-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        Log(path)
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn log(path: &str, line: &str) {
    use std::io::Write;
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn log_line(path: String, line: String) {
    log(&path, &line);
}

/// Tells of its making and of its end.
struct Witness {
    path: String,
    end_badly: bool,
}

fn witness((path, end_badly): (String, bool)) -> Witness {
    log(&path, "made");
    Witness { path, end_badly }
}

impl Drop for Witness {
    fn drop(&mut self) {
        log(&self.path, "dropped");
        assert!(!self.end_badly, "no end without a panic");
    }
}

test! {
    async fn each_worker_makes_its_state_once_and_before_it_is_ready() {
        let pool = Pool::builder().workers(2).build_with_state(counter, 100).unwrap();
        pool.pool().ready().await.unwrap();
        let workers = children_of(std::process::id());
        assert_eq!(workers.len(), 2);
        let uses = pool.map(use_it, 0..50).await.unwrap();
        let mut by_worker: HashMap<u32, Vec<u32>> = HashMap::new();
        for (count, pid) in uses {
            assert!(workers.contains(&pid));
            by_worker.entry(pid).or_default().push(count);
        }
        // Each worker counted its own uses, without a gap.
        for (_, mut counts) in by_worker {
            counts.sort_unstable();
            assert!(counts.iter().zip(101..).all(|(count, expected)| *count == expected), "{counts:?}");
        }
        assert_eq!(pool.pool().run(call!(made())).await.unwrap(), 1);
        let report = pool.pool().shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (51, 2));
    }
}

test! {
    async fn a_state_of_threads_is_each_threads_own() {
        let pool = Pool::builder().in_process().workers(2).build_with_state(counter, 0).unwrap();
        pool.pool().ready().await.unwrap();
        assert_eq!(made(), 2);
        let uses: u32 = pool.map(use_it, 0..50).await.unwrap().len() as u32;
        assert_eq!((uses, made()), (50, 2));
        let error = pool.run(boom, "half-way".into()).await.unwrap_err();
        assert_eq!(error.panic().unwrap().message(), "half-way");
        for _ in 0..20 {
            assert!(pool.run(use_it, 0).await.unwrap().0 < 1_000, "nobody sees what the panic left behind");
        }
        pool.pool().shutdown().await.unwrap();
    }
}

test! {
    async fn functions_and_closures_use_it_by_run_spawn_and_map() {
        let pool: StatePool<Vec<String>> = builder().build_with_state(|first: String| vec![first], "a".into()).unwrap();
        let push = |texts: &mut Vec<String>, (text, times): (String, usize)| {
            texts.extend(std::iter::repeat_n(text, times));
            texts.len()
        };
        assert_eq!(pool.run(push, ("b".into(), 2)).await.unwrap(), 3);
        assert_eq!(pool.try_run(push, ("c".into(), 1)).unwrap().await.unwrap(), 4);
        assert_eq!(pool.clone().spawn(|texts, ()| texts.concat(), ()).await.unwrap(), "abbc");
        let lengths: Vec<usize> =
            pool.map(push, (1..4).map(|n| ("d".to_owned(), n))).map(Result::unwrap).collect().await;
        assert_eq!(lengths, [5, 7, 10]);
        let lengths = pool.map_stream(push, futures::stream::iter([("e".to_owned(), 1)])).await.unwrap();
        assert_eq!(lengths, [11]);
        // A task that is stopped takes the state along.
        assert!(pool.run(|_, ()| hang(), ()).timeout(Duration::from_millis(50)).await.unwrap_err().is_timeout());
        assert_eq!(pool.run(|texts, ()| texts.len(), ()).await.unwrap(), 1, "it was made anew");
        assert!(format!("{pool:?}").starts_with("StatePool { state: \"alloc::vec::Vec<"));
        pool.pool().shutdown().await.unwrap();
    }
}

test! {
    async fn a_replacement_makes_its_own() {
        let pool = builder().max_tasks(3).build_with_state(counter, 0).unwrap();
        let uses: Vec<_> = pool.map(use_it, 0..7).await.unwrap();
        assert_eq!(uses.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3, 1]);
        assert!(uses[0].1 != uses[3].1 && uses[3].1 != uses[6].1);
        let error = pool.run(|_, ()| segfault(), ()).await.unwrap_err();
        assert_eq!((error.kind(), error.pid()), (ErrorKind::WorkerDied, Some(uses[6].1)));
        let (count, pid) = pool.run(use_it, 0).await.unwrap();
        assert_eq!(count, 1);
        assert_ne!(pid, uses[6].1);
        // Also a worker that is added later.
        pool.pool().resize(2).unwrap();
        pool.pool().ready().await.unwrap();
        assert_eq!(pool.pool().snapshot().workers.len(), 2);
        pool.pool().shutdown().await.unwrap();
    }
}

test! {
    async fn a_worker_killed_while_it_makes_its_state_is_replaced() {
        fn make(gate: String) -> u32 {
            visit(gate, 0);
            std::process::id()
        }
        let gate = Gate::new();
        let pool = builder().build_with_state(make, gate.path()).unwrap();
        let run = pool.spawn(|maker, ()| *maker, ());
        let first = gate.arrival().await;
        send(Signal::KILL, first.pid);
        let second = gate.arrival().await;
        let maker = second.pid;
        assert_ne!(maker, first.pid);
        second.release().await;
        assert_eq!(run.await.unwrap(), maker);
        let report = pool.pool().shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (1, 0, 2), "{report:?}");
    }
}

test! {
    async fn after_a_panic_it_is_dropped_and_made_anew_in_another_process() {
        let pool = builder().build_with_state(counter, 0).unwrap();
        let (_, first) = pool.run(use_it, 0).await.unwrap();
        let (broken, next) = tokio::join!(pool.run(boom, "half-way".into()), pool.run(use_it, 0));
        let error = broken.unwrap_err();
        assert_eq!((error.kind(), error.pid(), error.started()), (ErrorKind::Panicked, Some(first), Started::Yes));
        assert_eq!(error.task(), Some("run on Counter"));
        assert_eq!(error.panic().unwrap().message(), "half-way");
        assert!(error.panic().unwrap().location().unwrap().contains(file!()), "{error:#}");
        assert!(error.location().unwrap().file().contains(file!()), "{error:#}");
        let (count, second) = next.unwrap();
        assert_eq!(count, 1);
        assert_ne!(first, second);
        // Many in a row: each costs its worker, and none costs another task.
        let runs = (0..12).map(|n| {
            let bad = (n % 2 == 0).then(|| pool.spawn(boom, "again".into()));
            let good = pool.spawn(use_it, 0);
            async move {
                if let Some(bad) = bad {
                    assert!(bad.await.unwrap_err().is_panic());
                }
                good.await
            }
        });
        let results: Result<Vec<_>, RunError> = join_all(runs).await.into_iter().collect();
        assert_eq!(results.unwrap().len(), 12);
        let report = pool.pool().shutdown().await.unwrap();
        assert_eq!((report.crashed, report.failed, report.succeeded), (0, 7, 14), "{report:?}");
        let ended = pool.pool().stats().ended;
        assert_eq!((ended.state_lost, ended.recycled), (7, 0), "{ended:?}");
        assert_eq!(report.workers_started, report.workers_ended);
    }
}

test! {
    async fn a_panic_in_a_map_costs_one_item_and_one_worker() {
        // What a worker has in hand when it loses its state goes to the next one, and has not begun.
        let pool = builder().build_with_state(counter, 0).unwrap();
        let use_or_panic = |counter: &mut Counter, n: u32| {
            assert_ne!(n % 16, 5, "not this one");
            use_it(counter, n).1
        };
        let results: Vec<_> = pool.map(use_or_panic, 0..64).chunk(16).collect().await;
        let mut pids = Vec::new();
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(pid) => pids.push(pid),
                Err(error) => assert!(error.is_panic() && n % 16 == 5 && error.index() == Some(n), "{error}"),
            }
        }
        assert_eq!(pids.len(), 60);
        pids.dedup();
        assert_eq!(pids.len(), 5, "one process after each panic, and none else");
        let report = pool.pool().shutdown().await.unwrap();
        assert_eq!((report.failed, report.crashed, report.workers_started), (4, 0, 5), "{report:?}");
    }
}

fn refuse(why: String) -> Result<Counter, String> {
    Err(why)
}

/// The pool's starts fail, so often and no oftener; gives the error of a task.
async fn assert_start_fails<S: 'static>(pool: StatePool<S>) -> RunError {
    let error = pool.run(|_, ()| (), ()).await.unwrap_err();
    assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No), "{error}");
    let report = pool.pool().shutdown().await.unwrap();
    assert_eq!((report.workers_started, report.refused, report.balances()), (3, 1, true), "{report:?}");
    error
}

test! {
    async fn a_state_that_cannot_be_made_is_a_failed_start() {
        let refusing = || builder().try_build_with_state(refuse, "no such file".to_owned()).unwrap();
        let error = assert_start_fails(refusing()).await;
        assert!(error.to_string().contains("the making of the state `Counter` failed: no such file"), "{error}");
        let error = refusing().pool().ready().await.unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::StartFailed);
        assert!(error.to_string().contains("no such file"), "{error}");

        let panicking = builder().build_with_state(|text: String| -> Counter { panic!("{text}") }, "bad model".into());
        let error = assert_start_fails(panicking.unwrap()).await;
        assert!(error.to_string().contains("of the state `Counter` failed: it panicked: bad model, at "), "{error}");

        let leaving = builder().build_with_state(leave, 3);
        let error = assert_start_fails(leaving.unwrap()).await;
        assert_eq!(error.exit(), Some(Exit::Code(3)), "{error}");

        let limit = Duration::from_millis(300);
        let hanging = builder().init_timeout(limit).build_with_state(|()| hang(), ()).unwrap();
        let error = assert_start_fails(hanging).await;
        assert!(error.to_string().contains("its initialisation took longer than 300ms"), "{error}");

        // The words of an error that a limit on results would not let through.
        let small = builder().max_message(1).build_with_state(counter, 0).unwrap();
        small.run(|_, ()| (), ()).await.unwrap();
        small.pool().shutdown().await.unwrap();
    }
}

test! {
    async fn a_state_that_cannot_be_made_in_a_thread_is_a_failed_start() {
        let refusing = builder().in_process().try_build_with_state(refuse, "no such file".to_owned()).unwrap();
        let error = assert_start_fails(refusing).await;
        assert!(error.to_string().contains("the making of the state `Counter` failed: no such file"), "{error}");
        let panicking = builder().in_process().build_with_state(|()| -> Counter { panic!("bad model") }, ());
        let error = assert_start_fails(panicking.unwrap()).await;
        assert!(error.to_string().contains("it panicked: bad model"), "{error}");
    }
}

/// Cannot be encoded.
struct Opaque;

impl serde::Serialize for Opaque {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("nothing to see here"))
    }
}

impl<'de> serde::Deserialize<'de> for Opaque {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("nothing to see here"))
    }
}

test! {
    async fn an_argument_that_does_not_encode_makes_no_pool() {
        let error = builder().build_with_state(|_: Opaque| 7u64, Opaque).unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        let text = error.to_string();
        assert!(text.contains("the making of the state `u64`") && text.contains("nothing to see here"), "{text}");
    }
}

fn log_init((path, fails): (String, bool)) -> Result<(), String> {
    log(&path, "init");
    if fails { Err("not today".into()) } else { Ok(()) }
}

/// What a worker's life looks like from the inside, on either backend.
async fn assert_order(in_process: bool) {
    let file = Log::new("order");
    let path = file.path();
    let builder = || if in_process { builder().in_process() } else { builder() };
    let (for_init, for_exit) = ((path.clone(), false), path.clone());
    let pool = builder()
        .init(call!(log_init(for_init)))
        .exit(call!(log_line(for_exit, "exit".to_owned())))
        .build_with_state(witness, (path.clone(), false))
        .unwrap();
    pool.run(|witness, ()| log(&witness.path, "task"), ()).await.unwrap();
    pool.pool().shutdown().await.unwrap();
    assert_eq!(file.lines(), ["init", "made", "task", "exit", "dropped"]);

    // After a panic the state goes first, since nobody may see it any more.
    let file = Log::new("panic");
    let (path, for_exit) = (file.path(), file.path());
    let pool =
        builder().exit(call!(log_line(for_exit, "exit".to_owned()))).build_with_state(witness, (path, true)).unwrap();
    let error = pool.run(|_, ()| -> () { panic!("the task's own") }, ()).await.unwrap_err();
    assert_eq!(error.panic().unwrap().message(), "the task's own");
    until("the worker ends in order", || file.lines() == ["made", "dropped", "exit"]);
    // And one whose end goes wrong at the end of its worker: that is told by the exit code, and by nothing worse.
    pool.run(|_, ()| (), ()).await.unwrap();
    let report = pool.pool().shutdown().await.unwrap();
    assert_eq!(file.lines(), ["made", "dropped", "exit", "made", "exit", "dropped"]);
    assert_eq!((report.workers_started, report.workers_ended, report.crashed), (2, 2, 0));

    // A state is not made where the initialiser has failed.
    let file = Log::new("init");
    let (path, for_init) = (file.path(), (file.path(), true));
    let pool = builder().init(call!(log_init(for_init))).build_with_state(witness, (path, false)).unwrap();
    let error = pool.run(|_, ()| (), ()).await.unwrap_err();
    assert!(error.to_string().contains("the init job `log_init` failed: not today"), "{error}");
    pool.pool().shutdown().await.unwrap();
    assert_eq!(file.lines(), ["init", "init", "init"]);
}

test! {
    async fn made_after_the_initialiser_and_dropped_after_the_exit_job() {
        assert_order(false).await;
    }
}

test! {
    async fn made_after_the_initialiser_and_dropped_after_the_exit_job_in_threads() {
        assert_order(true).await;
    }
}

/// A task with a state that has a pool with a state of the same type, on threads of its own process.
fn nest(counter: &mut Counter, depth: u32) -> u32 {
    let inner = || async {
        let pool = Pool::builder().in_process().workers(1).build_with_state(self::counter, 10).unwrap();
        let results = pool.map(use_it, 0..depth).await.unwrap();
        pool.pool().shutdown().await.unwrap();
        results.last().map_or(0, |(count, _)| *count)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    use_it(counter, 0).0 * 100 + runtime.block_on(inner())
}

test! {
    async fn nested_pools_have_states_of_their_own() {
        for builder in [builder(), builder().in_process()] {
            let pool = builder.build_with_state(counter, 0).unwrap();
            assert_eq!(pool.run(nest, 3).await.unwrap(), 113);
            assert_eq!(pool.run(nest, 4).await.unwrap(), 214);
            pool.pool().shutdown().await.unwrap();
        }
    }
}

test! {
    async fn a_killed_worker_drops_nothing_and_is_replaced() {
        let (file, gate) = (Log::new("killed"), Gate::new());
        let pool = builder().build_with_state(witness, (file.path(), false)).unwrap();
        let run = pool.spawn(|_, gate: String| visit(gate, 0), gate.path());
        let visitor = gate.arrival().await;
        run.abort();
        visitor.gone().await;
        assert!(run.await.unwrap_err().is_cancelled());
        assert_ne!(pool.pool().run(call!(pid())).await.unwrap(), std::process::id());
        pool.pool().shutdown().await.unwrap();
        assert_eq!(file.lines(), ["made", "made", "dropped"]);
    }
}
