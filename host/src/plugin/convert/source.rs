//! What sources bring.

use serde_json::{Map, Value};
use sidenote_sources::{Batch, Element, Event, Identity, Kind, Merge};

use super::MAX_MESSAGE_BYTES;
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::source as wit;
use crate::plugin::clean::clean;
use crate::plugin::receiving::{
    EventsPage, EventsReceived, KeyText, PollSubject, SourceAnswer, SourceError, SourceRejection,
    SourceRequest,
};

const MAX_BATCHES: usize = 1000;
const MAX_EVENTS: usize = 100_000;
const MAX_MERGES: usize = 10_000;
const MAX_IGNORED: usize = 64;
const MAX_REASON_BYTES: usize = 200;
const MAX_KEY_BYTES: usize = 4096;
const MAX_CURSOR_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
const MAX_BODY_BYTES: usize = 1 << 20;

/// `headers` are those of the request.
pub(in crate::plugin) fn source_request<'a>(
    request: &'a SourceRequest,
    headers: &'a [(&'a str, &'a str)],
) -> wit::Request<'a> {
    wit::Request {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers,
        body: &request.body,
        received_at_ms: request.received_at.as_millis(),
        extras: &[],
    }
}

pub(in crate::plugin) fn subject(subject: &PollSubject) -> wit::Subject<'_> {
    wit::Subject { product_id: subject.product.as_str(), user_id: &subject.user, extras: &[] }
}

pub(in crate::plugin) fn received(received: wit::Received) -> Result<EventsReceived, SourceError> {
    let batches = batches(received.batches)?;
    if received.keyless && !batches.is_empty() {
        return Err(unusable("it is `keyless` and has batches"));
    }
    if received.key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
        return Err(unusable(format!("its key is longer than {MAX_KEY_BYTES} bytes")));
    }
    Ok(EventsReceived {
        key: received.key.filter(|key| !key.is_empty()).map(KeyText),
        keyless: received.keyless,
        batches,
        ignored: ignored(received.ignored),
        answer: answer(received.response)?,
    })
}

pub(in crate::plugin) fn page(page: wit::Page) -> Result<EventsPage, SourceError> {
    if page.cursor.as_ref().is_some_and(|cursor| cursor.len() > MAX_CURSOR_BYTES) {
        return Err(unusable(format!("its cursor is longer than {MAX_CURSOR_BYTES} bytes")));
    }
    Ok(EventsPage {
        batches: batches(page.batches)?,
        cursor: page.cursor,
        more: page.more,
        ignored: ignored(page.ignored),
    })
}

pub(in crate::plugin) fn source_rejection(rejection: wit::Rejection) -> SourceError {
    SourceError::Rejected {
        kind: match rejection.kind {
            wit::RejectionKind::NotFound => SourceRejection::NotFound,
            wit::RejectionKind::Method => SourceRejection::Method,
            wit::RejectionKind::Unauthorized => SourceRejection::Unauthorized,
            wit::RejectionKind::Malformed => SourceRejection::Malformed,
            wit::RejectionKind::Unavailable => SourceRejection::Unavailable,
        },
        message: clean(&rejection.message, MAX_MESSAGE_BYTES),
    }
}

fn batches(batches: Vec<wit::Batch>) -> Result<Vec<Batch>, SourceError> {
    let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
    let merges: usize = batches.iter().map(|batch| batch.merges.len()).sum();
    if batches.len() > MAX_BATCHES || events > MAX_EVENTS || merges > MAX_MERGES {
        return Err(unusable(format!(
            "it has more than {MAX_BATCHES} batches, {MAX_EVENTS} events or {MAX_MERGES} merges"
        )));
    }
    let batches = batches.into_iter().map(|batch| Batch {
        product_id: given(batch.product_id),
        events: batch.events.into_iter().map(event).collect(),
        merges: batch
            .merges
            .into_iter()
            .map(|merge| Merge { from: merge.from, into: merge.into })
            .collect(),
    });
    Ok(batches.filter(|batch| !batch.events.is_empty() || !batch.merges.is_empty()).collect())
}

fn event(event: wit::Event) -> Event {
    let extra =
        |key: &str| event.extras.iter().find(|(it, _)| it == key).map(|(_, value)| value.clone());
    Event {
        conversation_id: given(extra("conversation-id")),
        heading: extra("heading").unwrap_or_default(),
        message: extra("message").unwrap_or_default(),
        id: event.id,
        kind: kind(event.kind),
        name: event.name,
        identity: Identity {
            session_id: given(event.identity.session_id),
            anonymous_id: given(event.identity.anonymous_id),
            user_id: given(event.identity.user_id),
            email: given(event.identity.email),
        },
        at: event.at.filter(|at| at.is_finite()),
        title: event.title,
        description: event.description,
        url: event.url,
        page_title: event.page_title,
        elements: event.elements.into_iter().map(element).collect(),
        properties: properties(&event.properties),
    }
}

