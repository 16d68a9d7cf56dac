//! One test in one process, with a watchdog, and a look at what it leaves behind.

use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use procpool::{Process, call, queue};
use tokio::runtime::{Builder, Runtime};

use crate::dump;
use crate::leaks::Inventory;
use crate::tasks::pid;

/// Set to the test's name in the process that runs it.
const ISOLATED: &str = "PROCPOOL_TEST_ISOLATED";
/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// The same for one that fills gigabytes of memory.
const SLOW_LIMIT: Duration = Duration::from_secs(300);
/// What the process ends with when a test hangs.
const DEADLOCK: i32 = 97;

/// The runtime that a test gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Two worker threads.
    MultiThread,
    /// Everything on the test's own thread.
    CurrentThread,
}

/// Runs the test `name` (as libtest calls it) by itself. See [`test!`](crate::test).
pub fn run<F: Future<Output = ()>>(name: &str, flavor: Flavor, body: impl FnOnce() -> F) {
    run_after(name, flavor, LIMIT, || {}, body);
}

/// Like [`run`], for a test that has a lot to do.
pub fn run_slow<F: Future<Output = ()>>(name: &str, body: impl FnOnce() -> F) {
    run_after(name, Flavor::MultiThread, SLOW_LIMIT, || {}, body);
}

/// Like [`run`], in a program that has made a `Process` before.
pub fn run_with_processes<F: Future<Output = ()>>(name: &str, body: impl FnOnce() -> F) {
    let first = || {
        let process = Process::spawn(call!(pid())).expect("a process");
        let joined = runtime(Flavor::CurrentThread).block_on(async move {
            process.wait().await;
            process.join().await
        });
        joined.expect("a result");
    };
    run_after(name, Flavor::MultiThread, LIMIT, first, body);
}

/// What queues of the test travel over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Shared memory, as everywhere.
    Rings,
    /// Sockets: the reference, and the fallback.
    Sockets,
}

/// How long a test may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As most.
    Short,
    /// It has a lot to do.
    Long,
}

/// Like [`run`], in a program that has used a queue before, and made a `Process`.
pub fn run_with_queues<F: Future<Output = ()>>(name: &str, link: Link, length: Length, body: impl FnOnce() -> F) {
    let first = || {
        runtime(Flavor::CurrentThread).block_on(async {
            let (sender, receiver) = queue::bounded(1);
            let process = Process::spawn(call!(send_one(sender))).expect("a process");
            receiver.recv().await.expect("a message");
            process.wait().await;
            process.join().await.expect("it has sent");
        });
    };
    let limit = match length {
        Length::Short => LIMIT,
        Length::Long => SLOW_LIMIT,
    };
    match (isolated(name), link) {
        (true, _) => here(name, Flavor::MultiThread, limit, first, body),
        (false, Link::Rings) => elsewhere(name, &[]),
        (false, Link::Sockets) => elsewhere(name, &[("PROCPOOL_QUEUE_LINK", "socket")]),
    }
}

fn send_one(sender: queue::Sender<()>) {
    sender.send_blocking(()).expect("there is room");
}

fn run_after<F: Future<Output = ()>>(
    name: &str,
    flavor: Flavor,
    limit: Duration,
    first: impl FnOnce(),
    body: impl FnOnce() -> F,
) {
    match isolated(name) {
        true => here(name, flavor, limit, first, body),
        false => elsewhere(name, &[]),
    }
}

/// Whether this process is there for this test alone.
fn isolated(name: &str) -> bool {
    std::env::var(ISOLATED).is_ok_and(|isolated| isolated == name)
}

fn elsewhere(name: &str, environment: &[(&str, &str)]) {
    let executable = std::env::current_exe().expect("a test knows its executable");
    let output = Command::new(executable)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ISOLATED, name)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the test binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.contains("1 passed") || !output.status.success(), "no test is called `{name}`: {stdout}");
    assert!(
        output.status.success(),
        "{} ({}): \n--- stdout\n{stdout}\n--- stderr\n{stderr}",
        if output.status.code() == Some(DEADLOCK) { "deadlock" } else { "failed" },
        output.status,
    );
}

fn here<F: Future<Output = ()>>(
    name: &str,
    flavor: Flavor,
    limit: Duration,
    first: impl FnOnce(),
    body: impl FnOnce() -> F,
) {
    let (done, watchdog) = channel::<()>();
    let title = name.to_owned();
    let watchdog = std::thread::spawn(move || {
        if watchdog.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{title} is not done after {limit:?}: a deadlock");
            dump::print();
            crate::leaks::kill_children();
            std::process::exit(DEADLOCK);
        }
    });
    // What tokio opens once for the whole process (its signal pipe) is opened before the count.
    drop(runtime(flavor));
    first();
    let before = Inventory::take();
    {
        let runtime = runtime(flavor);
        runtime.block_on(body());
    }
    dump::forget();
    before.assert_nothing_is_left();
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
}

fn runtime(flavor: Flavor) -> Runtime {
    match flavor {
        Flavor::MultiThread => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        Flavor::CurrentThread => Builder::new_current_thread().enable_all().build(),
    }
    .expect("a runtime")
}
