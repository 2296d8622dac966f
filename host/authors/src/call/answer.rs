//! What came of a call, for people and for machines.

use std::process::ExitCode;

use serde_json::{Value, json};
use sidenote::config::Delivery;
use sidenote::outbox::note::{Found, Note, PostError, Posted, Redaction, Sent};
use sidenote::plugin::{ReceiveError, WebhookEvent};

use crate::suite::incoming::told as event;
use crate::suite::next_step::next_step;
use crate::suite::posting::{kind, told};

/// What came of a call.
pub(crate) struct Answer {
    ok: bool,
    text: String,
    json: Value,
}

impl Answer {
    /// For people.
    pub(crate) fn text(&self) -> String {
        self.text.clone()
    }

    pub(super) fn json(&self) -> &Value {
        &self.json
    }

    pub(super) fn code(&self) -> ExitCode {
        if self.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn ok(text: impl Into<String>, mut json: Value) -> Self {
        json["ok"] = true.into();
        Self { ok: true, text: text.into(), json }
    }

    fn failed(error: &PostError) -> Self {
        let mut json = match error {
            PostError::Failed(failure) => json!({
                "kind": kind(failure.kind),
                "code": failure.code,
                "message": failure.message,
                "retry_after_ms": failure.retry_after.map(|wait| wait.as_millis() as u64),
                "sent": match failure.sent {
                    Sent::NotSent => "not-sent",
                    Sent::Unknown => "unknown",
                    Sent::Sent => "sent",
                },
            }),
            PostError::Crashed { crash, message } => {
                json!({"kind": "crashed", "code": crash.code(), "message": message})
            }
            PostError::Unavailable { message } => {
                json!({"kind": "unavailable", "code": null, "message": message})
            }
        };
        json["ok"] = false.into();
        Self { ok: false, text: told(error), json }
    }

    /// With what the host would do about it.
    pub(super) fn posted_note(
        note: Note,
        outcome: Result<Posted, PostError>,
        finder: bool,
    ) -> Self {
        let next_step = next_step(&note, &outcome, finder, &Delivery::default());
        let mut answer = Self::posted(outcome);
        if !answer.ok {
            answer.text = format!("{}; {}", answer.text, next_step.text);
        }
        answer.json["idempotency_key"] = note.idempotency_key.into();
        answer.json["host"] = next_step.text.into();
        answer
    }

    /// What a sink made of what the note says, with what the host would do about it.
    pub(super) fn written(note: Note, outcome: Result<(), PostError>) -> Self {
        let outcome = outcome.map(|()| Posted { note_id: None, pause: None });
        let next_step = next_step(&note, &outcome, false, &Delivery::default());
        let (mut answer, host) = match &outcome {
            Ok(_) => (Self::ok("accepted", json!({})), "the host counts it as accepted".to_owned()),
            Err(error) => (Self::failed(error), next_step.text.replace("the note", "it")),
        };
        if !answer.ok {
            let text = answer.text.replacen("it isn't posted", "it isn't accepted", 1);
            answer.text = format!("{text}; {host}");
        }
        answer.json["idempotency_key"] = note.idempotency_key.into();
        answer.json["host"] = host.into();
        answer
    }

    pub(super) fn posted(outcome: Result<Posted, PostError>) -> Self {
        match outcome {
            Ok(Posted { note_id, pause }) => {
                let id = match &note_id {
                    Some(id) => format!("posted, id {id}"),
                    None => "posted, without an id".to_owned(),
                };
                let pause = pause.map(|pause| pause.time);
                let wait = match pause {
                    Some(time) => format!("; the platform takes nothing more for {time:?}"),
                    None => String::new(),
                };
                let pause = pause.map(|time| time.as_millis() as u64);
                Self::ok(id + &wait, json!({"note_id": note_id, "pause_ms": pause}))
            }
            Err(error) => Self::failed(&error),
        }
    }

    pub(super) fn found(outcome: Result<Found, PostError>) -> Self {
        match outcome {
            Ok(Found::Yes(id)) => {
                let text = match &id {
                    Some(id) => format!("it is there, id {id}"),
                    None => "it is there, without an id".to_owned(),
                };
                Self::ok(text, json!({"found": true, "note_id": id}))
            }
            Ok(Found::No) => Self::ok("it isn't there", json!({"found": false})),
            Ok(Found::Unsupported) => Self::missing("finder"),
            Err(error) => Self::failed(&error),
        }
    }

    pub(super) fn redacted(outcome: Result<Redaction, PostError>) -> Self {
        let word = match outcome {
            Ok(Redaction::Removed) => "removed",
            Ok(Redaction::Overwritten) => "overwritten",
            Ok(Redaction::Unsupported) => "unsupported",
            Err(error) => return Self::failed(&error),
        };
        Self {
            ok: word != "unsupported",
            text: word.to_owned(),
            json: json!({"ok": word != "unsupported", "redaction": word}),
        }
    }

    pub(super) fn received(outcome: Result<Vec<WebhookEvent>, ReceiveError>) -> Self {
        match outcome {
            Ok(events) => {
                let events: Vec<_> = events.iter().map(event).collect();
                let text = if events.is_empty() { "nothing".to_owned() } else { events.join("\n") };
                Self::ok(text, json!({"events": events}))
            }
            Err(error) => {
                let text = error.to_string();
                Self { ok: false, json: json!({"ok": false, "message": text}), text }
            }
        }
    }

    fn missing(interface: &str) -> Self {
        let text = format!("the plugin doesn't export `{interface}`");
        Self { ok: false, json: json!({"ok": false, "message": text}), text }
    }
}
