//! What is said on a link between a participant and the broker: records, how long messages are cut into them, and what
//! each kind of them holds. Without input or output.

mod assemble;
mod body;
mod cut;
mod error;
mod header;
mod to_client;
mod to_hub;

#[cfg(test)]
mod tests;

pub(crate) use assemble::{Assembler, Begun, Whole};
pub(crate) use body::{Small, encode_handles};
pub(crate) use cut::Cuts;
pub(crate) use error::WireError;
pub(crate) use header::{Flags, HEADER_LEN, Header, Kind, MAX_FRAGMENT, SLOTS};
pub(crate) use to_client::ToClient;
pub(crate) use to_hub::ToHub;
