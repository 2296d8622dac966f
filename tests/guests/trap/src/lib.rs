//! Panics where the last word of a note is `trap`, and with the whole note where it begins with `spill`; posts nothing, and
//! says so, where it isn't.

use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{Call, Failure, Note, Posted, Webhook, Writer};

/// The plugin.
pub struct Trap;

impl Writer for Trap {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        match note.body.rsplit(' ').next().unwrap_or_default() {
            "trap" => panic!("asked to trap"),
            word if word.starts_with("spill") => panic!("asked to trap by {word}: {}", note.body),
            "exit" => std::process::exit(3),
            _ => Ok(Posted::with_id("alive")),
        }
    }
}

impl Webhook for Trap {
    fn receive(_: Request) -> Result<Vec<Event>, Rejection> {
        panic!("asked to trap")
    }
}

sidenote_plugin::export!(Trap: Writer, Webhook);
