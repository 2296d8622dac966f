//! The generic writer for a bot of your own: notes go out as signed JSON posts, conversations come in
//! as signed JSON posts. The format is in this folder's `README.md` and in `schema/`.
//!
//! Only notes need an endpoint; where the operator names one, the bot is also asked to redact notes,
//! to find them, and to say something to the person.

mod finding;
mod incoming;
mod messages;
mod notes;
mod post;
mod redaction;

use sidenote_plugin::help::Offer;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, Finder, Messenger, Note, NoteId, Posted, Redaction, Redactor, Webhook, Writer,
};

/// The plugin.
pub struct Generic;

impl Writer for Generic {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        notes::post(&call, &note)
    }
}

impl Redactor for Generic {
    fn redact_note(
        call: Call,
        conversation_id: String,
        note_id: NoteId,
    ) -> Result<Redaction, Failure> {
        redaction::redact(&call, &conversation_id, &note_id)
    }
}

impl Finder for Generic {
    fn find_note(
        call: Call,
        conversation_id: String,
        idempotency_key: String,
    ) -> Result<Option<NoteId>, Failure> {
        finding::find(&call, &conversation_id, &idempotency_key)
    }
}

impl Messenger for Generic {
    fn offer(call: Call, conversation_id: String, offer: Offer) -> Result<Posted, Failure> {
        messages::offer(&call, &conversation_id, &offer)
    }

    fn reply(call: Call, conversation_id: String, text: String) -> Result<Posted, Failure> {
        messages::reply(&call, &conversation_id, &text)
    }
}

impl Webhook for Generic {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Generic: Writer, Redactor, Finder, Messenger, Webhook;
    manifest = include_str!("../manifest.json")
);
