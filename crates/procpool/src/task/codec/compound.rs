//! The containers of the writing half. Each checks that it holds as much as it announced.

use super::encode::Encoder;
use super::error::{CodecError, MIRROR, Place};
use super::shape::Names;
use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};

#[cold]
fn miscounted(what: &str, announced: usize, written: usize) -> CodecError {
    let problem = format!("{what} announces {announced} parts and writes {written}");
    CodecError::new(problem, "correct its `Serialize`, or wrap it in `procpool::Json<T>`")
}

/// A sequence or map.
pub(super) struct Items<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    announced: Option<usize>,
    written: usize,
    start: usize,
}

impl<'a, 'b> Items<'a, 'b> {
    #[inline]
    pub(super) fn new(encoder: &'a mut Encoder<'b>, announced: Option<usize>) -> Result<Self, CodecError> {
        if let Some(length) = announced {
            encoder.put(&length)?;
        }
        let start = encoder.out.len();
        Ok(Items { encoder, announced, written: 0, start })
    }

    #[inline]
    fn finish(self) -> Result<(), CodecError> {
        match self.announced {
            Some(announced) if announced != self.written => {
                return Err(miscounted("a sequence or map", announced, self.written));
            }
            Some(_) => {}
            None => self.encoder.insert_length(self.start, self.written)?,
        }
        self.encoder.leave();
        Ok(())
    }
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let start = self.encoder.out.len();
        let encoded = value.serialize(&mut *self.encoder);
        encoded
            .and_then(|()| self.encoder.element_since(start))
            .map_err(|error| error.at(Place::Index(self.written)))?;
        self.written += 1;
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        self.finish()
    }
}

impl SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        // Keys alone are counted: an entry with an empty key is rare, so its value's bytes do not matter.
        let start = self.encoder.out.len();
        let encoded = key.serialize(&mut *self.encoder);
        encoded.and_then(|()| self.encoder.element_since(start)).map_err(|error| error.at(Place::Key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let encoded = value.serialize(&mut *self.encoder);
        encoded.map_err(|error| error.at(Place::Index(self.written)))?;
        self.written += 1;
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        self.finish()
    }
}

/// A tuple, tuple struct or tuple variant.
pub(super) struct Parts<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    name: &'static str,
    announced: usize,
    written: usize,
}

impl<'a, 'b> Parts<'a, 'b> {
    #[inline]
    pub(super) fn new(encoder: &'a mut Encoder<'b>, name: &'static str, announced: usize) -> Self {
        Parts { encoder, name, announced, written: 0 }
    }

    #[inline]
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let encoded = value.serialize(&mut *self.encoder);
        encoded.map_err(|error| error.at(Place::Index(self.written)))?;
        self.written += 1;
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result<(), CodecError> {
        if self.announced != self.written {
            return Err(miscounted(self.name, self.announced, self.written));
        }
        self.encoder.leave();
        Ok(())
    }
}

macro_rules! parts {
    ($($trait:ident $method:ident)*) => { $(
        impl $trait for Parts<'_, '_> {
            type Ok = ();
            type Error = CodecError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                self.part(value)
            }

            #[inline]
            fn end(self) -> Result<(), CodecError> {
                self.finish()
            }
        }
    )* };
}
parts! {
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// A struct or struct variant: the count, a fingerprint of the names, and the fields.
pub(super) struct Fields<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    name: &'static str,
    variant: Option<&'static str>,
    announced: usize,
    written: usize,
    names: Names,
    /// Where the fingerprint goes, once the names are known.
    start: usize,
}

impl<'a, 'b> Fields<'a, 'b> {
    #[inline]
    pub(super) fn new(
        encoder: &'a mut Encoder<'b>,
        name: &'static str,
        variant: Option<&'static str>,
        announced: usize,
    ) -> Result<Self, CodecError> {
        encoder.put(&announced)?;
        let start = encoder.out.len();
        encoder.out.extend_from_slice(&[0; 2]);
        Ok(Fields { encoder, name, variant, announced, written: 0, names: Names::new(), start })
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), CodecError> {
        self.names = self.names.then(key);
        self.written += 1;
        let encoded = value.serialize(&mut *self.encoder);
        encoded.map_err(|error| self.place(error.at(Place::Field(key))))
    }

    #[cold]
    fn place(&self, error: CodecError) -> CodecError {
        match self.variant {
            Some(variant) => error.at(Place::Variant(variant)),
            None => error,
        }
    }

    #[cold]
    fn skipped(&self, key: &'static str) -> CodecError {
        let (colons, variant) = self.variant.map_or(("", ""), |variant| ("::", variant));
        CodecError::new(
            format!(
                "`{}{colons}{variant}` skips its field `{key}` for this value, and a value must not change on its way",
                self.name
            ),
            "remove `skip_serializing_if`, or wrap the value in `procpool::Json<T>`",
        )
    }

    #[inline]
    fn finish(self) -> Result<(), CodecError> {
        if self.announced != self.written {
            let what = self.variant.unwrap_or(self.name);
            return Err(miscounted(what, self.announced, self.written));
        }
        let sum = self.names.sum().to_le_bytes();
        match self.encoder.out.get_mut(self.start..self.start + 2) {
            Some(place) => place.copy_from_slice(&sum),
            None => return Err(CodecError::new("the output was cut short", MIRROR)),
        }
        self.encoder.leave();
        Ok(())
    }
}

macro_rules! fields {
    ($($trait:ident)*) => { $(
        impl $trait for Fields<'_, '_> {
            type Ok = ();
            type Error = CodecError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), CodecError> {
                self.field(key, value)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), CodecError> {
                Err(self.skipped(key))
            }

            #[inline]
            fn end(self) -> Result<(), CodecError> {
                self.finish()
            }
        }
    )* };
}
fields!(SerializeStruct SerializeStructVariant);
