//! One event of Amplitude's.

use serde_json::Value;
use sidenote_plugin::source::{Batch, Element, Event, EventKind, Identity, Request};

use crate::elements::{attribute, element, extra, without_typed};
use crate::reading::{at, cut, email, first, first_id, millis, properties, text};

/// What stands before the names of what the SDK captures by itself.
const OWN: &str = "[Amplitude] ";

/// Reads an event.
///
/// # Errors
/// It says nothing of what somebody did; why.
pub(crate) fn read(
    item: &Value,
    sent: Option<f64>,
    request: &Request,
    batch: &mut Batch,
) -> Result<(), &'static str> {
    let name = item["event_type"]
        .as_str()
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .ok_or("an event without a name")?;
    let said = &item["event_properties"];
    let (kind, name) = match name.strip_prefix(OWN) {
        Some("Page Viewed") => (EventKind::Page, String::new()),
        Some("Screen Viewed") => (EventKind::Screen, text(&said["[Amplitude] Screen Name"])),
        Some("Element Clicked") => (EventKind::Click, String::new()),
        Some("Element Changed") => (EventKind::Change, String::new()),
        Some("Form Submitted") => (EventKind::Submit, String::new()),
        Some("Rage Click") => (EventKind::RageClick, String::new()),
        Some("Dead Click") => (EventKind::DeadClick, String::new()),
        Some("Form Started") => return Err("a form was begun, which the change in it says"),
        Some(_) => return Err("of the SDK itself, nothing that somebody did"),
        None => match name {
            "$identify" | "$groupidentify" => (EventKind::Identity, name.to_owned()),
            "session_start" | "session_end" => return Err("a session began or ended"),
            "revenue_amount" => return Err("revenue, which has no name"),
            _ if name.starts_with('$') => {
                return Err("of the SDK itself, nothing that somebody did");
            }
            _ => (EventKind::Custom, text(&item["event_type"])),
        },
    };
    let mut event = Event::new(kind, name);
    event.id = first_id([&item["insert_id"]]).unwrap_or_default();
    event.identity = identity(item);
    event.at = at(millis(&item["time"]), sent, request);
    event.url = first([&said["[Amplitude] Page Location"], &said["[Amplitude] Page URL"]]);
    event.page_title = text(&said["[Amplitude] Page Title"]);
    event.elements = of_event(said, kind);
    if matches!(kind, EventKind::Custom | EventKind::Page | EventKind::Screen) {
        event.properties =
            properties(said, |name| !name.starts_with(['[', '$']) && !name.starts_with("utm_"));
    }
    let heading = text(&said["[Amplitude] Element Parent Label"]);
    extra(&mut event, "heading", heading);
    batch.events.push(event);
    Ok(())
}

/// Who it was. The number of a session is a time, which two visitors can share and which outlives a logout: with the
/// device's, which is new then, it is one.
fn identity(item: &Value) -> Identity {
    let mut identity = Identity::nobody();
    identity.user_id = first_id([&item["user_id"]]);
    identity.anonymous_id = first_id([&item["device_id"]]);
    let user = &item["user_properties"];
    identity.email = email([&user["$set"], &user["$setOnce"], user]);
    let session = item["session_id"].as_i64().filter(|it| *it > 0);
    if let (Some(session), Some(whose)) =
        (session, identity.anonymous_id.as_ref().or(identity.user_id.as_ref()))
    {
        identity.session_id = Some(format!("{whose}:{session}"));
    }
    identity
}

/// The elements, the innermost first. A form's own event has its names alone.
fn of_event(said: &Value, kind: EventKind) -> Vec<Element> {
    let of = |name: &str| text(&said[&*format!("{OWN}{name}")]);
    if matches!(kind, EventKind::Submit) {
        let mut form = element("form");
        named(&mut form, &[("id", of("Form ID")), ("name", of("Form Name"))]);
        return vec![form];
    }
    let hierarchy =
        said["[Amplitude] Element Hierarchy"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut elements: Vec<Element> = hierarchy.iter().take(16).map(of_hierarchy).collect();
    let tag = of("Element Tag");
    if elements.is_empty() && !tag.is_empty() {
        elements.push(element(&tag));
    }
    if let Some(first) = elements.first_mut() {
        first.text = cut(&of("Element Text"), 1024).to_owned();
        let told = [
            ("id", of("Element ID")),
            ("aria-label", of("Element Aria Label")),
            ("href", of("Element Href")),
            ("class", of("Element Class")),
        ];
        named(first, &told);
    }
    elements
}

fn of_hierarchy(it: &Value) -> Element {
    let mut read = element(it["tag"].as_str().unwrap_or_default());
    named(&mut read, &[("id", text(&it["id"]))]);
    let classes: Vec<&str> =
        it["classes"].as_array().into_iter().flatten().filter_map(Value::as_str).take(16).collect();
    named(&mut read, &[("class", classes.join(" "))]);
    for (name, value) in it["attrs"].as_object().into_iter().flatten() {
        if let Some(value) = value.as_str() {
            attribute(&mut read, name, value);
        }
    }
    without_typed(&mut read);
    read
}

fn named(element: &mut Element, told: &[(&str, String)]) {
    for (name, value) in told.iter().filter(|(_, value)| !value.is_empty()) {
        attribute(element, name, value);
    }
}
