//! The link between a participant and the broker: memory that both see, two byte rings in it, and a socket.

mod board;
mod client_board;
mod client_end;
mod end;
mod hub_board;
mod hub_end;
mod layout;
mod reading;
mod ring;
mod socket;
mod start;

#[cfg(test)]
mod tests;

pub(crate) use crate::sys::futex::Waited;
pub(crate) use client_board::{Claim, ClientBoard};
pub(crate) use client_end::{ClientEnd, Writer};
pub(crate) use end::{Drained, Incoming, Intake, LinkError, Written};
pub(crate) use hub_board::{Armed, HubBoard};
pub(crate) use hub_end::{HubEnd, Rouser};
pub(crate) use layout::Transport;
pub(crate) use start::{open, private, welcome};
