//! PostHog's HTTP webhook destination: `{"event": {…}, "person": {…}}`, and the flat object of a destination that a
//! connector installs. The template is the customer's own, so any other shape can come.

use serde_json::{Value, json};
use sidenote_plugin::config;
use sidenote_plugin::source::{Received, Rejection, Request, Response};

use crate::body::Sent;
use crate::events;
use crate::reading::{self, Gathered, first, text};

/// The header whose value is the key, where the configuration says no other.
const HEADER: &str = "x-posthog-secret";

/// Reads a webhook. Its times are PostHog's, which has corrected them.
pub(crate) fn read(request: &Request) -> Result<Received, Rejection> {
    let header = config::get("secret_header").filter(|it| !it.is_empty());
    let key = request.header(header.as_deref().unwrap_or(HEADER)).map(str::to_owned);
    let body = reading::body(&request.body)?;
    let event = if body["event"].is_object() { whole(&body) } else { flat(&body) };
    let mut gathered = Gathered::of(key);
    gathered.read([&event], |item, batch| events::read(item, &Sent::Unknown, request, batch));
    Ok(gathered.answer(Response::ok()))
}

/// The event with what is known of the person beside it.
fn whole(body: &Value) -> Value {
    let mut event = body["event"].clone();
    if !event["event"].is_string() {
        // What older versions call it.
        event["event"] = event["name"].clone();
    }
    event["person"] = body["person"].clone();
    event
}

/// An event whose properties stand at the top.
fn flat(body: &Value) -> Value {
    let chain = text(&body["elements_chain"]);
    let chain = if chain.is_empty() { made_chain(body) } else { chain };
    json!({
        "event": body["event"],
        "uuid": first([&body["uuid"], &body["event_id"]]),
        "timestamp": body["timestamp"],
        "distinct_id": body["distinct_id"],
        "elements_chain": chain,
        "person": {"properties": {"email": body["email"]}},
        "properties": {
            "$event_type": if text(&body["event_type"]).is_empty() { json!("click") } else { body["event_type"].clone() },
            "$current_url": body["current_url"],
            "$session_id": body["session_id"],
            "$el_text": body["button_or_link_text"],
            "$external_click_url": body["link_destination"],
            "title": body["title"],
        },
    })
}

/// A chain of the little that is said of an element where there is none.
fn made_chain(body: &Value) -> String {
    let named = |key: &str, name: &str| {
        let value = text(&body[name]).replace('"', "\\\"");
        if value.is_empty() { String::new() } else { format!("{key}=\"{value}\"") }
    };
    let link = !text(&body["link_destination"]).is_empty();
    let field = !text(&body["input_field_name"]).is_empty();
    let tag = if link {
        "a"
    } else if field {
        "input"
    } else {
        "button"
    };
    let keys = named("attr__id", "element_id")
        + &named("attr__name", "input_field_name")
        + &named("text", "button_or_link_text");
    if keys.is_empty() { String::new() } else { format!("{tag}:{keys}") }
}
