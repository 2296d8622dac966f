//! Reads events `{"id", "name", "user"}` that are sent as a list, and pages of them from `url` that it is asked for; with the
//! flaw that `flaw` names, or with none.

use serde_json::Value;
use sidenote_plugin::source::{
    Batch, Event, EventKind, Page, Received, Rejection, Request, Response, Subject,
};
use sidenote_plugin::{Call, Failure, Source, clock, config, http, json};

/// The plugin.
pub struct Flawed;

impl Source for Flawed {
    fn receive(request: Request) -> Result<Received, Rejection> {
        let flaw = flaw();
        if request.path == "/settings" {
            let received = Received::keyless(Response::ok());
            return Ok(match &*flaw {
                "keyless-events" => received.with(Batch::of([Event::new(EventKind::Custom, "x")])),
                _ => received,
            });
        }
        match &*flaw {
            "panics-on-garbage" => assert!(request.body.first() == Some(&b'['), "a list"),
            "spins-on-garbage" if request.body.first() != Some(&b'[') => loop {
                std::hint::black_box(());
            },
            _ => {}
        }
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| Rejection::malformed("the body is no JSON"))?;
        let list = body.as_array().ok_or_else(|| Rejection::malformed("the body is no list"))?;
        let mut batch = Batch::of(list.iter().map(event));
        if flaw == "new-ids" {
            for event in &mut batch.events {
                event.id = format!("{}-{}", event.id, clock::now_ms());
            }
        }
        let mut received = Received::new(Response::ok()).with(batch);
        if flaw == "odd-status" {
            received.response.status = 99;
        }
        Ok(received)
    }

    fn poll(_: Call, about: Option<Subject>, cursor: Option<String>) -> Result<Page, Failure> {
        let url = config::require("url")?;
        let about = about.map(|about| format!("about={}", http::encode(&about.user_id)));
        let cursor = cursor.map(|cursor| format!("cursor={}", http::encode(&cursor)));
        let asked: Vec<_> = about.into_iter().chain(cursor).collect();
        let asked = format!("{url}?{}", asked.join("&"));
        let answer: Value = http::Request::get(asked).send()?.error_for_status()?.json()?;
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        Ok(Page {
            batches: vec![Batch::of(events.iter().map(event))],
            cursor: json::id(&answer["cursor"]),
            more: answer["more"] == true,
            ..Page::default()
        })
    }
}

fn event(value: &Value) -> Event {
    let mut event = Event::new(EventKind::Custom, value["name"].as_str().unwrap_or("nameless"));
    event.id = json::id(&value["id"]).unwrap_or_default();
    event.identity.user_id = json::id(&value["user"]);
    event
}

fn flaw() -> String {
    config::get("flaw").unwrap_or_default()
}

sidenote_plugin::export!(
    Flawed: Source;
    manifest = r#"{
        "name": "source",
        "version": "1.0.0",
        "hosts": ["*"],
        "config": {
            "type": "object",
            "additionalProperties": false,
            "properties": {"url": {"type": "string"}, "flaw": {"type": "string"}}
        }
    }"#
);
