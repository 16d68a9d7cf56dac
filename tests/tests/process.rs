//! `Process`, one process for one call; who `current()` says one is; and standard streams that are broken.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use procpool::{ErrorKind, Exit, Pool, Process, Started, Stdio, call};
use procpool_tests::tasks::{Identity, abort, boom, leave, pid, power, same, spin, visit_and_spin, wait_at, who};
use procpool_tests::traps::{Trick, WhenDecoded, WhenEncoded};
use procpool_tests::{Gate, Part, Signal, children_of, ended, is_alive, parent_of, part, send, test, until, visit};
use tokio_util::sync::CancellationToken;

test! {
    processes async fn behaviour_43_exit_codes() {
        for code in [0, 1, 8, 255] {
            let process = Process::spawn(call!(leave(code))).unwrap();
            assert_eq!(process.wait().await, Exit::Code(code));
            assert_eq!((process.try_wait(), process.is_finished()), (Some(Exit::Code(code)), true));
            let number = process.id();
            assert!(!children_of(std::process::id()).contains(&number), "reaped before `wait` returns");
            let error = process.join().await.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes));
            assert_eq!((error.exit(), error.pid()), (Some(Exit::Code(code)), Some(number)), "{error}");
        }
        // A call that returns ends its process with 0.
        let process = Process::spawn(call!(power(4))).unwrap();
        assert_eq!(process.wait().await, Exit::Code(0));
        assert_eq!(process.join().await.unwrap(), 256);
        // So does one that panics: the process answered.
        let process = Process::spawn(call!(boom("no".to_string()))).unwrap();
        assert!(process.wait().await.success());
        assert!(process.join().await.unwrap_err().is_panic());
    }
}

test! {
    processes async fn behaviour_43_signals() {
        let gate = Gate::new();
        for (signal, number) in [(Signal::TERM, 15), (Signal::KILL, 9), (Signal::INT, 2), (Signal::HUP, 1)] {
            let path = gate.path();
            let process = Process::spawn(call!(visit_and_spin(path))).unwrap();
            let visitor = gate.arrival().await;
            assert_eq!(visitor.pid, process.id());
            send(signal, process.id());
            assert_eq!(process.wait().await.signal(), Some(number));
            let error = process.join().await.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes));
            assert_eq!(error.exit().and_then(Exit::signal), Some(number), "{error}");
        }
        // By its handle.
        let path = gate.path();
        let process = Process::spawn(call!(visit_and_spin(path))).unwrap();
        let _visitor = gate.arrival().await;
        assert_eq!((process.try_wait(), process.is_finished()), (None, false));
        process.terminate().unwrap();
        assert_eq!(process.wait().await.signal_name(), Some("SIGTERM"));
        process.terminate().unwrap();
        process.kill();
        assert_eq!(process.join().await.unwrap_err().kind(), ErrorKind::WorkerDied, "it was not killed, it obeyed");

        let path = gate.path();
        let process = Process::spawn(call!(visit_and_spin(path))).unwrap();
        let _visitor = gate.arrival().await;
        process.kill();
        assert_eq!(process.wait().await.signal_name(), Some("SIGKILL"));
        process.kill();
        let error = process.join().await.unwrap_err();
        assert_eq!((error.kind(), error.is_cancelled(), error.started()), (ErrorKind::Cancelled, true, Started::Yes));
    }
}

test! {
    processes async fn behaviour_43_terminate_at_any_moment() {
        // Right after the start, when nothing is set up yet: it ends of it all the same, and by nothing else.
        for _ in 0..30 {
            let process = Process::spawn(call!(spin())).unwrap();
            process.terminate().unwrap();
            assert_eq!(process.wait().await.signal(), Some(15));
            assert_eq!(process.join().await.unwrap_err().exit().and_then(Exit::signal), Some(15));
        }
    }
}

