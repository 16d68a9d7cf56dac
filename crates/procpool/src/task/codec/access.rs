//! The containers of the reading half. Each sees to it that all that was written is read.

use super::decode::{Decoder, field_count};
use super::error::{CodecError, MIRROR, Place};
use super::shape::Style;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

/// A sequence or map.
pub(super) struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    read: usize,
}

impl<'a, 'de> Items<'a, 'de> {
    #[inline]
    pub(super) fn new(decoder: &'a mut Decoder<'de>, length: usize) -> Self {
        Items { decoder, left: length, read: 0 }
    }

    #[inline]
    pub(super) fn finish(self) -> Result<(), CodecError> {
        if self.left == 0 {
            return Ok(());
        }
        let problem = format!("{} elements of a sequence or map are not read", self.left);
        Err(CodecError::new(problem, MIRROR))
    }

    /// The next element or key.
    #[inline]
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        if self.left == 0 {
            return Ok(None);
        }
        let before = self.decoder.input.len();
        let value = seed.deserialize(&mut *self.decoder)?;
        self.decoder.element_since(before)?;
        self.left -= 1;
        Ok(Some(value))
    }

    /// What a container may reserve: an element takes a byte, or else no memory worth the name.
    #[inline]
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.decoder.input.len()))
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        let value = self.next(seed);
        let value = value.map_err(|error| error.at(Place::Index(self.read)))?;
        self.read += 1;
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        self.next(seed).map_err(|error| error.at(Place::Key))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, CodecError> {
        let value = seed.deserialize(&mut *self.decoder);
        let value = value.map_err(|error| error.at(Place::Index(self.read)))?;
        self.read += 1;
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// The parts of a struct, tuple, tuple struct or variant.
pub(super) struct Parts<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    name: &'static str,
    /// The names that the reader lists; none for tuples.
    fields: &'static [&'static str],
    written: usize,
    /// How many the reader lists; with aliases more than it reads.
    listed: usize,
    read: usize,
    asked_beyond: bool,
}

impl<'a, 'de> Parts<'a, 'de> {
    #[inline]
    pub(super) fn tuple(decoder: &'a mut Decoder<'de>, name: &'static str, length: usize) -> Self {
        Parts { decoder, name, fields: &[], written: length, listed: length, read: 0, asked_beyond: false }
    }

    #[inline]
    pub(super) fn fields(
        decoder: &'a mut Decoder<'de>,
        name: &'static str,
        fields: &'static [&'static str],
        written: usize,
    ) -> Self {
        Parts { decoder, name, fields, written, listed: fields.len(), read: 0, asked_beyond: false }
    }

    #[inline]
    pub(super) fn visit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, CodecError> {
        let visited = visitor.visit_seq(&mut self);
        // A reader that lists as many as were written may ask for one more, to see that there is none.
        // Where it lists more, asking for more means that it fills the rest with defaults.
        if self.asked_beyond && self.written != self.listed {
            return Err(field_count(self.name, self.written, self.listed));
        }
        match visited {
            Ok(_) if self.read < self.written => Err(field_count(self.name, self.written, self.read)),
            Err(error) if self.written != self.listed => Err(error.noting(format_args!(
                "`{}` is written with {} fields, and its `Deserialize` lists {}",
                self.name, self.written, self.listed
            ))),
            visited => visited,
        }
    }

    #[cold]
    fn place(&self) -> Place {
        match self.fields.get(self.read) {
            // With aliases the numbers do not match the names.
            Some(name) if self.written == self.listed => Place::Field(name),
            _ => Place::Index(self.read),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Parts<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        if self.read == self.written {
            self.asked_beyond = true;
            return Ok(None);
        }
        let value = seed.deserialize(&mut *self.decoder);
        let value = value.map_err(|error| error.at(self.place()))?;
        self.read += 1;
        Ok(Some(value))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.written - self.read)
    }
}

/// An enum's variant: its name first, then its content.
pub(super) struct Variant<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    name: &'static str,
    style: Style,
}

impl<'a, 'de> Variant<'a, 'de> {
    #[inline]
    pub(super) fn new(decoder: &'a mut Decoder<'de>, name: &'static str, style: Style) -> Self {
        Variant { decoder, name, style }
    }

    #[inline]
    fn expect(&self, read: Style) -> Result<(), CodecError> {
        if self.style == read {
            return Ok(());
        }
        Err(CodecError::new(
            format!("`{}` is written as {} and read as {}", self.name, self.style.name(), read.name()),
            MIRROR,
        ))
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), CodecError> {
        let name: StrDeserializer<'_, CodecError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = CodecError;

    #[inline]
    fn unit_variant(self) -> Result<(), CodecError> {
        self.expect(Style::Unit)
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, CodecError> {
        self.expect(Style::Newtype)?;
        let value = seed.deserialize(&mut *self.decoder);
        value.map_err(|error| error.at(Place::Variant(self.name)))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.expect(Style::Tuple)?;
        self.decoder.exact_count(self.name, length)?;
        let value = Parts::tuple(self.decoder, self.name, length).visit(visitor);
        value.map_err(|error| error.at(Place::Variant(self.name)))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.expect(Style::Struct)?;
        let value = self.decoder.fields(self.name, fields, visitor);
        value.map_err(|error| error.at(Place::Variant(self.name)))
    }
}
