//! The private socketpair between a parent and one worker.
//!
//! A stream socket rather than a pipe, since one descriptor then carries both directions, passes descriptors
//! (`SCM_RIGHTS`), says who made it (`SO_PEERCRED`), and can be told from a user's file: `send` on a descriptor number
//! that a task has closed and reused for a file fails with ENOTSOCK, where `write` would write frames into that file.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Asked for as send buffer of both ends. The kernel may give less (`net.core.wmem_max`), which costs speed only.
const SEND_BUFFER: usize = 512 * 1024;

/// The kernel takes no more slices than this in one call (`UIO_MAXIOV`).
const MAX_SLICES: usize = 1024;

/// How much room one receive offers at least.
const RECEIVE_ROOM: usize = 64 * 1024;

/// No message carries more descriptors than this.
const MAX_PASSENGERS: usize = 2;

/// Makes a connected pair of stream sockets: the parent's end does not block, the worker's end does.
///
/// Two open descriptions, so each side has an `O_NONBLOCK` of its own. Both are close-on-exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (parent, worker) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for end in [&parent, &worker] {
        // Best effort: a smaller buffer means more system calls for big payloads, nothing else.
        let _ = sockopt::set_socket_send_buffer_size(end, SEND_BUFFER);
    }
    rustix::io::ioctl_fionbio(&parent, true)?;
    Ok((parent, worker))
}

/// From now on few writes that have not been read fit: as few as the kernel lets a socket hold.
pub(crate) fn narrow(socket: impl AsFd) {
    // Best effort: what is more on its way costs memory, and nothing else.
    let _ = sockopt::set_socket_send_buffer_size(socket, 1);
}

/// Sends what fits now. `WouldBlock` when nothing fits; `BrokenPipe` (never SIGPIPE) when the other end is gone.
pub(crate) fn send(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    send_message(socket.as_fd(), slices, &mut SendAncillaryBuffer::default(), SendFlags::DONTWAIT)
}

