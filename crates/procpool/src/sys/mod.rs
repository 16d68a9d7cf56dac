//! The one place with system calls: thin, safe names over rustix, and over libc where rustix has none.
//!
//! Everything that is Linux's own sits here behind names that another system could fill. Nothing in here decides
//! anything: who is killed, when a page is trusted, what a frame means is the business of the callers.

pub(crate) mod clock;
pub(crate) mod confine;
pub(crate) mod constructor;
mod copy;
pub(crate) mod cores;
pub(crate) mod courier;
pub(crate) mod cpu_timer;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod limits;
pub(crate) mod memory;
#[cfg(test)]
pub(crate) mod misbehave;
pub(crate) mod overflow;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod readiness;
pub(crate) mod sealed;
pub(crate) mod signals;
pub(crate) mod sink;
pub(crate) mod socket;
pub(crate) mod stdio;
pub(crate) mod words;
