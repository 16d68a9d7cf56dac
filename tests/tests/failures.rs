//! Tasks that fail, crash or are killed from outside: whose failure it is, and what the error says.

use std::error::Error;

use procpool::{ErrorKind, Pool, RunError, Started, Stdio, WorkerPanic, WorkerState, call};
use procpool_tests::tasks::{abort, boom, leave, overflow, pid, power, segfault, spin, wait_at};
use procpool_tests::traps::{Trick, WhenDecoded, WhenEncoded};
use procpool_tests::{Gate, Signal, freeze, is_alive, send, test, until, until_it_waits, visit};

/// One worker, so that what follows a crash cannot simply run in another one; what it prints is kept for the error.
fn pool_of_one() -> Pool {
    Pool::builder().workers(1).stderr(Stdio::Capture).env("RUST_BACKTRACE", "0").build().unwrap()
}

fn panic_with_number() {
    std::panic::panic_any(42);
}

fn exhaust_memory() -> usize {
    // More than any machine has, and the most that may be asked for.
    std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX as usize)).capacity()
}

fn print_and_abort(line: String) {
    eprintln!("{line}");
    std::process::abort();
}

/// As in a program that was built with `panic = "abort"`: the hook runs, then the process aborts.
fn panic_without_unwinding(text: String) {
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        former(info);
        std::process::abort();
    }));
    panic!("{text}");
}

/// As above, while the task's own thread is at work.
fn panic_without_unwinding_in_a_thread(text: String) {
    let thread = std::thread::Builder::new().name("helper".into()).spawn(move || panic_without_unwinding(text));
    drop(thread);
    spin();
}

/// The language aborts when a panic would leave such a function.
extern "C" fn cannot_unwind() {
    panic!("out of a callback");
}

fn panic_in_callback() {
    cannot_unwind();
}

fn power_or_leave(x: u64) -> u128 {
    if x == 37 { u128::from(leave(3)) } else { power(x % 20) }
}

fn take(_: WhenDecoded) -> u32 {
    std::process::id()
}

fn give(trick: Trick) -> WhenEncoded {
    WhenEncoded(trick)
}

/// Leaves the encoded result, which is larger than any socket's buffer, on its way while nobody reads.
fn give_much(gate: String) -> Vec<u8> {
    visit(gate, 0);
    vec![7; 64 << 20]
}

/// What every death of a worker in a task has in common; the pool goes on with another one.
async fn assert_died(pool: &Pool, error: &RunError, worker: u32) -> u32 {
    assert_eq!((error.kind(), error.started(), error.attempts()), (ErrorKind::WorkerDied, Started::Yes, 1), "{error}");
    assert_eq!((error.pid(), error.worker()), (Some(worker), Some("worker-0")), "{error}");
    assert!(!is_alive(worker), "its death was told and it lives");
    let next = pool.run(call!(pid())).await.unwrap();
    assert_ne!(next, worker);
    next
}

/// Ends the pool; so many tasks crashed, and each took its worker with it.
async fn assert_crashed(pool: Pool, crashed: u64) {
    let report = pool.shutdown().await.unwrap();
    assert_eq!((report.crashed, report.workers_started, report.balances()), (crashed, crashed + 1, true), "{report:?}");
}

fn exit_code(error: &RunError) -> Option<i32> {
    error.exit().and_then(|exit| exit.code())
}

fn signal_name(error: &RunError) -> Option<&'static str> {
    error.exit().and_then(|exit| exit.signal_name())
}

fn message(error: &RunError) -> Option<&str> {
    error.panic().map(WorkerPanic::message)
}

test! {
    async fn behaviour_08_panic_tells_where() {
        let pool = Pool::builder().workers(1).stderr(Stdio::Null).env("RUST_BACKTRACE", "1").build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        let here = line!() + 1;
        let error = pool.run(call!(boom("no such page".to_string()))).await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!((error.kind(), error.started()), (ErrorKind::Panicked, Started::Yes));
        assert_eq!((error.pid(), error.task(), error.exit()), (Some(worker), Some("boom"), None));
        let called = error.location().unwrap();
        assert_eq!((called.file(), called.line()), (file!(), here));

        // In the worker: message, file and line, backtrace.
        let panic = error.panic().unwrap();
        assert_eq!((panic.message(), panic.thread()), ("no such page", Some("main")));
        let location = panic.location().unwrap();
        assert!(location.contains("src/tasks.rs:"), "{location}");
        let backtrace = panic.backtrace().unwrap();
        assert!(backtrace.contains("procpool_tests::tasks::boom"), "{backtrace}");

        // One line, unless more is asked for.
        let short = error.to_string();
        assert!(short.contains("`boom` panicked in worker-0") && short.contains(location), "{short}");
        assert_eq!(short.lines().count(), 1, "{short}");
        let long = format!("{error:#}");
        assert!(long.contains("no such page") && long.contains(location), "{long}");
        assert!(long.contains("procpool_tests::tasks::boom"), "{long}");
        assert_eq!(error.source().unwrap().downcast_ref::<WorkerPanic>(), Some(panic));
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_12_error_while_decoding() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let others: Vec<_> = (0..5u64).map(|x| pool.spawn(call!(power(x)))).collect();
        let error = pool.run(call!(take(WhenDecoded(Trick::Fail)))).await.unwrap_err();
        assert_eq!((error.kind(), error.started(), error.pid()), (ErrorKind::Decode, Started::No, Some(worker)));
        assert!(error.to_string().contains("the arguments, in the worker: "), "{error}");
        assert!(error.to_string().contains("a trap that fails"), "{error}");
        for (x, run) in (0..5u64).zip(others) {
            assert_eq!(run.await.unwrap(), power(x));
        }
        let error = pool.run(call!(take(WhenDecoded(Trick::Panic)))).await.unwrap_err();
        assert_eq!((error.kind(), error.pid()), (ErrorKind::Panicked, Some(worker)));
        assert_eq!(message(&error), Some("a trap that panics"));
        assert_eq!(pool.run(call!(take(WhenDecoded(Trick::None)))).await.unwrap(), worker);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.failed, report.workers_started), (7, 2, 1));
    }
}

