//! Looking for what must be gone from the files.

use std::path::{Path, PathBuf};

use memchr::memmem;

/// The files below a folder in which a text is.
///
/// # Panics
/// When they can't be listed.
pub fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        // One that is gone meanwhile was being written anew.
        } else if memmem::find(&std::fs::read(&path).unwrap_or_default(), text.as_bytes()).is_some()
        {
            found.push(path);
        }
    }
    found
}
