//! How a worker is killed in a task, and not before it or behind it: the task says that it runs, and never ends.

use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, Signal, kill_process};

static TRAPS: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Trap {
    listener: UnixListener,
    name: String,
}

/// A process that runs [`stuck`].
pub(crate) struct Victim {
    /// Held so that it does not see an end.
    _socket: UnixStream,
    process: Pid,
}

impl Trap {
    pub(crate) fn set() -> io::Result<Self> {
        let name = format!("procpool-bench-trap-{}-{}", std::process::id(), TRAPS.fetch_add(1, Ordering::Relaxed));
        Ok(Trap { listener: UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?, name })
    }

    /// What [`stuck`] is called with.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Waits until somebody is in it.
    pub(crate) fn caught(self) -> io::Result<Victim> {
        let (socket, _) = self.listener.accept()?;
        let process = socket_peercred(&socket)?.pid;
        Ok(Victim { _socket: socket, process })
    }
}

impl Victim {
    pub(crate) fn kill(&self) -> io::Result<()> {
        Ok(kill_process(self.process, Signal::KILL)?)
    }
}

/// The task that is killed. It ends only if who waits for it is gone.
pub(crate) fn stuck(name: String) {
    let connected = SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address));
    // An error ends it early, which is seen: nobody is caught.
    drop(connected.and_then(|mut socket| socket.read(&mut [0])));
}
