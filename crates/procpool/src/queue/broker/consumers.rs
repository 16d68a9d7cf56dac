//! Who is given which message.
//!
//! Those whose receivers wait stand in a line and are given one message each in turn. When nobody waits, messages are
//! given to those who will probably ask for them, within windows. What has been given and not been claimed is taken back
//! when somebody waits for a message and none is left.

use std::collections::VecDeque;

use super::api::Action;
use super::limits::{WINDOW, WINDOW_BYTES};
use super::queue::{Queue, Work};
use super::references::Reference;
use super::seats::{InHand, Leaving, Place, Unclaimed};

impl Queue {
    /// Sees what has been claimed, and who waits.
    pub(super) fn look_at_consumers(&mut self, work: &mut Work<'_>) {
        for index in 0..self.places.len() as u32 {
            let is_due = |place: &&mut Place| {
                let is_news = place.is_touched || !place.consumer.unclaimed.is_empty();
                place.is_receiver && !place.is_cut && is_news
            };
            if self.place(index).filter(is_due).is_some() {
                self.look_at_consumer(index, work);
            }
        }
    }

    /// Reads a consumer's board, and enters what it says. Gives back whether something was claimed.
    pub(super) fn look_at_consumer(&mut self, index: u32, work: &mut Work<'_>) -> bool {
        let Some(place) = self.place(index) else { return false };
        let view = work.boards.consumer(place.at);
        let consumer = &mut place.consumer;
        if view.next < consumer.next || view.next > consumer.limit {
            self.cut(index, "it claimed what was not given to it", work);
            return false;
        }
        consumer.acked_from = consumer.acked_from.or(view.acked_from);
        consumer.waiting = view.waiting;
        let mut any = false;
        while let Some(place) = self.place(index) {
            let consumer = &mut place.consumer;
            let is_claimed = |first: &Unclaimed| first.number < view.next;
            if !consumer.unclaimed.front().is_some_and(is_claimed) {
                break;
            }
            let Some(first) = consumer.unclaimed.pop_front() else { break };
            any = true;
            consumer.claimed = consumer.claimed.saturating_add(1);
            let bytes = first.stored.bytes();
            consumer.unclaimed_bytes -= bytes;
            let is_acknowledged = consumer.acked_from.is_none_or(|from| first.number < from) || first.is_acked;
            if !is_acknowledged {
                consumer.unacked.push_back(InHand { number: first.number, stored: first.stored, is_opened: false });
                continue;
            }
            if !first.stored.references.is_empty() {
                consumer.unopened.push((first.number, first.stored.references));
            }
            self.uncount(bytes);
        }
        if let Some(place) = self.place(index) {
            place.consumer.next = view.next;
            if place.consumer.need() > 0 && !place.consumer.is_in_line {
                place.consumer.is_in_line = true;
                self.receivers_line.push_back(index);
            }
        }
        any
    }

    /// Whether something can be delivered there now.
    fn may_give(&self, index: u32) -> bool {
        self.places
            .get(index as usize)
            .and_then(Option::as_ref)
            .is_some_and(|place| place.is_receiver && !place.is_cut && !place.consumer.is_blocked())
    }

    /// Gives the next messages to a consumer, which is not blocked.
    fn give(&mut self, index: u32, count: usize, work: &mut Work<'_>) {
        let Some(place) = self.places.get_mut(index as usize).and_then(Option::as_mut) else { return };
        let (at, from) = (place.at, place.consumer.issued);
        let consumer = &mut place.consumer;
        for _ in 0..count {
            let Some(stored) = self.stock.take() else { break };
            let (message, redelivered) = (stored.message.clone(), stored.redelivered);
            let number = consumer.issued;
            consumer.issued += 1;
            consumer.unclaimed_bytes += stored.bytes();
            consumer.unclaimed.push_back(Unclaimed { number, stored, is_acked: false });
            work.actions.push(Action::Deliver { seat: at, delivery: number, message, redelivered });
        }
        if consumer.issued == from {
            return;
        }
        if consumer.limit != from {
            // Over what was taken back.
            consumer.next = from;
        }
        consumer.limit = consumer.issued;
        work.boards.allow(at, from, consumer.issued);
    }

    /// Serves the line.
    pub(super) fn serve_receivers(&mut self, work: &mut Work<'_>) {
        let mut blocked = Vec::new();
        while let Some(index) = self.receivers_line.pop_front() {
            let need = self.place(index).filter(|place| !place.is_cut).map_or(0, |place| place.consumer.need());
            if need == 0 {
                if let Some(place) = self.place(index) {
                    place.consumer.is_in_line = false;
                }
                continue;
            }
            if !self.may_give(index) {
                blocked.push(index);
                continue;
            }
            if self.stock.is_empty() {
                self.collect(index, need, work);
            }
            if self.stock.is_empty() {
                self.receivers_line.push_front(index);
                break;
            }
            self.give(index, 1, work);
            self.receivers_line.push_back(index);
        }
        // They keep their places.
        for index in blocked.into_iter().rev() {
            self.receivers_line.push_front(index);
        }
    }

