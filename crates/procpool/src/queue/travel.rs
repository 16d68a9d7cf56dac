//! Where handles may travel: in what this crate encodes for another process, and decodes from one.
//!
//! Whoever encodes notes which handles are named ([`collecting`]), and keeps them until what it encoded has arrived or is
//! given up, so that a queue does not lose its last sender half-way. Elsewhere (a file, a user's own serializer) nobody
//! would keep them, so there they cannot be encoded; and nothing but what came from another process is decoded to one.

use std::cell::{Cell, RefCell};

use crate::queue::client::Side;

thread_local! {
    /// The handles that are named in what this thread encodes; `None` where what is encoded goes elsewhere.
    static NAMED: RefCell<Option<Vec<Side>>> = const { RefCell::new(None) };
    /// Something that another process sent is being decoded.
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Puts back what was there before, also when a user's code panics.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Encodes something that goes to another process, and gives the handles that it names.
pub(crate) fn collecting<R>(encode: impl FnOnce() -> R) -> (R, Vec<Side>) {
    let mut former = NAMED.replace(Some(Vec::new()));
    let _restore = Restore(move || drop(NAMED.replace(former.take())));
    let result = encode();
    (result, NAMED.take().unwrap_or_default())
}

/// Notes that a handle is named. False where nobody would keep it.
pub(crate) fn name(side: &Side) -> bool {
    NAMED.with_borrow_mut(|named| named.as_mut().map(|named| named.push(side.clone())).is_some())
}

/// Decodes something that another process sent.
pub(crate) fn opening<R>(decode: impl FnOnce() -> R) -> R {
    let former = OPEN.replace(true);
    let _restore = Restore(move || OPEN.set(former));
    decode()
}

/// Whether handles may be decoded here.
pub(crate) fn is_open() -> bool {
    OPEN.get()
}
