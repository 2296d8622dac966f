//! The generic writer for a bot of your own: notes go out as signed JSON posts, conversations come in
//! as signed JSON posts. The format is in this folder's `README.md`.

mod incoming;
mod outgoing;
mod signature;

use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{Call, Failure, Note, Posted, Webhook, Writer};

/// The plugin.
pub struct Generic;

impl Writer for Generic {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        outgoing::post(&call, &note, signature::now())
    }
}

impl Webhook for Generic {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request, signature::now())
    }
}

sidenote_plugin::export!(Generic: Writer, Webhook; manifest = include_str!("../manifest.json"));
