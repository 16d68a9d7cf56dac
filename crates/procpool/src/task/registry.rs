//! The tasks that have a stable name.

use linkme::distributed_slice;

use crate::task::Named;
use crate::task::descriptor::{self, Descriptor};

/// Every `#[procpool::task]` of the crates that are linked into the program.
///
/// A crate that nothing refers to is not linked, and its tasks are not here: `use its_name as _;`.
#[doc(hidden)]
#[distributed_slice]
pub static TASKS: [Registration] = [..];

/// A task that has a stable name.
#[doc(hidden)]
#[derive(Debug)]
#[expect(
    dead_code,
    reason = "schema and code are read where tasks cross to another binary; the names are checked today"
)]
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
        Self { name: T::STABLE_NAME, schema, place, descriptor: descriptor::of_task::<T>() }
    }
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
