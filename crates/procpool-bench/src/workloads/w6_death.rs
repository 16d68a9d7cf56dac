//! W6: a worker is killed in a task. How soon its caller knows, and how soon the pool, which had no other worker, goes on.

use super::Workload;
use crate::Error;
use crate::book::Book;
use crate::helpers::{Place, Work};
use crate::measurement::{Key, System};
use crate::stage::Stage;

pub(super) const NAME: &str = "W6";

pub(crate) struct Death {
    times: usize,
}

impl Death {
    pub(crate) fn new(quick: bool) -> Self {
        Death { times: if quick { 5 } else { 15 } }
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
        for system in [System::Procpool, System::Procspawn].into_iter().chain(others) {
            let (mut error, mut next) = (Vec::new(), Vec::new());
            for _ in 0..self.times {
                let millis = match system {
                    System::Procpool => crew.own(Place::Small, system, Work::Death)?,
                    _ => crew.peer(Place::Small, system, Work::Death),
                };
                error.extend(millis.first());
                next.extend(millis.get(1));
            }
            for (variant, millis) in [("error", error), ("next", next)] {
                book.add_median(Key { workload: NAME, variant, system, metric: "ms", unit: "ms" }, &millis);
            }
        }
        Ok(())
    }
}
