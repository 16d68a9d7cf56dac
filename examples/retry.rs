//! When to try again: by the pool when a worker died, by the caller when the error allows it, and when not.

use std::time::Duration;

use procpool::{ErrorKind, Job, Pool, RunError, Started, call, current};

/// A native decoder with a bug that hits now and then. (The attempt stands in for bad luck, so that this program prints
/// the same every time.)
fn decode(page: u32, bad_luck: u32) -> String {
    if current().attempt().unwrap_or(1) <= bad_luck {
        std::process::abort();
    }
    format!("page {page}, at attempt {}", current().attempt().unwrap_or(1))
}

fn refuse(page: u32) -> String {
    panic!("page {page} is no page");
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder().workers(2).build()?;

    // The pool itself tries again when the *worker died*: nobody else can know that it did.
    let text = pool.run(call!(decode(1, 2))).retries(3).await?;
    println!("{text}");
    assert_eq!(text, "page 1, at attempt 3");

    // When all attempts are used up the error says how many there were, and that the last one had begun.
    let error = expect_error(pool.run(call!(decode(2, u32::MAX))).retries(2).await);
    println!("{error} ({} attempts)", error.attempts());
    assert_eq!((error.kind(), error.attempts(), error.started()), (ErrorKind::WorkerDied, 3, Started::Yes));

    // A panic is the task's own answer, the same every time: it is not tried again.
    let error = expect_error(pool.run(call!(refuse(3))).retries(5).await);
    println!("{error} ({} attempt)", error.attempts());
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Panicked, 1));

    // Anything beyond that is the caller's to say, with a job made anew for each attempt, and a pause of its own.
    let mut attempt = 0;
    let text = with_backoff(&pool, 4, || {
        attempt += 1;
        call!(decode(4, if attempt < 3 { u32::MAX } else { 0 }))
    })
    .await?;
    println!("{text}, in the caller's attempt {attempt}");
    assert_eq!(attempt, 3);

    let report = pool.shutdown().await?;
    println!(
        "{} tasks: {} values, {} crashes, {} attempts more",
        report.submitted, report.succeeded, report.crashed, report.retried
    );
    Ok(())
}

/// Runs a job until it gives a value: at most `attempts` times, with pauses that double. What had not started may always
/// be tried again; what had may have left traces, which `decode` does not.
async fn with_backoff<J: Job>(pool: &Pool, attempts: u32, mut job: impl FnMut() -> J) -> Result<J::Output, RunError> {
    let mut pause = Duration::from_millis(10);
    let mut attempt = 1;
    loop {
        let error = match pool.run(job()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let worth_it = error.started() == Started::No || error.kind() == ErrorKind::WorkerDied;
        if attempt == attempts || !worth_it {
            return Err(error);
        }
        attempt += 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

fn expect_error<T>(result: Result<T, RunError>) -> RunError {
    match result {
        Ok(_) => unreachable!("this one cannot succeed"),
        Err(error) => error,
    }
}
