//! What clients and keepers call, and the thread that serves the other processes.
//!
//! One lock guards everything that decisions depend on. Whoever wants the hub to look takes it if it is free, and leaves
//! word otherwise: its holder looks again before it leaves, so that nothing is lost and nobody waits for another's work.
//! The thread `procpool-queues` lives while there are participants in other processes. It sleeps only when all of them
//! have been asked to ring, and none has written since.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, fence};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::after::After;
use super::state::{Knock, State};
use super::watch::Watch;
use crate::panics;
use crate::queue::broker::api::ParticipantId;
use crate::queue::link::{ClientEnd, Transport, private};
use crate::sync::{lock, try_lock};

/// A debugging aid: `socket` makes all records go by sockets instead of shared memory.
const TRANSPORT: &str = "PROCPOOL_QUEUE_LINK";

/// How many turns a caller of [`Hub::pump`] takes for others before it leaves them to the thread.
const ROUNDS: usize = 4;

/// While there is always something to do, the thread looks at its sockets every so many turns.
const BUSY_TURNS: u32 = 8;

/// A participant, as its keeper names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId(ParticipantId);

/// The hub of this process, which is the root.
pub(crate) fn hub() -> &'static Arc<Hub> {
    static HUB: OnceLock<Arc<Hub>> = OnceLock::new();
    HUB.get_or_init(|| {
        let by_socket = std::env::var_os(TRANSPORT).is_some_and(|value| value == "socket");
        Hub::new(if by_socket { Transport::Socket } else { Transport::Ring })
    })
}

/// How long the thread looks for more before it sleeps. To be woken takes longer than that, and costs whoever wakes it a
/// system call.
const PATIENCE: Duration = Duration::from_micros(30);

/// Whether nothing has come for long enough.
fn is_patient(idle_since: &mut Option<Instant>) -> bool {
    let patience_ends = *idle_since.get_or_insert_with(Instant::now) + PATIENCE;
    let is_over = Instant::now() >= patience_ends;
    if is_over {
        *idle_since = None;
    }
    is_over
}

