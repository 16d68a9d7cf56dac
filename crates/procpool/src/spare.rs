//! Pieces of memory that are used again.
//!
//! Fresh memory costs more than what is copied into it: the kernel clears each page, and on a virtual machine the host may
//! have to find it first. So the memory of something big that has left is kept for a moment, for something of about the
//! same length that arrives: a call that gives bytes and gets bytes then needs none, neither here nor in the worker. What
//! nobody has used for [`HOLD`] goes back to the system, by a thread that is there only as long as something is kept.
//!
//! How much is kept, and how much is lent to what is still arriving, is bounded for the whole process: somebody who
//! announces values that never arrive can hold that much of it, and no more.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::sync::lock;
use crate::sys::signals::SignalMask;

/// For so long a piece is kept that nobody uses.
const HOLD: Duration = Duration::from_secs(1);

/// So many pieces are kept at the most.
const PIECES: usize = 64;

/// The stack of the thread that lets go, which calls next to nothing.
const STACK: usize = 64 * 1024;

/// Of values that travel apart. Smaller ones are left to the allocator, which keeps their memory by itself.
pub(crate) static VALUES: Spare = Spare::new(1 << 20, 256 << 20);

/// Of messages of queues, which come and go so fast, in threads of their own, that the allocator gives their memory back
/// and gets it again all the time.
pub(crate) static MESSAGES: Spare = Spare::new(32 << 10, 8 << 20);

/// Memory of one kind that is kept.
#[derive(Debug)]
pub(crate) struct Spare {
    shelf: Mutex<Shelf>,
    /// The least bytes that a piece has.
    least: usize,
}

/// What is kept. Decides, and knows no clock.
#[derive(Debug)]
struct Shelf {
    /// With when each was left, the latest last.
    pieces: Vec<(Vec<u8>, Instant)>,
    kept: usize,
    lent: usize,
    /// The most bytes that are kept and lent.
    most: usize,
    /// Whether the thread is there that lets go.
    is_watched: bool,
}

/// Memory that was kept and is being filled: counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Lent {
    of: &'static Spare,
    len: usize,
}

impl Drop for Lent {
    fn drop(&mut self) {
        lock(&self.of.shelf).lent -= self.len;
    }
}

/// Bytes whose memory is kept once nobody has them any more.
struct Owner {
    memory: Vec<u8>,
    of: &'static Spare,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.of.keep(std::mem::take(&mut self.memory));
    }
}

impl Spare {
    const fn new(least: usize, most: usize) -> Spare {
        Spare { shelf: Mutex::new(Shelf::new(most)), least }
    }

    /// Empty memory with room for so many bytes, and not for many more.
    pub(crate) fn take(&'static self, len: usize) -> Option<(Vec<u8>, Lent)> {
        if len < self.least {
            return None;
        }
        let memory = lock(&self.shelf).take(len)?;
        let lent = Lent { of: self, len: memory.capacity() };
        Some((memory, lent))
    }

    /// The same bytes, whose memory is kept once nobody has them any more.
    pub(crate) fn keep_behind(&'static self, memory: Vec<u8>) -> Bytes {
        match memory.capacity() < self.least {
            true => Bytes::from(memory),
            false => Bytes::from_owner(Owner { memory, of: self }),
        }
    }

    fn keep(&'static self, memory: Vec<u8>) {
        let surplus = {
            let mut shelf = lock(&self.shelf);
            let mut surplus = shelf.put(memory, Instant::now());
            if !shelf.is_watched && !shelf.pieces.is_empty() {
                shelf.is_watched = self.watch();
                if !shelf.is_watched {
                    // Nobody would ever let go of it.
                    surplus.append(&mut shelf.clear());
                }
            }
            surplus
        };
        // Without the lock: to give memory back takes long.
        drop(surplus);
    }

    /// Starts the thread that lets go of what nobody uses. `false`: there can be none.
    fn watch(&'static self) -> bool {
        // A process's signals are for its own threads.
        let Ok(_blocked) = SignalMask::block_all() else { return false };
        let thread = thread::Builder::new().name("procpool-spare".to_owned()).stack_size(STACK);
        thread.spawn(|| self.let_go()).is_ok()
    }

    fn let_go(&self) {
        loop {
            let now = Instant::now();
            let (old, next) = {
                let mut shelf = lock(&self.shelf);
                let old = shelf.let_go(now);
                let next = shelf.next();
                shelf.is_watched = next.is_some();
                (old, next)
            };
            drop(old);
            let Some(next) = next else { return };
            thread::park_timeout(next.saturating_duration_since(now));
        }
    }
}

impl Shelf {
    const fn new(most: usize) -> Shelf {
        Shelf { pieces: Vec::new(), kept: 0, lent: 0, most, is_watched: false }
    }

    /// Keeps a piece, and gives back those that are too much with it: the oldest, or itself.
    fn put(&mut self, mut memory: Vec<u8>, now: Instant) -> Vec<Vec<u8>> {
        memory.clear();
        let len = memory.capacity();
        let room = self.most.saturating_sub(self.lent);
        if len > room {
            return vec![memory];
        }
        let mut surplus = Vec::new();
        while self.kept + len > room || self.pieces.len() == PIECES {
            surplus.push(self.remove(0));
        }
        self.kept += len;
        self.pieces.push((memory, now));
        surplus
    }

