//! Every decision about queues. Sans-IO, like the scheduler.

pub(crate) mod api;
pub(crate) use api::Boards;
#[derive(Debug)]
pub(crate) struct Broker;
use crate::queue::key::*;
use api::*;
impl Broker {
    pub(crate) fn new() -> Self {
        Broker
    }
    pub(crate) fn handle(&mut self, _p: ParticipantId, _e: Event, _b: &mut dyn Boards) -> Result<(), Breach> {
        Ok(())
    }
    pub(crate) fn settle(&mut self, _b: &mut dyn Boards, _a: &mut Vec<Action>) -> Settled {
        Settled::Done
    }
    pub(crate) fn confirm(&mut self, _b: &mut dyn Boards, _a: &mut Vec<Action>) -> Settled {
        Settled::Done
    }
    pub(crate) fn gone(&mut self, _p: ParticipantId, _b: &mut dyn Boards) {}
    pub(crate) fn buried(&mut self, _p: ParticipantId) {}
    pub(crate) fn longest(&self, _s: Seat) -> u64 {
        0
    }
    pub(crate) fn knows(&self, _s: QueueId) -> bool {
        true
    }
    pub(crate) fn knows_parcel(&self, _s: Key) -> bool {
        true
    }
}