/// Sends what fits now, with copies of at most two `passengers`, which travel with the first byte. At least one byte must
/// be given.
///
/// `Ok(n)` with `n > 0`: the descriptors have been sent; the rest of the bytes go by [`send`].
pub(crate) fn send_with_fds(
    socket: impl AsFd,
    slices: &[IoSlice<'_>],
    passengers: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if slices.iter().all(|slice| slice.is_empty()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a descriptor cannot travel without a byte"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSENGERS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(passengers)) {
        return Err(io::Error::other("the control message does not fit its own space"));
    }
    send_message(socket.as_fd(), slices, &mut control, SendFlags::DONTWAIT)
}

/// [`send_with_fds`] for one passenger.
pub(crate) fn send_with_fd(socket: impl AsFd, slices: &[IoSlice<'_>], passenger: BorrowedFd<'_>) -> io::Result<usize> {
    send_with_fds(socket, slices, &[passenger])
}

/// Sends everything, waiting as long as it takes. For the worker's end.
pub(crate) fn send_all(socket: impl AsFd, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    let socket = socket.as_fd();
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match send_message(socket, slices, &mut SendAncillaryBuffer::default(), SendFlags::empty()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => IoSlice::advance_slices(&mut slices, sent),
            // Somebody made our end non-blocking (a task that walks over all descriptors): wait all the same.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for(socket, PollFlags::OUT)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn send_message(
    socket: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    control: &mut SendAncillaryBuffer<'_, '_, '_>,
    flags: SendFlags,
) -> io::Result<usize> {
    let slices = &slices[..slices.len().min(MAX_SLICES)];
    loop {
        match rustix::net::sendmsg(socket, slices, control, flags | SendFlags::NOSIGNAL) {
            // Nothing has been sent when EINTR is reported, the descriptor included.
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Where received bytes go.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    /// To the end of this, as many as there are.
    Buffer(&'a mut BytesMut),
    /// To the end of this, at most so many.
    Some(&'a mut BytesMut, usize),
    /// To the end of this, which has room for them, at most so many.
    Value(&'a mut Vec<u8>, usize),
}

impl Target<'_> {
    /// How many bytes are wanted.
    pub(crate) fn most(&self) -> usize {
        match self {
            Target::Buffer(_) => usize::MAX,
            Target::Some(_, most) => *most,
            Target::Value(value, most) => (*most).min(value.capacity() - value.len()),
        }
    }

    /// Puts bytes where they are wanted; no more than [`most`](Self::most).
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        match self {
            Target::Buffer(buffer) | Target::Some(buffer, _) => buffer.extend_from_slice(bytes),
            Target::Value(value, _) => value.extend_from_slice(bytes),
        }
    }
}

/// Puts what has arrived where it is wanted. `Ok(0)` is the end of the stream, `WouldBlock` means nothing is there.
pub(crate) fn recv_into(socket: impl AsFd, target: &mut Target<'_>) -> io::Result<usize> {
    receive(socket.as_fd(), target, RecvFlags::DONTWAIT)
}

fn receive(socket: BorrowedFd<'_>, target: &mut Target<'_>, flags: RecvFlags) -> io::Result<usize> {
    let (buffer, most) = match target {
        Target::Buffer(buffer) => (buffer, usize::MAX),
        Target::Some(buffer, most) => (buffer, *most),
        Target::Value(value, most) => return receive_value(socket, value, *most, flags),
    };
    // Ask for room only when little is left, so that a big read buffer is filled before a new one is made.
    if buffer.capacity() - buffer.len() < RECEIVE_ROOM / 4 {
        buffer.reserve(RECEIVE_ROOM);
    }
    let count = receive_room(socket, buffer.spare_capacity_mut(), most, flags)?;
    let length = buffer.len() + count;
    // SAFETY: the kernel has just written `count` bytes at the start of the spare capacity, which follows `len()`.
    #[expect(unsafe_code, reason = "the kernel fills uninitialised memory, which no safe interface of BytesMut knows")]
    unsafe {
        buffer.set_len(length);
    }
    Ok(count)
}

fn receive_value(socket: BorrowedFd<'_>, value: &mut Vec<u8>, most: usize, flags: RecvFlags) -> io::Result<usize> {
    let count = receive_room(socket, value.spare_capacity_mut(), most, flags)?;
    let length = value.len() + count;
    // SAFETY: the kernel has just written `count` bytes at the start of the spare capacity, which follows `len()`.
    #[expect(unsafe_code, reason = "the kernel fills uninitialised memory, which no safe interface of Vec knows")]
    unsafe {
        value.set_len(length);
    }
    Ok(count)
}

/// Fills at most `most` bytes of `room` from its start, and says how many.
fn receive_room(
    socket: BorrowedFd<'_>,
    room: &mut [MaybeUninit<u8>],
    most: usize,
    flags: RecvFlags,
) -> io::Result<usize> {
    let most = most.min(room.len());
    loop {
        match rustix::net::recv(socket, &mut room[..most], flags) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(((filled, _), _)) => return Ok(filled.len()),
        }
    }
}

/// Receives some bytes and the descriptors that may have come with them (close-on-exec), waiting for at least one byte.
///
/// More than two descriptors, or one that was lost on the way (`MSG_CTRUNC`: no free descriptor number), is an error.
pub(crate) fn recv_with_fds(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let socket = socket.as_fd();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSENGERS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut slices = [IoSliceMut::new(&mut *buffer)];
        match rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(socket, PollFlags::IN)?,
            result => break result?,
        }
    };
    let mut passengers: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            passengers.extend(descriptors);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a descriptor was lost on its way: no free descriptor number in this process"));
    }
    Ok((message.bytes, passengers))
}

/// [`recv_with_fds`] where one descriptor may come: two are an error.
pub(crate) fn recv_with_fd(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let (count, mut passengers) = recv_with_fds(socket, buffer)?;
    if passengers.len() > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors than one came with a message"));
    }
    Ok((count, passengers.pop()))
}

/// What the next receive would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Bytes,
    Nothing,
    /// The end of the stream, or an error.
    End,
}

