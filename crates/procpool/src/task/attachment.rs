//! What a worker is sent once, however many tasks name it: encoded values, and memory.
//!
//! Only the key of an attachment is in a task's arguments. Whoever encodes those notes which attachments they name
//! ([`naming`]), and the task keeps these alive until it is over. A worker that is given a task is sent the attachments
//! that it does not have yet; when the last task and the last handle of an attachment are gone, it is told to forget it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::queue::client::Side;
use crate::queue::travel;
use crate::sync::lock;
use crate::sys::sealed::SealedBytes;
use crate::task::codec::CodecError;
use crate::task::slot::{Opened, Slot, State};

/// Something with a key that is never used twice in this process.
pub(crate) struct Attachment {
    key: u64,
    content: Content,
    /// The attachments that are named in this one.
    needs: Vec<Arc<Attachment>>,
    /// The handles of queues that are named in it, alive for as long.
    #[expect(dead_code, reason = "its drop is its use")]
    handles: Vec<Side>,
    holders: Mutex<Vec<Weak<dyn Holder>>>,
}

/// What is sent.
#[derive(Clone)]
pub(crate) enum Content {
    /// An encoded value, or the bytes of a small [`Blob`](crate::Blob).
    Bytes(Bytes),
    /// The bytes of a big one: its memory is not sent, but a descriptor of it.
    Sealed(Arc<SealedBytes>),
}

impl Content {
    /// The bytes, for whoever takes no others. Nothing is copied.
    pub(crate) fn to_bytes(&self) -> Bytes {
        struct Owner(Arc<SealedBytes>);

        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        match self {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Sealed(sealed) => Bytes::from_owner(Owner(Arc::clone(sealed))),
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Bytes(bytes) => bytes,
            Content::Sealed(sealed) => sealed,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Who has been sent attachments.
pub(crate) trait Holder: Send + Sync {
    /// Nobody will name this attachment any more. Called wherever its last owner goes, also where a panic unwinds.
    fn forget(&self, key: u64);
}

impl Attachment {
    /// Encodes with `encode`, and notes what that names.
    pub(crate) fn encoded(
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<Arc<Attachment>, CodecError> {
        let mut bytes = Vec::new();
        let (needs, handles) = (naming(), travel::naming());
        encode(&mut bytes)?;
        Ok(Arc::new(Attachment::of(
            Content::Bytes(bytes.into()),
            needs.attachments(),
            handles.take().unwrap_or_default(),
        )))
    }

    /// One that holds nothing.
    pub(crate) fn empty() -> Arc<Attachment> {
        Attachment::plain(Content::Bytes(Bytes::new()))
    }

    /// One that names nothing else.
    pub(super) fn plain(content: Content) -> Arc<Attachment> {
        Arc::new(Attachment::of(content, Vec::new(), Vec::new()))
    }

    fn of(content: Content, needs: Vec<Arc<Attachment>>, handles: Vec<Side>) -> Attachment {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Attachment { key: NEXT.fetch_add(1, Ordering::Relaxed), content, needs, handles, holders: Mutex::default() }
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        for holder in self.holders.get_mut().unwrap_or_else(PoisonError::into_inner) {
            if let Some(holder) = holder.upgrade() {
                holder.forget(self.key);
            }
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("key", &self.key).field("len", &self.content.len()).finish_non_exhaustive()
    }
}

/// The attachments that one worker has.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashSet<u64>>);

impl Known {
    /// Whether an attachment is new to the worker, which is known to have it from now on. `holder` will be told to forget it.
    pub(crate) fn learn(&self, attachment: &Attachment, holder: impl FnOnce() -> Weak<dyn Holder>) -> bool {
        let new = lock(&self.0).insert(attachment.key);
        if new {
            let mut holders = lock(&attachment.holders);
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

/// The attachments that are named in what this thread encodes.
static NAMING: Slot<Names> = Slot { state: &NAMES, value: &NAMED };

/// Attachments in the order in which they are to be sent, each once. There may be thousands of them, in each of thousands of
/// tasks, so none is looked for among the others.
#[derive(Default)]
pub(crate) struct Names {
    attachments: Vec<Arc<Attachment>>,
    /// Made when there are [`MANY`].
    keys: Option<HashSet<u64>>,
}

/// Up to so many it is faster to look through them.
const MANY: usize = 8;

impl Names {
    fn add(&mut self, attachment: &Arc<Attachment>) {
        let is_new = if self.attachments.len() < MANY {
            self.attachments.iter().all(|known| known.key != attachment.key)
        } else {
            let keys = self.keys.get_or_insert_with(|| self.attachments.iter().map(|known| known.key).collect());
            keys.insert(attachment.key)
        };
        if is_new {
            self.attachments.push(Arc::clone(attachment));
        }
    }
}

/// Lets attachments be named in what is encoded meanwhile: it goes to workers.
#[inline]
pub(crate) fn naming() -> Opened<Names> {
    NAMING.open()
}

impl Opened<Names> {
    /// Those that were, each after those that it needs.
    pub(crate) fn attachments(&self) -> Vec<Arc<Attachment>> {
        self.take().map(|names| names.attachments).unwrap_or_default()
    }
}

/// Whether what this thread encodes goes where attachments do.
pub(super) fn can_be_named() -> bool {
    NAMING.state() != State::Closed
}

/// Notes that an attachment is named. False where nobody would send it along.
pub(super) fn name(attachment: &Arc<Attachment>) -> bool {
    let named = NAMING.add(|named| {
        for needed in attachment.needs.iter().chain([attachment]) {
            named.add(needed);
        }
    });
    named.is_some()
}
