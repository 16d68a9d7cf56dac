//! Pools that come and go, in all the ways in which they can.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use procpool::{ErrorKind, Pool, RunError, Shutdown, call};
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::run::{STUCK, World};
use crate::work::{self, mix};

/// How a pool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Drained,
    Killed,
    /// While calls are under way, which are finished.
    Dropped,
}

pub(crate) async fn pools(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    let mut chance = Chance::new(world.options.seed, lane, round);
    while Instant::now() < until {
        sleep(chance.time(Duration::from_millis(400))).await;
        let end = chance.one_of(&[(1, End::Drained), (1, End::Killed), (1, End::Dropped)]);
        match timeout(STUCK, one(&world, end, &mut chance)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => world.tally.wrong(format!("a pool that is {end:?}: {error}")),
            Err(_) => return world.tally.wrong(format!("a pool that is {end:?} is stuck")),
        }
        world.tally.pools.fetch_add(1, Ordering::Relaxed);
    }
}

async fn one(world: &World, end: End, chance: &mut Chance) -> Result<(), crate::Error> {
    let builder = Pool::builder().workers(1 + chance.below(2) as usize).spares(chance.below(2) as u32);
    let pool = match chance.below(2) {
        0 => builder.build()?,
        _ => builder.max_tasks(1 + chance.below(9) as u32).build()?,
    };
    let calls = (0..1 + chance.below(30)).map(|_| {
        let (ticket, micros) = (world.ticket(), chance.below(500));
        world.tally.submit();
        (ticket.number, pool.spawn(call!(work::busy(ticket, micros))))
    });
    let calls: Vec<_> = calls.collect();
    let report = match end {
        End::Drained => Some(pool.shutdown().await?),
        End::Killed => {
            sleep(chance.time(Duration::from_millis(5))).await;
            Some(pool.shutdown_with(Shutdown::Kill).await?)
        }
        End::Dropped => None,
    };
    if let Some(report) = report.filter(|report| !report.balances()) {
        return Err(format!("its report does not add up: {report:?}").into());
    }
    drop(pool);
    for (number, call) in calls {
        match call.await {
            Ok(value) if value == mix(number) => world.tally.resolve("short-lived", number, Ok(())),
            Err(error) if end == End::Killed && is_about_the_end(&error) => {
                world.tally.resolve("short-lived", number, Err(&error));
            }
            other => return Err(format!("{number:x}: {other:?}").into()),
        }
    }
    Ok(())
}

fn is_about_the_end(error: &RunError) -> bool {
    matches!(error.kind(), ErrorKind::Closed | ErrorKind::WorkerDied)
}
