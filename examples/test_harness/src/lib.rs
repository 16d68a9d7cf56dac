//! A small service with a pool inside. How it is tested is in `tests/service.rs`: with plain `#[tokio::test]`s.

use std::time::Duration;

use procpool::{Pool, PoolError, RunError, call};

/// How long one expression may take.
const LIMIT: Duration = Duration::from_millis(500);

/// Evaluates sums that strangers send: each in a worker process, so that one that crashes or never ends costs its
/// sender an error, and nobody else anything.
#[derive(Clone, Debug)]
pub struct Calculator {
    pool: Pool,
}

impl Calculator {
    /// On this pool; a test may hand in [`Pool::in_process`].
    pub fn new(pool: Pool) -> Self {
        Calculator { pool }
    }

    /// The sum, or what is wrong with it, or why there is no answer at all.
    ///
    /// # Errors
    /// The outer error is about the process: the limit was passed, it crashed. The inner one is about the expression.
    pub async fn evaluate(&self, expression: &str) -> Result<Result<i64, String>, RunError> {
        self.pool.run(call!(evaluate(expression.to_owned()))).timeout(LIMIT).await
    }

    /// Finishes what is under way.
    ///
    /// # Errors
    /// As [`Pool::shutdown`].
    pub async fn shutdown(&self) -> Result<(), PoolError> {
        self.pool.shutdown().await.map(drop)
    }
}

/// Runs in a worker. The words are bugs that were found in it, and kept for the tests.
fn evaluate(expression: String) -> Result<i64, String> {
    match expression.as_str() {
        "crash" => std::process::abort(),
        "spin" => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
    let terms = expression.split('+').map(str::trim);
    let mut sum = 0i64;
    for term in terms {
        let value: i64 = term.parse().map_err(|error| format!("`{term}`: {error}"))?;
        sum = sum.checked_add(value).ok_or("the sum is too large")?;
    }
    Ok(sum)
}
