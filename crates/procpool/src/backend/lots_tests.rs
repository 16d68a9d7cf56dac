//! What the engine makes of a page with a lot, told by a page of which every word can be chosen.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;

use super::completion::{Ending, Observer};
use super::demands::{Batching, Demands, Lots};
use super::engine::{Engine, Offered, Workers};
use super::job::Submission;
use super::lot::{Home, Lot};
use super::record::Timings;
use super::scheduler::{
    Admission, Batch, Deadline, Event, Evidence, Now, OfferId, Overdue, Placement, SchedulerConfig, TaskOptions,
    WorkerId,
};
use super::seam::Backend;
use crate::call;
use crate::process::Watch;
use crate::queue::waiting::Reading;
use crate::task::{Job, Naming, TaskName};
use crate::wire::page::LotState;

/// Workers that rest in a lot that they were told to stop.
#[derive(Clone, Default)]
struct Resting {
    offers: Arc<AtomicU32>,
    looks: Arc<AtomicU32>,
    kills: Arc<AtomicU32>,
}

impl Resting {
    fn claimed(&self, now: Now) -> Evidence {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Evidence::Claimed { at: now }
    }
}

impl Workers for Resting {
    type Later = ();
    type Companion = Infallible;

    fn spawn(&mut self, _: WorkerId, _: Option<Arc<Watch>>, (): &mut ()) {}
    fn offer(&mut self, _: WorkerId, _: OfferId, _: &Offered<'_>, (): &mut ()) {
        self.offers.fetch_add(1, Ordering::Relaxed);
    }
    fn revoke(&mut self, _: WorkerId, _: OfferId, now: Now, (): &mut ()) -> Evidence {
        self.claimed(now)
    }
    fn inspect(&mut self, _: WorkerId, _: OfferId, now: Now) -> Evidence {
        self.claimed(now)
    }
    fn set_cancel(&mut self, _: WorkerId, _: OfferId) {}
    fn look_at_lot(&self, _: WorkerId, _: OfferId) -> LotState {
        LotState::Rests { before: 0, stopped: true }
    }
    fn kill(&mut self, _: WorkerId, _: Option<Overdue>, (): &mut ()) {
        self.kills.fetch_add(1, Ordering::Relaxed);
    }
    fn retire(&mut self, _: WorkerId, (): &mut ()) {}
    fn set_deadline(&mut self, _: Option<Now>, (): &mut ()) {}
    fn closed(&mut self, (): &mut ()) {}
    fn pid(&self, _: WorkerId) -> Option<u32> {
        None
    }
    fn waits(&self, _: WorkerId) -> Reading {
        Reading::default()
    }
    fn companion(&self, _: WorkerId) -> Option<Infallible> {
        None
    }
    fn linger(companion: Infallible, _: Duration, _: &dyn Fn() -> bool) {
        match companion {}
    }
    fn finish((): ()) {}
}

struct Nobody;

impl Observer for Nobody {
    fn ended(&self, _: Ending) {}
    fn ended_many(&self, _: u64, _: u64) {}
}

const CONFIG: SchedulerConfig = SchedulerConfig {
    min_workers: 1,
    max_workers: 1,
    spares: 0,
    queue_limit: 10,
    waiting_limit: 10,
    ageing: Duration::MAX,
    idle_timeout: None,
    max_tasks: None,
    start_limit: Duration::MAX,
    init_limit: Duration::MAX,
    exit_limit: Duration::MAX,
    claim_limit: Duration::ZERO,
    max_offers: 3,
    max_depth: 64,
    start_failures: 3,
    backoff: Duration::ZERO,
    max_backoff: Duration::ZERO,
};

fn item() {}

/// Two that ask in one tick (whether it has been claimed; and to have it back, since its time is up) are told the same of
/// a lot: one was told that it is over and the other that it is claimed, and its worker was killed as a liar.
#[test]
fn whoever_asks_about_a_lot_is_told_the_same() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let workers = Resting::default();
    let demands = Demands {
        max_message: 1 << 20,
        naming: Naming::ByPlace,
        batching: Batching::Allowed,
        timings: Timings::Ignored,
        lingering: false,
        lots: Lots::Allowed,
    };
    let engine = Engine::new(CONFIG, demands, runtime.handle().clone(), |_| workers.clone());
    let worker = WorkerId { slot: 0, generation: 0 };
    drop(engine.warm());
    engine.handle(Event::Booted { worker });
    engine.handle(Event::Ready { worker });
    let lot = Lot::new(&Arc::new(Home::new(Arc::new(Nobody))), &[0; 4]);
    let code = call!(item()).into_parts().entry.name(Naming::ByPlace).unwrap();
    let job = Submission::of_lot(TaskName::fixed("lot"), code, Vec::new(), &lot, tracing::Span::none());
    let options = TaskOptions {
        placement: Placement::Shared,
        admission: Admission::Bounded,
        priority: 0,
        retries: 0,
        run_limit: None,
        queue_limit: None,
        grace: Duration::ZERO,
        // Due just behind the question whether it has been claimed.
        deadline: Some(Deadline { left: Duration::from_nanos(1), whole: Duration::from_nanos(1) }),
        batch: Batch::UpTo(2),
    };
    engine.submit(job, options);
    assert_eq!(workers.offers.load(Ordering::Relaxed), 1);
    let handed_over = engine.now();
    while engine.now() <= handed_over.after(Duration::from_nanos(1)) {
        std::hint::spin_loop();
    }
    engine.handle(Event::Tick);
    assert_eq!(workers.looks.load(Ordering::Relaxed), 2, "not asked, or not in one tick");
    assert_eq!(workers.kills.load(Ordering::Relaxed), 0);
}
