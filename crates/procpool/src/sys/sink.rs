//! This program's own stdout and stderr, to write to without waiting for whoever reads them.
//!
//! `O_NONBLOCK` belongs to the open description, which is shared with whoever else has it (a shell, other programs, the
//! program's own `println!`), so it is never set there. A pipe or a terminal is opened anew instead, which gives a
//! description of our own; a socket takes a flag with each call; a file takes what it is given.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::poll::Waker;

/// What a pipe takes whole or not at all, whoever else writes to it (`PIPE_BUF`).
pub(crate) const ATOMIC: usize = 4096;

/// One of the two streams that programs print to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    Stdout,
    Stderr,
}

/// A place to write to.
#[derive(Debug)]
pub(crate) struct Sink {
    fd: OwnedFd,
    manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// A description of our own, which does not block.
    OwnDescription,
    Socket,
    /// Takes what it is given; there is nothing to wait for.
    File,
    /// A pipe or a terminal that this process may write to and not open (another user made it): a call may block.
    Shared,
}

impl Sink {
    /// The program's own; `None` where it has been closed.
    pub(crate) fn own(printed: Printed) -> Option<Sink> {
        match printed {
            Printed::Stdout => Sink::of(io::stdout().as_fd()),
            Printed::Stderr => Sink::of(io::stderr().as_fd()),
        }
    }

    fn of(fd: BorrowedFd<'_>) -> Option<Sink> {
        // Above 2: where a standard descriptor is closed, nothing of ours is to be taken for it.
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3).ok()?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd).ok()?.st_mode);
        let manner = match kind {
            FileType::Socket => Manner::Socket,
            FileType::Fifo | FileType::CharacterDevice => match open_anew(&fd) {
                Ok(own) => return Some(Sink { fd: own, manner: Manner::OwnDescription }),
                Err(_) => Manner::Shared,
            },
            _ => Manner::File,
        };
        Some(Sink { fd, manner })
    }

    /// For tests: a stream that cannot be opened anew.
    #[cfg(test)]
    pub(crate) fn shared(fd: OwnedFd) -> Sink {
        Sink { fd, manner: Manner::Shared }
    }

    /// Whether [`write`](Self::write) may wait after all: then it is only for a thread that has nothing else to do.
    pub(crate) fn may_block(&self) -> bool {
        self.manner == Manner::Shared
    }

    /// Writes what fits; `WouldBlock` when nothing does. A pipe takes up to [`ATOMIC`] bytes whole or not at all.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| match self.manner {
            Manner::Socket => rustix::net::send(&self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Manner::OwnDescription | Manner::File | Manner::Shared => rustix::io::write(&self.fd, bytes),
        })?)
    }

    /// Waits until there is room (or an error to be told), until woken, or until the time is up; whether there is room.
    pub(crate) fn wait_for_room(&self, waker: &Waker, timeout: Option<Duration>) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::OUT), PollFd::new(waker, PollFlags::IN)];
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ok(!fds[0].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn open_anew(fd: &OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Writes until nothing more fits.
    fn fill(sink: &Sink) -> usize {
        let mut written = 0;
        loop {
            match sink.write(&[7; ATOMIC]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_full_pipe_or_socket_does_not_block_and_its_description_is_left_alone() {
        let waker = Waker::new().unwrap();
        let (mut pipe, writer) = io::pipe().unwrap();
        let sink = Sink::of(writer.as_fd()).unwrap();
        let written = fill(&sink);
        assert!(written >= ATOMIC && !sink.may_block());
        assert!(!sink.wait_for_room(&waker, Some(Duration::ZERO)).unwrap());
        pipe.read_exact(&mut vec![0; written]).unwrap();
        assert!(sink.wait_for_room(&waker, None).unwrap());
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "others' writes wait as ever");
        drop(pipe);
        assert_eq!(sink.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);

        let (_socket, peer) = UnixStream::pair().unwrap();
        assert!(fill(&Sink::of(peer.as_fd()).unwrap()) > 0);
    }

    #[test]
    fn a_file_is_written_where_others_write() {
        let path = std::env::temp_dir().join(format!("procpool-{}-sink", std::process::id()));
        let mut file = std::fs::File::create(&path).unwrap();
        let sink = Sink::of(file.as_fd()).unwrap();
        assert_eq!(sink.write(b"one\n").unwrap(), 4);
        io::Write::write_all(&mut file, b"two\n").unwrap();
        assert_eq!(sink.write(b"three\n").unwrap(), 6);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_wait_ends_when_woken() {
        let waker = Waker::new().unwrap();
        let (_pipe, writer) = io::pipe().unwrap();
        let sink = Sink::of(writer.as_fd()).unwrap();
        fill(&sink);
        waker.wake();
        assert!(!sink.wait_for_room(&waker, None).unwrap());
    }
}
