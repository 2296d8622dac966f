//! Prints notes, offers and replies: for development, and for pipelines. Where what is printed goes is the
//! operator's choice: see this folder's `README.md`.

mod json;
mod pretty;

use std::io::Write;

use serde::Deserialize;
use sidenote_plugin::help::Offer;
use sidenote_plugin::{Call, Failure, Messenger, Note, Posted, Writer, config};

/// The plugin.
pub struct Console;

impl Writer for Console {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        print(&call, &Message::Note(&note))
    }
}

impl Messenger for Console {
    fn offer(call: Call, conversation_id: String, offer: Offer) -> Result<Posted, Failure> {
        print(&call, &Message::Offer { conversation_id: &conversation_id, offer: &offer })
    }

    fn reply(call: Call, conversation_id: String, text: String) -> Result<Posted, Failure> {
        print(&call, &Message::Reply { conversation_id: &conversation_id, text: &text })
    }
}

sidenote_plugin::export!(Console: Writer, Messenger; manifest = include_str!("../manifest.json"));

/// What is printed.
enum Message<'a> {
    Note(&'a Note),
    Offer { conversation_id: &'a str, offer: &'a Offer },
    Reply { conversation_id: &'a str, text: &'a str },
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Pretty,
}

/// Prints one message whole. The host's answer to the flush is that it was written.
fn print(call: &Call, message: &Message<'_>) -> Result<Posted, Failure> {
    let text = rendered(call, message)?;
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // Whoever reads may have gone away; whoever comes next gets it.
    written
        .map_err(|error| Failure::transient("stdout", format!("it can't be printed: {error}")))?;
    Ok(Posted::without_id())
}

fn rendered(call: &Call, message: &Message<'_>) -> Result<String, Failure> {
    let settings: Settings = config::load()?;
    match settings.format {
        Format::Json => json::line(call, message),
        Format::Pretty => Ok(pretty::text(message)),
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::FailureKind;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    #[test]
    fn the_format_is_json_unless_something_else_is_wanted() {
        let note = test::note("clicked Pay");
        let first = |host: Host| {
            host.install();
            rendered(&test::call(), &Message::Note(&note)).map(|text| text.chars().next())
        };
        assert_eq!(first(Host::new()), Ok(Some('{')));
        assert_eq!(first(Host::new().config("format", "json")), Ok(Some('{')));
        assert_eq!(first(Host::new().config("format", "pretty")), Ok(Some('─')));
        let failure = first(Host::new().config("format", "xml")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid);
    }
}
