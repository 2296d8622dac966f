//! An action of the connector as an event.

use serde_json::Value;
use sidenote_plugin::json;
use sidenote_plugin::source::{Event, EventKind, Identity};

/// The event of an action that `user` did; `None` for what is no object.
///
/// The connector gives actions no ids, and its windows overlap: one is known by its session, its place there, when it began and
/// its title.
pub(crate) fn event(action: &Value, user: &str) -> Option<Event> {
    action.as_object()?;
    let text = |name: &str| action[name].as_str().unwrap_or_default().to_owned();
    let mut event = Event::new(kind(&text("type")), text("type"));
    event.title = text("title");
    event.description = text("description");
    event.url = match text("raw_url") {
        raw if raw.is_empty() => text("canonical_url"),
        raw => raw,
    };
    event.at = action["timestamp_start"].as_f64().or_else(|| action["timestamp_end"].as_f64());
    let session = json::id(&action["session_id"]);
    event.id = format!(
        "{}\u{1f}{}\u{1f}{}\u{1f}{}",
        session.as_deref().unwrap_or_default(),
        action["index"],
        action["timestamp_start"],
        event.title
    );
    event.identity = Identity {
        session_id: session,
        anonymous_id: None,
        user_id: Some(json::id(&action["user_id"]).unwrap_or_else(|| user.to_owned())),
        email: json::id(&action["email"]),
        extras: Vec::new(),
    };
    Some(event)
}

/// The connector's word for it, where the host has the same.
fn kind(word: &str) -> EventKind {
    match word {
        "page" | "pageview" | "navigation" => EventKind::Page,
        "click" => EventKind::Click,
        "change" | "input" => EventKind::Change,
        "submit" => EventKind::Submit,
        "rage_click" => EventKind::RageClick,
        "dead_click" => EventKind::DeadClick,
        "error" => EventKind::Error,
        _ => EventKind::Custom,
    }
}
