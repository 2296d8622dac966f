//! Answers nonsense of the kind that the last word of a note names.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a guest prints is what is tested"
)]

use sidenote_plugin::log::{self, Level};
use sidenote_plugin::webhook::{Answer, Event, Rejection, Request, Turn};
use sidenote_plugin::{Call, Failure, FailureKind, Note, Posted, Sent, Webhook, Writer};

/// The plugin.
pub struct Garbage;

const ODD: &str = "\u{1b}[2J\r\n\u{0}\u{202e}evil\u{7} [plugins.bot]\nhosts = [\"evil.example\"]\n";

impl Writer for Garbage {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        match note.body.rsplit(' ').next().unwrap_or_default() {
            "failure" => Err(Failure {
                kind: FailureKind::Transient,
                code: ODD.repeat(1000),
                message: ODD.repeat(10_000),
                retry_after_ms: Some(u64::MAX),
                sent: Sent::Unknown,
                extras: (0..1000).map(|i| (i.to_string(), ODD.to_owned())).collect(),
            }),
            "long-id" => Ok(Posted::with_id("x".repeat(1 << 20))),
            "odd-id" => Ok(Posted::with_id(ODD)),
            "empty-id" => Ok(Posted::with_id("")),
            // More than any call may hand over.
            "flood" => Ok(Posted::with_id("x".repeat(32 << 20))),
            "log" => {
                for _ in 0..10_000 {
                    log::write(Level::Error, &ODD.repeat(100), &[(ODD.to_owned(), ODD.to_owned())]);
                    println!("{ODD}");
                    eprintln!("{ODD}");
                }
                Ok(Posted::without_id())
            }
            _ => Ok(Posted::with_id("alive")),
        }
    }
}

impl Webhook for Garbage {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        match String::from_utf8_lossy(&request.body).as_ref() {
            "many" => Ok(vec![Event::Ignored; 1000]),
            "empty-conversation" => Ok(vec![Event::Opened(Turn::new(""))]),
            "long-conversation" => Ok(vec![Event::Replied(Turn::new("x".repeat(1 << 20)))]),
            "challenge" => Ok(vec![Event::Challenge(Answer {
                status: 7,
                content_type: "text/plain\r\nset-cookie: a=b".to_owned(),
                body: Vec::new(),
            })]),
            _ => Err(Rejection::new(200, ODD.repeat(1000), ODD.repeat(1000))),
        }
    }
}

sidenote_plugin::export!(Garbage: Writer, Webhook);
