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
    pub(crate) value: &'static LocalKey<Cell<Option<T>>>,
}

impl<T: 'static> Slot<T> {
    /// From now until the guard is dropped (on the same thread), something may be left.
    #[inline]
    pub(crate) fn open(&'static self) -> Opened<T> {
        self.enter(State::Open)
    }

    /// Calls `f`, and gives what it has left.
    #[inline]
    pub(crate) fn collect<R>(&'static self, f: impl FnOnce() -> R) -> (R, Option<T>) {
        let opened = self.open();
        let result = f();
        (result, opened.take())
    }

    /// Calls `f`, which may [`take`](Self::take) this, and says whether it has.
    #[inline]
    pub(crate) fn offer<R>(&'static self, value: T, f: impl FnOnce() -> R) -> (R, bool) {
        let _outer = self.enter(State::Closed);
        self.put(value);
        let result = f();
        let is_taken = self.state.get() != State::Filled;
        (result, is_taken)
    }

    #[inline]
    fn enter(&'static self, state: State) -> Opened<T> {
        let outer = self.state.replace(state);
        let value = if outer == State::Filled { self.value.take() } else { None };
        Opened { slot: self, outer, value }
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    /// Leaves this, whether anybody wants it or not.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        self.value.set(Some(value));
        self.state.set(State::Filled);
    }

    /// Takes what is there; others may leave something again.
    #[inline]
    pub(crate) fn take(&self) -> Option<T> {
        if self.state.get() != State::Filled {
            return None;
        }
        self.state.set(State::Open);
        self.value.take()
    }
}

impl<T: Default + 'static> Slot<T> {
    /// Adds to what is there. `None` where nobody wants it.
    pub(crate) fn add<R>(&self, add: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.state.get() == State::Closed {
            return None;
        }
        let mut value = self.take().unwrap_or_default();
        let result = add(&mut value);
        self.put(value);
        Some(result)
    }
}

/// A slot of this thread that is open. When this is dropped, also because of a panic, what was there before is back.
#[must_use]
pub(crate) struct Opened<T: 'static> {
    slot: &'static Slot<T>,
    outer: State,
    value: Option<T>,
}

impl<T: 'static> Opened<T> {
    #[inline]
    pub(crate) fn is_filled(&self) -> bool {
        self.slot.state() == State::Filled
    }

    /// Takes what was left.
    #[inline]
    pub(crate) fn take(&self) -> Option<T> {
        self.slot.take()
    }
}

impl<T: 'static> Drop for Opened<T> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.state.replace(self.outer) == State::Filled || self.outer == State::Filled {
            self.slot.value.set(self.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    thread_local! {
        static LEAVES: Cell<State> = const { Cell::new(State::Closed) };
        static LEFT: Cell<Option<String>> = const { Cell::new(None) };
    }

    static SLOT: Slot<String> = Slot { state: &LEAVES, value: &LEFT };

    fn leave(what: &str) -> bool {
        SLOT.add(|left| left.push_str(what)).is_some()
    }

    #[test]
    fn what_is_left_inside_stays_inside() {
        assert!(!leave("nobody"));
        let ((), outer) = SLOT.collect(|| {
            assert!(leave("one"));
            let (ok, inner) = SLOT.collect(|| leave("two") && leave("three"));
            assert_eq!((ok, inner.as_deref()), (true, Some("twothree")));
            assert_eq!(SLOT.collect(|| ()), ((), None));
            catch_unwind(|| SLOT.collect(|| leave("lost").then(|| panic!("on purpose")))).unwrap_err();
            assert_eq!(SLOT.offer("four".into(), || SLOT.take()), (Some("four".into()), true));
            assert_eq!(SLOT.offer("five".into(), || ()), ((), false));
            assert!(leave("six"));
        });
        assert_eq!(outer.as_deref(), Some("onesix"));
        assert!(!leave("nobody") && SLOT.take().is_none());
    }
}
