//! Passing workers' output on to where this program's own goes, without waiting for whoever reads that.
//!
//! What is there is written at once, by whoever has read it from a worker, so that it is out before the caller hears of
//! the task's result. What does not fit is kept, up to a limit, and written by a thread that has nothing else to do. What
//! goes beyond the limit is dropped and counted, and the count is told where the lines would have been.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::panics;
use crate::sync::lock;
use crate::sys::poll::Waker;
use crate::sys::sink::{Printed, Sink};

/// How much is kept for a reader who is behind.
const LIMIT: usize = 256 * 1024;

/// For how long, when the pool has ended, a reader who takes nothing is waited for.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The same for one who takes little at a time.
const LAST_WAITS: Duration = Duration::from_secs(2);

/// The way to one of this program's streams. Its thread ends soon after [`end`](Self::end), or after the last handle is
/// dropped.
pub(super) struct Tee {
    shared: Arc<Shared>,
    done: watch::Receiver<()>,
}

struct Shared {
    sink: Sink,
    waker: Waker,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Lines that had no room. While it is not 0, nothing is taken before half of the room is free again, so that one
    /// note tells of many lines.
    dropped: u64,
    /// What was taken last is the beginning of a very long line.
    within_line: bool,
    /// Nobody can read it any more.
    broken: bool,
    ended: bool,
}

/// Whole lines, at most [`ATOMIC`](crate::sys::sink::ATOMIC) bytes at first.
struct Chunk {
    bytes: Vec<u8>,
    written: usize,
}

impl Tee {
    /// `None`: the program's stream is closed, or the thread cannot be started, and then there is nothing to pass on to.
    pub(super) fn start(printed: Printed) -> Option<Arc<Tee>> {
        Tee::to(Sink::own(printed)?)
    }

    fn to(sink: Sink) -> Option<Arc<Tee>> {
        let waker = Waker::new().ok()?;
        let shared = Arc::new(Shared { sink, waker, queue: Mutex::default() });
        let writer = Arc::clone(&shared);
        let (end, done) = watch::channel(());
        let thread = std::thread::Builder::new().name("procpool-tee".into()).spawn(move || {
            writer.run();
            drop(end);
        });
        if let Err(error) = thread {
            panics::by_the_way(|| tracing::warn!(target: "procpool::worker", %error, "output cannot be passed on"));
            return None;
        }
        Some(Arc::new(Tee { shared, done }))
    }

    /// Ends when the thread has: it has written what was left, or given that up. `None` where the thread may be stuck in
    /// a write, which nobody is to wait for.
    pub(super) fn done(&self) -> Option<watch::Receiver<()>> {
        (!self.shared.sink.may_block()).then(|| self.done.clone())
    }

    /// Nothing more will be passed on.
    pub(super) fn end(&self) {
        lock(&self.shared.queue).ended = true;
        self.shared.waker.wake();
    }

    /// Takes whole lines, at most [`ATOMIC`](crate::sys::sink::ATOMIC) bytes of them. Never waits.
    pub(super) fn pass_on(&self, lines: Vec<u8>) {
        let left = {
            let mut queue = lock(&self.shared.queue);
            let was_empty = queue.chunks.is_empty();
            queue.accept(lines);
            if was_empty && !self.shared.sink.may_block() {
                self.shared.write(&mut queue);
            }
            was_empty && !queue.chunks.is_empty()
        };
        if left {
            self.shared.waker.wake();
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.end();
    }
}

impl Queue {
    fn accept(&mut self, bytes: Vec<u8>) {
        if self.broken {
            return;
        }
        let room = if self.dropped == 0 { LIMIT } else { LIMIT / 2 };
        if self.bytes + bytes.len() > room {
            self.dropped += lines_in(&bytes);
            return;
        }
        self.tell_of_dropped();
        self.push(bytes);
    }

