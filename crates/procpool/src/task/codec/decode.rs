//! The reading half. It trusts no length, number or name that it reads.

use super::access::{Items, Parts, Variant};
use super::error::{CodecError, JSON, MIRROR};
use super::limits::{MAX_DEPTH, MAX_EMPTY};
use super::shape::{Leaf, Names, Node, Shape, VariantTag};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Visitor};

pub(super) struct Decoder<'de> {
    pub(super) input: &'de [u8],
    pub(super) shape: Shape,
    depth: u32,
    empty: usize,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(input: &'de [u8]) -> Self {
        Decoder { input, shape: Shape::new(), depth: 0, empty: 0 }
    }

    pub(super) fn rest(self) -> &'de [u8] {
        self.input
    }

    /// A whole value, and the checksum over its shape behind it.
    pub(super) fn value<T: DeserializeOwned>(&mut self) -> Result<T, CodecError> {
        let value = T::deserialize(&mut *self)?;
        let read = self.shape.sum();
        if u32::from_le_bytes(self.array()?) == read {
            return Ok(value);
        }
        Err(CodecError::new(
            "its `Deserialize` reads other kinds of values than its `Serialize` writes \
             (is there a `deserialize_with` or `serialize_with` without its counterpart?)",
            MIRROR,
        ))
    }

    /// A leaf, as postcard reads it.
    #[inline]
    pub(super) fn take<T: Deserialize<'de>>(&mut self) -> Result<T, CodecError> {
        let (value, rest) = postcard::take_from_bytes(self.input).map_err(CodecError::malformed)?;
        self.input = rest;
        Ok(value)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let Some((bytes, rest)) = self.input.split_first_chunk() else {
            return Err(CodecError::malformed(postcard::Error::DeserializeUnexpectedEnd));
        };
        self.input = rest;
        Ok(*bytes)
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

    /// Counts an element that began where `before` bytes were left, if it took none.
    #[inline]
    pub(super) fn element_since(&mut self, before: usize) -> Result<(), CodecError> {
        if self.input.len() == before {
            self.empty += 1;
            if self.empty > MAX_EMPTY {
                return Err(CodecError::too_many_empty());
            }
        }
        Ok(())
    }

    /// The length of a sequence or map, which the bytes that are left can hold.
    #[inline]
    fn length(&mut self) -> Result<usize, CodecError> {
        let length: usize = self.take()?;
        if length > self.input.len().saturating_add(MAX_EMPTY) {
            let problem = format!("a length of {length} with {} bytes left", self.input.len());
            return Err(CodecError::new(problem, MIRROR));
        }
        Ok(length)
    }

    /// The count of a tuple struct or tuple variant.
    pub(super) fn exact_count(&mut self, name: &str, expected: usize) -> Result<(), CodecError> {
        let written: usize = self.take()?;
        if written == expected {
            return Ok(());
        }
        Err(field_count(name, written, expected))
    }

    /// The count and names of a struct or struct variant, and its fields.
    pub(super) fn fields<V: Visitor<'de>>(
        &mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        let written: usize = self.take()?;
        let names = u16::from_le_bytes(self.array()?);
        if !Names::matches(fields, written, names) {
            return Err(if written == fields.len() {
                CodecError::new(
                    format!("`{name}` is written with other field names, or in another order, than it is read"),
                    MIRROR,
                )
            } else {
                field_count(name, written, fields.len())
            });
        }
        Parts::fields(self, name, fields, written).visit(visitor)
    }
}

#[cold]
pub(super) fn field_count(name: &str, written: usize, read: usize) -> CodecError {
    CodecError::new(
        format!("`{name}` is written with {written} fields and read with {read}"),
        "let both sides skip the same fields (`#[serde(skip)]`), or wrap it in `procpool::Json<T>`",
    )
}

#[cold]
fn not_self_describing<T>(what: &str) -> Result<T, CodecError> {
    let problem = format!(
        "it wants {what}, which the compact encoding does not record \
         (`flatten`, `untagged`, `tag = \"…\"` and `serde_json::Value` do)"
    );
    Err(CodecError::new(problem, JSON))
}

