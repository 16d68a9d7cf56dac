//! What the command line asks for.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use crate::ledger::LANES;
use crate::participant::NUMBER;

pub(crate) const USAGE: &str = "\
usage: cargo run --release -p procpool-bench --bin queue-soak -- [OPTIONS]
  --messages N        how many messages are to be confirmed (10000000)
  --producers N       processes that send (4)
  --consumers N       processes that receive (4)
  --kill-every-ms N   how often one of them is killed; 0: never (50)
  --victims WHO       producers, consumers or all (all)
  --acked             half of the consumers acknowledge what they receive
  --acked-all         all of them do; then nothing can be in hand at a death
  --bytes N           length of a message (8)
  --capacity N        places in the queue (1024)
  --seed S            who is killed; by chance without it";

/// Who may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victims {
    All,
    Producers,
    Consumers,
}

/// Which consumers acknowledge what they receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    Nobody,
    /// Every second one.
    Half,
    All,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) messages: u64,
    pub(crate) producers: u64,
    pub(crate) consumers: u64,
    /// `None`: nobody is killed.
    pub(crate) kill_every: Option<Duration>,
    pub(crate) victims: Victims,
    pub(crate) acked: Acked,
    pub(crate) bytes: usize,
    pub(crate) capacity: usize,
    pub(crate) seed: u64,
}

impl Options {
    /// `None`: help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Options {
            messages: 10_000_000,
            producers: 4,
            consumers: 4,
            kill_every: Some(Duration::from_millis(50)),
            victims: Victims::All,
            acked: Acked::Nobody,
            bytes: NUMBER,
            capacity: 1024,
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
                Some("--messages") => options.messages = number(1, 1 << 40)?,
                Some("--producers") => options.producers = number(1, LANES)?,
                Some("--consumers") => options.consumers = number(1, LANES)?,
                Some("--kill-every-ms") => {
                    let pause = number(0, u64::from(u32::MAX))?;
                    options.kill_every = (pause > 0).then(|| Duration::from_millis(pause));
                }
                Some("--victims") => {
                    options.victims = match args.next().unwrap_or_default().to_str() {
                        Some("all") => Victims::All,
                        Some("producers") => Victims::Producers,
                        Some("consumers") => Victims::Consumers,
                        _ => return Err("--victims: producers, consumers or all".to_owned()),
                    }
                }
                Some("--acked") => options.acked = Acked::Half,
                Some("--acked-all") => options.acked = Acked::All,
                Some("--bytes") => options.bytes = number(NUMBER as u64, 1 << 26)? as usize,
                Some("--capacity") => options.capacity = number(1, 1 << 20)? as usize,
                Some("--seed") => options.seed = number(0, u64::MAX)?,
                _ => return Err(format!("unknown option {}", arg.display())),
            }
        }
        Ok(Some(options))
    }

    /// Whether the consumer with this number acknowledges.
    pub(crate) fn acknowledges(&self, consumer: u64) -> bool {
        match self.acked {
            Acked::Nobody => false,
            Acked::Half => consumer % 2 == 1,
            Acked::All => true,
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { messages, producers, consumers, bytes, capacity, seed, .. } = self;
        let acked = (0..*consumers).filter(|consumer| self.acknowledges(*consumer)).count();
        write!(
            f,
            "{messages} messages of {bytes} bytes, {producers} producers, {consumers} consumers ({acked} acknowledge), "
        )?;
        write!(f, "{capacity} places, ")?;
        match (self.kill_every, self.victims) {
            (None, _) => f.write_str("nobody killed")?,
            (Some(pause), Victims::All) => write!(f, "one killed every {pause:?}")?,
            (Some(pause), Victims::Producers) => write!(f, "a producer killed every {pause:?}")?,
            (Some(pause), Victims::Consumers) => write!(f, "a consumer killed every {pause:?}")?,
        }
        write!(f, ", seed {seed}")
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
        let asked = "--messages 5 --producers 2 --consumers 3 --kill-every-ms 0 --victims producers --acked --seed 7";
        let options = parse(asked).unwrap().unwrap();
        assert_eq!((options.messages, options.producers, options.consumers, options.seed), (5, 2, 3, 7));
        assert_eq!((options.kill_every, options.victims), (None, Victims::Producers));
        assert_eq!((0..3).map(|consumer| options.acknowledges(consumer)).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(parse("--help"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(parse("--fast").unwrap_err(), "unknown option --fast");
        assert!(parse("--messages 0").unwrap_err().contains("--messages: 0 is not a number from 1"));
        assert!(parse("--victims nobody").is_err());
    }
}
