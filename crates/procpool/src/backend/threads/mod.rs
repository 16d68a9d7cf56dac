//! Tasks on threads of this process: the same scheduler and the same encoding, without the protection.
//!
//! A thread cannot be killed. One whose task is stopped is abandoned: the pool forgets it, and it ends when its task
//! returns.

mod body;
mod clock;
mod desk;
mod start;
mod workers;

pub(crate) use start::{ThreadsConfig, start};
