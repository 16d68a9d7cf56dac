//! `ipc-channel`, which is transport only: workers that are this program again, and calls made by hand, as one would
//! write them on it.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};

use super::tasks::{echo, empty, micros, millis_since, payload};
use crate::Error;
use crate::helpers::Work;

/// The argument that makes this program a worker; the name of the channel to its parent follows.
pub(crate) const WORKER: &str = "--worker-of-ipc-channel";

#[derive(Serialize, Deserialize)]
enum Message {
    Empty,
    Bytes(Vec<u8>),
}

#[derive(Default)]
pub(crate) struct IpcChannel {
    worker: Option<Worker>,
}

impl IpcChannel {
    pub(crate) fn play(&mut self, work: Work) -> Result<Vec<f64>, Error> {
        match work {
            Work::Latency { calls } => {
                let worker = self.worker()?;
                micros(calls, || worker.call(Message::Empty).map(drop))
            }
            Work::Echo { bytes, calls } => self.worker()?.echoes(bytes, calls),
            Work::Start { .. } => {
                let start = Instant::now();
                let workers = [Worker::start()?, Worker::start()?];
                workers[0].call(Message::Empty)?;
                Ok(vec![millis_since(start)])
            }
            work => Err(format!("nobody has written {work:?} on it").into()),
        }
    }

    fn worker(&mut self) -> Result<&Worker, Error> {
        if self.worker.is_none() {
            self.worker = Some(Worker::start()?);
        }
        Ok(self.worker.as_ref().ok_or("no worker")?)
    }
}

struct Worker {
    process: Child,
    calls: IpcSender<Message>,
    results: IpcReceiver<Message>,
}

impl Worker {
    fn start() -> Result<Self, Error> {
        let (server, name) = IpcOneShotServer::new()?;
        let process = Command::new("/proc/self/exe").args([WORKER, &name]).stdin(Stdio::null()).spawn()?;
        let (_, (calls, results)) = server.accept()?;
        Ok(Worker { process, calls, results })
    }

    fn call(&self, message: Message) -> Result<Message, Error> {
        self.calls.send(message)?;
        Ok(self.results.recv()?)
    }

    fn echoes(&self, bytes: usize, calls: usize) -> Result<Vec<f64>, Error> {
        let mut data = payload(bytes);
        let mut latencies = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            let Message::Bytes(back) = self.call(Message::Bytes(data))? else { return Err("another answer".into()) };
            latencies.push(millis_since(start));
            data = back;
        }
        (data == payload(bytes)).then_some(latencies).ok_or_else(|| "an echo that differs".into())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already; then neither does anything.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The worker: answers calls until there is nobody who could make one.
pub(crate) fn work(server: String) -> Result<(), Error> {
    let (calls_to_us, calls) = ipc::channel()?;
    let (results, results_from_us) = ipc::channel()?;
    IpcSender::connect(server)?.send((calls_to_us, results_from_us))?;
    while let Ok(message) = calls.recv() {
        let result = match message {
            Message::Empty => {
                empty();
                Message::Empty
            }
            Message::Bytes(bytes) => Message::Bytes(echo(bytes)),
        };
        results.send(result)?;
    }
    Ok(())
}
