//! A task's code as a `'static` value: what it is, and how to decode, run and encode it.
#![expect(unsafe_code, reason = "calls code by its address, once its identity is proven")]

use std::any::TypeId;
use std::fmt::Display;
use std::mem::{offset_of, transmute};
use std::rc::Rc;

use crate::queue::travel;
use crate::task::argument::CallArguments;
use crate::task::attachment::Content;
use crate::task::code::{Fault, Step, Steps};
use crate::task::stateful::{Made, write_made};
use crate::task::{Ship, Task, apart, codec, state, store};

/// Marks a descriptor in the image: "procpool" as bytes, and nothing a compiler would place by chance.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"procpool").rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15;

/// The version of the layout below and of what crosses the wire to name code.
pub(super) const VERSION: u32 = 1;

/// A function pointer without its type; its type is that of the descriptor it travels with.
pub(super) type Function = fn();

/// Gives the handles of queues that the result names, which are to be kept while it travels.
type Run = unsafe fn(Function, &[u8], &mut Vec<u8>, Steps<'_>) -> Result<(), Fault>;

/// What a descriptor stands for, and so what it needs to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// A `Task`: the descriptor is all.
    Task = 1,
    /// A capture-free closure over a tuple of arguments, made by `call!`.
    Call = 2,
    /// A function of one item.
    Map = 3,
    /// A function of a context and an item.
    MapWith = 4,
    /// A function that makes the state of a worker.
    Make = 5,
    /// A function that makes the state of a worker, or says why it cannot.
    TryMake = 6,
    /// A function of a worker's state and an argument.
    Use = 7,
}

impl Kind {
    pub(super) const fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            1 => Some(Self::Task),
            2 => Some(Self::Call),
            3 => Some(Self::Map),
            4 => Some(Self::MapWith),
            5 => Some(Self::Make),
            6 => Some(Self::TryMake),
            7 => Some(Self::Use),
            _ => None,
        }
    }

    /// Whether a function pointer comes with the descriptor.
    pub(super) const fn takes_function(self) -> bool {
        !matches!(self, Self::Task)
    }
}

/// The identity of a task's code.
///
/// One lies in the read-only data of the image for each type (of task, or of function signature) that is submitted. Equal
/// types may have several, one in each codegen unit, so its address names code but is never a key.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Descriptor {
    magic: u64,
    version: u32,
    kind: Kind,
    /// The task's type, or the function pointer's, which binds argument and result types. (The design said "hash of the
    /// type's name"; a `TypeId` also tells apart closures and versions of a crate that share a name.)
    type_id: TypeId,
    run: Run,
}

/// What can be read of a descriptor without trusting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) magic: u64,
    pub(super) version: u32,
    pub(super) kind: u32,
    /// A hash of the `TypeId`'s bytes in the image.
    pub(super) type_hash: u64,
}

impl Header {
    /// Reads the header of the descriptor that may lie at `address`.
    ///
    /// # Safety
    ///
    /// `size_of::<Descriptor>()` bytes at `address` are mapped, readable, and never written to while the process runs;
    /// `address` has the alignment of a `Descriptor`. What the bytes mean does not matter.
    pub(super) unsafe fn read(address: *const Descriptor) -> Self {
        let base = address.cast::<u8>();
        let word = |offset: usize| {
            // SAFETY: the caller promises mapped, aligned, unchanging memory for the whole descriptor, in which `offset`
            // lies and to which it is aligned. Volatile, because the compiler must not reason about which object this is:
            // it may be any bytes of the image.
            unsafe { base.add(offset).cast::<u32>().read_volatile() }
        };
        let long = |offset: usize| {
            // SAFETY: as above; the offsets of 8-byte fields are multiples of the descriptor's alignment.
            unsafe { base.add(offset).cast::<u64>().read_volatile() }
        };
        let mut type_hash = Mix::new();
        for at in (0..size_of::<TypeId>()).step_by(size_of::<u32>()) {
            type_hash.add(u64::from(word(offset_of!(Descriptor, type_id) + at)));
        }
        Self {
            magic: long(offset_of!(Descriptor, magic)),
            version: word(offset_of!(Descriptor, version)),
            kind: word(offset_of!(Descriptor, kind)),
            type_hash: type_hash.finish(),
        }
    }
}

const _: () =
    assert!(size_of::<TypeId>().is_multiple_of(size_of::<u32>()) && align_of::<TypeId>() >= align_of::<u32>());

impl Descriptor {
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// That of the task, for a descriptor of kind [`Kind::Task`].
    pub(super) fn type_id(&self) -> TypeId {
        self.type_id
    }

    const fn new(kind: Kind, type_id: TypeId, run: Run) -> Self {
        Self { magic: MAGIC, version: VERSION, kind, type_id, run }
    }

    pub(super) fn header(&'static self) -> Header {
        // SAFETY: `self` is a live, shared `'static` reference to a value without interior mutability.
        unsafe { Header::read(self) }
    }

