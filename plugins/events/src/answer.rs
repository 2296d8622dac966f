//! What the sender is told.

use serde_json::json;
use sidenote_plugin::source::{Ignored, Response};

use crate::body::Place;
use crate::event::Placed;

/// So many faults are told.
const TOLD: usize = 20;

/// How much was accepted, and what is wrong with the rest.
pub(crate) fn of(accepted: usize, faults: &[Placed]) -> Response {
    let told = faults.iter().take(TOLD).map(|Placed { place, fault }| {
        let mut told = json!({ "error": fault.error });
        match place {
            Place::Alone => {}
            Place::Event(number) => told["event"] = json!(number),
            Place::Line(number) => told["line"] = json!(number),
        }
        if let Some(field) = &fault.field {
            told["field"] = json!(field);
        }
        told
    });
    let told: Vec<_> = told.collect();
    Response::json(
        json!({ "accepted": accepted, "refused": faults.len(), "errors": told }).to_string(),
    )
}

/// The same for the host's counts, by the field.
pub(crate) fn ignored(faults: &[Placed]) -> Vec<Ignored> {
    let mut ignored: Vec<Ignored> = Vec::new();
    for fault in faults {
        let reason = fault.fault.field.as_deref().unwrap_or("line");
        if let Some(same) = ignored.iter_mut().find(|it| it.reason == reason) {
            same.count = same.count.saturating_add(1);
        } else if ignored.len() < TOLD {
            ignored.push(Ignored::new(reason, 1));
        }
    }
    ignored
}
