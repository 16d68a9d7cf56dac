//! W9: a few long tasks among many short ones, which come at their own times, at half of what the cores can bear. How
//! long the short ones take, from when they come: most of it is waiting behind long ones, which nobody can avoid
//! altogether. The limit is an ideal central queue that is given the same tasks at the same times: no call costs
//! anything, and no task waits while a worker is free.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

use procpool::call;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Workload;
use crate::Error;
use crate::book::{Book, quantile};
use crate::measurement::{Key, System};
use crate::peers::{burn, cores};
use crate::runtimes::Home;
use crate::stage::Stage;

pub(super) const NAME: &str = "W9";

pub(super) const VARIANT: &str = "short";

/// The same tasks at the same times in every run and round.
const SEED: u64 = 5;

const SHORT: Duration = Duration::from_micros(50);
const LONG: Duration = Duration::from_millis(20);

/// So many short ones for a long one.
const SHORTS: u32 = 100;

/// The share of the cores' time that all tasks take together.
const LOAD: f64 = 0.5;

/// A task of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrival {
    at: Duration,
    work: Duration,
}

pub(crate) struct Mix {
    trace: Vec<Arrival>,
}

impl Mix {
    pub(crate) fn new(quick: bool) -> Self {
        let span = Duration::from_millis(if quick { 700 } else { 3000 });
        Mix { trace: trace(SEED, cores(), span) }
    }
}

impl Workload for Mix {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let home = &stage.runtimes.homes()[0];
        let ideal = ideal(&self.trace, cores());
        let pool = home.pool.clone();
        let ours = self.play(home, move |micros| pool.run(call!(burn(micros))))?;
        let threads = self.play(home, |micros| tokio::task::spawn_blocking(move || burn(micros)))?;
        let at_best = p99(&ideal);
        for (system, latencies) in [(System::Procpool, ours), (System::SpawnBlocking, threads), (System::Limit, ideal)]
        {
            if system != System::Limit
                && let (Some(p99), Some(at_best)) = (p99(&latencies), at_best)
            {
                let key = Key { workload: NAME, variant: VARIANT, system, metric: "ratio_to_ideal", unit: "×" };
                book.add(key, p99 / at_best);
            }
            book.add_latencies(NAME, VARIANT, system, latencies);
        }
        Ok(())
    }
}

impl Mix {
    /// The microseconds of each short task.
    fn play<F, E>(&self, home: &Home, mut call: impl FnMut(u64) -> F) -> Result<Vec<f64>, Error>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Send + Sync + 'static,
        Error: From<E>,
    {
        let _entered = home.runtime.enter();
        // Not at once: what is to come first must not be late.
        let start = Instant::now() + Duration::from_millis(5);
        let mut tasks = Vec::with_capacity(self.trace.len());
        for arrival in &self.trace {
            let due = start + arrival.at;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let call = call(arrival.work.as_micros() as u64);
            let task = home.runtime.spawn(async move {
                call.await?;
                // Also if it was called late.
                Ok::<_, Error>(due.elapsed().as_secs_f64() * 1e6)
            });
            tasks.push((arrival.work, task));
        }
        let mut latencies = Vec::with_capacity(tasks.len());
        for (work, task) in tasks {
            let latency = home.runtime.block_on(task)??;
            latencies.extend((work == SHORT).then_some(latency));
        }
        Ok(latencies)
    }
}

/// Tasks that come independently of each other.
fn trace(seed: u64, cores: usize, span: Duration) -> Vec<Arrival> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mean = (SHORT * SHORTS + LONG) / (SHORTS + 1);
    let gap = mean.as_secs_f64() / (LOAD * cores as f64);
    let mut at = Duration::ZERO;
    let mut trace = Vec::new();
    loop {
        at += Duration::from_secs_f64(-gap * (1.0 - chance.random::<f64>()).ln());
        if at >= span {
            return trace;
        }
        let long = chance.random_ratio(1, SHORTS + 1);
        trace.push(Arrival { at, work: if long { LONG } else { SHORT } });
    }
}

/// The microseconds of each short task, if it goes to the first worker that is free, in order.
fn ideal(trace: &[Arrival], workers: usize) -> Vec<f64> {
    let mut free: BinaryHeap<_> = (0..workers).map(|_| Reverse(Duration::ZERO)).collect();
    let mut latencies = Vec::new();
    for arrival in trace {
        let Reverse(since) = free.pop().unwrap_or_default();
        let end = since.max(arrival.at) + arrival.work;
        free.push(Reverse(end));
        latencies.extend((arrival.work == SHORT).then(|| (end - arrival.at).as_secs_f64() * 1e6));
    }
    latencies
}

fn p99(latencies: &[f64]) -> Option<f64> {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile(&sorted, 0.99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ideal_queue_makes_a_task_wait_only_for_the_first_free_worker() {
        let at = |millis, work| Arrival { at: Duration::from_millis(millis), work };
        let trace = [at(0, LONG), at(1, LONG), at(2, SHORT), at(2, SHORT), at(30, SHORT)];
        // Both wait for the first long one; the second of them goes behind the first, since that is short.
        assert_eq!(ideal(&trace, 2), [18_050.0, 18_100.0, 50.0]);
        assert_eq!(ideal(&trace, 3), [50.0, 100.0, 50.0]);
    }

    #[test]
    fn a_trace_is_as_long_and_as_dense_as_it_should_be() {
        let span = Duration::from_secs(100);
        let trace = trace(SEED, 2, span);
        assert_eq!(trace, super::trace(SEED, 2, span));
        let work: Duration = trace.iter().map(|arrival| arrival.work).sum();
        let load = work.as_secs_f64() / span.as_secs_f64() / 2.0;
        assert!((0.45..0.55).contains(&load), "{load}");
        let shorts = trace.iter().filter(|arrival| arrival.work == SHORT).count() as f64;
        let share = shorts / (trace.len() as f64 - shorts);
        assert!((90.0..110.0).contains(&share), "{share}");
    }
}
