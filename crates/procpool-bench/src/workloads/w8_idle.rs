//! W8: what a pool of two workers costs while nothing is to be done: memory for each of them, and wake-ups of any of its
//! threads, in the parent and in the workers.

use std::thread;
use std::time::{Duration, Instant};

use super::Workload;
use crate::Error;
use crate::book::Book;
use crate::helpers::Helper;
use crate::measurement::{Key, System};
use crate::proc;
use crate::stage::Stage;

pub(super) const NAME: &str = "W8";

pub(super) const VARIANT: &str = "idle";

/// After its last task a pool may have something to put away.
const SETTLE: Duration = Duration::from_millis(300);

pub(crate) struct Idle {
    watch: Duration,
}

impl Idle {
    pub(crate) fn new(quick: bool) -> Self {
        Idle { watch: Duration::from_millis(if quick { 500 } else { 4000 }) }
    }
}

impl Workload for Idle {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let crew = &stage.crew;
        let mut idlers: Vec<(System, Helper)> = vec![(System::Procpool, crew.idle(System::Procpool)?)];
        for system in [System::Procspawn].into_iter().chain(crew.pythons()) {
            match crew.idle(system) {
                Ok(helper) => idlers.push((system, helper)),
                Err(error) => eprintln!("left out: {}, idle: {error}", system.name()),
            }
        }
        thread::sleep(SETTLE);
        // All at the same time: none of them does anything.
        let start = Instant::now();
        let before = idlers.iter().map(|(_, helper)| switches(helper)).collect::<Result<Vec<_>, _>>()?;
        thread::sleep(self.watch);
        for ((system, helper), before) in idlers.iter().zip(before) {
            let wakeups = switches(helper)?.saturating_sub(before) as f64 / start.elapsed().as_secs_f64();
            let key =
                Key { workload: NAME, variant: VARIANT, system: *system, metric: "wakeups_per_second", unit: "1/s" };
            book.add(key.clone(), wakeups);
            let workers = proc::children(helper.id())?;
            let kib = workers.iter().map(|worker| proc::pss_kib(*worker)).collect::<Result<Vec<_>, _>>()?;
            let mib = kib.iter().sum::<u64>() as f64 / 1024.0 / kib.len().max(1) as f64;
            book.add(Key { metric: "pss_mib", unit: "MiB", ..key }, mib);
        }
        Ok(())
    }
}

/// How often a thread of the helper or of its workers has left a core so far: each wake-up ends with that.
fn switches(helper: &Helper) -> Result<u64, Error> {
    let workers = proc::children(helper.id())?;
    workers.into_iter().chain([helper.id()]).map(proc::switches).sum()
}
