//! What the machine itself needs, without any library.

mod first_byte;
mod shared;
mod socket;

pub(crate) use first_byte::{FIRST_BYTE, first_byte, write as write_first_byte};
pub(crate) use shared::{SPIN, shared, spin};
pub(crate) use socket::{ECHO, echo, latencies as socket};