    /// Takes back from others what their own receivers do not wait for, so much of it as is needed.
    fn collect(&mut self, index: u32, need: usize, work: &mut Work<'_>) {
        let mut tried = Vec::new();
        while self.stock.is_empty() {
            let donors = self.places.iter().enumerate().filter_map(|(other, place)| {
                let place = place.as_ref().filter(|place| !place.is_cut)?;
                let surplus = place.consumer.surplus();
                (surplus > 0 && other as u32 != index && !tried.contains(&other)).then_some((surplus, other))
            });
            let Some((surplus, donor)) = donors.max() else { return };
            tried.push(donor);
            let donor = donor as u32;
            // Not each one separately, if one is hungry and the other slow.
            let taken = need.max(surplus.div_ceil(2)).min(surplus);
            let Some(place) = self.place(donor) else { return };
            let keep = (place.consumer.unclaimed.len() - taken) as u32;
            self.revoke(donor, keep, work);
            if let Some(place) = self.place(donor) {
                place.consumer.window /= 2;
                place.consumer.claimed = 0;
            }
        }
    }

    /// Leaves at most so many deliveries there.
    fn revoke(&mut self, index: u32, keep: u32, work: &mut Work<'_>) {
        let Some(place) = self.place(index) else { return };
        let limit = work.boards.revoke(place.at, keep);
        let consumer = &mut place.consumer;
        if limit < consumer.next || limit > consumer.limit {
            self.cut(index, "its claims went backwards", work);
            return;
        }
        consumer.limit = limit;
        // Of what is left, it may have claimed some before: the line is not for it to join now.
        self.take_from(index, limit, work.released);
        self.look_at_consumer(index, work);
    }

    /// Puts unclaimed deliveries from this number on back into the stock.
    fn take_from(&mut self, index: u32, limit: u64, released: &mut Vec<Reference>) {
        while let Some(place) = self.place(index) {
            let consumer = &mut place.consumer;
            if consumer.unclaimed.back().is_none_or(|last| last.number < limit) {
                return;
            }
            let Some(last) = consumer.unclaimed.pop_back() else { return };
            consumer.unclaimed_bytes -= last.stored.bytes();
            self.put_back(last.stored, released);
        }
    }

    /// Nobody waits: gives what there is to those who will probably want it.
    pub(super) fn prefetch(&mut self, work: &mut Work<'_>) {
        if self.stock.is_empty() {
            return;
        }
        let receivers = self.places.iter().flatten().filter(|place| place.is_receiver).count().max(1) as u32;
        let most = (self.shape.capacity / receivers).clamp(1, WINDOW);
        let all = self.places.len() as u32;
        let mut is_progress = true;
        while is_progress && !self.stock.is_empty() {
            is_progress = false;
            let share = self.stock.len().div_ceil(receivers as usize);
            for step in 0..all {
                let index = (self.turn + step) % all;
                if !self.may_give(index) {
                    continue;
                }
                let Some(first) = self.stock.first_bytes() else { break };
                let usual = self.usual_bytes.max(first).max(1);
                let Some(place) = self.place(index) else { continue };
                let consumer = &mut place.consumer;
                if consumer.claimed > 0 && consumer.claimed >= consumer.window {
                    // It keeps up.
                    consumer.window = consumer.window.saturating_mul(2).max(1);
                    consumer.claimed = 0;
                }
                consumer.window = consumer.window.min(most);
                let space = (consumer.window as usize).saturating_sub(consumer.unclaimed.len());
                let bytes = WINDOW_BYTES.saturating_sub(consumer.unclaimed_bytes) / usual;
                let bytes = if consumer.unclaimed.is_empty() { bytes.max(1) } else { bytes };
                let count = share.min(space).min(bytes as usize);
                if count > 0 {
                    is_progress = true;
                    self.give(index, count, work);
                }
            }
            self.turn = (self.turn + 1) % all;
        }
    }

    /// One message for somebody who looks whether there is any. Gives back whether there is one.
    pub(super) fn offer(&mut self, index: u32, work: &mut Work<'_>) -> bool {
        let is_able = |place: &&mut Place| place.is_receiver && !place.is_cut;
        if self.place(index).filter(is_able).is_none() {
            return false;
        }
        self.look_at_consumer(index, work);
        let Some(place) = self.place(index) else { return false };
        if place.consumer.unclaimed.len() > place.consumer.waiting as usize {
            return true;
        }
        if !self.may_give(index) || !self.receivers_line.is_empty() {
            return false;
        }
        if self.stock.is_empty() {
            self.collect(index, 1, work);
        }
        let is_there = !self.stock.is_empty();
        self.give(index, 1, work);
        is_there
    }

