//! What is done once the hub's lock is released.

use super::link::Link;
use crate::panics;
use crate::queue::broker::api::ParticipantId;
use crate::queue::link::Rouser;

/// What a turn leaves to be done.
#[derive(Debug, Default)]
pub(super) struct After {
    /// Whom there is news for.
    pub(super) roused: Vec<Rouser>,
    /// The root process is one of them.
    pub(super) root: bool,
    /// Whose memory is given back.
    pub(super) ended: Vec<Link>,
    warnings: Vec<(ParticipantId, String)>,
}

impl After {
    pub(super) fn warn(&mut self, id: ParticipantId, fault: String) {
        self.warnings.push((id, fault));
    }

    /// Does it, and says whether the root process itself is to look.
    pub(super) fn finish(&mut self) -> bool {
        for rouser in self.roused.drain(..) {
            rouser.rouse();
        }
        self.ended.clear();
        for (id, fault) in self.warnings.drain(..) {
            panics::by_the_way(|| {
                tracing::warn!(
                    target: "procpool::queue", participant = id.0, fault,
                    "a process was cut off from the queues"
                )
            });
        }
        std::mem::take(&mut self.root)
    }
}
