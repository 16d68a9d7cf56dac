//! What the machine itself needs to send a few bytes to another process and back: blocking reads and writes on a
//! socketpair, no runtime, no library.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::options::ECHO;

const MESSAGE: [u8; 8] = *b"8 bytes!";

/// The other process, and our end of the pair.
pub(crate) struct Echo {
    socket: UnixStream,
    child: Child,
}

impl Echo {
    pub(crate) fn start() -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe").arg(ECHO).stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        Ok(Echo { socket, child })
    }

    /// One message there and back; gives the time it took in microseconds.
    pub(crate) fn ping(&mut self) -> io::Result<f64> {
        let mut answer = [0; MESSAGE.len()];
        let start = Instant::now();
        self.socket.write_all(&MESSAGE)?;
        self.socket.read_exact(&mut answer)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
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