/// Where the queues of a program are: the broker, and the links to all who use it.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Somebody wants the hub to look, and somebody else is at it.
    asked: AtomicBool,
    knocks: Mutex<Vec<Knock>>,
    /// What the thread waits on, while there is one.
    thread: Mutex<Option<Arc<Watch>>>,
    on_event: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    pub(in crate::queue) fn new(transport: Transport) -> Arc<Hub> {
        Arc::new(Hub {
            state: Mutex::new(State::new(transport)),
            asked: AtomicBool::new(false),
            knocks: Mutex::default(),
            thread: Mutex::default(),
            on_event: OnceLock::new(),
        })
    }

    /// The root's own link, made once, in private memory. Its bell is a call of [`pump`](Hub::pump), and `on_event` is
    /// called after each turn of work that left something for it to see, from whichever thread did that work.
    ///
    /// # Errors
    /// The memory cannot be had, or the link exists already.
    pub(crate) fn root_link(self: &Arc<Hub>, on_event: Box<dyn Fn() + Send + Sync>) -> io::Result<Arc<ClientEnd>> {
        if self.on_event.set(on_event).is_err() {
            return Err(io::Error::other("the root's link exists already"));
        }
        let hub = Arc::downgrade(self);
        let (client, end) = private(Box::new(move || {
            if let Some(hub) = hub.upgrade() {
                hub.pump();
            }
        }))?;
        lock(&self.state).add_root(end);
        Ok(Arc::new(client))
    }

    /// Reads what participants wrote, and carries out what follows; or lets whoever is doing so look again.
    ///
    /// Never call it with a lock of this crate held.
    pub(crate) fn pump(&self) {
        self.asked.store(true, SeqCst);
        for _ in 0..ROUNDS {
            // Between the word that was left and the look at the lock; the holder does it the other way round.
            fence(SeqCst);
            let mut after = After::default();
            {
                let Some(mut state) = try_lock(&self.state) else { return };
                if self.turn(&mut state, &mut after) {
                    self.asked.store(true, SeqCst);
                }
                state.root_may_ring();
            }
            self.finish(&mut after);
            fence(SeqCst);
            if !self.asked.load(SeqCst) {
                return;
            }
        }
        let thread = lock(&self.thread).clone();
        match thread {
            Some(watch) => watch.wake(),
            // Only this process's own threads ask, and each of them is here at most once.
            None => self.pump_on(),
        }
    }

    /// Turns without end, until nobody asks.
    fn pump_on(&self) {
        while self.asked.load(SeqCst) {
            let mut after = After::default();
            {
                let Some(mut state) = try_lock(&self.state) else { return };
                if self.turn(&mut state, &mut after) {
                    self.asked.store(true, SeqCst);
                }
                state.root_may_ring();
            }
            self.finish(&mut after);
            fence(SeqCst);
        }
    }

    /// A participant in another process: its keeper's end of a socket on which it has begun to speak, unread.
    pub(crate) fn introduce(self: &Arc<Hub>, socket: OwnedFd) -> LinkId {
        let id = lock(&self.state).number();
        self.knock(Knock::Introduced { id, socket });
        LinkId(id)
    }

    /// The participant's process has ended, and all that it answered has been handled.
    pub(crate) fn buried(self: &Arc<Hub>, link: LinkId) {
        self.knock(Knock::Buried { id: link.0 });
    }

    /// Leaves word for the thread, which is started if there is none.
    fn knock(self: &Arc<Hub>, knock: Knock) {
        let mut thread = lock(&self.thread);
        lock(&self.knocks).push(knock);
        if let Some(watch) = &*thread {
            watch.wake();
            return;
        }
        let started = Watch::new().and_then(|watch| {
            let (watch, hub) = (Arc::new(watch), Arc::clone(self));
            let watched = Arc::clone(&watch);
            std::thread::Builder::new().name("procpool-queues".to_owned()).spawn(move || hub.serve(&watched))?;
            Ok(watch)
        });
        match started {
            Ok(watch) => *thread = Some(watch),
            Err(error) => {
                // Whoever was introduced finds its socket closed.
                let refused = std::mem::take(&mut *lock(&self.knocks));
                drop(thread);
                drop(refused);
                panics::by_the_way(|| {
                    tracing::error!(target: "procpool::queue", %error, "the thread of the queues cannot be started");
                });
            }
        }
    }

    /// The thread: until no participant in another process is left.
    fn serve(&self, watch: &Arc<Watch>) {
        let mut tokens = Vec::new();
        let mut ready = Vec::new();
        let mut busy = 0;
        let mut idle_since = None;
        let mut after = After::default();
        loop {
            let (more, may_sleep, is_last) = {
                let mut state = lock(&self.state);
                for id in ready.drain(..) {
                    state.readable(id);
                }
                if state.has_input() {
                    idle_since = None;
                }
                let more = self.turn_watched(&mut state, Some(watch), &mut after);
                state.root_may_ring();
                let may_sleep = !more && is_patient(&mut idle_since) && state.may_sleep();
                (more, may_sleep, !state.has_remotes())
            };
            self.finish(&mut after);
            fence(SeqCst);
            if is_last && self.leave() {
                // Whoever has asked while this thread was at it relies on it. There is nobody to be watched any more.
                if more {
                    self.asked.store(true, SeqCst);
                }
                self.pump_on();
                return;
            }
            let may_sleep = may_sleep && !self.asked.load(SeqCst);
            busy = if may_sleep { 0 } else { busy + 1 };
            if may_sleep || busy % BUSY_TURNS == 0 {
                let timeout = if may_sleep { None } else { Some(Duration::ZERO) };
                ready = watch.wait(&mut tokens, timeout);
            } else if idle_since.is_some() {
                // To those who are about to write, on a machine with fewer cores than processes.
                std::thread::yield_now();
            }
        }
    }

    /// The thread ends, unless somebody has knocked. Whoever knocks next starts another one.
    fn leave(&self) -> bool {
        let mut thread = lock(&self.thread);
        if !lock(&self.knocks).is_empty() {
            return false;
        }
        *thread = None;
        true
    }

    /// A turn of whoever is there.
    fn turn(&self, state: &mut State, after: &mut After) -> bool {
        let watch = lock(&self.thread).clone();
        let more = self.turn_watched(state, watch.as_ref(), after);
        more | state.put_bells_back()
    }

    fn turn_watched(&self, state: &mut State, watch: Option<&Arc<Watch>>, after: &mut After) -> bool {
        self.asked.store(false, SeqCst);
        // Without a thread nobody could be watched: they wait for it.
        let knocks = if watch.is_some() { std::mem::take(&mut *lock(&self.knocks)) } else { Vec::new() };
        state.turn(knocks, watch, after)
    }

    fn finish(&self, after: &mut After) {
        if after.finish()
            && let Some(on_event) = self.on_event.get()
        {
            panics::by_the_way(on_event);
        }
    }

    /// What [`pump`](Hub::pump) does while somebody else is at it.
    #[cfg(test)]
    pub(super) fn leave_word(&self) {
        self.asked.store(true, SeqCst);
    }

    #[cfg(test)]
    pub(super) fn has_thread(&self) -> bool {
        lock(&self.thread).is_some()
    }
}
