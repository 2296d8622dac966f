//! Too much of everything.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a guest prints is what is tested"
)]

use std::hint::black_box;
use std::io::Write;

use sidenote_plugin::log::{self, Level};
use sidenote_plugin::{Failure, FailureKind, Sent};
use wasip2::http::types::Fields;

/// Clears a terminal, renames it, rings, forges a line of the log, turns the text round.
const ESCAPES: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n2026-01-01T00:00:00Z ERROR forged\u{202e}\u{0}";

/// Eats memory to the end.
pub(crate) fn memory() -> String {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(black_box(vec![1; 1 << 20]));
    }
}

/// Keeps so many handles, or does until there are no more.
pub(crate) fn handles(count: &str) -> String {
    let mut kept = Vec::new();
    for _ in 0..count.parse().unwrap_or(1_000_000) {
        kept.push(Fields::new());
    }
    kept.len().to_string()
}

/// 64 MiB of output.
pub(crate) fn stdout() -> String {
    let piece = [b'x'; 64 << 10];
    let mut out = std::io::stdout();
    for _ in 0..1024 {
        if out.write_all(&piece).is_err() {
            return "refused".to_owned();
        }
    }
    "written".to_owned()
}

/// Lines without end, some of them very long.
pub(crate) fn log() -> String {
    let long = ESCAPES.repeat(1000);
    for i in 0..2_000 {
        log::write(Level::Error, if i % 100 == 0 { &long } else { ESCAPES }, &[]);
        println!("{ESCAPES}");
    }
    "logged".to_owned()
}

/// Text that steers a terminal, wherever text can be.
pub(crate) fn escapes() -> Failure {
    log::write(Level::Error, ESCAPES, &[(ESCAPES.to_owned(), ESCAPES.to_owned())]);
    println!("{ESCAPES}");
    eprintln!("{ESCAPES}");
    Failure {
        kind: FailureKind::Invalid,
        code: ESCAPES.to_owned(),
        message: ESCAPES.to_owned(),
        retry_after_ms: None,
        sent: Sent::NotSent,
        extras: vec![(ESCAPES.to_owned(), ESCAPES.to_owned())],
    }
}

/// An answer of so many bytes.
pub(crate) fn answer(bytes: &str) -> String {
    "x".repeat(bytes.parse().unwrap_or(64 << 20))
}

/// More randomness than anybody needs.
pub(crate) fn random() -> String {
    wasip2::random::random::get_random_bytes(64 << 20).len().to_string()
}
