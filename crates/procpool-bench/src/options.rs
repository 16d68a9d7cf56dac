//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::helpers::Conditions;
use crate::limits::{ECHO, FIRST_BYTE, SPIN};
use crate::peers::WORKER;
use crate::queue::HELPER;
use crate::workloads;

pub(crate) const USAGE: &str = "\
usage: cargo run --release -p procpool-bench -- [OPTIONS]
  --quick         fewer calls and rounds: ends within 60 seconds
  --only W1,W5    only these workloads; W5:8B-1to1 is one variant of W5
                  (the table names them all)
  --json FILE     also write the figures to FILE
  --svg FILE      also draw them into FILE
  --help          this text";

/// The argument that makes this program a helper; its conditions follow.
pub(crate) const SERVE: &str = "--serve-the-benchmark";

/// What this process is to do.
pub(crate) enum Command {
    Run(Options),
    Help,
    /// Be the other end of a limit.
    Echo,
    Spin,
    FirstByte,
    /// Take part in a run of ipc-channel's queue, told by this channel.
    Participate(String),
    /// Answer calls over ipc-channel, connected by this one.
    Work(String),
    /// Measure what stdin says.
    Serve(Conditions),
}

pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// How long all rounds may take together.
    pub(crate) budget: Option<Duration>,
    /// How long a peer may take for one answer.
    pub(crate) patience: Duration,
    /// How long a round of a workload may take before it is taken for hung.
    pub(crate) hung: Duration,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    /// What to measure; all if empty.
    pub(crate) only: Vec<Wanted>,
}

/// A workload, and perhaps one of its variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) workload: String,
    pub(crate) variant: Option<String>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
        let mut quick = false;
        let (mut json, mut svg) = (None, None);
        let mut only = Vec::new();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--help" | "-h") => return Ok(Command::Help),
                Some(ECHO) => return Ok(Command::Echo),
                Some(SPIN) => return Ok(Command::Spin),
                Some(FIRST_BYTE) => return Ok(Command::FirstByte),
                Some(HELPER) => return Ok(Command::Participate(text(args.next())?)),
                Some(WORKER) => return Ok(Command::Work(text(args.next())?)),
                Some(SERVE) => {
                    let mib = text(args.next())?.parse().map_err(|error| format!("MiB: {error}"))?;
                    return Ok(Command::Serve(Conditions { mib, pinned: text(args.next())? == "pinned" }));
                }
                Some("--quick") => quick = true,
                Some("--json") => json = Some(PathBuf::from(args.next().ok_or("--json needs a file")?)),
                Some("--svg") => svg = Some(PathBuf::from(args.next().ok_or("--svg needs a file")?)),
                Some("--only") => {
                    let list = args.next().ok_or("--only needs names of workloads")?;
                    for name in list.to_string_lossy().split(',') {
                        only.push(wanted(name)?);
                    }
                }
                _ => return Err(format!("unknown option {}", arg.display())),
            }
        }
        let options = if quick { Options::quick() } else { Options::full() };
        Ok(Command::Run(Options { json, svg, only, ..options }))
    }

    // An odd number of rounds has a median that was measured.
    fn full() -> Self {
        let (patience, hung) = (Duration::from_secs(60), Duration::from_secs(600));
        Options { quick: false, rounds: 7, budget: None, patience, hung, json: None, svg: None, only: Vec::new() }
    }

    /// Ends within a minute.
    pub(crate) fn quick() -> Self {
        let (budget, patience, hung) = (Duration::from_secs(50), Duration::from_secs(15), Duration::from_secs(60));
        Options { quick: true, rounds: 5, budget: Some(budget), patience, hung, ..Options::full() }
    }
}

/// What this program tells itself.
fn text(arg: Option<OsString>) -> Result<String, String> {
    arg.and_then(|arg| arg.into_string().ok()).ok_or_else(|| "a helper that was not told what to do".to_owned())
}

fn wanted(name: &str) -> Result<Wanted, String> {
    let (workload, variant) = name.split_once(':').map_or((name, None), |(name, variant)| (name, Some(variant)));
    let Some((_, variants)) = workloads::ALL.iter().find(|(known, _)| *known == workload) else {
        let known = workloads::ALL.map(|(name, _)| name).join(", ");
        return Err(format!("no workload {workload}; there are {known}"));
    };
    if let Some(variant) = variant
        && !variants.contains(&variant)
    {
        return Err(format!("{workload} has no variant {variant}; there are {}", variants.join(", ")));
    }
    Ok(Wanted { workload: workload.to_owned(), variant: variant.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Command, String> {
        Options::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn what_is_asked_for_is_understood() {
        let Ok(Command::Run(options)) = parse(&["--quick", "--json", "a.json", "--svg", "a.svg", "--only", "W1,W2"])
        else {
            panic!("refused");
        };
        assert!(options.quick && options.budget.is_some());
        assert_eq!((options.json, options.svg), (Some(PathBuf::from("a.json")), Some(PathBuf::from("a.svg"))));
        let Ok(Command::Run(options)) = parse(&["--only", "W1,W5:8B-1to1"]) else { panic!("refused") };
        let wanted: Vec<_> = options.only.iter().map(|w| (w.workload.as_str(), w.variant.as_deref())).collect();
        assert_eq!(wanted, [("W1", None), ("W5", Some("8B-1to1"))]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let refused = |args| parse(args).err().unwrap_or_default();
        assert_eq!(refused(&["--fast"]), "unknown option --fast");
        assert_eq!(refused(&["--json"]), "--json needs a file");
        assert!(refused(&["--only", "W1,W77"]).contains("no workload W77"));
        assert!(refused(&["--only", "W5:9B-1to1"]).contains("no variant 9B-1to1"));
    }
}
