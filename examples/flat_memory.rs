//! A map over ten million items that are made as they are needed, with a consumer that is slower than the workers: the
//! memory of this process stays where it was. Prints it, and fails if it has grown.
//!
//! ```text
//! cargo run --release --example flat_memory -- [--items N] [--most MIB]
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use procpool::Pool;

/// Kept, ten million of these would be a gigabyte.
fn item(n: u64) -> String {
    format!("item {n:>10}, with some words so that it would be missed: memory")
}

/// Runs in a worker.
fn reverse(text: String) -> String {
    text.chars().rev().collect()
}

/// The consumer stops after so many results …
const A_WHILE: u64 = 1000;
/// … for so long.
const PAUSE: Duration = Duration::from_millis(10);

/// Resident memory of this process, in MiB.
fn resident() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn work_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

async fn run(items: u64, most: f64) -> Result<ExitCode, Box<dyn Error>> {
    let pool = Pool::new()?;
    pool.ready().await?;
    let before = resident()?;
    println!("before: {before:.1} MiB");
    let start = Instant::now();
    let mut results = pool.map(reverse, (0..items).map(item));
    let (mut highest, mut waited_for_us) = (before, 0u64);
    for n in 0..items {
        let result = match results.next().now_or_never() {
            Some(result) => {
                waited_for_us += 1;
                result
            }
            None => results.next().await,
        };
        let result = result.ok_or("too few results")??;
        if !result.ends_with(" meti") {
            return Err(format!("item {n} became {result}").into());
        }
        if n % A_WHILE == 0 {
            work_for(PAUSE);
            highest = highest.max(resident()?);
        }
        if (n + 1) % (items / 10).max(1) == 0 {
            let rate = (n + 1) as f64 / start.elapsed().as_secs_f64();
            println!("after {:>9}: {:.1} MiB, {rate:.0} items a second", n + 1, resident()?);
        }
    }
    if results.next().await.is_some() {
        return Err("too many results".into());
    }
    drop(results);
    pool.shutdown().await?;
    println!(
        "{:.0} % of the results were there before they were asked for",
        100.0 * waited_for_us as f64 / items as f64
    );
    println!("at the end: {:.1} MiB; at most {:.1} MiB more than before", resident()?, highest - before);
    Ok(if highest - before <= most { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[procpool::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut items, mut most) = (10_000_000, 16.0);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or("usage: flat_memory [--items N] [--most MIB]")?;
        match &*arg {
            "--items" => items = value.parse()?,
            "--most" => most = value.parse()?,
            _ => return Err(format!("unknown option {arg}").into()),
        }
    }
    run(items, most).await
}
