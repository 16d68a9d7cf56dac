//! How the arguments of `call!` travel: owned ones as they are, lent ones as owned copies that are lent again over there.
#![expect(clippy::too_many_arguments, reason = "one constructor for each number of arguments, up to twelve")]

use std::borrow::Borrow;
use std::marker::PhantomData;

use crate::task::codec::{self, CodecError};
use crate::task::{Call, Ship};

/// What `call!` can lend to a function: `&self` travels as its owned form.
#[diagnostic::on_unimplemented(
    message = "`&{Self}` cannot be lent to another process: `{Self}` must be `Clone`, `Serialize` and `Deserialize`",
    label = "an argument of `call!` that starts with `&` is copied, and lent to the function over there",
    note = "for a variable that is a reference itself, `s: &str`, write `&*s`"
)]
pub trait Lendable: ToOwned<Owned: Ship> + 'static {}

#[diagnostic::do_not_recommend]
impl<T: ?Sized + ToOwned<Owned: Ship> + 'static> Lendable for T {}

/// An owned copy of a lent argument, on its way. `O` is the owned form of `T`.
#[derive(Debug)]
pub struct Lent<T: ?Sized, O> {
    owned: O,
    lent: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized, O: Borrow<T>> Lent<T, O> {
    /// Lends it, in the worker.
    #[must_use]
    pub fn get(&self) -> &T {
        self.owned.borrow()
    }
}

/// Copies what is lent.
pub fn lend<T: ?Sized + Lendable>(value: &T) -> Lent<T, T::Owned> {
    Lent { owned: value.to_owned(), lent: PhantomData }
}

/// Fails to compile for a type that cannot travel, at the place of the type.
pub fn travels<T: Ship>() {}

/// `&self`, where `self` may be a reference already: then what it points to is lent, since a reference cannot travel.
#[derive(Debug)]
pub struct Borrowed<T>(pub T);

/// Lends `T` from `&&T`; found before [`Lend`], which needs one reference more for its receiver.
pub trait LendThrough<T: ?Sized> {
    /// Copies what is lent.
    fn procpool_lend(self) -> Lent<T, T::Owned>
    where
        T: Lendable;
}

impl<T: ?Sized> LendThrough<T> for Borrowed<&&T> {
    fn procpool_lend(self) -> Lent<T, T::Owned>
    where
        T: Lendable,
    {
        lend(*self.0)
    }
}

/// Lends `T` from `&T`.
pub trait Lend<T: ?Sized> {
    /// Copies what is lent.
    fn procpool_lend(self) -> Lent<T, T::Owned>
    where
        T: Lendable;
}

impl<T: ?Sized> Lend<T> for &Borrowed<&T> {
    fn procpool_lend(self) -> Lent<T, T::Owned>
    where
        T: Lendable,
    {
        lend(self.0)
    }
}

/// One argument of `call!`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process: derive `Serialize` and `Deserialize`",
    label = "cannot travel to another process",
    note = "arguments must be owned, `Send`, and implement serde's `Serialize` and `Deserialize`",
    note = "for a variable that is a reference itself, `s: &str`, write `&*s`: it is copied, and lent over there"
)]
pub trait Argument: Send + Sized + 'static {
    /// Appends it to `out`.
    #[doc(hidden)]
    fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Takes it from the front of `bytes`.
    #[doc(hidden)]
    fn decode(bytes: &mut &[u8]) -> Result<Self, CodecError>;
}

#[diagnostic::do_not_recommend]
impl<T: Ship> Argument for T {
    fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode_owned(self, out)
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        codec::decode_received_prefix(bytes)
    }
}

#[diagnostic::do_not_recommend]
impl<T: ?Sized + 'static, O: Ship + Borrow<T>> Argument for Lent<T, O> {
    fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode_owned(self.owned, out)
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        let owned = codec::decode_received_prefix(bytes)?;
        Ok(Self { owned, lent: PhantomData })
    }
}

/// The arguments of `call!` that travel: a tuple of up to twelve.
pub(crate) trait CallArguments: Send + Sized + 'static {
    /// Appends all of them to `out`, one by one, so that each has the codec's short cut for bytes.
    #[doc(hidden)]
    fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Reads them back; all bytes must be used.
    #[doc(hidden)]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError>;
}

/// `Self` and `T` are the same type.
pub trait Is<T>: Sized {
    /// The function, seen as one of `Self`.
    #[doc(hidden)]
    fn takes<R>(code: fn(T) -> R) -> fn(Self) -> R;
}

impl<T> Is<T> for T {
    fn takes<R>(code: fn(T) -> R) -> fn(T) -> R {
        code
    }
}

macro_rules! tuple {
    ($call:ident $(, $name:ident $value:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<$($name: Argument),*> CallArguments for ($($name,)*) {
            fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError> {
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

        /// What `call!` expands to. Only a closure that captures nothing becomes a function pointer, so the arguments are
        /// all that travels. There is one for each number of arguments, and `T` is their tuple in a detour, so that the
        /// compiler's errors point at an argument.
        #[track_caller]
        pub fn $call<$($name: Argument,)* T, R: Ship>(path: &'static str, $($value: $name,)* code: fn(T) -> R) -> Call<R>
        where
            ($($name,)*): Is<T>,
        {
            Call::new(($($value,)*), <($($name,)*) as Is<T>>::takes(code), path)
        }
    };
}

tuple!(call_0);
tuple!(call_1, A a);
tuple!(call_2, A a, B b);
tuple!(call_3, A a, B b, C c);
tuple!(call_4, A a, B b, C c, D d);
tuple!(call_5, A a, B b, C c, D d, E e);
tuple!(call_6, A a, B b, C c, D d, E e, F f);
tuple!(call_7, A a, B b, C c, D d, E e, F f, G g);
tuple!(call_8, A a, B b, C c, D d, E e, F f, G g, H h);
tuple!(call_9, A a, B b, C c, D d, E e, F f, G g, H h, I i);
tuple!(call_10, A a, B b, C c, D d, E e, F f, G g, H h, I i, J j);
tuple!(call_11, A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k);
tuple!(call_12, A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l);
