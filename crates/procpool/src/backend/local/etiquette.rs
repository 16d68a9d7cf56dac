//! What a worker may say next. Sans-IO.
//!
//! A worker says hello, then what came of its initialiser, then one answer for each task that it was given. Anything
//! else means that it is broken or hostile, and it is killed with the reason in the errors of whoever depended on it.

use crate::wire::frame::Kind;

/// How far the conversation with one worker is.
#[derive(Debug, Default)]
pub(super) struct Etiquette {
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Silent,
    Greeted,
    Ready,
}

impl Etiquette {
    /// Takes note of a message; `owed` says of a reply whether the worker was given that task, and has not answered.
    pub(super) fn admit(&mut self, kind: Kind, owed: impl FnOnce() -> bool) -> Result<(), String> {
        self.stage = match (self.stage, kind) {
            (Stage::Silent, Kind::Hello) => Stage::Greeted,
            (Stage::Greeted, Kind::InitDone) => Stage::Ready,
            (Stage::Ready, Kind::Reply) if !owed() => {
                return Err("it broke the protocol: it answered a task that it does not have".into());
            }
            (Stage::Ready, Kind::Reply) => Stage::Ready,
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
        worker.admit(Kind::Hello, || false).unwrap();
        worker.admit(Kind::InitDone, || false).unwrap();
        worker
    }

    #[test]
    fn a_worker_that_keeps_to_the_order_is_heard() {
        let mut worker = ready();
        worker.admit(Kind::Reply, || true).unwrap();
        worker.admit(Kind::Reply, || true).unwrap();
    }

    #[test]
    fn whatever_else_it_says_is_refused() {
        assert!(Etiquette::default().admit(Kind::InitDone, || true).is_err());
        assert!(Etiquette::default().admit(Kind::Reply, || true).is_err());
        for kind in [Kind::Hello, Kind::InitDone, Kind::Task] {
            assert!(ready().admit(kind, || true).is_err(), "{kind:?}");
        }
        assert!(ready().admit(Kind::Reply, || false).is_err(), "an answer to nothing");
    }
}
