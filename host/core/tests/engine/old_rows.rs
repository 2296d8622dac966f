//! Rows as earlier versions stored them, which is JSON: they are read, and everything goes on.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sidenote_core::engine::rows::decode;
use sidenote_core::session::payload::Action;

use crate::world::World;

impl World {
    /// All rows are as an earlier version would have stored them.
    pub(crate) fn age_rows(&mut self) {
        for row in self.rows.values_mut() {
            // What can't be read stays as it is.
            if let Ok(Old(value)) = decode(row) {
                *row = serde_json::to_vec(&value).expect("a value is JSON");
            }
        }
    }
}

/// What a row holds, whatever it is.
struct Old(Value);

impl<'de> Deserialize<'de> for Old {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything that a row holds")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bytes<E: serde::de::Error>(self, packed: &[u8]) -> Result<Value, E> {
        let actions: Vec<Action> = rmp_serde::from_slice(packed).map_err(E::custom)?;
        serde_json::to_value(actions).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Old(item)) = seq.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((name, Old(value))) = map.next_entry::<String, Old>()? {
            object.insert(name, value);
        }
        Ok(object.into())
    }
}
