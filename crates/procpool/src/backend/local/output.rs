//! What a worker prints, where it is captured: each line goes to tracing with the task that printed it, and on to this
//! program's own output if it is to; the last ones on stderr are kept for errors.
//!
//! Both the keeper (when a pipe is readable) and whoever handles a worker's answer read here: a task prints, flushes and
//! answers, so everything that it has printed is in the pipes when its answer has come, and is told before the answer is.
//! Tracing runs under the lock of the streams, or lines would change places; subscribers are never called under the
//! engine's lock.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use super::lines::{Lines, Piece};
use super::tee::Tee;
use crate::backend::scheduler::TaskId;
use crate::limits::tells_of_no_memory;
use crate::panics;
use crate::sync::lock;
use crate::sys::poll::{Poller, Token};
use crate::sys::sink::{ATOMIC, Printed};
use crate::sys::stdio;
use crate::task::TaskName;

/// How many lines an error shows.
const LINES: usize = 20;
/// How much is read at a time.
const READ: usize = 16 * 1024;
/// How often the keeper reads before it looks after others. A worker that prints faster waits at its full pipe.
const TURN: usize = 2;
/// How often what is there is read: more than a pipe holds (64 KiB, unless somebody makes it bigger), and no more than
/// that, since whatever holds the pipe (a grandchild, after the worker's death) may write for ever.
const DRAIN: usize = 8;

/// The captured streams of one worker.
pub(super) struct Output {
    worker: String,
    pid: u32,
    /// For lines that belong to no task.
    span: tracing::Span,
    streams: Mutex<Streams>,
    /// What the worker has in hand. Set under the engine's lock; nothing is locked meanwhile.
    task: Mutex<Option<Arc<Owner>>>,
}

/// The task that lines belong to. Not to be dropped under the engine's lock: that tells the subscriber of a span's end.
pub(super) struct Owner {
    pub(super) task: TaskId,
    pub(super) name: TaskName,
    pub(super) span: tracing::Span,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.span, tracing::Span::none());
        panics::by_the_way(|| drop(span));
    }
}

#[derive(Default)]
struct Streams {
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    /// The last lines of stderr, with the task that they belong to.
    last: VecDeque<(Option<TaskId>, String)>,
    /// The line that says that there was no memory. A backtrace may follow, which would push it out.
    reason: Option<(Option<TaskId>, String)>,
}

/// The reading end of one pipe.
struct Stream {
    pipe: OwnedFd,
    lines: Lines,
    tee: Option<Arc<Tee>>,
    ended: bool,
    polled: bool,
}

impl Output {
    pub(super) fn new(worker: String, pid: u32, span: tracing::Span) -> Self {
        Output { worker, pid, span, streams: Mutex::default(), task: Mutex::default() }
    }

    /// Listens to a pipe, which must be non-blocking, and is read when `poller` gives `token` (or before).
    pub(super) fn add(
        &self,
        printed: Printed,
        pipe: OwnedFd,
        tee: Option<Arc<Tee>>,
        poller: &Poller,
        token: Token,
    ) -> std::io::Result<()> {
        poller.add(pipe.as_fd(), token)?;
        let stream = Stream { pipe, lines: Lines::default(), tee, ended: false, polled: true };
        lock(&self.streams).stream(printed).replace(stream);
        Ok(())
    }

    /// What is printed from now on belongs to this task. Gives the owner until now, if any. Memory only.
    pub(super) fn begin(&self, owner: Owner) -> Option<Arc<Owner>> {
        lock(&self.task).replace(Arc::new(owner))
    }

    /// What is printed from now on belongs to no task. Gives the owner until now, if any. Memory only.
    pub(super) fn end(&self) -> Option<Arc<Owner>> {
        lock(&self.task).take()
    }

    /// Reads some of what one stream has; takes it out of the poller at its end.
    pub(super) fn listen(&self, printed: Printed, poller: &Poller) {
        let mut streams = lock(&self.streams);
        self.read(&mut streams, printed, TURN);
        if let Some(stream) = streams.stream(printed)
            && stream.ended
        {
            stream.forget(poller);
        }
    }

    /// The worker says that its task (or its initialiser) is over: tells everything that was printed until then.
    pub(super) fn settle(&self) {
        self.finish(&mut lock(&self.streams));
        drop(self.end());
    }

