//! What participants ask, and when it can be answered.

use super::api::{Action, ParticipantId, Question};
use super::queue::{Queue, Work};
use super::references::Doubt;
use super::seats::{Lack, Measure};

/// A question that has not been answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) participant: ParticipantId,
    pub(super) request: u32,
    /// The place from which it was asked.
    pub(super) place: u32,
    pub(super) question: Question,
    /// All that had been written when it was asked has been read, or is being read before the broker is told to confirm.
    pub(super) is_certain: bool,
}

impl Asked {
    pub(super) fn is_join(&self) -> bool {
        self.question == Question::Join
    }

    fn answer(&self, value: u64) -> Action {
        Action::Answer { participant: self.participant, request: self.request, value }
    }
}

impl Queue {
    /// Answers what is certain already.
    pub(super) fn answer(&mut self, work: &mut Work<'_>) {
        if self.questions.is_empty() {
            return;
        }
        let mut at = 0;
        while at < self.questions.len() {
            let (place, question) = (self.questions[at].place, self.questions[at].question);
            let is_true = match question {
                Question::Len | Question::Join => false,
                Question::Room { bytes } => self.make_room(place, bytes, work),
                Question::Message => self.offer(place, work),
            };
            if is_true {
                let asked = self.questions.remove(at);
                work.actions.push(asked.answer(1));
            } else {
                at += 1;
            }
        }
        let has_join = self.questions.iter().any(Asked::is_join);
        if has_join && self.held == 0 && self.quiet == Doubt::None {
            self.quiet = Doubt::New;
        }
    }

    /// Answers what has become certain, now that everything has been read.
    pub(super) fn answer_for_certain(&mut self, work: &mut Work<'_>) {
        let is_quiet = self.quiet == Doubt::Asked && self.held == 0;
        let unclaimed = self.places.iter().flatten().map(|place| place.consumer.unclaimed.len()).sum::<usize>();
        let length = (self.stock.len() + unclaimed) as u64;
        self.questions.retain(|asked| {
            let value = match asked.question {
                _ if !asked.is_certain => return true,
                Question::Join if !is_quiet => return true,
                Question::Join | Question::Room { .. } | Question::Message => 0,
                Question::Len => length,
            };
            work.actions.push(asked.answer(value));
            false
        });
        if is_quiet {
            self.quiet = Doubt::None;
        }
    }

    /// Whether somebody may send one message of so many bytes; if so, it has a credit for it.
    fn make_room(&mut self, index: u32, bytes: u64, work: &mut Work<'_>) -> bool {
        if self.is_ending() || !self.senders_line.is_empty() || bytes > self.longest() {
            return false;
        }
        let measure = self.measure();
        let Some(view) = self.view(index, work) else { return false };
        // One more than those wait for who wait already.
        let bytes = if measure == Measure::Bytes { bytes.saturating_sub(view.bytes) } else { 0 };
        let lack = Lack { messages: u32::from(view.credits <= view.waiting), bytes };
        self.find_room(index, lack, work)
    }

    /// Those that have left need no answer; but nothing is to wait for one.
    pub(super) fn answer_for_the_gone(&mut self, index: u32, actions: &mut Vec<Action>) {
        self.questions.retain(|asked| {
            if asked.place == index {
                actions.push(asked.answer(0));
            }
            asked.place != index
        });
    }

    /// Something is not certain, and will be once everything has been read.
    pub(super) fn has_doubts(&self) -> bool {
        let ends = [self.senders.doubt, self.receivers.doubt, self.quiet];
        ends.contains(&Doubt::New) || self.questions.iter().any(|asked| !asked.is_certain)
    }

    /// Everything is going to be read now.
    pub(super) fn ask_for_certainty(&mut self) {
        for doubt in [&mut self.senders.doubt, &mut self.receivers.doubt, &mut self.quiet] {
            if *doubt == Doubt::New {
                *doubt = Doubt::Asked;
            }
        }
        for asked in &mut self.questions {
            asked.is_certain = true;
        }
    }
}
