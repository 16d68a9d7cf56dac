//! The state of a worker: one value that its tasks get as `&mut`, made in the worker and never sent.
//!
//! It lives in a thread-local of the thread that runs the tasks, so that it need be neither `Send` nor `Sync`, and so
//! that a worker that is a thread has its own. While a task has it, it is not here: whoever comes back for it
//! meanwhile finds that, and nothing is borrowed twice.

use std::any::{Any, type_name};
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::panics;

thread_local! {
    static STATE: RefCell<Held> = const { RefCell::new(Held::None) };
}

#[derive(Debug, Default)]
enum Held {
    /// There never was one.
    #[default]
    None,
    Here(Box<dyn Any>),
    /// A task has it.
    Lent,
    /// A task had it and panicked.
    Lost,
}

/// Why a task does not get the state that it was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoState {
    wanted: &'static str,
    why: &'static str,
}

impl fmt::Display for NoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it needs the state `{}`, {}", self.wanted, self.why)
    }
}

/// Keeps this thread's state. The one before it, if any, is dropped.
pub(super) fn keep<S: 'static>(state: S) {
    // Dropped when nothing is borrowed: its `Drop` is foreign code.
    let former = STATE.replace(Held::Here(Box::new(state)));
    drop(former);
}

/// Calls `function` with this thread's state. Where it panics, the state may be half-changed: it is dropped, and lost
/// from then on.
pub(super) fn lend<S: 'static, R>(function: impl FnOnce(&mut S) -> R) -> Result<R, NoState> {
    let refusal = |why| NoState { wanted: type_name::<S>(), why };
    let mut held = match STATE.replace(Held::Lent) {
        Held::Here(held) => held,
        other => {
            let why = match other {
                Held::Lent => "which a task on this thread has already",
                Held::Lost => "which was lost when a task panicked",
                Held::None | Held::Here(_) => "and the worker has none",
            };
            STATE.set(other);
            return Err(refusal(why));
        }
    };
    let Some(state) = held.downcast_mut::<S>() else {
        STATE.set(Held::Here(held));
        return Err(refusal("and the worker has one of another type"));
    };
    // Nothing of the state is looked at after a panic: it is dropped.
    match catch_unwind(AssertUnwindSafe(|| function(state))) {
        Ok(result) => {
            STATE.set(Held::Here(held));
            Ok(result)
        }
        Err(panic) => {
            STATE.set(Held::Lost);
            // Apart from the unwinding, in which a second panic would end the process.
            let _ = end(held);
            resume_unwind(panic)
        }
    }
}

/// Whether this thread had a state and lost it.
pub(crate) fn is_lost() -> bool {
    STATE.with_borrow(|held| matches!(held, Held::Lost))
}

/// Drops this thread's state, if it has one.
///
/// # Errors
///
/// Its `Drop` panicked, with this message.
pub(crate) fn discard() -> Result<(), String> {
    match STATE.take() {
        Held::Here(held) => end(held),
        Held::None | Held::Lent | Held::Lost => Ok(()),
    }
}

fn end(held: Box<dyn Any>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| drop(held))).map_err(panics::message)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_state_is_lent_and_comes_back() {
        assert!(lend(|_: &mut u32| ()).is_err());
        keep(Rc::new(7));
        assert_eq!(
            lend(|state: &mut Rc<i32>| {
                *Rc::make_mut(state) += 1;
                **state
            }),
            Ok(8)
        );
        let again = lend(|_: &mut Rc<i32>| lend(|_: &mut Rc<i32>| ()).unwrap_err().to_string()).unwrap();
        assert!(again.contains("has already"), "{again}");
        assert_eq!(lend(|state: &mut Rc<i32>| **state), Ok(8));
        assert!(lend(|_: &mut u32| ()).unwrap_err().to_string().contains("another type"));
        assert_eq!(lend(|state: &mut Rc<i32>| **state), Ok(8));
        assert!(!is_lost());
        assert_eq!(discard(), Ok(()));
        assert!(lend(|_: &mut Rc<i32>| ()).is_err());
    }

    #[test]
    fn a_panic_loses_it_also_when_its_drop_panics() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("while dropped");
            }
        }
        keep(Bomb);
        let panic = catch_unwind(|| lend(|_: &mut Bomb| panic!("in the task"))).unwrap_err();
        assert_eq!(panics::message(panic), "in the task");
        assert!(is_lost());
        assert!(lend(|_: &mut Bomb| ()).unwrap_err().to_string().contains("lost"));
        keep(Bomb);
        assert!(!is_lost());
        assert_eq!(discard(), Err("while dropped".to_owned()));
    }
}