test! {
    async fn behaviour_12_exit_while_decoding() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(take(WhenDecoded(Trick::Exit(0))))).await.unwrap_err();
        assert_eq!(exit_code(&error), Some(0));
        assert!(error.to_string().contains("while it decoded the arguments"), "{error}");
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_12_segfault_while_decoding() {
        let pool = Pool::builder().workers(2).build().unwrap();
        pool.ready().await.unwrap();
        let gate = Gate::new();
        let path = gate.path();
        // The other worker is in the middle of something.
        let other = pool.spawn(call!(wait_at(path, 1)));
        let visitor = gate.arrival().await;
        let error = pool.run(call!(take(WhenDecoded(Trick::Segfault)))).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes));
        assert_eq!(signal_name(&error), Some("SIGSEGV"));
        assert!(error.to_string().contains("while it decoded the arguments"), "{error}");
        assert_ne!(error.pid(), Some(visitor.pid));
        let pid = visitor.pid;
        visitor.release().await;
        assert_eq!(other.await.unwrap(), pid);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.balances()), (1, 1, true));
    }
}

test! {
    async fn behaviour_13_segfault() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(segfault())).await.unwrap_err();
        assert_eq!((signal_name(&error), error.task()), (Some("SIGSEGV"), Some("segfault")));
        assert_eq!(error.to_string(), format!("task `segfault` failed: worker-0 (pid {worker}) ended with SIGSEGV (signal 11)"));
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_13_stack_overflow() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(overflow(0))).await.unwrap_err();
        assert_eq!((signal_name(&error), message(&error)), (Some("SIGABRT"), Some("stack overflow")));
        let stderr = error.stderr().join("\n");
        assert!(stderr.contains("has overflowed its stack"), "{stderr}");
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_13_abort() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(abort())).await.unwrap_err();
        assert_eq!((signal_name(&error), message(&error), error.stderr()), (Some("SIGABRT"), None, &[] as &[String]));
        let worker = assert_died(&pool, &error, worker).await;
        // What it said last is in the error.
        let error = pool.run(call!(print_and_abort("free(): invalid pointer".to_string()))).await.unwrap_err();
        assert_eq!((signal_name(&error), error.stderr()), (Some("SIGABRT"), &["free(): invalid pointer".to_string()][..]));
        assert!(format!("{error:#}").contains("free(): invalid pointer"), "{error:#}");
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 2).await;
    }
}

test! {
    async fn behaviour_13_exit_0() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(leave(0))).await.unwrap_err();
        assert_eq!(exit_code(&error), Some(0));
        assert!(error.to_string().contains("ended with exit code 0"), "{error}");
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_13_exit_42() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(leave(42))).await.unwrap_err();
        assert_eq!((exit_code(&error), signal_name(&error)), (Some(42), None));
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_13_panic() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(boom("first".to_string()))).await.unwrap_err();
        assert_eq!((error.kind(), error.pid(), message(&error)), (ErrorKind::Panicked, Some(worker), Some("first")));
        // Nobody asked for it, and it costs tens of milliseconds.
        assert_eq!(error.panic().unwrap().backtrace(), None);
        // The worker lives on, and what it panicked with is not held against its next task.
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        let error = pool.run(call!(leave(1))).await.unwrap_err();
        assert_eq!((exit_code(&error), message(&error)), (Some(1), None));
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_13_panic_without_string() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(panic_with_number())).await.unwrap_err();
        assert_eq!((error.kind(), error.pid()), (ErrorKind::Panicked, Some(worker)));
        assert_eq!(message(&error), Some("panic with a payload that is not a string"));
        assert!(error.panic().unwrap().location().unwrap().contains(file!()), "{error}");
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn behaviour_13_out_of_memory() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(exhaust_memory())).await.unwrap_err();
        assert_eq!(signal_name(&error), Some("SIGABRT"));
        let stderr = error.stderr().join("\n");
        assert!(stderr.contains(&format!("memory allocation of {} bytes failed", isize::MAX)), "{stderr}");
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_13_panic_that_aborts() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        let error = pool.run(call!(panic_without_unwinding("no way back".to_string()))).await.unwrap_err();
        assert_eq!((signal_name(&error), message(&error)), (Some("SIGABRT"), Some("no way back")));
        assert!(error.panic().unwrap().location().unwrap().contains(file!()), "{error}");
        let worker = assert_died(&pool, &error, worker).await;
        let job = call!(panic_without_unwinding_in_a_thread("behind its back".to_string()));
        let error = pool.run(job).await.unwrap_err();
        assert_eq!((signal_name(&error), message(&error)), (Some("SIGABRT"), Some("behind its back")));
        assert_eq!(error.panic().unwrap().thread(), Some("helper"));
        let worker = assert_died(&pool, &error, worker).await;
        // The language panics a second time, about the first; the first is what one wants to read.
        let error = pool.run(call!(panic_in_callback())).await.unwrap_err();
        assert_eq!((signal_name(&error), message(&error)), (Some("SIGABRT"), Some("out of a callback")));
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 3).await;
    }
}

