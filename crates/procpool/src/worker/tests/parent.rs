//! A hand-written parent of one worker.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;

use crate::backend::scheduler::OfferId;
use crate::entry;
use crate::limits::Limits;
use crate::sys::poll::{Poller, Token};
use crate::sys::process::{self, Child, EnvChanges, ExitFacts, Stream, WorkerCommand};
use crate::sys::socket;
use crate::sys::socket::Target;
use crate::task::apart::{self, Apart};
use crate::task::{Parts, Ship, codec, map_parts};
use crate::wire::frame::{Assembler, Fragments, Kind, Message};
use crate::wire::message::{
    Carrier, EncodedJob, ExeIdentity, Hello, INIT_STEP, MESSAGE_OVERHEAD, PROTOCOL, ReplyBody, Setup, SignalPolicy,
    task_head,
};
use crate::wire::page::ParentPage;

/// No worker takes this long for anything: a test that waits longer has found a deadlock.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const MAX_MESSAGE: u64 = 8 << 20;

pub(super) struct Parent {
    pub(super) socket: Option<OwnedFd>,
    /// The parent's end of the way to the queues.
    pub(super) queues: OwnedFd,
    pub(super) page: ParentPage,
    pub(super) child: Child,
    buffer: BytesMut,
    assembler: Assembler,
    offers: u64,
}

/// What the tests change about a start.
#[derive(Default)]
pub(super) struct Options {
    pub(super) init: Option<EncodedJob>,
    pub(super) exit: Option<EncodedJob>,
    pub(super) signals: SignalPolicy,
    pub(super) env: EnvChanges,
    pub(super) cwd: Option<std::path::PathBuf>,
    pub(super) stderr: Stream,
    /// Pretend to be another executable.
    pub(super) other_exe: bool,
}

pub(super) fn job<A: Ship, R: Ship>(function: fn(A) -> R, item: A) -> EncodedJob {
    let Parts { entry, arguments, .. } = map_parts(function, item);
    let mut encoded = Vec::new();
    arguments.encode(&mut encoded).unwrap();
    EncodedJob { entry: entry.to_wire().unwrap().to_bytes().to_vec(), name: "test".to_owned(), arguments: encoded }
}

impl Parent {
    /// Starts a worker and sends its set-up.
    pub(super) fn start(options: Options) -> Parent {
        let (socket, theirs) = socket::pair().unwrap();
        let Options { init, exit, signals, env, cwd, stderr, other_exe } = options;
        let arg0 = entry::marker("worker-3");
        let child = process::spawn(WorkerCommand {
            socket: theirs,
            program: None,
            arg0,
            env,
            cwd,
            stdout: Stream::Inherit,
            stderr,
        })
        .unwrap();
        let (page, fd) = ParentPage::create().unwrap();
        let (queues, their_queues) = socket::pair().unwrap();
        let mut exe = ExeIdentity::of_this_process().unwrap();
        exe.ino ^= u64::from(other_exe);
        let setup = Setup {
            protocol: PROTOCOL,
            name: "worker-3".to_owned(),
            slot: 3,
            generation: 2,
            depth: 1,
            max_message: MAX_MESSAGE,
            init,
            exit,
            core_dumps: false,
            limits: Limits::default(),
            sandbox: None,
            last_step: INIT_STEP,
            signals,
            exe: Some(exe),
            carrier: Carrier::Socket,
            spin_us: 0,
        };
        let body = setup.encode().unwrap();
        let (prefix, range) = Fragments::new(Kind::Setup, 0, body.len(), 0).next().unwrap();
        let slices = [IoSlice::new(&prefix), IoSlice::new(&body[range])];
        let passengers = [fd.as_fd(), their_queues.as_fd()];
        assert_eq!(socket::send_with_fds(&socket, &slices, &passengers).unwrap(), prefix.len() + body.len());
        let assembler = Assembler::new(MAX_MESSAGE + MESSAGE_OVERHEAD, Kind::FROM_WORKER);
        Parent { socket: Some(socket), queues, page, child, buffer: BytesMut::new(), assembler, offers: 0 }
    }

