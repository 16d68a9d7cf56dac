//! W4: from nothing to a result, under a small parent and under a large one. The limit is this program, started without
//! any library, to its first byte.

use super::Workload;
use crate::Error;
use crate::book::Book;
use crate::helpers::{LARGE, Place, SMALL, Work};
use crate::measurement::{Key, System};
use crate::stage::Stage;

pub(super) const NAME: &str = "W4";

/// Where, how many MiB are resident there, the variant for a pool of two workers, the variant for one fresh process.
const PLACES: [(Place, usize, &str, &str); 2] =
    [(Place::Small, SMALL, "small", "process-small"), (Place::Large, LARGE, "1GiB", "process-1GiB")];

pub(crate) struct Start {
    times: usize,
}

impl Start {
    pub(crate) fn new(quick: bool) -> Self {
        Start { times: if quick { 3 } else { 15 } }
    }
}

impl Workload for Start {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let crew = &mut stage.crew;
        for (place, mib, pool, process) in PLACES {
            let mut add = |variant, system, millis: &[f64]| {
                book.add_median(Key { workload: NAME, variant, system, metric: "ms", unit: "ms" }, millis);
            };
            let start = Work::Start { mib };
            for system in [System::Procpool, System::Limit] {
                let millis: Vec<Vec<f64>> =
                    (0..self.times).map(|_| crew.own(place, system, start)).collect::<Result<_, _>>()?;
                add(pool, system, &millis.concat());
                if system == System::Limit {
                    add(process, system, &millis.concat());
                }
            }
            for system in [System::Procspawn, System::IpcChannel].into_iter().chain(crew.pythons()) {
                // Python takes its time to copy the tables of its pages.
                let times = if system.is_python() { self.times.div_ceil(5) } else { self.times };
                let millis: Vec<f64> = (0..times).flat_map(|_| crew.peer(place, system, start)).collect();
                add(pool, system, &millis);
            }
            let millis: Vec<Vec<f64>> =
                (0..self.times).map(|_| crew.own(place, System::Procpool, Work::Process)).collect::<Result<_, _>>()?;
            add(process, System::Procpool, &millis.concat());
            let millis: Vec<f64> =
                (0..self.times).flat_map(|_| crew.peer(place, System::Procspawn, Work::Process)).collect();
            add(process, System::Procspawn, &millis);
        }
        Ok(())
    }
}
