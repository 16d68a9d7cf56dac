//! Every decision about queues. Sans-IO, like the scheduler.

mod api;