/// Whether this still is a connected socket: an error if it has been closed, or is another file by now.
pub(crate) fn probe(socket: impl AsFd) -> io::Result<()> {
    // Nothing is sent, but everything that is in the way of that is found.
    rustix::net::send(socket, &[], SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// Ends the connection in both directions, whoever else has a copy of the descriptor.
pub(crate) fn shut_down(socket: impl AsFd) {
    // It fails for a connection that has ended.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// Looks whether bytes have arrived, and leaves them where they are.
pub(crate) fn peek(socket: impl AsFd) -> Input {
    let mut byte = [0; 1];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match rustix::io::retry_on_intr(|| rustix::net::recv(socket.as_fd(), &mut byte[..], flags)) {
        Ok((count, _)) if count > 0 => Input::Bytes,
        Err(Errno::AGAIN) => Input::Nothing,
        Ok(_) | Err(_) => Input::End,
    }
}

/// Waits until `socket` is ready for `what`, or broken (which the next call on it reports).
fn wait_for(socket: BorrowedFd<'_>, what: PollFlags) -> io::Result<()> {
    match rustix::event::poll(&mut [PollFd::from_borrowed_fd(socket, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Who made a socketpair, as the kernel noted it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerCred {
    /// The process id as this process sees it; 0 for one outside this process's pid namespace.
    pub(crate) pid: u32,
    /// The effective user id as this process sees it.
    pub(crate) uid: u32,
}

/// The credentials of the process that made this socketpair.
pub(crate) fn peer_cred(socket: impl AsFd) -> io::Result<PeerCred> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: `cred` and `length` live through the call, and `length` is the size of `cred`. Not rustix's call: its
    // result holds a non-zero pid, and a peer in another pid namespace has pid 0.
    #[expect(unsafe_code, reason = "rustix cannot express a peer whose pid is 0")]
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(PeerCred { pid: u32::try_from(cred.pid).unwrap_or(0), uid: cred.uid })
}

/// Whether this descriptor is a stream socket of the unix family.
pub(crate) fn is_unix_stream(fd: impl AsFd) -> bool {
    let fd = fd.as_fd();
    sockopt::socket_domain(fd).is_ok_and(|family| family == AddressFamily::UNIX)
        && sockopt::socket_type(fd).is_ok_and(|kind| kind == SocketType::STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_a_descriptor_cross() {
        let (parent, worker) = pair().unwrap();
        assert!(is_unix_stream(&worker));
        let passenger = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(send_with_fd(&parent, &[IoSlice::new(b"hello")], passenger.as_fd()).unwrap(), 5);
        let mut buffer = [0; 3];
        let (count, fd) = recv_with_fd(&worker, &mut buffer).unwrap();
        assert_eq!((count, &buffer, fd.is_some()), (3, b"hel", true));
        let (count, fd) = recv_with_fd(&worker, &mut buffer).unwrap();
        assert_eq!((count, fd.is_none()), (2, true));
    }

    #[test]
    fn two_descriptors_cross_in_order() {
        let (parent, worker) = pair().unwrap();
        let (null, zero) = (std::fs::File::open("/dev/null").unwrap(), std::fs::File::open("/dev/zero").unwrap());
        send_with_fds(&parent, &[IoSlice::new(b"x")], &[null.as_fd(), zero.as_fd()]).unwrap();
        let (count, fds) = recv_with_fds(&worker, &mut [0; 3]).unwrap();
        let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_rdev;
        assert_eq!(count, 1);
        assert_eq!(
            fds.iter().map(|fd| device(fd.as_fd())).collect::<Vec<_>>(),
            [device(null.as_fd()), device(zero.as_fd())]
        );
        send_with_fds(&parent, &[IoSlice::new(b"x")], &[null.as_fd(), zero.as_fd()]).unwrap();
        assert_eq!(recv_with_fd(&worker, &mut [0; 3]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_would_be_received_can_be_told_beforehand() {
        let (parent, worker) = pair().unwrap();
        assert_eq!(peek(&parent), Input::Nothing);
        send(&worker, &[IoSlice::new(b"x")]).unwrap();
        assert_eq!((peek(&parent), peek(&parent)), (Input::Bytes, Input::Bytes));
        drop(worker);
        assert_eq!(recv_into(&parent, &mut Target::Buffer(&mut BytesMut::new())).unwrap(), 1);
        assert_eq!(peek(&parent), Input::End);
    }

    #[test]
    fn a_probe_sends_nothing_and_finds_what_is_no_connection() {
        let (ours, theirs) = pair().unwrap();
        probe(&theirs).unwrap();
        assert_eq!(peek(&ours), Input::Nothing);
        assert!(probe(std::fs::File::open("/dev/null").unwrap()).is_err());
        drop(ours);
        assert!(probe(&theirs).is_err());
    }

    #[test]
    fn a_descriptor_needs_a_byte() {
        let (parent, _worker) = pair().unwrap();
        let error = send_with_fd(&parent, &[IoSlice::new(b"")], parent.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_parents_end_never_blocks_and_a_closed_end_is_an_error_not_a_signal() {
        let (parent, worker) = pair().unwrap();
        let mut buffer = BytesMut::new();
        assert_eq!(recv_into(&parent, &mut Target::Buffer(&mut buffer)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let block = vec![7; 1 << 20];
        let full = loop {
            if let Err(error) = send(&parent, &[IoSlice::new(&block)]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(worker);
        let broken = send(&parent, &[IoSlice::new(b"x")]).unwrap_err();
        assert!(matches!(broken.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn big_messages_cross_whole_while_the_other_side_reads() {
        let (parent, worker) = pair().unwrap();
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            send_all(&worker, &mut [IoSlice::new(b""), IoSlice::new(&copy[..10]), IoSlice::new(&copy[10..])]).unwrap();
        });
        let mut got = BytesMut::new();
        loop {
            match recv_into(&parent, &mut Target::Buffer(&mut got)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    wait_for(parent.as_fd(), PollFlags::IN).unwrap();
                }
            }
        }
        writer.join().unwrap();
        assert!(got == sent);
    }

    #[test]
    fn the_maker_of_a_pair_is_known() {
        let (parent, _worker) = pair().unwrap();
        let cred = peer_cred(&parent).unwrap();
        assert_eq!((cred.pid, cred.uid), (std::process::id(), rustix::process::geteuid().as_raw()));
        assert!(!is_unix_stream(std::fs::File::open("/dev/null").unwrap()));
    }
}
