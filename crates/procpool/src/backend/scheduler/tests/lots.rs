//! Lots: what becomes of the task when its items are taken away.

use super::super::*;
use super::ledger::ms;
use super::puppet::{PLAIN, config, w};

/// Jobs are ranges of items.
#[derive(Debug)]
struct Items;

impl Payload for Items {
    type Job = std::ops::Range<u64>;
    type Reply = ();
    type Death = ();

    fn is_lot(_: &Self::Job) -> bool {
        true
    }

    fn open_items(job: &Self::Job) -> usize {
        (job.end - job.start) as usize
    }

    fn items(job: &Self::Job) -> u64 {
        job.end - job.start
    }
}

struct Lots {
    scheduler: Scheduler<Items>,
    now: Now,
}

impl Lots {
    fn tell(&mut self, event: Event<Items>) -> Vec<Action<Items>> {
        let mut actions = Vec::new();
        self.scheduler.handle(event, self.now, &mut actions);
        actions
    }

    fn offers(&mut self, actions: &[Action<Items>]) -> Vec<(WorkerId, OfferId, TaskId)> {
        let offer = |action: &Action<Items>| match action {
            Action::Offer { worker, offer, task } => Some((*worker, *offer, *task)),
            _ => None,
        };
        actions.iter().filter_map(offer).collect()
    }

    /// Two workers, of which the first has claimed a lot of so many items.
    fn claimed(items: u64) -> (Lots, TaskId, OfferId) {
        let (lots, id, offer, _) = Lots::claimed_with(items, PLAIN);
        (lots, id, offer)
    }

    /// Also: what is decided once it was there for long.
    fn claimed_with(items: u64, options: TaskOptions) -> (Lots, TaskId, OfferId, Vec<Action<Items>>) {
        let mut lots = Lots { scheduler: Scheduler::new(config(2)), now: Now::default() };
        let mut actions = Vec::new();
        let id = lots.scheduler.submit(0..items, options, lots.now, &mut actions);
        lots.tell(Event::Booted { worker: w(0) });
        let actions = lots.tell(Event::Ready { worker: w(0) });
        let [(_, offer, task)] = lots.offers(&actions)[..] else { panic!("no offer") };
        assert_eq!(task, id);
        let evidence = Evidence::Claimed { at: lots.now };
        lots.tell(Event::Evidence { worker: w(0), offer, evidence });
        lots.now = lots.now.after(ms(50));
        let actions = lots.tell(Event::Tick);
        assert!(actions.iter().any(|action| matches!(action, Action::Relieve { .. })), "it was there for long");
        (lots, id, offer, actions)
    }
}

/// A worker that was held up between the claim of a lot and that of its first item is relieved of all of them. They were
/// given the number of the lot, which is a task until its worker says that it is through with it; so that one was lost, and
/// its end was taken for theirs.
#[test]
fn a_lot_that_is_relieved_of_all_its_items_is_still_a_task() {
    let (mut lots, id, offer) = Lots::claimed(10);
    *lots.scheduler.job_mut(id).unwrap() = 0..0;
    let rest = vec![(0, 0..5), (5, 5..10)];
    let mut actions = lots.tell(Event::Relieved { worker: w(0), offer, rest });
    assert_eq!(lots.scheduler.task_of(w(0), offer), Some(id));
    assert_eq!(lots.scheduler.job_mut(id), Some(&mut (0..0)));
    actions.extend(lots.tell(Event::Replied { worker: w(0), offer, reply: () }));
    let ended = |actions: &[Action<Items>]| {
        let resolved = actions.iter().filter_map(|action| match action {
            Action::Resolve { task, job, .. } => Some((*task, job.clone())),
            _ => None,
        });
        resolved.collect::<Vec<_>>()
    };
    assert_eq!(ended(&actions), [(id, 0..0)]);
    let [(_, offer, piece)] = lots.offers(&actions)[..] else { panic!("no offer") };
    assert_ne!(piece, id);
    assert_eq!(lots.scheduler.job_mut(piece), Some(&mut (0..5)));
    // Whoever cancels the lot means its pieces, too.
    let mut actions = lots.tell(Event::Evidence { worker: w(0), offer, evidence: Evidence::Claimed { at: lots.now } });
    actions.extend(lots.tell(Event::Cancel { task: id, why: CancelReason::Dropped }));
    assert_eq!(ended(&actions).len(), 1, "the one that is queued");
    assert!(actions.iter().any(|action| matches!(action, Action::SetCancel { .. })), "the one that runs");
}

