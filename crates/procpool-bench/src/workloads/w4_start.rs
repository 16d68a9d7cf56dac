//! W4: from nothing to a result, under a small parent and under a large one. The limit is this program, started without
//! any library, to its first byte.

use super::{Only, Workload};
use crate::Error;
use crate::book::Book;
use crate::helpers::{Crew, LARGE, Place, SMALL, Work};
use crate::measurement::{Key, System};
use crate::stage::Stage;

pub(super) const NAME: &str = "W4";

pub(super) const VARIANTS: [&str; 4] = ["small", "process-small", "1GiB", "process-1GiB"];

/// Where, how many MiB are resident there, the variant for a pool of two workers, the variant for one fresh process.
const PLACES: [(Place, usize, &str, &str); 2] =
    [(Place::Small, SMALL, "small", "process-small"), (Place::Large, LARGE, "1GiB", "process-1GiB")];

pub(crate) struct Start {
    times: usize,
    only: Only,
}

impl Start {
    pub(crate) fn new(quick: bool, only: Only) -> Self {
        Start { times: if quick { 3 } else { 15 }, only }
    }
}

impl Workload for Start {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        for (place, mib, pool, process) in PLACES {
            for (variant, work) in [(pool, Work::Start { mib }), (process, Work::Process { mib })] {
                if self.only.wants(variant) {
                    self.measure(&mut stage.crew, book, place, variant, work)?;
                }
            }
        }
        Ok(())
    }
}

impl Start {
    fn measure(
        &self,
        crew: &mut Crew,
        book: &mut Book,
        place: Place,
        variant: &'static str,
        work: Work,
    ) -> Result<(), Error> {
        let mut add = |system, millis: &[f64]| {
            book.add_median(Key { workload: NAME, variant, system, metric: "ms", unit: "ms" }, millis);
        };
        for system in [System::Procpool, System::Limit] {
            let millis: Vec<Vec<f64>> =
                (0..self.times).map(|_| crew.own(place, system, work)).collect::<Result<_, _>>()?;
            add(system, &millis.concat());
        }
        // A fresh process for one call is something that few have.
        let peers: Vec<System> = match work {
            Work::Process { .. } => {
                let pythons = crew.pythons().filter(|system| *system == System::Multiprocessing);
                [System::Procspawn].into_iter().chain(pythons).collect()
            }
            _ => [System::Procspawn, System::IpcChannel].into_iter().chain(crew.pythons()).collect(),
        };
        for system in peers {
            // Python takes its time to copy the tables of its pages.
            let times = if system.is_python() { self.times.div_ceil(5) } else { self.times };
            let millis: Vec<f64> = (0..times).flat_map(|_| crew.peer(place, system, work)).collect();
            add(system, &millis);
        }
        Ok(())
    }
}
