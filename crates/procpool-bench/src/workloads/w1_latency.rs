//! W1: one empty task at a time. What a call costs when nothing else goes on.

use std::fmt::Display;
use std::future::Future;
use std::time::Instant;

use procpool::call;

use super::{Only, Workload};
use crate::Error;
use crate::book::Book;
use crate::helpers::{Crew, Place, Work};
use crate::limits;
use crate::measurement::System;
use crate::peers::{empty, warm_up};
use crate::runtimes::{Flavour, Home};
use crate::stage::Stage;

pub(super) const NAME: &str = "W1";

pub(super) const VARIANTS: [&str; 5] = ["spawned-mt", "spawned-ct", "block_on-mt", "block_on-ct", PINNED];

/// With all of it on one core, from a spawned task of a multi-thread runtime; the raw socket likewise.
const PINNED: &str = "pinned";

/// From where the calls are made: a task that was spawned on the runtime, as in a service, or `block_on`'s own future.
#[derive(Clone, Copy)]
enum From {
    Spawned,
    BlockOn,
}

pub(crate) struct Latency {
    calls: usize,
    only: Only,
}

impl Latency {
    pub(crate) fn new(quick: bool, only: Only) -> Self {
        Latency { calls: if quick { 2_000 } else { 10_000 }, only }
    }
}

impl Workload for Latency {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        for from in [From::Spawned, From::BlockOn] {
            for home in stage.runtimes.homes() {
                let variant = variant(from, home.flavour);
                if !self.only.wants(variant) {
                    continue;
                }
                book.add_latencies(NAME, variant, System::Procpool, self.procpool(home, from)?);
                book.add_latencies(NAME, variant, System::SpawnBlocking, self.spawn_blocking(home, from)?);
                book.add_latencies(NAME, variant, System::Limit, limits::socket(self.calls)?);
                if variant == "spawned-mt" {
                    self.peers(&mut stage.crew, variant, book)?;
                }
            }
        }
        if !self.only.wants(PINNED) {
            return Ok(());
        }
        for system in [System::Procpool, System::Limit] {
            let latencies = stage.crew.own(Place::Pinned, system, Work::Latency { calls: self.calls })?;
            book.add_latencies(NAME, PINNED, system, latencies);
        }
        Ok(())
    }
}

impl Latency {
    fn procpool(&self, home: &Home, from: From) -> Result<Vec<f64>, Error> {
        let pool = home.pool.clone();
        drive(home, from, one_at_a_time(self.calls, move || pool.run(call!(empty()))))
    }

    fn spawn_blocking(&self, home: &Home, from: From) -> Result<Vec<f64>, Error> {
        drive(home, from, one_at_a_time(self.calls, || tokio::task::spawn_blocking(empty)))
    }

    /// They have no runtimes, so there is one way to call them.
    fn peers(&self, crew: &mut Crew, variant: &'static str, book: &mut Book) -> Result<(), Error> {
        if let Some(latencies) = limits::shared(self.calls)? {
            book.add_latencies(NAME, variant, System::LimitSpinning, latencies);
        }
        for system in [System::Procspawn, System::IpcChannel].into_iter().chain(crew.pythons()) {
            // Slower ones get fewer calls.
            let work = Work::Latency { calls: self.calls / 5 };
            book.add_latencies(NAME, variant, system, crew.peer(Place::Small, system, work));
        }
        Ok(())
    }
}

fn variant(from: From, flavour: Flavour) -> &'static str {
    match (from, flavour) {
        (From::Spawned, Flavour::MultiThread) => "spawned-mt",
        (From::Spawned, Flavour::CurrentThread) => "spawned-ct",
        (From::BlockOn, Flavour::MultiThread) => "block_on-mt",
        (From::BlockOn, Flavour::CurrentThread) => "block_on-ct",
    }
}

fn drive(
    home: &Home,
    from: From,
    calls: impl Future<Output = Result<Vec<f64>, Error>> + Send + 'static,
) -> Result<Vec<f64>, Error> {
    match from {
        From::Spawned => home.runtime.block_on(home.runtime.spawn(calls))?,
        From::BlockOn => home.runtime.block_on(calls),
    }
}

/// The time of each call in microseconds.
async fn one_at_a_time<F, E: Display>(count: usize, mut call: impl FnMut() -> F) -> Result<Vec<f64>, Error>
where
    F: Future<Output = Result<(), E>>,
{
    let mut latencies = Vec::with_capacity(count);
    for number in 0..warm_up(count) + count {
        let start = Instant::now();
        let result = call().await;
        let latency = start.elapsed();
        result.map_err(|error| format!("{NAME}: {error}"))?;
        if number >= warm_up(count) {
            latencies.push(latency.as_secs_f64() * 1e6);
        }
    }
    Ok(latencies)
}
