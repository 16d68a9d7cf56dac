//! The writing half: postcard's leaves, and containers that say what they hold.

use super::compound::{Fields, Items, Parts};
use super::error::{CodecError, JSON, Place};
use super::limits::{MAX_DEPTH, MAX_EMPTY};
use super::shape::{Leaf, Node, Shape, Style, VariantTag};
use serde::{Serialize, Serializer};
use std::fmt::{self, Write as _};

pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) shape: Shape,
    depth: u32,
    empty: usize,
}

/// Up to so many bytes are copied one by one: for a number, to call `memcpy` takes longer.
const FEW: usize = 4;

/// postcard's way to a `Vec`; its own takes the `Vec` by value.
pub(super) struct Output<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Output<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > FEW {
            self.0.extend_from_slice(bytes);
        } else {
            self.0.extend(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Encoder { out, shape: Shape::new(), depth: 0, empty: 0 }
    }

    /// A whole value, and the checksum over its shape behind it.
    pub(super) fn value<T: Serialize>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut *self)?;
        let sum = self.shape.sum();
        self.out.extend_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// A leaf, as postcard writes it. `[u8]` is written as bytes.
    #[inline]
    pub(super) fn put<T: Leaflike + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let mut serializer = postcard::Serializer { output: Output(self.out) };
        value.put(&mut serializer).map_err(CodecError::malformed)
    }

    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), CodecError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CodecError::too_deep());
        }
        Ok(())
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts an element that began at `start`, if it took no byte.
    #[inline]
    pub(super) fn element_since(&mut self, start: usize) -> Result<(), CodecError> {
        if self.out.len() == start {
            self.empty += 1;
            if self.empty > MAX_EMPTY {
                return Err(CodecError::too_many_empty());
            }
        }
        Ok(())
    }

    /// Puts a length in front of what was written from `start` on.
    pub(super) fn insert_length(&mut self, start: usize, length: usize) -> Result<(), CodecError> {
        let end = self.out.len();
        self.put(&length)?;
        let prefix = self.out.len() - end;
        if let Some(written) = self.out.get_mut(start..) {
            written.rotate_right(prefix);
        }
        Ok(())
    }

    #[inline]
    fn variant(&mut self, index: u32, name: &str, style: Style) -> Result<(), CodecError> {
        self.enter()?;
        self.shape.node(Node::Enum, 0);
        self.put(&index)?;
        let tag = VariantTag::new(name, style);
        self.out.extend_from_slice(&tag.to_wire());
        Ok(())
    }
}

type PostcardSerializer<'a> = postcard::Serializer<Output<'a>>;

/// What postcard writes for us.
pub(super) trait Leaflike {
    fn put(&self, to: &mut PostcardSerializer<'_>) -> postcard::Result<()>;
}

impl Leaflike for [u8] {
    #[inline]
    fn put(&self, to: &mut PostcardSerializer<'_>) -> postcard::Result<()> {
        to.serialize_bytes(self)
    }
}

macro_rules! leaflike {
    ($($type:ty)*) => { $(
        impl Leaflike for $type {
            #[inline]
            fn put(&self, to: &mut PostcardSerializer<'_>) -> postcard::Result<()> {
                self.serialize(to)
            }
        }
    )* };
}
leaflike!(bool u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 f32 f64 str);

macro_rules! leaves {
    ($($method:ident($type:ty) $kind:ident)*) => { $(
        #[inline]
        fn $method(self, value: $type) -> Result<(), CodecError> {
            self.shape.leaf(Leaf::$kind);
            self.put(&value)
        }
    )* };
}

impl<'a, 'b> Serializer for &'a mut Encoder<'b> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Items<'a, 'b>;
    type SerializeTuple = Parts<'a, 'b>;
    type SerializeTupleStruct = Parts<'a, 'b>;
    type SerializeTupleVariant = Parts<'a, 'b>;
    type SerializeMap = Items<'a, 'b>;
    type SerializeStruct = Fields<'a, 'b>;
    type SerializeStructVariant = Fields<'a, 'b>;

    leaves! {
        serialize_bool(bool) Bool
        serialize_u8(u8) U8
        serialize_u16(u16) Unsigned
        serialize_u32(u32) Unsigned
        serialize_u64(u64) Unsigned
        serialize_u128(u128) Unsigned
        serialize_i8(i8) I8
        serialize_i16(i16) Signed
        serialize_i32(i32) Signed
        serialize_i64(i64) Signed
        serialize_i128(i128) Signed
        serialize_f32(f32) F32
        serialize_f64(f64) F64
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), CodecError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), CodecError> {
        self.shape.leaf(Leaf::Text);
        self.put(value)
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), CodecError> {
        self.shape.leaf(Leaf::Bytes);
        self.put(value)
    }

    /// Formats once, straight into the output.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        struct Text<'a>(&'a mut Vec<u8>);
        impl fmt::Write for Text<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        self.shape.leaf(Leaf::Text);
        let start = self.out.len();
        write!(Text(self.out), "{value}").map_err(|_| CodecError::new("its `Display` failed", JSON))?;
        let length = self.out.len() - start;
        self.insert_length(start, length)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), CodecError> {
        self.shape.leaf(Leaf::Option);
        self.put(&0u8)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        self.enter()?;
        self.shape.leaf(Leaf::Option);
        self.put(&1u8)?;
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), CodecError> {
        self.shape.leaf(Leaf::Unit);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), CodecError> {
        self.enter()?;
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _name: &'static str, index: u32, variant: &'static str) -> Result<(), CodecError> {
        self.variant(index, variant, Style::Unit)?;
        self.leave();
        Ok(())
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.variant(index, variant, Style::Newtype)?;
        value.serialize(&mut *self).map_err(|error| error.at(Place::Variant(variant)))?;
        self.leave();
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Items<'a, 'b>, CodecError> {
        self.enter()?;
        self.shape.node(Node::Seq, 0);
        Items::new(self, length)
    }

    /// A map of unknown length is what `flatten` makes, and that cannot be read back.
    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Items<'a, 'b>, CodecError> {
        if length.is_none() {
            return Err(CodecError::new(
                "a map of unknown length (is this `#[serde(flatten)]`?) cannot be carried as it is",
                JSON,
            ));
        }
        self.enter()?;
        self.shape.node(Node::Map, 0);
        Items::new(self, length)
    }

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<Parts<'a, 'b>, CodecError> {
        self.enter()?;
        self.shape.node(Node::Tuple, length);
        Ok(Parts::new(self, "a tuple", length))
    }

    #[inline]
    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Parts<'a, 'b>, CodecError> {
        self.enter()?;
        self.shape.node(Node::TupleStruct, 0);
        self.put(&length)?;
        Ok(Parts::new(self, name, length))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Parts<'a, 'b>, CodecError> {
        self.variant(index, variant, Style::Tuple)?;
        self.put(&length)?;
        Ok(Parts::new(self, variant, length))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Fields<'a, 'b>, CodecError> {
        self.enter()?;
        self.shape.node(Node::Struct, 0);
        Fields::new(self, name, None, length)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Fields<'a, 'b>, CodecError> {
        self.variant(index, variant, Style::Struct)?;
        Fields::new(self, name, Some(variant), length)
    }
}
