//! One worker as the parent holds it: its socket, its page, what is on its way there and back.
//!
//! Whoever has something to send pushes it to `orders` under the engine's lock, so that the order on the wire is the
//! order of the decisions, and then tries to become the sender. A sender looks into `orders` once more after it has let
//! go, so that nothing pushed meanwhile is left behind. What the socket does not take stays in the outbox and is
//! written by the worker's driver task when there is room.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::BytesMut;
use tokio::sync::Notify;

use super::etiquette::Etiquette;
use super::outbox::{Order, Outbox, Outgoing};
use super::output::Output;
use crate::backend::scheduler::{OfferId, WorkerId};
use crate::backend::worker_name;
use crate::panics;
use crate::sync::{lock, try_lock};
use crate::sys::socket::Target;
use crate::sys::{clock, socket};
use crate::task::blob::{Blob, Holder, Known};
use crate::wire::frame::{Assembler, Kind, Message, Wanted};
use crate::wire::message::MESSAGE_OVERHEAD;
use crate::wire::page::ParentPage;

/// How many reads one call of [`Link::receive`] makes, so that one busy worker does not starve the others.
const READS: usize = 16;
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
    outbox: Mutex<Outbox>,
    inbox: Mutex<Inbox>,
    /// The outbox holds bytes that the socket did not take. Changed only by who holds the outbox.
    stalled: AtomicBool,
    stalled_now: Notify,
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

struct Inbox {
    buffer: BytesMut,
    assembler: Assembler,
    etiquette: Etiquette,
    ended: bool,
}

/// What a call of [`Link::receive`] found at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// There may be more.
    More,
    /// Nothing is left for now.
    Drained,
    /// The worker will never send anything again.
    Ended,
}

impl Link {
    pub(super) fn new(
        worker: WorkerId,
        pid: u32,
        page: ParentPage,
        socket: OwnedFd,
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
        Link {
            worker,
            pid,
            page,
            span: span.unwrap_or_else(tracing::Span::none),
            output: None,
            socket: Arc::new(socket),
            orders: Mutex::default(),
            outbox: Mutex::default(),
            inbox: Mutex::new(Inbox {
                buffer: BytesMut::new(),
                assembler: Assembler::new(max_message.saturating_add(MESSAGE_OVERHEAD), Kind::FROM_WORKER),
                etiquette,
                ended: false,
            }),
            stalled: AtomicBool::new(false),
            stalled_now: Notify::new(),
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
                let Some(mut outbox) = try_lock(&self.outbox) else { return };
                self.write(&mut outbox);
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
            let mut outbox = lock(&self.outbox);
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

    /// The socket has room again: writes on, and says whether that room is used up.
    ///
    /// Waits for whoever is writing, and tries itself in any case. Were it to leave things to the other, who may have
    /// found the socket full before there was room, nobody would be told of that room again.
    pub(super) fn resume(&self) -> bool {
        let is_full = {
            let mut outbox = lock(&self.outbox);
            self.write(&mut outbox);
            self.is_stalled()
        };
        self.flush();
        is_full
    }

    fn write(&self, outbox: &mut Outbox) {
        loop {
            for order in lock(&self.orders).drain(..) {
                outbox.accept(order);
            }
            if outbox.is_empty() {
                self.stalled.store(false, Ordering::Release);
                return;
            }
            let (slices, count) = outbox.slices();
            match socket::send(&self.socket, &slices[..count]) {
                Ok(written) => {
                    outbox.advance(written);
                    self.moved_ns.store(clock::monotonic_ns(), Ordering::Relaxed);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.stalled.store(true, Ordering::Release);
                    self.stalled_now.notify_one();
                    return;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // It is dead or has closed its socket: its end is noticed on the reading side, with what it said last.
                Err(_) => {
                    *outbox = Outbox::default();
                    self.stalled.store(false, Ordering::Release);
                    return;
                }
            }
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Waits until bytes are left over. Cancel safe: a notification that nobody waited for is kept.
    pub(super) async fn until_stalled(&self) {
        self.stalled_now.notified().await;
    }

    /// Reads what has arrived and hands whole messages to `each`, in order. Somebody else reading meanwhile is waited
    /// for: it is never long. After an error, of the frames or of `each`, nothing more is read: a worker that is to
    /// be killed cannot keep this process busy until it is.
    pub(super) fn receive(&self, mut each: impl FnMut(Message) -> Result<(), String>) -> Result<Received, String> {
        let mut inbox = lock(&self.inbox);
        let Inbox { buffer, assembler, etiquette, ended } = &mut *inbox;
        if *ended {
            return Ok(Received::Ended);
        }
        for _ in 0..READS {
            let mut target = match assembler.wanted(buffer.len()) {
                Ok(Wanted::Anything) => Target::Buffer(buffer),
                Ok(Wanted::Exactly(count)) => Target::Some(buffer, count),
                Ok(Wanted::Here(value, most)) => Target::Value(value, most),
                Err(fault) => {
                    *ended = true;
                    return Err(format!("it cannot be heard: {fault}"));
                }
            };
            match socket::recv_into(&self.socket, &mut target) {
                Ok(0) => {
                    *ended = true;
                    return Ok(Received::Ended);
                }
                Ok(_) => loop {
                    let understood = match assembler.push(buffer) {
                        Ok(Some(message)) => etiquette
                            .admit(message.kind, message.id, || self.answers(message.id))
                            .and_then(|()| each(message)),
                        Ok(None) => break,
                        Err(error) => Err(format!("it broke the protocol: {error}")),
                    };
                    if let Err(fault) = understood {
                        *ended = true;
                        return Err(fault);
                    }
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(Received::Drained),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // A reset: it died with unread bytes from us.
                Err(_) => {
                    *ended = true;
                    return Ok(Received::Ended);
                }
            }
        }
        Ok(Received::More)
    }

    /// When bytes last moved towards the worker, on the monotonic clock.
    pub(super) fn moved_ns(&self) -> u64 {
        self.moved_ns.load(Ordering::Relaxed)
    }

    /// Sends a value that a task will name, unless the worker has it.
    pub(super) fn share(self: &Arc<Self>, blob: &Blob) {
        if self.known.learn(blob, || Arc::downgrade(self) as Weak<dyn Holder>) {
            let body = blob.bytes().clone();
            self.push(Order::Send(Outgoing { body, ..Outgoing::new(Kind::Shared, blob.key()) }));
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

    /// Whether the worker owes an answer to this offer; from now on it does not.
    fn answers(&self, offer: u64) -> bool {
        let mut given = lock(&self.given);
        let position = given.iter().position(|given| *given == offer);
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
        let link = Link::new(WorkerId { slot: 0, generation: 0 }, 1, page, ours, u64::MAX, Etiquette::default());
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
