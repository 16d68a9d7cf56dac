//! The peer in Rust: `ipc-channel`. It has many senders and one receiver. Each end is in a process of its own, which is
//! this program again and gets its end over a channel of the same library.
//!
//! Vectors of bytes are encoded one by one there, as by anything that uses serde without `serde_bytes`. So its own
//! channel for bytes, which copies them as they are, is measured as well.

use std::process::{Child, Command, Stdio};

use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};

use super::line::Line;
use super::message::{Message, NUMBER};
use super::part::{Part, Shape, consume, produce};
use crate::Error;

/// The argument that makes this program a participant; the name of the channel over which it learns its part follows.
pub(crate) const HELPER: &str = "--participant-of-ipc-channel";

/// What a participant gets.
#[derive(Serialize, Deserialize)]
struct Assignment {
    part: Part,
    end: End,
}

#[derive(Serialize, Deserialize)]
enum End {
    SendNumbers(IpcSender<u64>),
    SendVectors(IpcSender<Vec<u8>>),
    SendBytes(IpcBytesSender),
    ReceiveNumbers(IpcReceiver<u64>),
    ReceiveVectors(IpcReceiver<Vec<u8>>),
    ReceiveBytes(IpcBytesReceiver),
}

/// Messages of the same types as procpool's.
pub(crate) fn run(shape: Shape) -> Result<f64, Error> {
    if shape.size == NUMBER {
        let (sender, receiver) = ipc::channel()?;
        run_with(shape, || End::SendNumbers(sender.clone()), End::ReceiveNumbers(receiver))
    } else {
        let (sender, receiver) = ipc::channel()?;
        run_with(shape, || End::SendVectors(sender.clone()), End::ReceiveVectors(receiver))
    }
}

/// Messages over its channel for bytes.
pub(crate) fn run_bytes(shape: Shape) -> Result<f64, Error> {
    let (sender, receiver) = ipc::bytes_channel()?;
    run_with(shape, || End::SendBytes(sender.clone()), End::ReceiveBytes(receiver))
}

fn run_with(shape: Shape, sender: impl Fn() -> End, receiver: End) -> Result<f64, Error> {
    let line = Line::draw()?;
    let mut helpers = vec![Helper::start(Assignment { part: shape.consumer(&line), end: receiver })?];
    for producer in 0..shape.producers {
        helpers.push(Helper::start(Assignment { part: shape.producer(&line, producer), end: sender() })?);
    }
    let rate = line.race(shape)?;
    for helper in helpers {
        helper.join()?;
    }
    Ok(rate)
}

/// A participant's process; killed if it is not joined.
struct Helper(Child);

impl Helper {
    fn start(assignment: Assignment) -> Result<Self, Error> {
        let (server, name) = IpcOneShotServer::<IpcSender<Assignment>>::new()?;
        let child = Command::new("/proc/self/exe").args([HELPER, &name]).stdin(Stdio::null()).spawn()?;
        let helper = Helper(child);
        let (_, assignments) = server.accept()?;
        assignments.send(assignment)?;
        Ok(helper)
    }

    fn join(mut self) -> Result<(), Error> {
        let status = self.0.wait()?;
        status.success().then_some(()).ok_or_else(|| format!("ipc-channel's participant: {status}").into())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended and been waited for; then neither does anything.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The participant: learns its part and plays it.
pub(crate) fn help(server: String) -> Result<(), Error> {
    let (sender, assignments) = ipc::channel::<Assignment>()?;
    IpcSender::connect(server)?.send(sender)?;
    let Assignment { part, end } = assignments.recv()?;
    Ok(match end {
        End::SendNumbers(sender) => produce(&part, move |message: u64| sender.send(message)),
        End::SendVectors(sender) => produce(&part, move |message: Vec<u8>| sender.send(message)),
        End::SendBytes(sender) => produce(&part, move |message: Vec<u8>| sender.send(&message)),
        End::ReceiveNumbers(receiver) => receive(&part, || receiver.recv()),
        End::ReceiveVectors(receiver) => receive(&part, || receiver.recv()),
        End::ReceiveBytes(receiver) => receive(&part, || receiver.recv()),
    }?)
}

/// The one receiver knows how many messages come: it need not wait for the end.
fn receive<M: Message>(part: &Part, recv: impl Fn() -> Result<M, IpcError>) -> Result<(), String> {
    let mut left = part.count;
    consume(part, || {
        if left == 0 {
            return Ok(None);
        }
        left -= 1;
        recv().map(Some)
    })
}
