//! Fingerprints: of names, and of the sequence of serde calls.

use super::limits::MAX_ALIAS_STEPS;

/// An odd constant with well-spread bits (2^64 divided by the golden ratio).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline]
fn mix(state: u64, value: u64) -> u64 {
    (state ^ value).wrapping_mul(MIX).rotate_left(29)
}

/// A value without parts. Kinds with the same bytes on the wire share one.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leaf {
    None = 0,
    Unit,
    Bool,
    U8,
    Unsigned,
    I8,
    Signed,
    F32,
    F64,
    Text,
    Bytes,
    Option,
}

/// A value with parts.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Node {
    Seq = 64,
    Map,
    Tuple,
    TupleStruct,
    Struct,
    Enum,
}

/// A checksum over the calls that a value makes to serde.
///
/// The two ends make the same calls, unless `Serialize` and `Deserialize` disagree about what the
/// bytes mean. A run of equal leaves counts once: their number follows from the containers, and a
/// `Vec<u64>` costs one well predicted branch an element.
pub(super) struct Shape {
    state: u64,
    last: Leaf,
}

impl Shape {
    pub(super) const fn new() -> Self {
        Shape { state: MIX, last: Leaf::None }
    }

    #[inline]
    pub(super) fn leaf(&mut self, kind: Leaf) {
        if kind != self.last {
            self.last = kind;
            self.state = mix(self.state, kind as u64);
        }
    }

    /// `size` is 0 where the wire carries it.
    #[inline]
    pub(super) fn node(&mut self, kind: Node, size: usize) {
        self.last = Leaf::None;
        self.state = mix(self.state, kind as u64 | (size as u64) << 8);
    }

    pub(super) fn sum(&self) -> u32 {
        (self.state ^ (self.state >> 32)) as u32
    }
}

#[inline]
fn hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut state = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let rest = rest.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    mix(mix(state, rest), MIX)
}

/// A fingerprint of field names in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Names(u64);

impl Names {
    pub(super) const fn new() -> Self {
        Names(MIX)
    }

    #[inline]
    pub(super) fn then(self, name: &str) -> Self {
        Names(mix(self.0, hash(name)))
    }

    #[inline]
    pub(super) fn sum(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Whether `count` of the names in `fields`, in that order, have the fingerprint `sum`.
    ///
    /// serde's derive lists the aliases of a field beside its name, and does not say which is which.
    pub(super) fn matches(fields: &[&str], count: usize, sum: u16) -> bool {
        if fields.len() == count {
            return fields.iter().fold(Names::new(), |n, f| n.then(f)).sum() == sum;
        }
        let mut steps = MAX_ALIAS_STEPS;
        fields.len() > count && Names::new().among(fields, count, sum, &mut steps)
    }

    fn among(self, fields: &[&str], count: usize, sum: u16, steps: &mut u32) -> bool {
        if count == 0 {
            return self.sum() == sum;
        }
        let Some((first, rest)) = fields.split_first() else {
            return false;
        };
        if fields.len() < count || *steps == 0 {
            return false;
        }
        *steps -= 1;
        self.then(first).among(rest, count - 1, sum, steps) || self.among(rest, count, sum, steps)
    }
}

/// How an enum's variant carries its content.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Style {
    Unit,
    Newtype,
    Tuple,
    Struct,
}

impl Style {
    pub(super) fn name(self) -> &'static str {
        match self {
            Style::Unit => "a unit variant",
            Style::Newtype => "a newtype variant",
            Style::Tuple => "a tuple variant",
            Style::Struct => "a struct variant",
        }
    }
}

/// A variant's style and 14 bits of its name, as they stand beside its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct VariantTag(u16);

impl VariantTag {
    #[inline]
    pub(super) fn new(name: &str, style: Style) -> Self {
        VariantTag((hash(name) >> 50) as u16 | (style as u16) << 14)
    }

    pub(super) fn from_wire(bytes: [u8; 2]) -> Self {
        VariantTag(u16::from_le_bytes(bytes))
    }

    pub(super) fn to_wire(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    pub(super) fn style(self) -> Style {
        match self.0 >> 14 {
            0 => Style::Unit,
            1 => Style::Newtype,
            2 => Style::Tuple,
            _ => Style::Struct,
        }
    }

    #[inline]
    pub(super) fn is_named(self, name: &str) -> bool {
        self == VariantTag::new(name, self.style())
    }
}
