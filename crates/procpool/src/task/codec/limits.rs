//! The limits that both directions share.

/// How deeply values may nest: each struct, tuple, sequence, map, `Some` and enum value is a level.
///
/// Decoding recurses as the type does, so without a limit the bytes of a hostile worker could
/// overflow the stack of the parent. 128 is also what `serde_json` allows.
pub(super) const MAX_DEPTH: u32 = 128;

/// How many elements of sequences and maps may take no byte at all, in one value.
///
/// A length can be checked against the bytes that are there, except for such elements: a
/// `Vec<()>` of length `u64::MAX` is ten bytes on the wire and would loop for centuries.
pub(super) const MAX_EMPTY: usize = 1 << 16;

/// How many comparisons may be spent on telling a struct's aliases from its fields.
pub(super) const MAX_ALIAS_STEPS: u32 = 10_000;
