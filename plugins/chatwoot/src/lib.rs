//! Notes in Chatwoot, the open source help desk: private messages that only agents see, offers with
//! answers to click, visible answers, and Chatwoot's signed webhooks. What to click there is in this
//! folder's `README.md`.

mod api;
mod finding;
mod incoming;
mod markdown;
mod outgoing;

use sidenote_plugin::help::Offer;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, Finder, Messenger, Note, NoteId, Posted, Redaction, Redactor, Webhook, Writer,
};

/// The plugin.
pub struct Chatwoot;

impl Writer for Chatwoot {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        outgoing::note(&call, &note)
    }
}

impl Redactor for Chatwoot {
    fn redact_note(
        _: Call,
        conversation_id: String,
        note_id: NoteId,
    ) -> Result<Redaction, Failure> {
        outgoing::delete(&conversation_id, &note_id)
    }
}

impl Finder for Chatwoot {
    fn find_note(
        _: Call,
        conversation_id: String,
        idempotency_key: String,
    ) -> Result<Option<NoteId>, Failure> {
        finding::find(&conversation_id, &idempotency_key)
    }
}

impl Messenger for Chatwoot {
    fn offer(call: Call, conversation_id: String, offer: Offer) -> Result<Posted, Failure> {
        outgoing::offer(&call, &conversation_id, &offer)
    }

    fn reply(call: Call, conversation_id: String, text: String) -> Result<Posted, Failure> {
        outgoing::reply(&call, &conversation_id, &text)
    }
}

impl Webhook for Chatwoot {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Chatwoot: Writer, Redactor, Finder, Messenger, Webhook;
    manifest = include_str!("../manifest.json")
);
