//! What platforms answer, as their documentation has it and with something odd in it: of an answer what is needed is
//! read, and nothing else in it changes what comes of a call.

use serde_json::{Value, json};
use sidenote_chatwoot::Chatwoot;
use sidenote_crisp::Crisp;
use sidenote_intercom::Intercom;
use sidenote_jsonl_http::JsonLines;
use sidenote_plugin::help::Offer;
use sidenote_plugin::test::{self, Host};
use sidenote_plugin::{Finder, Messenger, Note, Redactor, Sink, Writer};
use sidenote_slack::Slack;
use sidenote_webhook::Generic;
use sidenote_zendesk::Zendesk;

use crate::rows::manifests;

/// A call of a plugin, and what the platform answers to each of its requests.
struct Row {
    folder: &'static str,
    what: &'static str,
    settings: &'static [(&'static str, &'static str)],
    act: fn() -> String,
    answers: Vec<Answer>,
    /// What comes of it.
    wanted: &'static str,
}

struct Answer {
    status: u16,
    body: Value,
    /// Where it holds what is needed.
    needed: &'static [&'static str],
}

fn ok(body: Value, needed: &'static [&'static str]) -> Answer {
    Answer { status: 200, body, needed }
}

const INTERCOM: &[(&str, &str)] = &[("admin_id", "7")];
const ZENDESK: &[(&str, &str)] = &[("subdomain", "acme"), ("pace", "0")];
const CHATWOOT: &[(&str, &str)] = &[("url", "https://chat.example"), ("account", "7")];
const CRISP: &[(&str, &str)] = &[("website", "w-1"), ("identifier", "i-1")];
const WEBHOOK: &[(&str, &str)] = &[
    ("unsigned", "true"),
    ("url", "https://bot.example"),
    ("find_url", "https://bot.example"),
    ("redact_url", "https://bot.example"),
    ("reply_url", "https://bot.example"),
];
const THREAD: &str = "C1:1700000000.000100";

