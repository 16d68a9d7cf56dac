//! What is measured, one file a workload.

mod w1_latency;
mod w2_throughput;
mod w5_queue;

use crate::Error;
use crate::book::Book;
use crate::options::Options;
use crate::runtimes::Runtimes;

/// All workloads, as `--only` takes them.
pub(crate) const NAMES: [&str; 3] = ["W1", "W2", "W5"];

/// Whether it is a variant that can be measured without the others.
pub(crate) fn has_variant(workload: &str, variant: &str) -> bool {
    workload == w5_queue::NAME && w5_queue::VARIANTS.iter().any(|(name, ..)| *name == variant)
}

/// Something to measure.
pub(crate) trait Workload {
    fn name(&self) -> &'static str;

    /// One round: each variant, and within it each system, once. What is compared is thereby measured close together,
    /// and what disturbs the machine for a while disturbs all alike.
    fn round(&mut self, runtimes: &Runtimes, book: &mut Book) -> Result<(), Error>;
}

/// The workloads that the options ask for.
pub(crate) fn chosen(options: &Options) -> Vec<Box<dyn Workload>> {
    let all: [Box<dyn Workload>; NAMES.len()] = [
        Box::new(w1_latency::Latency::new(options.quick)),
        Box::new(w2_throughput::Throughput::new(options.quick)),
        Box::new(w5_queue::Queue::new(options.quick, &options.variants)),
    ];
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    all.into_iter().filter(|workload| wanted(workload.name())).collect()
}
