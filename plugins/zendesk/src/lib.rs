//! Zendesk Support: internal notes beside tickets, and the webhooks that say who opened them. How to set it
//! up is in this folder's `README.md`.

mod api;
mod audits;
mod incoming;
mod note;
mod redact;
mod settings;

use sidenote_plugin::help::Offer;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, Finder, Messenger, Note, NoteId, Posted, Redaction, Redactor, Sent, Webhook,
    Writer,
};

use settings::Settings;

/// The plugin.
pub struct Zendesk;

impl Writer for Zendesk {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        note::post(&Settings::load()?, &call.idempotency_key, &note)
    }
}

impl Finder for Zendesk {
    fn find_note(_: Call, conversation: String, key: String) -> Result<Option<NoteId>, Failure> {
        note::find(&Settings::load()?, &conversation, &key)
    }
}

impl Redactor for Zendesk {
    fn redact_note(_: Call, conversation: String, note: NoteId) -> Result<Redaction, Failure> {
        redact::redact(&Settings::load()?, &conversation, &note)
    }
}

impl Messenger for Zendesk {
    /// Tickets have no quick replies. The manifest says so too, so that the host never asks.
    fn offer(_: Call, _: String, _: Offer) -> Result<Posted, Failure> {
        let message =
            "a Zendesk ticket has no quick replies, and an offer in it would go out as mail";
        Err(Failure::permanent("offers-unsupported", message).with_sent(Sent::NotSent))
    }

    fn reply(call: Call, conversation: String, text: String) -> Result<Posted, Failure> {
        note::reply(&Settings::load()?, &call.idempotency_key, &conversation, &text)
    }
}

impl Webhook for Zendesk {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Zendesk: Writer, Finder, Redactor, Messenger, Webhook;
    manifest = include_str!("../manifest.json")
);
