//! Values in few bytes, in rows that there are many of: postcard's numbers and texts one behind the other, without the
//! names of fields, and a byte in front that says which there are.
//!
//! In JSON a value has its names, which is how earlier versions stored it; it is read in either form.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

/// A value that has a short form.
pub trait Short: Sized {
    /// Writes it.
    fn write(&self, to: &mut Writer);

    /// Reads it; `None`: it is something else.
    fn read(from: &mut Reader<'_>) -> Option<Self>;

    /// Reads it with the names of its fields.
    ///
    /// # Errors
    /// It is something else.
    fn read_named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// A short form that is being written.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Writes a number, a text, or a list of them.
    pub fn put(&mut self, value: &(impl Serialize + ?Sized)) {
        let bytes = postcard::to_allocvec(value).expect("texts and numbers have this form");
        self.0.extend(bytes);
    }

    /// Writes what is there; a flag says whether it is.
    pub fn put_some(&mut self, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.put(value);
        }
    }

    /// Writes a moment as how long it is behind another.
    pub fn put_since(&mut self, at: Timestamp, base: Timestamp) {
        self.put(&at.0.wrapping_sub(base.0));
    }
}

/// A short form that is being read.
pub struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Reads what [`Writer::put`] wrote.
    pub fn take<T: DeserializeOwned>(&mut self) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    /// Reads what [`Writer::put_some`] wrote, if its flag says that it did.
    pub fn take_if<T: DeserializeOwned>(&mut self, flag: bool) -> Option<Option<T>> {
        if flag { self.take().map(Some) } else { Some(None) }
    }

    /// Reads what [`Writer::put_since`] wrote.
    pub fn take_since(&mut self, base: Timestamp) -> Option<Timestamp> {
        Some(Timestamp(self.take::<i64>()?.wrapping_add(base.0)))
    }
}

/// A byte of flags, the first of them the lowest bit.
pub fn flags<const N: usize>(flags: [bool; N]) -> u8 {
    const { assert!(N <= 8) };
    flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag))
}

/// Whether a flag is set.
pub fn is_set(flags: u8, place: u32) -> bool {
    flags >> place & 1 == 1
}

/// Serializes a value: short but in JSON. `named` is it with the names of its fields.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Short, S: Serializer>(
    value: &T,
    serializer: S,
    named: impl FnOnce(&T, S) -> Result<S::Ok, S::Error>,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return named(value, serializer);
    }
    let mut to = Writer::default();
    value.write(&mut to);
    serializer.serialize_bytes(&to.0)
}

/// Deserializes a value in either form.
///
/// # Errors
/// It is something else.
pub fn deserialize<'de, T: Short, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Either(PhantomData))
}

/// A value in either form.
struct Either<T>(PhantomData<T>);

impl<'de, T: Short> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with the names of its fields, or in its short form")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read_named(MapAccessDeserializer::new(map))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        let mut from = Reader(bytes);
        let value = T::read(&mut from).filter(|_| from.0.is_empty());
        value.ok_or_else(|| E::custom("the short form can't be read"))
    }
}

/// Has a type serialized and deserialized in either form. It derives both with `#[serde(remote = "Self")]`.
macro_rules! short_but_in_json {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::short::serialize(self, serializer, <$name>::serialize)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::short::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use short_but_in_json;
