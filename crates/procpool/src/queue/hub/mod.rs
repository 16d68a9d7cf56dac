//! Where the queues of a program are: the shell around the broker, in the root process.
//!
//! ```text
//! introduced ─▶ link: board and rings are made, the participant is welcomed
//!      ─▶ { read what all wrote ─▶ tell the broker ─▶ it settles ─▶ boards, outboxes ─▶ write ─▶ rouse }*
//!      ─▶ gone (its socket is at its end, it was buried, or it broke the protocol) ─▶ buried
//! ```

mod after;
mod api;
mod families;
mod link;
mod outbox;
mod state;
#[cfg(test)]
mod tests;
mod translate;
mod watch;

#[cfg(test)]
pub(crate) use api::Hub;
pub(crate) use api::{LinkId, hub};
