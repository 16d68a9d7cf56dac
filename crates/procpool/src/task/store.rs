//! The attachments that a worker was sent, and the values that they became.
//!
//! A value is decoded when the first task that names it has its arguments decoded, and then stays until its attachment is
//! forgotten. All this is a matter of the thread that runs the tasks, so that workers that are threads share nothing.

use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde::de::Error;

use crate::panics;
use crate::task::attachment::Content;
use crate::task::codec::CodecError;

/// Up to this size attachments are copied out of the buffer that they were read into, which would stay as long as they do.
const SMALL: usize = 16 * 1024;

enum Entry {
    /// As it has come.
    Content(Content),
    Decoded(Box<dyn Any>),
    /// It has not come, and why.
    Lost(String),
}

thread_local! {
    static STORE: RefCell<HashMap<u64, Entry>> = RefCell::default();
    /// Arguments are being decoded. Anything else that is decoded on this thread (the result of a task that this task
    /// gave to a pool of its own, from a worker that may be hostile) has no business here.
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Keeps an attachment that has arrived.
pub(crate) fn put(key: u64, content: Content) {
    let content = match content {
        Content::Bytes(bytes) if bytes.len() <= SMALL => Content::Bytes(Bytes::copy_from_slice(&bytes)),
        content => content,
    };
    insert(key, Entry::Content(content));
}

/// Notes that an attachment cannot be had, which is told to those who name it.
pub(crate) fn lose(key: u64, why: String) {
    insert(key, Entry::Lost(why));
}

fn insert(key: u64, entry: Entry) {
    let former = STORE.with_borrow_mut(|store| store.insert(key, entry));
    drop_quietly(former);
}

/// Lets go of an attachment and of its value, which lives on where a task has kept it.
pub(crate) fn forget(key: u64) {
    let former = STORE.with_borrow_mut(|store| store.remove(&key));
    drop_quietly(former);
}

/// Lets go of everything.
pub(crate) fn clear() {
    for (_, entry) in STORE.take() {
        drop_quietly(Some(entry));
    }
}

/// Their `Drop` is foreign code, and runs here in between tasks: its panic is printed, and no more.
fn drop_quietly(entry: Option<Entry>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(entry))) {
        panics::discard(panic);
    }
}

/// Says whether arguments are being decoded from now on.
pub(super) fn open(open: bool) {
    OPEN.set(open);
}

/// The value of an attachment: decoded by the first call, cloned by each.
pub(super) fn get<V: Clone + 'static>(
    key: u64,
    decode: impl FnOnce(&Content) -> Result<V, CodecError>,
) -> Result<V, CodecError> {
    let content = STORE.with_borrow(|store| match store.get(&key).filter(|_| OPEN.get()) {
        None => Err(CodecError::custom("it is named where there is none: it travels by name in arguments only")),
        Some(Entry::Content(content)) => Ok(Err(content.clone())),
        Some(Entry::Decoded(value)) => match value.downcast_ref::<V>() {
            Some(value) => Ok(Ok(value.clone())),
            None => Err(CodecError::custom(format!("it is none of the type `{}`", type_name::<V>()))),
        },
        Some(Entry::Lost(why)) => Err(CodecError::custom(why)),
    });
    match content? {
        Ok(value) => Ok(value),
        Err(content) => {
            // Foreign code, which may get other values meanwhile.
            let value = decode(&content)?;
            STORE.with_borrow_mut(|store| store.insert(key, Entry::Decoded(Box::new(value.clone()))));
            Ok(value)
        }
    }
}