    /// Asks to be told of claims that something depends on.
    pub(super) fn arm(&mut self, work: &mut Work<'_>) {
        let wants_room = !self.senders_line.is_empty();
        let wants_end = self.is_ending() || self.questions.iter().any(|asked| asked.is_join());
        for index in 0..self.places.len() as u32 {
            let Some(place) = self.place(index).filter(|place| place.is_receiver && !place.is_cut) else { continue };
            let consumer = &mut place.consumer;
            let left = consumer.unclaimed.len() as u64;
            if left == 0 {
                continue;
            }
            let next = consumer.next;
            let at = if wants_room {
                next + 1
            } else if consumer.is_blocked() || wants_end {
                consumer.limit
            } else if self.stock.is_empty() {
                continue;
            } else {
                next + left.div_ceil(2)
            };
            let Some(place) = self.place(index) else { continue };
            let consumer = &mut place.consumer;
            if consumer.armed > next && consumer.armed <= at {
                continue;
            }
            consumer.armed = at;
            work.boards.arm(place.at, at);
            // It may have claimed before it could see that somebody wants to know.
            if work.boards.consumer(place.at).next >= at {
                self.is_dirty = true;
            }
        }
    }

    /// Somebody is done with a message. What nobody knows of was taken back before it could be claimed.
    pub(super) fn acknowledge(&mut self, index: u32, number: u64, released: &mut Vec<Reference>) -> bool {
        let Some(place) = self.place(index) else { return false };
        let consumer = &mut place.consumer;
        if let Ok(at) = consumer.unacked.binary_search_by_key(&number, |held| held.number)
            && let Some(held) = consumer.unacked.remove(at)
        {
            let bytes = held.stored.bytes();
            if held.is_opened {
                released.extend(held.stored.references);
            } else if !held.stored.references.is_empty() {
                consumer.unopened.push((number, held.stored.references));
            }
            self.uncount(bytes);
            return true;
        }
        if let Some(given) = consumer.unclaimed.iter_mut().find(|given| given.number == number) {
            given.is_acked = true;
        }
        number < consumer.issued
    }

    /// Somebody is not done with a message that it took.
    pub(super) fn refuse(&mut self, index: u32, number: u64, released: &mut Vec<Reference>) -> bool {
        let Some(place) = self.place(index) else { return false };
        let consumer = &mut place.consumer;
        let is_known = number < consumer.issued;
        if let Ok(at) = consumer.unacked.binary_search_by_key(&number, |held| held.number)
            && let Some(mut held) = consumer.unacked.remove(at)
        {
            held.stored.redelivered = held.stored.redelivered.saturating_add(1);
            self.put_back(held.stored, released);
        }
        is_known
    }

    /// Somebody has attached the handles in a message.
    pub(super) fn opened(&mut self, index: u32, number: u64, released: &mut Vec<Reference>) {
        let Some(place) = self.place(index) else { return };
        let consumer = &mut place.consumer;
        if let Some(at) = consumer.unopened.iter().position(|(other, _)| *other == number) {
            released.extend(consumer.unopened.swap_remove(at).1);
        } else if let Ok(at) = consumer.unacked.binary_search_by_key(&number, |held| held.number) {
            consumer.unacked[at].is_opened = true;
        }
    }

    /// Somebody does not receive any more: what it has and is not done with is for others.
    pub(super) fn forget_consumer(&mut self, index: u32, leaving: Leaving, work: &mut Work<'_>) {
        self.receivers_line.retain(|other| *other != index);
        let Some(place) = self.place(index) else { return };
        // From here on it can claim nothing, whatever it does; and what it has claimed is counted once more.
        let limit = work.boards.revoke(place.at, 0);
        let consumer = &mut place.consumer;
        let is_sane = (consumer.next..=consumer.limit).contains(&limit);
        if is_sane {
            consumer.limit = limit;
            self.take_from(index, limit, work.released);
            self.look_at_consumer(index, work);
        }
        self.receivers_line.retain(|other| *other != index);
        let Some(place) = self.place(index) else { return };
        let consumer = &mut place.consumer;
        // Of what cannot be believed, nothing has been claimed.
        let unclaimed = std::mem::take(&mut consumer.unclaimed);
        let mut unacked = VecDeque::new();
        if leaving == Leaving::Place {
            unacked = std::mem::take(&mut consumer.unacked);
            work.released.extend(consumer.unopened.drain(..).flat_map(|(_, references)| references));
        }
        consumer.unclaimed_bytes = 0;
        consumer.waiting = 0;
        consumer.is_in_line = false;
        consumer.next = consumer.limit;
        for given in unclaimed {
            self.put_back(given.stored, work.released);
        }
        for mut held in unacked {
            held.stored.redelivered = held.stored.redelivered.saturating_add(1);
            self.put_back(held.stored, work.released);
        }
    }
}
