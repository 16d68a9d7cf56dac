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
use crate::options::{Options, Wanted};
use crate::stage::Stage;

/// All workloads and their variants, as `--only` takes them.
pub(crate) const ALL: [(&str, &[&str]); 9] = [
    (w1_latency::NAME, &w1_latency::VARIANTS),
    (w2_throughput::NAME, &w2_throughput::VARIANTS),
    (w3_echo::NAME, &w3_echo::VARIANTS),
    (w4_start::NAME, &w4_start::VARIANTS),
    (w5_queue::NAME, &w5_queue::VARIANTS),
    (w6_death::NAME, &w6_death::VARIANTS),
    (w7_parallel::NAME, &[w7_parallel::VARIANT]),
    (w8_idle::NAME, &[w8_idle::VARIANT]),
    (w9_mix::NAME, &[w9_mix::VARIANT]),
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

/// Which variants of a workload are to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    All,
    These(Vec<String>),
}

impl Only {
    fn wants(&self, variant: &str) -> bool {
        match self {
            Only::All => true,
            Only::These(wanted) => wanted.iter().any(|name| name == variant),
        }
    }
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
    let quick = options.quick;
    let make = |(name, only): (&str, Only)| -> Option<Box<dyn Workload>> {
        Some(match name {
            w1_latency::NAME => Box::new(w1_latency::Latency::new(quick, only)),
            w2_throughput::NAME => Box::new(w2_throughput::Throughput::new(quick, only)),
            w3_echo::NAME => Box::new(w3_echo::Echo::new(quick, only)),
            w4_start::NAME => Box::new(w4_start::Start::new(quick, only)),
            w5_queue::NAME => Box::new(w5_queue::Queue::new(quick, only)),
            w6_death::NAME => Box::new(w6_death::Death::new(quick, only)),
            w7_parallel::NAME => Box::new(w7_parallel::Parallel::new(quick)),
            w8_idle::NAME => Box::new(w8_idle::Idle::new(quick)),
            w9_mix::NAME => Box::new(w9_mix::Mix::new(quick)),
            _ => return None,
        })
    };
    ALL.iter().filter_map(|(name, _)| Some((*name, only(name, &options.only)?))).filter_map(make).collect()
}

/// Which variants of this workload are wanted; `None` if none is.
fn only(workload: &str, wanted: &[Wanted]) -> Option<Only> {
    let ours = || wanted.iter().filter(|wanted| wanted.workload == workload);
    if wanted.is_empty() || ours().any(|wanted| wanted.variant.is_none()) {
        return Some(Only::All);
    }
    let variants: Vec<String> = ours().filter_map(|wanted| wanted.variant.clone()).collect();
    (!variants.is_empty()).then_some(Only::These(variants))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_measured_whole_unless_variants_are_named() {
        let wanted = |workload: &str, variant: Option<&str>| Wanted {
            workload: workload.to_owned(),
            variant: variant.map(str::to_owned),
        };
        assert_eq!(only("W1", &[]), Some(Only::All));
        let some = [wanted("W1", Some("pinned")), wanted("W5", None), wanted("W5", Some("8B-1to1"))];
        assert_eq!(only("W1", &some), Some(Only::These(vec!["pinned".to_owned()])));
        assert_eq!(only("W5", &some), Some(Only::All));
        assert_eq!(only("W2", &some), None);
    }

    #[test]
    fn every_workload_can_be_made_and_has_a_subject() {
        for (name, variants) in ALL {
            assert!(!subject(name).is_empty() && !variants.is_empty());
        }
        assert_eq!(chosen(&Options::quick()).len(), ALL.len());
    }
}
