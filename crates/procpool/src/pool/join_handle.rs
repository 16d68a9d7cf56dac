//! A task that has been started, mirroring tokio's handle of the same name.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, select};
use tokio_util::sync::CancellationToken;

use super::submit::Ticket;
use crate::backend::Backend;
use crate::backend::scheduler::{CancelReason, TaskId};
use crate::error::{ErrorKind, Facts, RunError, Started};

/// A task that has been started: made by [`Pool::spawn`](crate::Pool::spawn) and
/// [`spawn_blocking_process`](crate::spawn_blocking_process). Awaiting it gives the result.
///
/// # Cancel safety
/// Dropping it detaches: the task goes on, and its result is lost. Use [`abort`](Self::abort) to stop it.
/// `&mut JoinHandle` can be polled in `select!` without losing anything.
///
/// # Errors
/// As [`Run`](crate::Run).
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
/// # fn power(x: u64) -> u64 { x }
/// let handle = pool.spawn(procpool::call!(power(4)));
/// // … something else meanwhile …
/// println!("{}", handle.await?);
/// # Ok(()) }
/// ```
pub struct JoinHandle<R> {
    state: State<R>,
}

enum State<R> {
    Running(Ticket<R>),
    Failed(Box<Option<RunError>>),
}

impl<R> JoinHandle<R> {
    pub(crate) fn started(ticket: Ticket<R>) -> Self {
        JoinHandle { state: State::Running(ticket) }
    }

    pub(crate) fn failed(error: RunError) -> Self {
        JoinHandle { state: State::Failed(Box::new(Some(error))) }
    }

    /// Stops the task: in the queue, it never starts; running, it is stopped. Awaiting the handle then gives an error
    /// that [`is_cancelled`](RunError::is_cancelled), or the result, if the task was faster. Returns at once.
    pub fn abort(&self) {
        if let State::Running(ticket) = &self.state {
            ticket.cancel(CancelReason::Aborted);
        }
    }

    /// Stops the task when the token fires, if that is before `over`.
    pub(crate) fn stop_on(&self, token: CancellationToken, over: impl Future + Send + 'static) {
        if let State::Running(ticket) = &self.state {
            let (backend, task) = (Arc::clone(ticket.backend()), ticket.task());
            ticket.backend().watch(Box::pin(async move {
                if let Either::Left(_) = select(Box::pin(token.cancelled_owned()), Box::pin(over)).await {
                    backend.cancel(task, CancelReason::Token);
                }
            }));
        }
    }

    /// Whether the result (or error) is there.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Running(ticket) => ticket.is_done(),
            State::Failed(_) => true,
        }
    }

    /// A handle that can only stop the task, for somebody else to keep.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle {
            target: match &self.state {
                State::Running(ticket) => Some((Arc::clone(ticket.backend()), ticket.task())),
                State::Failed(_) => None,
            },
        }
    }
}

impl<R> Future for JoinHandle<R> {
    type Output = Result<R, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Running(ticket) => std::task::ready!(ticket.poll(context)),
            State::Failed(error) => Err(error.take().unwrap_or_else(|| {
                let detail = Some("its handle was polled after it had ended".into());
                RunError::new(ErrorKind::Misuse, Started::Unknown, Facts { detail, ..Facts::default() })
            })),
        };
        self.state = State::Failed(Box::new(None));
        Poll::Ready(result)
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.state {
            State::Running(ticket) => ticket.name().as_str(),
            State::Failed(_) => "",
        };
        f.debug_struct("JoinHandle").field("task", &name).field("finished", &self.is_finished()).finish()
    }
}

/// Stops a task without being able to await it: made by [`JoinHandle::abort_handle`].
///
/// Dropping it does nothing.
///
/// ```no_run
/// # async fn f(pool: procpool::Pool) {
/// # fn spin() { loop {} }
/// let handle = pool.spawn(procpool::call!(spin()));
/// let stop = handle.abort_handle();
/// tokio::spawn(async move { stop.abort() });
/// assert!(handle.await.unwrap_err().is_cancelled());
/// # }
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    target: Option<(Arc<dyn Backend>, TaskId)>,
}

impl AbortHandle {
    /// Stops the task, as [`JoinHandle::abort`] does; one that has ended is left alone.
    pub fn abort(&self) {
        if let Some((backend, task)) = &self.target {
            backend.cancel(*task, CancelReason::Aborted);
        }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("task", &self.target.as_ref().map(|(_, task)| task.0)).finish()
    }
}