test! {
    async fn behaviour_15_killed_from_outside() {
        let pool = pool_of_one();
        let gate = Gate::new();
        let path = gate.path();
        let task = pool.spawn(call!(wait_at(path, 0)));
        let visitor = gate.arrival().await;
        let worker = visitor.pid;
        send(Signal::KILL, worker);
        let error = task.await.unwrap_err();
        assert_eq!((signal_name(&error), error.task()), (Some("SIGKILL"), Some("wait_at")));
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 1).await;
    }
}

test! {
    async fn behaviour_16_one_failure_in_a_hundred() {
        let pool = Pool::builder().workers(2).build().unwrap();
        let runs = futures::future::join_all((0..100u64).map(|x| pool.run(call!(power_or_leave(x)))));
        for (x, result) in (0..100u64).zip(runs.await) {
            match result {
                Ok(value) => assert_eq!((value, x == 37), (power(x % 20), false)),
                Err(error) => assert_eq!((x, error.kind(), exit_code(&error)), (37, ErrorKind::WorkerDied, Some(3))),
            }
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.crashed), (100, 99, 1));
        assert!(report.workers_started <= 3 && report.balances(), "{report:?}");
    }
}

test! {
    async fn behaviour_17_killed_before_start() {
        let pool = pool_of_one();
        let worker = pool.run(call!(pid())).await.unwrap();
        // Chosen, and not yet taken: the task runs elsewhere, and nobody hears of it.
        freeze(worker);
        let task = pool.spawn(call!(pid()));
        until("the task is with the frozen worker", || pool.snapshot().workers[0].state == WorkerState::Busy);
        send(Signal::KILL, worker);
        let next = task.await.unwrap();
        assert_ne!(next, worker);
        assert!(!is_alive(worker));
        // Taken, and not yet begun: it may have begun for all that the pool can tell.
        let gate = Gate::new();
        let trap = WhenDecoded(Trick::Visit(gate.path()));
        let task = pool.spawn(call!(take(trap)));
        let visitor = gate.arrival().await;
        assert_eq!(visitor.pid, next);
        send(Signal::KILL, next);
        let error = task.await.unwrap_err();
        assert_eq!(signal_name(&error), Some("SIGKILL"));
        assert!(error.to_string().contains("while it decoded the arguments"), "{error}");
        assert_died(&pool, &error, next).await;
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.retried), (3, 1, 0));
        assert_eq!((report.workers_started, report.balances()), (3, true));
    }
}

test! {
    // On one thread, so that while this test blocks nobody reads from the worker's socket.
    current_thread async fn behaviour_17_killed_while_writing() {
        let pool = pool_of_one();
        let gate = Gate::new();
        let path = gate.path();
        // While it encodes.
        let task = pool.spawn(call!(give(Trick::Visit(path))));
        let visitor = gate.arrival().await;
        let worker = visitor.pid;
        send(Signal::KILL, worker);
        let error = task.await.unwrap_err();
        assert!(error.to_string().contains("while it encoded the result"), "{error}");
        let worker = assert_died(&pool, &error, worker).await;
        // While it writes: it waits, and there is nothing that it could wait for but room in the socket.
        let path = gate.path();
        let task = pool.spawn(call!(give_much(path)));
        let visitor = gate.arrival().await;
        assert_eq!(visitor.pid, worker);
        visitor.release().await;
        until("a part of the result has been sent", || resident(worker) > 64 << 20);
        until_it_waits(worker);
        send(Signal::KILL, worker);
        let error = task.await.unwrap_err();
        assert_eq!(signal_name(&error), Some("SIGKILL"));
        assert_died(&pool, &error, worker).await;
        assert_crashed(pool, 2).await;
    }
}

/// The memory that a process uses, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim_end_matches("kB").trim().parse::<u64>().map_or(0, |kilobytes| kilobytes << 10)
}
