//! Notes in a thread: posted, found again, deleted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::{Call, Failure, FailureKind, Note, Posted, Redaction, json, log};

use crate::api;
use crate::mrkdwn;
use crate::thread::Thread;

/// What the metadata of our messages is called.
pub(crate) const METADATA: &str = "sidenote_note";
/// Messages per page of a search. A page has to stay below the host's `max_response`.
const PAGE: &str = "100";
/// Most pages of a search.
const MOST_PAGES: usize = 50;

/// Posts a note. A long one takes several messages: those of them that an earlier attempt left are not
/// posted again.
pub(crate) fn note(call: &Call, note: &Note) -> Result<Posted, Failure> {
    let thread = Thread::read(&note.conversation_id)?;
    let texts = mrkdwn::parts(&note.body);
    let there =
        if texts.len() > 1 { parts(&thread, &call.idempotency_key)? } else { BTreeMap::new() };
    let mut ids = Vec::new();
    for (part, text) in (1..).zip(&texts) {
        if let Some(known) = there.get(&part) {
            ids.push(known.ts.clone());
            continue;
        }
        let payload = Payload { key: &call.idempotency_key, part, parts: texts.len() };
        let message = Message {
            channel: &thread.channel,
            thread_ts: &thread.ts,
            text,
            mrkdwn: false,
            unfurl_links: false,
            unfurl_media: false,
            metadata: Metadata { event_type: METADATA, event_payload: payload },
        };
        let answer = api::post("chat.postMessage", &message)?;
        // It was accepted, so an answer that doesn't say what it is called is no failure.
        match answer["ts"].as_str().filter(|ts| !ts.is_empty()) {
            Some(ts) => ids.push(ts.to_owned()),
            None => log::warn!("the answer doesn't show what was posted"),
        }
    }
    // A part without a name couldn't be deleted, so the note has none either.
    let is_whole = ids.len() == texts.len();
    Ok(if is_whole { Posted::with_id(ids.join(",")) } else { Posted::without_id() })
}

/// The note with this key, where all of its messages are there.
pub(crate) fn find(conversation: &str, key: &str) -> Result<Option<String>, Failure> {
    let found = parts(&Thread::read(conversation)?, key)?;
    let whole = found.values().next().is_some_and(|any| any.parts == found.len());
    let ids: Vec<_> = found.into_values().map(|part| part.ts).collect();
    Ok(whole.then(|| ids.join(",")))
}