    /// The piece that fits best: with a quarter more room than is needed at the most. Of several the latest, so that those
    /// that are not needed grow old.
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |capacity: usize| (len..=len.saturating_add(len / 4)).contains(&capacity);
        let capacities = self.pieces.iter().map(|(memory, _)| memory.capacity()).enumerate();
        let (best, capacity) = capacities.filter(|(_, capacity)| fits(*capacity)).rev().min_by_key(|(_, len)| *len)?;
        self.lent += capacity;
        Some(self.remove(best))
    }

    fn remove(&mut self, at: usize) -> Vec<u8> {
        let (memory, _) = self.pieces.remove(at);
        self.kept -= memory.capacity();
        memory
    }

    /// Gives what has been kept for long enough.
    fn let_go(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let old = self.pieces.iter().take_while(|(_, since)| *since + HOLD <= now).count();
        (0..old).map(|_| self.remove(0)).collect()
    }

    /// When to let go next.
    fn next(&self) -> Option<Instant> {
        self.pieces.first().map(|(_, since)| *since + HOLD)
    }

    fn clear(&mut self) -> Vec<Vec<u8>> {
        self.kept = 0;
        self.pieces.drain(..).map(|(memory, _)| memory).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: usize = 1 << 20;
    const MOST: usize = 256 * MIN;

    fn memory(len: usize) -> Vec<u8> {
        Vec::with_capacity(len)
    }

    #[test]
    fn what_fits_best_is_used_again() {
        let mut shelf = Shelf::new(MOST);
        let now = Instant::now();
        for len in [5 * MIN, 4 * MIN, 6 * MIN, 4 * MIN] {
            assert!(shelf.put(memory(len), now).is_empty());
        }
        let last = shelf.pieces[3].0.as_ptr();
        assert!(shelf.take(7 * MIN).is_none() && shelf.take(3 * MIN).is_none());
        let first = shelf.take(4 * MIN - 1).unwrap();
        assert_eq!(first.as_ptr(), last);
        assert_eq!(shelf.take(4 * MIN).unwrap().capacity(), 4 * MIN);
        assert_eq!(shelf.take(4 * MIN).unwrap().capacity(), 5 * MIN);
        assert!(shelf.take(4 * MIN).is_none());
        assert_eq!((shelf.kept, shelf.lent), (6 * MIN, 13 * MIN));
        assert!(shelf.take(5 * MIN).unwrap().is_empty());
    }

    #[test]
    fn what_nobody_uses_goes() {
        let mut shelf = Shelf::new(MOST);
        let start = Instant::now();
        let half = start + HOLD / 2;
        shelf.put(memory(MIN), start);
        shelf.put(memory(2 * MIN), half);
        assert!(shelf.let_go(half).is_empty());
        assert_eq!(shelf.next(), Some(start + HOLD));
        assert_eq!(shelf.let_go(start + HOLD).len(), 1);
        assert_eq!((shelf.kept, shelf.next()), (2 * MIN, Some(half + HOLD)));
        assert_eq!(shelf.let_go(half + HOLD).len(), 1);
        assert_eq!((shelf.kept, shelf.next()), (0, None));
    }

    #[test]
    fn no_more_is_kept_and_lent_than_is_allowed() {
        let mut shelf = Shelf::new(MOST);
        let now = Instant::now();
        assert_eq!(shelf.put(memory(MOST + 1), now).len(), 1, "itself");
        assert!(shelf.put(memory(MOST / 2), now).is_empty());
        assert!(shelf.put(memory(MOST / 2), now).is_empty());
        assert_eq!(shelf.put(memory(MOST / 4), now).len(), 1, "the oldest");
        let lent = shelf.take(MOST / 2).unwrap();
        assert_eq!((shelf.kept, shelf.lent), (MOST / 4, MOST / 2));
        assert!(shelf.put(memory(MOST / 4), now).is_empty());
        assert_eq!(shelf.put(lent, now).len(), 2, "it is new here, and the old ones have no room beside what is lent");
        assert_eq!((shelf.kept, shelf.lent), (MOST / 2, MOST / 2));
        let mut shelf = Shelf::new(MOST);
        let surplus = (0..=PIECES).map(|_| shelf.put(memory(MIN), now).len());
        assert_eq!(surplus.sum::<usize>(), 1);
    }

    #[test]
    fn the_memory_of_bytes_is_used_again_once_nobody_has_them() {
        // A length of this test's own: the shelf is everybody's.
        const LEN: usize = 3 * MIN + 12_345;
        let bytes = VALUES.keep_behind(vec![7; LEN]);
        let (start, copy) = (bytes.as_ptr(), bytes.slice(5..));
        drop(bytes);
        assert!(VALUES.take(LEN).is_none());
        assert!(copy.iter().all(|byte| *byte == 7));
        drop(copy);
        // Unless this thread was not let run for so long that it has been let go of.
        if let Some((memory, lent)) = VALUES.take(LEN) {
            assert_eq!((memory.as_ptr(), memory.len(), lent.len), (start, 0, memory.capacity()));
        }
        assert!(VALUES.keep_behind(vec![7; MIN - 1]).try_into_mut().is_ok(), "it is nothing special");
    }
}
