//! What runs tasks: the seam between the typed front and the places where work happens.

mod after;
mod alarms;
mod completion;
mod demands;
mod engine;
mod job;
mod linger;
pub(crate) mod local;
mod lot;
#[cfg(test)]
mod lot_tests;
mod lots;
#[cfg(test)]
mod lots_tests;
mod news;
mod outcome;
mod record;
pub(crate) mod scheduler;
mod seam;
mod sentinel;
mod stall;
pub(crate) mod threads;
mod view;

pub(crate) use completion::{Answer, Completion, Ending, Observer, completion};
pub(crate) use demands::{Batching, Demands, Lots};
pub(crate) use engine::Engine;
pub(crate) use job::Submission;
pub(crate) use lot::{Arrived, Ends, Home, Lot};
pub(crate) use lots::Answered;
pub(crate) use outcome::failure;
pub(crate) use record::Timings;
pub(crate) use seam::{Backend, Reserving};
pub(crate) use sentinel::tie_to_runtime;
pub(crate) use view::worker_name;
