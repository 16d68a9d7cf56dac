//! How handles travel: what is encoded names them, and whoever encodes keeps them alive.
//!
//! The bytes of a handle hold all that another process needs to use the queue. They do not hold the queue: between the
//! drop of the handle that was encoded and the decoding of the new one, somebody must. So encoding is allowed only where
//! somebody collects what was named ([`naming`]), and decoding only where procpool itself decodes ([`decoding`]).

use std::cell::Cell;
use std::sync::Arc;

use super::client::{Broken, Parcel, ParcelKey, Side, client};
pub(crate) use super::key::Key;
use crate::task::slot::{Opened, Slot, State};

thread_local! {
    static NAMES: Cell<State> = const { Cell::new(State::Closed) };
    static NAMED: Cell<Option<Vec<Side>>> = const { Cell::new(None) };
    static RESULTS: Cell<State> = const { Cell::new(State::Closed) };
    static RESULT: Cell<Option<Vec<Side>>> = const { Cell::new(None) };
    static DECODES: Cell<bool> = const { Cell::new(false) };
}

/// The handles that are named in what this thread encodes; closed where what is encoded goes elsewhere.
static NAMING: Slot<Vec<Side>> = Slot { state: &NAMES, value: &NAMED };
/// Those that the result of the task names that this thread ran last.
static OF_RESULT: Slot<Vec<Side>> = Slot { state: &RESULTS, value: &RESULT };

/// Lets handles be named in what is encoded meanwhile.
#[inline]
pub(crate) fn naming() -> Opened<Vec<Side>> {
    NAMING.open()
}

/// Keeps the handles that the result of a task names, for whoever ran it.
pub(crate) fn keep_result(handles: Vec<Side>) {
    OF_RESULT.put(handles);
}

/// The handles that the result of the task names that has just been run: somebody must keep them until it is decoded.
#[inline]
pub(crate) fn take_result() -> Option<Vec<Side>> {
    OF_RESULT.take()
}

/// Encodes something, and gives the handles that it names.
pub(crate) fn collecting<R>(encode: impl FnOnce() -> R) -> (R, Vec<Side>) {
    let (result, named) = NAMING.collect(encode);
    (result, named.unwrap_or_default())
}

/// Notes that a handle is named. False where nobody would keep it.
pub(super) fn name(side: &Side) -> bool {
    NAMING.add(|named| named.push(side.clone())).is_some()
}

/// Whether what this thread encodes goes where procpool itself decodes it.
pub(crate) fn is_collecting() -> bool {
    NAMING.state() != State::Closed
}

/// Decodes something that procpool has brought here.
#[inline]
pub(crate) fn decoding<R>(decode: impl FnOnce() -> R) -> R {
    struct Restore(bool);

    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            DECODES.set(self.0);
        }
    }

    let _restore = Restore(DECODES.replace(true));
    decode()
}

/// Whether procpool itself decodes what this thread decodes.
pub(crate) fn is_decoding() -> bool {
    DECODES.get()
}

/// What keeps the handles in a result alive until its caller has decoded it.
#[derive(Clone, Debug)]
pub(crate) enum Carried {
    /// As the worker names it: nobody has taken it over yet.
    Named(ParcelKey),
    Adopted(Arc<Parcel>),
    /// The result never left this process.
    Held(Arc<[Side]>),
}

impl Carried {
    /// Leaves handles behind for whoever receives their name.
    pub(crate) fn park(handles: &[Side]) -> Result<ParcelKey, Broken> {
        client()?.park(handles)
    }

    /// Takes over what a worker has left behind. Not to be called with a lock held.
    pub(crate) fn adopt(self) -> Carried {
        match self {
            Carried::Named(key) => match client() {
                Ok(client) => Carried::Adopted(Arc::new(client.adopt(key))),
                // Then nobody here decodes a handle, either, and says so.
                Err(_) => Carried::Named(key),
            },
            other => other,
        }
    }
}

impl PartialEq for Carried {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Carried::Named(one), Carried::Named(other)) => one == other,
            (Carried::Adopted(one), Carried::Adopted(other)) => Arc::ptr_eq(one, other),
            (Carried::Held(one), Carried::Held(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Carried {}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::queue::{self, Receiver, Sender};
    use crate::task::codec;

    fn end(receiver: &Receiver<u8>) -> bool {
        receiver.is_disconnected()
    }

    #[test]
    fn who_encodes_keeps_the_queue() {
        let (sender, receiver) = queue::bounded::<u8>(1);
        let mut bytes = Vec::new();
        let (encoded, sides) = collecting(|| codec::encode(&(sender.clone(), 5u8, Some(sender)), &mut bytes));
        encoded.unwrap();
        assert_eq!(sides.len(), 2);
        assert!(!end(&receiver));
        let (one, five, other): (Sender<u8>, u8, Option<Sender<u8>>) = codec::decode(&bytes).unwrap();
        drop(sides);
        assert!(one.same_queue(&other.unwrap()) && one.leads_to(&receiver) && five == 5);
        assert!(!end(&receiver));
        one.send_blocking(7).unwrap();
        drop(one);
        assert_eq!(receiver.recv_blocking().unwrap(), 7);
        assert!(receiver.recv_blocking().is_err());
    }

    #[test]
    fn what_is_encoded_inside_has_its_own() {
        let ((one, _one), (other, _other)) = (queue::bounded::<u8>(1), queue::bounded::<u8>(1));
        let mut bytes = Vec::new();
        let (inner, outer) = collecting(|| {
            let (first, sides) = collecting(|| codec::encode(&one, &mut bytes));
            first.and(codec::encode(&vec![other.clone(), other], &mut bytes)).unwrap();
            sides
        });
        assert_eq!((inner.len(), outer.len()), (1, 2));
    }

    #[test]
    fn a_panic_keeps_nothing() {
        let (sender, receiver) = queue::bounded::<u8>(1);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            collecting(|| {
                codec::encode(&sender, &mut Vec::new()).unwrap();
                drop(sender);
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        }));
        assert!(panic.is_err());
        assert!(receiver.recv_blocking().is_err(), "nobody can send");
        let (other, _receiver) = queue::bounded::<u8>(1);
        assert!(codec::encode(&other, &mut Vec::new()).is_err(), "nobody collects any more");
    }

    #[test]
    fn nothing_is_encoded_for_elsewhere_and_nothing_decoded_from_there() {
        let (sender, _receiver) = queue::bounded::<u8>(1);
        let wrong = |error: &dyn std::fmt::Display| assert!(error.to_string().contains("nowhere else"), "{error}");
        wrong(&codec::encode(&sender, &mut Vec::new()).unwrap_err());
        // What a stranger has got hold of, and a task decodes.
        let (stolen, _sides) = collecting(|| postcard::to_stdvec(&sender).unwrap());
        assert!(postcard::from_bytes::<Sender<u8>>(&stolen).is_err());
        assert!(decoding(|| postcard::from_bytes::<Sender<u8>>(&stolen)).is_ok());
        assert!(postcard::from_bytes::<Sender<u8>>(&stolen).is_err());
        // That serializer tells nobody's words.
        assert!(postcard::to_stdvec(&sender).is_err());
    }
}
