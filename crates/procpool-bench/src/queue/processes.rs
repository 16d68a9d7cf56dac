//! procpool's own queue. The broker is in this process; each participant is a [`Process`].

use procpool::queue::{self, Receiver, RecvError, Sender};
use procpool::{Process, call};
use tokio::runtime::Runtime;

use super::line::Line;
use super::message::{Message, NUMBER};
use super::part::{CAPACITY, Part, Shape, consume, produce};
use crate::Error;

pub(crate) fn run(runtime: &Runtime, shape: Shape) -> Result<f64, Error> {
    if shape.size == NUMBER { run_with::<u64>(runtime, shape) } else { run_with::<Vec<u8>>(runtime, shape) }
}

fn run_with<M: Message>(runtime: &Runtime, shape: Shape) -> Result<f64, Error> {
    let line = Line::draw()?;
    let (sender, receiver) = queue::bounded::<M>(CAPACITY);
    let mut processes = Vec::new();
    for producer in 0..shape.producers {
        let part = shape.producer(&line, producer);
        processes.push(Process::spawn(call!(send_all::<M>(sender.clone(), part)))?);
    }
    for _ in 0..shape.consumers {
        let part = shape.consumer(&line);
        processes.push(Process::spawn(call!(receive_all::<M>(receiver.clone(), part)))?);
    }
    // What the participants hold is all there is: the last producer's end is the queue's.
    drop((sender, receiver));
    let rate = line.race(shape);
    if rate.is_err() {
        processes.iter().for_each(Process::kill);
    }
    for process in processes {
        match runtime.block_on(process.join()) {
            // A participant that was killed here is not why.
            Err(error) if error.is_cancelled() && rate.is_err() => {}
            ended => ended??,
        }
    }
    rate
}

fn send_all<M: Message>(sender: Sender<M>, part: Part) -> Result<(), String> {
    produce(&part, move |message| sender.send_blocking(message))
}

fn receive_all<M: Message>(receiver: Receiver<M>, part: Part) -> Result<(), String> {
    consume(&part, || match receiver.recv_blocking() {
        Ok(message) => Ok(Some(message)),
        Err(RecvError::Disconnected) => Ok(None),
        Err(error) => Err(error),
    })
}
