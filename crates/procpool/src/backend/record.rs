//! What a pool has done so far: counted and timed under the engine's lock, so that all its numbers agree.

use super::completion::Outcome;
use super::job::Work;
use super::outcome::Tally;
use super::scheduler::{Counts, End, Now, Scheduler, Timing, WorkerPhase};
use crate::pool::{EndCounts, Histogram, Report, Stats, WorkerCounts, WorkerEnd};

/// Whether the times of tasks are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Timings {
    #[default]
    Recorded,
    Ignored,
}

#[derive(Default)]
pub(super) struct Record {
    tally: Tally,
    ended: EndCounts,
    timings: Timings,
    wait: Histogram,
    run: Histogram,
}

impl Record {
    pub(super) fn new(timings: Timings) -> Self {
        Record { timings, ..Record::default() }
    }

    /// A task is over. Two records of a few nanoseconds: less than a lock of their own would cost.
    pub(super) fn resolved(&mut self, outcome: &Outcome, refused: bool, timing: Timing) {
        self.tally.count(outcome, refused);
        if self.timings == Timings::Ignored {
            return;
        }
        if let Some(waited) = timing.waited {
            self.wait.record(waited);
        }
        if let Some(ran) = timing.ran {
            self.run.record(ran);
        }
    }

    /// Items of a lot have been answered with values, which took so long on the average.
    pub(super) fn values(&mut self, count: u32) {
        self.tally.count_values(u64::from(count));
    }

    /// Items of a lot are over.
    pub(super) fn lot(&mut self, items: u32, timing: Timing) {
        if self.timings == Timings::Ignored || items == 0 {
            return;
        }
        if let Some(waited) = timing.waited {
            self.wait.record_many(waited, items);
        }
        if let Some(ran) = timing.ran {
            self.run.record_many(ran / items, items);
        }
    }

    /// An item of a lot has ended, in another way than with a value or one of many.
    pub(super) fn item(&mut self, outcome: &Outcome, refused: bool) {
        self.tally.count(outcome, refused);
    }

    pub(super) fn ended(&mut self, why: End) {
        self.ended.count(why.into());
    }

    pub(super) fn report(&self, counts: &Counts) -> Report {
        self.tally.report(counts)
    }

    pub(super) fn stats(&self, scheduler: &Scheduler<Work>, now: Now) -> Stats {
        let (queued, waiting, running) = scheduler.task_counts();
        let (busy, ready) = scheduler.worker_time(now);
        Stats {
            age: now.0,
            report: self.report(&scheduler.counts()),
            queued,
            waiting,
            running,
            workers: workers(scheduler),
            ended: self.ended,
            wait: self.wait.clone(),
            run: self.run.clone(),
            busy,
            ready,
        }
    }
}

fn workers(scheduler: &Scheduler<Work>) -> WorkerCounts {
    let mut counts = WorkerCounts::default();
    for worker in scheduler.workers() {
        let count = match worker.phase {
            WorkerPhase::Starting | WorkerPhase::Initialising => &mut counts.starting,
            WorkerPhase::Idle => &mut counts.idle,
            WorkerPhase::Busy { .. } | WorkerPhase::Stopping { .. } => &mut counts.busy,
            WorkerPhase::Retiring | WorkerPhase::Dying => &mut counts.ending,
        };
        *count += 1;
    }
    counts
}

impl From<End> for WorkerEnd {
    fn from(end: End) -> Self {
        match end {
            End::StartFailed => WorkerEnd::StartFailed,
            End::Recycled => WorkerEnd::Recycled,
            End::Worn => WorkerEnd::StateLost,
            End::Idle => WorkerEnd::Idle,
            End::Resized => WorkerEnd::Resized,
            End::Closed => WorkerEnd::Closed,
            End::Stopped => WorkerEnd::Stopped,
            End::Silent => WorkerEnd::Unresponsive,
            End::Died => WorkerEnd::Died,
        }
    }
}
