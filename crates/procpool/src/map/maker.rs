//! How an item becomes a call.

use crate::task::Parts;

/// A plain function where that is enough: a boxed one would ask `'static` of the items.
pub(super) enum Maker<A, R> {
    Plain(fn(A) -> Parts<R>),
    Boxed(Box<dyn FnMut(A) -> Parts<R> + Send>),
}

impl<A, R> Maker<A, R> {
    pub(super) fn make(&mut self, item: A) -> Parts<R> {
        match self {
            Maker::Plain(make) => make(item),
            Maker::Boxed(make) => make(item),
        }
    }
}
