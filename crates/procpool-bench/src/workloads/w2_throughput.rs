//! W2: 100,000 tiny tasks (a tenth of that when it is to be quick). What a call costs when there is much to do.

use std::fmt::Display;
use std::future::Future;
use std::time::Instant;

use futures::future::join_all;
use procpool::{Pool, call};

use super::{Only, Workload};
use crate::Error;
use crate::book::Book;
use crate::helpers::{Crew, Place, Work};
use crate::measurement::{Key, System};
use crate::peers::tiny;
use crate::runtimes::{Flavour, Home};
use crate::stage::Stage;

pub(super) const NAME: &str = "W2";

pub(super) const VARIANTS: [&str; 4] = ["join_all-mt", "spawn-mt", "map", "join_all-ct"];

/// How many times a map is made for one figure: one alone is over in a few milliseconds.
const MAPS: u64 = 10;

pub(crate) struct Throughput {
    tasks: u64,
    only: Only,
}

impl Throughput {
    pub(crate) fn new(quick: bool, only: Only) -> Self {
        Throughput { tasks: if quick { 10_000 } else { 100_000 }, only }
    }
}

impl Workload for Throughput {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let Stage { runtimes, crew } = stage;
        for variant in VARIANTS.into_iter().filter(|variant| self.only.wants(variant)) {
            let flavour = if variant == "join_all-ct" { Flavour::CurrentThread } else { Flavour::MultiThread };
            let Some(home) = runtimes.homes().iter().find(|home| home.flavour == flavour) else { continue };
            match variant {
                "map" => self.map(home, crew, book)?,
                "spawn-mt" => {
                    add(book, variant, System::Procpool, spawn(home, self.tasks)?);
                    add(book, variant, System::SpawnBlocking, spawn_blocking_by_hand(home, self.tasks)?);
                    self.peers(crew, variant, book);
                }
                _ => {
                    add(book, variant, System::Procpool, run(home, &home.pool, self.tasks)?);
                    add(book, variant, System::WithoutTimings, run(home, &home.untimed, self.tasks)?);
                    add(book, variant, System::SpawnBlocking, spawn_blocking(home, self.tasks)?);
                    self.peers(crew, variant, book);
                }
            }
        }
        Ok(())
    }
}

impl Throughput {
    fn map(&self, home: &Home, crew: &mut Crew, book: &mut Book) -> Result<(), Error> {
        add(book, "map", System::Procpool, map(home, self.tasks)?);
        // What one writes on threads to the same end.
        add(book, "map", System::SpawnBlocking, spawn_blocking(home, self.tasks)?);
        for system in crew.pythons() {
            let work = Work::Map { tasks: self.tasks, times: MAPS / 3 };
            book.add_median(key("map", system), &crew.peer(Place::Small, system, work));
        }
        Ok(())
    }

    /// They are slower by so much that a tenth of the tasks will do.
    fn peers(&self, crew: &mut Crew, variant: &'static str, book: &mut Book) {
        for system in [System::Procspawn].into_iter().chain(crew.pythons()) {
            let work = Work::Calls { tasks: self.tasks / 10 };
            book.add_median(key(variant, system), &crew.peer(Place::Small, system, work));
        }
    }
}

fn key(variant: &'static str, system: System) -> Key {
    Key { workload: NAME, variant, system, metric: "per_second", unit: "1/s" }
}

fn add(book: &mut Book, variant: &'static str, system: System, per_second: f64) {
    book.add(key(variant, system), per_second);
}

fn run(home: &Home, pool: &Pool, tasks: u64) -> Result<f64, Error> {
    let pool = pool.clone();
    all_at_once(home, tasks, move |x| pool.run(call!(tiny(x))))
}

fn spawn_blocking(home: &Home, tasks: u64) -> Result<f64, Error> {
    all_at_once(home, tasks, |x| tokio::task::spawn_blocking(move || tiny(x)))
}

fn spawn(home: &Home, tasks: u64) -> Result<f64, Error> {
    let pool = home.pool.clone();
    one_after_the_other(home, tasks, move |x| pool.spawn(call!(tiny(x))))
}

fn spawn_blocking_by_hand(home: &Home, tasks: u64) -> Result<f64, Error> {
    one_after_the_other(home, tasks, |x| tokio::task::spawn_blocking(move || tiny(x)))
}

/// The same tasks as one map, with its default window and chunks.
fn map(home: &Home, tasks: u64) -> Result<f64, Error> {
    let pool = home.pool.clone();
    let work = async move {
        let mut seconds = 0.0;
        for _ in 0..MAPS {
            let start = Instant::now();
            let results = pool.map(tiny, 0..tasks).await?;
            seconds += start.elapsed().as_secs_f64();
            if !results.into_iter().eq(1..=tasks) {
                return Err(format!("{NAME}: a map with wrong results").into());
            }
        }
        Ok::<f64, Error>((MAPS * tasks) as f64 / seconds)
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}

/// Joins all calls in one task of the runtime, as a service would; gives the number of calls a second.
fn all_at_once<F, E>(home: &Home, tasks: u64, mut call: impl FnMut(u64) -> F + Send + 'static) -> Result<f64, Error>
where
    F: Future<Output = Result<u64, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let work = async move {
        let start = Instant::now();
        let results = join_all((0..tasks).map(&mut call)).await;
        let took = start.elapsed();
        // A figure for wrong answers would be worthless.
        check(results)?;
        Ok::<f64, Error>(tasks as f64 / took.as_secs_f64())
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}

/// Starts all calls, and then awaits one handle after the other.
fn one_after_the_other<F, E>(
    home: &Home,
    tasks: u64,
    mut call: impl FnMut(u64) -> F + Send + 'static,
) -> Result<f64, Error>
where
    F: Future<Output = Result<u64, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let work = async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..tasks).map(&mut call).collect();
        let mut results = Vec::with_capacity(handles.len());
        for handle in handles {
            results.push(handle.await);
        }
        let took = start.elapsed();
        check(results)?;
        Ok::<f64, Error>(tasks as f64 / took.as_secs_f64())
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}

fn check<E: Display>(results: Vec<Result<u64, E>>) -> Result<(), Error> {
    for (result, expected) in results.into_iter().zip(1..) {
        match result {
            Ok(value) if value == expected => {}
            Ok(value) => return Err(format!("{NAME}: {value} where {expected} was due").into()),
            Err(error) => return Err(format!("{NAME}: {error}").into()),
        }
    }
    Ok(())
}
