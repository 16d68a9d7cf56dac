//! Handing a job over: encoded here, on the caller's thread, and decoded here when its result is back.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures::future::{Either, select, select_all};
use serde::de::Error as _;
use tokio_util::sync::CancellationToken;

use super::run::{Due, RunOptions};
use crate::backend::scheduler::{Admission, CancelReason, Deadline, Placement, TaskId, TaskOptions};
use crate::backend::{Answer, Backend, Completion, Submission, completion};
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::process::Watch;
use crate::queue::client::Side;
use crate::queue::travel;
use crate::task::apart::{self, Apart};
use crate::task::attachment::{self, Attachment};
use crate::task::codec::CodecError;
use crate::task::{CodeName, Parts, TaskName};

/// A task that has been handed over.
pub(crate) struct Ticket<R> {
    backend: Arc<dyn Backend>,
    task: TaskId,
    completion: Arc<Completion>,
    decode: fn(&[u8]) -> Result<R, CodecError>,
    name: TaskName,
}

/// How a task is handed over, beside its options.
pub(crate) struct Terms {
    pub(crate) placement: Placement,
    pub(crate) admission: Admission,
    pub(crate) watch: Option<Arc<Watch>>,
}

/// Encodes a job and hands it over; from then on its progress depends on nobody.
pub(crate) fn submit<R>(
    backend: &Arc<dyn Backend>,
    parts: Parts<R>,
    options: &RunOptions,
    terms: Terms,
) -> Result<Ticket<R>, RunError> {
    let Parts { entry, name, arguments, decode } = parts;
    let failed = |kind, facts: Facts| RunError::new(kind, Started::No, named(&name, facts));
    if options.tokens.iter().any(CancellationToken::is_cancelled) {
        let detail = Some("its cancellation token had fired already".into());
        return Err(failed(ErrorKind::Cancelled, Facts { detail, ..Facts::default() }));
    }
    let entry = entry.name(backend.naming()).map_err(|error| {
        let detail = Some(error.to_string());
        failed(ErrorKind::UnknownCode, Facts { detail, source: Some(error.into()), ..Facts::default() })
    })?;
    let mut bytes = Vec::new();
    let beside = encode(&mut bytes, |out| arguments.encode(out)).map_err(|error| unencodable(&name, error))?;
    hand_over(backend, Code { entry, name, decode }, (bytes, beside), options, terms)
}

/// Code with a name for other processes, and how to read what it gives.
pub(crate) struct Code<R> {
    pub(crate) entry: CodeName,
    pub(crate) name: TaskName,
    pub(crate) decode: fn(&[u8]) -> Result<R, CodecError>,
}

/// What encoded arguments need beside their bytes.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) apart: Bytes,
    pub(crate) shared: Vec<Arc<Attachment>>,
    pub(crate) handles: Vec<Side>,
}

/// Encodes arguments, and gives what they need beside their bytes, if anything.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<Option<Box<Beside>>, CodecError> {
    let (handles, shared, apart) = (travel::naming(), attachment::naming(), apart::leaving());
    encode(out)?;
    // Millions a second need nothing.
    if !(handles.is_filled() || shared.is_filled() || apart.is_filled()) {
        return Ok(None);
    }
    let apart = apart.take().map(Apart::into_bytes).unwrap_or_default();
    let handles = handles.take().unwrap_or_default();
    Ok(Some(Box::new(Beside { apart, shared: shared.attachments(), handles })))
}

/// The error for arguments that do not encode.
pub(crate) fn unencodable(name: &TaskName, error: CodecError) -> RunError {
    let facts =
        Facts { detail: Some(format!("the arguments: {error}")), source: Some(error.into()), ..Facts::default() };
    RunError::new(ErrorKind::Encode, Started::No, named(name, facts))
}

