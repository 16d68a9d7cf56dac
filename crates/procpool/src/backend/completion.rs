//! The one place where a task's outcome is handed from the backend to whoever awaits it.
//!
//! A [`Completer`] is consumed by resolving it, so that a second resolution cannot be written, and one that is lost
//! resolves with an error when it is dropped, so that nobody waits for ever.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::queue::travel::Carried;
use crate::sync::lock;

/// The encoded result of a task, or why there is none.
pub(crate) type Outcome = Result<Answer, RunError>;

/// An encoded result.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) value: Bytes,
    /// What came apart from it.
    pub(crate) apart: Vec<u8>,
    /// What keeps the handles in it alive.
    pub(crate) carried: Option<Carried>,
    /// How many attempts it took.
    pub(crate) attempts: u32,
}

/// Told of a task's end just before whoever awaits it. Called with no lock of the backend held.
pub(crate) trait Observer: Send + Sync {
    fn ended(&self, how: Ending);

    /// So many have ended together.
    fn ended_many(&self, values: u64, failures: u64);
}

/// How a task ended, as far as an [`Observer`] is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Value,
    Failure,
}

/// The waiting side's view of a task.
pub(crate) struct Completion {
    state: Mutex<State>,
    observer: Option<Arc<dyn Observer>>,
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completion").field("state", &self.state).finish_non_exhaustive()
    }
}

enum State {
    Pending(Option<Waker>),
    Done(Outcome),
    Taken,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Pending(_) => "Pending",
            State::Done(_) => "Done",
            State::Taken => "Taken",
        })
    }
}

/// The resolving side's view of a task.
#[derive(Debug)]
pub(crate) struct Completer(Option<Arc<Completion>>);

/// A fresh pair of views on one task.
pub(crate) fn completion(observer: Option<Arc<dyn Observer>>) -> (Completer, Arc<Completion>) {
    let completion = Arc::new(Completion { state: Mutex::new(State::Pending(None)), observer });
    (Completer(Some(Arc::clone(&completion))), completion)
}

impl Completer {
    /// For what is told in another way.
    pub(crate) fn nobody() -> Completer {
        Completer(None)
    }

    /// Stores the outcome and wakes the waiter. The caller must hold no lock of the backend: a waker is foreign code.
    pub(crate) fn resolve(mut self, outcome: Outcome) {
        if let Some(completion) = self.0.take() {
            completion.set(outcome);
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if let Some(completion) = self.0.take() {
            let facts = Facts {
                detail: Some("the pool lost it, which is a bug in procpool: please report it".into()),
                ..Facts::default()
            };
            completion.set(Err(RunError::new(ErrorKind::Closed, Started::Unknown, facts)));
        }
    }
}

impl Completion {
    fn set(&self, outcome: Outcome) {
        if let Some(observer) = &self.observer {
            observer.ended(if outcome.is_ok() { Ending::Value } else { Ending::Failure });
        }
        let before = std::mem::replace(&mut *lock(&self.state), State::Done(outcome));
        if let State::Pending(Some(waker)) = before {
            waker.wake();
        }
    }

    /// Takes the outcome, once; a second take is a bug of the caller and stays pending.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Pending(waker) => {
                match waker {
                    Some(known) if known.will_wake(context.waker()) => {}
                    _ => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
            State::Done(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Done(outcome) => Poll::Ready(outcome),
                State::Pending(_) | State::Taken => Poll::Pending,
            },
            State::Taken => Poll::Pending,
        }
    }

    /// Whether the outcome is there (taken or not).
    pub(crate) fn is_done(&self) -> bool {
        !matches!(&*lock(&self.state), State::Pending(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker_ref;

    #[test]
    fn a_lost_completer_resolves_with_an_error() {
        let (completer, completion) = completion(None);
        let mut context = Context::from_waker(noop_waker_ref());
        assert!(completion.poll_take(&mut context).is_pending());
        drop(completer);
        assert!(completion.is_done());
        let Poll::Ready(Err(error)) = completion.poll_take(&mut context) else { panic!("not resolved") };
        assert_eq!(error.started(), Started::Unknown);
    }
}
