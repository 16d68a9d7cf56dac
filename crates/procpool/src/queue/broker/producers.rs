//! Who may send how much.
//!
//! A credit is a place for one message, promised to one producer. Those who wait for room stand in a line and are served
//! one message each in turn. Whoever is first is served first, however much it needs: nothing is granted past it, so that
//! small messages do not starve a big one. Only when nobody waits, those who are busy get credits ahead of their needs;
//! these are taken back when somebody waits and no room is left.

use super::api::ProducerView;
use super::limits::BATCH;
use super::queue::{Queue, Work};
use super::seats::{Lack, Leaving, Measure, kept};

impl Queue {
    /// Reads a producer's board and holds it against the books. `None`: there is nothing to be done for it.
    pub(super) fn view(&mut self, index: u32, work: &mut Work<'_>) -> Option<ProducerView> {
        let longest = self.longest();
        let measure = self.measure();
        let place = self.place(index).filter(|place| place.is_sender && !place.is_cut)?;
        let view = work.boards.producer(place.at);
        let has_too_many = view.credits > place.producer.promised
            || (measure == Measure::Bytes && view.bytes > place.producer.promised_bytes);
        if has_too_many {
            self.cut(index, "it has more credits than were granted to it", work);
            return None;
        }
        if measure == Measure::Bytes && view.waiting > 0 && view.needs > longest {
            self.cut(index, "it waits for more room than there ever is", work);
            return None;
        }
        Some(view)
    }

    /// Sees who of those that have something to say waits for room.
    pub(super) fn look_at_producers(&mut self, work: &mut Work<'_>) {
        if self.is_ending() {
            return;
        }
        let measure = self.measure();
        for index in 0..self.places.len() as u32 {
            let is_due =
                |place: &&mut super::seats::Place| place.is_touched && place.is_sender && !place.producer.is_in_line;
            if self.place(index).filter(is_due).is_none() {
                continue;
            }
            let Some(view) = self.view(index, work) else { continue };
            if Lack::of(&view, measure).is_some()
                && let Some(place) = self.place(index)
            {
                place.producer.is_in_line = true;
                place.producer.is_busy = true;
                self.senders_line.push_back(index);
            }
        }
    }

    /// Serves the line, as far as there is room.
    pub(super) fn serve_senders(&mut self, work: &mut Work<'_>) {
        let measure = self.measure();
        while let Some(index) = self.senders_line.pop_front() {
            let lack = self.view(index, work).and_then(|view| Lack::of(&view, measure));
            let Some(lack) = lack else {
                if let Some(place) = self.place(index) {
                    place.producer.is_in_line = false;
                }
                continue;
            };
            if !self.find_room(index, lack, work) {
                self.senders_line.push_front(index);
                return;
            }
            self.senders_line.push_back(index);
        }
    }

    /// Grants what somebody lacks if there is room, or can be made.
    pub(super) fn find_room(&mut self, index: u32, lack: Lack, work: &mut Work<'_>) -> bool {
        if !self.has_room(lack) {
            self.reclaim(index, lack, work);
        }
        let is_there = self.has_room(lack);
        if is_there && (lack.messages > 0 || lack.bytes > 0) {
            self.grant(index, lack.messages, lack.bytes, work);
        }
        is_there
    }

    fn has_room(&self, lack: Lack) -> bool {
        self.room() >= lack.messages && self.room_bytes() >= lack.bytes
    }

    fn grant(&mut self, index: u32, messages: u32, bytes: u64, work: &mut Work<'_>) {
        let Some(place) = self.place(index) else { return };
        place.producer.promised += messages;
        place.producer.promised_bytes += bytes;
        work.boards.grant(place.at, messages, bytes);
        self.promised += messages;
        self.promised_bytes += bytes;
    }

    /// Takes back what others do not need, until there is enough for this one.
    fn reclaim(&mut self, index: u32, lack: Lack, work: &mut Work<'_>) {
        let measure = self.measure();
        let all = self.places.len() as u32;
        for other in (index + 1..all).chain(0..index) {
            let lacks = Lack {
                messages: lack.messages.saturating_sub(self.room()),
                bytes: lack.bytes.saturating_sub(self.room_bytes()),
            };
            if lacks.messages == 0 && lacks.bytes == 0 {
                return;
            }
            if self.place(other).is_none_or(|place| place.producer.promised == 0 && place.producer.promised_bytes == 0)
            {
                continue;
            }
            let Some(view) = self.view(other, work) else { continue };
            let (messages, bytes) = kept(&view, measure);
            let messages = view.credits.saturating_sub(messages).min(lacks.messages);
            let bytes = view.bytes.saturating_sub(bytes).min(lacks.bytes);
            self.take_back(other, messages, bytes, work);
        }
    }

