//! Fences around workers: what is forbidden to whatever runs in them.
//!
//! [`Sandbox`] says what; [`support`] asks whether this kernel can; [`enter`] does it in the worker. The kernel enforces it
//! by three means: no new privileges (and none of the old ones), Landlock for files and for other processes ([`files`]),
//! and seccomp for system calls ([`calls`] lists them, [`filter`] makes programs of the lists).

mod calls;
mod enter;
mod files;
mod filter;
mod policy;
mod support;

pub(crate) use enter::{Fenced, check_nesting, enter};
pub use policy::Sandbox;
