//! A source: events as JSON or as lines of JSON, from one's own programs and pages. The form is in this folder's
//! `README.md` and in `schema/`.

mod answer;
mod body;
mod event;

use sidenote_plugin::Source;
use sidenote_plugin::source::{Batch, Received, Rejection, RejectionKind, Request};

/// The plugin.
pub struct Events;

impl Source for Events {
    fn receive(request: Request) -> Result<Received, Rejection> {
        if request.path != "/" {
            return Err(Rejection::not_found());
        }
        if !matches!(request.method.as_str(), "POST" | "PUT") {
            return Err(Rejection::new(RejectionKind::Method, "send events with POST"));
        }
        let body::Body { key, events } = body::read(&request.body)?;
        let (mut accepted, mut faults) = (Vec::new(), Vec::new());
        for (place, value) in events {
            match value.and_then(event::read) {
                Ok(event) => accepted.push(event),
                Err(fault) => faults.push(fault.at(place)),
            }
        }
        if let (true, Some(first)) = (accepted.is_empty(), faults.first()) {
            return Err(Rejection::malformed(format!("none of the events can be used: {first}")));
        }
        let response = answer::of(accepted.len(), &faults);
        let mut received = Received::new(response).with(Batch::of(accepted));
        received.key = key;
        received.ignored = answer::ignored(&faults);
        Ok(received)
    }
}

sidenote_plugin::export!(
    Events: Source;
    manifest = include_str!("../manifest.json")
);
