//! Why code has no name for another process, or a name no code.

use std::fmt;

use crate::task::registry::DuplicateTask;

/// A task's code could not be named, or the name found nothing that may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum IdentityError {
    /// The code lies outside the main executable; where it lies, if that is known.
    Outside {
        /// The file of the shared object.
        object: Option<String>,
    },
    /// The main executable's segments could not be read on this system.
    NoImage,
    /// The bytes are no entry: damaged, or of another version.
    Malformed,
    /// The entry is of another version of the protocol.
    Version {
        /// The version that the entry has.
        found: u32,
    },
    /// The offset points outside the executable's read-only data.
    DescriptorOutOfBounds,
    /// The offset is not that of an aligned descriptor.
    Misaligned,
    /// No descriptor lies there.
    NoDescriptor,
    /// A descriptor of other code lies there.
    OtherCode,
    /// The function's offset points outside the executable's code, or is there for a task or missing for a function.
    FunctionOutOfBounds,
    /// The workers run another program, where only registered tasks are known.
    NoStableName {
        /// What to do about it.
        advice: &'static str,
    },
    /// No task of this program has this stable name.
    UnknownName {
        name: String,
        /// How many it has, and what some of them are called.
        count: usize,
        some: String,
    },
    /// The task of this name has other arguments or another result here.
    OtherSchema { name: &'static str, asked: u64, found: u64, place: &'static str },
    /// Two tasks of this program have the same stable name.
    Duplicate(DuplicateTask),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = "; the worker runs another executable than its parent";
        match self {
            Self::Outside { object } => {
                f.write_str("the task's code lies outside the main executable")?;
                if let Some(object) = object {
                    write!(f, ", in {object}")?;
                }
                f.write_str("; workers run the executable itself and cannot find it: link the code statically")
            }
            Self::NoImage => f.write_str("the segments of the main executable cannot be read on this system"),
            Self::Malformed => f.write_str("the name of the task's code is damaged"),
            Self::Version { found } => write!(f, "the name of the task's code is of version {found}{other}"),
            Self::DescriptorOutOfBounds => {
                write!(f, "the task's code is not within the executable's read-only data{other}")
            }
            Self::Misaligned => write!(f, "the task's code is not where a descriptor can lie{other}"),
            Self::NoDescriptor => {
                write!(f, "no task's code lies at the place that was named{other}")
            }
            Self::OtherCode => write!(f, "the code of another task lies at the place that was named{other}"),
            Self::NoStableName { advice } => {
                write!(
                    f,
                    "the workers run another program (`PoolBuilder::program`) and find code by stable names only; {advice}"
                )
            }
            Self::UnknownName { name, count: 0, .. } => {
                write!(
                    f,
                    "the workers' program has no task `{name}`, nor any other: name the crate of its tasks in it, \
                     `use its_name as _;`, or it is not linked"
                )
            }
            Self::UnknownName { name, count, some } => {
                let more = if *count > 1 { "among others " } else { "" };
                write!(
                    f,
                    "the workers' program has no task `{name}` (it has {count}, {more}`{some}`): name the crate of that \
                     task in it, `use its_name as _;`, or build both programs from the same version of it"
                )
            }
            Self::OtherSchema { name, asked, found, place } => {
                write!(
                    f,
                    "the task `{name}` has other arguments or another result in the workers' program, at {place} (schema \
                     {found:016x}, here {asked:016x}): one of the two is built from another version of its crate"
                )
            }
            Self::Duplicate(duplicate) => write!(f, "in the workers' program {duplicate}"),
            Self::FunctionOutOfBounds => {
                write!(f, "the task's function is not within the executable's code{other}")
            }
        }
    }
}

impl std::error::Error for IdentityError {}
