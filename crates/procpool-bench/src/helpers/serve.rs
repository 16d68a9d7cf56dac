//! The helper that is this program: plays what it is asked for.

use std::hint::black_box;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::helper::answer;
use super::request::{Request, Work};
use crate::Error;
use crate::limits;
use crate::measurement::System;
use crate::peers::{IpcChannel, Procpool, Procspawn, Threads};

/// What a helper is told when it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// MiB that are resident from the start.
    pub(crate) mib: usize,
    /// Whether all happens on one core.
    pub(crate) pinned: bool,
}

pub(crate) fn serve(conditions: Conditions) -> Result<(), Error> {
    // Also if it is in the middle of something that never ends.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if conditions.pinned {
        pin()?;
    }
    let ballast = black_box(vec![1u8; conditions.mib << 20]);
    let mut cast = Cast::default();
    let outcome = answer(|request| cast.play(conditions, request));
    drop(ballast);
    outcome
}

/// What was used once and is kept for the next time.
#[derive(Default)]
struct Cast {
    procpool: Option<Procpool>,
    procspawn: Procspawn,
    ipc: IpcChannel,
}

impl Cast {
    fn play(&mut self, conditions: Conditions, Request { system, work }: Request) -> Result<Vec<f64>, Error> {
        match (system, work) {
            (System::Procpool, work) => {
                if self.procpool.is_none() {
                    self.procpool = Some(Procpool::new(conditions.pinned)?);
                }
                self.procpool.as_mut().ok_or("no procpool")?.play(work)
            }
            (System::Procspawn, work) => self.procspawn.play(work),
            (System::IpcChannel, work) => self.ipc.play(work),
            (System::SpawnBlocking, Work::Parallel { tasks, millis }) => Threads.parallel(tasks, millis),
            (System::Limit, Work::Latency { calls }) => limits::socket(calls),
            (System::Limit, Work::Start { .. } | Work::Process { .. }) => limits::first_byte(),
            (system, work) => Err(format!("{} has nothing for {work:?}", system.name()).into()),
        }
    }
}

/// From here on this thread, and all threads and processes that it starts, have one core: the first one it may use.
fn pin() -> Result<(), Error> {
    let allowed = sched_getaffinity(None)?;
    let core = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).ok_or("no core")?;
    let mut one = CpuSet::new();
    one.set(core);
    Ok(sched_setaffinity(None, &one)?)
}
