//! What a pool has done so far, in numbers.

use std::fmt;
use std::time::Duration;

use super::events::WorkerEnd;
use super::histogram::Histogram;
use super::report::Report;

/// What a pool has done so far, in numbers: made by [`Pool::stats`](crate::Pool::stats); printed, a small table.
///
/// Counts and times agree with each other: all are of one instant. What a pool did in the last minute, say, is the
/// difference between two of them: see [`since`](Self::since).
///
/// ```no_run
/// # fn f(pool: procpool::Pool, before: procpool::Stats) {
/// let now = pool.stats();
/// println!("{now}");
/// let recent = now.since(&before);
/// println!("{} tasks since then, {:.0} % busy", recent.report.submitted, recent.utilisation() * 100.0);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// How long ago the pool was made.
    pub age: Duration,
    /// What became of the tasks, and how many workers there were: what [`Pool::shutdown`](crate::Pool::shutdown) will
    /// report, as it is now. The tasks that are not over are in `submitted` alone, so it does not balance yet.
    pub report: Report,
    /// Tasks in the queue, those included that a worker has been given ahead, while it runs another.
    pub queued: usize,
    /// Tasks that wait for a place in the queue.
    pub waiting: usize,
    /// Tasks that a worker runs: at most one a worker.
    pub running: usize,
    /// The workers that there are.
    pub workers: WorkerCounts,
    /// The workers that have ended.
    pub ended: EndCounts,
    /// How long tasks waited for a worker, from their submission, all attempts of a task together. Also those that never
    /// got one; not those that were refused.
    pub wait: Histogram,
    /// How long workers had tasks, from the hand-over until the result was read, all attempts of a task together: the
    /// way there and back is in it. A task that was handed over ahead counts from the result before it; where several
    /// results are read at once, the first of them takes the time of all, so that the mean is right but quantiles of
    /// short tasks are not. Tasks that never began are not in it.
    pub run: Histogram,
    /// The time for which workers have had tasks, of all workers together.
    pub busy: Duration,
    /// The time for which workers were ready, with a task or without, of all workers together.
    pub ready: Duration,
}

/// How many workers of a pool do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerCounts {
    /// Being started, or running their `init` job.
    pub starting: u32,
    /// Waiting for a task.
    pub idle: u32,
    /// Having a task.
    pub busy: u32,
    /// Running their exit hook, or killed and not gone yet.
    pub ending: u32,
}

/// Why workers of a pool ended: how many for each [`WorkerEnd`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndCounts {
    /// See [`WorkerEnd::StartFailed`].
    pub start_failed: u64,
    /// See [`WorkerEnd::Recycled`].
    pub recycled: u64,
    /// See [`WorkerEnd::StateLost`].
    pub state_lost: u64,
    /// See [`WorkerEnd::Idle`].
    pub idle: u64,
    /// See [`WorkerEnd::Resized`].
    pub resized: u64,
    /// See [`WorkerEnd::Closed`].
    pub closed: u64,
    /// See [`WorkerEnd::Stopped`].
    pub stopped: u64,
    /// See [`WorkerEnd::Unresponsive`].
    pub unresponsive: u64,
    /// See [`WorkerEnd::Died`].
    pub died: u64,
}

impl Stats {
    /// The share of their time that workers had tasks, from 0 to 1. Starting and ending workers do not count; 0 if
    /// there was none.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        if self.ready.is_zero() { 0.0 } else { self.busy.as_secs_f64() / self.ready.as_secs_f64() }
    }

    /// What happened since `earlier`, which was read from the same pool before. Whatever is counted is the difference;
    /// `age` is the time between the two; `queued`, `waiting`, `running` and `workers` are as they are now.
    #[must_use]
    pub fn since(&self, earlier: &Stats) -> Stats {
        Stats {
            age: self.age.saturating_sub(earlier.age),
            report: self.report.since(&earlier.report),
            ended: self.ended.since(&earlier.ended),
            wait: self.wait.since(&earlier.wait),
            run: self.run.since(&earlier.run),
            busy: self.busy.saturating_sub(earlier.busy),
            ready: self.ready.saturating_sub(earlier.ready),
            ..*self
        }
    }
}

impl WorkerCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.starting + self.idle + self.busy + self.ending
    }
}

