//! When workers die before they are ready: how long to pause, and when to give up.

use std::time::Duration;

use super::api::{Now, SchedulerConfig, Unavailable};
use super::payload::Payload;

/// The record of failed starts since the last worker that became ready.
pub(super) struct Starts<P: Payload> {
    failures: u32,
    last_death: Option<P::Death>,
    /// The length of the pause that comes (or is going on).
    pause: Duration,
    /// The setting of [`Timer::Backoff`](super::timers::Timer::Backoff): no worker is started before.
    pub(super) blocked: Option<Now>,
}

impl<P: Payload> Starts<P> {
    pub(super) fn new() -> Self {
        Starts { failures: 0, last_death: None, pause: Duration::ZERO, blocked: None }
    }

    /// A worker died before it was ready. Returns how long to pause, unless a pause is going on: workers started
    /// together fail together, and that is one reason to wait longer, not eight.
    pub(super) fn failed(&mut self, death: P::Death, config: &SchedulerConfig) -> Option<Duration> {
        self.last_death = Some(death);
        // One wave is one failure in the count, too: else a wall that stood for a moment would fail every waiting task of
        // a pool of four, and none of a pool of two.
        if self.blocked.is_some() {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.pause = match self.pause {
            Duration::ZERO => config.backoff,
            longer => longer.saturating_mul(2),
        }
        .min(config.max_backoff);
        Some(self.pause)
    }

    /// A worker died after it was ready and before its first task. Returns how long to pause, unless a pause is going
    /// on.
    pub(super) fn faltered(&self, config: &SchedulerConfig) -> Option<Duration> {
        self.blocked.is_none().then_some(self.pause.max(config.backoff))
    }

    /// A worker is ready: whatever was wrong is over. The caller disarms the timer.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.last_death = None;
        self.pause = Duration::ZERO;
    }

    /// How many failed starts in a row there were.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// How many workers may be starting at a time. While starts fail it is one, as a probe: eight workers that run
    /// into the same wall tell no more than one does.
    pub(super) fn at_a_time(&self) -> u32 {
        match (self.blocked, self.failures) {
            (Some(_), _) => 0,
            (None, 0) => u32::MAX,
            (None, _) => 1,
        }
    }

    /// So many failures in a row that nobody should be kept waiting for a better one.
    pub(super) fn hopeless(&self, config: &SchedulerConfig) -> bool {
        self.failures > 0 && self.failures >= config.start_failures
    }

    /// Why there is no worker, as long as a pause after too many failures goes on.
    pub(super) fn refusal(&self, config: &SchedulerConfig) -> Option<Unavailable<P>> {
        self.blocked?;
        if !self.hopeless(config) {
            return None;
        }
        let death = self.last_death.clone()?;
        Some(Unavailable::StartFailed { failures: self.failures, death })
    }
}
