//! Code that was found, ready to run.
#![expect(unsafe_code, reason = "pairs a descriptor with the function of its type")]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::queue::travel;
use crate::task::codec::CodecError;
use crate::task::descriptor::{Descriptor, Function, Kind};
use crate::task::state::NoState;
use crate::task::{apart, store};

/// How far the run of a task has come, noted in [`Steps`] so that a death can say what it interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Step {
    /// The arguments are being decoded.
    Decoding = 1,
    /// The user's function runs.
    Running = 2,
    /// The result is being encoded.
    Encoding = 3,
}

impl Step {
    /// That of a word in which steps are noted; `None` before the first one.
    pub(crate) fn noted(word: u64) -> Option<Step> {
        [Step::Decoding, Step::Running, Step::Encoding].into_iter().find(|&step| step as u64 == word)
    }
}

/// Where the steps of a task are noted, if anybody asks. (It is three notes a task, and there are millions of tasks a
/// second: so no calls of a closure.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps<'a>(pub(crate) Option<&'a AtomicU64>);

impl Steps<'_> {
    #[inline]
    pub(crate) fn reached(self, step: Step) {
        store::open(step == Step::Decoding);
        if step == Step::Running {
            apart::forget();
        }
        if let Some(word) = self.0 {
            word.store(step as u64, Ordering::Release);
        }
    }
}

/// Why a task that did not panic has no result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The arguments did not decode; the function never ran.
    Decode(CodecError),
    /// The function ran, and its result did not encode.
    Encode(CodecError),
    /// The worker does not have the state that the function needs; it never ran.
    NoState(NoState),
}

/// A task's code: found in this process and checked, so that running it is safe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    descriptor: &'static Descriptor,
    function: Function,
}

impl Code {
    /// The code of a task, which has no function beside it.
    ///
    /// `descriptor` must be one of a task's: it would be called with a function that is none otherwise, so it panics.
    pub(super) fn of_task(descriptor: &'static Descriptor) -> Self {
        assert_eq!(descriptor.kind(), Kind::Task, "only tasks are registered");
        // SAFETY: just checked to be that of a task, which ignores the function.
        unsafe { Self::new(descriptor, None) }
    }

    /// # Safety
    ///
    /// `function` had the type that `descriptor` stands for before it was erased; it is `None` only for a task.
    pub(super) unsafe fn new(descriptor: &'static Descriptor, function: Option<Function>) -> Self {
        /// Stands in for the function that a task does not have; never called.
        fn none() {}
        Self { descriptor, function: function.unwrap_or(none) }
    }

    /// Decodes `arguments`, runs the task, and appends its encoded result to `out`. Each step is noted in `steps` as it begins.
    ///
    /// What the result has beside its bytes is to be had from [`apart::take_result`] and [`travel::take_result`], and only
    /// until the next task is run.
    ///
    /// # Errors
    ///
    /// The arguments or the result did not go through the codec. `out` may then hold a part of a result.
    ///
    /// # Panics
    ///
    /// A panic of the task, or of a user's `Serialize` or `Deserialize`, unwinds through here.
    pub(crate) fn run(&self, arguments: &[u8], out: &mut Vec<u8>, steps: Steps<'_>) -> Result<(), Fault> {
        /// Also when a decoder panics.
        struct Close;

        impl Drop for Close {
            fn drop(&mut self) {
                store::open(false);
            }
        }

        // In case nobody wanted it.
        drop((travel::take_result(), apart::take_result()));
        let _close = Close;
        // SAFETY: `new` was promised that `function` is the descriptor's.
        unsafe { self.descriptor.run(self.function, arguments, out, steps) }
    }
}
