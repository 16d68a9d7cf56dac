//! Multiprocessing for async Rust: await a function in a child process, and trust what happens.
//!
//! A tokio program awaits `pool.run(call!(f(x)))`, and `f` runs in a worker process. The work can be stopped, may
//! crash, and cannot take the program with it: a segfault, an endless loop or an `exit()` costs one task. Use it for
//! work that must be stoppable, for native code that may crash or leak, and for libraries with global state. Work that
//! needs none of this is cheaper on threads.
//!
//! What follows is a tour. The reasons are in the repository's `docs/`: architecture, protocol, failure semantics,
//! performance.
//!
//! # The first program
//!
//! ```standalone_crate
//! use procpool::{Pool, call};
//!
//! fn power(x: u64) -> u128 {
//!     (x as u128).pow(x as u32)
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Pool::new()?; // one worker a core, started when needed
//!     let y = pool.run(call!(power(4))).await?; // runs in a child process
//!     assert_eq!(y, 256);
//!     pool.shutdown().await?;
//!     Ok(())
//! }
//! ```
//!
//! Nothing is registered. Workers are this same executable, started again: [`#[procpool::main]`](macro@main) is
//! [`init()`] and then `#[tokio::main]`, and in a worker `init()` turns off into the work and never returns. A program
//! that does not call it gets an error when it makes a pool, and no process is started.
//!
//! # Jobs: what can run
//!
//! - [`call!`] makes a job of any function call. Arguments are evaluated here and travel; `&name` and `&v[1..]` travel
//!   as copies and are lent to the function over there.
//! - [`#[procpool::task]`](macro@task) makes a type of a function, so that `cube { x: 3 }` is a job.
//! - A type that implements [`Task`] is a job.
//!
//! ```standalone_crate
//! use procpool::{Pool, Task, call};
//! use serde::{Deserialize, Serialize};
//!
//! fn cut(text: &str, len: usize) -> String {
//!     text.chars().take(len).collect()
//! }
//!
//! #[procpool::task]
//! fn cube(x: u64) -> u64 {
//!     x * x * x
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Scale {
//!     values: Vec<f64>,
//!     by: f64,
//! }
//!
//! impl Task for Scale {
//!     type Output = Vec<f64>;
//!
//!     fn run(self) -> Vec<f64> {
//!         self.values.iter().map(|value| value * self.by).collect()
//!     }
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), procpool::RunError> {
//!     let pool = Pool::builder().workers(1).build().unwrap();
//!     let title = String::from("multiprocessing");
//!     assert_eq!(pool.run(call!(cut(&title, 5))).await?, "multi");
//!     assert_eq!(pool.run(cube { x: 3 }).await?, 27);
//!     assert_eq!(pool.run(Scale { values: vec![1.0, 2.0], by: 1.5 }).await?, [1.5, 3.0]);
//!     Ok(())
//! }
//! ```
//!
//! # Values: what can travel
//!
//! Arguments and results are [`Ship`]: owned, `Send`, with serde's `Serialize` and `Deserialize`. A value never arrives
//! changed: what the encoding cannot carry faithfully is an error ([`CodecError`]) that names type and field and says
//! what to do. `#[serde(flatten)]`, `untagged` and `serde_json::Value` need [`Json`], which carries its value as JSON.
//!
//! `io::Error` and its kin do not serialise. [`AnyError`] takes any error by `?`, and carries the messages of its
//! chain:
//!
//! ```no_run
//! use procpool::{AnyError, Pool, call};
//!
//! fn lines(path: &str) -> Result<usize, AnyError> {
//!     Ok(std::fs::read_to_string(path)?.lines().count())
//! }
//!
//! async fn count(pool: &Pool) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
//!     Ok(pool.run(call!(lines("/etc/hosts"))).await??) // the first ? is about the process, the second about the file
//! }
//! ```
//!
//! A whole argument or result that is a `Vec<u8>`, `String` or `Bytes` is copied as it is; bytes inside other types are
//! faster with `serde_bytes`. Neither may be larger than [`max_message`](PoolBuilder::max_message).
//!
//! # Run and its options
//!
//! [`Pool::run`] gives a [`Run`]: a plain future, inert until it is polled. The first poll encodes and hands the task
//! over; from then on it goes on by itself. Dropping the `Run` stops the work.
//!
//! ```no_run
//! # async fn f(pool: procpool::Pool, stop: tokio_util::sync::CancellationToken) -> Result<(), procpool::RunError> {
//! # fn render(page: u32) -> Vec<u8> { vec![] }
//! use std::time::Duration;
//!
//! let picture = pool
//!     .run(procpool::call!(render(7)))
//!     .timeout(Duration::from_secs(2)) // of running, from its start
//!     .queue_timeout(Duration::from_secs(10)) // of waiting before it
//!     .priority(1) // before those with 0
//!     .retries(1) // if its worker dies
//!     .cancel_on(&stop) // a token of tokio-util
//!     .grace(Duration::from_millis(100)) // between being told to stop and being killed
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! Whoever waits gains one level of priority for each interval of [`ageing`](PoolBuilder::ageing), so nobody waits for
//! ever. When the queue is full `run` waits for a place, and [`try_run`](Pool::try_run) says
//! [`QueueFull`](ErrorKind::QueueFull). [`reserve`](Pool::reserve) waits for a place before the input is even read:
//!
//! ```no_run
//! # async fn f(pool: procpool::Pool, urls: Vec<String>) -> Result<(), procpool::RunError> {
//! # async fn fetch(url: &str) -> Vec<u8> { vec![] }
//! # fn parse(page: Vec<u8>) -> usize { page.len() }
//! for url in urls {
//!     let permit = pool.reserve().await?;
//!     let page = fetch(&url).await;
//!     drop(permit.spawn(procpool::call!(parse(page))));
//! }
//! # Ok(()) }
//! ```
//!
//! # Spawning
//!
//! [`Pool::spawn`] starts a task now and gives a [`JoinHandle`]: await it, `abort()` it, or drop it to let the task go
//! on. [`spawn_blocking_process`] does so on a global pool, from any runtime or none.
//!
//! # Many items
//!
//! [`map`](Pool::map) calls a function for each item of an iterator, which may be endless: items are taken as there is
//! room in a window. Awaited, it gives a `Vec` in order, or the first error; as a `Stream` it gives a `Result` an item.
//! What every call needs goes into [`map_with`](Pool::map_with); anything else is [`run_all`](Pool::run_all) with an
//! iterator of jobs. Items also come from streams ([`map_stream`](Pool::map_stream)) and from inputs that can fail
//! ([`try_map`](Pool::try_map)). A [`Map`] has the options of a `Run` for each item, and some of its own.
//!
//! ```standalone_crate
//! use std::time::Duration;
//!
//! use futures::StreamExt;
//! use procpool::{Pool, call};
//!
//! fn power(x: u64) -> u128 {
//!     (x as u128).pow(x as u32)
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), procpool::RunError> {
//!     let pool = Pool::builder().workers(2).build().unwrap();
//!     assert_eq!(pool.map(power, [4, 2, 3]).await?, [256, 4, 27]);
//!     assert_eq!(pool.map_with(300, |add: &u64, x: u64| add + x, 0..3).await?, [300, 301, 302]);
//!
//!     let names = ["ab".to_string(), "cde".to_string()];
//!     let lengths = pool.run_all(names.iter().map(|name| call!(str::len(&name[..])))).await?;
//!     assert_eq!(lengths, [2, 3]);
//!
//!     let mut squares = pool.map(|x: u64| x * x, 0..).take(3); // an endless input
//!     while let Some(square) = squares.next().await {
//!         println!("{}", square?);
//!     }
//!
//!     let words = futures::stream::iter(["one", "two", "three"]).map(String::from);
//!     let lengths = pool
//!         .map_stream(|word: String| word.len(), words)
//!         .unordered() // results as they come
//!         .window(100) // items on their way, results that were not taken included
//!         .timeout(Duration::from_secs(1)) // for each item
//!         .deadline(Duration::from_secs(60)) // for all of them
//!         .on_progress(|p| eprintln!("{} done, {} failed, {:.0} a second", p.done, p.failed, p.rate()))
//!         .collect::<Vec<_>>() // every result and every error; awaited as it is, it stops at the first error
//!         .await;
//!     assert_eq!(lengths.len(), 3);
//!     Ok(())
//! }
//! ```
//!
//! # State in the workers, and values for all of them
//!
//! A worker can have a state: a model, a connection, a cache. [`build_with_state`](PoolBuilder::build_with_state) and
//! [`try_build_with_state`](PoolBuilder::try_build_with_state) give a [`StatePool`]: the state is made in each worker
//! before its first task, never travels, and is lent to tasks as `&mut`. [`Pool::shared`] is for what all tasks read: a
//! value that is sent to each worker once and then only named ([`Shared`]).
//!
//! ```standalone_crate
//! use procpool::{AnyError, Pool, Shared};
//!
//! struct Model {
//!     scale: u64,
//!     calls: u64,
//! }
//!
//! fn load(scale: String) -> Result<Model, AnyError> {
//!     Ok(Model { scale: scale.parse()?, calls: 0 }) // in the worker; an `Err` is a failed start
//! }
//!
//! fn predict(model: &mut Model, (table, x): (Shared<Vec<u64>>, usize)) -> u64 {
//!     model.calls += 1;
//!     table[x] * model.scale
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let models = Pool::builder().workers(2).try_build_with_state(load, "3".to_string())?;
//!     let table = models.pool().shared(vec![5, 6, 7])?;
//!     assert_eq!(models.run(predict, (table.clone(), 0)).await?, 15);
//!     assert_eq!(models.map(predict, [1, 2].map(|x| (table.clone(), x))).await?, [18, 21]);
//!     Ok(())
//! }
//! ```
//!
//! # One process for one call
//!
//! [`Process`] is a fresh process for one call, with its pid, its exit status and its result.
//!
//! ```standalone_crate
//! use procpool::{Exit, Process, call};
//!
//! fn power(x: u64) -> u128 {
//!     (x as u128).pow(x as u32)
//! }
//!
//! fn leave(code: i32) {
//!     std::process::exit(code);
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let process = Process::spawn(call!(power(4)))?;
//!     println!("process {}", process.id());
//!     assert_eq!(process.join().await?, 256);
//!
//!     let process = Process::spawn(call!(leave(3)))?;
//!     assert_eq!(process.wait().await, Exit::Code(3));
//!     assert_eq!(process.join().await.unwrap_err().exit(), Some(Exit::Code(3)));
//!     Ok(())
//! }
//! ```
//!
//! # Queues
//!
//! [`queue::bounded`] makes one between processes: its handles travel. [`channel::duplex`] is a link with two ends.
//!
//! ```no_run
//! # async fn f(pool: procpool::Pool) -> Result<(), Box<dyn std::error::Error>> {
//! # fn crawl(_: procpool::queue::Sender<String>) {}
//! let (sender, receiver) = procpool::queue::bounded(100);
//! let crawling = pool.spawn(procpool::call!(crawl(sender)));
//! while let Ok(page) = receiver.recv().await { println!("{page}"); } // until no sender is left
//! # Ok(crawling.await?) }
//! ```
//!
//! # Who am I
//!
//! [`current()`] says which worker runs this code, in which process, on which task and attempt, and whether the task
//! was asked to stop. It works everywhere; in the program itself the name is `main`.
//!
//! ```
//! fn search(limit: u64) -> Option<u64> {
//!     let me = procpool::current();
//!     (0..limit).take_while(|_| !me.is_cancelled()).find(|n| n * n > 5000)
//! }
//! # assert_eq!(search(100), Some(71));
//! ```
//!
//! # Pools
//!
//! [`Pool::builder`] has the settings. A pool starts workers when tasks need them; [`ready`](Pool::ready) starts them
//! ahead. [`resize`](Pool::resize) changes the size, [`snapshot`](Pool::snapshot) shows who runs what and what waits,
//! and [`shutdown`](Pool::shutdown) finishes what was handed over, ends the workers and says what became of every task.
//!
//! ```standalone_crate
//! use std::time::Duration;
//!
//! use procpool::{Pool, Shutdown, Stdio, call};
//!
//! fn set_up(scale: u64) -> Result<(), String> {
//!     if scale == 0 { Err("the scale is 0".into()) } else { Ok(()) }
//! }
//!
//! fn spin() {
//!     loop {
//!         std::hint::spin_loop();
//!     }
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Pool::builder()
//!         .workers(1..=2) // grows when tasks wait
//!         .idle_timeout(Duration::from_secs(30)) // and shrinks
//!         .max_tasks(1000) // then a worker is replaced
//!         .init(call!(set_up(3))) // in each worker, before its first task
//!         .stderr(Stdio::Capture) // lines to tracing; the last ones in errors
//!         .build()?;
//!     pool.ready().await?;
//!     pool.resize(1..=4)?;
//!     println!("{}", pool.snapshot());
//!
//!     let task = pool.spawn(call!(spin()));
//!     let report = pool.shutdown_with(Shutdown::Kill).await?;
//!     assert!(task.await.is_err());
//!     assert_eq!((report.submitted, report.dropped), (1, 1));
//!     Ok(())
//! }
//! ```
//!
//! [`stats`](Pool::stats) tells what a pool has done, in numbers that agree with the final report, and
//! [`events`](Pool::events) is a stream of what happens: workers that start, get ready and end, and why.
//!
//! ```standalone_crate
//! use futures::StreamExt;
//! use procpool::{Event, Pool, WorkerEnd, call};
//!
//! fn crash() {
//!     std::process::abort();
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Pool::builder().workers(1).build()?;
//!     let mut events = pool.events();
//!     assert!(pool.run(call!(crash())).await.is_err());
//!     pool.shutdown().await?;
//!     while let Some(event) = events.next().await {
//!         if let Event::WorkerEnded { worker, why: WorkerEnd::Died, detail, .. } = event {
//!             println!("{worker}: {detail}");
//!         }
//!     }
//!     let stats = pool.stats();
//!     assert_eq!((stats.report.crashed, stats.ended.died, stats.run.count()), (1, 1, 1));
//!     println!("{stats}");
//!     Ok(())
//! }
//! ```
//!
//! Dropping the last handle of a pool lets what was handed over finish, then ends the workers. When the runtime or the
//! program ends, workers are killed, with everything that they started and that stayed in their process group.
//!
//! [`PoolBuilder::program`] lets the workers run another program, which knows tasks made by
//! [`#[procpool::task]`](macro@task) by name.
//!
//! [`Pool::in_process()`] is the same API on threads: for tests, without the protection.
//!
//! # Errors
//!
//! A task gives a [`RunError`]: its [`kind`](RunError::kind), the facts (exit code or signal by name, the panic's
//! message and place, pid, worker, last lines of stderr), and [`started()`](RunError::started), which answers whether
//! the task may be tried again. A pool or a process gives a [`PoolError`]. A returned `Err` is a value.
//!
//! ```standalone_crate
//! use std::time::Duration;
//!
//! use procpool::{ErrorKind, Pool, Started, call};
//!
//! fn crash() {
//!     std::process::abort();
//! }
//!
//! fn spin() {
//!     loop {
//!         std::hint::spin_loop();
//!     }
//! }
//!
//! fn boom(x: u32) -> u32 {
//!     panic!("no {x} today");
//! }
//!
//! #[procpool::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Pool::builder().workers(1).build()?;
//!
//!     let error = pool.run(call!(crash())).await.unwrap_err();
//!     assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes));
//!     assert_eq!(error.exit().and_then(|exit| exit.signal_name()), Some("SIGABRT"));
//!
//!     let error = pool.run(call!(spin())).timeout(Duration::from_millis(50)).await.unwrap_err();
//!     assert!(error.is_timeout()); // and it has stopped
//!
//!     let error = pool.run(call!(boom(7))).await.unwrap_err();
//!     assert_eq!(error.panic().map(|panic| panic.message()), Some("no 7 today"));
//!
//!     assert_eq!(pool.run(call!(str::len("fine"))).await?, 4); // the pool goes on
//!     Ok(())
//! }
//! ```
//!
//! # In a program, and in its tests
//!
//! `init()` is the first statement of `main`, or [`#[procpool::main]`](macro@main) calls it. What comes before it, and
//! code that runs before `main`, happens in every worker as well.
//!
//! In tests nothing needs to be called: with the feature `test-harness` in the dev-dependencies a plain
//! `#[tokio::test]` can use pools, under `cargo test` and nextest. Doctests that start workers need the attribute
//! `standalone_crate` and a `main` of their own that calls `init()`, as those on this page.
//!
//! ```toml
//! [dev-dependencies]
//! procpool = { version = "0.1", features = ["test-harness"] }
//! ```
//!
//! # Runtimes
//!
//! A pool belongs to the tokio runtime it was made in, on which its sockets are read: of either flavour, with I/O
//! enabled. It ends with it. Outside of a runtime [`Pool::new`] is an error that says so. The global pool and `Process`
//! have a runtime of their own. A `Pool` handle cannot travel; a task can make pools of its own, to a depth of ten.
//!
//! # What is traced
//!
//! Spans and events of `tracing`, with the targets `procpool::task`, `procpool::worker`, `procpool::pool`,
//! `procpool::queue` and, for captured lines, `procpool::stdout` and `procpool::stderr` ([`Stdio`]).
//!
//! # What it needs
//!
//! Linux 5.4 or newer with glibc, and `/proc`. Code in a `dlopen`ed plugin cannot run in a worker: the error says so.
//! Features: `test-harness` (above); `tower`, with which a pool is a `tower::Service` (`Pool::service`); and `anyhow`, with
//! which [`AnyError`] converts to and from `anyhow::Error`.

// The macros name the crate by `::procpool`, also in its own tests.
#[cfg(test)]
extern crate self as procpool;

mod backend;
pub mod channel;
mod config;
mod current;
mod entry;
mod error;
mod limits;
mod map;
mod panics;
mod pool;
mod process;
pub mod queue;
mod sandbox;
mod spare;
mod sync;
mod sys;
mod task;
mod wire;
mod worker;

pub use config::{Stdio, Workers};
pub use current::{Current, current};
pub use entry::{init, worker_main};
pub use error::{ErrorKind, Exit, PoolError, PoolErrorKind, RunError, Started, WorkerPanic};
pub use limits::Limits;
pub use map::{Fallible, Input, Map, MapFuture, Progress, ProgressStream, Streamed};
#[cfg(feature = "tower")]
pub use pool::PoolService;
pub use pool::{
    AbortHandle, EndCounts, Event, Events, Histogram, JoinHandle, Permit, Pool, PoolBuilder, QueueCall, Report,
    Reserve, Run, Shutdown, Snapshot, Spin, StatePool, Stats, TaskSnapshot, WaitReason, WorkerCounts, WorkerEnd,
    WorkerSnapshot, WorkerState, spawn_blocking_process,
};
pub use process::Process;
pub use procpool_macros::{main, task};
pub use sandbox::Sandbox;
pub use task::any_error::AnyError;
pub use task::codec::CodecError;
pub use task::json::Json;
pub use task::{Blob, Call, InitOutput, Job, Shared, Ship, Task};

/// What the macros expand to. Not part of the API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::task::{
        Borrowed, Lend, LendThrough, Lendable, Lent, Named, Parts, Registration, TASKS, assert_named, lend, travels,
    };
    pub use crate::task::{
        call_0, call_1, call_2, call_3, call_4, call_5, call_6, call_7, call_8, call_9, call_10, call_11, call_12,
    };
    pub use linkme;
    pub use procpool_macros::call_engine;
    pub use serde;
    pub use tokio;
}

/// The programs of the guides compile.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/from-spawn-blocking.md")]
    mod from_spawn_blocking {}

    #[doc = include_str!("../../../docs/guide/from-python.md")]
    mod from_python {}
}