test! {
    processes async fn behaviour_43_hundred_processes() {
        let gate = Gate::new();
        let processes: Vec<_> = (0..100)
            .map(|word| {
                let path = gate.path();
                Process::spawn(call!(wait_at(path, word))).unwrap()
            })
            .collect();
        let visitors = gate.arrivals(100).await;
        let mut started: Vec<u32> = processes.iter().map(Process::id).collect();
        let mut children = children_of(std::process::id());
        started.sort_unstable();
        children.sort_unstable();
        assert_eq!(started, children, "all hundred at once, and nobody else");
        for visitor in visitors {
            visitor.release().await;
        }
        let exits = join_all(processes.iter().map(Process::wait)).await;
        assert!(exits.iter().all(|exit| exit.success()), "{exits:?}");
        assert_eq!(children_of(std::process::id()), Vec::<u32>::new());
        for process in processes {
            let number = process.id();
            assert_eq!(process.join().await.unwrap(), number);
        }
    }
}

test! {
    processes async fn process_waits_can_be_repeated_and_dropped() {
        let gate = Gate::new();
        let path = gate.path();
        let process = Process::spawn(call!(wait_at(path, 0))).unwrap();
        let visitor = gate.arrival().await;
        {
            let mut dropped = std::pin::pin!(process.wait());
            assert!(futures::poll!(dropped.as_mut()).is_pending());
        }
        let (first, second) = (process.wait(), process.wait());
        let releases = visitor.release();
        let (first, second, ()) = futures::join!(first, second, releases);
        assert_eq!((first, second, process.wait().await), (Exit::Code(0), Exit::Code(0), Exit::Code(0)));
        let number = process.id();
        assert_eq!(process.join().await.unwrap(), number);
    }
}

test! {
    processes async fn process_goes_on_without_its_handle() {
        let gate = Gate::new();
        let (path_1, path_2) = (gate.path(), gate.path());
        let process = Process::spawn(call!(twice_at(path_1, path_2))).unwrap();
        let number = process.id();
        let visitor = gate.arrival().await;
        drop(process);
        visitor.release().await;
        let visitor = gate.arrival().await;
        assert_eq!(visitor.pid, number, "it went on");
        visitor.release().await;
        ended(number).await;
    }
}

fn twice_at(first: String, second: String) {
    visit(first, 1);
    visit(second, 2);
}

#[test]
fn process_needs_no_runtime() {
    let process = Process::spawn(call!(origin())).unwrap();
    let number = process.id();
    assert_eq!(futures::executor::block_on(process.wait()), Exit::Code(0));
    let (identity, parent, ..) = futures::executor::block_on(process.join()).unwrap();
    assert_eq!((identity.pid, parent), (number, Some(std::process::id())));
}

test! {
    processes async fn process_tells_of_values_that_do_not_travel() {
        let trap = WhenEncoded(Trick::Fail);
        let process = Process::spawn(call!(take(trap)));
        let error = match process {
            Ok(process) => process.join().await.map(drop).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("a trap that fails"), "{error}");
        let trap = WhenDecoded(Trick::Fail);
        let process = Process::spawn(call!(same(trap))).unwrap();
        assert!(process.wait().await.success());
        let error = process.join().await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::Decode, Started::No));
        let big = vec![7u8; 8 << 20];
        let copy = big.clone();
        assert!(Process::spawn(call!(same(copy))).unwrap().join().await.unwrap() == big);
    }
}

fn take(_: WhenEncoded) {}

/// Who runs this, who started it, and what the system calls it.
fn origin() -> (Identity, Option<u32>, String, u32) {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    (who(), parent_of(std::process::id()), name.trim().to_owned(), procpool::current().depth())
}

test! {
    processes async fn behaviour_44_identity() {
        let me = procpool::current();
        assert_eq!((me.name(), me.pid(), me.slot(), me.task()), ("main", std::process::id(), None, None));
        assert_eq!((me.generation(), me.attempt(), me.is_worker(), me.depth()), (None, None, false, 0));
        assert_eq!(me.to_string(), format!("main (pid {})", std::process::id()));

        let process = Process::spawn(call!(origin())).unwrap();
        let number = process.id();
        let (identity, parent, title, depth) = process.join().await.unwrap();
        assert_eq!((identity.pid, parent, depth), (number, Some(std::process::id()), 1));
        assert_eq!((&identity.name, identity.attempt), (&title, Some(1)), "{identity:?}");

        let pool = Pool::builder().workers(2).build().unwrap();
        let first = pool.run(call!(origin())).await.unwrap();
        let second = pool.run(call!(origin())).await.unwrap();
        assert_eq!(first.1, Some(std::process::id()));
        assert_eq!((first.2, &first.0.name[..], first.0.slot), ("worker-0".to_owned(), "worker-0", Some(0)));
        assert_eq!((first.0.generation, first.0.attempt), (Some(0), Some(1)));
        assert_eq!((first.0.pid, &first.0.name), (second.0.pid, &second.0.name));
        assert_ne!(first.0.task, second.0.task);
        pool.run(call!(abort())).await.unwrap_err();
        let third = pool.run(call!(origin())).await.unwrap();
        assert_eq!((third.0.slot, third.0.generation), (Some(0), Some(1)), "the same place, the next worker");
        assert_ne!(third.0.pid, first.0.pid);
        let (pool_2, depth) = (pool.clone(), pool.run(call!(depth_below())).await.unwrap());
        assert_eq!(depth, (1, 2));
        drop(pool_2);
        pool.shutdown().await.unwrap();
    }
}

