//! From the scheduler's verdicts to what callers read, count and trace.

use bytes::Bytes;

use super::completion::{Answer, Outcome};
use super::job::{Submission, Work};
use super::lot::{Arrived, Ends};
use super::scheduler::{Began, CancelReason, Counts, Refused, Resolution, TaskId, Unavailable, WorkerId};
use super::view::worker_name;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::pool::Report;
use crate::queue::travel::Carried;
use crate::task::TaskName;
use crate::wire::message::{PanicReport, ReplyBody};

/// What a caller is told about the end of its task.
pub(super) fn outcome(
    job: &Submission,
    resolution: Resolution<Work>,
    attempts: u32,
    pid: impl Fn(WorkerId) -> Option<u32>,
) -> Outcome {
    let (kind, started, facts) = match resolution {
        Resolution::Replied { worker, reply } => {
            match failure(reply) {
                Ok((value, apart, carried)) => return Ok(Answer { value, apart, carried, attempts }),
                Err(failure) => {
                    let Failure { kind, detail, panic } = *failure;
                    let worker = Facts { worker: Some(worker_name(worker)), pid: pid(worker), ..Facts::default() };
                    // What does not decode, or is not found, was claimed and did not run.
                    let started = match kind {
                        ErrorKind::Decode | ErrorKind::UnknownCode => Started::No,
                        _ => Started::Yes,
                    };
                    (kind, started, Facts { detail, panic: panic.map(Into::into), ..worker })
                }
            }
        }
        Resolution::Cancelled { why, began, killed } => {
            let facts = killed.map_or_else(Facts::default, |(_, death)| death.facts(began.into()));
            let (kind, detail, deadline) = match why {
                CancelReason::Dropped => (ErrorKind::Cancelled, Some("its future was dropped"), None),
                CancelReason::Aborted => (ErrorKind::Cancelled, Some("it was aborted"), None),
                CancelReason::Token => (ErrorKind::Cancelled, Some("its cancellation token fired"), None),
                CancelReason::Deadline(whole) => (ErrorKind::TimedOut, None, Some(whole)),
            };
            // What the dead worker has to tell comes second to why it was killed.
            let detail = detail.map(str::to_owned).or(facts.detail);
            (kind, began.into(), Facts { detail, deadline, ..facts })
        }
        Resolution::TimedOut { limit, killed } => {
            let facts = killed.map_or_else(Facts::default, |(_, death)| death.facts(Started::Yes));
            (ErrorKind::TimedOut, Started::Yes, Facts { limit: Some(limit), ..facts })
        }
        Resolution::QueueTimedOut { limit } => {
            (ErrorKind::QueueTimedOut, Started::No, Facts { limit: Some(limit), ..Facts::default() })
        }
        Resolution::WorkerDied { worker, began, death } => {
            let facts = Facts { worker: Some(worker_name(worker)), ..death.facts(began.into()) };
            (death.kind(began.into()), began.into(), facts)
        }
        Resolution::QueueFull => (ErrorKind::QueueFull, Started::No, Facts::default()),
        Resolution::Unavailable(why) => return Err(named(job, attempts, unavailable(&why))),
        Resolution::ShutDown { began } => (ErrorKind::Closed, began.into(), Facts::default()),
    };
    Err(named(job, attempts, (kind, started, facts)))
}

/// Why somebody got no place in the queue.
pub(super) fn refusal(why: &Refused<Work>) -> RunError {
    let (kind, started, facts) = match why {
        Refused::QueueFull => (ErrorKind::QueueFull, Started::No, Facts::default()),
        Refused::TimedOut(limit) => {
            (ErrorKind::QueueTimedOut, Started::No, Facts { limit: Some(*limit), ..Facts::default() })
        }
        Refused::Unavailable(why) => unavailable(why),
    };
    RunError::new(kind, started, facts)
}

fn named(job: &Submission, attempts: u32, (kind, started, facts): (ErrorKind, Started, Facts)) -> RunError {
    let facts = Facts { task: Some(job.name.as_str().to_owned()), location: job.name.location(), attempts, ..facts };
    RunError::new(kind, started, facts)
}

fn unavailable(why: &Unavailable<Work>) -> (ErrorKind, Started, Facts) {
    match why {
        Unavailable::StartFailed { failures, death } => {
            let detail = match failures {
                0 | 1 => death.cause(),
                n => format!("{n} in a row ended before they were ready; the last one: {}", death.cause()),
            };
            (ErrorKind::StartFailed, Started::No, Facts { detail: Some(detail), ..death.facts(Started::No) })
        }
        Unavailable::Closed => (ErrorKind::Closed, Started::No, Facts::default()),
    }
}

/// An answer that is no value.
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) detail: Option<String>,
    pub(crate) panic: Option<PanicReport>,
}

