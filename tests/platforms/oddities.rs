//! Webhooks that are almost JSON, and fields that nobody needs: neither costs a conversation its link.

use serde_json::{Value, json};
use sidenote_plugin::webhook::Event;

use crate::answers::mutations;
use crate::rows::{Platform, Who, platforms};

/// What a scene comes to once its body was written another way.
fn written(platform: &Platform, change: impl Fn(String) -> Vec<u8>) -> Vec<Event> {
    let scene = (platform.opens)(&Who::ann());
    let mut body = scene.body.clone();
    body["odd"] = json!("MARK");
    let body = change(body.to_string());
    platform.host(&[], &scene.answered());
    let events = platform.receive(&body);
    events.unwrap_or_else(|it| panic!("{}: {it:?}: {body:?}", platform.folder))
}

#[test]
fn a_body_that_is_almost_json_is_read_as_the_stream_reads_it() {
    for platform in platforms() {
        let plain = written(&platform, String::into_bytes);
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let unchanged: [&dyn Fn(String) -> Vec<u8>; 5] = [
            &|body| body.replace("\"MARK\"", r#""\ud83d""#).into(),
            &|body| body.replace("\"MARK\"", "NaN").into(),
            &|body| body.replace("\"MARK\"", &deep).into(),
            &|body| format!("\u{feff}{body}").into(),
            &|body| body.replace("\"MARK\"", r#"1,"odd":-Infinity"#).into(),
        ];
        for (number, change) in unchanged.iter().enumerate() {
            assert_eq!(written(&platform, change), plain, "{} {number}", platform.folder);
        }
        let texts: [&dyn Fn(String) -> Vec<u8>; 3] = [
            &|body| body.replace("TEXT", r"TEXT\ud83d").into(),
            &|body| body.replace("TEXT", r"TEXT\udc00").into(),
            &|body| {
                let at = body.find("TEXT").map(|at| at + "TEXT".len());
                let mut bytes = body.into_bytes();
                at.into_iter().for_each(|at| bytes.insert(at, 0xff));
                bytes
            },
        ];
        for change in texts {
            let events = written(&platform, change);
            let wanted = format!("{plain:?}").replace("TEXT", "TEXT\u{fffd}");
            assert_eq!(format!("{events:?}"), wanted, "{}", platform.folder);
        }
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for platform in platforms() {
        for body in ["", "{", "<html>", "[]", "null", "\"text\""] {
            platform.host(&[], &[]);
            let refused = platform.receive(body.as_bytes()).map_err(|it| (it.status, it.code));
            assert_eq!(refused, Err((400, "body".to_owned())), "{} {body}", platform.folder);
        }
    }
}

/// Where a webhook holds what is read: the rest can be anything.
fn needed(folder: &str) -> &'static [&'static str] {
    match folder {
        "webhook" => &["/event", "/conversation_id", "/session_id", "/user_id", "/email", "/text"],
        "intercom" => &[
            "/topic",
            "/data/item/id",
            "/data/item/custom_attributes/session_id",
            "/data/item/contacts/contacts/0/external_id",
            "/data/item/source/body",
            "/data/item/source/author/type",
            "/data/item/source/author/email",
        ],
        "zendesk" => &[
            "/ticket_id",
            "/trigger_type",
            "/session_id",
            "/requester_external_id",
            "/requester_email",
            "/user_message",
        ],
        "chatwoot" => &[
            "/event",
            "/id",
            "/account/id",
            "/custom_attributes/session_id",
            "/contact_inbox/hmac_verified",
            "/meta/sender/identifier",
            "/meta/sender/email",
            "/messages/0/content",
        ],
        "slack" => &[
            "/type",
            "/event/type",
            "/event/channel_id",
            "/event/message_ts",
            "/event/metadata/event_type",
            "/event/metadata/event_payload/session_id",
            "/event/metadata/event_payload/user_id",
            "/event/metadata/event_payload/email",
        ],
        "crisp" => &["/website_id", "/event", "/data/session_id", "/data/from", "/data/content"],
        _ => panic!("{folder} says which fields of its webhook it reads"),
    }
}

#[test]
fn fields_that_nobody_needs_can_be_anything() {
    for platform in platforms() {
        let mut scene = (platform.opens)(&Who::ann());
        scene.body["beside"] = json!({ "id": 7, "list": [{ "at": null }] });
        let receive = |body: &Value| {
            platform.host(&[], &scene.answered());
            platform.receive(body.to_string().as_bytes())
        };
        let plain = receive(&scene.body);
        assert!(plain.is_ok(), "{}: {plain:?}", platform.folder);
        let odd = mutations(&scene.body, needed(platform.folder), false);
        assert!(odd.len() > 20, "{}: {} ways", platform.folder, odd.len());
        for body in odd {
            assert_eq!(receive(&body), plain, "{}: {body}", platform.folder);
        }
    }
}
