//! When a call that waits has waited for long enough.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::error::Unavailable;

/// Tokio's timer, asked for only once there is something to wait for.
#[derive(Debug)]
pub(super) struct Alarm {
    /// `None`: so late that it never comes.
    at: Option<Instant>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// When it is so late. `None`: never.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

impl Alarm {
    pub(super) fn after(timeout: Duration) -> Alarm {
        Alarm { at: deadline(timeout), sleep: None }
    }

    /// Ready once the time is up.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unavailable>> {
        let Some(at) = self.at else { return Poll::Pending };
        if self.sleep.is_none() {
            if tokio::runtime::Handle::try_current().is_err() {
                let why = "a call with a timeout that is awaited needs tokio's timer, and there is no runtime here \
                           (use the blocking call)";
                return Poll::Ready(Err(Unavailable::new(why)));
            }
            self.sleep = Some(Box::pin(tokio::time::sleep_until(at.into())));
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(context).map(Ok),
            None => Poll::Pending,
        }
    }
}
