//! Notes in Slack: a conversation is a thread, and a note is a message in it. What to click there is in
//! this folder's `README.md`.

mod api;
mod form;
mod incoming;
mod mrkdwn;
mod outgoing;
mod thread;

use sidenote_plugin::help::Offer;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, Finder, Messenger, Note, NoteId, Posted, Redaction, Redactor, Webhook, Writer,
};

/// The plugin.
pub struct Slack;

impl Writer for Slack {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        outgoing::note(&call, &note)
    }
}

impl Redactor for Slack {
    fn redact_note(
        _: Call,
        conversation_id: String,
        note_id: NoteId,
    ) -> Result<Redaction, Failure> {
        outgoing::delete(&conversation_id, &note_id)
    }
}

impl Finder for Slack {
    fn find_note(
        _: Call,
        conversation_id: String,
        idempotency_key: String,
    ) -> Result<Option<NoteId>, Failure> {
        outgoing::find(&conversation_id, &idempotency_key)
    }
}

impl Messenger for Slack {
    fn offer(call: Call, conversation_id: String, offer: Offer) -> Result<Posted, Failure> {
        outgoing::offer(&call, &conversation_id, &offer)
    }

    fn reply(call: Call, conversation_id: String, text: String) -> Result<Posted, Failure> {
        outgoing::reply(&call, &conversation_id, &text)
    }
}

impl Webhook for Slack {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Slack: Writer, Redactor, Finder, Messenger, Webhook;
    manifest = include_str!("../manifest.json")
);
