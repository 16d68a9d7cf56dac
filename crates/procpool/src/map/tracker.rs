//! The counting of items that end, whoever looks.

use std::time::Instant;

use futures::task::AtomicWaker;
use tokio::sync::watch;

use super::progress::{Numbers, Progress, ProgressStream};
use crate::backend::{Ending, Observer};

/// Shared by a map, its calls and those who watch it. Counts when a task ends, not when its result is taken.
#[derive(Debug)]
pub(super) struct Tracker {
    numbers: watch::Sender<Numbers>,
    /// Whoever polls the map, while it wants to be told of each end.
    consumer: AtomicWaker,
}

impl Tracker {
    pub(super) fn new(total: Option<usize>) -> Self {
        let numbers = Numbers { total: total.map(|total| total as u64), ..Numbers::default() };
        Tracker { numbers: watch::Sender::new(numbers), consumer: AtomicWaker::new() }
    }

    /// The clock starts.
    pub(super) fn begin(&self, now: Instant) {
        self.change(|numbers| numbers.began = Some(now));
    }

    /// The input is at its end: so many items there were.
    pub(super) fn taken_all(&self, items: usize) {
        self.change(|numbers| numbers.total = Some(items as u64));
    }

    /// An error stands in the place of the item `index`, and is the last result.
    pub(super) fn broken_at(&self, index: usize) {
        self.change(|numbers| {
            numbers.total.get_or_insert((index as u64).saturating_add(1));
        });
        self.ended(Ending::Failure);
    }

    /// What was counted as a value turned out to be none.
    pub(super) fn value_was_none(&self) {
        self.change(|numbers| numbers.failed += 1);
        self.consumer.wake();
    }

    /// The map is over, or gone.
    pub(super) fn end(&self) {
        self.change(|numbers| numbers.over = true);
    }

    pub(super) fn progress(&self) -> Progress {
        self.numbers.borrow().progress(Instant::now())
    }

    /// As [`progress`](Self::progress); the poller is woken when the numbers change.
    pub(super) fn poll_progress(&self, context: &std::task::Context<'_>) -> Progress {
        self.consumer.register(context.waker());
        self.progress()
    }

    pub(super) fn stream(&self) -> ProgressStream {
        ProgressStream::new(self.numbers.subscribe())
    }

    fn change(&self, change: impl FnOnce(&mut Numbers)) {
        let watched = self.numbers.receiver_count() > 0;
        self.numbers.send_if_modified(|numbers| {
            change(numbers);
            // Telling nobody costs several locks an item.
            watched
        });
    }
}

impl Observer for Tracker {
    fn ended_many(&self, values: u64, failures: u64) {
        let now = Instant::now();
        self.change(|numbers| {
            numbers.done += values + failures;
            numbers.failed += failures;
            let since = numbers.began.map_or_else(Default::default, |began| now.saturating_duration_since(began));
            numbers.rate.count_many(since, values + failures);
        });
        self.consumer.wake();
    }

    fn ended(&self, how: Ending) {
        let now = Instant::now();
        self.change(|numbers| {
            numbers.done += 1;
            numbers.failed += u64::from(how == Ending::Failure);
            let since = numbers.began.map_or_else(Default::default, |began| now.saturating_duration_since(began));
            numbers.rate.count(since);
        });
        self.consumer.wake();
    }
}
