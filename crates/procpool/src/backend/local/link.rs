//! One worker as the parent holds it: its socket, its page, what is on its way there and back.
//!
//! Whoever has something to send pushes it to `orders` under the engine's lock, so that the order on the wire is the
//! order of the decisions, and then tries to become the sender. A sender looks into `orders` once more after it has let
//! go, so that nothing pushed meanwhile is left behind. What the socket does not take stays in the outbox and is
//! written by the worker's driver task when there is room.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::etiquette::Etiquette;
use super::inbox::{Arrival, Inbox, Received};
use super::outbox::{Order, Outbox, Outgoing};
use super::output::Output;
use super::sending::{Sending, Stall};
use crate::backend::scheduler::{OfferId, WorkerId};
use crate::backend::worker_name;
use crate::panics;
use crate::sync::{lock, try_lock};
use crate::sys::{clock, socket};
use crate::task::attachment::{Attachment, Holder, Known};
use crate::wire::frame::Kind;
use crate::wire::message::Carrier;
use crate::wire::page::ParentPage;

/// What [`Link::stalled`] says.
const MOVING: u8 = 0;
const STALLED_AT_SOCKET: u8 = 1;
const STALLED_AT_RING: u8 = 2;

pub(super) struct Link {
    pub(super) worker: WorkerId,
    pub(super) pid: u32,
    pub(super) page: ParentPage,
    /// What tracing tells about this worker is told in here.
    pub(super) span: tracing::Span,
    /// What it prints, where that is captured.
    pub(super) output: Option<Output>,
    socket: Arc<OwnedFd>,
    orders: Mutex<VecDeque<Order>>,
    outbox: Mutex<Sending>,
    inbox: Mutex<Inbox>,
    /// Whether the outbox holds bytes that were not taken, and where. Changed only by who holds the outbox.
    stalled: AtomicU8,
    nudged: Notify,
    /// When bytes last moved towards the worker.
    moved_ns: AtomicU64,
    /// The offers that it was given and has not answered, in the order in which it was given them.
    given: Mutex<VecDeque<u64>>,
    /// The shared values that it was sent.
    known: Known,
    /// It has shown that it is a worker.
    greeted: AtomicBool,
    /// The first thing that went wrong with it; it explains its death.
    fault: Mutex<Option<String>>,
}

impl Link {
    pub(super) fn new(
        worker: WorkerId,
        pid: u32,
        page: ParentPage,
        socket: OwnedFd,
        carrier: Carrier,
        max_message: u64,
        etiquette: Etiquette,
    ) -> Self {
        let span = panics::by_the_way(|| {
            tracing::debug_span!(
                target: "procpool::worker",
                "worker",
                name = worker_name(worker),
                pid,
                generation = worker.generation
            )
        });
        let (down, up) = page.rings();
        Link {
            worker,
            pid,
            page,
            span: span.unwrap_or_else(tracing::Span::none),
            output: None,
            socket: Arc::new(socket),
            orders: Mutex::default(),
            outbox: Mutex::new(Sending::new(down, carrier)),
            inbox: Mutex::new(Inbox::new(up, carrier, max_message, etiquette)),
            stalled: AtomicU8::new(MOVING),
            nudged: Notify::new(),
            moved_ns: AtomicU64::new(0),
            given: Mutex::default(),
            known: Known::default(),
            greeted: AtomicBool::new(false),
            fault: Mutex::default(),
        }
    }

    /// The same, with what it prints captured.
    pub(super) fn with_output(self) -> Self {
        let output = Some(Output::new(worker_name(self.worker), self.pid, self.span.clone()));
        Link { output, ..self }
    }

