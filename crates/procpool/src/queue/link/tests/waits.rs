//! Nobody sleeps through what he waits for.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Instant;

use super::{FOR_EVER, Incoming, Mode, Waited, Written, each_mode, link};
use crate::queue::wire::{Header, Kind};

each_mode!(nobody_misses_a_wake_up);

const THREADS: u64 = 3;

/// The hub changes something, and each of several threads has to see it and say so before it goes on: one lost wake-up,
/// this way or that, and everything stands still.
fn nobody_misses_a_wake_up(mode: Mode) {
    let rounds = 3_000;
    let (client, mut hub) = link(mode);
    let round = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for expected in 1..=rounds {
                    let deadline = Some(Instant::now() + FOR_EVER);
                    while round.load(Relaxed) < expected {
                        let noted = client.set_waits();
                        if round.load(Relaxed) >= expected {
                            break;
                        }
                        assert_eq!(client.wait(noted, deadline), Waited::Roused);
                    }
                    assert_eq!(client.write(&Header::whole(Kind::Look, 0, 0), &[]), Written::Whole);
                    client.ring_bell();
                }
            });
        }
        for next in 1..=rounds {
            round.store(next, Relaxed);
            hub.end.rouse();
            let mut told = 0;
            while told < THREADS {
                hub.sleep();
                let _ = hub.read(&mut |_: Incoming| {
                    told += 1;
                    ControlFlow::Continue(())
                });
            }
        }
    });
}

/// The mark of one thread that waits is taken away by an event while another one comes: the next event wakes both.
#[test]
fn events_that_come_while_somebody_begins_to_wait_end_that_wait() {
    let (client, hub) = link(Mode::Private);
    let (count, rouser) = (AtomicU64::new(0), hub.end.rouser());
    const EVENTS: u64 = 30_000;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let deadline = Some(Instant::now() + FOR_EVER);
                loop {
                    let noted = client.set_waits();
                    let seen = count.load(Relaxed);
                    if seen == 2 * EVENTS {
                        break;
                    }
                    assert_eq!(client.wait(noted, deadline), Waited::Roused);
                    assert!(count.load(SeqCst) >= seen);
                }
            });
        }
        // The hub, and a thread of the client itself.
        scope.spawn(|| {
            for _ in 0..EVENTS {
                count.fetch_add(1, Relaxed);
                client.rouse();
            }
        });
        for _ in 0..EVENTS {
            count.fetch_add(1, Relaxed);
            rouser.rouse();
        }
    });
}
