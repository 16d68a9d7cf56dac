//! How the arguments of `call!` travel: owned ones as they are, lent ones as owned copies that are lent again over there.

use crate::task::Ship;
use crate::task::codec::{self, CodecError};

/// What `call!` can lend to a function: `&self` travels as its owned form.
#[diagnostic::on_unimplemented(
    message = "`&{Self}` cannot be lent to another process: `{Self}` must be `Clone`, `Serialize` and `Deserialize`",
    label = "an argument of `call!` that starts with `&` is copied, and lent to the function over there",
    note = "for a variable that is a reference itself, `s: &str`, write `&*s`"
)]
pub trait Lendable: ToOwned<Owned: Ship> + 'static {}

#[diagnostic::do_not_recommend]
impl<T: ?Sized + ToOwned<Owned: Ship> + 'static> Lendable for T {}

/// An owned copy of a lent argument, on its way.
#[derive(Debug)]
pub struct Lent<T: ?Sized + Lendable>(T::Owned);

impl<T: ?Sized + Lendable> Lent<T> {
    /// Lends it, in the worker.
    #[must_use]
    pub fn get(&self) -> &T {
        std::borrow::Borrow::borrow(&self.0)
    }
}

/// An owned argument, unchanged. Its bound makes a compiler error point at the argument.
pub fn argument<T: Ship>(value: T) -> T {
    value
}

/// A lent argument.
pub fn lend<T: ?Sized + Lendable>(value: &T) -> Lent<T> {
    Lent(value.to_owned())
}

/// What the function returned, unchanged. Its bound makes a compiler error point at the call.
pub fn result<R: Ship>(value: R) -> R {
    value
}

/// `&self`, where `self` may be a reference already: then what it points to is lent, since a reference cannot travel.
#[derive(Debug)]
pub struct Borrowed<T>(pub T);

/// Lends `T` from `&&T`; found before [`Lend`], which needs one reference more for its receiver.
pub trait LendThrough<T: ?Sized> {
    /// Copies what is lent.
    fn procpool_lend(self) -> Lent<T>
    where
        T: Lendable;
}

impl<T: ?Sized> LendThrough<T> for Borrowed<&&T> {
    fn procpool_lend(self) -> Lent<T>
    where
        T: Lendable,
    {
        lend(*self.0)
    }
}

/// Lends `T` from `&T`.
pub trait Lend<T: ?Sized> {
    /// Copies what is lent.
    fn procpool_lend(self) -> Lent<T>
    where
        T: Lendable;
}

impl<T: ?Sized> Lend<T> for &Borrowed<&T> {
    fn procpool_lend(self) -> Lent<T>
    where
        T: Lendable,
    {
        lend(self.0)
    }
}

/// One argument of `call!`.
pub trait Argument: Send + Sized + 'static {
    /// Appends it to `out`.
    #[doc(hidden)]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Takes it from the front of `bytes`.
    #[doc(hidden)]
    fn decode(bytes: &mut &[u8]) -> Result<Self, CodecError>;
}

#[diagnostic::do_not_recommend]
impl<T: Ship> Argument for T {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode(self, out)
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        codec::decode_prefix(bytes)
    }
}

#[diagnostic::do_not_recommend]
impl<T: ?Sized + Lendable> Argument for Lent<T> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode(&self.0, out)
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        codec::decode_prefix(bytes).map(Self)
    }
}

/// The arguments of `call!` that travel: a tuple of up to twelve.
pub trait CallArguments: Send + Sized + 'static {
    /// Appends all of them to `out`, one by one, so that each has the codec's short cut for bytes.
    #[doc(hidden)]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Reads them back; all bytes must be used.
    #[doc(hidden)]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError>;
}

macro_rules! tuples {
    ($(($($name:ident $value:ident),*);)*) => {
        $(
            #[diagnostic::do_not_recommend]
            impl<$($name: Argument),*> CallArguments for ($($name,)*) {
                fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
                    let ($($value,)*) = self;
                    $($value.encode(out)?;)*
                    let _ = out;
                    Ok(())
                }

                fn decode(mut bytes: &[u8]) -> Result<Self, CodecError> {
                    $(let $value = Argument::decode(&mut bytes)?;)*
                    // Nothing may be left: a unit takes no bytes.
                    codec::decode::<()>(std::mem::take(&mut bytes))?;
                    Ok(($($value,)*))
                }
            }
        )*
    };
}

tuples! {
    ();
    (A a);
    (A a, B b);
    (A a, B b, C c);
    (A a, B b, C c, D d);
    (A a, B b, C c, D d, E e);
    (A a, B b, C c, D d, E e, F f);
    (A a, B b, C c, D d, E e, F f, G g);
    (A a, B b, C c, D d, E e, F f, G g, H h);
    (A a, B b, C c, D d, E e, F f, G g, H h, I i);
    (A a, B b, C c, D d, E e, F f, G g, H h, I i, J j);
    (A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k);
    (A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l);
}
