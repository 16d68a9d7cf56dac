//! What surrounds a worker: the programs that tasks start, pipes, the file of the executable.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use procpool::{ErrorKind, Pool, call};
use procpool_tests::tasks::{leave, pid};
use procpool_tests::{
    Gate, Part, Signal, ended, part, send, start_idler, start_something_and_spin, test, visit, watched,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What requests to end do to a program that a task starts: the signals that ended it, and those that it ignores or
/// that are blocked in it.
fn ends_of_what_tasks_start() -> (Vec<Option<i32>>, u64) {
    let signals = [Signal::TERM, Signal::INT, Signal::HUP, Signal::PIPE];
    let ends = signals.map(|signal| {
        let mut child = start_idler();
        send(signal, child.id());
        child.wait().unwrap().signal()
    });
    let mut child = start_idler();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigBlk:").or(line.strip_prefix("SigIgn:")));
    (ends.to_vec(), masks.map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap()).fold(0, |all, mask| all | mask))
}

test! {
    async fn what_tasks_start_has_default_signals() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let (ends, masks) = pool.run(call!(ends_of_what_tasks_start())).await.unwrap();
        assert_eq!(ends, [Some(15), Some(2), Some(1), Some(13)]);
        let requests = [15, 2, 1, 17].iter().fold(0u64, |all, signal| all | 1 << (signal - 1));
        assert_eq!(masks & requests, 0, "nothing is ignored or blocked: {masks:x}");
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn what_tasks_start_dies_with_the_worker() {
        let gate = Gate::new();
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        for by_limit in [true, false] {
            let path = gate.path();
            let run = pool.run(call!(start_something_and_spin(path, false))).timeout(match by_limit {
                true => Duration::from_millis(300),
                false => Duration::from_secs(3600),
            });
            let run = tokio::spawn(run);
            let visitor = gate.arrival().await;
            let (worker, started) = (visitor.pid, u32::try_from(visitor.word).unwrap());
            if !by_limit {
                send(Signal::KILL, worker);
            }
            let error = run.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), if by_limit { ErrorKind::TimedOut } else { ErrorKind::WorkerDied });
            ended(started).await;
        }
        pool.shutdown().await.unwrap();
    }
}

/// Writes where nobody reads.
fn write_into_nothing() -> bool {
    let (reader, mut writer) = std::io::pipe().unwrap();
    drop(reader);
    let error = std::io::Write::write_all(&mut writer, b"hello").unwrap_err();
    error.kind() == std::io::ErrorKind::BrokenPipe
}

test! {
    async fn broken_pipes_are_errors_in_tasks() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        assert!(pool.run(call!(write_into_nothing())).await.unwrap());
        send(Signal::PIPE, worker);
        assert_eq!(pool.run(call!(pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

part! {
    /// A service whose executable is deleted or replaced while it runs.
    fn a_service_that_is_upgraded(gate: String) {
        runtime().block_on(async {
            let pool = Pool::builder().workers(1).build().unwrap();
            let mut workers = Vec::new();
            for word in 0..3 {
                // The test changes the file while this waits.
                let path = gate.clone();
                tokio::task::spawn_blocking(move || visit(path, word)).await.unwrap();
                workers.push(pool.run(call!(pid())).await.unwrap());
                pool.run(call!(leave(0))).await.unwrap_err();
            }
            workers.dedup();
            let path = gate.clone();
            tokio::task::spawn_blocking(move || visit(path, workers.len() as u64)).await.unwrap();
            pool.shutdown().await.unwrap();
        });
    }
}

/// A copy of this test program, removed when dropped.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

test! {
    async fn workers_start_when_the_executable_is_gone_or_another() {
        let gate = Gate::new();
        let copy = Copy(std::env::temp_dir().join(format!("procpool-{}-program", std::process::id())));
        std::fs::copy(std::env::current_exe().unwrap(), &copy.0).unwrap();
        let mut service = Part::spawn(&mut Part::command(&copy.0, "a_service_that_is_upgraded", &gate.path()));
        gate.arrival().await.release().await;
        let second = gate.arrival().await;
        std::fs::remove_file(&copy.0).unwrap();
        second.release().await;
        let third = gate.arrival().await;
        std::fs::write(&copy.0, "#!/bin/sh\nexit 3\n").unwrap();
        third.release().await;
        let told = gate.arrival().await;
        assert_eq!(told.word, 3, "three workers, all of the program that started them");
        told.release().await;
        assert!(service.end().success());
    }
}
