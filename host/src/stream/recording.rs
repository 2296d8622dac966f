//! A stream's events in a file: a line of JSON each, behind a header. `sidenote stream record` writes it, `stream
//! replay` and the demo read it.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

/// What the header of every recording says it is.
const FORMAT: &str = "sidenote-recording";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Longest line, in bytes. One that is longer isn't written.
pub const MAX_LINE: usize = 32 << 20;
/// Most events of a recording.
pub const MAX_EVENTS: u64 = 1_000_000;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    version: u32,
    /// The stream, as the configuration called it.
    pub stream: String,
    /// When the recording began, in seconds since the Unix epoch.
    pub recorded_at: f64,
    /// Whether people's data is masked.
    pub masked: bool,
    /// Whether product ids are as they came, where the rest is masked.
    pub products_kept: bool,
}

impl Header {
    /// Of a recording that begins now.
    pub fn new(
        stream: impl Into<String>,
        recorded_at: f64,
        masked: bool,
        products_kept: bool,
    ) -> Self {
        let (format, stream) = (FORMAT.to_owned(), stream.into());
        Self { format, version: VERSION, stream, recorded_at, masked, products_kept }
    }
}

/// One event, as it came or masked.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When it came, in milliseconds from the beginning.
    pub at_ms: u64,
    /// Its name: `message` where the connector gave none.
    pub event: String,
    /// Its data, a text that is JSON in all that a connector sends.
    pub data: String,
}

impl std::fmt::Debug for Recorded {
    /// What is in it is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorded").field("at_ms", &self.at_ms).finish_non_exhaustive()
    }
}

/// Why a recording can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file.
    #[error("the recording can't be read ({0}); check the path and whose it is")]
    Io(#[from] io::Error),
    /// The first line is something else.
    #[error(
        "it is no recording: its first line isn't the header that `sidenote stream record` writes"
    )]
    NoHeader,
    /// It is of another version.
    #[error(
        "the recording has version {0}, and this sidenote reads {VERSION}; record it anew, or use the version that wrote it"
    )]
    Version(u32),
    /// A line that isn't the last.
    #[error("line {0} of the recording can't be read; record it anew, or remove the line")]
    Line(u64),
    /// A line that is longer than any that is written.
    #[error("line {0} of the recording is longer than 32 MiB; remove it")]
    TooLong(u64),
    /// More events than are written.
    #[error("the recording has more than {MAX_EVENTS} events; split it")]
    TooMany,
}

/// Reads a recording, an event at a time.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    line: u64,
    header: Header,
    /// Whether the last line was cut, as by a kill while it was written.
    torn: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is no recording of this version.
    pub fn new(mut source: R) -> Result<Self, RecordingError> {
        let first = line(&mut source, 1)?.ok_or(RecordingError::NoHeader)?;
        let header: Header =
            serde_json::from_slice(&first).map_err(|_| RecordingError::NoHeader)?;
        if header.format != FORMAT {
            return Err(RecordingError::NoHeader);
        }
        if header.version != VERSION {
            return Err(RecordingError::Version(header.version));
        }
        Ok(Self { source, line: 1, header, torn: false })
    }

    /// What the first line says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the file ended in the middle of a line, which isn't read.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    fn read(&mut self) -> Result<Option<Recorded>, RecordingError> {
        self.line += 1;
        let Some(text) = line(&mut self.source, self.line)? else { return Ok(None) };
        if self.line > MAX_EVENTS + 1 {
            return Err(RecordingError::TooMany);
        }
        if text.last() != Some(&b'\n') {
            self.torn = true;
            return Ok(None);
        }
        let read = serde_json::from_slice(&text);
        read.map(Some).map_err(|_| RecordingError::Line(self.line))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Recorded, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn line(source: &mut impl BufRead, number: u64) -> Result<Option<Vec<u8>>, RecordingError> {
    let mut text = Vec::new();
    let most = MAX_LINE as u64 + 1;
    let read = source.take(most).read_until(b'\n', &mut text)?;
    if read > MAX_LINE {
        return Err(RecordingError::TooLong(number));
    }
    Ok((read > 0).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(lines: &[&str]) -> String {
        let header = serde_json::to_string(&Header::new("main", 1.5, true, false)).unwrap();
        [&[&*header], lines].concat().join("\n")
    }

    #[test]
    fn a_recording_is_read_as_it_was_written_and_a_torn_end_is_left_out() {
        let event = Recorded { at_ms: 7, event: "message".into(), data: "{\"a\": 1.0}".into() };
        let line = serde_json::to_string(&event).unwrap();
        let text = recording(&[&line, &line[..9]]);
        let mut reader = Reader::new(text.as_bytes()).unwrap();
        assert_eq!((&*reader.header().stream, reader.header().masked), ("main", true));
        assert_eq!(reader.next().unwrap().unwrap(), event);
        assert!(reader.next().is_none() && reader.is_torn());
        let mut whole = Reader::new(text.as_bytes()).unwrap();
        assert!(whole.by_ref().count() == 1 && whole.is_torn());
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let old = recording(&[]).replace("\"version\":1", "\"version\":2");
        for text in ["", "{}\n", "nonsense\n", "{\"format\":\"x\"}\n"] {
            let refused = Reader::new(text.as_bytes()).unwrap_err();
            assert!(matches!(refused, RecordingError::NoHeader), "{text}: {refused}");
        }
        let refused = Reader::new(old.as_bytes()).unwrap_err();
        assert!(matches!(refused, RecordingError::Version(2)), "{refused}");
        let text = recording(&["nonsense", ""]);
        let read = Reader::new(text.as_bytes()).unwrap().next().unwrap();
        assert!(matches!(read, Err(RecordingError::Line(2))), "{read:?}");
    }
}
