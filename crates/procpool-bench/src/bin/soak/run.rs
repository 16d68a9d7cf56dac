//! The rounds: all lanes at once, then rest, then the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use procpool::{Pool, call, queue};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Error;
use crate::marks::{Marks, Place};
use crate::options::Options;
use crate::rest::{self, Footing};
use crate::tally::Tally;
use crate::work::Ticket;
use crate::{account, calls, faults, maps, pools, traffic, work};

/// What has not ended by then never will.
pub(crate) const STUCK: Duration = Duration::from_secs(60);

/// What is kept for a moment is gone after this.
const MOMENT: Duration = Duration::from_secs(3);

/// How many lanes make calls.
const CALLERS: u64 = 6;

/// By how much resident memory may rise from the second round to the last, along a straight line, in KiB: an allocator is no
/// accountant.
const MORE: f64 = 32.0 * 1024.0;

/// What the lanes share.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) pool: Pool,
    pub(crate) tally: Tally,
    /// Where tasks leave their marks.
    pub(crate) tasks: Place,
    next: AtomicU64,
}

impl World {
    /// So many numbers that nobody else has; gives the first.
    pub(crate) fn numbers(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Ordering::Relaxed)
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket { place: self.tasks.clone(), number: self.numbers(1) }
    }
}

/// `false`: something was wrong, and has been told.
pub(crate) async fn run(options: &Options) -> Result<bool, Error> {
    let mut marks = Marks::new()?;
    settle_in().await?;
    let (before, open) = (Footing::now()?, rest::descriptors()?);
    let pool = Pool::builder().workers(options.workers).max_waiting(100_000).build()?;
    pool.ready().await?;
    let world = Arc::new(World {
        options: options.clone(),
        pool,
        tally: Tally::default(),
        tasks: marks.place(),
        next: AtomicU64::new(0),
    });
    let (start, length) = (Instant::now(), (options.time / 6).clamp(Duration::from_secs(1), Duration::from_secs(30)));
    let (mut resting, mut memory) = (None, Vec::new());
    for round in 0.. {
        let now = start.elapsed();
        if now >= options.time {
            break;
        }
        one_round(&world, round, Instant::now() + length.min(options.time - now)).await?;
        world.pool.resize(options.workers)?;
        rest::until_idle(&world.pool, options.workers).await?;
        // A worker that has used a queue stays connected to it.
        faults::kill_all(&world);
        rest::until_idle(&world.pool, options.workers).await?;
        for what in account::compare(&marks.take()?, &world.tally.take_round()) {
            world.tally.wrong(what);
        }
        let first = match resting {
            Some(first) => first,
            None => {
                sleep(MOMENT).await;
                *resting.insert(Footing::now()?)
            }
        };
        let at_rest = rest::until_within(&first).await?;
        if at_rest != first {
            world.tally.wrong(format!("round {round} left {at_rest:?}, the first one {first:?}"));
        }
        memory.push(rest::resident_kib()?);
    }
    let report = world.pool.shutdown().await?;
    if !report.balances() {
        world.tally.wrong(format!("the report does not add up: {report:?}"));
    }
    // A closed pool has a descriptor, too.
    let World { pool, tally, .. } = Arc::into_inner(world).ok_or("a lane goes on")?;
    drop(pool);
    let after = rest::until_within(&before).await?;
    if after.processes > before.processes || after.descriptors > before.descriptors || after.threads > before.threads {
        let names = rest::descriptors()?;
        tally.wrong(format!("left behind: {after:?}, before {before:?}; open are {names:?}, were {open:?}"));
    }
    finish(options.seed, &tally, &memory, (before, after));
    Ok(tally.is_sound())
}

/// What is opened once in a process's life, for the first worker and for the first queue, is there before anything is
/// counted.
async fn settle_in() -> Result<(), Error> {
    let (pool, (sender, receiver)) = (Pool::builder().workers(1).build()?, queue::bounded(1));
    pool.run(call!(work::sends_one(sender))).await?;
    receiver.recv().await?;
    pool.shutdown().await?;
    drop((pool, receiver));
    sleep(MOMENT).await;
    Ok(())
}

async fn one_round(world: &Arc<World>, round: u64, until: Instant) -> Result<(), Error> {
    let mut lanes = JoinSet::new();
    for lane in 0..CALLERS {
        lanes.spawn(calls::calls(Arc::clone(world), lane, round, until));
    }
    lanes.spawn(maps::maps(Arc::clone(world), 100, round, until));
    lanes.spawn(traffic::up(Arc::clone(world), 101, round, until));
    lanes.spawn(traffic::down(Arc::clone(world), 102, round, until));
    lanes.spawn(pools::pools(Arc::clone(world), 103, round, until));
    lanes.spawn(faults::faults(Arc::clone(world), 104, round, until));
    lanes.spawn(faults::resizes(Arc::clone(world), 105, round, until));
    while let Some(lane) = lanes.join_next().await {
        lane?;
    }
    Ok(())
}

fn finish(seed: u64, tally: &Tally, memory: &[u64], (before, after): (Footing, Footing)) {
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    if count(&tally.submitted) != count(&tally.resolved) {
        tally.wrong(format!("{} submitted, {} resolved", count(&tally.submitted), count(&tally.resolved)));
    }
    if count(&tally.lost_to_kills) > count(&tally.kills) {
        tally.wrong(format!("{} tasks lost to {} kills", count(&tally.lost_to_kills), count(&tally.kills)));
    }
    // The first round fills what is kept and used again.
    let settled = memory.get(1..).unwrap_or_default();
    if rest::slope(settled) * settled.len() as f64 > MORE {
        tally.wrong(format!("memory grows: {settled:?} KiB"));
    }
    println!("{tally}");
    println!("at rest, KiB: {memory:?}, {:+.0} a round; {before:?} before, {after:?} after", rest::slope(settled));
    match tally.is_sound() {
        true => println!("nothing lost, nothing duplicated, nothing left (seed {seed})"),
        false => println!("NOT SOUND (seed {seed})"),
    }
}
