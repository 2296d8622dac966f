//! One call of the Segment specification.

use serde_json::Value;
use sidenote_plugin::source::{Batch, Event, EventKind, Identity, Merge, Request};

use crate::reading::{at, email, first, first_id, millis, properties, text};

/// The calls of a request.
pub(crate) struct Calls<'a> {
    /// The request.
    pub request: &'a Request,
    /// What stands around the calls.
    pub whole: &'a Value,
    /// What the address says that they are.
    pub kind: Option<&'static str>,
}

impl Calls<'_> {
    /// Reads a call.
    ///
    /// # Errors
    /// It says nothing of what somebody did; why.
    pub(crate) fn read(&self, call: &Value, batch: &mut Batch) -> Result<(), &'static str> {
        let said =
            call["type"].as_str().or(self.kind).ok_or("a call that doesn't say what it is")?;
        let of_call = &call["properties"];
        let (kind, name) = match said {
            "track" => {
                let name = text(&call["event"]);
                if name.trim().is_empty() {
                    return Err("an event without a name");
                }
                if name == "Page Unloaded" && !of_call["timeOnPage"].is_null() {
                    return Err("the page was left");
                }
                (EventKind::Custom, name)
            }
            "page" => (EventKind::Page, first([&call["name"], &of_call["name"]])),
            "screen" => {
                (EventKind::Screen, first([&call["name"], &of_call["name"], &call["event"]]))
            }
            "identify" | "group" | "alias" => (EventKind::Identity, said.to_owned()),
            _ => return Err("a call of an unknown type"),
        };
        let mut event = Event::new(kind, name);
        event.id = first_id([&call["messageId"]]).unwrap_or_default();
        event.identity = self.identity(call, said, batch);
        event.at = self.time(call);
        let page = &call["context"]["page"];
        let own = if matches!(kind, EventKind::Page) { of_call } else { &Value::Null };
        event.url = first([&own["url"], &page["url"], &of_call["url"]]);
        event.page_title = first([&own["title"], &page["title"]]);
        if matches!(kind, EventKind::Custom | EventKind::Page | EventKind::Screen) {
            let of_page = [
                "path",
                "referrer",
                "search",
                "title",
                "url",
                "tab_url",
                "initial_referrer",
                "initial_referring_domain",
                "referring_domain",
            ];
            let is_page = matches!(kind, EventKind::Page);
            event.properties = properties(of_call, |name| !is_page || !of_page.contains(&name));
        }
        batch.events.push(event);
        Ok(())
    }

    /// When it happened. What has been through the vendor is corrected already.
    fn time(&self, call: &Value) -> Option<f64> {
        let happened = millis(&call["timestamp"]).or_else(|| millis(&call["originalTimestamp"]));
        let sent = millis(&call["sentAt"]).or_else(|| millis(&self.whole["sentAt"]));
        let corrected = !call["receivedAt"].is_null() && !call["timestamp"].is_null();
        at(happened, sent.filter(|_| !corrected), self.request)
    }

    fn identity(&self, call: &Value, said: &str, batch: &mut Batch) -> Identity {
        let mut identity = Identity::nobody();
        identity.user_id = first_id([&call["userId"]]);
        identity.anonymous_id = first_id([&call["anonymousId"]]);
        // The traits of a group are the group's.
        let own = if said == "identify" { &call["traits"] } else { &Value::Null };
        identity.email = email([own, &call["context"]["traits"]]);
        // A number of milliseconds: two visitors can have the same.
        if let Some(session) =
            first_id([&call["context"]["sessionId"], &call["context"]["session_id"]])
        {
            let whose = identity.anonymous_id.as_ref().or(identity.user_id.as_ref());
            identity.session_id = whose.map(|whose| format!("{whose}:{session}"));
        }
        if said == "alias"
            && let (Some(from), Some(into)) = (first_id([&call["previousId"]]), &identity.user_id)
            && from != *into
        {
            batch.merges.push(Merge { from, into: into.clone() });
        }
        identity
    }
}
