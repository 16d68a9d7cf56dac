//! W2: 100,000 tiny tasks (a quarter of that when it is to be quick). What a call costs when there is much to do.

use std::fmt::Display;
use std::future::Future;
use std::time::Instant;

use futures::future::join_all;
use procpool::{Pool, call};

use super::Workload;
use crate::Error;
use crate::book::Book;
use crate::measurement::{Key, System};
use crate::runtimes::{Flavour, Home, Runtimes};

const NAME: &str = "W2";

fn tiny(x: u64) -> u64 {
    x + 1
}

pub(crate) struct Throughput {
    tasks: u64,
}

impl Throughput {
    pub(crate) fn new(quick: bool) -> Self {
        Throughput { tasks: if quick { 25_000 } else { 100_000 } }
    }
}

impl Workload for Throughput {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, runtimes: &Runtimes, book: &mut Book) -> Result<(), Error> {
        for home in runtimes.homes() {
            let variant = match home.flavour {
                Flavour::MultiThread => "join_all-mt",
                Flavour::CurrentThread => "join_all-ct",
            };
            let mut add = |system, value| {
                book.add(Key { workload: NAME, variant, system, metric: "per_second", unit: "1/s" }, value);
            };
            add(System::Procpool, procpool(home, &home.pool, self.tasks)?);
            add(System::WithoutTimings, procpool(home, &home.untimed, self.tasks)?);
            add(System::SpawnBlocking, spawn_blocking(home, self.tasks)?);
            if home.flavour == Flavour::MultiThread {
                let mut add = |system, value| {
                    book.add(Key { workload: NAME, variant: "map", system, metric: "per_second", unit: "1/s" }, value);
                };
                add(System::Procpool, map(home, self.tasks)?);
                // What one writes on threads to the same end.
                add(System::SpawnBlocking, spawn_blocking(home, self.tasks)?);
            }
        }
        Ok(())
    }
}

fn procpool(home: &Home, pool: &Pool, tasks: u64) -> Result<f64, Error> {
    let pool = pool.clone();
    all_at_once(home, tasks, move |x| pool.run(call!(tiny(x))))
}

/// The same tasks as one map, with its default window and chunks.
fn map(home: &Home, tasks: u64) -> Result<f64, Error> {
    let pool = home.pool.clone();
    let work = async move {
        let start = Instant::now();
        let results = pool.map(tiny, 0..tasks).await?;
        let took = start.elapsed();
        if !results.into_iter().eq(1..=tasks) {
            return Err(format!("{NAME}: a map with wrong results").into());
        }
        Ok::<f64, Error>(tasks as f64 / took.as_secs_f64())
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}

fn spawn_blocking(home: &Home, tasks: u64) -> Result<f64, Error> {
    all_at_once(home, tasks, |x| tokio::task::spawn_blocking(move || tiny(x)))
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
        for (result, expected) in results.into_iter().zip(1..) {
            match result {
                Ok(value) if value == expected => {}
                Ok(value) => return Err(format!("{NAME}: {value} where {expected} was due")),
                Err(error) => return Err(format!("{NAME}: {error}")),
            }
        }
        Ok(tasks as f64 / took.as_secs_f64())
    };
    Ok(home.runtime.block_on(home.runtime.spawn(work))??)
}
