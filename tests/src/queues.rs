//! Who sends and receives in tests of queues.

use procpool::queue::{Receiver, RecvError, Sender};
use procpool::{Pool, QueueCall, Ship};

use crate::leaks::until;

/// Who sent it, and which of his messages it is.
pub type Item = (u32, u32);

/// Sends so many items.
pub fn produce(sender: Sender<Item>, producer: u32, count: u32) {
    for number in 0..count {
        sender.send_blocking((producer, number)).expect("somebody receives");
    }
}

/// Receives until the end.
#[must_use]
pub fn consume(receiver: Receiver<Item>) -> Vec<Item> {
    receiver.iter().map(|item| item.expect("an item")).collect()
}

/// The items that [`produce`] sends.
pub fn items(producer: u32, count: u32) -> impl Iterator<Item = Item> {
    (0..count).map(move |number| (producer, number))
}

/// All that is received until the end, which is to be that everybody who could send is gone.
pub async fn rest<T: Ship>(receiver: &Receiver<T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        match receiver.recv().await {
            Ok(item) => all.push(item),
            Err(RecvError::Disconnected) => return all,
            Err(error) => panic!("another end: {error}"),
        }
    }
}

/// Waits until so many workers of a pool wait in this call.
pub fn until_in(pool: &Pool, call: QueueCall, count: usize) {
    until("workers wait at a queue", || {
        pool.snapshot().workers.iter().filter(|worker| worker.queue_call == Some(call)).count() == count
    });
}
