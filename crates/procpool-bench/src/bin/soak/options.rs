//! What the command line asks for.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: cargo run --release -p procpool-bench --bin soak -- [OPTIONS]
  --seconds N         how long (60)
  --workers N         how many workers the pool has at the most (3)
  --kill-every-ms N   about how often a worker is killed or stopped from outside; 0: never (60)
  --seed S            what is done, and to whom; by chance without it";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) workers: usize,
    /// `None`: nobody is killed.
    pub(crate) kill_every: Option<Duration>,
    pub(crate) seed: u64,
}

impl Options {
    /// `None`: help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Options {
            time: Duration::from_secs(60),
            workers: 3,
            kill_every: Some(Duration::from_millis(60)),
            seed: rand::random(),
        };
        while let Some(arg) = args.next() {
            let mut number = |least: u64, most: u64| {
                let value = args.next().unwrap_or_default();
                let number = value.to_str().and_then(|value| value.parse().ok());
                number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                    format!("{}: {} is not a number from {least} to {most}", arg.display(), value.display())
                })
            };
            match arg.to_str() {
                Some("--help" | "-h") => return Ok(None),
                Some("--seconds") => options.time = Duration::from_secs(number(1, 1 << 32)?),
                Some("--workers") => options.workers = number(1, 64)? as usize,
                Some("--kill-every-ms") => {
                    let pause = number(0, 1 << 32)?;
                    options.kill_every = (pause > 0).then(|| Duration::from_millis(pause));
                }
                Some("--seed") => options.seed = number(0, u64::MAX)?,
                _ => return Err(format!("unknown option {}", arg.display())),
            }
        }
        Ok(Some(options))
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "soak for {:?}, at most {} workers, ", self.time, self.workers)?;
        match self.kill_every {
            None => f.write_str("nobody killed from outside")?,
            Some(pause) => write!(f, "one killed or stopped about every {pause:?}")?,
        }
        write!(f, ", seed {}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Option<Options>, String> {
        Options::parse(args.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_is_asked_for_is_understood() {
        let options = parse("--seconds 5 --workers 2 --kill-every-ms 0 --seed 7").unwrap().unwrap();
        let wanted = Options { time: Duration::from_secs(5), workers: 2, kill_every: None, seed: 7 };
        assert_eq!(options, wanted);
        assert_eq!(parse("--help"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(parse("--fast").unwrap_err(), "unknown option --fast");
        assert!(parse("--seconds 0").unwrap_err().contains("--seconds: 0 is not a number from 1"));
    }
}
