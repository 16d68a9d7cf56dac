//! Encoded values that a worker is sent once, however many tasks name them.
//!
//! Only the key of a blob is in a task's arguments. Whoever encodes those notes which blobs they name
//! ([`collecting`]), and the task keeps these alive until it is over. A worker that is given a task is sent the blobs
//! that it does not have yet; when the last task and the last handle of a blob are gone, it is told to forget it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::queue::client::Side;
use crate::queue::travel;
use crate::sync::lock;
use crate::task::codec::CodecError;
use crate::task::slot::{Opened, Slot, State};

/// An encoded value with a key that is never used twice in this process.
pub(crate) struct Blob {
    key: u64,
    bytes: Bytes,
    /// The blobs that are named in this one.
    needs: Vec<Arc<Blob>>,
    /// The handles of queues that are named in it, alive for as long.
    #[expect(dead_code, reason = "its drop is its use")]
    handles: Vec<Side>,
    holders: Mutex<Vec<Weak<dyn Holder>>>,
}

/// Who has been sent blobs.
pub(crate) trait Holder: Send + Sync {
    /// Nobody will name this blob any more. Called wherever its last owner goes, also where a panic unwinds.
    fn forget(&self, key: u64);
}

impl Blob {
    /// Encodes with `encode`, and notes what that names.
    pub(crate) fn encoded(
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<Arc<Blob>, CodecError> {
        let mut bytes = Vec::new();
        let (needs, handles) = (naming(), travel::naming());
        encode(&mut bytes)?;
        Ok(Arc::new(Blob::of(bytes.into(), needs.blobs(), handles.take().unwrap_or_default())))
    }

    /// One that holds nothing.
    pub(crate) fn empty() -> Arc<Blob> {
        Arc::new(Blob::of(Bytes::new(), Vec::new(), Vec::new()))
    }

    fn of(bytes: Bytes, needs: Vec<Arc<Blob>>, handles: Vec<Side>) -> Blob {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Blob { key: NEXT.fetch_add(1, Ordering::Relaxed), bytes, needs, handles, holders: Mutex::default() }
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        for holder in self.holders.get_mut().unwrap_or_else(PoisonError::into_inner) {
            if let Some(holder) = holder.upgrade() {
                holder.forget(self.key);
            }
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("key", &self.key).field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// The blobs that one worker has.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashSet<u64>>);

impl Known {
    /// Whether a blob is new to the worker, which is known to have it from now on. `holder` will be told to forget it.
    pub(crate) fn learn(&self, blob: &Blob, holder: impl FnOnce() -> Weak<dyn Holder>) -> bool {
        let new = lock(&self.0).insert(blob.key);
        if new {
            let mut holders = lock(&blob.holders);
            // Workers come and go while a value stays.
            holders.retain(|holder| holder.strong_count() > 0);
            holders.push(holder());
        }
        new
    }

    /// Whether the worker had it.
    pub(crate) fn unlearn(&self, key: u64) -> bool {
        lock(&self.0).remove(&key)
    }
}

thread_local! {
    static NAMES: Cell<State> = const { Cell::new(State::Closed) };
    static NAMED: Cell<Option<Names>> = const { Cell::new(None) };
}

/// The blobs that are named in what this thread encodes.
static NAMING: Slot<Names> = Slot { state: &NAMES, value: &NAMED };

/// Blobs in the order in which they are to be sent, each once. There may be thousands of them, in each of thousands of
/// tasks, so none is looked for among the others.
#[derive(Default)]
pub(crate) struct Names {
    blobs: Vec<Arc<Blob>>,
    /// Made when there are [`MANY`].
    keys: Option<HashSet<u64>>,
}

/// Up to so many it is faster to look through them.
const MANY: usize = 8;

impl Names {
    fn add(&mut self, blob: &Arc<Blob>) {
        let is_new = if self.blobs.len() < MANY {
            self.blobs.iter().all(|known| known.key != blob.key)
        } else {
            let keys = self.keys.get_or_insert_with(|| self.blobs.iter().map(|known| known.key).collect());
            keys.insert(blob.key)
        };
        if is_new {
            self.blobs.push(Arc::clone(blob));
        }
    }
}

/// Lets blobs be named in what is encoded meanwhile: it goes to workers.
#[inline]
pub(crate) fn naming() -> Opened<Names> {
    NAMING.open()
}

impl Opened<Names> {
    /// Those that were, each after those that it needs.
    pub(crate) fn blobs(&self) -> Vec<Arc<Blob>> {
        self.take().map(|names| names.blobs).unwrap_or_default()
    }
}

/// Notes that a blob is named. False where nobody would send it along.
pub(super) fn name(blob: &Arc<Blob>) -> bool {
    let named = NAMING.add(|named| {
        for needed in blob.needs.iter().chain([blob]) {
            named.add(needed);
        }
    });
    named.is_some()
}
