//! The name of a task's code between processes that run the same executable.
#![expect(unsafe_code, reason = "turns a checked offset back into code")]

use std::mem::transmute;

use crate::task::IdentityError;
use crate::task::code::Code;
use crate::task::descriptor::{Descriptor, Function, Header, Kind, MAGIC, Mix, VERSION};
use crate::task::image::{Image, Region};

/// Where a task's code lies in the executable, and what must be found there.
///
/// Offsets are from the load address of the main program, so they equal the addresses that `nm` and `addr2line` show for
/// the file, and hold in every process that runs it, wherever the kernel put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireEntry {
    pub(super) version: u32,
    pub(super) kind: u32,
    pub(super) descriptor: u64,
    pub(super) type_hash: u64,
    /// Zero for a task.
    pub(super) function: u64,
}

impl WireEntry {
    /// The length of [`to_bytes`](Self::to_bytes).
    pub(crate) const LEN: usize = 40;

    pub(super) fn of(descriptor: &'static Descriptor, function: Option<Function>) -> Result<Self, IdentityError> {
        let image = Image::main().ok_or(IdentityError::NoImage)?;
        let header = descriptor.header();
        let at = std::ptr::from_ref(descriptor).addr();
        let function = match function {
            None => 0,
            Some(function) => image.offset_of(function as usize, 1, Region::Code)?,
        };
        Ok(Self {
            version: header.version,
            kind: header.kind,
            descriptor: image.offset_of(at, size_of::<Descriptor>(), Region::ReadOnly)?,
            type_hash: header.type_hash,
            function,
        })
    }

    /// Finds the code in this process.
    ///
    /// # Errors
    ///
    /// The entry does not name code of this executable. Nothing outside the executable's read-only segments is read, and
    /// no address is called, before every check has passed.
    pub(crate) fn resolve(&self) -> Result<Code, IdentityError> {
        let image = Image::main().ok_or(IdentityError::NoImage)?;
        if self.version != VERSION {
            return Err(IdentityError::Version { found: self.version });
        }
        let kind = Kind::from_bits(self.kind).ok_or(IdentityError::Malformed)?;
        let address = image
            .address_of(self.descriptor, size_of::<Descriptor>(), Region::ReadOnly)
            .ok_or(IdentityError::DescriptorOutOfBounds)?;
        if !address.is_multiple_of(align_of::<Descriptor>()) {
            return Err(IdentityError::Misaligned);
        }
        let descriptor = std::ptr::with_exposed_provenance::<Descriptor>(address);
        // SAFETY: the bytes lie within a segment of the main program that is mapped for the life of the process, readable,
        // and read-only since the program was relocated; the alignment was checked.
        let header = unsafe { Header::read(descriptor) };
        if (header.magic, header.version) != (MAGIC, VERSION) {
            return Err(IdentityError::NoDescriptor);
        }
        if (header.kind, header.type_hash) != (kind as u32, self.type_hash) {
            return Err(IdentityError::OtherCode);
        }
        let function = if kind.takes_function() {
            let address = image.address_of(self.function, 1, Region::Code).ok_or(IdentityError::FunctionOutOfBounds)?;
            let function = std::ptr::with_exposed_provenance::<()>(address);
            // SAFETY: not null, since it lies in a mapped segment. It is called only as the type of the descriptor, which
            // it had where this entry was made: `to_bytes` seals the two offsets together.
            Some(unsafe { transmute::<*const (), Function>(function) })
        } else if self.function == 0 {
            None
        } else {
            return Err(IdentityError::FunctionOutOfBounds);
        };
        // SAFETY: magic, version, kind and the hash of the type show that a `Descriptor` lies at this aligned place in
        // memory that nobody writes to, so it may be borrowed for the life of the process.
        let descriptor = unsafe { &*descriptor };
        // SAFETY: `of` paired the function with the descriptor of its type, in a process that runs the same image: Hello
        // has compared the executables, and the type's hash matches what lies here.
        Ok(unsafe { Code::new(descriptor, function) })
    }

    /// The entry in bytes, little-endian, the last eight of them a seal over the rest.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.descriptor.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.type_hash.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.function.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.seal().to_le_bytes());
        bytes
    }

    /// Reads an entry; `None` if the length or the seal is wrong. Nothing else is checked before
    /// [`resolve`](Self::resolve).
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let &[head, descriptor, type_hash, function, seal] = words else {
            return None;
        };
        let head = u64::from_le_bytes(head);
        let entry = Self {
            version: head as u32,
            kind: (head >> 32) as u32,
            descriptor: u64::from_le_bytes(descriptor),
            type_hash: u64::from_le_bytes(type_hash),
            function: u64::from_le_bytes(function),
        };
        (rest.is_empty() && entry.seal() == u64::from_le_bytes(seal)).then_some(entry)
    }

    /// Guards against damage, not against an enemy: a function's offset has no magic number of its own to be checked by.
    fn seal(self) -> u64 {
        let mut mix = Mix::new();
        mix.add(u64::from(self.version) | u64::from(self.kind) << 32);
        mix.add(self.descriptor);
        mix.add(self.type_hash);
        mix.add(self.function);
        mix.finish()
    }
}
