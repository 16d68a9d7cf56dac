//! Where workers' stdout and stderr go: inherited, dropped, captured line by line, passed on as well.

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use futures::future::join_all;
use procpool::{ErrorKind, Pool, Stdio, call};
use procpool_tests::tasks::{pid, power};
use procpool_tests::{Gate, Heard, Line, Part, Signal, children_of, ended, part, send, test, until, visit, watched};

const STDOUT: &str = "procpool::stdout";
const STDERR: &str = "procpool::stderr";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn captured(workers: usize) -> Pool {
    let builder = Pool::builder().workers(workers).stdout(Stdio::Capture).stderr(Stdio::Capture);
    watched(builder.build().unwrap())
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| &*line.text).collect()
}

fn print(stdout: String, stderr: String) -> u32 {
    // Both at once: neither ends with a line feed by itself.
    print!("{stdout}");
    eprint!("{stderr}");
    std::process::id()
}

fn print_bytes(bytes: Vec<u8>) {
    std::io::stdout().write_all(&bytes).unwrap();
}

test! {
    async fn each_line_is_told_with_its_worker_and_task_before_the_result_is() {
        let heard = Heard::start();
        let hello = call!(print("hello\n".to_string(), String::new()));
        let builder = Pool::builder().workers(1).stdout(Stdio::Capture).stderr(Stdio::Capture);
        let pool = watched(builder.init(call!(print_two_lines())).build().unwrap());
        pool.ready().await.unwrap();
        let init = heard.take(STDOUT);
        assert_eq!(texts(&init), ["init", "without an end"]);
        assert!(init.iter().all(|line| line.task.is_none() && line.name.is_none() && line.span == Some("worker")));

        let worker = pool.run(hello).await.unwrap();
        let lines = heard.take(STDOUT);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&*line.text, &*line.worker, line.pid), ("hello", "worker-0", u64::from(worker)));
        assert_eq!((line.name.as_deref(), line.span), (Some("print"), Some("task")));

        let mut last = line.task;
        for round in 0..50 {
            let (out, err) = (format!("{round} a\n{round} b"), format!("{round} c\n"));
            pool.run(call!(print(out, err)).name(format!("round {round}"))).await.unwrap();
            let (out, err) = (heard.take(STDOUT), heard.take(STDERR));
            assert_eq!(texts(&out), [format!("{round} a"), format!("{round} b")]);
            assert_eq!(texts(&err), [format!("{round} c")]);
            for line in out.iter().chain(&err) {
                assert_eq!(line.name, Some(format!("round {round}")));
                assert_eq!(line.task, out[0].task);
            }
            assert!(out[0].task > last, "tasks have numbers");
            last = out[0].task;
        }
        pool.shutdown().await.unwrap();
        assert_eq!(heard.lines(), []);
    }
}

fn print_two_lines() {
    print!("init\nwithout an end");
}

