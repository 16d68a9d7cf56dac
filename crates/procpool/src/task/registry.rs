//! The tasks that have a stable name.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::OnceLock;

use linkme::distributed_slice;

use crate::task::code::Code;
use crate::task::descriptor::{self, Descriptor, Kind};
use crate::task::{IdentityError, Named};

/// Every `#[procpool::task]` of the crates that are linked into the program.
///
/// A crate that nothing refers to is not linked, and its tasks are not here: `use its_name as _;`.
#[doc(hidden)]
#[distributed_slice]
pub static TASKS: [Registration] = [..];

/// A task that has a stable name.
#[doc(hidden)]
#[derive(Debug)]
pub struct Registration {
    name: &'static str,
    schema: u64,
    place: &'static str,
    descriptor: &'static Descriptor,
}

impl Registration {
    /// What `#[procpool::task]` registers. `schema` is a hash of argument names and of types as they are written; `place`
    /// is where.
    #[must_use]
    pub const fn of<T: Named>(schema: u64, place: &'static str) -> Self {
        assert!(T::STABLE_NAME.len() <= MAX_NAME, "the stable name of a task has more than 1024 bytes");
        Self { name: T::STABLE_NAME, schema, place, descriptor: descriptor::of_task::<T>() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn schema(&self) -> u64 {
        self.schema
    }

    pub(super) fn code(&self) -> Code {
        Code::of_task(self.descriptor)
    }
}

/// The longest stable name, in bytes: it travels with each task.
const MAX_NAME: usize = 1024;

/// How many names an error shows.
const SHOWN: usize = 8;

/// The registered task that this is the code of.
///
/// # Errors
///
/// It is not registered; what to do about it depends on what it is.
pub(super) fn of(descriptor: &Descriptor) -> Result<&'static Registration, IdentityError> {
    static BY_TYPE: OnceLock<HashMap<TypeId, &'static Registration>> = OnceLock::new();
    let advice = match descriptor.kind() {
        Kind::Task => {
            let known = BY_TYPE.get_or_init(|| TASKS.iter().map(|task| (task.descriptor.type_id(), task)).collect());
            if let Some(task) = known.get(&descriptor.type_id()) {
                return Ok(task);
            }
            "put `#[procpool::task]` on a function that is not generic and pass the value that it makes; for a generic \
             task or a type that implements `Task` by hand, on a concrete wrapper"
        }
        Kind::Call => {
            "`call!` names its function by its place in this program: put `#[procpool::task]` on the function and pass \
             its value, `pool.run(f { .. })`"
        }
        Kind::Map | Kind::MapWith => {
            "`map` names its function by its place in this program: put `#[procpool::task]` on the function and use \
             `run_all` with its values, `pool.run_all(items.map(|x| f { x }))`"
        }
        Kind::Make | Kind::TryMake | Kind::Use => {
            "the functions of a worker's state are named by their place in this program: leave out `program`, or let a \
             `#[procpool::task]` that is the `init` job keep the state in a `static` of the other program"
        }
    };
    Err(IdentityError::NoStableName { advice })
}

/// The code of a registered task, by the name and schema that another process has for it.
///
/// # Errors
///
/// This program has no such task, or one with other arguments or another result, or two of that name.
pub(super) fn find(name: &str, schema: u64) -> Result<Code, IdentityError> {
    static BY_NAME: OnceLock<Result<HashMap<&'static str, &'static Registration>, DuplicateTask>> = OnceLock::new();
    let known =
        BY_NAME.get_or_init(|| check_duplicates().map(|()| TASKS.iter().map(|task| (task.name, task)).collect()));
    let known = known.as_ref().map_err(|duplicate| IdentityError::Duplicate(duplicate.clone()))?;
    let Some(task) = known.get(name) else {
        let mut others: Vec<&str> = known.keys().copied().collect();
        others.sort_unstable();
        let count = others.len();
        others.truncate(SHOWN);
        return Err(IdentityError::UnknownName { name: name.to_owned(), count, some: others.join("`, `") });
    };
    if task.schema != schema {
        return Err(IdentityError::OtherSchema {
            name: task.name,
            asked: schema,
            found: task.schema,
            place: task.place,
        });
    }
    Ok(task.code())
}

/// Two tasks have the same stable name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "two tasks have the stable name `{name}`, at {first} and at {second}: give one of them another with \
     `#[procpool::task(name = \"..\")]`"
)]
pub(crate) struct DuplicateTask {
    name: &'static str,
    first: &'static str,
    second: &'static str,
}

/// Looks for tasks that share a stable name; asked whenever a pool of processes is made.
pub(crate) fn check_duplicates() -> Result<(), DuplicateTask> {
    duplicate(&TASKS).map_or(Ok(()), Err)
}

fn duplicate(tasks: &[Registration]) -> Option<DuplicateTask> {
    let mut sorted: Vec<_> = tasks.iter().map(|task| (task.name, task.place)).collect();
    sorted.sort_unstable();
    let pair = sorted.array_windows().find(|[(one, _), (other, _)]| one == other)?;
    let [(name, first), (_, second)] = *pair;
    Some(DuplicateTask { name, first, second })
}

#[expect(unsafe_code, reason = "within this crate the link section of `#[task]` is seen")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_name_is_found_with_both_places() {
        #[procpool::task]
        fn any() {}
        let task = |name, place| Registration { name, schema: 0, place, descriptor: descriptor::of_task::<any>() };

        assert_eq!(duplicate(&[]), None);
        assert_eq!(duplicate(&[task("a", "a.rs:1"), task("b", "a.rs:2"), task("ab", "a.rs:3")]), None);
        let found = duplicate(&[task("b", "b.rs:2"), task("a", "a.rs:1"), task("b", "a.rs:9")]).unwrap();
        assert_eq!((found.name, found.first, found.second), ("b", "a.rs:9", "b.rs:2"));
        let text = found.to_string();
        assert!(text.contains("`b`") && text.contains("a.rs:9") && text.contains("name = \"..\""), "{text}");
    }
}
