//! Code that was found, ready to run.
#![expect(unsafe_code, reason = "pairs a descriptor with the function of its type")]

use crate::queue::travel;
use crate::task::codec::CodecError;
use crate::task::descriptor::{Descriptor, Function, Kind};
use crate::task::state::NoState;
use crate::task::{apart, store};

/// How far the run of a task has come; told to the caller of [`Code::run`] so that a death can say what it interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The arguments are being decoded.
    Decoding,
    /// The user's function runs.
    Running,
    /// The result is being encoded.
    Encoding,
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

    /// Decodes `arguments`, runs the task, and appends its encoded result to `out`. `step` hears of each step as it begins.
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
    pub(crate) fn run(&self, arguments: &[u8], out: &mut Vec<u8>, step: &mut dyn FnMut(Step)) -> Result<(), Fault> {
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
        let step = &mut |reached| {
            store::open(reached == Step::Decoding);
            if reached == Step::Running {
                apart::forget();
            }
            step(reached);
        };
        // SAFETY: `new` was promised that `function` is the descriptor's.
        unsafe { self.descriptor.run(self.function, arguments, out, step) }
    }
}