    fn take_back(&mut self, index: u32, messages: u32, bytes: u64, work: &mut Work<'_>) {
        if messages == 0 && bytes == 0 {
            return;
        }
        let Some(place) = self.place(index) else { return };
        let (messages, bytes) = work.boards.take_back(place.at, messages, bytes);
        let producer = &mut place.producer;
        if messages > producer.promised || bytes > producer.promised_bytes {
            self.cut(index, "it has more credits than were granted to it", work);
            return;
        }
        producer.promised -= messages;
        producer.promised_bytes -= bytes;
        producer.is_busy &= messages == 0;
        self.promised -= messages;
        self.promised_bytes -= bytes;
    }

    /// Nothing more is to be sent: takes back what has not been used.
    pub(super) fn take_back_all(&mut self, work: &mut Work<'_>) {
        for index in std::mem::take(&mut self.senders_line) {
            if let Some(place) = self.place(index) {
                place.producer.is_in_line = false;
            }
        }
        for index in 0..self.places.len() as u32 {
            let Some(place) = self.place(index) else { continue };
            let producer = &place.producer;
            if (producer.promised > 0 || producer.promised_bytes > 0) && !place.is_cut {
                let (messages, bytes) = (producer.promised, producer.promised_bytes);
                self.take_back(index, messages, bytes, work);
            }
        }
    }

    /// Nobody waits: gives those who are busy credits ahead, so that they need not ask for each message.
    pub(super) fn grant_ahead(&mut self, work: &mut Work<'_>) {
        if !self.senders_line.is_empty() || self.room() < 2 {
            return;
        }
        let is_busy = |place: &&super::seats::Place| place.is_sender && !place.is_cut && place.producer.is_busy;
        let busy = self.places.iter().flatten().filter(is_busy).count() as u32;
        if busy == 0 {
            return;
        }
        // Half stays for those who come.
        let share = ((self.room() + self.promised) / (2 * busy)).min(BATCH);
        let share_bytes = self.room_bytes().saturating_add(self.promised_bytes) / (2 * u64::from(busy));
        for index in 0..self.places.len() as u32 {
            let usual = self.usual_bytes.max(1);
            let is_limited = self.shape.bytes.is_some();
            let Some(place) = self.place(index).filter(|place| is_busy(&&**place)) else { continue };
            let producer = &place.producer;
            let aim = if is_limited { share.min((share_bytes / usual).min(u64::from(BATCH)) as u32) } else { share };
            if producer.promised * 2 > aim {
                continue;
            }
            let promised_bytes = producer.promised_bytes;
            let messages = (aim - producer.promised).min(self.room());
            let bytes = if is_limited {
                (u64::from(aim) * usual).saturating_sub(promised_bytes).min(self.room_bytes())
            } else {
                0
            };
            if messages > 0 {
                self.grant(index, messages, bytes, work);
            }
        }
    }

    /// A message has come.
    pub(super) fn use_credit(&mut self, index: u32, bytes: u64) {
        let bytes = if self.shape.bytes.is_some() { bytes } else { 0 };
        self.promised = self.promised.saturating_sub(1);
        self.promised_bytes = self.promised_bytes.saturating_sub(bytes);
        if let Some(place) = self.place(index) {
            place.is_touched = true;
            place.producer.is_busy = true;
            place.producer.promised = place.producer.promised.saturating_sub(1);
            place.producer.promised_bytes = place.producer.promised_bytes.saturating_sub(bytes);
        }
    }

    /// Somebody does not send any more: what it was promised is free.
    pub(super) fn forget_producer(&mut self, index: u32, leaving: Leaving, work: &mut Work<'_>) {
        self.senders_line.retain(|other| *other != index);
        let Some(place) = self.place(index) else { return };
        let producer = &mut place.producer;
        producer.is_in_line = false;
        producer.is_busy = false;
        let (mut messages, mut bytes) = (producer.promised, producer.promised_bytes);
        if messages > 0 || bytes > 0 {
            let taken = work.boards.take_back(place.at, u32::MAX, u64::MAX);
            if leaving == Leaving::Role {
                (messages, bytes) = (messages.min(taken.0), bytes.min(taken.1));
            }
        }
        producer.promised -= messages;
        producer.promised_bytes -= bytes;
        self.promised -= messages;
        self.promised_bytes -= bytes;
    }
}
