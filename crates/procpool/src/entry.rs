//! How a process learns that it is a worker.
//!
//! Workers run the same executable as their parent, so every program that makes pools calls [`init`] first. Only a
//! supervisor may say that a process is a worker: its marker (`argv[0]`, which nothing that it starts inherits) must
//! name its parent, and descriptor 0 must be a unix socket made by that parent and by the same user, which nobody else
//! can pretend.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::sys::socket::{self, PeerCred};
use crate::sys::{process, stdio};
use crate::wire::message::PROTOCOL;
use crate::worker;

/// A worker's pools may have workers with pools, and so on: this many below the first program. Without a limit, a task
/// that makes a pool for a task that makes a pool would fill the machine.
pub(crate) const MAX_DEPTH: u32 = 10;

const WORD: &str = "procpool-worker";

static CALLED: AtomicBool = AtomicBool::new(false);

/// How many pools lie above this process.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Lets this program be its own worker. Call it first in `main`; `#[procpool::main]` does so.
///
/// In an ordinary start it returns at once. In a process that a pool has started it runs tasks and never returns, so
/// nothing that follows it happens in workers: no arguments are parsed, no port is bound, no log is opened twice.
/// It can be called more than once.
///
/// A worker whose parent has ended meanwhile kills itself here, instead of running the program.
///
/// A program that does not call it gets an error from `Pool::new`, and no process is started.
///
/// ```
/// fn main() {
///     procpool::init();
///     // The program.
/// }
/// ```
#[expect(clippy::needless_doctest_main, reason = "where it is called in main is what the example shows")]
pub fn init() {
    CALLED.store(true, Ordering::Relaxed);
    let Some(marker) = std::env::args_os().next().and_then(|arg| Marker::parse(arg.to_str()?)) else { return };
    match marker.judge(&Circumstances::of_this_process()) {
        Verdict::Ordinary => {}
        Verdict::Orphan => process::kill_own_group(),
        Verdict::Worker => worker::run(worker::Start { name: marker.name, parent: marker.parent }),
        Verdict::OtherProtocol => {
            worker::refuse(&worker::Start { name: marker.name, parent: marker.parent }, marker.protocol)
        }
    }
}

/// The whole `main` of a program that is only ever a worker, for [`PoolBuilder::program`](crate::PoolBuilder::program).
/// Started by hand it says what it is for, and ends with code 64 (a usage error).
///
/// ```no_run
/// // use tasks as _; // the crate with the `#[procpool::task]` functions, which would not be linked otherwise
///
/// fn main() {
///     procpool::worker_main()
/// }
/// ```
#[expect(clippy::needless_doctest_main, reason = "where it is called in main is what the example shows")]
pub fn worker_main() -> ! {
    init();
    let program = std::env::args_os().next().unwrap_or_default();
    // Nobody to read it is no reason to end in another way.
    let _ = writeln!(
        std::io::stderr(),
        "{} does the work of another program, which starts it: see procpool's `Pool::builder().program(..)`. By itself \
         it does nothing.",
        program.display()
    );
    std::process::exit(EXIT_USAGE)
}

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: i32 = 64;

#[cfg(any(test, feature = "test-harness"))]
crate::sys::constructor::before_main!(init);

/// Whether [`init`] was called in this process; where it was not, workers would run the program instead.
pub(crate) fn was_called() -> bool {
    CALLED.load(Ordering::Relaxed)
}

/// Whether whoever started this process meant it to be a worker.
pub(crate) fn has_marker() -> bool {
    std::env::args_os().next().is_some_and(|arg| arg.to_str().and_then(Marker::parse).is_some())
}

/// How many pools lie above this process: 0 in an ordinary program, 1 in its workers.
pub(crate) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// Noted by a worker when its parent tells.
pub(crate) fn set_depth(depth: u32) {
    DEPTH.store(depth, Ordering::Relaxed);
}

