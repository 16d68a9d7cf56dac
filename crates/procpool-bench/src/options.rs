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
    /// Names of the workloads to run; all if empty.
    pub(crate) only: Vec<String>,
    /// Names of the variants of W5 to run; all if empty.
    pub(crate) variants: Vec<String>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
        let mut quick = false;
        let (mut json, mut svg) = (None, None);
        let (mut only, mut variants) = (Vec::new(), Vec::new());
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
                    for wanted in list.to_string_lossy().split(',') {
                        let (name, variant) = name(wanted)?;
                        only.push(name);
                        variants.extend(variant);
                    }
                }
                _ => return Err(format!("unknown option {}", arg.display())),
            }
        }
        // An odd number of rounds has a median that was measured.
        let (rounds, budget) = if quick { (5, Some(Duration::from_secs(50))) } else { (7, None) };
        let (patience, hung) = if quick { (15, 60) } else { (60, 600) };
        let (patience, hung) = (Duration::from_secs(patience), Duration::from_secs(hung));
        Ok(Command::Run(Options { quick, rounds, budget, patience, hung, json, svg, only, variants }))
    }
}

/// What this program tells itself.
fn text(arg: Option<OsString>) -> Result<String, String> {
    arg.and_then(|arg| arg.into_string().ok()).ok_or_else(|| "a helper that was not told what to do".to_owned())
}

/// A workload, and perhaps one of its variants.
fn name(wanted: &str) -> Result<(String, Option<String>), String> {
    let (name, variant) = wanted.split_once(':').map_or((wanted, None), |(name, variant)| (name, Some(variant)));
    if !workloads::NAMES.contains(&name) {
        return Err(format!("no workload {name}; there are {}", workloads::NAMES.join(", ")));
    }
    if let Some(variant) = variant
        && !workloads::has_variant(name, variant)
    {
        return Err(format!("{name} has no variant {variant} that can be chosen"));
    }
    Ok((name.to_owned(), variant.map(str::to_owned)))
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
        assert_eq!(options.only, ["W1", "W2"]);
        let Ok(Command::Run(options)) = parse(&["--only", "W1,W5:8B-1to1"]) else { panic!("refused") };
        assert_eq!((options.only, options.variants), (vec!["W1".into(), "W5".into()], vec!["8B-1to1".into()]));
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
