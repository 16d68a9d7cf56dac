//! What a task is called in errors, snapshots and traces.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// A task's name as people read it, and where in the source it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskName {
    text: Cow<'static, str>,
    location: Option<&'static Location<'static>>,
}

impl TaskName {
    /// A name known at compile time.
    pub(crate) const fn fixed(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), location: None }
    }

    /// A name that the caller chose.
    pub(crate) fn chosen(text: Cow<'static, str>) -> Self {
        Self { text, location: None }
    }

    /// The name of a type without the paths of its modules: `Scale<Vec<u8>>`.
    pub(crate) fn of_type<T: ?Sized>() -> Self {
        Self { text: without_paths(type_name::<T>()), location: None }
    }

    /// The same name, made at `location`.
    pub(crate) fn at(self, location: &'static Location<'static>) -> Self {
        Self { location: Some(location), ..self }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the job was made, if it is known.
    pub(crate) fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Drops `path::to::` before each name. Allocates only for names with parameters.
fn without_paths(name: &'static str) -> Cow<'static, str> {
    if !name.contains(['<', '(', '[', '&', ' ']) {
        return Cow::Borrowed(name.rsplit("::").next().unwrap_or(name));
    }
    let mut short = String::with_capacity(name.len());
    // Where the path that is being copied began.
    let mut start = 0;
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("::") {
            short.truncate(start);
            rest = tail;
            continue;
        }
        short.push(next);
        if !(next.is_alphanumeric() || next == '_' || next == '#') {
            start = short.len();
        }
        rest = &rest[next.len_utf8()..];
    }
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;
    struct Wrap<T>(std::marker::PhantomData<T>);

    #[test]
    fn a_types_name_comes_without_the_paths_of_its_modules() {
        assert_eq!(TaskName::of_type::<Plain>().as_str(), "Plain");
        assert!(matches!(TaskName::of_type::<Plain>().text, Cow::Borrowed(_)));
        assert_eq!(TaskName::of_type::<Wrap<Vec<u8>>>().as_str(), "Wrap<Vec<u8>>");
        assert_eq!(TaskName::of_type::<Wrap<(Plain, [Plain; 2])>>().as_str(), "Wrap<(Plain, [Plain; 2])>");
        assert_eq!(TaskName::of_type::<Wrap<&'static str>>().to_string(), "Wrap<&str>");
    }
}