    fn tell_of_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let start = if self.within_line { "\n" } else { "" };
            let note = format!("{start}procpool: {dropped} lines of workers dropped here: nobody read them\n");
            self.push(note.into_bytes());
        }
    }

    fn push(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.within_line = bytes.last() != Some(&b'\n');
        self.chunks.push_back(Chunk { bytes, written: 0 });
    }

    /// So many bytes of the first chunk have been written.
    fn advance(&mut self, count: usize) {
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.written += count;
            if chunk.written >= chunk.bytes.len() {
                self.bytes -= chunk.bytes.len();
                self.chunks.pop_front();
            }
        }
    }

    fn give_up(&mut self) {
        *self = Queue { broken: true, ended: self.ended, ..Queue::default() };
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

impl Shared {
    /// Writes what fits, on a sink that does not block.
    fn write(&self, queue: &mut Queue) {
        while let Some(chunk) = queue.chunks.front() {
            match self.sink.write(&chunk.bytes[chunk.written..]) {
                Ok(count) => queue.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return queue.give_up(),
            }
        }
    }

    /// The same on one that may block, with the lock released meanwhile: nobody else writes.
    fn write_first(&self) {
        let Some(bytes) = lock(&self.queue).chunks.front().map(|chunk| chunk.bytes[chunk.written..].to_vec()) else {
            return;
        };
        let written = self.sink.write(&bytes);
        let mut queue = lock(&self.queue);
        match written {
            Ok(count) => queue.advance(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => queue.give_up(),
        }
    }

    /// The thread.
    fn run(&self) {
        let mut last = None;
        loop {
            // Before the look, or a wake may be lost.
            self.waker.drain();
            let (is_empty, ended) = {
                let mut queue = lock(&self.queue);
                if queue.ended || queue.chunks.is_empty() {
                    queue.tell_of_dropped();
                }
                (queue.chunks.is_empty(), queue.ended)
            };
            let waited = match (is_empty, ended) {
                (true, true) => return,
                (false, true) if last.get_or_insert_with(Instant::now).elapsed() > LAST_WAITS => return,
                (true, false) => self.waker.wait().map(|()| false),
                (false, true) => {
                    let since = Instant::now();
                    match self.sink.wait_for_room(&self.waker, Some(LAST_WAIT)) {
                        // Not where it was woken by the news of the end itself.
                        Ok(false) if since.elapsed() > LAST_WAIT / 2 => return,
                        room => room,
                    }
                }
                (false, false) => self.sink.wait_for_room(&self.waker, None),
            };
            match waited {
                Ok(true) if self.sink.may_block() => self.write_first(),
                Ok(true) => self.write(&mut lock(&self.queue)),
                Ok(false) => {}
                // Nothing can be waited for: nothing can be passed on.
                Err(_) => return lock(&self.queue).give_up(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::os::fd::OwnedFd;
    use std::sync::Weak;

    use super::*;

    /// A pipe whose writing end may block.
    fn shared() -> (PipeReader, Arc<Tee>, Weak<Shared>) {
        let (reader, writer) = std::io::pipe().unwrap();
        let tee = Tee::to(Sink::shared(OwnedFd::from(writer))).unwrap();
        let shared = Arc::downgrade(&tee.shared);
        (reader, tee, shared)
    }

    fn line(n: usize) -> String {
        format!("{n} {}\n", "x".repeat(1000))
    }

    /// The thread has ended when nobody holds what it shares.
    fn until_gone(shared: &Weak<Shared>) {
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_writes_where_a_write_may_wait_and_nobody_waits_for_it() {
        let (mut reader, tee, shared) = shared();
        for n in 0..200 {
            tee.pass_on(line(n).into_bytes());
        }
        let expected: String = (0..200).map(line).collect();
        let mut all = vec![0; expected.len()];
        reader.read_exact(&mut all).unwrap();
        assert!(all == expected.as_bytes());
        drop(tee);
        until_gone(&shared);
    }

    #[test]
    fn the_thread_ends_with_its_pool_also_when_nobody_reads() {
        let (reader, tee, shared) = shared();
        for n in 0..1000 {
            tee.pass_on(line(n).into_bytes());
        }
        assert!(lock(&tee.shared.queue).bytes <= LIMIT);
        assert!(lock(&tee.shared.queue).dropped > 0);
        drop(tee);
        until_gone(&shared);
        drop(reader);
    }

    #[test]
    fn what_nobody_can_read_any_more_is_let_go() {
        let (reader, tee, shared) = shared();
        drop(reader);
        for n in 0..1000 {
            tee.pass_on(line(n).into_bytes());
        }
        while !lock(&tee.shared.queue).broken {
            std::thread::yield_now();
        }
        tee.pass_on(line(0).into_bytes());
        assert_eq!(lock(&tee.shared.queue).bytes, 0);
        drop(tee);
        until_gone(&shared);
    }
}
