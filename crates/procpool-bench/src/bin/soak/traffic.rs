//! Queues between this process and workers that may be killed at any moment.
//!
//! *Up*, tasks send and this process receives: what was confirmed must arrive, once. *Down*, this process sends and tasks
//! receive with acknowledgement: what was sent is acknowledged by somebody, once. (Its mark comes after that, so a worker
//! that is killed between the two leaves none.)

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use procpool::queue::{self, Receiver, Sender};
use procpool::{ErrorKind, call};
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::marks::Marks;
use crate::run::{STUCK, World};
use crate::work;

const PLACES: usize = 64;

/// Tasks send, this process receives.
pub(crate) async fn up(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    if let Err(error) = up_until(&world, Chance::new(world.options.seed, lane, round), until).await {
        world.tally.wrong(format!("messages up: {error}"));
    }
}

async fn up_until(world: &World, mut chance: Chance, until: Instant) -> Result<(), crate::Error> {
    let (sender, receiver) = queue::bounded::<Vec<u8>>(PLACES);
    let mut confirmed = Marks::new()?;
    let receiving = tokio::spawn(async move {
        let mut received: BTreeMap<u64, u64> = BTreeMap::new();
        while let Ok(bytes) = receiver.recv().await {
            *received.entry(work::number_of(&bytes)).or_default() += 1;
        }
        received
    });
    let mut next = 0;
    while Instant::now() < until {
        let numbers: Vec<Range<u64>> = (0..1 + chance.below(3))
            .map(|_| {
                let first = next;
                next += 1 + chance.below(200);
                first..next
            })
            .collect();
        let sends = numbers
            .into_iter()
            .map(|numbers| world.pool.run(call!(work::sends(confirmed.place(), numbers, sender.clone()))));
        let ends = timeout(STUCK, futures::future::join_all(sends)).await.map_err(|_| "stuck")?;
        for end in ends {
            world.must_be_a_kill(end.map(drop))?;
        }
    }
    drop(sender);
    let received = timeout(STUCK, receiving).await.map_err(|_| "the queue does not end")??;
    let mut missing = 0;
    for number in confirmed.take()? {
        missing += u64::from(!received.contains_key(&number));
    }
    let twice = received.values().filter(|times| **times > 1).count();
    let unknown = received.keys().filter(|number| **number >= next).count();
    world.tally.messages.fetch_add(received.len() as u64, Ordering::Relaxed);
    match (missing, twice, unknown) {
        (0, 0, 0) => Ok(()),
        _ => Err(format!("{missing} confirmed and lost, {twice} received twice, {unknown} damaged or unknown").into()),
    }
}

/// This process sends, tasks receive.
pub(crate) async fn down(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    if let Err(error) = down_until(&world, Chance::new(world.options.seed, lane, round), until).await {
        world.tally.wrong(format!("messages down: {error}"));
    }
}

async fn down_until(world: &World, mut chance: Chance, until: Instant) -> Result<(), crate::Error> {
    let (sender, receiver) = queue::bounded::<Vec<u8>>(PLACES);
    let mut acknowledged = Marks::new()?;
    let sent = Arc::new(AtomicU64::new(0));
    let sending = tokio::spawn(send(sender, Arc::clone(&sent), until));
    let mut deaths = 0;
    loop {
        let is_over = sending.is_finished();
        let most = 1 + chance.below(300);
        let receives = (0..1 + chance.below(2))
            .map(|_| world.pool.run(call!(work::receives(acknowledged.place(), most, receiver.clone()))));
        let ends = timeout(STUCK, futures::future::join_all(receives)).await.map_err(|_| "stuck")?;
        for end in ends {
            deaths += u64::from(world.must_be_a_kill(end.map(drop))?);
        }
        if is_over && is_empty(&receiver).await? {
            break;
        }
    }
    timeout(STUCK, sending).await.map_err(|_| "it does not end")???;
    let sent = sent.load(Ordering::Relaxed);
    let mut marks = acknowledged.take()?;
    world.tally.messages.fetch_add(marks.len() as u64, Ordering::Relaxed);
    let (all, unknown) = (marks.len(), marks.iter().filter(|number| **number >= sent).count());
    marks.sort_unstable();
    marks.dedup();
    let (twice, unmarked) = (all - marks.len(), sent - marks.len() as u64);
    match (twice, unknown) {
        (0, 0) if unmarked <= deaths => Ok(()),
        _ => Err(format!(
            "of {sent} sent {unmarked} have no mark, after {deaths} deaths; {twice} acknowledged twice, {unknown} damaged"
        )
        .into()),
    }
}

async fn is_empty(receiver: &Receiver<Vec<u8>>) -> Result<bool, crate::Error> {
    Ok(timeout(STUCK, receiver.len()).await.map_err(|_| "its length is stuck")?? == 0)
}

async fn send(sender: Sender<Vec<u8>>, sent: Arc<AtomicU64>, until: Instant) -> Result<(), String> {
    while Instant::now() < until {
        let number = sent.load(Ordering::Relaxed);
        sender.send(work::message(number)).await.map_err(|error| error.to_string())?;
        sent.store(number + 1, Ordering::Relaxed);
        if number.is_multiple_of(100) {
            sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

impl World {
    /// A task without a mark, which can only have been lost with its worker. Gives whether it was.
    fn must_be_a_kill(&self, result: Result<(), procpool::RunError>) -> Result<bool, procpool::RunError> {
        match result {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WorkerDied && self.options.kill_every.is_some() => {
                self.tally.lost_to_kills.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}
