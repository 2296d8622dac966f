//! A source: what Amplitude's SDKs send (HTTP V2 API), own events and those that the browser's SDK captures by itself.

#[path = "../../posthog/src/elements.rs"]
mod elements;
mod events;
#[path = "../../segment/src/reading.rs"]
mod reading;

use serde_json::{Value, json};
use sidenote_plugin::Source;
use sidenote_plugin::source::{Received, Rejection, Request, Response};

use reading::{Gathered, body, first_id, millis, only, path};

/// The plugin.
pub struct Amplitude;

impl Source for Amplitude {
    fn receive(request: Request) -> Result<Received, Rejection> {
        match path(&request) {
            "/2/httpapi" | "/httpapi" | "/batch" => only(&request, &["POST"])?,
            _ => return Err(Rejection::not_found()),
        }
        let body = body(&request.body)?;
        let items = match &body["events"] {
            Value::Array(items) => items.as_slice(),
            one @ Value::Object(_) => std::slice::from_ref(one),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(Rejection::malformed("`events` is missing"));
            }
        };
        let mut gathered = Gathered::of(first_id([&body["api_key"]]));
        let sent = millis(&body["client_upload_time"]);
        gathered.read(items, |item, batch| events::read(item, sent, &request, batch));
        let answer = json!({
            "code": 200,
            "events_ingested": items.len(),
            "payload_size_bytes": request.body.len(),
            "server_upload_time": request.received_at_ms,
        });
        Ok(gathered.answer(Response::json(answer.to_string())))
    }
}

sidenote_plugin::export!(Amplitude: Source; manifest = include_str!("../manifest.json"));
