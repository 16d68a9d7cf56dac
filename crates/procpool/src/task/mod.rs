//! What can run in another process: jobs, how their code is named, and how their values travel.

pub(crate) mod any_error;
pub(crate) mod apart;
mod argument;
pub(crate) mod attachment;
mod blob;
mod call;
mod code;
mod code_name;
pub(crate) mod codec;
mod descriptor;
mod entry;
mod identity_error;
mod image;
mod init_output;
mod job;
pub(crate) mod json;
mod map;
mod name;
mod registry;
mod shared;
mod ship;
pub(crate) mod slot;
pub(crate) mod state;
mod stateful;
pub(crate) mod store;
#[expect(clippy::module_inception, reason = "the trait `Task` has a file of its own, named after it")]
mod task;
mod wire_entry;

#[cfg(test)]
mod tests;

pub use argument::*;
pub use blob::Blob;
pub use call::Call;
pub use init_output::InitOutput;
pub use job::{Job, Parts};
pub use registry::{Registration, TASKS};
pub use shared::Shared;
pub use ship::Ship;
pub use task::{Named, Task, assert_named};

pub(crate) use code::{Code, Fault, Step, Steps};
pub(crate) use code_name::{CodeName, Naming};
pub(crate) use entry::Entry;
pub(crate) use identity_error::IdentityError;
pub(crate) use image::build_id;
pub(crate) use map::{Uniform, map_parts, map_uniform, map_with_parts, map_with_uniform};
pub(crate) use name::TaskName;
pub(crate) use registry::check_duplicates;
pub(crate) use stateful::{Made, make_parts, try_make_parts, use_parts};
pub(crate) use wire_entry::WireEntry;
