//! A Sidenote plugin that brings what people do: a shop posts lists of what happened to `/sources/NAME/orders`.

use serde_json::{Value, json};
use sidenote_plugin::source::{
    Batch, Event, EventKind, Ignored, Received, Rejection, RejectionKind, Request, Response,
};
use sidenote_plugin::{Source, config, json};

/// The plugin.
pub struct Shop;

impl Source for Shop {
    fn receive(request: Request) -> Result<Received, Rejection> {
        if request.path != "/orders" {
            return Err(Rejection::not_found());
        }
        if request.method != "POST" {
            return Err(Rejection::new(RejectionKind::Method, "post a list of events"));
        }
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| Rejection::malformed("the body is no JSON"))?;
        let list = body.as_array().ok_or_else(|| Rejection::malformed("the body is no list"))?;
        let events: Vec<_> = list.iter().filter_map(event).filter(is_told).collect();
        let (told, all) = (events.len(), list.len());
        // What was left out is said, and the rest is accepted: a sender that is refused sends all of it again, or nothing.
        let answer = Response::json(json!({ "accepted": told }).to_string());
        let mut received = Received::new(answer).with(Batch::of(events));
        if told < all {
            let left_out = u32::try_from(all - told).unwrap_or(u32::MAX);
            received.ignored.push(Ignored::new("no event of a customer", left_out));
        }
        Ok(received)
    }
}

/// An event of the shop; `None` where it is none, or nobody's.
fn event(value: &Value) -> Option<Event> {
    let name = value["event"].as_str()?;
    let kind = if name == "visited" { EventKind::Page } else { EventKind::Custom };
    let mut event = Event::new(kind, if kind == EventKind::Page { "" } else { name });
    event.identity.user_id = Some(json::id(&value["customer"])?);
    // The shop numbers its events: one that is sent again counts once.
    event.id = json::id(&value["number"]).unwrap_or_default();
    event.at = value["at"].as_f64();
    event.url = value["page"].as_str().unwrap_or_default().to_owned();
    event.properties = json!({ "amount": value["amount"] }).to_string();
    Some(event)
}

/// Whether the operator wants it told.
fn is_told(event: &Event) -> bool {
    event.kind != EventKind::Page || config::get("visits").as_deref() != Some("false")
}

sidenote_plugin::export!(Shop: Source; manifest = include_str!("../manifest.json"));

#[cfg(test)]
mod tests;
