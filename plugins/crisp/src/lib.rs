//! Notes in Crisp: messages that only operators see, under ids of ours, and Crisp's signed web hooks. What
//! to click there is in this folder's `README.md`.

mod api;
mod fingerprint;
mod incoming;
mod markdown;
mod outgoing;

use sidenote_plugin::help::Offer;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, Finder, Messenger, Note, NoteId, Posted, Redaction, Redactor, Webhook, Writer,
};

/// The plugin.
pub struct Crisp;

impl Writer for Crisp {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        outgoing::note(&call, &note)
    }
}

impl Redactor for Crisp {
    fn redact_note(
        _: Call,
        conversation_id: String,
        note_id: NoteId,
    ) -> Result<Redaction, Failure> {
        outgoing::delete(&conversation_id, &note_id)
    }
}

impl Finder for Crisp {
    fn find_note(
        _: Call,
        conversation_id: String,
        idempotency_key: String,
    ) -> Result<Option<NoteId>, Failure> {
        outgoing::find(&conversation_id, &idempotency_key)
    }
}

impl Messenger for Crisp {
    fn offer(call: Call, conversation_id: String, offer: Offer) -> Result<Posted, Failure> {
        outgoing::offer(&call, &conversation_id, &offer)
    }

    fn reply(call: Call, conversation_id: String, text: String) -> Result<Posted, Failure> {
        outgoing::reply(&call, &conversation_id, &text)
    }
}

impl Webhook for Crisp {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Crisp: Writer, Redactor, Finder, Messenger, Webhook;
    manifest = include_str!("../manifest.json")
);
