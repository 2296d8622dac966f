//! `config` of a manifest: which JSON Schemas are allowed, and settings checked against one.
//!
//! Settings are flat and their values are texts, so a schema is an object of texts, numbers and
//! booleans. References, combinations and nested objects are refused: what a stranger's file brings along
//! is then bounded in time and memory, fetches nothing, and every violation can be told in one line.

use std::collections::BTreeMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use super::error::{ConfigError, ManifestError, Violation, text};
use crate::plugin::clean::clean;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const MAX_PROPERTIES: usize = 128;
const MAX_KEY_BYTES: usize = 128;
const MAX_PATTERN_BYTES: usize = 512;
/// What a compiled pattern may hold, in bytes.
const MAX_PATTERN_MEMORY: usize = 1 << 20;
/// Choices that are told; there may be more.
const SHOWN_CHOICES: usize = 8;
const OTHER_TYPE: &str = "is of another type";

const OBJECT_KEYS: [&str; 8] = [
    "$schema",
    "additionalProperties",
    "dependentRequired",
    "description",
    "properties",
    "required",
    "title",
    "type",
];
const PROPERTY_KEYS: [&str; 17] = [
    "const",
    "default",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "title",
    "type",
];
const TYPES: [&str; 4] = ["string", "integer", "number", "boolean"];
const FORMATS: [&str; 8] =
    ["date", "date-time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"];

/// Whether a schema is one that is allowed.
pub(super) fn check(schema: &Value) -> Result<(), ManifestError> {
    let object = object("config", schema)?;
    known("config", object, &OBJECT_KEYS)?;
    texts("config", object)?;
    if object.get("$schema").is_some_and(|it| it != DRAFT) {
        return Err(ManifestError::value("config.$schema", format!("must be \"{DRAFT}\"")));
    }
    if object.get("type").is_none_or(|it| it != "object") {
        return Err(ManifestError::value("config.type", "must be \"object\""));
    }
    if object.get("additionalProperties").is_some_and(|it| !it.is_boolean()) {
        return Err(ManifestError::value("config.additionalProperties", "must be true or false"));
    }
    let properties = properties(schema);
    if properties.len() > MAX_PROPERTIES {
        return Err(ManifestError::value("config.properties", "has more than 128 keys"));
    }
    if object.get("properties").is_some_and(|it| !it.is_object()) {
        return Err(ManifestError::value("config.properties", "must be an object"));
    }
    for (key, property) in &properties {
        check_property(key, property)?;
    }
    for required in object.get("required").and_then(Value::as_array).into_iter().flatten() {
        let known = required.as_str().is_some_and(|key| properties.contains_key(key));
        if !known {
            return Err(ManifestError::value(
                "config.required",
                format!("names {required}, which isn't in `properties`"),
            ));
        }
    }
    compile(schema).map(drop)
}

fn check_property(key: &str, property: &Value) -> Result<(), ManifestError> {
    let path = format!("config.properties.{key}");
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(ManifestError::value(path, "must be a key of 1 to 128 bytes"));
    }
    text(&path, key)?;
    let property = object(&path, property)?;
    known(&path, property, &PROPERTY_KEYS)?;
    texts(&path, property)?;
    one_of(&path, property, "type", &TYPES)?;
    if !property.contains_key("type") {
        return Err(ManifestError::value(
            format!("{path}.type"),
            format!("must be one of {}", TYPES.join(", ")),
        ));
    }
    one_of(&path, property, "format", &FORMATS)?;
    let pattern = property.get("pattern").and_then(Value::as_str).unwrap_or_default();
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(ManifestError::value(format!("{path}.pattern"), "is longer than 512 bytes"));
    }
    Ok(())
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, ManifestError> {
    value.as_object().ok_or_else(|| ManifestError::value(path, "must be an object"))
}

fn known(path: &str, object: &Map<String, Value>, known: &[&str]) -> Result<(), ManifestError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(ManifestError::value(
            format!("{path}.{key}"),
            format!("isn't allowed here; known are {}", known.join(", ")),
        )),
    }
}

fn texts(path: &str, object: &Map<String, Value>) -> Result<(), ManifestError> {
    for key in ["title", "description"] {
        if let Some(value) = object.get(key).and_then(Value::as_str) {
            text(&format!("{path}.{key}"), value)?;
        }
    }
    Ok(())
}

fn one_of(
    path: &str,
    object: &Map<String, Value>,
    key: &str,
    choices: &[&str],
) -> Result<(), ManifestError> {
    match object.get(key) {
        Some(value) if !value.as_str().is_some_and(|it| choices.contains(&it)) => {
            let wanted = format!("must be one of {}", choices.join(", "));
            Err(ManifestError::value(format!("{path}.{key}"), wanted))
        }
        _ => Ok(()),
    }
}

/// The validator. The patterns' engine takes linear time, whatever a pattern says.
fn compile(schema: &Value) -> Result<Validator, ManifestError> {
    let patterns =
        PatternOptions::regex().size_limit(MAX_PATTERN_MEMORY).dfa_size_limit(MAX_PATTERN_MEMORY);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns)
        .should_validate_formats(true);
    options.build(schema).map_err(|error| {
        let path = error.instance_path().to_string().replace('/', ".");
        ManifestError::value(format!("config{path}"), format!("is no JSON Schema: {error}"))
    })
}