    /// # Safety
    ///
    /// `function` had the type that this descriptor stands for before it was erased; for a task it may be any.
    pub(super) unsafe fn run(
        &self,
        function: Function,
        arguments: &[u8],
        out: &mut Vec<u8>,
        steps: Steps<'_>,
    ) -> Result<(), Fault> {
        // SAFETY: the caller's promise is what `run` asks for.
        unsafe { (self.run)(function, arguments, out, steps) }
    }
}

/// Gives each type its descriptor: a constant reference is promoted to a `'static`, also for generic types.
struct Of<K>(std::marker::PhantomData<K>);

impl<T: Task> Of<T> {
    const TASK: &'static Descriptor = &Descriptor::new(Kind::Task, TypeId::of::<T>(), run_task::<T>);
}

impl<A: CallArguments, R: Ship> Of<fn(A) -> R> {
    const CALL: &'static Descriptor = &Descriptor::new(Kind::Call, TypeId::of::<fn(A) -> R>(), run_call::<A, R>);
}

impl<A: Ship, R: Ship> Of<fn(A) -> R> {
    const MAP: &'static Descriptor = &Descriptor::new(Kind::Map, TypeId::of::<fn(A) -> R>(), run_map::<A, R>);
}

impl<C: Ship, A: Ship, R: Ship> Of<fn(&C, A) -> R> {
    const MAP_WITH: &'static Descriptor =
        &Descriptor::new(Kind::MapWith, TypeId::of::<fn(&C, A) -> R>(), run_map_with::<C, A, R>);
}

impl<A: Ship, S: 'static> Of<fn(A) -> S> {
    const MAKE: &'static Descriptor = &Descriptor::new(Kind::Make, TypeId::of::<fn(A) -> S>(), run_make::<A, S>);
}

impl<A: Ship, S: 'static, E: Display + 'static> Of<fn(A) -> Result<S, E>> {
    const TRY_MAKE: &'static Descriptor =
        &Descriptor::new(Kind::TryMake, TypeId::of::<fn(A) -> Result<S, E>>(), run_try_make::<A, S, E>);
}

impl<S: 'static, A: Ship, R: Ship> Of<fn(&mut S, A) -> R> {
    const USE: &'static Descriptor =
        &Descriptor::new(Kind::Use, TypeId::of::<fn(&mut S, A) -> R>(), run_use::<S, A, R>);
}

pub(super) const fn of_task<T: Task>() -> &'static Descriptor {
    Of::<T>::TASK
}

pub(super) fn of_call<A: CallArguments, R: Ship>(function: fn(A) -> R) -> (&'static Descriptor, Function) {
    // SAFETY: function pointers have one layout, and it is called only after `run_call` turned it back into its own type.
    (Of::<fn(A) -> R>::CALL, unsafe { transmute::<fn(A) -> R, Function>(function) })
}

pub(super) fn of_map<A: Ship, R: Ship>(function: fn(A) -> R) -> (&'static Descriptor, Function) {
    // SAFETY: function pointers have one layout, and it is called only after `run_map` turned it back into its own type.
    (Of::<fn(A) -> R>::MAP, unsafe { transmute::<fn(A) -> R, Function>(function) })
}

pub(super) fn of_map_with<C: Ship, A: Ship, R: Ship>(function: fn(&C, A) -> R) -> (&'static Descriptor, Function) {
    // SAFETY: function pointers have one layout, and it is called only after `run_map_with` turned it back.
    (Of::<fn(&C, A) -> R>::MAP_WITH, unsafe { transmute::<fn(&C, A) -> R, Function>(function) })
}

pub(super) fn of_make<A: Ship, S: 'static>(function: fn(A) -> S) -> (&'static Descriptor, Function) {
    // SAFETY: function pointers have one layout, and it is called only after `run_make` turned it back into its own type.
    (Of::<fn(A) -> S>::MAKE, unsafe { transmute::<fn(A) -> S, Function>(function) })
}

pub(super) fn of_try_make<A: Ship, S: 'static, E: Display + 'static>(
    function: fn(A) -> Result<S, E>,
) -> (&'static Descriptor, Function) {
    // SAFETY: function pointers have one layout, and it is called only after `run_try_make` turned it back.
    (Of::<fn(A) -> Result<S, E>>::TRY_MAKE, unsafe { transmute::<fn(A) -> Result<S, E>, Function>(function) })
}

pub(super) fn of_use<S: 'static, A: Ship, R: Ship>(function: fn(&mut S, A) -> R) -> (&'static Descriptor, Function) {
    // SAFETY: function pointers have one layout, and it is called only after `run_use` turned it back.
    (Of::<fn(&mut S, A) -> R>::USE, unsafe { transmute::<fn(&mut S, A) -> R, Function>(function) })
}

fn finish<R: Ship>(result: R, out: &mut Vec<u8>, steps: Steps<'_>) -> Result<(), Fault> {
    steps.reached(Step::Encoding);
    if codec::is_leaf::<R>() {
        return codec::encode(&result, out).map_err(Fault::Encode);
    }
    let (handles, apart) = (travel::naming(), apart::leaving());
    // Not before the handles that it is made of are kept there is the result dropped.
    codec::encode_owned(result, out).map_err(Fault::Encode)?;
    if let Some(handles) = handles.take() {
        travel::keep_result(handles);
    }
    if let Some(apart) = apart.take() {
        apart::keep_result(apart);
    }
    Ok(())
}

