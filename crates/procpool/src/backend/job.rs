//! What the scheduler carries for the engine: tasks on their way in, answers and deaths on their way out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::completion::Completer;
use super::lot::{Arrived, Delivery, Lot, Piece};
use super::scheduler::{Lost, Payload, TaskId};
use crate::error::{ErrorKind, Exit, Facts, Started, WorkerPanic};
use crate::process::Watch;
use crate::queue::client::Side;
use crate::task::attachment::Attachment;
use crate::task::{CodeName, Step, TaskName};
use crate::wire::message::{PanicReport, ReplyBody};

/// The payload types of every backend's scheduler.
#[derive(Clone, Debug)]
pub(crate) enum Work {}

impl Payload for Work {
    type Job = Submission;
    type Reply = ReplyBody;
    type Death = Arc<Death>;

    fn is_lot(job: &Submission) -> bool {
        job.lot.is_some()
    }

    fn open_items(job: &Submission) -> usize {
        job.lot.as_ref().map_or(1, |lot| lot.open_items() as usize)
    }

    fn items(job: &Submission) -> u64 {
        job.lot.as_ref().map_or(1, |lot| u64::from(lot.items()))
    }

    fn lost(job: &Submission) -> Lost {
        match &job.lot {
            Some(lot) if lot.has_lost() => Lost::Some,
            Some(lot) if lot.has_moved() => Lost::None,
            Some(_) => Lost::Time,
            None => Lost::Some,
        }
    }

    fn rest(job: &mut Submission) -> Option<(u64, Submission)> {
        let rest = job.lot.as_mut()?.unbegun()?;
        Some(job.with_piece(rest))
    }

    fn is_final(death: &Arc<Death>) -> bool {
        death.kind(Started::Yes) != ErrorKind::WorkerDied
    }

    fn effort(job: &Submission, reply: &ReplyBody, time: Duration) -> (u32, Duration) {
        match &job.lot {
            Some(lot) => (lot.handled(), Piece::effort(reply, time)),
            None => (1, time),
        }
    }
}

impl Submission {
    /// A lot, as one task.
    pub(crate) fn of_lot(
        name: TaskName,
        entry: CodeName,
        shared: Vec<Arc<Attachment>>,
        lot: &Arc<Lot>,
        span: tracing::Span,
    ) -> Submission {
        Submission::of_piece(name, entry, shared, Piece::of(lot), span)
    }

    fn of_piece(
        name: TaskName,
        entry: CodeName,
        shared: Vec<Arc<Attachment>>,
        piece: Piece,
        span: tracing::Span,
    ) -> Submission {
        Submission {
            name,
            entry,
            arguments: Bytes::new(),
            apart: Bytes::new(),
            shared,
            handles: Vec::new(),
            completer: Completer::nobody(),
            lot: Some(piece),
            watch: None,
            alive: None,
            span,
        }
    }

    /// Ends of items of this lot, on their way to whoever waits for them.
    pub(super) fn delivery(&self, base: TaskId, arrived: Vec<Arrived>) -> Option<Delivery> {
        let lot = self.lot.as_ref()?;
        Some(lot.delivery(arrived, Some((base, self.name.clone(), self.span.clone()))))
    }

    /// Some items of this lot as a task of their own, and the number of the first of them in the lot.
    pub(super) fn with_piece(&self, piece: Piece) -> (u64, Submission) {
        let first = u64::from(piece.start());
        let (name, entry, shared) = (self.name.clone(), self.entry, self.shared.clone());
        (first, Submission::of_piece(name, entry, shared, piece, self.span.clone()))
    }
}