/// `argv[0]` for a worker of this process.
pub(crate) fn marker(name: &str) -> String {
    Marker { protocol: PROTOCOL, parent: std::process::id(), name: name.replace('\0', "") }.to_string()
}

/// `procpool-worker <protocol> <parent's pid> <name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Marker {
    protocol: u32,
    parent: u32,
    name: String,
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{WORD} {} {} {}", self.protocol, self.parent, self.name)
    }
}

/// What a marker is held against.
#[derive(Clone, Copy, Debug)]
struct Circumstances {
    /// Whether the executable's file gave this process privileges that its caller does not have.
    privileged: bool,
    parent: u32,
    user: u32,
    /// Who made the socket on descriptor 0, if one is there.
    peer: Option<PeerCred>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The marker says nothing that could be relied on (set by hand, most likely): the program runs as always.
    Ordinary,
    /// A supervisor did start this worker, but is gone: running the program instead would leave a copy of a service
    /// that was just killed.
    Orphan,
    /// A supervisor of another version did start this worker, for which this program is too old or too new.
    OtherProtocol,
    Worker,
}

impl Marker {
    fn parse(text: &str) -> Option<Marker> {
        let mut words = text.splitn(4, ' ');
        if words.next()? != WORD {
            return None;
        }
        let protocol = words.next()?.parse().ok()?;
        let parent = words.next()?.parse().ok()?;
        Some(Marker { protocol, parent, name: words.next()?.to_owned() })
    }

    fn judge(&self, found: &Circumstances) -> Verdict {
        let supervised =
            found.peer.is_some_and(|peer| peer.pid != 0 && peer.pid == self.parent && peer.uid == found.user);
        if found.privileged || !supervised {
            Verdict::Ordinary
        } else if found.parent != self.parent {
            Verdict::Orphan
        } else if self.protocol != PROTOCOL {
            Verdict::OtherProtocol
        } else {
            Verdict::Worker
        }
    }
}

impl Circumstances {
    fn of_this_process() -> Circumstances {
        let stdin = stdio::stdin();
        Circumstances {
            privileged: process::is_privileged_start(),
            parent: process::parent_id(),
            user: process::user_id(),
            peer: socket::is_unix_stream(stdin).then(|| socket::peer_cred(stdin).ok()).flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let text = marker("worker-3 of my pool");
        let read = Marker::parse(&text).unwrap();
        assert_eq!((read.protocol, read.parent, &*read.name), (PROTOCOL, std::process::id(), "worker-3 of my pool"));
        for text in ["", "/bin/program", "procpool-worker", "procpool-worker 1", "procpool-worker 1 x worker-0"] {
            assert_eq!(Marker::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_supervisor_makes_a_worker() {
        let marker = Marker { protocol: PROTOCOL, parent: 70, name: "worker-0".to_owned() };
        let good = Circumstances { privileged: false, parent: 70, user: 5, peer: Some(PeerCred { pid: 70, uid: 5 }) };
        assert_eq!(marker.judge(&good), Verdict::Worker);
        let others = [
            Circumstances { privileged: true, ..good },
            Circumstances { peer: None, ..good },
            Circumstances { peer: Some(PeerCred { pid: 71, uid: 5 }), ..good },
            Circumstances { peer: Some(PeerCred { pid: 70, uid: 0 }), ..good },
        ];
        for circumstances in others {
            assert_eq!(marker.judge(&circumstances), Verdict::Ordinary, "{circumstances:?}");
        }
        assert_eq!(Marker { protocol: 99, ..marker.clone() }.judge(&good), Verdict::OtherProtocol);
        assert_eq!(marker.judge(&Circumstances { parent: 1, ..good }), Verdict::Orphan);
        let nobody = Circumstances { parent: 0, peer: Some(PeerCred { pid: 0, uid: 5 }), ..good };
        assert_eq!(Marker { parent: 0, ..marker }.judge(&nobody), Verdict::Ordinary);
    }

    #[test]
    fn the_constructor_has_called_init() {
        assert!(was_called());
        assert_eq!(depth(), 0);
    }
}
