//! The fields of a stored object, checked one by one so that an error names the field, not its value.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::SnapshotError;

pub(super) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    pub(super) fn of(stored: &'a Value) -> Result<Self, SnapshotError> {
        stored.as_object().map(|fields| Self(Some(fields))).ok_or(SnapshotError::NotAnObject)
    }

    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.0?.get(field)
    }

    /// An object, empty where it is missing.
    pub(super) fn object(&self, field: &'static str) -> Result<Self, SnapshotError> {
        match self.get(field) {
            None => Ok(Self(None)),
            Some(Value::Object(fields)) => Ok(Self(Some(fields))),
            Some(_) => Err(SnapshotError::Field { field, expected: "an object" }),
        }
    }

    /// A number of seconds, `None` where it is missing.
    pub(super) fn seconds(&self, field: &'static str) -> Result<Option<f64>, SnapshotError> {
        self.get(field).map(|value| number(value, field)).transpose()
    }

    /// A number of seconds that may be null.
    pub(super) fn optional_seconds(
        &self,
        field: &'static str,
    ) -> Result<Option<f64>, SnapshotError> {
        self.get(field)
            .filter(|value| !value.is_null())
            .map(|value| number(value, field))
            .transpose()
    }

    pub(super) fn required_seconds(&self, field: &'static str) -> Result<f64, SnapshotError> {
        number(self.get(field).unwrap_or(&Value::Null), field)
    }

    /// A flag, `false` where it is missing or null.
    pub(super) fn flag(&self, field: &'static str) -> Result<bool, SnapshotError> {
        match self.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(SnapshotError::Field { field, expected: "true or false" }),
        }
    }

    pub(super) fn required_text(&self, field: &'static str) -> Result<&'a str, SnapshotError> {
        self.get(field)
            .and_then(Value::as_str)
            .ok_or(SnapshotError::Field { field, expected: "text" })
    }

    /// A text that may be missing or null.
    pub(super) fn optional_text(
        &self,
        field: &'static str,
    ) -> Result<Option<&'a str>, SnapshotError> {
        match self.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(SnapshotError::Field { field, expected: "text or null" }),
        }
    }

    /// An id that may be missing, null or empty; whole numbers are read as their text.
    pub(super) fn id(&self, field: &'static str) -> Result<Option<Arc<str>>, SnapshotError> {
        match self.get(field) {
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string().into())),
            _ => Ok(self.optional_text(field)?.filter(|id| !id.is_empty()).map(Arc::from)),
        }
    }

    /// The application's own object: empty where it is missing, `None` where it is null.
    pub(super) fn metadata(&self) -> Result<Option<Map<String, Value>>, SnapshotError> {
        match self.get("metadata") {
            None => Ok(Some(Map::new())),
            Some(Value::Null) => Ok(None),
            Some(Value::Object(metadata)) => Ok(Some(metadata.clone())),
            Some(_) => {
                Err(SnapshotError::Field { field: "metadata", expected: "an object or null" })
            }
        }
    }
}

fn number(value: &Value, field: &'static str) -> Result<f64, SnapshotError> {
    value
        .as_f64()
        .filter(|secs| secs.is_finite())
        .ok_or(SnapshotError::Field { field, expected: "a number of seconds" })
}
