//! A source: the Segment specification, which SDKs of Segment, of RudderStack and of others speak, and Segment's webhook
//! destination.
//!
//! | what comes | what it becomes |
//! |---|---|
//! | calls, one by one or many at once ([`calls`]) | events |
//! | what an SDK asks for before it sends anything | settings that let it send to this address alone |
//! | the SDK's own metrics | nothing |

mod calls;
mod reading;
mod signature;

use serde_json::Value;
use sidenote_plugin::Source;
use sidenote_plugin::source::{Received, Rejection, Request, Response};

use calls::Calls;
use reading::{Gathered, body, first_id, only, path};

/// The plugin.
pub struct Segment;

impl Source for Segment {
    fn receive(request: Request) -> Result<Received, Rejection> {
        let parts: Vec<&str> = path(&request).trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["v1", "projects", key, "settings"] => {
                only(&request, &["GET"])?;
                Ok(Received::keyless(Response::json(settings(key))))
            }
            ["sourceConfig"] => {
                only(&request, &["GET"])?;
                let config =
                    r#"{"source":{"id":"sidenote","enabled":true,"destinations":[],"config":{}}}"#;
                Ok(Received::keyless(Response::json(config)))
            }
            ["v1", "m"] => {
                only(&request, &["POST"])?;
                let mut gathered = Gathered::default();
                gathered.ignore("figures of the SDK about itself");
                let mut received = gathered.answer(answer());
                received.keyless = true;
                Ok(received)
            }
            ["v1", "b" | "batch" | "import"] | ["beacon", "v1", "batch"] => {
                only(&request, &["POST"])?;
                read(&request, None)
            }
            ["v1", call] => {
                only(&request, &["POST"])?;
                let kind = match call {
                    "t" | "track" => "track",
                    "p" | "page" => "page",
                    "s" | "screen" => "screen",
                    "i" | "identify" => "identify",
                    "g" | "group" => "group",
                    "a" | "alias" => "alias",
                    _ => return Err(Rejection::not_found()),
                };
                read(&request, Some(kind))
            }
            [""] => {
                only(&request, &["POST", "PUT", "PATCH"])?;
                signature::check(&request)?;
                read(&request, None)
            }
            _ => Err(Rejection::not_found()),
        }
    }
}

/// Reads one call, a list of calls, or a batch of them.
fn read(request: &Request, kind: Option<&'static str>) -> Result<Received, Rejection> {
    let body = body(&request.body)?;
    let (items, whole): (&[Value], &Value) = match (&body, &body["batch"]) {
        (Value::Array(items), _) => (items, &Value::Null),
        (_, Value::Array(items)) => (items, &body),
        _ => (std::slice::from_ref(&body), &body),
    };
    let key = |it: &Value| first_id([&it["writeKey"], &it["context"]["writeKey"]]);
    let key = key(whole).or_else(|| key(items.first()?));
    let mut gathered = Gathered::of(key);
    let calls = Calls { request, whole, kind };
    gathered.read(items, |item, batch| calls.read(item, batch));
    Ok(gathered.answer(answer()))
}

/// Settings that let the SDK send to its own address and nowhere else. It sends with the key that it is told here, which
/// is the one that it asked with.
fn settings(key: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '~');
    let key = if key.chars().all(plain) { format!(r#""apiKey":"{key}""#) } else { String::new() };
    format!(r#"{{"integrations":{{"Segment.io":{{{key}}}}}}}"#)
}

fn answer() -> Response {
    Response::json(r#"{"success":true}"#)
}

sidenote_plugin::export!(Segment: Source; manifest = include_str!("../manifest.json"));