// Each `run_*` below is a `Run`: the function must have had the type that the descriptor stands for.

unsafe fn run_task<T: Task>(_: Function, arguments: &[u8], out: &mut Vec<u8>, steps: Steps<'_>) -> Result<(), Fault> {
    steps.reached(Step::Decoding);
    let task = codec::decode::<T>(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    finish(task.run(), out, steps)
}

unsafe fn run_call<A: CallArguments, R: Ship>(
    function: Function,
    arguments: &[u8],
    out: &mut Vec<u8>,
    steps: Steps<'_>,
) -> Result<(), Fault> {
    // SAFETY: the caller passes a function that was a `fn(A) -> R` before it was erased.
    let function = unsafe { transmute::<Function, fn(A) -> R>(function) };
    steps.reached(Step::Decoding);
    let arguments = A::decode(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    finish(function(arguments), out, steps)
}

unsafe fn run_map<A: Ship, R: Ship>(
    function: Function,
    arguments: &[u8],
    out: &mut Vec<u8>,
    steps: Steps<'_>,
) -> Result<(), Fault> {
    // SAFETY: the caller passes a function that was a `fn(A) -> R` before it was erased.
    let function = unsafe { transmute::<Function, fn(A) -> R>(function) };
    steps.reached(Step::Decoding);
    let item = codec::decode_received::<A>(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    finish(function(item), out, steps)
}

unsafe fn run_map_with<C: Ship, A: Ship, R: Ship>(
    function: Function,
    arguments: &[u8],
    out: &mut Vec<u8>,
    steps: Steps<'_>,
) -> Result<(), Fault> {
    // SAFETY: the caller passes a function that was a `fn(&C, A) -> R` before it was erased.
    let function = unsafe { transmute::<Function, fn(&C, A) -> R>(function) };
    steps.reached(Step::Decoding);
    let (key, arguments) = arguments.split_first_chunk().unwrap_or((&[0xff; 8], &[]));
    let decode = |content: &Content| codec::decode::<C>(content).map(Rc::new);
    let context = store::get(u64::from_le_bytes(*key), decode).map_err(Fault::Decode)?;
    let item = codec::decode_received::<A>(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    finish(function(&context, item), out, steps)
}

unsafe fn run_make<A: Ship, S: 'static>(
    function: Function,
    arguments: &[u8],
    out: &mut Vec<u8>,
    steps: Steps<'_>,
) -> Result<(), Fault> {
    // SAFETY: the caller passes a function that was a `fn(A) -> S` before it was erased.
    let function = unsafe { transmute::<Function, fn(A) -> S>(function) };
    steps.reached(Step::Decoding);
    let argument = codec::decode::<A>(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    state::keep(function(argument));
    steps.reached(Step::Encoding);
    write_made(Ok(()), out);
    Ok(())
}

unsafe fn run_try_make<A: Ship, S: 'static, E: Display + 'static>(
    function: Function,
    arguments: &[u8],
    out: &mut Vec<u8>,
    steps: Steps<'_>,
) -> Result<(), Fault> {
    // SAFETY: the caller passes a function that was a `fn(A) -> Result<S, E>` before it was erased.
    let function = unsafe { transmute::<Function, fn(A) -> Result<S, E>>(function) };
    steps.reached(Step::Decoding);
    let argument = codec::decode::<A>(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    // Only the words of the error travel, so that it need not serialise either.
    let made: Made = function(argument).map(state::keep).map_err(|error| error.to_string());
    steps.reached(Step::Encoding);
    write_made(made, out);
    Ok(())
}

unsafe fn run_use<S: 'static, A: Ship, R: Ship>(
    function: Function,
    arguments: &[u8],
    out: &mut Vec<u8>,
    steps: Steps<'_>,
) -> Result<(), Fault> {
    // SAFETY: the caller passes a function that was a `fn(&mut S, A) -> R` before it was erased.
    let function = unsafe { transmute::<Function, fn(&mut S, A) -> R>(function) };
    steps.reached(Step::Decoding);
    let argument = codec::decode_received::<A>(arguments).map_err(Fault::Decode)?;
    steps.reached(Step::Running);
    // The state is here again before the result is encoded: what fails there is not the state's fault.
    let result = state::lend(|state: &mut S| function(state, argument)).map_err(Fault::NoState)?;
    finish(result, out, steps)
}

/// A small, fast hash: the same in every process, no defence against an enemy.
pub(super) struct Mix(u64);

impl Mix {
    pub(super) const fn new() -> Self {
        Self(MAGIC)
    }

    pub(super) const fn add(&mut self, word: u64) {
        // The odd constant of wyhash and a fold of the product's halves: every input bit reaches every output bit.
        let product = ((self.0 ^ word) as u128 ^ 0x2d35_8dcc_aa6c_78a5).wrapping_mul(0x8bb8_4b93_962e_acc9);
        self.0 = (product as u64 ^ (product >> 64) as u64).rotate_left(29) ^ word;
    }

    pub(super) const fn finish(self) -> u64 {
        self.0
    }
}
