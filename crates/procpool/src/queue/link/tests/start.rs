//! How links begin and end.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::os::fd::AsFd;

use super::{
    Drained, Hub, Incoming, LinkError, Mode, Transport, Waited, Written, each_mode, link, open, socketpair, write,
};
use crate::queue::wire::{Header, Kind, ToHub};
use crate::sys::memory::SharedWords;
use crate::sys::socket::{send, send_with_fd};

each_mode!(whoever_is_cut_off_notices_everywhere, what_a_dead_client_wrote_counts);

fn kinds(hub: &mut Hub) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let _ = hub.read(&mut |incoming: Incoming| {
        kinds.push(incoming.header.kind);
        ControlFlow::Continue(())
    });
    kinds
}

fn whoever_is_cut_off_notices_everywhere(mode: Mode) {
    let (client, mut hub) = link(mode);
    write(&client, &Header::whole(Kind::Look, 1, 0), &[]);
    assert!(matches!(hub.end.write(&Header::whole(Kind::Freed, 1, 0), &[]), Written::Whole));
    let noted = client.set_waits();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(client.wait(noted, None), Waited::Roused));
        hub.end.set_gone();
    });
    assert!(client.board().is_gone());
    assert_eq!(client.write(&Header::whole(Kind::Look, 1, 0), &[]), Written::Gone);
    let mut freed = 0;
    let drained = client.read(&mut |_: Incoming| {
        freed += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((drained.unwrap(), freed), (Drained::Ended, 1));
    // What was written before still counts.
    assert_eq!(kinds(&mut hub), [Kind::Look]);
}

fn what_a_dead_client_wrote_counts(mode: Mode) {
    let (client, mut hub) = link(mode);
    write(&client, &Header::whole(Kind::Look, 1, 0), &[]);
    write(&client, &Header::whole(Kind::Ack, 1, 0), &[]);
    drop(client);
    assert_eq!(kinds(&mut hub), [Kind::Look, Kind::Ack]);
    let ended = if mode == Mode::Private { Drained::All } else { Drained::Ended };
    assert_eq!(hub.end.read_socket(&mut |_: Incoming| ControlFlow::Continue(())).unwrap(), ended);
}

#[test]
fn a_process_is_introduced_before_it_is_buried() {
    for mode in [Mode::Ring, Mode::Socket] {
        let (client, mut hub) = link(mode);
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(client.introduce(5, null.as_fd()), Written::Whole);
        let (header, body) = ToHub::Buried { number: 5 }.encode().unwrap();
        assert_eq!(client.write(&header, &[&body]), Written::Whole);
        client.ring_bell();
        let mut got = Vec::new();
        // The ring only, as if nobody had looked at the socket yet.
        let drained = hub.end.read(&mut |incoming: Incoming| {
            got.push((ToHub::decode(&incoming.header, incoming.body).unwrap(), incoming.passenger.is_some()));
            ControlFlow::Continue(())
        });
        assert_eq!(drained.unwrap(), Drained::All);
        assert_eq!(got, [(ToHub::Introduce { number: 5 }, true), (ToHub::Buried { number: 5 }, false)]);
    }
    let (client, _hub) = link(Mode::Private);
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(client.introduce(5, null.as_fd()), Written::Gone);
}

#[test]
fn a_hub_that_refuses_or_sends_something_else_is_an_error() {
    let refused = |answer: &dyn Fn(std::os::fd::OwnedFd)| {
        let (ours, theirs) = socketpair().unwrap();
        answer(ours);
        open(theirs).unwrap_err()
    };
    assert!(matches!(refused(&drop), LinkError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe));
    let held = std::cell::Cell::new(None);
    let sent = |header: Header, fd: Option<std::os::fd::OwnedFd>| {
        refused(&|ours| {
            let record = header.encode(0);
            let slices = [IoSlice::new(&record)];
            let count = match &fd {
                Some(fd) => send_with_fd(&ours, &slices, fd.as_fd()),
                None => send(&ours, &slices),
            };
            assert_eq!(count.unwrap(), 16);
            held.set(Some(ours));
        })
    };
    let welcome = |number| Header::whole(Kind::Welcome, 0, number);
    let memory = || Some(SharedWords::create(Transport::Ring.words()).unwrap().1);
    assert!(matches!(sent(welcome(0), None), LinkError::Wire(_)));
    assert!(matches!(sent(welcome(2), memory()), LinkError::Wire(_)));
    assert!(matches!(sent(Header::whole(Kind::Freed, 0, 0), memory()), LinkError::Wire(_)));
    assert!(matches!(sent(welcome(1), memory()), LinkError::Io(error) if error.to_string().contains("another size")));
}
