//! What can run in a worker, how it is named, and how its values travel.

pub(crate) mod any_error;
pub(crate) mod codec;
pub(crate) mod json;
