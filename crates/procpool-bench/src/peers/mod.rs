//! What stands side by side: each system's own way to do the same work. They run in helpers.

mod ipc;
mod procpool;
mod procspawn;
mod python;
mod tasks;
mod threads;
mod trap;

pub(crate) use self::procpool::Procpool;
pub(crate) use self::procspawn::Procspawn;
pub(crate) use ipc::{IpcChannel, WORKER, work};
pub(crate) use python::Python;
pub(crate) use tasks::{burn, cores, echo, empty, micros, millis_since, payload, tiny, warm_up};
pub(crate) use threads::Threads;
