//! What a worker may say next. Sans-IO.
//!
//! A worker says hello, then what came of its initialiser, then (if it has one) of its state, then one answer for each
//! task that it was given. Anything else means that it is broken or hostile, and it is killed with the reason in the
//! errors of whoever depended on it.

use crate::wire::frame::Kind;
use crate::wire::message::{INIT_STEP, STATE_STEP};

/// How far the conversation with one worker is.
#[derive(Debug, Default)]
pub(super) struct Etiquette {
    stage: Stage,
    /// Whether a state is made after the initialiser.
    with_state: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Silent,
    Greeted,
    Initialised,
    Ready,
}

impl Etiquette {
    /// For a worker that makes a state before it is ready.
    pub(super) fn with_state() -> Self {
        Etiquette { with_state: true, ..Etiquette::default() }
    }

    /// Takes note of a message, whose `id` names an offer or a step; `owed` says of a reply whether the worker was given
    /// that task, and has not answered.
    pub(super) fn admit(&mut self, kind: Kind, id: u64, owed: impl FnOnce() -> bool) -> Result<(), String> {
        self.stage = match (self.stage, kind) {
            (Stage::Silent, Kind::Hello) => Stage::Greeted,
            (Stage::Greeted, Kind::InitDone) if id == INIT_STEP && self.with_state => Stage::Initialised,
            (Stage::Greeted, Kind::InitDone) if id == INIT_STEP => Stage::Ready,
            (Stage::Initialised, Kind::InitDone) if id == STATE_STEP => Stage::Ready,
            (Stage::Ready, Kind::Reply | Kind::Item) => {
                if !owed() {
                    return Err("it broke the protocol: it answered a task that it does not have".into());
                }
                Stage::Ready
            }
            (stage, kind) => return Err(format!("it broke the protocol: a message of kind {kind:?} when {stage:?}")),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Etiquette {
        let mut worker = Etiquette::default();
        worker.admit(Kind::Hello, 0, || false).unwrap();
        worker.admit(Kind::InitDone, 0, || false).unwrap();
        worker
    }

    #[test]
    fn a_worker_that_keeps_to_the_order_is_heard() {
        let mut worker = ready();
        worker.admit(Kind::Reply, 7, || true).unwrap();
        worker.admit(Kind::Reply, 7, || true).unwrap();
    }

    #[test]
    fn whatever_else_it_says_is_refused() {
        assert!(Etiquette::default().admit(Kind::InitDone, 0, || true).is_err());
        assert!(ready().admit(Kind::InitDone, 1, || true).is_err(), "of a state that it was not asked for");
        let mut stateful = Etiquette::with_state();
        stateful.admit(Kind::Hello, 0, || false).unwrap();
        assert!(stateful.admit(Kind::InitDone, 1, || false).is_err(), "the state before the initialiser");
        stateful.admit(Kind::InitDone, 0, || false).unwrap();
        assert!(stateful.admit(Kind::Reply, 7, || true).is_err(), "an answer before it is ready");
        stateful.admit(Kind::InitDone, 1, || false).unwrap();
        stateful.admit(Kind::Reply, 7, || true).unwrap();
        assert!(Etiquette::default().admit(Kind::Reply, 0, || true).is_err());
        for kind in [Kind::Hello, Kind::InitDone, Kind::Task] {
            assert!(ready().admit(kind, 0, || true).is_err(), "{kind:?}");
        }
        assert!(ready().admit(Kind::Reply, 7, || false).is_err(), "an answer to nothing");
    }
}
