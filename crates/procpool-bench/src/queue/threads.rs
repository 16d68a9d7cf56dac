//! The ceiling: `async-channel` between threads of this process. Nothing is encoded or copied; messages are moved.

use std::thread;

use super::line::Line;
use super::message::{Message, NUMBER};
use super::part::{CAPACITY, Shape, consume, produce};
use crate::Error;

pub(crate) fn run(shape: Shape) -> Result<f64, Error> {
    if shape.size == NUMBER { run_with::<u64>(shape) } else { run_with::<Vec<u8>>(shape) }
}

fn run_with<M: Message>(shape: Shape) -> Result<f64, Error> {
    let line = Line::draw()?;
    let (sender, receiver) = async_channel::bounded::<M>(CAPACITY);
    let mut threads = Vec::new();
    for producer in 0..shape.producers {
        let (part, sender) = (shape.producer(&line, producer), sender.clone());
        threads.push(thread::spawn(move || produce(&part, move |message| sender.send_blocking(message))));
    }
    for _ in 0..shape.consumers {
        let (part, receiver) = (shape.consumer(&line), receiver.clone());
        // Its only error is the end.
        threads.push(thread::spawn(move || consume(&part, || Ok::<_, String>(receiver.recv_blocking().ok()))));
    }
    drop((sender, receiver));
    let rate = line.race(shape);
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_go_through() {
        for (size, producers, consumers) in [(NUMBER, 1, 1), (1024, 4, 1), (1024, 1, 4)] {
            assert!(run(Shape { size, producers, consumers, each: 100 }).unwrap() > 0.0);
        }
    }
}