/// Hands encoded arguments over.
pub(crate) fn hand_over<R>(
    backend: &Arc<dyn Backend>,
    Code { entry, name, decode }: Code<R>,
    (bytes, beside): (Vec<u8>, Option<Box<Beside>>),
    options: &RunOptions,
    terms: Terms,
) -> Result<Ticket<R>, RunError> {
    let failed = |kind, facts: Facts| RunError::new(kind, Started::No, named(&name, facts));
    let Beside { apart, shared, handles } = beside.map(|beside| *beside).unwrap_or_default();
    let (len, limit) = ((bytes.len() + apart.len()) as u64, backend.max_message());
    if len > limit {
        let detail = Some(format!("the arguments take {len} bytes, max_message is {limit}"));
        return Err(failed(ErrorKind::TooLarge, Facts { detail, ..Facts::default() }));
    }

    let (completer, completion) = completion(options.observer.clone());
    let span = tracing::debug_span!(target: "procpool::task", "task", name = name.as_str());
    let (alive, over) = match options.tokens.is_empty() {
        true => (None, None),
        false => {
            let (alive, over) = tokio::sync::oneshot::channel();
            (Some(alive), Some(over))
        }
    };
    let job = Submission {
        name: name.clone(),
        entry,
        arguments: bytes.into(),
        apart,
        shared,
        handles,
        completer,
        lot: None,
        watch: terms.watch,
        alive,
        span,
    };
    let options_for_scheduler = for_scheduler(options, terms.placement, terms.admission);
    let task = backend.submit(job, options_for_scheduler);
    if let Some(over) = over {
        let (tokens, canceller) = (options.tokens.clone(), Arc::clone(backend));
        backend.watch(Box::pin(async move {
            let fired = select_all(tokens.into_iter().map(|token| Box::pin(token.cancelled_owned())));
            if let Either::Left(_) = select(fired, over).await {
                canceller.cancel(task, CancelReason::Token);
            }
        }));
    }
    Ok(Ticket { backend: Arc::clone(backend), task, completion, decode, name })
}

/// Adds what the caller knows about a task to the facts of its error.
pub(crate) fn named(name: &TaskName, facts: Facts) -> Facts {
    Facts { task: Some(name.as_str().to_owned()), location: name.location(), ..facts }
}

impl<R> Ticket<R> {
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<R, RunError>> {
        if !self.completion.is_done() {
            self.backend.linger(self.task, &|| self.completion.is_done());
        }
        let outcome = std::task::ready!(self.completion.poll_take(context));
        Poll::Ready(outcome.and_then(|answer| read(answer, self.decode, &self.name)))
    }

    pub(crate) fn cancel(&self, why: CancelReason) {
        if !self.completion.is_done() {
            self.backend.cancel(self.task, why);
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.completion.is_done()
    }

    pub(crate) fn task(&self) -> TaskId {
        self.task
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn name(&self) -> &TaskName {
        &self.name
    }
}

/// The options of a call as the scheduler takes them.
pub(crate) fn for_scheduler(options: &RunOptions, placement: Placement, admission: Admission) -> TaskOptions {
    TaskOptions {
        placement,
        admission,
        priority: options.priority,
        retries: options.retries,
        run_limit: options.timeout,
        queue_limit: options.queue_timeout,
        grace: options.grace,
        deadline: options
            .due
            .map(|Due { at, whole }| Deadline { left: at.saturating_duration_since(Instant::now()), whole }),
        batch: options.batch,
    }
}

/// Decodes an answer.
pub(crate) fn read<R>(
    Answer { value, apart, carried, attempts }: Answer,
    decode: fn(&[u8]) -> Result<R, CodecError>,
    name: &TaskName,
) -> Result<R, RunError> {
    // The handles in it are others' until it has been decoded, or could not be.
    let _carried = carried;
    let (decoded, used) = apart::coming(apart, || decode(&value));
    let stray = || CodecError::custom("a part of it belongs to no value");
    decoded
        .and_then(|result| if used { Ok(result) } else { Err(stray()) })
        .map_err(|error| undecodable(name, error, attempts))
}

/// The error for a value that does not decode.
pub(crate) fn undecodable(name: &TaskName, error: CodecError, attempts: u32) -> RunError {
    let detail = Some(format!("the result: {error}"));
    let facts = Facts { detail, attempts, source: Some(error.into()), ..Facts::default() };
    RunError::new(ErrorKind::Decode, Started::Yes, named(name, facts))
}
