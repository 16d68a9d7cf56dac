//! Every decision about queues. Sans-IO, like the scheduler.

pub(crate) mod api;
