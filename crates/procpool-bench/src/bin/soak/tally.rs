//! What came of what, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use procpool::{ErrorKind, RunError, Started};

/// What became of a task, as its caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It gave the right value.
    Value,
    /// Its caller was told that it had begun, and why there is no value.
    Failed,
    /// Its caller was told that it had not begun.
    NotBegun,
    /// Its caller was told that nobody knows whether it had begun.
    Unknown,
    /// Nobody wanted to know any more.
    Dropped,
}

impl Outcome {
    fn of(error: &RunError) -> Outcome {
        match error.started() {
            Started::Yes => Outcome::Failed,
            Started::No => Outcome::NotBegun,
            _ => Outcome::Unknown,
        }
    }
}

/// All that has been counted, and what was wrong.
#[derive(Default)]
pub(crate) struct Tally {
    /// For each kind of task how often there was what.
    tasks: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// Those of this round, by number.
    round: Mutex<Vec<(u64, Outcome)>>,
    pub(crate) submitted: AtomicU64,
    pub(crate) resolved: AtomicU64,
    /// Tasks that were lost with a worker that SIGKILL had ended.
    pub(crate) lost_to_kills: AtomicU64,
    pub(crate) kills: AtomicU64,
    pub(crate) stops: AtomicU64,
    pub(crate) pools: AtomicU64,
    pub(crate) messages: AtomicU64,
    wrong: Mutex<Vec<String>>,
    wrongs: AtomicU64,
}

/// So many things that were wrong are told.
const TOLD: usize = 20;

impl Tally {
    pub(crate) fn submit(&self) {
        self.submitted.fetch_add(1, Ordering::Relaxed);
    }

    /// A task has been resolved: `what` kind of task, and how. `number` is that of its mark.
    pub(crate) fn resolve(&self, what: &'static str, number: u64, result: Result<(), &RunError>) {
        let (how, outcome) = match result {
            Ok(()) => ("value", Outcome::Value),
            Err(error) => (name(error.kind()), Outcome::of(error)),
        };
        self.note(what, how, number, outcome);
    }

    /// Nobody waits for a task any more.
    pub(crate) fn drop_it(&self, what: &'static str, number: u64) {
        self.note(what, "dropped", number, Outcome::Dropped);
    }

    fn note(&self, what: &'static str, how: &'static str, number: u64, outcome: Outcome) {
        self.resolved.fetch_add(1, Ordering::Relaxed);
        *self.tasks.lock().expect("no panic").entry((what, how)).or_default() += 1;
        self.round.lock().expect("no panic").push((number, outcome));
    }

    /// Something was not as it should be.
    pub(crate) fn wrong(&self, what: String) {
        self.wrongs.fetch_add(1, Ordering::Relaxed);
        let mut wrong = self.wrong.lock().expect("no panic");
        if wrong.len() < TOLD {
            eprintln!("WRONG: {what}");
            wrong.push(what);
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.wrongs.load(Ordering::Relaxed) == 0
    }

    /// What became of the tasks of this round.
    pub(crate) fn take_round(&self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut *self.round.lock().expect("no panic"))
    }
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Panicked => "panicked",
        ErrorKind::WorkerDied => "worker died",
        ErrorKind::TimedOut => "timed out",
        ErrorKind::QueueTimedOut => "timed out in the queue",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::QueueFull => "queue full",
        ErrorKind::Encode => "not encoded",
        ErrorKind::Decode => "not decoded",
        ErrorKind::TooLarge => "too large",
        ErrorKind::UnknownCode => "unknown code",
        ErrorKind::StartFailed => "start failed",
        ErrorKind::Closed => "closed",
        ErrorKind::Misuse => "misuse",
        ErrorKind::Input => "input",
        _ => "something new",
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        for ((what, how), count) in &*self.tasks.lock().expect("no panic") {
            writeln!(f, "  {what:<12} {how:<22} {count:>10}")?;
        }
        writeln!(f, "submitted {} = resolved {}", get(&self.submitted), get(&self.resolved))?;
        writeln!(f, "{} messages, {} pools came and went", get(&self.messages), get(&self.pools))?;
        let (kills, lost, stops) = (get(&self.kills), get(&self.lost_to_kills), get(&self.stops));
        writeln!(f, "{kills} workers killed from outside, {lost} tasks lost to that; {stops} stopped for a while")?;
        write!(f, "{} things were wrong", get(&self.wrongs))
    }
}
