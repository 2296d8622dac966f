//! Tries what a plugin must not achieve. The first word of a note's body says what, the rest is an address
//! where one is needed. What came of it is the note's id.

mod flood;
mod network;
mod secrets;

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{Call, Failure, Note, Posted, Webhook, Writer};

/// The plugin.
pub struct Hostile;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Which version this is: a test writes another number over it, in the component's bytes.
static VERSION: [u8; 24] = *b"hostile-version-00000000";

impl Writer for Hostile {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let (what, rest) = note.body.split_once(' ').unwrap_or((&note.body, ""));
        let did = match what {
            "alive" | "hello" => "alive".to_owned(),
            "count" => calls.to_string(),
            "slow-count" => {
                pause(rest);
                calls.to_string()
            }
            "version" => String::from_utf8_lossy(black_box(&VERSION)).into_owned(),
            "slow-version" => {
                pause(rest);
                String::from_utf8_lossy(black_box(&VERSION)).into_owned()
            }
            "panic" => panic!("asked to panic \u{1b}[2J\u{1b}]0;owned\u{7}"),
            "exit" => std::process::exit(3),
            "spin" => spin(),
            "sleep" => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            "recurse" => recurse(1).to_string(),
            "memory" => flood::memory(),
            "handles" => flood::handles(rest),
            "stdout" => flood::stdout(),
            "log" => flood::log(),
            "escapes" => return Err(flood::escapes()),
            "answer" => flood::answer(rest),
            "random" => flood::random(),
            "smuggle" => network::smuggle(rest),
            "smuggle-wasi" => network::smuggle_wasi(rest),
            "get" => network::get(rest)?,
            "send" => network::send(rest)?,
            "headers" => network::headers(rest)?,
            "headers-wasi" => network::headers_wasi(rest),
            "fork" => network::fork(rest),
            "steal" => secrets::steal(rest)?,
            other => return Err(Failure::invalid("word", format!("`{other}` is nothing to do"))),
        };
        Ok(Posted::with_id(did))
    }
}

impl Webhook for Hostile {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        match &*String::from_utf8_lossy(&request.body) {
            "spin" => Err(Rejection::new(400, "spun", spin())),
            "events" => Ok(vec![Event::Ignored; 1 << 20]),
            _ => panic!("asked to panic"),
        }
    }
}

/// Waits for so many milliseconds.
fn pause(millis: &str) {
    std::thread::sleep(Duration::from_millis(millis.parse().unwrap_or(100)));
}

fn spin() -> String {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "that is what is tried")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[7]
}

sidenote_plugin::export!(Hostile: Writer, Webhook);
