//! What the tests' tasks carry: nothing, or items of a lot with the very account that the engine keeps of them.

use std::cell::Cell;
use std::rc::Rc;

use super::super::*;
use crate::backend::lot::Piece;

/// The payload of all tests. A reply names the task that was run and the offer.
#[derive(Clone, Debug)]
pub(super) struct Test;

#[derive(Debug)]
pub(super) enum Job {
    Plain,
    Lot(Box<Part>),
}

/// Items of a lot that are one task: all of them at first.
#[derive(Debug)]
pub(super) struct Part {
    /// Which lot, counted by the world.
    pub(super) lot: u64,
    /// Its place among all tasks, in the order in which they came to be.
    pub(super) born: u64,
    births: Births,
    pub(super) piece: Piece,
}

/// Counts tasks as they come to be, also those that are made of the rest of another.
#[derive(Clone, Debug, Default)]
pub(super) struct Births(Rc<Cell<u64>>);

impl Births {
    pub(super) fn next(&self) -> u64 {
        self.0.replace(self.0.get() + 1)
    }
}

impl Part {
    pub(super) fn of(lot: u64, births: &Births, piece: Piece) -> Part {
        Part { lot, born: births.next(), births: births.clone(), piece }
    }

    /// What was taken out of it, and the number of the first item of that.
    pub(super) fn beside(&self, piece: Piece) -> (u64, Job) {
        (u64::from(piece.start()), Job::Lot(Box::new(Part::of(self.lot, &self.births, piece))))
    }
}

impl Payload for Test {
    type Job = Job;
    type Reply = (TaskId, OfferId);
    type Death = &'static str;

    fn is_lot(job: &Job) -> bool {
        matches!(job, Job::Lot(_))
    }

    fn open_items(job: &Job) -> usize {
        match job {
            Job::Plain => 1,
            Job::Lot(part) => part.piece.open_items() as usize,
        }
    }

    fn items(job: &Job) -> u64 {
        match job {
            Job::Plain => 1,
            Job::Lot(part) => u64::from(part.piece.items()),
        }
    }

    fn lost(job: &Job) -> Lost {
        match job {
            Job::Lot(part) if !part.piece.has_lost() && part.piece.has_moved() => Lost::None,
            Job::Lot(part) if !part.piece.has_lost() => Lost::Time,
            _ => Lost::Some,
        }
    }

    fn rest(job: &mut Job) -> Option<(u64, Job)> {
        let Job::Lot(part) = job else { return None };
        let rest = part.piece.unbegun()?;
        Some(part.beside(rest))
    }

    fn effort(job: &Job, _reply: &(TaskId, OfferId), time: std::time::Duration) -> (u32, std::time::Duration) {
        match job {
            Job::Plain => (1, time),
            Job::Lot(part) => (part.piece.handled(), time),
        }
    }
}
