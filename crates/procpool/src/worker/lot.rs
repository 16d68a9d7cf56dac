//! Running a lot: many items that came together, each of which is claimed, run and answered by itself.

use std::time::{Duration, Instant};

use super::link::{PROBE, Tell};
use super::serve::Worker;
use crate::backend::scheduler::OfferId;
use crate::current::{self, Running};
use crate::sys::process;
use crate::wire::frame::Kind;
use crate::wire::lot::split_arguments;
use crate::wire::message::{ReplyBody, TaskHead};

/// How many items go without that at the most.
const MOST_UNPROBED: u64 = 256;

/// How long a parent that sleeps may not be told of answers. Should an item take longer that was thought short, the parent
/// looks by itself when it comes to see what holds up the lot (`backend/scheduler/lots.rs`).
const SOON: Duration = Duration::from_micros(100);

impl Worker {
    /// Runs the items of a lot that has been claimed, until there are no more or the parent wants no further one begun.
    pub(super) fn lot(&mut self, offer: OfferId, head: &TaskHead<'_>, mut items: &[u8]) {
        let began = Instant::now();
        let mut told = began;
        let code = self.find(head.entry);
        // By what items took in the last lot.
        let stride = (PROBE.as_nanos() as u64 / self.item_ns.max(1)).clamp(1, MOST_UNPROBED) as u32;
        let mut item: u32 = 0;
        current::set_running(Some(Running { task: head.task, attempt: 1, offer }));
        while let Some((arguments, rest)) = split_arguments(items) {
            // Whoever reads the word now knows that the last item has been answered, since that has left.
            if !self.page.claim_item(offer, item) {
                break;
            }
            items = rest;
            current::set_item(item);
            self.run_code(code.as_ref(), arguments);
            self.settle(Kind::Item);
            if self.link.send_on(Kind::Item, offer.0, &self.reply, &self.apart, Tell::Soon).is_err() {
                process::kill_own_group();
            }
            self.clear();
            item += 1;
            if item.is_multiple_of(stride) {
                if told.elapsed() >= SOON {
                    told = Instant::now();
                    // If it fails, so does the next line.
                    let _ = self.link.tell();
                }
                if self.link.probe().is_err() {
                    // An item has closed the socket. None is to be taken for one that this end was due to.
                    self.page.rest_before(offer, item);
                    process::kill_own_group();
                }
            }
        }
        self.page.rest_before(offer, item);
        current::set_running(None);
        self.reply.clear();
        self.reply.push(ReplyBody::VALUE_TAG);
        // Five hundred years fit.
        let took = began.elapsed().as_nanos() as u64;
        self.item_ns = took / u64::from(item.max(1));
        self.reply.extend_from_slice(&took.to_le_bytes());
        if self.link.send_with(Kind::Reply, offer.0, &self.reply, &[]).is_err() {
            process::kill_own_group();
        }
        self.page.done(offer);
    }
}
