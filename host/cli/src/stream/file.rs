//! The file of a recording: the owner's alone, never over another one, a line at a time.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use sidenote::stream::recording::{Header, MAX_LINE, Recorded};
use sidenote_terminal::Unusable;

/// Most bytes of a recording.
const MOST_BYTES: usize = 1 << 30;

/// A recording that is being written.
#[derive(Debug)]
pub(super) struct Recording {
    file: File,
    bytes: usize,
}

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the file.
    Whole,
    /// It is longer than a line may be, and left out.
    LeftOut,
    /// The file is as long as it may be.
    Full,
}

impl Recording {
    /// Makes the file, with its header. `over`: in place of one that is there.
    pub(super) fn create(path: &Path, over: bool, header: &Header) -> anyhow::Result<Self> {
        let name = path.display();
        if over {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("{name} can't be replaced"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = match file {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let message = format!("{name} is there already; name another file, or add --force");
                return Err(Unusable(message).into());
            }
            file => file.with_context(|| format!("{name} can't be made"))?,
        };
        let mut recording = Self { file, bytes: 0 };
        recording.line(header)?;
        Ok(recording)
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: &Recorded) -> anyhow::Result<Written> {
        self.line(event)
    }

    /// Writes a line in one go: where the program is killed, what is there is whole lines.
    fn line(&mut self, value: &impl Serialize) -> anyhow::Result<Written> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Ok(Written::LeftOut);
        }
        if self.bytes + line.len() > MOST_BYTES {
            return Ok(Written::Full);
        }
        self.file.write_all(&line).context("the recording can't be written to")?;
        self.bytes += line.len();
        Ok(Written::Whole)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_recording_is_the_owners_alone_and_takes_no_files_place_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let header = Header::new("main", 0.0, true, false);
        std::fs::write(&path, "precious").unwrap();
        let refused = Recording::create(&path, false, &header).unwrap_err();
        assert!(sidenote_terminal::failure::is_usage(&refused), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        drop(Recording::create(&path, true, &header).unwrap());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("}\n"));
    }
}