test! {
    async fn lines_of_many_workers_are_not_mistaken() {
        let heard = Heard::start();
        let pool = captured(6);
        let runs = (0..300).map(|n| {
            let (pool, heard) = (&pool, &heard);
            async move {
                let name = format!("task {n}");
                let (out, err) = (format!("{name}\n{name}\n"), format!("{name}\n{name}"));
                let worker = pool.run(call!(print(out, err)).name(name.clone())).await.unwrap();
                let mine: Vec<Line> = heard.lines().into_iter().filter(|line| line.text == name).collect();
                assert_eq!(mine.len(), 4, "all are told by now");
                assert!(mine.iter().all(|line| line.name.as_ref() == Some(&name) && line.pid == u64::from(worker)));
            }
        });
        join_all(runs).await;
        assert_eq!(heard.lines().len(), 1200);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_line_is_text_whatever_it_is_made_of() {
        let heard = Heard::start();
        let pool = captured(1);
        let mut bytes = b"dos\r\n\n\x1b[1mbold\x1b[0m\n\xff\xfe\n".to_vec();
        bytes.extend("é".repeat(5000).bytes());
        bytes.extend(b"\nshort\n");
        pool.run(call!(print_bytes(bytes))).await.unwrap();
        let lines = heard.take(STDOUT);
        let long = "é".repeat(512);
        assert_eq!(texts(&lines), ["dos", "", "\x1b[1mbold\x1b[0m", "\u{fffd}\u{fffd}", &*long, "short"]);
        pool.shutdown().await.unwrap();
    }
}

fn print_and_abort(stdout: String, stderr: String) {
    print(stdout, stderr);
    std::io::stdout().flush().unwrap();
    std::process::abort();
}

test! {
    async fn after_a_crash_the_last_lines_are_those_of_its_task() {
        let heard = Heard::start();
        let pool = captured(1);
        pool.run(call!(print("early\n".to_string(), "early\n".to_string()))).await.unwrap();
        let crash = call!(print_and_abort("out".to_string(), "one\ntwo".to_string())).name("crash");
        let error = pool.run(crash).await.unwrap_err();
        assert_eq!((error.kind(), error.stderr()), (ErrorKind::WorkerDied, &["one".to_string(), "two".to_string()][..]));
        let lines = heard.lines();
        for text in ["out", "one", "two"] {
            let line = lines.iter().find(|line| line.text == text).unwrap();
            assert_eq!((line.name.as_deref(), Some(line.pid)), (Some("crash"), error.pid().map(u64::from)), "{text}");
        }
        // The worker that takes its place is heard, too.
        pool.run(call!(print("again\n".to_string(), String::new()))).await.unwrap();
        assert_eq!(heard.take(STDOUT).last().unwrap().text, "again");
        pool.shutdown().await.unwrap();
    }
}

fn close_both() {
    for fd in [1, 2] {
        #[expect(unsafe_code, reason = "std does not close its own")]
        // SAFETY: nothing else of this task uses these, and printing to a closed descriptor is an error that std ignores.
        unsafe {
            libc::close(fd);
        }
    }
}

test! {
    async fn a_worker_that_has_closed_its_pipes_works_on() {
        let heard = Heard::start();
        let pool = captured(1);
        let worker = pool.run(call!(pid())).await.unwrap();
        pool.run(call!(close_both())).await.unwrap();
        assert_eq!(pool.run(call!(print("x\n".to_string(), "x\n".to_string()))).await.unwrap(), worker);
        assert_eq!(heard.lines(), []);
        pool.shutdown().await.unwrap();
    }
}

/// Starts something that prints for ever and leaves the group, and dies.
fn leave_a_fountain() {
    let fountain = Command::new("yes").process_group(0).spawn().unwrap();
    eprintln!("left {}", fountain.id());
    std::process::abort();
}

test! {
    async fn what_prints_for_ever_after_its_workers_death_is_not_waited_for() {
        let pool = captured(1);
        for _ in 0..3 {
            let error = pool.run(call!(leave_a_fountain())).await.unwrap_err();
            let left: u32 = error.stderr()[0].strip_prefix("left ").unwrap().parse().unwrap();
            // Nobody holds the other end of its pipe any more.
            ended(left).await;
        }
        pool.shutdown().await.unwrap();
    }
}

fn flood(lines: u64, gate: String) {
    let line = "all work and no play makes jack a dull boy: all work and no play makes jack a dull\n".repeat(100);
    let mut stdout = std::io::stdout().lock();
    for n in 0..lines / 100 {
        stdout.write_all(line.as_bytes()).unwrap();
        if n == 100 {
            visit(&gate, 0);
        }
    }
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

test! {
    async fn a_flood_of_100_mb_is_read_and_not_kept() {
        let gate = Gate::new();
        let pool = captured(1);
        let path = gate.path();
        let flood = pool.spawn(call!(flood(1_200_000, path)));
        gate.arrival().await.release().await;
        let before = resident();
        flood.await.unwrap();
        let after = resident();
        assert!(after < before + 32 * 1024, "{before} KiB, then {after} KiB");
        pool.shutdown().await.unwrap();
    }
}

test! {
    current_thread async fn a_flood_leaves_room_for_others() {
        let gate = Gate::new();
        let pool = captured(3);
        let floods: Vec<_> = (0..2).map(|_| {
            let path = gate.path();
            pool.spawn(call!(flood(u64::MAX, path)))
        }).collect();
        for visitor in gate.arrivals(2).await {
            visitor.release().await;
        }
        for _ in 0..100 {
            assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        }
        assert!(floods.iter().all(|flood| !flood.is_finished()));
        floods.iter().for_each(procpool::JoinHandle::abort);
        for error in join_all(floods).await {
            assert!(error.unwrap_err().is_cancelled());
        }
        pool.shutdown().await.unwrap();
    }
}

fn stdio_of(word: &str) -> Stdio {
    match word {
        "inherit" => Stdio::Inherit,
        "null" => Stdio::Null,
        "capture" => Stdio::Capture,
        "tee" => Stdio::Tee,
        other => panic!("{other}"),
    }
}

part! {
    /// A program whose workers print in one of the ways; it says on stderr what was told to tracing.
    fn a_program_that_prints(ways: String) {
        let heard = Heard::start();
        let (stdout, stderr) = ways.split_once(' ').unwrap();
        // libtest has begun a line.
        println!();
        runtime().block_on(async {
            let pool = Pool::builder().workers(1).stdout(stdio_of(stdout)).stderr(stdio_of(stderr)).build().unwrap();
            for word in ["one", "two"] {
                println!("before {word}");
                let line = format!("in {word}\n");
                pool.run(call!(print(line.clone(), line))).await.unwrap();
                println!("after {word}");
            }
            pool.shutdown().await.unwrap();
        });
        eprintln!("heard {} and {}", heard.take(STDOUT).len(), heard.take(STDERR).len());
    }
}

const LINES: usize = 2000;

/// More than a pipe holds, and less than is kept for a reader who is behind.
fn print_much() {
    for n in 0..LINES {
        println!("line {n:>4} {}", "x".repeat(80));
    }
}

part! {
    /// A program whose workers print much, and that ends as soon as its pool has.
    fn a_program_that_prints_much(_nothing: String) {
        println!();
        runtime().block_on(async {
            let pool = Pool::builder().workers(1).stdout(Stdio::Tee).build().unwrap();
            pool.run(call!(print_much())).await.unwrap();
            eprintln!("ending");
            pool.shutdown().await.unwrap();
        });
        std::process::exit(0);
    }
}

#[test]
fn shutdown_waits_until_a_reader_who_is_behind_has_it_all() {
    let (stdout, to_stdout) = std::io::pipe().unwrap();
    let (stderr, to_stderr) = std::io::pipe().unwrap();
    let mut command = Part::command(std::env::current_exe().unwrap(), "a_program_that_prints_much", "");
    let mut part = Part::spawn(command.stdout(to_stdout).stderr(to_stderr));
    drop(command);
    // Nothing is read before the pool has ended.
    let mut said = BufReader::new(stderr).lines();
    assert!(said.any(|line| line.unwrap() == "ending"));
    until("its worker is gone", || children_of(part.pid()).is_empty());
    let lines = BufReader::new(stdout).lines().filter(|line| line.as_ref().unwrap().starts_with("line "));
    assert_eq!(lines.count(), LINES);
    assert!(part.end().success());
}

/// Plays a part with pipes for its output, and gives what it printed: lines with one of these words.
fn printed(part: &str, argument: &str, words: &[&str]) -> (Vec<String>, Vec<String>) {
    let (stdout, to_stdout) = std::io::pipe().unwrap();
    let (stderr, to_stderr) = std::io::pipe().unwrap();
    let mut command = Part::command(std::env::current_exe().unwrap(), part, argument);
    let mut part = Part::spawn(command.stdout(to_stdout).stderr(to_stderr));
    // It holds the writing ends.
    drop(command);
    let read = |mut pipe: PipeReader| {
        let mut all = String::new();
        pipe.read_to_string(&mut all).unwrap();
        let lines = all.lines().filter(|line| words.iter().any(|word| line.starts_with(word)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let found = (read(stdout), read(stderr));
    assert!(part.end().success(), "{found:?}");
    found
}

#[test]
fn each_way_leads_where_it_says() {
    let own = ["before one", "after one", "before two", "after two"];
    let with = ["before one", "in one", "after one", "before two", "in two", "after two"];
    for (ways, stdout, stderr) in [
        ("inherit inherit", &with[..], &["in one", "in two", "heard 0 and 0"][..]),
        ("null null", &own, &["heard 0 and 0"]),
        ("capture capture", &own, &["heard 2 and 2"]),
        ("tee tee", &with, &["in one", "in two", "heard 2 and 2"]),
        ("tee null", &with, &["heard 2 and 0"]),
        ("null tee", &own, &["in one", "in two", "heard 0 and 2"]),
        ("inherit capture", &with, &["heard 0 and 2"]),
    ] {
        let (out, err) = printed("a_program_that_prints", ways, &["before", "in ", "after", "heard"]);
        assert_eq!(
            (&out[..], &err[..]),
            (
                &stdout.iter().map(|line| line.to_string()).collect::<Vec<_>>()[..],
                &stderr.iter().map(|line| line.to_string()).collect::<Vec<_>>()[..]
            ),
            "{ways}"
        );
    }
}

fn print_numbered(from: u32, lines: u32) {
    let text: String = (from..from + lines).map(|n| format!("line {n} {}\n", "x".repeat(90))).collect();
    print!("{text}");
}

const MANY: u32 = 30_000;

part! {
    /// A program whose output nobody reads, for now.
    fn a_program_that_nobody_reads(gate: String) {
        // libtest has begun a line.
        println!();
        runtime().block_on(async {
            let meet = async |word| {
                let gate = gate.clone();
                tokio::task::spawn_blocking(move || visit(gate, word)).await.unwrap();
            };
            let pool = Pool::builder().workers(2).stdout(Stdio::Tee).build().unwrap();
            pool.run(call!(print_numbered(0, MANY))).await.unwrap();
            meet(1).await;
            pool.run(call!(print_numbered(MANY, 1))).await.unwrap();
            meet(2).await;
            pool.run(call!(print_numbered(0, MANY))).await.unwrap();
            pool.shutdown().await.unwrap();
            meet(3).await;
        });
    }
}

test! {
    async fn a_reader_who_does_not_read_holds_up_neither_tasks_nor_shutdown() {
        let gate = Gate::new();
        let (stdout, to_stdout) = std::io::pipe().unwrap();
        let mut command = Part::command(std::env::current_exe().unwrap(), "a_program_that_nobody_reads", &gate.path());
        let mut part = Part::spawn(command.stdout(to_stdout));
        drop(command);
        // All its lines are printed, and its result has come.
        let first = gate.arrival().await;
        assert_eq!(first.word, 1);
        let (lines, stdout) = tokio::task::spawn_blocking(move || {
            let mut reader = std::io::BufReader::new(stdout);
            let mut lines = Vec::new();
            let mut is_over = false;
            while !is_over {
                let mut line = String::new();
                std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
                is_over = line.contains("dropped here");
                lines.push(line);
            }
            (lines, reader)
        }).await.unwrap();
        let start = lines.iter().position(|line| line.starts_with("line ")).unwrap();
        let (note, lines) = lines[start..].split_last().unwrap();
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("line {n} {}\n", "x".repeat(90)), "whole, and in order");
        }
        let dropped = u32::try_from(MANY as usize - lines.len()).unwrap();
        assert_eq!(*note, format!("procpool: {dropped} lines of workers dropped here: nobody read them\n"));
        first.release().await;
        // Somebody reads again, and so it goes on.
        let second = gate.arrival().await;
        assert_eq!(second.word, 2);
        let stdout = tokio::task::spawn_blocking(move || {
            let mut reader = stdout;
            let mut line = String::new();
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
            assert!(line.starts_with(&format!("line {MANY} ")), "{line}");
            reader
        }).await.unwrap();
        second.release().await;
        // The pool has ended, with a full pipe.
        let third = gate.arrival().await;
        assert_eq!(third.word, 3);
        third.release().await;
        // What libtest says at the end needs room, too.
        let ended = tokio::task::spawn_blocking(move || {
            let mut reader = stdout;
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            part.end()
        });
        assert!(ended.await.unwrap().success());
    }
}

test! {
    async fn a_pool_that_passes_on_leaves_no_thread_and_no_descriptor() {
        for _ in 0..3 {
            let pool = Pool::builder().workers(2).stdout(Stdio::Tee).stderr(Stdio::Tee).build().unwrap();
            pool.run(call!(print("passed on\n".to_string(), "passed on\n".to_string()))).await.unwrap();
            pool.shutdown().await.unwrap();
        }
    }
}

test! {
    async fn threads_print_where_the_program_prints() {
        let heard = Heard::start();
        let pool = Pool::builder().workers(1).in_process().stdout(Stdio::Null).stderr(Stdio::Capture).build().unwrap();
        pool.run(call!(print("from a thread\n".to_string(), "from a thread\n".to_string()))).await.unwrap();
        assert_eq!(heard.lines(), []);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_fountain_that_lives_on_with_its_worker_is_slowed_by_its_own_pipe() {
        let pool = captured(1);
        let fountain = pool.run(call!(start_a_fountain())).await.unwrap();
        for _ in 0..50 {
            assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        }
        send(Signal::KILL, fountain);
        ended(fountain).await;
        pool.shutdown().await.unwrap();
    }
}

/// Starts something that prints for ever, and returns.
fn start_a_fountain() -> u32 {
    Command::new("yes").spawn().unwrap().id()
}
