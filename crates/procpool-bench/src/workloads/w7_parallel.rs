//! W7: 64 tasks of 20 ms of processor time each (16 when it is to be quick), all at once, against what the cores could
//! do at best.

use super::Workload;
use crate::Error;
use crate::book::Book;
use crate::helpers::{Place, Work};
use crate::measurement::{Key, System};
use crate::peers::cores;
use crate::stage::Stage;

pub(super) const NAME: &str = "W7";

pub(super) const VARIANT: &str = "20ms";

const MILLIS: u64 = 20;

pub(crate) struct Parallel {
    tasks: u64,
}

impl Parallel {
    pub(crate) fn new(quick: bool) -> Self {
        Parallel { tasks: if quick { 16 } else { 64 } }
    }
}

impl Workload for Parallel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let crew = &mut stage.crew;
        let work = Work::Parallel { tasks: self.tasks, millis: MILLIS };
        let ideal = (self.tasks.div_ceil(cores() as u64) * MILLIS) as f64;
        let others = [System::SpawnBlocking, System::Procspawn].into_iter().chain(crew.pythons());
        for system in [System::Procpool].into_iter().chain(others) {
            let millis = match system {
                System::Procpool => crew.own(Place::Small, system, work)?,
                _ => crew.peer(Place::Small, system, work),
            };
            let ratio: Vec<f64> = millis.into_iter().map(|millis| millis / ideal).collect();
            let key = Key { workload: NAME, variant: VARIANT, system, metric: "ratio_to_ideal", unit: "×" };
            book.add_median(key, &ratio);
        }
        Ok(())
    }
}
