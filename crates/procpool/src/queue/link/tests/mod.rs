//! Links, all kinds of them under the same tests.

mod boards;
mod claims;
mod hostile;
mod pipes;
mod socket;
mod start;
mod waits;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::queue::wire::Header;
use crate::sys::memory::SharedWords;
use crate::sys::poll::{Poller, Token, Waker};
use crate::sys::socket::pair as socketpair;

use super::board::Memory;
use super::*;

/// What links there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The root's own.
    Private,
    Ring,
    Socket,
}

/// Makes one test of each kind of link out of functions that take a [`Mode`].
macro_rules! each_mode {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use super::Mode;

            #[test]
            fn private() {
                super::$name(Mode::Private);
            }

            #[test]
            fn ring() {
                super::$name(Mode::Ring);
            }

            #[test]
            fn socket() {
                super::$name(Mode::Socket);
            }
        }
    )*};
}
use each_mode;

/// Nothing here takes so long, so whoever has waited so long has been forgotten.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A hub of one link, which sleeps as the real one does.
struct Hub {
    end: HubEnd,
    poller: Poller,
    bell: Arc<Waker>,
}

/// Both ends of a new link.
fn link(mode: Mode) -> (ClientEnd, Hub) {
    let (poller, bell) = (Poller::new().unwrap(), Arc::new(Waker::new().unwrap()));
    let (client, end) = match mode {
        Mode::Private => {
            let ring = Arc::clone(&bell);
            private(Box::new(move || ring.wake())).unwrap()
        }
        Mode::Ring => away(Transport::Ring),
        Mode::Socket => away(Transport::Socket),
    };
    match end.socket() {
        Some(socket) => poller.add(socket, Token(1)).unwrap(),
        None => poller.add(&*bell, Token(1)).unwrap(),
    }
    (client, Hub { end, poller, bell })
}

fn away(transport: Transport) -> (ClientEnd, HubEnd) {
    let (ours, theirs) = socketpair().unwrap();
    let client = std::thread::spawn(|| open(theirs).unwrap());
    let hub = welcome(ours, transport).unwrap();
    (client.join().unwrap(), hub)
}

impl Hub {
    /// Reads everything that is there, and rouses whoever waits for room.
    fn read(&mut self, intake: &mut impl Intake) -> Drained {
        self.bell.drain();
        let mut drained = self.end.read_socket(intake).unwrap();
        while let Drained::All | Drained::More = self.end.read(intake).unwrap() {
            if !self.end.has_input() {
                break;
            }
            drained = Drained::More;
        }
        if self.end.room_is_wanted() {
            self.end.rouse();
        }
        drained
    }

    /// Sleeps until there is something to read, or room that was asked for.
    fn sleep(&mut self) {
        self.end.set_hub_waits();
        if self.end.has_input() {
            return;
        }
        let (mut ready, start) = (Vec::new(), Instant::now());
        while ready.is_empty() {
            assert!(start.elapsed() < FOR_EVER, "nobody rang");
            self.poller.wait(&mut ready, Some(FOR_EVER)).unwrap();
        }
    }

    /// Reads until `done`.
    fn read_until(&mut self, mut take: impl FnMut(Incoming), mut done: impl FnMut() -> bool) {
        while !done() {
            let _ = self.read(&mut |incoming| {
                take(incoming);
                ControlFlow::Continue(())
            });
            if !done() {
                self.sleep();
            }
        }
    }

    /// Writes as the hub does, but waits for room; what comes meanwhile must be bells only.
    fn write(&mut self, header: &Header, parts: &[&[u8]]) {
        loop {
            match self.end.write(header, parts) {
                Written::Whole => return,
                Written::Gone => panic!("the client is gone"),
                Written::Full => {}
            }
            self.end.want_room();
            if self.end.write(header, parts) == Written::Whole {
                return;
            }
            self.end.rouse();
            self.sleep();
            let _ = self.read(&mut |incoming: Incoming| panic!("{incoming:?}"));
        }
    }
}

/// Writes as a client does, and waits for room.
fn write(client: &ClientEnd, header: &Header, parts: &[&[u8]]) {
    let deadline = Some(Instant::now() + FOR_EVER);
    loop {
        for prepared in [false, true] {
            let noted = client.set_waits();
            if prepared {
                client.want_room();
            }
            match client.write(header, parts) {
                Written::Whole => return client.ring_bell(),
                Written::Gone => panic!("the hub is gone"),
                Written::Full => {}
            }
            if prepared {
                client.ring_bell();
                assert_eq!(client.wait(noted, deadline), Waited::Roused, "nobody made room");
            }
        }
    }
}

/// Reads as a client does, and waits, until `done`.
fn read_until(client: &ClientEnd, mut take: impl FnMut(Incoming), mut done: impl FnMut() -> bool) {
    let deadline = Some(Instant::now() + FOR_EVER);
    while !done() {
        let noted = client.set_waits();
        let drained = client.read(&mut |incoming| {
            take(incoming);
            ControlFlow::Continue(())
        });
        client.made_room();
        if drained.unwrap() == Drained::All && !done() {
            assert_eq!(client.wait(noted, deadline), Waited::Roused, "nobody roused");
        }
    }
}

/// The memory of a link within this process.
fn memory() -> Memory {
    Memory::new(SharedWords::private(Transport::Ring.words()).unwrap())
}

/// Bytes that tell where they belong.
fn bytes(count: usize, seed: u32) -> Vec<u8> {
    (0..count as u32).map(|n| (n.wrapping_add(seed).wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
}
