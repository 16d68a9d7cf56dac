//! What code deep in a call leaves for whoever made the call, on the same thread.
//!
//! Most calls leave nothing, and there are millions a second. So whether something is there is told by a cell of its own,
//! which costs a move; the value itself, which has to be registered for the thread's end, is touched only when there is one.

use std::cell::Cell;
use std::thread::LocalKey;

/// Whether something may be left, and whether something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody wants it.
    Closed,
    Open,
    Filled,
}

/// A place for a `T` in each thread, made of two thread-locals.
pub(crate) struct Slot<T: 'static> {
    pub(crate) state: &'static LocalKey<Cell<State>>,
    pub(crate) value: &'static LocalKey<Cell<T>>,
}

impl<T: Default + 'static> Slot<T> {
    /// Calls `f`, and gives what it has left. What was left before is back afterwards, also when `f` panics.
    #[inline]
    pub(crate) fn collect<R>(&'static self, f: impl FnOnce() -> R) -> (R, T) {
        let _outer = self.enter(State::Open);
        let result = f();
        (result, self.take())
    }

    /// Calls `f`, which may [`take`](Self::take) this, and says whether it has. The same about what was there before.
    #[inline]
    pub(crate) fn offer<R>(&'static self, value: T, f: impl FnOnce() -> R) -> (R, bool) {
        let _outer = self.enter(State::Closed);
        self.put(value);
        let result = f();
        let is_taken = self.state.get() != State::Filled;
        (result, is_taken)
    }

    #[inline]
    fn enter(&'static self, state: State) -> Outer<T> {
        let outer = self.state.replace(state);
        let value = if outer == State::Filled { self.value.take() } else { T::default() };
        Outer { slot: self, state: outer, value }
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    /// Leaves this, whether anybody wants it or not.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        self.value.set(value);
        self.state.set(State::Filled);
    }

    /// Takes what is there; others may leave something again.
    #[inline]
    pub(crate) fn take(&self) -> T {
        if self.state.get() != State::Filled {
            return T::default();
        }
        self.state.set(State::Open);
        self.value.take()
    }

    /// Adds to what is there. `None` where nobody wants it.
    pub(crate) fn add<R>(&self, add: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.state.get() == State::Closed {
            return None;
        }
        let mut value = self.take();
        let result = add(&mut value);
        self.put(value);
        Some(result)
    }
}

/// What is back in the slot when this is dropped.
struct Outer<T: Default + 'static> {
    slot: &'static Slot<T>,
    state: State,
    value: T,
}

impl<T: Default + 'static> Drop for Outer<T> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.state.replace(self.state) == State::Filled || self.state == State::Filled {
            self.slot.value.set(std::mem::take(&mut self.value));
        }
    }
}
