//! Any JSON value, read without failing and without keeping what no field can use.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::session::event_time;

/// A value as a field may hold it; of a list or an object only that it was there.
#[derive(Default)]
pub(super) enum Scalar {
    #[default]
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(String),
    Structure,
}

impl Scalar {
    /// A text field: null, `false` and 0 are empty.
    pub(super) fn into_text(self, unusable: &mut usize) -> String {
        match self {
            Self::Text(text) => text,
            Self::Null | Self::Bool(false) | Self::Whole(0) => String::new(),
            Self::Bool(true) => "True".to_owned(),
            Self::Whole(number) => number.to_string(),
            Self::Float(0.0) => String::new(),
            Self::Float(number) => decimal(number),
            Self::Structure => count(unusable),
        }
    }

    /// An id of an action.
    pub(super) fn into_id(self, unusable: &mut usize) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null => None,
            Self::Whole(number) => Some(number.to_string()),
            Self::Bool(_) | Self::Float(_) | Self::Structure => count(unusable),
        }
    }

    /// An id of a batch or a summary: null, `false`, 0 and an empty one are none.
    pub(super) fn into_scope_id(self, unusable: &mut usize) -> Option<String> {
        if matches!(self, Self::Bool(false) | Self::Whole(0) | Self::Float(0.0)) {
            return None;
        }
        self.into_id(unusable).filter(|id| !id.is_empty())
    }

    /// Seconds since the epoch.
    pub(super) fn into_time(self, unusable: &mut usize) -> Option<f64> {
        let number = match self {
            Self::Null => return None,
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            Self::Whole(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Structure => None,
        };
        number.and_then(event_time::usable).or_else(|| count(unusable))
    }

    /// A whole number; fractions are cut off.
    pub(super) fn into_whole<T: TryFrom<i128> + Default>(self, unusable: &mut usize) -> T {
        let number = match self {
            Self::Null => return T::default(),
            Self::Bool(value) => Some(i128::from(value)),
            Self::Whole(number) => Some(number),
            Self::Float(number) => Some(number as i128),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Structure => None,
        };
        number.and_then(|number| T::try_from(number).ok()).unwrap_or_else(|| count(unusable))
    }
}

/// A fraction as autoplay-sdk writes it: `1.0`, `0.0001`, `1e-05`, `1e+16`.
fn decimal(number: f64) -> String {
    // Debug keeps 1.0 a fraction.
    if (1e-4..1e16).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    match text.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) => format!("{digits}e{exponent:+03}"),
        Some((_, Err(_))) | None => text,
    }
}

/// Counts a field that can't be used, and gives the default in its place.
fn count<T: Default>(unusable: &mut usize) -> T {
    *unusable += 1;
    T::default()
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar, A::Error> {
                skip_seq(seq).map(|()| Scalar::Structure)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar, A::Error> {
                skip_map(map).map(|_| Scalar::Structure)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// What is read from the fields of an object.
pub(super) trait Fields: Sized {
    /// Reads every field of `map`.
    fn read<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

/// An object's fields, or `None` for a value that is not an object.
pub(super) struct Object<T>(pub(super) Option<T>);

impl<'de, T: Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);

        impl<'de, T: Fields> Visitor<'de> for Any<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::read(map).map(|fields| Object(Some(fields)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
                skip_seq(seq).map(|()| Object(None))
            }

            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
        }

        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// Passes over a list. However deep it is nested: skipped values cost no stack.
pub(super) fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Passes over an object; says whether it was empty.
pub(super) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<bool, A::Error> {
    let mut is_empty = true;
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
        is_empty = false;
    }
    Ok(is_empty)
}
