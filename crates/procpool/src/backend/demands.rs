//! How a backend wants its tasks.

use super::record::Timings;
use crate::task::Naming;

/// What a backend asks of every task that it is given, and notes about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demands {
    /// The most bytes that its arguments may take.
    pub(crate) max_message: u64,
    /// How its code is named.
    pub(crate) naming: Naming,
    pub(crate) batching: Batching,
    pub(crate) timings: Timings,
    /// Whether a lone caller looks for its answer itself.
    pub(crate) lingering: bool,
    pub(crate) lots: Lots,
}

/// Whether a worker may be given a task while it still has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batching {
    Allowed,
    /// Somebody has to tell which task a worker is busy with: by what it prints, say.
    OneAtATime,
}

/// Whether items of a map may travel in lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lots {
    Allowed,
    /// Something has to be told, or counted, for each of them before it begins.
    Never,
}
