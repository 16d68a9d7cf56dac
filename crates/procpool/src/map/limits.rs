//! What ends a map before its input does: its deadline, and its cancellation tokens.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::backend::Backend;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::pool::Due;

/// The limits of a whole map. Calls that are on their way have been told of them and end by themselves; this is about
/// the items that have not been taken.
#[derive(Default)]
pub(super) struct Limits {
    due: Option<Due>,
    tokens: Vec<CancellationToken>,
    /// What wakes the map while it has nothing on its way, and its input is pending.
    alarm: Option<oneshot::Receiver<()>>,
    fired: Vec<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// Why no more items are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Deadline(Duration),
    Cancelled,
}

impl Limits {
    pub(super) fn new(due: Option<Due>, tokens: Vec<CancellationToken>) -> Self {
        Limits { due, tokens, ..Limits::default() }
    }

    /// Whether a limit has been reached. There mostly is none, and this is asked for each item.
    #[inline]
    pub(super) fn reached(&self) -> Option<Halt> {
        if self.tokens.is_empty() && self.due.is_none() { None } else { self.look() }
    }

    fn look(&self) -> Option<Halt> {
        if self.tokens.iter().any(CancellationToken::is_cancelled) {
            return Some(Halt::Cancelled);
        }
        self.due.filter(|due| due.at <= Instant::now()).map(|due| Halt::Deadline(due.whole))
    }

    /// As [`reached`](Self::reached); if not, the map is woken when one is.
    pub(super) fn poll_reached(&mut self, backend: &dyn Backend, context: &mut Context<'_>) -> Option<Halt> {
        if self.fired.len() < self.tokens.len() {
            self.fired = self.tokens.iter().map(|token| Box::pin(token.clone().cancelled_owned())).collect();
        }
        for fired in &mut self.fired {
            if fired.as_mut().poll(context).is_ready() {
                return Some(Halt::Cancelled);
            }
        }
        if let Some(due) = self.due {
            let alarm =
                self.alarm.get_or_insert_with(|| backend.alarm(due.at.saturating_duration_since(Instant::now())));
            // One that never rings is that of a closed pool, where no item will run. It is not polled after its end.
            if !alarm.is_terminated()
                && let Poll::Ready(_) = Pin::new(alarm).poll(context)
            {
                return self.reached();
            }
        }
        None
    }
}

impl Halt {
    /// The error of the first item that was not taken.
    pub(super) fn error(self) -> RunError {
        match self {
            Halt::Deadline(whole) => {
                let facts = Facts { deadline: Some(whole), ..Facts::default() };
                RunError::new(ErrorKind::TimedOut, Started::No, facts)
            }
            Halt::Cancelled => {
                let detail = Some("the cancellation token of its map fired".into());
                RunError::new(ErrorKind::Cancelled, Started::No, Facts { detail, ..Facts::default() })
            }
        }
    }
}