fn rows() -> Vec<Row> {
    [intercom(), zendesk(), chatwoot(), crisp(), slack(), webhook(), jsonl()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a call came to, in words: a note's id, or what became of it.
fn told<T: std::fmt::Debug>(outcome: Result<T, sidenote_plugin::Failure>) -> String {
    match outcome {
        Ok(found) => format!("{found:?}"),
        Err(failure) => format!("{:?} {}", failure.kind, failure.code),
    }
}

fn note_to(conversation: &str) -> Note {
    Note { conversation_id: conversation.to_owned(), ..test::note("clicked Pay") }
}

/// The id of a note that was posted.
fn posted<W: Writer>(conversation: &str) -> String {
    told(W::post_note(test::call(), note_to(conversation)).map(|posted| posted.note_id))
}

fn found<F: Finder>(conversation: &str) -> String {
    told(F::find_note(test::call(), conversation.to_owned(), "key-1".to_owned()))
}

fn redacted<R: Redactor>(conversation: &str, note: &str) -> String {
    told(R::redact_note(test::call(), conversation.to_owned(), note.to_owned()))
}

fn replied<M: Messenger>(conversation: &str) -> String {
    let posted = M::reply(test::call(), conversation.to_owned(), "Hi".to_owned());
    told(posted.map(|posted| posted.note_id))
}

fn intercom() -> Vec<Row> {
    // The marker in a note is the plugin's own: a note that it posted shows it.
    let host = Host::new().config("admin_id", "7").respond(200, "{}").install();
    Intercom::post_note(test::call(), note_to("215")).unwrap();
    let sent: Value = serde_json::from_slice(&host.requests()[0].body).unwrap();
    let part = |id: Value, kind: &str, body: &Value| {
        json!({
            "type": "conversation_part", "id": id, "part_type": kind, "body": body,
            "author": { "id": "7", "type": "admin", "email": "ops@example.com" },
            "created_at": 1_663_597_223, "attachments": [], "redacted": false,
        })
    };
    let conversation = || {
        json!({
            "type": "conversation", "id": "215", "state": "open", "tags": { "tags": [] },
            "conversation_parts": { "type": "conversation_part.list", "total_count": 2,
                "conversation_parts": [
                    part(json!("3"), "assignment", &Value::Null),
                    part(json!("4"), "note", &sent["body"]),
                ] },
        })
    };
    let needed: &[&str] = &[
        "/conversation_parts/conversation_parts/1/id",
        "/conversation_parts/conversation_parts/1/part_type",
        "/conversation_parts/conversation_parts/1/body",
        "/conversation_parts/conversation_parts/1/author/id",
    ];
    let comment = json!({ "conversation_parts": { "conversation_parts": [
        { "id": 9, "part_type": "comment", "author": { "id": 7 }, "body": "" },
    ] } });
    let row = |what, act: fn() -> String, answer, wanted| Row {
        folder: "intercom",
        what,
        settings: INTERCOM,
        act,
        answers: vec![answer],
        wanted,
    };
    vec![
        row("post", || posted::<Intercom>("215"), ok(conversation(), needed), "Some(\"4\")"),
        row("find", || found::<Intercom>("215"), ok(conversation(), needed), "Some(\"4\")"),
        row(
            "reply",
            || replied::<Intercom>("215"),
            ok(
                comment,
                &[
                    "/conversation_parts/conversation_parts/0/id",
                    "/conversation_parts/conversation_parts/0/part_type",
                    "/conversation_parts/conversation_parts/0/author/id",
                ],
            ),
            "Some(\"9\")",
        ),
        row(
            "redact",
            || redacted::<Intercom>("215", "4"),
            Answer {
                status: 404,
                body: json!({
                    "type": "error.list", "request_id": null,
                    "errors": [{ "code": "conversation_part_or_message_not_found", "message": "m" }],
                }),
                needed: &["/errors/0/code"],
            },
            "Redaction::Removed",
        ),
    ]
}

fn zendesk() -> Vec<Row> {
    // autoplay-sdk's own example of an update, cut down to what is needed and one event beside it.
    let updated = json!({
        "audit": { "events": [
            { "field_name": "subject", "id": 206_091_192_546_u64, "type": "Change", "value": "x" },
            { "id": 206_091_192_547_u64, "type": "Comment", "body": "Thanks", "public": true },
        ] },
        "ticket": { "id": 35436, "status": "open" },
    });
    let audits = json!({
        "audits": [
            { "id": 3, "ticket_id": 35436, "events": [{ "id": "01HZX", "type": "SomethingNew" }] },
            {
                "id": 4, "author_id": 5_246_746, "created_at": "2011-09-25T22:35:44Z",
                "metadata": { "custom": { "sidenote_key": "key-1" }, "system": { "ip_address": "::1" } },
                "events": [
                    { "id": 2_127_301_163_u64, "type": "Change", "via": { "channel": "rule" } },
                    { "id": 2_127_301_148_u64, "type": "Comment", "attachments": [] },
                ],
            },
        ],
        "count": 2, "previous_page": null,
    });
    let comments = json!({
        "comments": [
            { "id": 1274, "type": "Comment", "body": "Thanks", "attachments": [], "author_id": 1 },
            { "id": 9, "html_body": "<p>x</p>", "body": "x", "metadata": { "flags": [2] } },
        ],
        "meta": { "has_more": false },
    });
    let by_audit =
        json!({ "comments": [{ "id": 11, "audit_id": 6 }, { "id": 12, "audit_id": 7 }] });
    let row = |what, act: fn() -> String, answers, wanted| Row {
        folder: "zendesk",
        what,
        settings: ZENDESK,
        act,
        answers,
        wanted,
    };
    vec![
        row(
            "post",
            || posted::<Zendesk>("35436"),
            vec![ok(updated, &["/audit/events/1/id", "/audit/events/1/type"])],
            "Some(\"206091192547\")",
        ),
        row(
            "post, the comment looked up",
            || posted::<Zendesk>("35436"),
            vec![
                ok(json!({ "audit": { "id": 7, "events": [] } }), &["/audit/id"]),
                ok(by_audit, &["/comments/0/audit_id", "/comments/1/id", "/comments/1/audit_id"]),
            ],
            "Some(\"12\")",
        ),
        row(
            "find",
            || found::<Zendesk>("35436"),
            vec![ok(
                audits,
                &[
                    "/audits/1/metadata/custom/sidenote_key",
                    "/audits/1/events/1/id",
                    "/audits/1/events/1/type",
                ],
            )],
            "Some(\"2127301148\")",
        ),
        row(
            "redact",
            || redacted::<Zendesk>("35436", "9"),
            vec![ok(comments, &["/comments/1/id", "/comments/1/html_body"]), ok(json!({}), &[])],
            "Redaction::Overwritten",
        ),
    ]
}

fn chatwoot() -> Vec<Row> {
    let message = json!({
        "id": 99, "content": "x", "account_id": 7, "inbox_id": 3, "conversation_id": 12,
        "message_type": 1, "created_at": 1_700_000_000, "private": true, "status": "sent",
        "content_type": "text", "content_attributes": { "sidenote_key": "key-1" },
        "sender": { "id": 31, "type": "user" }, "attachments": [{ "id": 1 }],
    });
    let page = json!({
        "meta": { "labels": [], "contact": { "id": 81 } },
        "payload": [{ "id": 41, "content_attributes": {} }, message],
    });
    let row = |what, act: fn() -> String, status, body, needed, wanted| Row {
        folder: "chatwoot",
        what,
        settings: CHATWOOT,
        act,
        answers: vec![Answer { status, body, needed }],
        wanted,
    };
    let flooded =
        json!({ "error": "Validation failed: Too many messages", "attributes": ["base"] });
    vec![
        row(
            "post",
            || posted::<Chatwoot>("12"),
            200,
            page["payload"][1].clone(),
            &["/id", "/content_attributes/sidenote_key"],
            "Some(\"99\")",
        ),
        row(
            "find",
            || found::<Chatwoot>("12"),
            200,
            page,
            &["/payload/1/id", "/payload/1/content_attributes/sidenote_key"],
            "Some(\"99\")",
        ),
        row(
            "post, refused for now",
            || posted::<Chatwoot>("12"),
            422,
            flooded,
            &["/error"],
            "FailureKind::RateLimited 422",
        ),
        row(
            "redact",
            || redacted::<Chatwoot>("12", "99"),
            200,
            json!({ "id": 99 }),
            &[],
            "Redaction::Overwritten",
        ),
    ]
}

fn crisp() -> Vec<Row> {
    let row = |what, act: fn() -> String, answers, wanted| Row {
        folder: "crisp",
        what,
        settings: CRISP,
        act,
        answers,
        wanted,
    };
    let done = || json!({ "error": false, "reason": "dispatched", "data": { "fingerprint": 7 } });
    let missing =
        || Answer { status: 404, body: json!({ "error": true, "data": {} }), needed: &[] };
    vec![
        row(
            "post",
            || posted::<Crisp>("session_1"),
            vec![ok(done(), &[])],
            "Some(\"99997944254389\")",
        ),
        row(
            "find",
            || found::<Crisp>("session_1"),
            vec![ok(done(), &[]), missing()],
            "Some(\"99997944254389\")",
        ),
        row(
            "offer",
            || {
                let offer = Offer::new("Stuck?").quick_reply("y", "Yes");
                told(Crisp::offer(test::call(), "session_1".to_owned(), offer).map(|it| it.note_id))
            },
            vec![ok(done(), &[])],
            "Some(\"4603597571624885\")",
        ),
    ]
}

fn slack() -> Vec<Row> {
    let row = |what, act: fn() -> String, answers, wanted| Row {
        folder: "slack",
        what,
        settings: &[],
        act,
        answers,
        wanted,
    };
    let taken = json!({
        "ok": true, "channel": "C1", "ts": "1700000001.000200",
        "message": { "type": "message", "bot_id": "B1", "blocks": [{ "type": "rich_text" }] },
    });
    let replies = json!({
        "ok": true, "has_more": false, "response_metadata": { "next_cursor": "" },
        "messages": [
            { "type": "message", "user": "U1", "ts": "1700000000.000100", "reactions": [{ "count": 1 }] },
            { "type": "message", "ts": "1700000001.000200", "metadata": {
                "event_type": "sidenote_note", "event_payload": { "key": "key-1", "part": 1, "parts": 1 },
            } },
        ],
    });
    vec![
        row(
            "post",
            || posted::<Slack>(THREAD),
            vec![ok(taken, &["/ok", "/ts"])],
            "Some(\"1700000001.000200\")",
        ),
        row(
            "find",
            || found::<Slack>(THREAD),
            vec![ok(
                replies,
                &[
                    "/ok",
                    "/response_metadata/next_cursor",
                    "/messages/1/ts",
                    "/messages/1/metadata/event_type",
                    "/messages/1/metadata/event_payload/key",
                    "/messages/1/metadata/event_payload/part",
                    "/messages/1/metadata/event_payload/parts",
                ],
            )],
            "Some(\"1700000001.000200\")",
        ),
        row(
            "redact",
            || redacted::<Slack>(THREAD, "1.2"),
            vec![ok(
                json!({ "ok": false, "error": "message_not_found", "response_metadata": { "messages": [] } }),
                &["/ok", "/error"],
            )],
            "Redaction::Removed",
        ),
    ]
}

fn webhook() -> Vec<Row> {
    let row = |what, act: fn() -> String, body, needed, wanted| Row {
        folder: "webhook",
        what,
        settings: WEBHOOK,
        act,
        answers: vec![ok(body, needed)],
        wanted,
    };
    vec![
        row(
            "post",
            || posted::<Generic>("c-1"),
            json!({ "note_id": 17, "status": "ok", "tags": [1] }),
            &["/note_id"],
            "Some(\"17\")",
        ),
        row(
            "find",
            || found::<Generic>("c-1"),
            json!({ "found": true, "note_id": "17", "seen": { "at": [1] } }),
            &["/found", "/note_id"],
            "Some(\"17\")",
        ),
        row(
            "redact",
            || redacted::<Generic>("c-1", "17"),
            json!({ "redaction": "overwritten", "by": ["bot"] }),
            &["/redaction"],
            "Redaction::Overwritten",
        ),
        row(
            "reply",
            || replied::<Generic>("c-1"),
            json!({ "id": "m1", "x": 1 }),
            &["/id"],
            "Some(\"m1\")",
        ),
    ]
}

fn jsonl() -> Vec<Row> {
    vec![Row {
        folder: "jsonl-http",
        what: "lines",
        settings: &[("url", "https://warehouse.example/lines")],
        act: || told(JsonLines::write_actions(test::call(), test::batch(["clicked Pay"]))),
        answers: vec![ok(json!({ "rows": [1], "id": 7 }), &[])],
        wanted: "()",
    }]
}

/// The ways to change a value that leave what is needed of it as it is: fields left out, null or of another type,
/// fields that nobody knows, odd elements in its lists; with `ids`, whole numbers as texts and the other way round.
pub(crate) fn mutations(value: &Value, needed: &[&str], ids: bool) -> Vec<Value> {
    let mut mutations = Vec::new();
    let mut places = vec![String::new()];
    while let Some(place) = places.pop() {
        let is_needed = needed.iter().any(|needed| {
            needed
                .strip_prefix(&*place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let mut with = |change: &dyn Fn(&mut Value)| {
            let mut changed = value.clone();
            change(changed.pointer_mut(&place).unwrap());
            mutations.push(changed);
        };
        let here = value.pointer(&place).unwrap();
        if !is_needed {
            for odd in [json!(null), json!("01HZX"), json!(7), json!(true), json!([]), json!({})] {
                with(&|it| *it = odd.clone());
            }
        } else if ids && needed.contains(&&*place) {
            if here.is_number() {
                with(&|it| *it = json!(it.to_string()));
            } else if let Some(Ok(number)) = here.as_str().map(str::parse::<u64>) {
                with(&|it| *it = json!(number));
            }
        }
        if let Some(members) = here.as_object() {
            with(&|it| it["nobody_knows"] = json!({ "id": [null] }));
            for name in members.keys() {
                let below = format!("{place}/{name}");
                if !needed.iter().any(|it| it.starts_with(&below)) {
                    with(&|it| drop(it.as_object_mut().unwrap().remove(name)));
                }
                places.push(below);
            }
        }
        if let Some(elements) = here.as_array() {
            let new = json!({ "id": "01HZX", "type": "SomethingNew", "part_type": "new" });
            for odd in
                [json!(null), json!(7), json!("01HZX"), json!({}), json!({ "id": null }), new]
            {
                with(&|it| it.as_array_mut().unwrap().insert(0, odd.clone()));
                with(&|it| it.as_array_mut().unwrap().push(odd.clone()));
            }
            places.extend((0..elements.len()).map(|index| format!("{place}/{index}")));
        }
    }
    mutations
}

fn outcome(row: &Row, answers: &[(u16, String)]) -> String {
    let host = row.settings.iter().fold(Host::new(), |host, (key, value)| host.config(key, value));
    answers.iter().fold(host, |host, (status, body)| host.respond(*status, body)).install();
    (row.act)()
}

#[test]
fn nothing_but_what_is_needed_of_an_answer_changes_what_comes_of_it() {
    let mut ways = 0;
    for row in rows() {
        let plain: Vec<_> = row.answers.iter().map(|it| (it.status, it.body.to_string())).collect();
        let shown = format!("{}, {}", row.folder, row.what);
        assert_eq!(outcome(&row, &plain), row.wanted, "{shown}");
        for (number, answer) in row.answers.iter().enumerate() {
            for body in mutations(&answer.body, answer.needed, true) {
                let mut answers = plain.clone();
                answers[number].1 = body.to_string();
                assert_eq!(outcome(&row, &answers), row.wanted, "{shown}: {body}");
                ways += 1;
            }
        }
    }
    assert!(ways > 500, "{ways} ways");
}

#[test]
fn half_of_a_surrogate_pair_in_an_answer_takes_nothing_with_it() {
    for row in rows() {
        let mut answers = Vec::new();
        for answer in &row.answers {
            let mut body = answer.body.clone();
            body["nobody_knows"] = json!("MARK");
            let body = body.to_string().replace("\"MARK\"", r#""\ud83d",  "nan": NaN"#);
            answers.push((answer.status, body));
        }
        assert_eq!(outcome(&row, &answers), row.wanted, "{}, {}", row.folder, row.what);
    }
}

#[test]
fn every_plugin_that_calls_a_platform_has_rows() {
    let rows = rows();
    for (folder, manifest) in manifests() {
        let calls = manifest["hosts"].as_array().is_some_and(|hosts| !hosts.is_empty());
        // It asks a connector; its own tests have what that answers.
        let calls = calls && folder != "autoplay";
        let has_rows = rows.iter().any(|row| row.folder == folder);
        assert_eq!(calls, has_rows, "plugins/{folder}");
    }
}
