//! What the tests are answered, held against the OpenAPI document: the status, the content type, and the body.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;

use super::*;

/// The path, the method, the status: what may be answered then.
type Place = (String, String, String);

static VALIDATORS: LazyLock<Mutex<HashMap<Place, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Holds an answer against the document.
///
/// # Panics
/// When it isn't documented. What is no request of HTTP/1, or is to no address of the table, isn't held against anything.
pub(super) fn check(request: &[u8], answer: &Answer) {
    if let Err(wrong) = held(request, answer) {
        panic!("{wrong}; see http/openapi/rows. The answer: {}", answer.0);
    }
}

fn held(request: &[u8], answer: &Answer) -> Result<(), String> {
    let Some((method, path)) = called(request) else { return Ok(()) };
    if !answer.0.starts_with("HTTP/1.") {
        return Ok(());
    }
    let found = match method.as_str() {
        "head" => &openapi()["paths"][path]["get"],
        method => &openapi()["paths"][path][method],
    };
    let status = answer.status().to_string();
    let responses = &found["responses"];
    if found.is_null() {
        // The protocol for agents answers by itself.
        let known = matches!(&*status, "400" | "401" | "403" | "405" | "431") || path == "/mcp";
        return if known { Ok(()) } else { Err(format!("{method} {path} isn't documented")) };
    }
    if method == "head" && status == "405" {
        return Ok(());
    }
    let response = match (&responses[&*status], &responses["default"]) {
        (Value::Null, Value::Null) => {
            return Err(format!("{method} {path}: {status} isn't documented"));
        }
        (Value::Null, other) => other,
        (response, _) => response,
    };
    let (Some(content), Some(sent)) =
        (response["content"].as_object(), answer.header("content-type"))
    else {
        return Ok(());
    };
    let essence = |media: &str| media.split(';').next().unwrap_or_default().trim().to_owned();
    let media = content.keys().find(|media| essence(media) == essence(sent));
    let by_plugin = !responses["default"].is_null();
    let open_metrics = path == "/metrics" && essence(sent) == "application/openmetrics-text";
    let Some(media) = media else {
        let free = by_plugin || open_metrics;
        return if free { Ok(()) } else { Err(format!("{method} {path} answers {sent}")) };
    };
    if media != "application/json" || method == "head" || by_plugin {
        return Ok(());
    }
    let place = (path.to_owned(), method.clone(), status.clone());
    let validator = validator(place, &content[media]["schema"]);
    let wrong: Vec<_> = validator
        .iter_errors(&answer.json())
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{method} {path}, {status}: {}", wrong.join("; ")))
}

/// The method in small letters and the document's path that a request is to.
fn called(request: &[u8]) -> Option<(String, &'static str)> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (Some(method), Some(target), Some(_), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let path = target.split('?').next()?;
    let fits = |documented: &str| {
        let (of, parts) = (documented.split('/'), path.split('/'));
        of.clone().count() == parts.clone().count()
            && of
                .zip(parts)
                .all(|(of, part)| of == part || (of.starts_with('{') && !part.is_empty()))
    };
    let paths = openapi()["paths"].as_object()?;
    // What is written out is nearer than what stands for anything.
    let exact = paths.get_key_value(path).map(|(path, _)| path);
    let path = exact.or_else(|| paths.keys().find(|documented| fits(documented)))?;
    Some((method.to_ascii_lowercase(), path))
}

fn validator(place: Place, schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let make = || {
        let mut schema = schema.clone();
        closed(&mut schema);
        let components = &openapi()["components"];
        let root = json!({ "components": components, "allOf": [schema] });
        Arc::new(jsonschema::validator_for(&root).expect("a schema of the document"))
    };
    validators.entry(place).or_insert_with(make).clone()
}

/// What is answered from values put together by hand has no fields but those that are told.
fn closed(schema: &mut Value) {
    if schema.get("allOf").is_some() {
        schema["unevaluatedProperties"] = json!(false);
        return;
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(closed);
        schema["unevaluatedProperties"] = json!(false);
    }
    for one in ["items", "additionalProperties"] {
        if let Some(inner @ Value::Object(_)) = schema.get_mut(one) {
            closed(inner);
        }
    }
    if let Some(Value::Array(several)) = schema.get_mut("anyOf") {
        several.iter_mut().for_each(closed);
    }
}

#[test]
fn an_answer_that_is_not_documented_is_found() {
    let answer = |head: &str, body: &str| {
        Answer(format!("HTTP/1.1 {head}\r\ncontent-type: application/json\r\n\r\n{body}"))
    };
    let check = |request: &str, head: &str, body: &str| {
        held(format!("{request} HTTP/1.1\r\n\r\n").as_bytes(), &answer(head, body))
    };
    let fine = r#"{"streams": {}, "status": "ok"}"#;
    assert_eq!(check("GET /healthz", "200 OK", fine), Ok(()));
    assert_eq!(check("GET /elsewhere", "418 Teapot", "{}"), Ok(()));
    for (request, head, body) in [
        ("GET /healthz", "418 Teapot", "{}"),
        ("GET /healthz", "200 OK", r#"{"status": "ok"}"#),
        ("GET /healthz", "200 OK", r#"{"streams": {}, "status": "well"}"#),
        ("GET /healthz", "200 OK", r#"{"streams": {}, "status": "ok", "more": 1}"#),
        ("GET /outbox?limit=1", "200 OK", r#"{"entries": [{}]}"#),
        ("GET /outbox", "422 No", r#"{"error": {"code": "c"}}"#),
        ("POST /streams/all/retry", "200 OK", r#"{"streams": {"all": {"state": "tired"}}}"#),
        ("POST /erase", "200 OK", "{}"),
        ("PATCH /outbox", "200 OK", "{}"),
    ] {
        assert!(check(request, head, body).is_err(), "{request} {head} {body}");
    }
}
