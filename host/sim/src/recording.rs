//! A recorded stream that is told again: for `stream replay`, and for the demo.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;
use sidenote::stream::recording::{Reader, Recorded};

/// Products of a recording that are named.
const MOST_PRODUCTS: usize = 64;

/// How fast a recording is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Speed {
    /// As it was recorded
    #[value(name = "1")]
    Recorded,
    /// Ten times as fast
    #[value(name = "10")]
    Tenfold,
    /// As fast as it is read
    #[value(name = "max")]
    Max,
}

impl Speed {
    /// When an event is told, from the beginning.
    pub(crate) fn due(self, event: &Recorded) -> Duration {
        let recorded = Duration::from_millis(event.at_ms);
        match self {
            Self::Recorded => recorded,
            Self::Tenfold => recorded / 10,
            Self::Max => Duration::ZERO,
        }
    }
}

/// The connector has heartbeats of its own.
pub(crate) fn is_heartbeat(event: &Recorded) -> bool {
    event.event == "heartbeat"
}

pub(crate) fn open(file: &Path) -> Result<Reader<BufReader<File>>> {
    let source = File::open(file)
        .with_context(|| format!("replay: {} can't be opened; check the path", file.display()))?;
    Reader::new(BufReader::new(source)).with_context(|| format!("replay: {}", file.display()))
}

/// The products of a recording, the first of them, in the order in which they come. All of it is read, so that what
/// can't be is said before a host is told anything.
pub(crate) fn products(file: &Path) -> Result<Vec<String>> {
    let (mut reader, mut products) = (open(file)?, Vec::new());
    for event in reader.by_ref() {
        let event = event?;
        let product = field(&event, "product_id");
        if let Some(product) = product.filter(|it| !products.contains(it))
            && products.len() < MOST_PRODUCTS
        {
            products.push(product);
        }
    }
    if reader.is_torn() {
        say("the recording ends in the middle of a line, which is left out");
    }
    Ok(products)
}

/// A text of an event.
pub(crate) fn field(event: &Recorded, name: &str) -> Option<String> {
    let value: Value = serde_json::from_str(&event.data).ok()?;
    value.get(name)?.as_str().map(str::to_owned)
}

pub(crate) fn say(text: &str) {
    // Where it fails nobody is listening.
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_at_its_time() {
        let event = Recorded { at_ms: 1500, event: "message".to_owned(), data: "{}".to_owned() };
        let due = |speed: Speed| speed.due(&event).as_millis();
        assert_eq!([Speed::Recorded, Speed::Tenfold, Speed::Max].map(due), [1500, 150, 0]);
    }
}