fn depth_here() -> u32 {
    procpool::current().depth()
}

/// How deep this is, and a process that it starts.
fn depth_below() -> (u32, u32) {
    let process = Process::spawn(call!(depth_here())).unwrap();
    (depth_here(), futures::executor::block_on(process.join()).unwrap())
}

/// Has a child that has a child; all of them never end by themselves.
fn generations(gate: String, left: u64) {
    if left > 0 {
        let (gate, left) = (gate.clone(), left - 1);
        // Not joined, and its handle kept: this process is busy with something else when it is killed.
        std::mem::forget(Process::spawn(call!(generations(gate, left))).unwrap());
    }
    visit(gate, left);
    spin();
}

test! {
    processes async fn behaviour_44_grandchild() {
        let gate = Gate::new();
        let path = gate.path();
        let child = Process::spawn(call!(generations(path, 2))).unwrap();
        let mut visitors = gate.arrivals(3).await;
        visitors.sort_by_key(|visitor| std::cmp::Reverse(visitor.word));
        let line: Vec<u32> = visitors.iter().map(|visitor| visitor.pid).collect();
        let parents: Vec<Option<u32>> = line.iter().map(|&pid| parent_of(pid)).collect();
        assert_eq!(line[0], child.id());
        assert_eq!(parents, [Some(std::process::id()), Some(line[0]), Some(line[1])]);
        // They spin; nobody but their own watch can tell them.
        for visitor in visitors {
            visitor.release().await;
        }
        send(Signal::KILL, child.id());
        assert_eq!(child.wait().await.signal(), Some(9));
        for pid in line {
            ended(pid).await;
        }
    }
}

part! {
    /// A program without standard streams, or with broken ones: what works elsewhere works here.
    fn without_streams(gate: String) {
        visit(&gate, 7);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fine = runtime.block_on(async {
            let pool = Pool::builder().workers(1).env("RUST_BACKTRACE", "0").build().unwrap();
            let worker = pool.run(call!(pid())).await.unwrap();
            let mut fine = pool.run(call!(write_to_both())).await.is_ok();
            let error = pool.run(call!(boom("unheard".to_string()))).await.unwrap_err();
            fine &= error.panic().is_some_and(|panic| panic.message() == "unheard");
            // What a task prints by `println!` on a broken pipe is a panic of that task, as anywhere in Rust.
            let printed = pool.run(call!(print_to_both())).await;
            fine &= printed.as_ref().map_or_else(procpool::RunError::is_panic, |()| true);
            // What it leaves in the buffer is lost, and no reason for anything.
            fine &= pool.run(call!(print_half_a_line())).await.is_ok();
            fine &= pool.run(call!(pid())).await.unwrap() == worker;
            fine &= Process::spawn(call!(power(4))).unwrap().join().await.unwrap() == 256;
            let report = pool.shutdown().await.unwrap();
            fine && report.workers_started == 1 && report.balances()
        });
        visit(gate, u64::from(fine));
    }
}

/// Errors of writing are no concern of this task's.
fn write_to_both() {
    for _ in 0..100 {
        drop(std::io::stdout().write_all(b"to stdout\n"));
        drop(std::io::stderr().write_all(b"to stderr\n"));
    }
}

fn print_to_both() {
    println!("to stdout");
    eprintln!("to stderr");
}

fn print_half_a_line() {
    print!("half a line");
}

