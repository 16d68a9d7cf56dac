//! What the engine does about lots: it keeps the account of their items, under its lock, and hands on their ends.

use super::after::After;
use super::engine::{Engine, Offered, State, Workers};
use super::job::{Submission, Work};
use super::lot::{Arrived, Ends};
use super::news;
use super::outcome::outcome;
use super::scheduler::{Action, Event, Evidence, LOT_NUMBERS, Now, OfferId, Resolution, TaskId, Timing, WorkerId};
use crate::wire::lot::Values;
use crate::wire::message::ReplyBody;
use crate::wire::page::LotState;

/// What a worker has told about the items of a lot.
pub(crate) enum Answered {
    Values(Values),
    /// One that is no short value.
    One {
        offer: u64,
        reply: ReplyBody,
    },
}

impl Answered {
    fn offer(&self) -> OfferId {
        OfferId(match self {
            Answered::Values(values) => values.offer,
            Answered::One { offer, .. } => *offer,
        })
    }
}

impl<W: Workers> Engine<W> {
    /// Answers that were read together: first those of items, then those of tasks, of which some may be the lots of those
    /// items.
    ///
    /// # Errors
    /// The worker has answered items that it does not have, or ended a lot without some.
    pub(crate) fn handle_answers(
        &self,
        worker: WorkerId,
        items: &mut Vec<Answered>,
        events: &mut Vec<Event<Work>>,
    ) -> Result<(), String> {
        if items.is_empty() && events.is_empty() {
            return Ok(());
        }
        self.update_by(|state, now, after| {
            for answered in items.drain(..) {
                state.answered(worker, answered, after)?;
            }
            for event in &*events {
                state.check_end(worker, event)?;
            }
            let mut events = events.drain(..).peekable();
            while events.peek().is_some() {
                state.scheduler.handle_some(&mut events, now, &mut state.actions);
                state.carry_out(now, after);
            }
            Ok(())
        })
    }
}

impl<W: Workers> State<W> {
    /// The lot behind an offer, with its task.
    fn lot_of(&mut self, worker: WorkerId, offer: OfferId) -> Option<(TaskId, &mut Submission)> {
        let task = self.scheduler.task_of(worker, offer)?;
        let job = self.scheduler.job_mut(task).filter(|job| job.lot.is_some())?;
        Some((task, job))
    }

    fn answered(&mut self, worker: WorkerId, answered: Answered, after: &mut After<W>) -> Result<(), String> {
        let offer = answered.offer();
        let State { scheduler, workers, record, news, .. } = self;
        let task = scheduler.task_of(worker, offer);
        // What was taken back is not owed any more, and has been refused.
        let Some((task, job)) = task.and_then(|task| Some((task, scheduler.job_mut(task)?))) else { return Ok(()) };
        let count = match &answered {
            Answered::Values(values) => values.count,
            Answered::One { .. } => 1,
        };
        let Some(first) = job.lot.as_mut().and_then(|lot| lot.answer(count)) else {
            return Err("it broke the protocol: it answered items that it does not have".into());
        };
        let what = match answered {
            Answered::Values(values) => {
                record.values(count);
                Ends::Values(values)
            }
            Answered::One { reply, .. } => {
                let result = outcome(job, Resolution::Replied { worker, reply }, 1, |worker| workers.pid(worker));
                record.item(&result, false);
                news.tell(&mut after.readers, || news::failure(number(task, first), job, &result));
                Ends::One(result)
            }
        };
        after.deliveries.extend(job.delivery(number(task, 0), vec![Arrived { first, what }]));
        Ok(())
    }

    /// Whether the worker may say that it is through with a lot, if it does.
    fn check_end(&mut self, worker: WorkerId, event: &Event<Work>) -> Result<(), String> {
        let Event::Replied { offer, .. } = event else { return Ok(()) };
        let lot = self.lot_of(worker, *offer).and_then(|(_, job)| job.lot.as_ref());
        match lot {
            Some(lot) if !lot.may_end() => Err("it broke the protocol: it left out items of a lot".into()),
            _ => Ok(()),
        }
    }

    /// What a page says about a worker that is gone.
    pub(super) fn last_evidence(&mut self, worker: WorkerId, offer: OfferId, now: Now) -> Evidence {
        let evidence = self.workers.inspect(worker, offer, now);
        let state = self.workers.look_at_lot(worker, offer);
        let lot = self.lot_of(worker, offer).and_then(|(_, job)| job.lot.as_mut());
        let Some(lot) = lot else { return evidence };
        let is_sound = match evidence {
            Evidence::Claimed { .. } | Evidence::Done => lot.left_in(state),
            Evidence::Nonsense => lot.left_in(LotState::Nonsense),
            Evidence::Offered { .. } | Evidence::Revoked => true,
        };
        if is_sound { evidence } else { Evidence::Nonsense }
    }

