//! A program that forgot `procpool::init()`. Built by `entry.rs` in a crate of its own.

use procpool::{ErrorKind, Pool, PoolErrorKind, Process, Started, Stdio, call, spawn_blocking_process};
use without_init::double;

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

    // Another program can be a worker, which this one cannot.
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let pool = Pool::builder().workers(2).program(folder.join("worker")).build().unwrap();
    assert_eq!(pool.run(double { x: 21 }).await.unwrap(), 42);
    assert_eq!(pool.run_all((1..=4).map(|x| double { x })).await.unwrap(), [2, 4, 6, 8]);
    pool.shutdown().await.unwrap();
    println!("another program worked");

    // Neither this one nor one that forgot `init()`, too, starts workers that start workers …
    for path in ["/proc/self/exe".into(), std::env::current_exe().unwrap()] {
        let error = Pool::builder().program(path).build().map(drop).expect_err("its workers would run this main");
        assert_eq!(error.kind(), PoolErrorKind::NotInitialised);
    }
    let builder = Pool::builder().workers(1).stderr(Stdio::Capture);
    let pool = builder.program(folder.join("forgetful_worker")).build().unwrap();
    let error = pool.run(double { x: 21 }).await.expect_err("its workers are none");
    assert_eq!((error.kind(), error.started()), (ErrorKind::StartFailed, Started::No));
    assert_eq!(error.stderr(), ["refused: NotInitialised"]);
    let text = error.to_string();
    assert!(text.contains("forgetful_worker") && text.contains("procpool::init()"), "{text}");
    pool.shutdown().await.unwrap();
    println!("no worker of a worker was started");
}
