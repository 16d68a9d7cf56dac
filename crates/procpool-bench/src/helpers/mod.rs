//! Processes that measure for us: under conditions that are not ours (a large parent, one core), or systems that may
//! hang.

mod crew;
mod helper;
mod request;
mod serve;

pub(crate) use crew::{Crew, LARGE, Place, SMALL};
pub(crate) use helper::Helper;
#[cfg(test)]
pub(crate) use request::Request;
pub(crate) use request::Work;
pub(crate) use serve::{Conditions, serve};
