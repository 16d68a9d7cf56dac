//! Where the queues are: the shell around the broker, in the root process.

mod api;

pub(crate) use api::{Hub, LinkId, hub};
