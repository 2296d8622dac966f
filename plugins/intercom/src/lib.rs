//! Intercom: notes beside conversations, quick replies, and the webhooks that say who opened them. How to
//! set it up is in this folder's `README.md`.

mod api;
mod conversation;
mod help;
mod incoming;
mod marker;
mod note;
mod settings;
mod uuid;

use sidenote_plugin::help::Offer;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, Finder, Messenger, Note, NoteId, Posted, Redaction, Redactor, Webhook, Writer,
};

use settings::Settings;

/// The plugin.
pub struct Intercom;

impl Writer for Intercom {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        note::post(&Settings::load()?, &call.idempotency_key, &note)
    }
}

impl Finder for Intercom {
    fn find_note(_: Call, conversation: String, key: String) -> Result<Option<NoteId>, Failure> {
        note::find(&Settings::load()?, &conversation, &key)
    }
}

impl Redactor for Intercom {
    fn redact_note(_: Call, conversation: String, note: NoteId) -> Result<Redaction, Failure> {
        note::redact(&Settings::load()?, &conversation, &note)
    }
}

impl Messenger for Intercom {
    fn offer(call: Call, conversation: String, offer: Offer) -> Result<Posted, Failure> {
        help::offer(&Settings::load()?, &call.idempotency_key, &conversation, &offer)
    }

    fn reply(call: Call, conversation: String, text: String) -> Result<Posted, Failure> {
        help::reply(&Settings::load()?, &call.idempotency_key, &conversation, &text)
    }
}

impl Webhook for Intercom {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Intercom: Writer, Finder, Redactor, Messenger, Webhook;
    manifest = include_str!("../manifest.json")
);
