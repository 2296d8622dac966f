//! What a value may be, told by what reads it: the leaves of the configuration's JSON Schema.

use std::cell::RefCell;

use serde_json::{Map, Value};

/// What a reader is given in the place of a value: it tells what it takes, in keywords of JSON Schema, and reads nothing.
#[derive(Debug, Default)]
pub(super) struct Shape(RefCell<Map<String, Value>>);

impl Shape {
    /// Adds keywords to what was told before.
    pub(super) fn is(&self, keywords: Value) {
        if let Value::Object(keywords) = keywords {
            self.0.borrow_mut().extend(keywords);
        }
    }

    /// The schema of what was told.
    pub(super) fn into_schema(self) -> Value {
        Value::Object(self.0.into_inner())
    }
}