    /// What the page says about an offer, given the value of its slot. Whoever asks is told the same, whatever for: a
    /// page that went back to "claimed" would be a lie.
    pub(super) fn seen(&mut self, worker: WorkerId, offer: OfferId, slot: Evidence) -> Evidence {
        let is_claimed = matches!(slot, Evidence::Claimed { .. });
        if !is_claimed || self.lot_of(worker, offer).is_none() {
            return slot;
        }
        match self.workers.look_at_lot(worker, offer) {
            // No item runs, and none will: that it is through with the lot is on its way.
            LotState::Rests { stopped: true, .. } => Evidence::Done,
            _ => slot,
        }
    }

    /// What is done about lots in another way than about tasks; gives back what is not about one.
    pub(super) fn perform_for_lot(
        &mut self,
        action: Action<Work>,
        now: Now,
        after: &mut After<W>,
    ) -> Option<Action<Work>> {
        match action {
            Action::Offer { worker, offer, task } => {
                let Some(job) = self.scheduler.job_mut(task).filter(|job| job.lot.is_some()) else {
                    return Some(action);
                };
                let Some(lot) = &mut job.lot else { return None };
                job.arguments = lot.hand_over();
                let task = number(task, lot.next());
                self.workers.offer(worker, offer, &Offered { task, job, attempt: 0, now }, &mut after.later);
                None
            }
            Action::SetCancel { worker, offer } => {
                if let Some((_, job)) = self.lot_of(worker, offer) {
                    if let Some(lot) = &mut job.lot {
                        lot.cancel();
                    }
                    self.workers.stop_lot(worker, offer);
                }
                Some(action)
            }
            Action::Relieve { worker, offer } => {
                let rest = self.relieve(worker, offer, now);
                self.scheduler.handle(Event::Relieved { worker, offer, rest }, now, &mut self.actions);
                None
            }
            Action::Resolve { task, job, resolution, timing, .. } if job.lot.is_some() => {
                self.resolve_lot(task, job, &resolution, timing, after);
                None
            }
            other => Some(other),
        }
    }

    fn relieve(&mut self, worker: WorkerId, offer: OfferId, now: Now) -> Vec<(u64, Submission)> {
        let state = self.workers.look_at_lot(worker, offer);
        // One that has not been claimed is no concern of this.
        let is_claimed = matches!(self.workers.inspect(worker, offer, now), Evidence::Claimed { .. });
        let lot = self.lot_of(worker, offer).and_then(|(_, job)| job.lot.as_ref());
        if !is_claimed || !lot.is_some_and(|lot| lot.has_more(state)) {
            return Vec::new();
        }
        let state = self.workers.stop_lot(worker, offer);
        let Some((_, job)) = self.lot_of(worker, offer) else { return Vec::new() };
        let pieces = job.lot.as_mut().map(|lot| lot.give_back(state)).unwrap_or_default();
        pieces.into_iter().map(|piece| job.with_piece(piece)).collect()
    }

    fn resolve_lot(
        &mut self,
        task: TaskId,
        mut job: Submission,
        resolution: &Resolution<Work>,
        timing: Timing,
        after: &mut After<W>,
    ) {
        let Some(mut lot) = job.lot.take() else { return };
        self.record.lot(lot.items(), timing);
        let refused = matches!(resolution, Resolution::Unavailable(_));
        let begun: Vec<_> = (lot.next()..lot.next() + lot.open_items()).map(|item| lot.has_begun(item)).collect();
        let mut begun = begun.into_iter();
        let State { workers, record, news, .. } = self;
        let arrived = lot.end_all(|item| {
            let resolution = match begun.next() {
                Some(true) => resolution.clone(),
                _ => resolution.clone().of_unbegun(),
            };
            let result = outcome(&job, resolution, 1, |worker| workers.pid(worker));
            record.item(&result, refused);
            news.tell(&mut after.readers, || news::failure(number(task, item), &job, &result));
            result
        });
        job.lot = Some(lot);
        if !arrived.is_empty() {
            after.deliveries.extend(job.delivery(number(task, 0), arrived));
        }
        after.over.push(job);
    }
}

/// The number of an item of the lot of which this is a task.
fn number(task: TaskId, item: u32) -> TaskId {
    TaskId(task.0 / LOT_NUMBERS * LOT_NUMBERS + u64::from(item))
}