impl EndCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.each().iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn count(&mut self, why: WorkerEnd) {
        let count = match why {
            WorkerEnd::StartFailed => &mut self.start_failed,
            WorkerEnd::Recycled => &mut self.recycled,
            WorkerEnd::StateLost => &mut self.state_lost,
            WorkerEnd::Idle => &mut self.idle,
            WorkerEnd::Resized => &mut self.resized,
            WorkerEnd::Closed => &mut self.closed,
            WorkerEnd::Stopped => &mut self.stopped,
            WorkerEnd::Unresponsive => &mut self.unresponsive,
            WorkerEnd::Died => &mut self.died,
        };
        *count += 1;
    }

    fn each(&self) -> [(&'static str, u64); 9] {
        [
            ("failed to start", self.start_failed),
            ("recycled", self.recycled),
            ("state lost", self.state_lost),
            ("idle", self.idle),
            ("resized", self.resized),
            ("closed", self.closed),
            ("stopped", self.stopped),
            ("unresponsive", self.unresponsive),
            ("died", self.died),
        ]
    }

    fn since(&self, earlier: &EndCounts) -> EndCounts {
        EndCounts {
            start_failed: self.start_failed.saturating_sub(earlier.start_failed),
            recycled: self.recycled.saturating_sub(earlier.recycled),
            state_lost: self.state_lost.saturating_sub(earlier.state_lost),
            idle: self.idle.saturating_sub(earlier.idle),
            resized: self.resized.saturating_sub(earlier.resized),
            closed: self.closed.saturating_sub(earlier.closed),
            stopped: self.stopped.saturating_sub(earlier.stopped),
            unresponsive: self.unresponsive.saturating_sub(earlier.unresponsive),
            died: self.died.saturating_sub(earlier.died),
        }
    }
}

/// What is not zero, such as `: 2 failed, 1 crashed`.
fn listed<const N: usize>(f: &mut fmt::Formatter<'_>, counts: [(&str, u64); N]) -> fmt::Result {
    let some = counts.iter().filter(|(_, count)| *count > 0);
    for (index, (what, count)) in some.enumerate() {
        write!(f, "{}{count} {what}", if index == 0 { ": " } else { ", " })?;
    }
    Ok(())
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { report, workers, .. } = self;
        write!(f, "tasks    {} in {:.1?}", report.submitted, self.age)?;
        listed(
            f,
            [
                ("succeeded", report.succeeded),
                ("failed", report.failed),
                ("cancelled", report.cancelled),
                ("timed out", report.timed_out),
                ("crashed", report.crashed),
                ("refused", report.refused),
                ("dropped", report.dropped),
                ("running", self.running as u64),
                ("queued", self.queued as u64),
                ("waiting", self.waiting as u64),
            ],
        )?;
        write!(f, "\nworkers  {}", workers.total())?;
        let counts = [
            ("starting", u64::from(workers.starting)),
            ("idle", u64::from(workers.idle)),
            ("busy", u64::from(workers.busy)),
            ("ending", u64::from(workers.ending)),
        ];
        listed(f, counts)?;
        write!(f, "; {:.0} % utilised", self.utilisation() * 100.0)?;
        write!(f, "\nended    {}", self.ended.total())?;
        listed(f, self.ended.each())?;
        writeln!(f, "\nwait     {}", self.wait)?;
        writeln!(f, "run      {}", self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_what_there_is() {
        let mut stats = Stats {
            age: Duration::from_secs(90),
            report: Report { submitted: 12, succeeded: 9, crashed: 1, ..Report::default() },
            running: 2,
            workers: WorkerCounts { busy: 2, idle: 1, ..WorkerCounts::default() },
            busy: Duration::from_secs(45),
            ready: Duration::from_secs(180),
            ..Stats::default()
        };
        stats.ended.count(WorkerEnd::Died);
        assert_eq!(
            stats.to_string(),
            "tasks    12 in 90.0s: 9 succeeded, 1 crashed, 2 running\n\
             workers  3: 1 idle, 2 busy; 25 % utilised\n\
             ended    1: 1 died\n\
             wait     -\n\
             run      -\n"
        );
        assert_eq!(
            Stats::default().to_string(),
            "tasks    0 in 0.0ns\nworkers  0; 0 % utilised\nended    0\nwait     -\nrun      -\n"
        );
    }

    #[test]
    fn a_difference_is_what_happened_in_between() {
        let before = Stats {
            age: Duration::from_secs(10),
            report: Report { submitted: 5, succeeded: 4, ..Report::default() },
            ready: Duration::from_secs(10),
            ..Stats::default()
        };
        let after = Stats {
            age: Duration::from_secs(12),
            report: Report { submitted: 9, succeeded: 7, ..Report::default() },
            busy: Duration::from_secs(1),
            ready: Duration::from_secs(12),
            running: 2,
            ..Stats::default()
        };
        let recent = after.since(&before);
        assert_eq!((recent.report.submitted, recent.report.succeeded, recent.running), (4, 3, 2));
        assert_eq!((recent.age, recent.utilisation()), (Duration::from_secs(2), 0.5));
    }
}
