//! What a pool did, told when it ends.

/// What became of every task that was submitted, told by [`Pool::shutdown`](crate::Pool::shutdown).
///
/// The numbers add up: `submitted` is the sum of all the other task counts, which [`Report::balances`] checks.
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) -> Result<(), procpool::PoolError> {
/// let report = pool.shutdown().await?;
/// assert!(report.balances());
/// println!("{} of {} tasks gave a value", report.succeeded, report.submitted);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Tasks that were handed over. What failed before, such as arguments that cannot be encoded, is in no count.
    pub submitted: u64,
    /// Tasks that gave a value. (Whether the caller could decode it is not known to the pool.)
    pub succeeded: u64,
    /// Tasks that a worker answered with a failure: a panic, or a value that it could not encode or decode.
    pub failed: u64,
    /// Tasks that were cancelled by drop, abort or token.
    pub cancelled: u64,
    /// Tasks that ran, or waited, longer than their limit.
    pub timed_out: u64,
    /// Tasks whose worker died.
    pub crashed: u64,
    /// Tasks that were refused: the queue was full, or no worker could be started.
    pub refused: u64,
    /// Tasks that the shutdown dropped or killed, and those that came after it.
    pub dropped: u64,
    /// Attempts that were made because of `retries`, beyond each task's first.
    pub retried: u64,
    /// Workers that were started (each is also in `workers_ended` once the pool is closed).
    pub workers_started: u64,
    /// Workers that have ended.
    pub workers_ended: u64,
}

impl Report {
    /// Whether every submitted task is accounted for exactly once and every worker that was started has ended.
    #[must_use]
    pub fn balances(&self) -> bool {
        let outcomes =
            self.succeeded + self.failed + self.cancelled + self.timed_out + self.crashed + self.refused + self.dropped;
        self.submitted == outcomes && self.workers_started == self.workers_ended
    }

    /// What came since an earlier one of the same pool.
    pub(super) fn since(&self, earlier: &Report) -> Report {
        Report {
            submitted: self.submitted.saturating_sub(earlier.submitted),
            succeeded: self.succeeded.saturating_sub(earlier.succeeded),
            failed: self.failed.saturating_sub(earlier.failed),
            cancelled: self.cancelled.saturating_sub(earlier.cancelled),
            timed_out: self.timed_out.saturating_sub(earlier.timed_out),
            crashed: self.crashed.saturating_sub(earlier.crashed),
            refused: self.refused.saturating_sub(earlier.refused),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            retried: self.retried.saturating_sub(earlier.retried),
            workers_started: self.workers_started.saturating_sub(earlier.workers_started),
            workers_ended: self.workers_ended.saturating_sub(earlier.workers_ended),
        }
    }
}

/// How [`Pool::shutdown_with`](crate::Pool::shutdown_with) ends a pool.
///
/// ```
/// assert_eq!(procpool::Shutdown::default(), procpool::Shutdown::Drain);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Queued and running tasks finish.
    #[default]
    Drain,
    /// Like [`Drain`](Self::Drain), but what is left after this time is killed.
    DrainFor(std::time::Duration),
    /// Running tasks finish; queued ones are dropped with an error that says so.
    DropQueued,
    /// Everything is stopped now.
    Kill,
}
