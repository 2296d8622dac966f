//! A plugin's file: its bytes, and which version of it they are.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use sha2::Digest;

use super::error::AdmitError;
use super::kind;
use crate::config::Sha256;

/// Largest component, in bytes. Python ones are 18 MB.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// So many digits tell two versions apart.
const SHORT: usize = 12;
/// Digits of it in the log of attempts, which has many of them.
const TOLD: usize = 8;

/// What stands in a file.
pub(super) struct Source {
    /// The component, as far as its first bytes tell.
    pub(super) bytes: Vec<u8>,
    /// The hash of it.
    pub(super) version: Sha256,
}

/// What tells a file from what stood there before, on every file system: no content is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    /// Seconds and nanoseconds of the last change of the content.
    pub(crate) modified: (i64, i64),
    /// Of the last change of the file, name and permissions included.
    pub(crate) changed: (i64, i64),
    pub(crate) inode: u64,
}

impl Stamp {
    /// The stamp of a file.
    pub(crate) fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            inode: file.ino(),
        }
    }
}

/// The first digits of a version, for people.
pub(super) fn short(version: Sha256) -> String {
    let mut text = version.to_string();
    text.truncate(SHORT);
    text
}

/// A version as the log of attempts has it: what the manifest says, `+`, and the first digits of the content's hash.
pub(super) fn told(version: Sha256, manifest: Option<&str>) -> Arc<str> {
    let hash = &version.to_string()[..TOLD];
    match manifest {
        Some(named) => format!("{named}+{hash}").into(),
        None => hash.into(),
    }
}

/// The SHA-256 of a file's bytes, as `sha256` in `[plugins.NAME]` takes it.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// Reads a component's file whole, so that nothing can change it any more. Waits for the disk.
///
/// # Errors
/// It isn't there, can't be read, changes meanwhile, or is larger than any component that is loaded.
pub fn read(path: &Path) -> Result<Vec<u8>, AdmitError> {
    let unreadable = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            AdmitError::Missing
        } else {
            AdmitError::Read(error.to_string())
        }
    };
    let too_large = |size| AdmitError::TooLarge { size, limit: MAX_COMPONENT_BYTES };
    // Asked before opening: opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(AdmitError::NotAFile);
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let before = file.metadata().map_err(unreadable)?;
    if before.len() > MAX_COMPONENT_BYTES {
        return Err(too_large(before.len()));
    }
    let mut bytes = Vec::new();
    let limited = &mut (&mut file).take(MAX_COMPONENT_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    // Some files don't tell their size.
    if bytes.len() as u64 > MAX_COMPONENT_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    // Otherwise these could be the beginning of one version and the end of another.
    if Stamp::of(&before) != Stamp::of(&file.metadata().map_err(unreadable)?) {
        return Err(AdmitError::Changing);
    }
    Ok(bytes)
}

impl Source {
    /// Reads a file. Waits for the disk.
    pub(super) fn read(path: &Path) -> Result<Self, AdmitError> {
        Self::of(read(path)?)
    }

    /// What was read, where it is a whole component by its sections' sizes.
    pub(super) fn of(bytes: Vec<u8>) -> Result<Self, AdmitError> {
        // A compiled artifact is never run from here: it would run as native code, unchecked.
        kind::look(&bytes)?;
        let version = sha256(&bytes);
        Ok(Self { bytes, version })
    }
}