/// One task, encoded and ready to go anywhere.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) name: TaskName,
    pub(crate) entry: CodeName,
    /// Kept until the task is over, since it may be handed out again.
    pub(crate) arguments: Bytes,
    /// What leaves apart from them.
    pub(crate) apart: Bytes,
    /// The values that the arguments name, alive for as long.
    pub(crate) shared: Vec<Arc<Attachment>>,
    /// The handles of queues that the arguments name: for as long, too, so that no attempt finds a queue gone.
    pub(crate) handles: Vec<Side>,
    pub(crate) completer: Completer,
    /// It is a lot: what it says about arguments and completer goes for each of these items.
    pub(crate) lot: Option<Piece>,
    /// Told about the process of its own that this task gets, if it does.
    pub(crate) watch: Option<Arc<Watch>>,
    /// Dropped with the task, which ends the watcher of its cancellation tokens.
    #[expect(dead_code, reason = "its drop is its use")]
    pub(crate) alive: Option<oneshot::Sender<Infallible>>,
    pub(crate) span: tracing::Span,
}

/// All that is known about a worker that is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Death {
    pub(crate) worker: String,
    pub(crate) pid: Option<u32>,
    pub(crate) exit: Option<Exit>,
    pub(crate) panic: Option<WorkerPanic>,
    pub(crate) stderr: Vec<String>,
    /// What went wrong, when it was not the process that simply ended.
    pub(crate) detail: Option<String>,
    /// How far it was with its task.
    pub(crate) step: Option<Step>,
    /// What its end is called, and why, if it ran into a limit.
    pub(crate) limit: Option<(ErrorKind, String)>,
}

impl Death {
    /// The facts for the error of a task that this death ended.
    pub(crate) fn facts(&self, started: Started) -> Facts {
        // The page tells of the last task that was claimed; one that never was is not meant.
        let step = match self.step.filter(|_| started == Started::Yes) {
            Some(Step::Decoding) => Some("while it decoded the arguments"),
            Some(Step::Encoding) => Some("while it encoded the result"),
            Some(Step::Running) | None => None,
        };
        let what = self.detail.as_deref().or(self.limit.as_ref().map(|(_, why)| &**why));
        let detail = match (what, step) {
            (Some(detail), Some(step)) => Some(format!("{detail}, {step}")),
            (detail, step) => detail.or(step).map(str::to_owned),
        };
        Facts {
            worker: Some(self.worker.clone()),
            pid: self.pid,
            exit: self.exit,
            panic: self.panic.clone(),
            stderr: self.stderr.clone(),
            detail,
            ..Facts::default()
        }
    }

    /// What kind of error it is for a task that it has ended.
    pub(crate) fn kind(&self, started: Started) -> ErrorKind {
        match &self.limit {
            Some((kind, _)) if started == Started::Yes => *kind,
            _ => ErrorKind::WorkerDied,
        }
    }

    /// Who ended, and why, for an error that has the other facts beside it.
    pub(crate) fn cause(&self) -> String {
        match (&self.detail, self.exit) {
            // Whoever is found to be at fault is killed: that it was, says nothing more.
            (Some(detail), Some(exit)) if exit.signal() != Some(libc::SIGKILL) => {
                format!("{}: {detail} ({exit})", self.worker)
            }
            (Some(detail), _) => format!("{}: {detail}", self.worker),
            (None, Some(exit)) => format!("{} ended with {exit}", self.worker),
            (None, None) => format!("{} ended", self.worker),
        }
    }

    /// One line with all that is known, for an error about workers that do not start.
    pub(crate) fn describe(&self) -> String {
        let mut text = self.cause();
        if let Some(panic) = self.panic.as_ref().filter(|panic| !text.contains(panic.message())) {
            text.push_str(&format!("; it panicked: {panic}"));
        }
        if !self.stderr.is_empty() {
            text.push_str("; its last lines on stderr: ");
            text.push_str(&self.stderr.join(" / "));
        }
        text
    }
}

impl From<PanicReport> for WorkerPanic {
    fn from(report: PanicReport) -> Self {
        WorkerPanic {
            message: report.message,
            location: report.location,
            backtrace: report.backtrace,
            thread: report.thread,
        }
    }
}
