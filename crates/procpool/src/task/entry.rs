//! The code of a job, in the process that submits it.

use std::fmt::Display;

use crate::task::argument::CallArguments;
use crate::task::descriptor::{self, Descriptor, Function};
use crate::task::{CodeName, IdentityError, Naming, Ship, Task, WireEntry, registry};

/// A task's code, before it is named for another process.
///
/// Descriptor and function belong together: only the constructors below pair them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    descriptor: &'static Descriptor,
    function: Option<Function>,
}

impl Entry {
    pub(super) fn task<T: Task>() -> Self {
        Self { descriptor: descriptor::of_task::<T>(), function: None }
    }

    pub(super) fn call<A: CallArguments, R: Ship>(function: fn(A) -> R) -> Self {
        let (descriptor, function) = descriptor::of_call(function);
        Self { descriptor, function: Some(function) }
    }

    pub(super) fn map<A: Ship, R: Ship>(function: fn(A) -> R) -> Self {
        let (descriptor, function) = descriptor::of_map(function);
        Self { descriptor, function: Some(function) }
    }

    pub(super) fn map_with<C: Ship, A: Ship, R: Ship>(function: fn(&C, A) -> R) -> Self {
        let (descriptor, function) = descriptor::of_map_with(function);
        Self { descriptor, function: Some(function) }
    }

    pub(super) fn make<A: Ship, S: 'static>(function: fn(A) -> S) -> Self {
        let (descriptor, function) = descriptor::of_make(function);
        Self { descriptor, function: Some(function) }
    }

    pub(super) fn try_make<A: Ship, S: 'static, E: Display + 'static>(function: fn(A) -> Result<S, E>) -> Self {
        let (descriptor, function) = descriptor::of_try_make(function);
        Self { descriptor, function: Some(function) }
    }

    pub(super) fn use_state<S: 'static, A: Ship, R: Ship>(function: fn(&mut S, A) -> R) -> Self {
        let (descriptor, function) = descriptor::of_use(function);
        Self { descriptor, function: Some(function) }
    }

    /// What this code is called in another process.
    ///
    /// # Errors
    ///
    /// As [`to_wire`](Self::to_wire); by name: it is not that of a registered task.
    pub(crate) fn name(self, naming: Naming) -> Result<CodeName, IdentityError> {
        match naming {
            Naming::ByPlace => self.to_wire().map(CodeName::Place),
            Naming::ByName => registry::of(self.descriptor).map(CodeName::Stable),
        }
    }

    /// The name of this code for another process that runs the same executable.
    ///
    /// # Errors
    ///
    /// The code lies outside the main executable, in a shared library or a plugin.
    pub(crate) fn to_wire(self) -> Result<WireEntry, IdentityError> {
        WireEntry::of(self.descriptor, self.function)
    }
}
