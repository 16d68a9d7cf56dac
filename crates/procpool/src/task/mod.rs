//! STAND-IN until the identity and codec rooms are merged: the brief's signatures, thinly.
#![expect(unsafe_code, reason = "stand-in")]

use std::fmt;
use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

pub(crate) trait Ship: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Ship for T {}

#[derive(Debug)]
pub(crate) struct CodecError(String);
impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug)]
pub(crate) struct IdentityError;
impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such code")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Decoding,
    Running,
    Encoding,
}

#[derive(Debug)]
pub(crate) enum Fault {
    Decode(CodecError),
    Encode(CodecError),
}

type Runner = fn(usize, &[u8], &mut Vec<u8>, &mut dyn FnMut(Step)) -> Result<(), Fault>;

pub(crate) struct Entry {
    runner: Runner,
    function: usize,
}

fn anchor() {}

impl Entry {
    pub(crate) fn to_wire(&self) -> Result<WireEntry, IdentityError> {
        let base = anchor as *const () as usize;
        Ok(WireEntry {
            runner: (self.runner as *const () as usize).wrapping_sub(base) as u64,
            function: self.function.wrapping_sub(base) as u64,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireEntry {
    runner: u64,
    function: u64,
}

impl WireEntry {
    pub(crate) const LEN: usize = 40;

    pub(crate) fn to_bytes(&self) -> [u8; 40] {
        let mut out = [0; 40];
        out[..8].copy_from_slice(&self.runner.to_le_bytes());
        out[8..16].copy_from_slice(&self.function.to_le_bytes());
        out[39] = 0x5a;
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<WireEntry> {
        let bytes: [u8; 40] = bytes.try_into().ok()?;
        if bytes[39] != 0x5a {
            return None;
        }
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]));
        Some(WireEntry { runner: word(0), function: word(8) })
    }

    pub(crate) fn resolve(&self) -> Result<Code, IdentityError> {
        let base = anchor as *const () as usize;
        // SAFETY: stand-in; trusts the parent.
        let runner = unsafe { std::mem::transmute::<usize, Runner>(base.wrapping_add(self.runner as usize)) };
        Ok(Code { runner, function: base.wrapping_add(self.function as usize) })
    }
}

pub(crate) struct Code {
    runner: Runner,
    function: usize,
}

impl Code {
    pub(crate) fn run(&self, arguments: &[u8], out: &mut Vec<u8>, step: &mut dyn FnMut(Step)) -> Result<(), Fault> {
        (self.runner)(self.function, arguments, out, step)
    }
}

pub(crate) struct Arguments(Box<dyn FnOnce(&mut Vec<u8>) -> Result<(), CodecError> + Send>);

impl Arguments {
    pub(crate) fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        (self.0)(out)
    }
}

pub(crate) struct Parts<R> {
    pub(crate) entry: Entry,
    pub(crate) arguments: Arguments,
    _result: PhantomData<fn() -> R>,
}

pub(crate) fn map_parts<A: Ship, R: Ship>(function: fn(A) -> R, item: A) -> Parts<R> {
    Parts {
        entry: Entry { runner: run_map::<A, R>, function: function as *const () as usize },
        arguments: Arguments(Box::new(move |out| codec::encode(&item, out))),
        _result: PhantomData,
    }
}

fn run_map<A: Ship, R: Ship>(
    function: usize,
    arguments: &[u8],
    out: &mut Vec<u8>,
    step: &mut dyn FnMut(Step),
) -> Result<(), Fault> {
    // SAFETY: stand-in.
    let function = unsafe { std::mem::transmute::<usize, fn(A) -> R>(function) };
    step(Step::Decoding);
    let item = codec::decode(arguments).map_err(Fault::Decode)?;
    step(Step::Running);
    let result = function(item);
    step(Step::Encoding);
    codec::encode(&result, out).map_err(Fault::Encode)
}

pub(crate) fn build_id() -> Option<&'static [u8]> {
    None
}

pub(crate) mod codec {
    pub(crate) use super::CodecError;
    use super::{DeserializeOwned, Serialize};

    pub(crate) fn encode<T: Serialize + 'static>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend(postcard::to_stdvec(value).map_err(|error| CodecError(error.to_string()))?);
        Ok(())
    }

    pub(crate) fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, CodecError> {
        postcard::from_bytes(bytes).map_err(|error| CodecError(error.to_string()))
    }
}