/// The settings that don't fit, one line per key.
pub(super) fn validate(
    schema: &Value,
    settings: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    let properties = properties(schema);
    let value = |(key, text): (&String, &String)| {
        (
            key.clone(),
            properties.get(key.as_str()).map_or_else(|| text.clone().into(), |it| typed(it, text)),
        )
    };
    let instance = Value::Object(settings.iter().map(value).collect());
    let validator = compile(schema).expect("a manifest's schema was checked");
    let mut violations = Vec::new();
    for error in validator.iter_errors(&instance) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the keywords that a schema may hold are bounded above"
        )]
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                violations.extend(unexpected.iter().map(|key| unknown(key, &properties)));
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                violations.push(violation(key, "is missing".to_owned(), &properties));
            }
            kind => {
                let path = error.instance_path().to_string();
                // Keys are escaped as in a JSON pointer.
                let key = path.trim_start_matches('/').replace("~1", "/").replace("~0", "~");
                violations.push(violation(&key, wrong(kind.keyword()).to_owned(), &properties));
            }
        }
    }
    // A value of another type misses its choices and bounds as well: one line per key is enough.
    violations.sort_by(|a, b| {
        a.key.cmp(&b.key).then_with(|| (b.wrong == OTHER_TYPE).cmp(&(a.wrong == OTHER_TYPE)))
    });
    violations.dedup_by(|b, a| a.key == b.key);
    if violations.is_empty() { Ok(()) } else { Err(ConfigError(violations)) }
}

/// A text as a value of a property's type; one that is none stays text, which the schema then refuses.
fn typed(property: &Value, text: &str) -> Value {
    let parsed = match kind(property) {
        "integer" | "number" => {
            serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number)
        }
        "boolean" => text.parse().ok().map(Value::Bool),
        _ => None,
    };
    parsed.unwrap_or_else(|| text.into())
}

fn violation(key: &str, wrong: String, properties: &Map<String, Value>) -> Violation {
    let expected = properties.get(key).map_or_else(|| "another key".to_owned(), expected);
    Violation { key: clean(key, 200), wrong, expected }
}

fn unknown(key: &str, properties: &Map<String, Value>) -> Violation {
    let near = properties
        .keys()
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let expected = match near {
        Some((_, known)) => format!("`{known}`, perhaps"),
        None if properties.is_empty() => "none".to_owned(),
        None => {
            let names: Vec<_> = properties.keys().map(|key| format!("`{key}`")).collect();
            clean(&format!("one of {}", names.join(", ")), 400)
        }
    };
    Violation { key: clean(key, 200), wrong: "isn't a setting of this plugin".to_owned(), expected }
}

/// What a violated keyword means. The value stays out of it.
fn wrong(keyword: &str) -> &'static str {
    match keyword {
        "type" => OTHER_TYPE,
        "enum" | "const" => "is none of the values that are allowed",
        "minimum" | "exclusiveMinimum" => "is too small",
        "maximum" | "exclusiveMaximum" => "is too large",
        "multipleOf" => "isn't a multiple of the step",
        "minLength" => "is too short",
        "maxLength" => "is too long",
        "pattern" => "doesn't match the pattern",
        "format" => "is of another form",
        _ => "doesn't fit",
    }
}

/// What a property takes, in words.
pub(super) fn expected(property: &Value) -> String {
    if let Some(choices) = choices(property) {
        return clean(&choices, 400);
    }
    let mut words = match kind(property) {
        "boolean" => return "true or false".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        _ => match property.get("format").and_then(Value::as_str) {
            Some(format) => format!("a text of the form {format}"),
            None => "a text".to_owned(),
        },
    };
    for (key, said) in [
        ("minimum", " from "),
        ("exclusiveMinimum", " above "),
        ("maximum", " up to "),
        ("exclusiveMaximum", " below "),
        ("multipleOf", " in steps of "),
        ("minLength", " of at least "),
        ("maxLength", " of at most "),
    ] {
        if let Some(bound) = property.get(key).filter(|it| it.is_number()) {
            let unit = if key.ends_with("Length") { " characters" } else { "" };
            words.push_str(&format!("{said}{bound}{unit}"));
        }
    }
    if let Some(pattern) = property.get("pattern").and_then(Value::as_str) {
        words.push_str(&format!(" that matches {pattern}"));
    }
    clean(&words, 400)
}

fn choices(property: &Value) -> Option<String> {
    if let Some(only) = property.get("const") {
        return Some(only.to_string());
    }
    let choices = property.get("enum")?.as_array()?;
    let shown: Vec<_> = choices.iter().take(SHOWN_CHOICES).map(ToString::to_string).collect();
    let more = if choices.len() > shown.len() { ", …" } else { "" };
    Some(format!("one of {}{more}", shown.join(", ")))
}

/// The type that a property says.
pub(super) fn kind(property: &Value) -> &str {
    property.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The properties by their keys.
pub(super) fn properties(schema: &Value) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Whether a setting must be there.
pub(super) fn is_required(schema: &Value, key: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|name| name == key))
}
