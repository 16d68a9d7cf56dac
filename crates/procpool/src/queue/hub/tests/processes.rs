//! The way from real workers to the hub: keepers, clients, pools in pools.

use bytes::Bytes;

use super::puppet::until;
use crate::queue::client::{Encoded, Receiving, Sending, Side, Taking, client};
use crate::queue::hub::hub;
use crate::queue::key::{Capability, Key, QueueId, Role, Shape};
use crate::{Pool, call};

/// A capability of these tests, as plain numbers.
type Given = (u64, bool, u64, u64);

fn give(side: &Side) -> Given {
    let Capability { queue, role, key, .. } = side.capability();
    (queue.0, role == Role::Sender, key.0 as u64, (key.0 >> 64) as u64)
}

fn shape() -> Shape {
    Shape { capacity: 4, bytes: None, max_message: 1 << 20 }
}

fn attach((queue, is_sender, low, high): Given) -> Side {
    let role = if is_sender { Role::Sender } else { Role::Receiver };
    let key = Key(u128::from(low) | u128::from(high) << 64);
    client().unwrap().attach(&Capability { queue: QueueId(queue), role, key, shape: shape() }).unwrap()
}

fn send(side: &Side, text: &str) {
    let message = Encoded { body: Bytes::copy_from_slice(text.as_bytes()), handles: Vec::new() };
    assert!(Sending::new(side, message).wait(None).unwrap());
}

fn recv(side: &Side) -> String {
    let received = Receiving::new(side, Taking::Done).wait(None).unwrap().unwrap();
    String::from_utf8(received.body.to_vec()).unwrap()
}

fn pool() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

fn inside<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Says so many times where it is, so many pools further down.
fn talk(depth: u32, sender: Given, count: u32) {
    if depth > 0 {
        return inside(async { pool().run(call!(talk(depth - 1, sender, count))).await.unwrap() });
    }
    let side = attach(sender);
    for number in 0..count {
        send(&side, &format!("{number} at {}", crate::current().depth()));
    }
}

/// Says one word, and is killed.
fn die(sender: Given) {
    let side = attach(sender);
    send(&side, "last");
    crate::sys::process::kill_own_group();
}

#[test]
fn workers_find_the_hub_from_any_depth_and_leave_it_by_dying() {
    let (sender, receiver) = client().unwrap().create(shape()).unwrap();
    let given = give(&sender);
    inside(async {
        let pool = pool();
        for depth in 0..3 {
            let talk = pool.spawn(call!(talk(depth, given, 100)));
            let heard = tokio::task::spawn_blocking({
                let receiver = receiver.clone();
                move || (0..100).map(|_| recv(&receiver)).collect::<Vec<_>>()
            });
            talk.await.unwrap();
            let expected: Vec<_> = (0..100).map(|number| format!("{number} at {}", depth + 1)).collect();
            assert_eq!(heard.await.unwrap(), expected);
        }
        assert!(hub().has_thread());
        pool.run(call!(die(given))).await.unwrap_err();
        assert_eq!(recv(&receiver), "last");
        pool.shutdown().await.unwrap();
    });
    until(|| !hub().has_thread());
}