/// Deletes the messages of a note.
pub(crate) fn delete(conversation: &str, note: &str) -> Result<Redaction, Failure> {
    let thread = Thread::read(conversation)?;
    for ts in note.split(',') {
        let message = serde_json::json!({ "channel": thread.channel, "ts": ts });
        match api::post("chat.delete", &message) {
            Ok(_) => {}
            Err(failure) if failure.code == "message_not_found" => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Redaction::Removed)
}

/// A message of a note that is there.
struct Part {
    ts: String,
    /// How many messages the note has.
    parts: usize,
}

/// The messages of the note with this key that are in the thread, by their number.
fn parts(thread: &Thread, key: &str) -> Result<BTreeMap<u64, Part>, Failure> {
    let mut found = BTreeMap::new();
    let mut cursor = String::new();
    for _ in 0..MOST_PAGES {
        let page = api::get(
            "conversations.replies",
            &[
                ("channel", &thread.channel),
                ("ts", &thread.ts),
                ("include_all_metadata", "true"),
                ("limit", PAGE),
                ("cursor", &cursor),
            ],
        )?;
        let messages = page["messages"].as_array().ok_or_else(|| api::unreadable("`messages`"))?;
        for message in messages {
            let (metadata, ts) = (&message["metadata"], message["ts"].as_str());
            let payload = &metadata["event_payload"];
            let ours = metadata["event_type"] == METADATA && payload["key"] == key;
            if let (true, Some(part), Some(ts)) = (ours, number(&payload["part"]), ts) {
                let parts = number(&payload["parts"]).and_then(|parts| usize::try_from(parts).ok());
                let part_of = Part { ts: ts.to_owned(), parts: parts.unwrap_or(1) };
                found.entry(part).or_insert(part_of);
            }
        }
        let next = page["response_metadata"]["next_cursor"].as_str();
        cursor = next.unwrap_or_default().to_owned();
        if cursor.is_empty() {
            return Ok(found);
        }
    }
    // Nothing found is not nothing there.
    Err(Failure::new(FailureKind::Permanent, "thread", "the thread is too long to be searched"))
}

/// A number, which metadata may hold as a text.
fn number(value: &Value) -> Option<u64> {
    json::id(value)?.parse().ok()
}

#[derive(Serialize)]
struct Message<'a> {
    channel: &'a str,
    thread_ts: &'a str,
    text: &'a str,
    /// Whether `*` and `_` mean something: never in what people wrote.
    mrkdwn: bool,
    unfurl_links: bool,
    unfurl_media: bool,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    event_type: &'static str,
    event_payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    key: &'a str,
    part: u64,
    parts: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidenote_plugin::Sent;
    use sidenote_plugin::test::{self, Host, Request};

    use super::*;

    const THREAD: &str = "C1:1700000000.000100";

    fn to_thread(body: &str) -> Note {
        Note { conversation_id: THREAD.to_owned(), ..test::note(body) }
    }

    fn ts(ts: &str) -> String {
        json!({ "ok": true, "channel": "C1", "ts": ts }).to_string()
    }

    fn body(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    fn ours(ts: &str, key: &str, part: u64, parts: u64) -> Value {
        json!({ "ts": ts, "text": "x", "metadata": {
            "event_type": METADATA, "event_payload": { "key": key, "part": part, "parts": parts },
        } })
    }

    fn page(messages: &[Value], cursor: &str) -> String {
        let next = json!({ "next_cursor": cursor });
        json!({ "ok": true, "messages": messages, "response_metadata": next }).to_string()
    }

    #[test]
    fn a_note_is_a_message_in_the_thread_with_its_key() {
        let host = Host::new().respond(200, &ts("1700000001.000200")).install();
        let posted = note(&test::call(), &to_thread("<!channel> {{secret:token}}")).unwrap();
        assert_eq!(posted, Posted::with_id("1700000001.000200"));
        let request = &host.requests()[0];
        assert_eq!(request.url, "https://slack.com/api/chat.postMessage");
        assert!(!request.secrets_in_body);
        let wanted = json!({
            "channel": "C1", "thread_ts": "1700000000.000100",
            "text": "&lt;!channel&gt; {{secret:token}}",
            "mrkdwn": false, "unfurl_links": false, "unfurl_media": false,
            "metadata": { "event_type": "sidenote_note",
                "event_payload": { "key": "key-1", "part": 1, "parts": 1 } },
        });
        assert_eq!(body(request), wanted);
    }

    #[test]
    fn a_long_note_goes_on_where_an_attempt_before_stopped() {
        let long = to_thread(&"clicked Pay\n".repeat(500));
        let count = mrkdwn::parts(&long.body).len();
        assert_eq!(count, 2);
        let host = Host::new()
            .respond(200, &page(&[ours("1.1", "key-1", 1, 2), ours("1.2", "key-2", 2, 2)], ""))
            .respond(200, &ts("1.3"))
            .install();
        assert_eq!(note(&test::call(), &long).unwrap(), Posted::with_id("1.1,1.3"));
        let requests = host.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(body(&requests[1])["metadata"]["event_payload"]["part"], 2);
    }

    #[test]
    fn a_note_is_found_when_all_of_it_is_there() {
        let whole = [ours("1.2", "key-1", 1, 2), ours("1.3", "key-1", 2, 2)];
        for (pages, wanted) in [
            (vec![page(&whole, "")], Some("1.2,1.3")),
            (vec![page(&whole[..1], "next="), page(&whole[1..], "")], Some("1.2,1.3")),
            (vec![page(&whole[..1], "")], None),
            (vec![page(&[json!({ "ts": "1.1" }), ours("1.4", "key-2", 1, 1)], "")], None),
            (vec![r#"{"ok":true,"messages":[]}"#.to_owned()], None),
        ] {
            let host =
                pages.iter().fold(Host::new(), |host, page| host.respond(200, page)).install();
            assert_eq!(find(THREAD, "key-1"), Ok(wanted.map(str::to_owned)));
            let requests = host.requests();
            assert_eq!(requests.len(), pages.len());
            assert!(requests[0].url.contains("ts=1700000000.000100&include_all_metadata=true"));
            assert!(requests[1..].iter().all(|it| it.url.ends_with("&cursor=next%3D")));
        }
    }

    #[test]
    fn a_note_that_was_taken_is_no_failure_and_odd_messages_hide_none() {
        for answer in
            [r#"{"ok":true}"#, r#"{"ok":true,"ts":null}"#, r#"{"ok":true,"ts":1700000001.2}"#]
        {
            Host::new().respond(200, answer).install();
            let posted = note(&test::call(), &to_thread("x"));
            assert_eq!(posted, Ok(Posted::without_id()), "{answer}");
        }
        let odd = [
            Value::Null,
            json!({}),
            json!({ "ts": 7, "metadata": [] }),
            ours("1.2", "key-1", 1, 1),
        ];
        Host::new().respond(200, &page(&odd, "")).install();
        assert_eq!(find(THREAD, "key-1"), Ok(Some("1.2".to_owned())));
        for unreadable in [r#"{"ok":true}"#, r#"{"ok":true,"messages":{}}"#, r#"{"messages":[]}"#] {
            Host::new().respond(200, unreadable).install();
            assert_eq!(find(THREAD, "key-1").unwrap_err().kind, FailureKind::Permanent);
        }
    }

    #[test]
    fn a_thread_without_end_is_a_failure_and_not_nothing() {
        let host =
            (0..MOST_PAGES).fold(Host::new(), |host, _| host.respond(200, &page(&[], "more")));
        host.install();
        assert_eq!(find(THREAD, "key-1").unwrap_err().kind, FailureKind::Permanent);
    }

    #[test]
    fn every_message_of_a_note_is_deleted_and_a_missing_one_is_gone() {
        let gone = r#"{"ok":false,"error":"message_not_found"}"#;
        let host = Host::new().respond(200, &ts("1.2")).respond(200, gone).install();
        assert_eq!(delete(THREAD, "1.2,1.3"), Ok(Redaction::Removed));
        let deleted: Vec<_> = host.requests().iter().map(|it| body(it)["ts"].clone()).collect();
        assert_eq!(deleted, ["1.2", "1.3"]);
        Host::new().respond(200, r#"{"ok":false,"error":"cant_delete_message"}"#).install();
        assert_eq!(delete(THREAD, "1.2").unwrap_err().kind, FailureKind::Auth);
    }

    #[test]
    fn a_conversation_of_another_form_sends_nothing() {
        let host = Host::new().install();
        let failure = note(&test::call(), &test::note("x")).unwrap_err();
        assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));
        assert!(host.requests().is_empty());
    }
}
