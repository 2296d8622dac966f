//! A JSON object as a request's body, read strictly: it must say that it is JSON and be whole, and no name in it may be
//! unknown or there twice. Every error says what to send instead.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::answer::Refused;
use super::body;
use super::gate;
use super::state::ApiState;
use crate::access::Caller;
use crate::ids::InvalidId;
use crate::session::payload::read_id;

/// What a kind of request says in its body.
pub(super) trait Wanted: Sized {
    /// What to send, for example.
    const EXAMPLE: &'static str;

    /// The names that mean something.
    fn names() -> Vec<&'static str>;

    /// Reads what stands under them.
    fn read(fields: &Fields) -> Result<Self, Refused>;

    /// The same, narrowed to what the caller may ask for.
    fn within(self, caller: &Caller) -> Result<Self, Refused>;
}

/// The body of a request, read and narrowed: there is no other way to it.
pub(super) struct Json<T>(pub(super) T);

impl<T: Wanted> FromRequest<ApiState> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, Refused> {
        check_content_type(request.headers())?;
        let caller = gate::caller(request.extensions())?.clone();
        let body = body::read(request, api.max_body_bytes).await?;
        T::read(&Fields::of(&body, &T::names(), T::EXAMPLE)?)?.within(&caller).map(Self)
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "the body must be JSON and say so",
        "send `Content-Type: application/json`",
    ))
}

/// The fields of an object, each known and there once.
pub(super) struct Fields {
    fields: Map<String, Value>,
    example: &'static str,
}

impl Fields {
    fn of(body: &[u8], names: &[&str], example: &'static str) -> Result<Self, Refused> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = format!("the body isn't JSON (line {line}, column {column})");
            Refused::new(StatusCode::BAD_REQUEST, "invalid_json", message, example)
        })?;
        let Value::Object(fields) = value else {
            return Err(unusable("invalid_body", "the body must be a JSON object", example));
        };
        if fields.keys().any(|name| !names.contains(&name.as_str())) {
            let names = names.join(", ");
            let message =
                format!("the body has a field that means nothing here; the fields are {names}");
            return Err(unusable("unknown_field", message, example));
        }
        match twice(body) {
            Some(name) => {
                let message =
                    format!("{name} is there twice; which of the two is meant isn't said");
                Err(unusable("field_twice", message, example))
            }
            None => Ok(Self { fields, example }),
        }
    }

    /// What stands under a name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// An id: a string that isn't empty, or a whole number as on the stream. `None` where there is none.
    pub(super) fn id<T>(
        &self,
        name: &str,
        make: impl Fn(String) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, Refused> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = match read_id(value) {
            Ok(Some(id)) => {
                let id = make(id).map(Some);
                return id.map_err(|error| {
                    self.unusable("invalid_id", format!("{name}: {}", error.cause))
                });
            }
            Ok(None) if value.is_null() => "null",
            Ok(None) => "an empty string",
            Err(found) => found,
        };
        let wanted = "must be a string that isn't empty, or a whole number";
        Err(self.unusable("invalid_id", format!("{name} {wanted}, and it is {found}")))
    }

    /// An id that must be there.
    pub(super) fn required_id<T>(
        &self,
        name: &str,
        make: impl Fn(String) -> Result<T, InvalidId>,
    ) -> Result<T, Refused> {
        let missing = || self.unusable("missing_field", format!("{name} is missing"));
        self.id(name, make)?.ok_or_else(missing)
    }

    /// `true` or `false`; the latter where there is none.
    pub(super) fn truth(&self, name: &str) -> Result<bool, Refused> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(_) => Err(self.unusable("invalid_body", format!("{name} must be true or false"))),
        }
    }

    /// What is refused of it.
    pub(super) fn unusable(
        &self,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Refused {
        unusable(code, message, self.example)
    }
}

fn unusable(
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
    example: &'static str,
) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, example)
}

/// A name that an object has twice: of two values the parser keeps the last one without a word.
fn twice(object: &[u8]) -> Option<String> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut seen, mut twice) = (HashSet::new(), None);
            while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
                if let Some(name) = seen.replace(name) {
                    twice = Some(name);
                }
            }
            Ok(twice)
        }
    }

    serde_json::Deserializer::from_slice(object).deserialize_map(Names).ok()?
}