test! {
    async fn behaviour_45_stdio_closed() {
        let gate = Gate::new();
        let program = std::env::current_exe().unwrap();
        let command = Part::command(&program, "without_streams", &gate.path());
        let mut closing = Command::new("/bin/sh");
        closing.args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"]).arg(&program).args(command.get_args());
        closing.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let mut part = Part::spawn(&mut closing);
        gate.arrival().await.release().await;
        let visitor = gate.arrival().await;
        assert_eq!(visitor.word, 1);
        visitor.release().await;
        part.end();
    }
}

test! {
    async fn behaviour_45_stdio_broken() {
        let gate = Gate::new();
        let program = std::env::current_exe().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Part::command(&program, "without_streams", &gate.path());
        let mut part = Part::spawn(command.stdout(writer.try_clone().unwrap()).stderr(writer));
        drop(command);
        let visitor = gate.arrival().await;
        // The test harness of the part has printed its first words.
        drop(reader);
        visitor.release().await;
        let visitor = gate.arrival().await;
        assert_eq!(visitor.word, 1);
        visitor.release().await;
        part.end();
    }
}

fn write_and_abort(text: String) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    std::process::abort();
}

/// Writes, and leaves something running that holds stderr open.
fn leave_a_writer_and_abort() {
    let left =
        Command::new("tail").args(["-f", "/dev/null"]).stdin(std::process::Stdio::null()).process_group(0).spawn();
    eprintln!("left {}", left.unwrap().id());
    std::process::abort();
}

test! {
    async fn behaviour_45_stderr_before_a_crash() {
        let pool = Pool::builder().workers(1).stderr(Stdio::Capture).build().unwrap();
        let text = "first\nsecond \u{e9}\n\nno end of line".to_string();
        let error = pool.run(call!(write_and_abort(text))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerDied);
        assert_eq!(error.stderr(), ["first", "second \u{e9}", "", "no end of line"]);
        let long = format!("{error:#}");
        assert!(long.contains("its last lines on stderr:\n    first\n"), "{long}");

        // More than a pipe holds: it is read while the task runs, and the last lines are kept.
        let text: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
        let error = pool.run(call!(write_and_abort(text))).await.unwrap_err();
        let expected: Vec<String> = (20_000 - error.stderr().len()..20_000).map(|line| format!("line {line}")).collect();
        assert!(!expected.is_empty());
        assert_eq!(error.stderr(), expected);

        // The pipe does not end with the worker; its death is told all the same.
        let error = pool.run(call!(leave_a_writer_and_abort())).await.unwrap_err();
        let left: u32 = error.stderr()[0].strip_prefix("left ").unwrap().parse().unwrap();
        assert!(is_alive(left), "what left the group is not the pool's to kill");
        send(Signal::KILL, left);
        ended(left).await;
        pool.shutdown().await.unwrap();
    }
}

static WAS_HERE: AtomicBool = AtomicBool::new(false);

fn was_here() -> bool {
    WAS_HERE.swap(true, Ordering::Relaxed)
}

test! {
    processes async fn process_is_fresh() {
        assert!(!was_here());
        for _ in 0..3 {
            assert!(!Process::spawn(call!(was_here())).unwrap().join().await.unwrap(), "nobody was there before");
        }
        until("they are reaped", || children_of(std::process::id()).is_empty());
    }
}

test! {
    processes async fn a_token_kills_a_process_while_there_is_one() {
        let (gate, stop) = (Gate::new(), CancellationToken::new());
        // One that has ended is left alone.
        let quick = Process::spawn(call!(power(4))).unwrap().cancel_on(&stop);
        quick.wait().await;
        let path = gate.path();
        let process = Process::spawn(call!(visit_and_spin(path))).unwrap().cancel_on(&stop);
        let path = gate.path();
        let detached = Process::spawn(call!(visit_and_spin(path))).unwrap().cancel_on(&stop).id();
        let visitors = gate.arrivals(2).await;
        stop.cancel();
        let error = process.join().await.unwrap_err();
        assert!(error.is_cancelled() && error.to_string().contains("its cancellation token fired"), "{error}");
        ended(detached).await;
        assert_eq!(quick.join().await.unwrap(), 256);
        drop(visitors);
    }
}
