//! What follows from what has been told: at once, and once it is certain.

use super::api::{Action, Boards, Settled};
use super::core::{Broker, GONE};
use super::participants::Slot;
use super::queue::Work;
use super::references::{Doubt, Reference};

impl Broker {
    /// A queue of which no handle is left.
    fn drop_queue(&mut self, index: u32, boards: &mut dyn Boards) {
        let Some(mut queue) = self.queues.get_mut(index as usize).and_then(Option::take) else { return };
        self.names.remove(&queue.id);
        queue.drop_stock(&mut self.released);
        // Those who hold nothing but forged handles.
        for place in queue.places.iter().flatten() {
            let roles = place.forged_roles();
            self.set(place.at, Slot::OfTheGone { roles });
            boards.show(place.at, GONE);
        }
        self.free.push(index);
        self.dirty.retain(|other| *other != index);
        self.doubted.retain(|other| *other != index);
    }

    /// Decides everything that can be decided now.
    pub(crate) fn settle(&mut self, boards: &mut dyn Boards, actions: &mut Vec<Action>) -> Settled {
        self.settle_all(boards, actions);
        if self.is_certain() {
            return Settled::Done;
        }
        for (_, doubt) in &mut self.burials {
            *doubt = Doubt::Asked;
        }
        for at in 0..self.doubted.len() {
            if let Some(queue) = self.queue(self.doubted[at]) {
                queue.ask_for_certainty();
            }
        }
        Settled::Doubtful
    }

    /// Decides what was in doubt, now that everything has been read that had been written when
    /// [`settle`](Self::settle) said so, and has been told.
    pub(crate) fn confirm(&mut self, boards: &mut dyn Boards, actions: &mut Vec<Action>) -> Settled {
        let doubted: Vec<_> = self.doubted.clone();
        // What has been claimed meanwhile counts.
        for &index in &doubted {
            self.soil(index);
        }
        self.settle_all(boards, actions);
        self.bury();
        for index in doubted {
            self.soil(index);
            let Some(queue) = self.queues.get_mut(index as usize).and_then(Option::as_mut) else { continue };
            queue.senders.confirm();
            if queue.receivers.confirm() {
                queue.drop_stock(&mut self.released);
            }
            let mut work = Work { boards: &mut *boards, actions: &mut *actions, released: &mut self.released };
            let from = work.actions.len();
            queue.answer_for_certain(&mut work);
            self.enter_answers(&actions[from..]);
        }
        self.settle_all(boards, actions);
        if self.is_certain() { Settled::Done } else { Settled::Doubtful }
    }

    fn is_certain(&self) -> bool {
        self.doubted.is_empty() && self.burials.is_empty()
    }

    fn enter_answers(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Answer { participant, request, .. } = action
                && let Some(participant) = self.participants.get_mut(*participant)
            {
                participant.questions.remove(request);
            }
        }
    }

    /// Everything that follows from what has happened; also from what follows.
    fn settle_all(&mut self, boards: &mut dyn Boards, actions: &mut Vec<Action>) {
        let from = actions.len();
        actions.append(&mut self.actions);
        loop {
            // Queues in messages in queues: one after the other, however deep.
            while let Some(Reference { queue: index, role }) = self.released.pop() {
                if let Some(queue) = self.queue(index) {
                    queue.count(role).remove();
                }
                self.soil(index);
            }
            let Some(index) = self.dirty.pop() else { break };
            let Some(queue) = self.queues.get_mut(index as usize).and_then(Option::as_mut) else { continue };
            queue.is_dirty = false;
            let mut work = Work { boards: &mut *boards, actions: &mut *actions, released: &mut self.released };
            queue.settle(&mut work);
            if queue.is_dirty {
                self.dirty.push(index);
            }
            if queue.is_over() {
                self.drop_queue(index, boards);
            } else if queue.has_doubts() && !std::mem::replace(&mut queue.is_doubted, true) {
                self.doubted.push(index);
            }
        }
        let queues = &mut self.queues;
        self.doubted.retain(|index| {
            let Some(queue) = queues.get_mut(*index as usize).and_then(Option::as_mut) else { return false };
            queue.is_doubted = queue.has_doubts();
            queue.is_doubted
        });
        for seat in self.left.drain(..) {
            if let Some(participant) = self.participants.get_mut(seat.participant) {
                participant.set(seat.slot, Slot::Free);
            }
            actions.push(Action::Freed { seat });
        }
        self.enter_answers(&actions[from..]);
    }
}
