//! One event of PostHog's.

use serde_json::Value;
use sidenote_plugin::source::{Batch, Element, Event, EventKind, Identity, Merge, Request};

use crate::body::Sent;
use crate::chain;
use crate::elements::{attribute, element, extra, without_typed};
use crate::reading::{at, cut, email, first, first_id, millis, properties, text};

/// What is the client's own and nothing that somebody did.
const NOISE: &str = "of the SDK itself, nothing that somebody did";
/// What campaigns and clicks on advertisements leave in every event.
const CAMPAIGNS: [&str; 24] = [
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "msclkid",
    "twclid",
    "igshid",
    "ttclid",
    "li_fat_id",
    "mc_cid",
    "rdt_cid",
    "epik",
    "qclid",
    "sccid",
    "irclid",
    "_kx",
    "gad_source",
    "oppref",
    "bfcid",
    "token",
    "distinct_id",
    "title",
];

/// Reads an event.
///
/// # Errors
/// It says nothing of what somebody did; why.
pub(crate) fn read(
    item: &Value,
    sent: &Sent,
    request: &Request,
    batch: &mut Batch,
) -> Result<(), &'static str> {
    let name = item["event"]
        .as_str()
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .ok_or("an event without a name")?;
    let said = &item["properties"];
    let (kind, name) = match name {
        "$pageview" => (EventKind::Page, String::new()),
        "$screen" => (EventKind::Screen, text(&said["$screen_name"])),
        "$autocapture" => match said["$event_type"].as_str().unwrap_or("click") {
            "click" => (EventKind::Click, String::new()),
            "change" => (EventKind::Change, String::new()),
            "submit" => (EventKind::Submit, String::new()),
            _ => return Err("captured by itself, neither click, change nor submit"),
        },
        "$rageclick" => (EventKind::RageClick, String::new()),
        "$dead_click" => (EventKind::DeadClick, String::new()),
        "$exception" => (EventKind::Error, error(said).0),
        "$identify" | "$set" | "$create_alias" | "$merge_dangerously" | "$groupidentify" => {
            (EventKind::Identity, cut(name, 64).to_owned())
        }
        _ if name.starts_with('$') => return Err(NOISE),
        _ => (EventKind::Custom, text(&item["event"])),
    };
    let mut event = Event::new(kind, name);
    event.id = first_id([&item["uuid"], &said["$insert_id"]]).unwrap_or_default();
    event.identity = identity(item, batch);
    event.at = time(item, sent, request);
    event.url = first([&said["$current_url"], &item["url"]]);
    if matches!(kind, EventKind::Page) {
        event.page_title = first([&said["title"], &said["$title"]]);
    }
    event.elements = elements(item, said);
    if matches!(kind, EventKind::Custom | EventKind::Page | EventKind::Screen) {
        let own = |name: &str| {
            !name.starts_with(['$', '_']) && !name.starts_with("utm_") && !CAMPAIGNS.contains(&name)
        };
        event.properties = properties(said, own);
    }
    if matches!(kind, EventKind::Error) {
        extra(&mut event, "message", error(said).1);
    }
    batch.events.push(event);
    Ok(())
}

/// When it happened, in seconds.
fn time(item: &Value, sent: &Sent, request: &Request) -> Option<f64> {
    // How long before it was sent.
    let offset = item["offset"].as_f64().filter(|it| it.is_finite() && (0.0..=1e11).contains(it));
    if let Some(offset) = offset {
        return Some((request.received_at_ms as f64 - offset) / 1000.0);
    }
    let happened = millis(&item["timestamp"]).or_else(|| millis(&item["properties"]["$time"]));
    let sent = match sent {
        Sent::At(sent) => Some(*sent),
        Sent::Unknown => None,
    };
    at(happened, sent, request)
}

