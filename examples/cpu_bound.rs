//! The same CPU-bound work three times: alone, on threads (`spawn_blocking`), on processes (`procpool`).
//!
//! ```text
//! cargo run --release --example cpu_bound -- [TASKS] [SIZE]
//! ```
//!
//! Threads and processes take the same time: what processes add is microseconds a task, and for that the work can be
//! stopped and may crash. The ratios are printed, and that all three give the same answer is checked.

use std::error::Error;
use std::time::{Duration, Instant};

use procpool::Pool;

/// The longest Collatz chain that begins below `end`, from `start` on: arithmetic, and nothing to wait for.
fn longest_chain((start, end): (u64, u64)) -> (u32, u64) {
    let chain = |n: u64| {
        let (mut x, mut steps) = (n, 0);
        while x > 1 {
            x = if x.is_multiple_of(2) { x / 2 } else { 3 * x + 1 };
            steps += 1;
        }
        steps
    };
    (start..end).map(|n| (chain(n), n)).max().unwrap_or_default()
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let tasks = numbers.next().transpose()?.unwrap_or(64).max(1);
    let size = numbers.next().transpose()?.unwrap_or(20_000).max(1);
    let work = || (0..tasks).map(move |task| (task * size + 1, (task + 1) * size + 1));
    let cores = std::thread::available_parallelism()?.get();
    println!("{tasks} tasks of {size} numbers each, {cores} cores");

    let (alone, alone_took) = timed(async { Ok(work().map(longest_chain).collect::<Vec<_>>()) }).await?;
    println!("alone      {alone_took:>9.1?}");

    let (threads, took) = timed(async {
        let handles: Vec<_> = work().map(|range| tokio::task::spawn_blocking(move || longest_chain(range))).collect();
        Ok(futures::future::try_join_all(handles).await?)
    })
    .await?;
    println!("threads    {took:>9.1?}  {:.2} times as fast", speed_up(alone_took, took));

    let pool = Pool::new()?;
    pool.ready().await?; // the start of the workers is not the subject here
    let (processes, took) = timed(async { Ok(pool.map(longest_chain, work()).await?) }).await?;
    println!("processes  {took:>9.1?}  {:.2} times as fast", speed_up(alone_took, took));
    pool.shutdown().await?;

    assert_eq!(threads, alone);
    assert_eq!(processes, alone);
    let (steps, start) = alone.into_iter().max().unwrap_or_default();
    println!("all three agree: the longest chain has {steps} steps and begins at {start}");
    Ok(())
}

async fn timed<T>(work: impl Future<Output = Result<T, Box<dyn Error>>>) -> Result<(T, Duration), Box<dyn Error>> {
    let started = Instant::now();
    let result = work.await?;
    Ok((result, started.elapsed()))
}

fn speed_up(alone: Duration, took: Duration) -> f64 {
    alone.as_secs_f64() / took.as_secs_f64()
}
