//! W5's participants: producers and consumers of each system, each in a process (or thread) of its own.

mod ipc;
mod line;
mod message;
mod part;
mod processes;
mod python;
mod threads;

pub(crate) use ipc::{HELPER, help};
pub(crate) use part::Shape;

/// Each runs all messages once, and gives how many there were a second.
pub(crate) mod systems {
    pub(crate) use super::ipc::{run as ipc_channel, run_bytes as ipc_channel_bytes};
    pub(crate) use super::processes::run as procpool;
    pub(crate) use super::python::run as python;
    pub(crate) use super::threads::run as async_channel;
}