    /// The socket, for whoever waits for it to be ready.
    pub(super) fn socket(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.socket)
    }

    /// Says what is to be sent. Memory only: call [`flush`](Self::flush) once the engine's lock is released.
    pub(super) fn push(&self, order: Order) {
        lock(&self.orders).push_back(order);
    }

    /// Writes what there is and the socket takes, unless somebody else is doing so.
    pub(super) fn flush(&self) {
        loop {
            {
                let Some(mut sending) = try_lock(&self.outbox) else { return };
                self.write(&mut sending);
            }
            if !self.is_behind() {
                return;
            }
        }
    }

    /// Whether there are orders that the socket may have room for: whoever pushed them while somebody else held the
    /// outbox went away believing that they would be seen.
    fn is_behind(&self) -> bool {
        !self.is_stalled() && !lock(&self.orders).is_empty()
    }

    /// Sends the first message, with descriptors travelling beside its first byte.
    pub(super) fn open(&self, setup: Outgoing, passengers: &[BorrowedFd<'_>]) -> std::io::Result<()> {
        {
            let outbox = &mut lock(&self.outbox).outbox;
            outbox.accept(Order::Send(setup));
            let (slices, count) = outbox.slices();
            match socket::send_with_fds(&self.socket, &slices[..count], passengers) {
                Ok(written) => outbox.advance(written),
                // It has ended already, which is noticed on the reading side.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    *outbox = Outbox::default();
                }
                Err(error) => return Err(error),
            }
        }
        self.flush();
        Ok(())
    }

    /// There is room again: writes on, and says whether that room is used up.
    ///
    /// Waits for whoever is writing, and tries itself in any case. Were it to leave things to the other, who may have
    /// found no room before there was some, nobody would be told of that room again.
    pub(super) fn resume(&self) -> bool {
        let is_full = {
            let mut sending = lock(&self.outbox);
            self.write(&mut sending);
            self.is_stalled()
        };
        self.flush();
        is_full
    }

    /// The worker has rung, perhaps since there is room in its ring.
    pub(super) fn resume_by_ring(&self) {
        if self.stalled.load(Ordering::Acquire) == STALLED_AT_RING {
            self.resume();
        }
    }

    fn write(&self, sending: &mut Sending) {
        sending.begin();
        loop {
            for order in lock(&self.orders).drain(..) {
                sending.outbox.accept(order);
            }
            match sending.write(self.socket.as_fd()) {
                Ok(Some(_)) => self.moved_ns.store(clock::monotonic_ns(), Ordering::Relaxed),
                Ok(None) => {
                    self.stalled.store(MOVING, Ordering::Release);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Before the worker is asked for room: whoever hears of it must see that it is wanted.
                    match sending.stall() {
                        Stall::Socket => self.stalled.store(STALLED_AT_SOCKET, Ordering::Release),
                        Stall::Ring => self.stalled.store(STALLED_AT_RING, Ordering::Release),
                    }
                    match sending.want_room() {
                        Ok(true) => {
                            // Of room in its ring the worker tells. Of room in the socket the driver is told, once it asks.
                            if sending.stall() == Stall::Socket {
                                self.nudge();
                            }
                            break;
                        }
                        Ok(false) => {}
                        Err(error) => return self.give_up(sending, &error),
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(sending, &error),
            }
        }
        sending.rouse();
    }

    /// It is dead or has closed its socket: its end is noticed on the reading side, with what it said last. Or its ring
    /// makes no sense: then it is cut off, which is noticed there, too.
    fn give_up(&self, sending: &mut Sending, error: &std::io::Error) {
        if error.kind() == ErrorKind::InvalidData {
            self.blame(format!("it broke the protocol: {error}"));
            socket::shut_down(&self.socket);
        }
        sending.outbox = Outbox::default();
        self.stalled.store(MOVING, Ordering::Release);
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire) != MOVING
    }

    pub(super) fn is_stalled_at_socket(&self) -> bool {
        self.stalled.load(Ordering::Acquire) == STALLED_AT_SOCKET
    }

    /// Makes the driver look: bytes are left over on their way to the worker, or from it.
    pub(super) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits for that. Cancel safe: a notification that nobody waited for is kept.
    pub(super) async fn until_nudged(&self) {
        self.nudged.notified().await;
    }

    /// Reads what has arrived: see [`Inbox::receive`]. Somebody else reading meanwhile is waited for: it is never long.
    pub(super) fn receive(&self, each: impl FnMut(Arrival) -> Result<(), String>) -> Result<Received, String> {
        lock(&self.inbox).receive(self.socket.as_fd(), |kind, offer| self.answers(kind, offer), each)
    }

    /// Looks at what arrives for so long, unless `is_done` before; or not at all while somebody else reads.
    pub(super) fn linger(
        &self,
        patience: Duration,
        is_done: &dyn Fn() -> bool,
        each: impl FnMut(Arrival) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(mut inbox) = try_lock(&self.inbox) else { return Ok(()) };
        if inbox.linger(patience, is_done, |kind, offer| self.answers(kind, offer), each)? == Received::More {
            self.nudge();
        }
        Ok(())
    }

    /// When bytes last moved towards the worker, on the monotonic clock.
    pub(super) fn moved_ns(&self) -> u64 {
        self.moved_ns.load(Ordering::Relaxed)
    }

    /// Sends what a task will name, unless the worker has it.
    pub(super) fn share(self: &Arc<Self>, attachment: &Attachment) {
        if self.known.learn(attachment, || Arc::downgrade(self) as Weak<dyn Holder>) {
            self.push(Order::Send(Outgoing::attachment(attachment.key(), attachment.content())));
        }
    }

    /// Gives the worker a task: marks its slot of the page, and sends its frame.
    pub(super) fn offer(&self, offer: OfferId, task: Outgoing) {
        lock(&self.given).push_back(offer.0);
        // The slot first: the worker may see the frame at once.
        self.page.offer(offer);
        self.push(Order::Send(task));
    }

    /// An offer was taken back: what has not left yet need not leave, and there will be no answer.
    pub(super) fn revoked(&self, offer: OfferId) {
        lock(&self.given).retain(|given| *given != offer.0);
        self.push(Order::Abort { id: offer.0 });
    }

    /// Whether the worker owes an answer to this offer; from now on it does not, unless this was about an item of it.
    fn answers(&self, kind: Kind, offer: u64) -> bool {
        let mut given = lock(&self.given);
        let position = given.iter().position(|given| *given == offer);
        if kind == Kind::Item {
            return position.is_some();
        }
        position.and_then(|position| given.remove(position)).is_some()
    }

    /// It has said hello.
    pub(super) fn greet(&self) {
        self.greeted.store(true, Ordering::Release);
    }

    pub(super) fn has_greeted(&self) -> bool {
        self.greeted.load(Ordering::Acquire)
    }

    /// Remembers what went wrong; the first one wins.
    pub(super) fn blame(&self, what: impl Into<String>) {
        lock(&self.fault).get_or_insert_with(|| what.into());
    }

    pub(super) fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }
}

