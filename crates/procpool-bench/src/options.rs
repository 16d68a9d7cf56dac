//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::queue::HELPER;
use crate::workloads;

pub(crate) const USAGE: &str = "\
usage: cargo run --release -p procpool-bench -- [OPTIONS]
  --quick         fewer calls and rounds: ends within 60 seconds
  --only W1,W5    only these workloads; W5:8B-1to1 is one variant of W5
  --json FILE     also write the figures to FILE
  --help          this text";

/// The argument that makes this program the other end of the raw limit: see [`limit`](crate::limit).
pub(crate) const ECHO: &str = "--echo-for-the-raw-limit";

/// What this process is to do.
pub(crate) enum Command {
    Run(Options),
    Help,
    Echo,
    /// Take part in a run of ipc-channel, told by this channel.
    Participate(String),
}

pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// How long all rounds may take together.
    pub(crate) budget: Option<Duration>,
    pub(crate) json: Option<PathBuf>,
    /// Names of the workloads to run; all if empty.
    pub(crate) only: Vec<String>,
    /// Names of the variants of W5 to run; all if empty.
    pub(crate) variants: Vec<String>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
        let mut quick = false;
        let mut json = None;
        let (mut only, mut variants) = (Vec::new(), Vec::new());
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--help" | "-h") => return Ok(Command::Help),
                Some(ECHO) => return Ok(Command::Echo),
                Some(HELPER) => {
                    let channel = args.next().and_then(|name| name.into_string().ok());
                    return Ok(Command::Participate(channel.ok_or("no channel")?));
                }
                Some("--quick") => quick = true,
                Some("--json") => json = Some(PathBuf::from(args.next().ok_or("--json needs a file")?)),
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
        Ok(Command::Run(Options { quick, rounds, budget, json, only, variants }))
    }
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
        let Ok(Command::Run(options)) = parse(&["--quick", "--json", "a.json", "--only", "W1,W2"]) else {
            panic!("refused");
        };
        assert!(options.quick && options.budget.is_some());
        assert_eq!(options.json, Some(PathBuf::from("a.json")));
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