/// A value, what came apart from it, and what keeps its handles; or what kind of failure the worker told of.
pub(crate) fn failure(reply: ReplyBody) -> Result<(Bytes, Vec<u8>, Option<Carried>), Box<Failure>> {
    let (kind, detail, panic) = match reply {
        ReplyBody::Value(bytes) => return Ok((bytes, Vec::new(), None)),
        ReplyBody::Apart { value, apart } => return Ok((value, apart, None)),
        ReplyBody::Carrying { value, carried } => return Ok((value, Vec::new(), Some(carried))),
        ReplyBody::Panicked(report) => (ErrorKind::Panicked, None, Some(report)),
        ReplyBody::Undecodable(text) => {
            (ErrorKind::Decode, Some(format!("the arguments, in the worker: {text}")), None)
        }
        ReplyBody::Unencodable(text) => (ErrorKind::Encode, Some(format!("the result: {text}")), None),
        ReplyBody::TooLarge { len, limit } => {
            (ErrorKind::TooLarge, Some(format!("the result takes {len} bytes, max_message is {limit}")), None)
        }
        ReplyBody::UnknownCode(text) => (ErrorKind::UnknownCode, Some(text), None),
    };
    Err(Box::new(Failure { kind, detail, panic }))
}

impl From<Began> for Started {
    fn from(began: Began) -> Self {
        match began {
            Began::No => Started::No,
            Began::Yes => Started::Yes,
            Began::Unknown => Started::Unknown,
        }
    }
}

/// Counts outcomes as callers see them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally(Report);

impl Tally {
    /// `refused`: it was never taken. To its caller a closed pool is a closed pool, but one that is closing drops what
    /// it had taken, and refuses what it had not.
    pub(super) fn count(&mut self, outcome: &Outcome, refused: bool) {
        let report = &mut self.0;
        let count = match outcome {
            Ok(_) => &mut report.succeeded,
            Err(_) if refused => &mut report.refused,
            Err(error) => match error.kind() {
                ErrorKind::Cancelled => &mut report.cancelled,
                ErrorKind::TimedOut | ErrorKind::QueueTimedOut => &mut report.timed_out,
                ErrorKind::WorkerDied | ErrorKind::MemoryLimit | ErrorKind::CpuLimit | ErrorKind::SandboxViolation => {
                    &mut report.crashed
                }
                ErrorKind::QueueFull | ErrorKind::StartFailed => &mut report.refused,
                ErrorKind::Closed => &mut report.dropped,
                ErrorKind::Panicked
                | ErrorKind::Encode
                | ErrorKind::Decode
                | ErrorKind::TooLarge
                | ErrorKind::UnknownCode
                | ErrorKind::Misuse
                | ErrorKind::Input => &mut report.failed,
            },
        };
        *count += 1;
    }

    /// So many values.
    pub(super) fn count_values(&mut self, values: u64) {
        self.0.succeeded += values;
    }

    pub(super) fn report(&self, counts: &Counts) -> Report {
        Report {
            submitted: counts.submitted,
            retried: counts.retried,
            workers_started: counts.workers_spawned,
            workers_ended: counts.workers_ended,
            ..self.0
        }
    }
}

/// Tells tracing how a task ended. Values and failures have the same fields, so that filters can be written once.
pub(super) fn trace(task: TaskId, job: &Submission, outcome: &Outcome) {
    trace_end(task, &job.name, &job.span, outcome);
}

/// The same for items of a lot that has this number.
pub(super) fn trace_items(base: TaskId, name: &TaskName, span: &tracing::Span, arrived: &Arrived) {
    let number = base.0 + u64::from(arrived.first);
    match &arrived.what {
        Ends::One(outcome) => trace_end(TaskId(number), name, span, outcome),
        Ends::Values(values) => {
            if tracing::enabled!(target: "procpool::task", tracing::Level::TRACE) {
                let mut values = values.clone();
                let lengths = std::iter::from_fn(|| values.next(<[u8]>::len));
                for (task, bytes) in (number..).zip(lengths) {
                    tracing::trace!(
                        target: "procpool::task", parent: span,
                        task, name = name.as_str(), outcome = "value", attempts = 1, bytes, "task ended"
                    );
                }
            }
        }
    }
}

fn trace_end(task: TaskId, name: &TaskName, span: &tracing::Span, outcome: &Outcome) {
    match outcome {
        Ok(Answer { value, apart, attempts, .. }) => tracing::trace!(
            target: "procpool::task", parent: span,
            task = task.0, name = name.as_str(), outcome = "value", attempts, bytes = value.len() + apart.len(), "task ended"
        ),
        Err(error) => tracing::debug!(
            target: "procpool::task", parent: span,
            task = task.0, name = name.as_str(), outcome = ?error.kind(), attempts = error.attempts(), worker = error.worker(),
            pid = error.pid(), %error, "task ended"
        ),
    }
}
