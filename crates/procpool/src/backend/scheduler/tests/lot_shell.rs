//! What the engine does about lots (`backend/lots.rs`), with the same account of the items, in a simulated world.

use super::super::*;
use super::job::{Job, Part, Test};
use super::process::{Answer, Process};
use super::world::World;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::wire::lot::split_arguments;
use crate::wire::progress::{LotState, Progress};

/// A worker has broken the protocol.
#[derive(Debug)]
pub(super) struct Fault;

impl Process {
    /// How far it is with the lot that it was offered so.
    pub(super) fn progress(&self, offer: OfferId) -> Progress<'_> {
        Progress::new(&self.words[&offer.slot()], offer)
    }
}

impl World {
    pub(super) fn submit_lot(&mut self, options: TaskOptions, items: u32) {
        let (lot, part) = self.ledger.lots.make(items);
        let (number, born) = (part.lot, part.born);
        self.hand_in(Job::Lot(Box::new(part)), options, |ledger, id, now| {
            ledger.submitted_lot(id, (lot, born), options, now);
            ledger.items_added(number, items);
        });
    }

    /// The tasks that were made of the rest of a lot are found, each by the number that it was given.
    pub(super) fn meet_parts(&mut self) {
        if self.scheduler.lots == 0 {
            return;
        }
        for (id, task) in &self.scheduler.tasks {
            if let Job::Lot(part) = &task.job {
                self.ledger.meet(*id, part, self.now);
            }
        }
    }

    /// The lot behind an offer, with its task.
    fn part(&mut self, worker: WorkerId, offer: OfferId) -> Option<(TaskId, &mut Part)> {
        let task = self.scheduler.task_of(worker, offer)?;
        match self.scheduler.job_mut(task)? {
            Job::Lot(part) => Some((task, part)),
            Job::Plain => None,
        }
    }

    /// Sends the items, if it is a lot that was offered.
    pub(super) fn offer_lot(&mut self, worker: WorkerId, offer: OfferId) {
        let Some((_, part)) = self.part(worker, offer) else { return };
        let arguments = part.piece.hand_over();
        let first = part.piece.next();
        let rest = std::iter::successors(split_arguments(&arguments), |(_, rest)| split_arguments(rest));
        let items: Vec<_> = rest.map(|(item, _)| u32::from_le_bytes(item.try_into().unwrap())).collect();
        assert!(items.iter().copied().eq(first..first + part.piece.open_items()), "{items:?}, from {first}");
        let process = self.processes.get_mut(&worker).unwrap();
        process.words.entry(offer.slot()).or_default();
        process.progress(offer).begin();
        process.frames.insert(offer, items);
    }

    /// Tells the worker to begin no further item; false if it is no lot.
    pub(super) fn cancel_lot(&mut self, worker: WorkerId, offer: OfferId) -> bool {
        let Some((_, part)) = self.part(worker, offer) else { return false };
        part.piece.cancel();
        self.processes[&worker].progress(offer).stop();
        true
    }

    /// What the page says: when no item runs, and none will, the end of the lot is on its way.
    pub(super) fn seen(&mut self, worker: WorkerId, offer: OfferId, slot: Evidence) -> Evidence {
        if !matches!(slot, Evidence::Claimed { .. }) || self.part(worker, offer).is_none() {
            return slot;
        }
        match self.processes[&worker].progress(offer).read() {
            LotState::Rests { stopped: true, .. } => Evidence::Done,
            _ => slot,
        }
    }

    pub(super) fn relieve(&mut self, worker: WorkerId, offer: OfferId) {
        let process = self.processes.get_mut(&worker).unwrap();
        let is_claimed = matches!(process.slot(offer), Some((_, Evidence::Claimed { .. })));
        let is_alive = process.alive;
        let state = process.progress(offer).read();
        let has_more = self.part(worker, offer).is_some_and(|(_, part)| part.piece.has_more(state));
        let mut rest = Vec::new();
        if is_claimed && has_more {
            // It may take a step in just this moment.
            if is_alive && self.source.chance(20) {
                self.goes_on(worker, offer);
            }
            let state = self.processes[&worker].progress(offer).stop();
            let (_, part) = self.part(worker, offer).unwrap();
            rest = part.piece.give_back(state).into_iter().map(|piece| part.beside(piece)).collect();
            let is_all = part.piece.items() == 0;
            self.ledger.lots.seen.whole += u64::from(is_all);
        }
        self.note(|| format!("  (of {offer:?} {rest:?} is taken back)"));
        self.scheduler.handle(Event::Relieved { worker, offer, rest }, self.now, &mut self.actions);
        self.decided();
    }

    /// Enters answers that were read together: those of items, and then looks at the ends of lots.
    pub(super) fn read(&mut self, worker: WorkerId, answers: &[(OfferId, Answer)]) -> Result<(), Fault> {
        for &(offer, answer) in answers {
            let Answer::Items(count) = answer else { continue };
            let Some((task, part)) = self.part(worker, offer) else { continue };
            let first = part.piece.answer(count).ok_or(Fault)?;
            self.ledger.items_answered(task, first, count);
        }
        for &(offer, answer) in answers {
            if matches!(answer, Answer::Task(_))
                && self.part(worker, offer).is_some_and(|(_, part)| !part.piece.may_end())
            {
                return Err(Fault);
            }
        }
        Ok(())
    }

    /// What a page says about a worker that is gone.
    pub(super) fn last_evidence(
        &mut self,
        worker: WorkerId,
        offer: OfferId,
        process: &Process,
        page: Evidence,
    ) -> Evidence {
        let is_first = self.scheduler.offers_of(worker).next() == Some(offer);
        let Some((task, part)) = self.part(worker, offer) else { return page };
        let state = process.progress(offer).read();
        let is_sound = match page {
            Evidence::Claimed { .. } | Evidence::Done => part.piece.left_in(state),
            Evidence::Nonsense => part.piece.left_in(LotState::Nonsense),
            Evidence::Offered { .. } | Evidence::Revoked => return page,
        };
        if !part.piece.has_lost() {
            self.ledger.lost_in_vain(task, is_first);
        }
        if is_sound { page } else { Evidence::Nonsense }
    }

    /// A lot ends as a task: so does what has not ended of it.
    pub(super) fn end_lot(&mut self, task: TaskId, job: Job, resolution: &Resolution<Test>) {
        let Job::Lot(mut part) = job else { return };
        let piece = &mut part.piece;
        let open = piece.next()..piece.next() + piece.open_items();
        let begun: Vec<_> = open.clone().map(|item| piece.has_begun(item)).collect();
        for (item, begun) in open.zip(begun) {
            let resolution = if begun { resolution.clone() } else { resolution.clone().of_unbegun() };
            self.ledger.item_ends(task, item, &resolution);
        }
        let ended = piece.end_all(|_| Err(lost()));
        drop(ended);
        assert_eq!(piece.open_items(), 0);
    }
}

fn lost() -> RunError {
    RunError::new(ErrorKind::WorkerDied, Started::Unknown, Facts::default())
}