    /// The same, until the worker is ready.
    pub(super) fn ready(options: Options) -> Parent {
        let mut parent = Parent::start(options);
        let hello = parent.receive();
        assert_eq!(hello.kind, Kind::Hello);
        let hello = Hello::decode(&hello.body).unwrap();
        assert_eq!((hello.pid, hello.exe), (parent.child.pid(), ExeIdentity::of_this_process().unwrap()));
        let ready = parent.receive();
        assert_eq!((ready.kind, ready.id, &ready.body[..1]), (Kind::InitDone, 0, &[ReplyBody::VALUE_TAG][..]));
        parent
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        self.socket.as_ref().unwrap()
    }

    pub(super) fn receive(&mut self) -> Message {
        self.try_receive().expect("a message before the end")
    }

    /// The next message, or `None` at the end of the stream.
    pub(super) fn try_receive(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.assembler.push(&mut self.buffer).unwrap() {
                return Some(message);
            }
            wait(self.socket.as_ref().unwrap().as_fd());
            match socket::recv_into(self.socket.as_ref().unwrap(), &mut Target::Buffer(&mut self.buffer)) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Offers a task, without sending it.
    pub(super) fn offer(&mut self) -> OfferId {
        self.offers += 1;
        let offer = OfferId(self.offers);
        self.page.offer(offer);
        offer
    }

    pub(super) fn send(&self, kind: Kind, id: u64, body: &[u8]) {
        self.send_with(kind, id, body, &[]);
    }

    fn send_with(&self, kind: Kind, id: u64, body: &[u8], apart: &[u8]) {
        let all = [body, apart].concat();
        for (prefix, range) in Fragments::new(kind, id, all.len(), apart.len()) {
            socket::send_all(self.socket(), &mut [IoSlice::new(&prefix), IoSlice::new(&all[range])]).unwrap();
        }
    }

    /// Sends what was offered.
    pub(super) fn send_task<A: Ship, R: Ship>(&self, offer: OfferId, function: fn(A) -> R, item: A) {
        let parts = map_parts(function, item);
        let mut body = task_head(&parts.entry.to_wire().unwrap().into(), 1, offer.0 + 1000, "test");
        let apart = apart::leaving();
        parts.arguments.encode(&mut body).unwrap();
        self.send_with(Kind::Task, offer.0, &body, &apart.take().map(Apart::into_vec).unwrap_or_default());
    }

    /// Offers and sends.
    pub(super) fn submit<A: Ship, R: Ship>(&mut self, function: fn(A) -> R, item: A) -> OfferId {
        let offer = self.offer();
        self.send_task(offer, function, item);
        offer
    }

    pub(super) fn reply(&mut self, offer: OfferId) -> ReplyBody {
        let message = self.receive();
        assert_eq!((message.kind, message.id), (Kind::Reply, offer.0));
        ReplyBody::decode_with(message.body, message.apart).unwrap()
    }

    pub(super) fn call<A: Ship, R: Ship>(&mut self, function: fn(A) -> R, item: A) -> ReplyBody {
        let offer = self.submit(function, item);
        self.reply(offer)
    }

    pub(super) fn value<A: Ship, R: Ship>(&mut self, function: fn(A) -> R, item: A) -> R {
        match self.call(function, item) {
            ReplyBody::Value(value) => decode(&value),
            ReplyBody::Apart { value, apart } => apart::coming(apart, || codec::decode_received(&value)).0.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the worker's end, and collects it.
    pub(super) fn end(&mut self) -> ExitFacts {
        wait(self.child.pidfd().unwrap());
        self.child.reap().unwrap()
    }

    /// Runs something deadly.
    pub(super) fn die_of<A: Ship, R: Ship>(&mut self, function: fn(A) -> R, item: A) -> (OfferId, ExitFacts) {
        let offer = self.submit(function, item);
        assert_eq!(self.try_receive(), None);
        (offer, self.end())
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = self.child.kill_group();
        let _ = self.child.reap();
    }
}

pub(super) fn decode<R: DeserializeOwned + 'static>(value: &Bytes) -> R {
    codec::decode(value).unwrap()
}

/// Waits until the descriptor can be read.
pub(super) fn wait(fd: BorrowedFd<'_>) {
    let poller = Poller::new().unwrap();
    poller.add(fd, Token(1)).unwrap();
    let mut ready = Vec::new();
    let begun = std::time::Instant::now();
    while ready.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing happened for {PATIENCE:?}");
        poller.wait(&mut ready, Some(Duration::from_secs(1))).unwrap();
    }
}
