//! Five tasks that would take a service down, each with the error that the caller sees instead; after each, the same
//! pool goes on.
//!
//! None of this can be done with threads: an endless thread cannot be stopped, and one that crashes or calls `exit`
//! takes all others along.

use std::error::Error;
use std::hint::{black_box, spin_loop};
use std::process::ExitCode;
use std::time::Duration;

use procpool::{Pool, Run, RunError, Started, Stdio, call, current};

fn never_ends() {
    loop {
        spin_loop();
    }
}

/// Stands for the bug in a C library.
fn segfaults() -> u8 {
    let nowhere = std::ptr::without_provenance::<u8>(8);
    #[expect(unsafe_code, reason = "safe code does not segfault")]
    // SAFETY: there is none, on purpose: nothing is ever mapped at address 8, so this read ends the process.
    unsafe {
        nowhere.read_volatile()
    }
}

/// A parser that recurses as deep as its input tells it to.
fn overflows(depth: u64) -> u64 {
    // The frame is kept from being optimised into a loop.
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX { 0 } else { 1 + overflows(depth + 1) + black_box(frame)[1] }
}

fn panics(numbers: &[u32]) -> u32 {
    numbers[7]
}

fn exits() {
    std::process::exit(0);
}

fn healthy(x: u64, y: u64) -> String {
    format!("{x} times {y} is {}, says {}", x * y, current())
}

#[procpool::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    // One worker, so that the task after a crash cannot simply run in another one. What a worker writes to stderr is
    // kept for the error instead of being mixed into this program's own.
    let pool = Pool::builder().workers(1).stderr(Stdio::Capture).build()?;
    let numbers = [1, 2, 3];

    let limit = Duration::from_millis(300);
    let mut surprises = 0;
    surprises += show(&pool, "never ends", pool.run(call!(never_ends())).timeout(limit)).await?;
    surprises += show(&pool, "segfaults", pool.run(call!(segfaults()))).await?;
    surprises += show(&pool, "overflows its stack", pool.run(call!(overflows(0)))).await?;
    surprises += show(&pool, "panics", pool.run(call!(panics(&numbers)))).await?;
    surprises += show(&pool, "calls exit(0)", pool.run(call!(exits()))).await?;

    pool.shutdown().await?;
    Ok(if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints how a bad task ended, then shows that the pool is none the worse for it. Gives the number of surprises: 1 if
/// the task came to a good end.
async fn show<R>(pool: &Pool, what: &str, run: Run<R>) -> Result<usize, RunError> {
    println!("A task that {what}:");
    let surprises = match run.await {
        Ok(_) => {
            println!("  no error, which is a surprise");
            1
        }
        Err(error) => {
            explain(&error);
            0
        }
    };
    println!("  next task: {}\n", pool.run(call!(healthy(6, 7))).await?);
    Ok(surprises)
}

fn explain(error: &RunError) {
    // What happened, to which task, in which worker. `{:#}` adds the place of the call and the worker's last words.
    println!("  {}", format!("{error:#}").replace('\n', "\n  "));
    println!(
        "  safe to run again: {}",
        match error.started() {
            Started::No => "yes, it never began",
            Started::Yes => "only if it may run twice, for it had begun",
            Started::Unknown => "unknown, for it may have begun",
        }
    );
}
