//! Requests and answers as people see them: without secrets, and without what steers a terminal.

use std::fmt::Write as _;

use sidenote::egress::SHORTEST_SCRUBBED;
use sidenote_sim::MockExchange;

use super::bench::Bench;

/// So much of a body is shown, in characters.
const SHOWN_BODY: usize = 600;
/// Headers whose values are nobody's business.
const PRIVATE: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// What must not be shown.
pub(super) struct Masks(Vec<(String, String)>);

impl Masks {
    /// The secrets of a plugin.
    pub(super) fn of(bench: &Bench) -> Self {
        let mask = |(name, value): (&str, &str)| (value.to_owned(), format!("[secret {name}]"));
        let mut masks: Vec<_> = bench.secrets().map(mask).collect();
        masks.retain(|(value, _)| value.len() >= SHORTEST_SCRUBBED);
        // One that is a part of another must not leave the rest of that.
        masks.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self(masks)
    }

    /// A text without secrets.
    pub(super) fn mask(&self, text: &str) -> String {
        let replaced = |text: String, (value, mask): &(String, String)| text.replace(value, mask);
        self.0.iter().fold(text.to_owned(), replaced)
    }

    /// A header's value without secrets.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        let masked = self.mask(value);
        if masked != value || !PRIVATE.contains(&name) {
            return masked;
        }
        match value.split_once(' ') {
            Some((scheme, _)) => format!("{scheme} [masked]"),
            None => "[masked]".to_owned(),
        }
    }
}

/// A request and its answer, indented.
pub(super) fn shown(exchange: &MockExchange, masks: &Masks) -> String {
    let mut text = String::new();
    let mut line = |mark: char, line: &str| {
        let end = if line.is_empty() { "" } else { " " };
        writeln!(text, "           {mark}{end}{}", visible(line))
            .expect("text can always be added to a string");
    };
    line('>', &format!("{} {}", exchange.method, masks.mask(&exchange.target)));
    for (name, value) in &exchange.headers {
        line('>', &format!("{name}: {}", masks.header(name, value)));
    }
    if !exchange.body.is_empty() {
        line('>', "");
        let body = masks.mask(&String::from_utf8_lossy(&exchange.body));
        cut(&body).lines().for_each(|it| line('>', it));
    }
    cut(&masks.mask(&exchange.answer)).lines().for_each(|it| line('<', it));
    text.truncate(text.trim_end().len());
    text
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_BODY) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

/// A text in which what isn't seen is written out.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}