/// Who it was. What the event says of names that are one person's goes into the batch.
fn identity(item: &Value, batch: &mut Batch) -> Identity {
    let said = &item["properties"];
    let mut identity = Identity::nobody();
    identity.session_id = first_id([&said["$session_id"]]);
    let Some(id) = first_id([&item["distinct_id"], &said["distinct_id"], &item["$distinct_id"]])
    else {
        return identity;
    };
    let anonymous = first_id([&said["$anon_distinct_id"], &item["$anon_distinct_id"]]);
    let alias = first_id([&said["alias"], &item["alias"]]);
    identity.email = email([
        &item["$set"],
        &said["$set"],
        &item["$set_once"],
        &said["$set_once"],
        &item["person"]["properties"],
    ]);
    let name = item["event"].as_str().unwrap_or_default();
    let merged = match name {
        "$identify" => anonymous.clone(),
        "$create_alias" | "$merge_dangerously" => alias,
        _ => None,
    };
    if let Some(from) = merged.filter(|from| *from != id) {
        batch.merges.push(Merge { from, into: id.clone() });
    }
    if name != "$identify" && is_anonymous(&id, said) {
        identity.anonymous_id = Some(id);
    } else {
        identity.anonymous_id = anonymous.filter(|it| *it != id);
        identity.user_id = Some(id);
    }
    identity
}

/// Whether an id is a visitor's, whom nobody knows. The newest clients say so; of the others' the form tells.
fn is_anonymous(id: &str, said: &Value) -> bool {
    if let Some(identified) = said["$is_identified"].as_bool() {
        return !identified;
    }
    if said["$user_id"].as_str() == Some(id) {
        return false;
    }
    said["$device_id"].as_str() == Some(id)
        || said["$process_person_profile"].as_bool() == Some(false)
        || is_made(id)
}

/// Whether an id has the form of those that the SDK makes for a browser: a UUID of whichever version.
fn is_made(id: &str) -> bool {
    let groups = id.split('-');
    groups.clone().count() == 5
        && groups
            .clone()
            .all(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && (32..=80).contains(&groups.map(str::len).sum::<usize>())
}

/// What an error is called, and what it says. Of the server's own errors there are lines of its source, which nobody is
/// told.
fn error(said: &Value) -> (String, String) {
    let one = &said["$exception_list"][0];
    let name = first([&one["type"], &said["$exception_types"][0], &said["$exception_type"]]);
    (name, first([&one["value"], &said["$exception_values"][0], &said["$exception_message"]]))
}

/// The elements, the innermost first.
fn elements(item: &Value, said: &Value) -> Vec<Element> {
    let chain = first([&said["$elements_chain"], &item["elements_chain"]]);
    let mut elements =
        if chain.is_empty() { of_array(&said["$elements"]) } else { chain::read(long(item, said)) };
    if let Some(innermost) = elements.first_mut()
        && innermost.text.is_empty()
    {
        innermost.text = text(&said["$el_text"]);
    }
    let leads = text(&said["$external_click_url"]);
    if !leads.is_empty() {
        let link = elements.iter().position(|it| it.tag == "a").unwrap_or(0);
        if let Some(link) = elements.get_mut(link) {
            link.attributes.retain(|(name, value)| name != "href" || !value.is_empty());
            attribute(link, "href", &leads);
        }
    }
    elements
}

/// The chain at its whole length.
fn long<'a>(item: &'a Value, said: &'a Value) -> &'a str {
    let said = said["$elements_chain"].as_str().filter(|it| !it.is_empty());
    said.or_else(|| item["elements_chain"].as_str()).unwrap_or_default()
}

/// As clients of before 2024 send them.
fn of_array(elements: &Value) -> Vec<Element> {
    let elements = elements.as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |it: &Value| {
        let mut read = element(it["tag_name"].as_str().unwrap_or_default());
        read.text = cut(it["$el_text"].as_str().unwrap_or_default(), 1024).to_owned();
        for (name, value) in it.as_object().into_iter().flatten() {
            if let (Some(name), Some(value)) = (name.strip_prefix("attr__"), value.as_str()) {
                attribute(&mut read, name, value);
            }
        }
        without_typed(&mut read);
        read
    };
    elements.iter().take(16).map(one).collect()
}
