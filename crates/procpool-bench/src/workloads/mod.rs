//! What is measured, one file a workload.

mod w1_latency;
mod w2_throughput;
mod w3_echo;
mod w4_start;
mod w5_queue;
mod w6_death;
mod w7_parallel;
mod w8_idle;
mod w9_mix;

use crate::Error;
use crate::book::Book;
use crate::options::Options;
use crate::stage::Stage;

/// All workloads, as `--only` takes them.
pub(crate) const NAMES: [&str; 9] = [
    w1_latency::NAME,
    w2_throughput::NAME,
    w3_echo::NAME,
    w4_start::NAME,
    w5_queue::NAME,
    w6_death::NAME,
    w7_parallel::NAME,
    w8_idle::NAME,
    w9_mix::NAME,
];

/// What a workload is about, in a few words.
pub(crate) fn subject(workload: &str) -> &'static str {
    match workload {
        w1_latency::NAME => "one empty task at a time",
        w2_throughput::NAME => "many tiny tasks",
        w3_echo::NAME => "bytes there and back",
        w4_start::NAME => "from nothing to a result",
        w5_queue::NAME => "a queue between processes",
        w6_death::NAME => "a worker killed in a task",
        w7_parallel::NAME => "tasks that need processor time, against the ideal",
        w8_idle::NAME => "an idle pool of two workers",
        w9_mix::NAME => "short tasks among long ones, at half load",
        _ => "",
    }
}

/// Whether it is a variant that can be measured without the others.
pub(crate) fn has_variant(workload: &str, variant: &str) -> bool {
    workload == w5_queue::NAME && w5_queue::VARIANTS.iter().any(|(name, ..)| *name == variant)
}

/// Something to measure.
pub(crate) trait Workload {
    fn name(&self) -> &'static str;

    /// One round: each variant, and within it each system, once. What is compared is thereby measured close together,
    /// and what disturbs the machine for a while disturbs all alike.
    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error>;
}

/// The workloads that the options ask for.
pub(crate) fn chosen(options: &Options) -> Vec<Box<dyn Workload>> {
    let all: [Box<dyn Workload>; NAMES.len()] = [
        Box::new(w1_latency::Latency::new(options.quick)),
        Box::new(w2_throughput::Throughput::new(options.quick)),
        Box::new(w3_echo::Echo::new(options.quick)),
        Box::new(w4_start::Start::new(options.quick)),
        Box::new(w5_queue::Queue::new(options.quick, &options.variants)),
        Box::new(w6_death::Death::new(options.quick)),
        Box::new(w7_parallel::Parallel::new(options.quick)),
        Box::new(w8_idle::Idle::new(options.quick)),
        Box::new(w9_mix::Mix::new(options.quick)),
    ];
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    all.into_iter().filter(|workload| wanted(workload.name())).collect()
}
