//! Items in: taken from the input and handed over, until the window is full.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::input::Input;
use super::limits::Halt;
use super::lots::Counter;
use super::running::Numbered;
use super::stream::Map;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::panics;
use crate::pool::{Run, RunOptions};

/// How many items are encoded and handed over before whoever polls gets a turn at other things.
const BURST: usize = 32;

/// The same for items that travel together.
const LOT_BURST: usize = 512;

/// Why no further item was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// The window is full.
    Full,
    /// The input is pending.
    Waiting,
    /// It is the turn of others.
    Paused,
    /// There are no more items.
    Ended,
}

impl<I: Input, R> Map<I, R> {
    /// Hands items over until the window is full; at most `burst` of them.
    pub(super) fn fill(&mut self, burst: &mut usize, context: &mut Context<'_>) -> Fill {
        let lot = self.lot();
        let fill = self.take_items(lot, burst, context);
        if let Some(packer) = &mut self.packer {
            let at = Counter {
                index: self.next_index,
                most: lot,
                max_message: self.pool.backend().max_message(),
                backend: self.pool.backend(),
                options: &self.options,
                tracker: &self.tracker,
                group: self.group.as_ref().map(|(group, _)| group),
            };
            packer.flush(&at, &mut self.running);
        }
        fill
    }

    /// How many items one poll hands over at the most.
    pub(super) fn burst(&mut self) -> usize {
        if self.lot() > 0 { LOT_BURST } else { BURST }
    }

    fn take_items(&mut self, lot: u32, burst: &mut usize, context: &mut Context<'_>) -> Fill {
        let window = self.window.size(&self.pool, self.chunk);
        let max_message = self.pool.backend().max_message();
        loop {
            if self.input.is_none() {
                return Fill::Ended;
            }
            if let Some(halt) = self.limits.reached() {
                self.halt(halt, context);
                return Fill::Ended;
            }
            if self.running.len() >= window {
                return Fill::Full;
            }
            if *burst == 0 {
                return Fill::Paused;
            }
            match self.poll_input(context) {
                Poll::Ready(Some(item)) => {
                    *burst -= 1;
                    match &mut self.packer {
                        Some(packer) if lot > 0 => {
                            let index = self.next_index;
                            self.next_index += 1;
                            let at = Counter {
                                index,
                                most: lot,
                                max_message,
                                backend: self.pool.backend(),
                                options: &self.options,
                                tracker: &self.tracker,
                                group: self.group.as_ref().map(|(group, _)| group),
                            };
                            packer.hand_over(item, &at, &mut self.running);
                        }
                        _ => self.hand_over(item),
                    }
                }
                Poll::Ready(None) => return Fill::Ended,
                Poll::Pending => {
                    let Some(halt) = self.limits.poll_reached(&**self.pool.backend(), context) else {
                        return Fill::Waiting;
                    };
                    self.halt(halt, context);
                    return Fill::Ended;
                }
            }
        }
    }

    /// The next item. At the input's end, and when it fails, it is let go.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Option<I::Item>> {
        let Some(input) = &mut self.input else { return Poll::Ready(None) };
        // The input is the caller's code; its panic becomes an error in its place, and the pool lives on.
        match catch_unwind(AssertUnwindSafe(|| input.poll_item(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(item)))) => return Poll::Ready(Some(item)),
            Ok(Poll::Ready(None)) => {
                self.input = None;
                self.tracker.taken_all(self.next_index);
            }
            Ok(Poll::Ready(Some(Err(error)))) => self.input_failed(error.to_string(), Some(error)),
            Err(panic) => self.input_failed(format!("it panicked: {}", panics::message(panic)), None),
        }
        Poll::Ready(None)
    }

    fn input_failed(&mut self, detail: String, source: Option<Box<dyn Error + Send + Sync>>) {
        let facts = Facts { detail: Some(detail), source, ..Facts::default() };
        let error = RunError::new(ErrorKind::Input, Started::No, facts);
        self.break_with(error.with_index(self.next_index));
    }

    fn hand_over(&mut self, item: I::Item) {
        let mut parts = self.make.make(item);
        if parts.name.location().is_none() {
            parts.name = parts.name.at(self.location);
        }
        let mut run = Run::with(Arc::clone(&self.pool), parts, self.options.clone());
        let tracker = Arc::clone(&self.tracker);
        let index = self.next_index;
        self.next_index += 1;
        run.start();
        let group = self.group.as_ref().map(|(group, _)| group);
        self.running.push(Numbered::new(index, run, tracker, group, &**self.pool.backend()));
    }

    /// How many items may travel together just now; 0: each by itself.
    pub(super) fn lot(&mut self) -> u32 {
        let RunOptions { timeout: None, queue_timeout: None, retries: 0, .. } = &self.options else { return 0 };
        let backend = self.pool.backend();
        let most = match (backend.lot_hint(), self.chunk) {
            (hint, None) => hint,
            // Two of them are in a worker's hand.
            (hint, Some(chunk)) => hint.min(u32::try_from(chunk / 2).unwrap_or(u32::MAX)),
        };
        if most > 0 && self.packer.as_mut().is_some_and(|packer| packer.is_named(&**backend)) { most } else { 0 }
    }

    /// A limit of the whole map has been reached. What is on its way ends by itself. If there are further items, the
    /// first of them is where the map ends; to learn whether there are, the input is asked once more where its hint
    /// does not say it, and what it then gives is dropped.
    fn halt(&mut self, halt: Halt, context: &mut Context<'_>) {
        let more = match self.input.as_ref().map(Input::hint) {
            None | Some((_, Some(0))) => false,
            Some((1.., _)) => true,
            Some((0, _)) => !matches!(self.poll_input(context), Poll::Ready(None)),
        };
        if more {
            self.break_with(halt.error().with_index(self.next_index));
        } else if self.input.take().is_some() {
            self.tracker.taken_all(self.next_index);
        }
    }
}
