//! Log lines on their way out: nothing in them steers a terminal, and a reader that went away ends nothing.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::visible::steers;

/// The colours that the log itself writes; a line holds no other sequence.
const COLOURS: [&str; 10] = ["0", "1", "2", "3", "31", "32", "33", "34", "35", "36"];

/// Writes lines, each handed over whole.
pub(super) struct Lines<W> {
    out: W,
    json: bool,
}

impl<W: Write> Lines<W> {
    /// In JSON what steers is escaped, so that a value stays what it is; in text it is left out.
    pub(super) fn new(out: W, json: bool) -> Self {
        Self { out, json }
    }
}

impl<W: Write> Write for Lines<W> {
    /// Never fails: whoever logs has other work than to care for a log that nobody reads.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Most lines are plain.
        let plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
        let written = match plain {
            true => self.out.write_all(bytes),
            false => {
                let line = harmless(&String::from_utf8_lossy(bytes), self.json);
                self.out.write_all(line.as_bytes())
            }
        };
        written.unwrap_or_default();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().unwrap_or_default();
        Ok(())
    }
}

fn harmless(line: &str, json: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\u{1b}' if !json => {
                if let Some((colour, after)) = colour(rest.as_str()) {
                    write!(out, "\u{1b}[{colour}m").expect("text can always be added to a string");
                    rest = after.chars();
                }
            }
            c if !steers(c) => out.push(c),
            c if json => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("text can always be added to a string");
                }
            }
            _ => {}
        }
    }
    out
}

/// The colour that a sequence stands for, and what comes after it.
fn colour(text: &str) -> Option<(&str, &str)> {
    let (colour, after) = text.strip_prefix('[')?.split_once('m')?;
    COLOURS.contains(&colour).then_some((colour, after))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A pipe whose reader is gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let mut lines = Lines::new(Gone, false);
        for line in ["plain\n", "naïve\n"] {
            lines.write_all(line.as_bytes()).unwrap();
            lines.flush().unwrap();
        }
    }

    fn logged(json: bool, log: impl FnOnce()) -> String {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writer = {
            let seen = seen.clone();
            move || Lines::new(Kept(seen.clone()), json)
        };
        // Each line is handed over whole.
        drop(writer.make_writer());
        let builder = tracing_subscriber::fmt().with_ansi(!json).with_writer(writer);
        match json {
            true => tracing::subscriber::with_default(builder.json().finish(), log),
            false => tracing::subscriber::with_default(builder.finish(), log),
        }
        let bytes = seen.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn nothing_in_a_line_steers_a_terminal_whoever_logged_it() {
        let odd = "a\u{1b}[2J\u{1b}[8mb\u{61c}\u{202e}\u{180e}\u{ad}\u{3164}\u{9b}c\r";
        let text = logged(false, || tracing::info!(id = %odd, "naïve {odd}"));
        let without = text.replace('\u{1b}', "");
        assert!(!without.chars().any(|c| c != '\n' && steers(c)), "{text:?}");
        assert!(text.contains("\u{1b}[32m") && text.contains("naïve"), "{text:?}");
        assert!(!text.contains("\u{1b}[2J") && !text.contains("\u{1b}[8m"), "{text:?}");

        let line = logged(true, || tracing::info!(id = odd, "said"));
        assert!(!line.chars().any(|c| c != '\n' && steers(c)), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["fields"]["id"], odd);
    }
}