/// An empty text is the same as nothing.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn kind(kind: wit::EventKind) -> Kind {
    match kind {
        wit::EventKind::Custom => Kind::Custom,
        wit::EventKind::Page => Kind::Page,
        wit::EventKind::Screen => Kind::Screen,
        wit::EventKind::Click => Kind::Click,
        wit::EventKind::Change => Kind::Change,
        wit::EventKind::Submit => Kind::Submit,
        wit::EventKind::RageClick => Kind::RageClick,
        wit::EventKind::DeadClick => Kind::DeadClick,
        wit::EventKind::Error => Kind::Error,
        wit::EventKind::Identity => Kind::Identity,
    }
}

fn element(element: wit::Element) -> Element {
    let wit::Element { tag, text, attributes } = element;
    Element { tag, text, attributes }
}

/// What isn't an object says nothing: the event stands without it.
fn properties(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn ignored(ignored: Vec<wit::Ignored>) -> Vec<(String, u32)> {
    let told = ignored.into_iter().filter(|it| it.count > 0).take(MAX_IGNORED);
    told.map(|it| (clean(&it.reason, MAX_REASON_BYTES), it.count)).collect()
}

fn answer(response: wit::Response) -> Result<SourceAnswer, SourceError> {
    let wit::Response { status, headers, body } = response;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if !(200..=599).contains(&status) {
        return Err(unusable(format!("its answer has the status {status}")));
    }
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES || body.len() > MAX_BODY_BYTES {
        return Err(unusable("its answer is too large"));
    }
    Ok(SourceAnswer { status, headers, body: body.into() })
}

fn unusable(message: impl Into<String>) -> SourceError {
    SourceError::Crashed { code: "invalid".to_owned(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keyless: bool, events: usize) -> wit::Received {
        let identity = wit::Identity {
            session_id: Some(String::new()),
            anonymous_id: None,
            user_id: Some("u".to_owned()),
            email: None,
            extras: Vec::new(),
        };
        let event = wit::Event {
            id: "1".to_owned(),
            kind: wit::EventKind::Error,
            name: "TypeError".to_owned(),
            identity,
            at: Some(f64::NAN),
            title: String::new(),
            description: String::new(),
            url: String::new(),
            page_title: String::new(),
            elements: Vec::new(),
            properties: "[1]".to_owned(),
            extras: vec![("message".to_owned(), "it broke".to_owned())],
        };
        wit::Received {
            key: Some(String::new()),
            keyless,
            batches: vec![wit::Batch {
                product_id: None,
                events: vec![event; events],
                merges: Vec::new(),
                extras: Vec::new(),
            }],
            ignored: vec![wit::Ignored { reason: "a\u{1b}b".repeat(200), count: 2 }],
            response: wit::Response { status: 200, headers: Vec::new(), body: Vec::new() },
            extras: Vec::new(),
        }
    }

    #[test]
    fn what_a_guest_says_is_read_within_bounds() {
        let read = received(found(false, 1)).unwrap();
        let event = &read.batches[0].events[0];
        assert_eq!((event.kind, event.at, &*event.message), (Kind::Error, None, "it broke"));
        assert_eq!(event.identity.session_id, None, "an empty text is nothing");
        assert!(event.properties.is_empty() && read.key.is_none());
        assert!(
            read.ignored[0].0.len() <= MAX_REASON_BYTES && !read.ignored[0].0.contains('\u{1b}')
        );
        assert!(received(found(false, 0)).unwrap().batches.is_empty());
    }

    #[test]
    fn what_can_not_be_used_is_a_crash_of_the_guest() {
        let too_large =
            wit::Response { status: 200, headers: Vec::new(), body: vec![0; MAX_BODY_BYTES + 1] };
        for odd in [
            found(true, 1),
            found(false, MAX_EVENTS + 1),
            wit::Received {
                response: wit::Response { status: 101, ..found(false, 0).response },
                ..found(false, 0)
            },
            wit::Received { response: too_large, ..found(false, 0) },
        ] {
            assert!(matches!(received(odd), Err(SourceError::Crashed { .. })));
        }
    }
}
