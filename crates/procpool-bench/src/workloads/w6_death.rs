//! W6: a worker is killed in a task. How soon its caller knows, and how soon the pool, which had no other worker, goes on:
//! without a spare worker and with one.

use super::{Only, Workload};
use crate::Error;
use crate::book::Book;
use crate::helpers::{Crew, Place, Work};
use crate::measurement::{Key, System};
use crate::stage::Stage;

pub(super) const NAME: &str = "W6";

pub(super) const VARIANTS: [&str; 3] = ["error", "next", "next-spare"];

pub(crate) struct Death {
    times: usize,
    only: Only,
}

impl Death {
    pub(crate) fn new(quick: bool, only: Only) -> Self {
        Death { times: if quick { 5 } else { 15 }, only }
    }
}

impl Workload for Death {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let crew = &mut stage.crew;
        // `multiprocessing.Pool` waits for ever for the result of a worker that died.
        let others = crew.pythons().filter(|system| *system != System::Multiprocessing);
        let mut add = |variant, system, millis: &[f64]| {
            if self.only.wants(variant) {
                book.add_median(Key { workload: NAME, variant, system, metric: "ms", unit: "ms" }, millis);
            }
        };
        if self.only.wants("error") || self.only.wants("next") {
            for system in [System::Procpool, System::Procspawn].into_iter().chain(others) {
                let (error, next) = self.deaths(crew, system, 0)?;
                add("error", system, &error);
                add("next", system, &next);
            }
        }
        if self.only.wants("next-spare") {
            let (_, next) = self.deaths(crew, System::Procpool, 1)?;
            add("next-spare", System::Procpool, &next);
        }
        Ok(())
    }
}

impl Death {
    /// The milliseconds to each error, and to each next result.
    fn deaths(&self, crew: &mut Crew, system: System, spares: u32) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let (mut error, mut next) = (Vec::new(), Vec::new());
        for _ in 0..self.times {
            let millis = match system {
                System::Procpool => crew.own(Place::Small, system, Work::Death { spares })?,
                _ => crew.peer(Place::Small, system, Work::Death { spares }),
            };
            error.extend(millis.first());
            next.extend(millis.get(1));
        }
        Ok((error, next))
    }
}