impl Holder for Link {
    fn forget(&self, key: u64) {
        if self.known.unlearn(key) {
            self.push(Order::Forget { key });
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::wire::frame::{HEADER_LEN, MAX_FRAGMENT};

    /// The one who finds the socket full may be in the way of the one who is woken for it.
    #[test]
    fn what_the_socket_does_not_take_is_written_by_whoever_is_woken() {
        const LEN: usize = 1 << 20;
        /// The whole length goes first.
        const PAYLOAD: usize = size_of::<u64>() + LEN;
        const ROUNDS: u64 = 2000;
        let (ours, theirs) = socket::pair().unwrap();
        let (page, _) = ParentPage::create().unwrap();
        let link = Link::new(
            WorkerId { slot: 0, generation: 0 },
            1,
            page,
            ours,
            Carrier::Socket,
            u64::MAX,
            Etiquette::default(),
        );
        let mut worker = UnixStream::from(theirs);
        worker.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    if link.is_stalled() {
                        link.resume();
                    }
                }
            });
            let mut outcome = Ok(());
            for id in 0..ROUNDS {
                let body = vec![7; LEN].into();
                link.push(Order::Send(Outgoing { body, ..Outgoing::new(Kind::Task, id) }));
                link.flush();
                outcome = worker.read_exact(&mut vec![0; PAYLOAD + PAYLOAD.div_ceil(MAX_FRAGMENT) * HEADER_LEN]);
                if outcome.is_err() {
                    break;
                }
            }
            over.store(true, Ordering::Release);
            outcome.expect("all of it arrives");
        });
    }
}
