//! Notes, offers and answers in a thread: posted, found again, deleted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use sidenote_plugin::help::{Offer, QuickReply};
use sidenote_plugin::{Call, Failure, FailureKind, Note, Posted, Redaction, json, log, text};

use crate::api;
use crate::mrkdwn;
use crate::thread::Thread;

/// What the metadata of our notes is called.
const METADATA: &str = "sidenote_note";
/// What the metadata of offers and answers is called.
const TO_PERSON: &str = "sidenote_message";
/// The block with the buttons of an offer, by which a click is known to be ours.
pub(crate) const OFFER: &str = "sidenote_offer";
/// Longest text of an offer, in characters: a block takes 3,000, and a message so many once it is escaped.
const MOST_OFFERED: usize = 700;
/// Longest label of a button, in characters, with a mark where it was cut.
const MOST_LABEL: usize = 60;
/// Most buttons in a row of them.
const MOST_BUTTONS: usize = 5;
/// Longest id of an action, in bytes.
const MOST_ACTION_ID: usize = 255;
/// Messages per page of a search. A page has to stay below the host's `max_response`.
const PAGE: &str = "100";
/// Most pages of a search.
const MOST_PAGES: usize = 50;

/// Posts a note.
pub(crate) fn note(call: &Call, note: &Note) -> Result<Posted, Failure> {
    let thread = Thread::read(&note.conversation_id)?;
    post(call, METADATA, &thread, &mrkdwn::parts(&note.body), &Value::Null)
}

/// Answers the person, as everybody in the thread sees.
pub(crate) fn reply(call: &Call, conversation: &str, text: &str) -> Result<Posted, Failure> {
    post(call, TO_PERSON, &Thread::read(conversation)?, &mrkdwn::parts(text), &Value::Null)
}

/// Offers help, with a button for each answer.
pub(crate) fn offer(call: &Call, conversation: &str, offer: &Offer) -> Result<Posted, Failure> {
    let thread = Thread::read(conversation)?;
    let shown = text::cut(&offer.text, MOST_OFFERED);
    let mut texts = mrkdwn::parts(&shown);
    texts.truncate(1);
    let blocks = match &*offer.quick_replies {
        [] => Value::Null,
        replies => json!([
            { "type": "section", "text": plain(&shown) },
            { "type": "actions", "block_id": OFFER, "elements": buttons(replies) },
        ]),
    };
    post(call, TO_PERSON, &thread, &texts, &blocks)
}

fn buttons(replies: &[QuickReply]) -> Vec<Value> {
    let button = |reply: &QuickReply| {
        json!({
            "type": "button", "action_id": cut_id(&reply.id), "value": reply.id,
            "text": plain(&text::cut(&reply.label, MOST_LABEL)),
        })
    };
    replies.iter().take(MOST_BUTTONS).map(button).collect()
}

/// Text in which nothing calls anybody and nothing is a link.
fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// An id of an action has 255 characters at most; what comes back is the value.
fn cut_id(id: &str) -> &str {
    &id[..id.floor_char_boundary(MOST_ACTION_ID)]
}

/// Posts a text. A long one takes several messages: those of them that an earlier attempt left are not posted again.
fn post(
    call: &Call,
    event_type: &'static str,
    thread: &Thread,
    texts: &[String],
    blocks: &Value,
) -> Result<Posted, Failure> {
    let there =
        if texts.len() > 1 { parts(thread, &call.idempotency_key)? } else { BTreeMap::new() };
    let mut ids = Vec::new();
    for (part, text) in (1..).zip(texts) {
        if let Some(known) = there.get(&part) {
            ids.push(known.ts.clone());
            continue;
        }
        let payload = Payload { key: &call.idempotency_key, part, parts: texts.len() };
        let message = Message {
            channel: &thread.channel,
            thread_ts: &thread.ts,
            text,
            blocks,
            mrkdwn: false,
            unfurl_links: false,
            unfurl_media: false,
            metadata: Metadata { event_type, event_payload: payload },
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
        let message = json!({ "channel": thread.channel, "ts": ts });
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
            let kind = metadata["event_type"].as_str();
            let ours = matches!(kind, Some(METADATA | TO_PERSON)) && payload["key"] == key;
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
    /// What is shown, and with blocks what notifications and searches have.
    text: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    blocks: &'a Value,
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
    fn an_offer_has_buttons_and_its_key_and_an_answer_is_a_message() {
        let host = Host::new().respond(200, &ts("1.2")).respond(200, &ts("1.3")).install();
        let long = "x".repeat(300);
        let help = Offer::new("Stuck at <Pay>?").quick_reply("o1", "Yes, please");
        let help = help.quick_reply(&long, &long);
        assert_eq!(offer(&test::call(), THREAD, &help), Ok(Posted::with_id("1.2")));
        assert_eq!(reply(&test::call(), THREAD, "Try again."), Ok(Posted::with_id("1.3")));
        let requests = host.requests();
        let (offered, answered) = (body(&requests[0]), body(&requests[1]));
        assert_eq!(offered["text"], "Stuck at &lt;Pay&gt;?");
        assert_eq!(offered["blocks"][0]["text"]["text"], "Stuck at <Pay>?");
        assert_eq!(offered["blocks"][1]["block_id"], OFFER);
        let buttons = offered["blocks"][1]["elements"].as_array().unwrap();
        assert_eq!((&buttons[0]["value"], &buttons[0]["action_id"]), (&json!("o1"), &json!("o1")));
        assert_eq!(buttons[0]["text"]["text"], "Yes, please");
        assert_eq!(buttons[1]["value"], long);
        assert_eq!(buttons[1]["action_id"].as_str().unwrap().len(), 255);
        assert!(buttons[1]["text"]["text"].as_str().unwrap().chars().count() <= 75);
        assert_eq!(answered["text"], "Try again.");
        assert_eq!(answered["blocks"], Value::Null);
        for message in [offered, answered] {
            assert_eq!(message["metadata"]["event_payload"]["key"], "key-1");
        }
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
