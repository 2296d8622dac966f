//! `plugins.d`: files of further tables beside the configuration file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Fault, Place, Problem};

/// The folder's name, beside the configuration file.
const FOLDER: &str = "plugins.d";
/// Most files in it.
const MAX_FILES: usize = 256;
/// Most bytes of one of them.
const MAX_BYTES: u64 = 1 << 20;

/// The folder beside a configuration file, in `base`.
pub(super) fn folder(base: &Path) -> PathBuf {
    base.join(FOLDER)
}

/// The files of the folder whose names end in `.toml`, sorted by name. Hidden ones are left out: editors and
/// copying programs write them. A folder that isn't there is empty.
///
/// # Errors
/// The folder can't be read.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if shown.ends_with(".toml") && !shown.starts_with('.') {
            files.insert(name, entry.path());
        }
    }
    Ok(files.into_values().collect())
}

/// Reads the folder's files, in order. What can't be read is reported.
pub(super) fn read(folder: &Path) -> Result<Vec<(PathBuf, String)>, Vec<Problem>> {
    let problem = |file: &Path, cause: String| Problem {
        place: Place::File(file.to_owned()),
        section: String::new(),
        fault: Fault::FurtherUnreadable { cause },
    };
    let files = files(folder).map_err(|error| vec![problem(folder, error.to_string())])?;
    if files.len() > MAX_FILES {
        let cause = format!("it has {} files, and at most {MAX_FILES} are read", files.len());
        return Err(vec![problem(folder, cause)]);
    }
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match text(&file) {
            Ok(text) => texts.push((file, text)),
            Err(cause) => problems.push(problem(&file, cause)),
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(problems) }
}

fn text(file: &Path) -> Result<String, String> {
    // Asked before opening: opening a pipe would wait for a writer.
    let about = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if about.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, and at most {MAX_BYTES} are read", about.len()));
    }
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}
