//! What the machine itself needs to send a few bytes to another process and back: blocking reads and writes on a
//! socketpair, no runtime, no library.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::Error;
use crate::peers::micros;

/// The argument that makes this program the other end.
pub(crate) const ECHO: &str = "--echo-for-the-raw-limit";

const MESSAGE: [u8; 8] = *b"8 bytes!";

/// So many messages there and back: the microseconds of each.
pub(crate) fn latencies(calls: usize) -> Result<Vec<f64>, Error> {
    let mut echo = Echo::start()?;
    Ok(micros(calls, || echo.ping())?)
}

/// The other process, and our end of the pair.
struct Echo {
    socket: UnixStream,
    child: Child,
}

impl Echo {
    fn start() -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe").arg(ECHO).stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        Ok(Echo { socket, child })
    }

    /// One message there and back.
    fn ping(&mut self) -> io::Result<()> {
        self.socket.write_all(&MESSAGE)?;
        self.socket.read_exact(&mut [0; MESSAGE.len()])
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // The end of the stream ends the child; an error of either call has nobody to tell.
        drop(self.socket.shutdown(std::net::Shutdown::Both));
        drop(self.child.wait());
    }
}

/// The child: sends back what it reads from its stdin, which is a socket, until that ends.
pub(crate) fn echo() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut message = [0; MESSAGE.len()];
    loop {
        match socket.read_exact(&mut message) {
            Ok(()) => socket.write_all(&message)?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