macro_rules! leaves {
    ($($method:ident $visit:ident($type:ty) $kind:ident)*) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            self.shape.leaf(Leaf::$kind);
            visitor.$visit(self.take::<$type>()?)
        }
    )* };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CodecError;

    leaves! {
        deserialize_bool visit_bool(bool) Bool
        deserialize_u8 visit_u8(u8) U8
        deserialize_u16 visit_u16(u16) Unsigned
        deserialize_u32 visit_u32(u32) Unsigned
        deserialize_u64 visit_u64(u64) Unsigned
        deserialize_u128 visit_u128(u128) Unsigned
        deserialize_i8 visit_i8(i8) I8
        deserialize_i16 visit_i16(i16) Signed
        deserialize_i32 visit_i32(i32) Signed
        deserialize_i64 visit_i64(i64) Signed
        deserialize_i128 visit_i128(i128) Signed
        deserialize_f32 visit_f32(f32) F32
        deserialize_f64 visit_f64(f64) F64
        deserialize_str visit_borrowed_str(&'de str) Text
        deserialize_string visit_borrowed_str(&'de str) Text
        deserialize_bytes visit_borrowed_bytes(&'de [u8]) Bytes
        deserialize_byte_buf visit_borrowed_bytes(&'de [u8]) Bytes
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.shape.leaf(Leaf::Text);
        let mut text = self.take::<&str>()?.chars();
        match (text.next(), text.next()) {
            (Some(char), None) => visitor.visit_char(char),
            _ => Err(CodecError::malformed(postcard::Error::DeserializeBadChar)),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.shape.leaf(Leaf::Option);
        match self.take::<u8>()? {
            0 => visitor.visit_none(),
            1 => {
                self.enter()?;
                let value = visitor.visit_some(&mut *self)?;
                self.leave();
                Ok(value)
            }
            _ => Err(CodecError::new("an `Option` is neither 0 nor 1", MIRROR)),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.shape.leaf(Leaf::Unit);
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter()?;
        let value = visitor.visit_newtype_struct(&mut *self)?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.enter()?;
        self.shape.node(Node::Seq, 0);
        let length = self.length()?;
        let mut items = Items::new(self, length);
        let value = visitor.visit_seq(&mut items)?;
        items.finish()?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.enter()?;
        self.shape.node(Node::Map, 0);
        let length = self.length()?;
        let mut items = Items::new(self, length);
        let value = visitor.visit_map(&mut items)?;
        items.finish()?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.enter()?;
        self.shape.node(Node::Tuple, length);
        let value = Parts::tuple(self, "a tuple", length).visit(visitor)?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter()?;
        self.shape.node(Node::TupleStruct, 0);
        self.exact_count(name, length)?;
        let value = Parts::tuple(self, name, length).visit(visitor)?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter()?;
        self.shape.node(Node::Struct, 0);
        let value = self.fields(name, fields, visitor)?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.enter()?;
        self.shape.node(Node::Enum, 0);
        let index: u32 = self.take()?;
        let tag = VariantTag::from_wire(self.array()?);
        let variant = find_variant(name, variants, index, tag)?;
        let value = visitor.visit_enum(Variant::new(self, variant, tag.style()))?;
        self.leave();
        Ok(value)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, CodecError> {
        not_self_describing("a value of any type")
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, CodecError> {
        not_self_describing("a field by name")
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, CodecError> {
        not_self_describing("to skip a value of any type")
    }
}

/// The name of the variant that was written as number `index` with `tag`.
///
/// The number is a hint only: `Serialize` counts all variants, `Deserialize` leaves out those with
/// `skip_deserializing`, and the list has the aliases too. The name is what both sides agree on.
#[inline]
fn find_variant(
    name: &str,
    variants: &'static [&'static str],
    index: u32,
    tag: VariantTag,
) -> Result<&'static str, CodecError> {
    match variants.get(index as usize) {
        Some(variant) if tag.is_named(variant) => Ok(variant),
        _ => search_variant(name, variants, index, tag),
    }
}

#[cold]
fn search_variant(
    name: &str,
    variants: &'static [&'static str],
    index: u32,
    tag: VariantTag,
) -> Result<&'static str, CodecError> {
    let mut named = variants.iter().filter(|variant| tag.is_named(variant));
    if let (Some(variant), None) = (named.next(), named.next()) {
        return Ok(variant);
    }
    let problem = format!(
        "variant {index} of `{name}` is written, and its `Deserialize` does not know it (it knows {})",
        variants.join(", ")
    );
    Err(CodecError::new(problem, MIRROR))
}
