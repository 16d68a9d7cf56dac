//! A program that forgot `procpool::init()`. Built by `entry.rs` in a crate of its own.

use procpool::{ErrorKind, Pool, PoolErrorKind, Process, Started, call, spawn_blocking_process};

fn seven() -> u32 {
    7
}

fn children() -> String {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default())
        .collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pool = Pool::new().map(drop).expect_err("a pool without init()");
    let process = Process::spawn(call!(seven())).map(drop).expect_err("a process without init()");
    for error in [pool, process] {
        assert_eq!(error.kind(), PoolErrorKind::NotInitialised);
        let text = error.to_string();
        assert!(text.contains("procpool::init()") && text.contains("#[procpool::main]"), "{text}");
    }
    let error = spawn_blocking_process(call!(seven())).await.expect_err("a global pool without init()");
    assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
    assert!(error.to_string().contains("procpool::init()"), "{error}");
    // Threads need no workers.
    assert_eq!(Pool::in_process().unwrap().run(call!(seven())).await.unwrap(), 7);
    assert_eq!(children(), "", "no process is started");
    println!("no process was started");
}
