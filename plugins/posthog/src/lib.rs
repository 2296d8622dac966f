//! A source: PostHog's SDKs pointed at Sidenote, and PostHog's webhook destination.
//!
//! | what comes | what it becomes |
//! |---|---|
//! | events of posthog-js of any age and of posthog-node ([`body`]) | events ([`events`], [`chain`]) |
//! | one event of a webhook, whole or flat ([`webhook`]) | the same |
//! | what an SDK asks for before it sends anything ([`answers`]) | answers that let it send |

mod answers;
mod body;
mod chain;
mod elements;
mod events;
#[path = "../../segment/src/reading.rs"]
mod reading;
mod webhook;

use serde_json::Value;
use sidenote_plugin::Source;
use sidenote_plugin::source::{Received, Rejection, Request, Response};

use reading::{Gathered, only, path};

/// The plugin.
pub struct PostHog;

impl Source for PostHog {
    fn receive(request: Request) -> Result<Received, Rejection> {
        let path = path(&request);
        match path {
            "/" => {
                only(&request, &["POST", "PUT", "PATCH"])?;
                return webhook::read(&request);
            }
            "/e" | "/i/v0/e" | "/batch" | "/capture" | "/track" | "/engage" => {
                only(&request, &["POST"])?;
                return received(&request);
            }
            _ => {}
        }
        answers::answer(&request, path)
    }
}

/// Events of an SDK.
fn received(request: &Request) -> Result<Received, Rejection> {
    let body = body::read(request)?;
    let (items, whole): (&[Value], &Value) = match (&body, &body["batch"]) {
        (Value::Array(items), _) => (items, &Value::Null),
        (_, Value::Array(items)) => (items, &body),
        _ => (std::slice::from_ref(&body), &body),
    };
    let mut gathered = Gathered::of(body::key(whole, items));
    let sent = body::sent(request, whole, items);
    gathered.read(items, |item, batch| events::read(item, &sent, request, batch));
    Ok(gathered.answer(Response::json(r#"{"status":1}"#)))
}

sidenote_plugin::export!(PostHog: Source; manifest = include_str!("../manifest.json"));