    /// The worker is dead: tells what it left, and gives the last lines on stderr of what it was doing.
    pub(super) fn last_words(&self, poller: &Poller) -> Vec<String> {
        let mut streams = lock(&self.streams);
        self.finish(&mut streams);
        for printed in [Printed::Stdout, Printed::Stderr] {
            if let Some(mut stream) = streams.stream(printed).take() {
                stream.forget(poller);
            }
        }
        let task = self.end().map(|owner| owner.task);
        let reason = streams.reason.take();
        reason.into_iter().chain(streams.last.drain(..)).filter(|(of, _)| *of == task).map(|(_, line)| line).collect()
    }

    fn finish(&self, streams: &mut Streams) {
        for printed in [Printed::Stdout, Printed::Stderr] {
            self.read(streams, printed, DRAIN);
            let Some(stream) = streams.stream(printed) else { continue };
            let mut piece = None;
            stream.lines.end(|last| piece = Some(last));
            if let Some(piece) = piece {
                self.tell(streams, printed, vec![piece]);
            }
        }
    }

    fn read(&self, streams: &mut Streams, printed: Printed, rounds: usize) {
        let mut buffer = [0; READ];
        for _ in 0..rounds {
            let Some(stream) = streams.stream(printed).as_mut().filter(|stream| !stream.ended) else { return };
            match stdio::read(&stream.pipe, &mut buffer) {
                Ok(0) => stream.ended = true,
                Ok(len) => {
                    let mut pieces = Vec::new();
                    stream.lines.push(&buffer[..len], |piece| pieces.push(piece));
                    self.tell(streams, printed, pieces);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => stream.ended = true,
            }
        }
    }

    fn tell(&self, streams: &mut Streams, printed: Printed, pieces: Vec<Piece>) {
        let owner = lock(&self.task).clone();
        let task = owner.as_ref().map(|owner| owner.task);
        let mut on_its_way = Vec::new();
        for Piece { bytes, text } in pieces {
            if let Some(tee) = streams.stream(printed).as_ref().and_then(|stream| stream.tee.as_ref()) {
                if on_its_way.len() + bytes.len() > ATOMIC {
                    tee.pass_on(std::mem::take(&mut on_its_way));
                }
                on_its_way.extend_from_slice(&bytes);
            }
            let Some(line) = text else { continue };
            self.trace(printed, owner.as_deref(), &line);
            if printed == Printed::Stderr {
                if streams.last.len() == LINES
                    && let Some(former) = streams.last.pop_front()
                    && tells_of_no_memory(&former.1)
                {
                    streams.reason = Some(former);
                }
                streams.last.push_back((task, line));
            }
        }
        if let Some(tee) = streams.stream(printed).as_ref().and_then(|stream| stream.tee.as_ref())
            && !on_its_way.is_empty()
        {
            tee.pass_on(on_its_way);
        }
    }

    fn trace(&self, printed: Printed, owner: Option<&Owner>, line: &str) {
        let (worker, pid) = (self.worker.as_str(), self.pid);
        let task = owner.map(|owner| owner.task.0);
        let name = owner.map(|owner| owner.name.as_str());
        let span = owner.map(|owner| &owner.span).filter(|span| !span.is_none()).unwrap_or(&self.span);
        panics::by_the_way(|| match printed {
            Printed::Stdout => {
                tracing::info!(target: "procpool::stdout", parent: span, worker, pid, task, name, "{line}");
            }
            Printed::Stderr => {
                tracing::info!(target: "procpool::stderr", parent: span, worker, pid, task, name, "{line}");
            }
        });
    }
}

impl Streams {
    fn stream(&mut self, printed: Printed) -> &mut Option<Stream> {
        match printed {
            Printed::Stdout => &mut self.stdout,
            Printed::Stderr => &mut self.stderr,
        }
    }
}

impl Stream {
    /// Takes it out of the poller. It is closed next, or has ended, so a failure changes nothing.
    fn forget(&mut self, poller: &Poller) {
        if std::mem::take(&mut self.polled)
            && let Err(error) = poller.remove(self.pipe.as_fd())
        {
            panics::by_the_way(|| tracing::debug!(target: "procpool::worker", %error, "descriptor was not polled"));
        }
    }
}