/// Its deadline passes in the tick in which its worker is to be relieved of it: what is taken back went on for as long as
/// it liked.
#[test]
fn what_is_taken_back_of_a_lot_that_was_to_end_ends() {
    let deadline = Some(Deadline { left: ms(50), whole: ms(50) });
    let (mut lots, id, offer, actions) = Lots::claimed_with(10, TaskOptions { deadline, ..PLAIN });
    assert!(actions.iter().any(|action| matches!(action, Action::SetCancel { .. })), "its time is up");
    *lots.scheduler.job_mut(id).unwrap() = 0..4;
    let actions = lots.tell(Event::Relieved { worker: w(0), offer, rest: vec![(4, 4..7), (7, 7..10)] });
    let is_over = |action: &&Action<Items>| {
        let over = matches!(action, Action::Resolve { resolution: Resolution::Cancelled { began, .. }, .. } if *began == Began::No);
        over && matches!(action, Action::Resolve { task, .. } if *task != id)
    };
    assert_eq!(actions.iter().filter(is_over).count(), 2);
    assert_eq!(lots.scheduler.task_counts(), (3, 0, 1), "what the worker has");
}

/// The time in which its worker had it was told as waiting.
#[test]
fn the_time_of_a_lot_that_was_cancelled_is_its_workers() {
    let (mut lots, id, offer) = Lots::claimed(10);
    lots.tell(Event::Cancel { task: id, why: CancelReason::Dropped });
    let actions = lots.tell(Event::Replied { worker: w(0), offer, reply: () });
    let timing = actions.iter().find_map(|action| match action {
        Action::Resolve { timing, .. } => Some(*timing),
        _ => None,
    });
    assert_eq!(timing, Some(Timing { waited: Some(ms(0)), ran: Some(ms(50)) }));
}

/// Also where some of them are empty.
#[test]
fn pieces_have_numbers_of_their_own() {
    let (mut lots, id, offer) = Lots::claimed(3);
    let rest = vec![(0, 0..1), (0, 1..2), (1, 2..3)];
    *lots.scheduler.job_mut(id).unwrap() = 0..0;
    lots.tell(Event::Relieved { worker: w(0), offer, rest });
    assert_eq!(lots.scheduler.task_counts().0, 3);
    let numbers = (0..4).map(|more| TaskId(id.0 + more));
    assert!(numbers.into_iter().all(|number| lots.scheduler.job_mut(number).is_some()));
}

/// Its worker was asked whether it has claimed a lot, and had, while the answer to the one before was on its way. Nobody looked
/// at that lot again: its items waited behind one that did not end.
#[test]
fn a_lot_that_was_seen_to_be_claimed_before_its_turn_is_looked_at() {
    let mut lots = Lots { scheduler: Scheduler::new(config(1)), now: Now::default() };
    let (options, mut actions) = (TaskOptions { batch: LOTS_IN_HAND, ..PLAIN }, Vec::new());
    lots.scheduler.submit(0..10, options, lots.now, &mut actions);
    lots.scheduler.submit(0..10, options, lots.now, &mut actions);
    lots.tell(Event::Booted { worker: w(0) });
    let actions = lots.tell(Event::Ready { worker: w(0) });
    let [(_, first, _), (_, second, _)] = lots.offers(&actions)[..] else { panic!("no two offers") };
    lots.tell(Event::Evidence { worker: w(0), offer: second, evidence: Evidence::Claimed { at: lots.now } });
    lots.tell(Event::Replied { worker: w(0), offer: first, reply: () });
    lots.now = lots.now.after(ms(50));
    let actions = lots.tell(Event::Tick);
    let is_looked_at = |action: &Action<Items>| matches!(action, Action::Relieve { offer, .. } if *offer == second);
    assert!(actions.iter().any(is_looked_at), "nobody looked");
}
