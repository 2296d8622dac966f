//! Space that is held beside the file until the disk is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::folder::{folder_of, sync_folder};
use super::latch::is_full;

/// Of the reserve's length, how much must be free besides before it is put back: else the next commit
/// would take it away again.
const SLACK: u64 = 4;

/// The unit in which the system counts a file's blocks, in bytes.
const BLOCK: u64 = 512;

/// A file that holds nothing but its space.
pub(super) struct Reserve {
    path: PathBuf,
    /// In bytes; with 0 there is none.
    len: u64,
}

impl Reserve {
    /// The reserve of the file at `path`.
    pub(super) fn beside(path: &Path, len: u64) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(".reserve");
        Self { path: name.into(), len }
    }

    /// Makes it where it doesn't stand in full: `false` if there is no space for it.
    pub(super) fn keep(&self) -> io::Result<bool> {
        if self.stands()? {
            return Ok(true);
        }
        self.give_up()?;
        if self.len == 0 {
            return Ok(true);
        }
        if !has_free(folder_of(&self.path), self.len + self.len / SLACK)? {
            return Ok(false);
        }
        match self.make() {
            Ok(()) => Ok(true),
            Err(error) => {
                // What was made of it takes space and is no reserve.
                self.give_up()?;
                if is_full(&error) { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Removes it, and waits until its space is free: `false` if there was none.
    pub(super) fn give_up(&self) -> io::Result<bool> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            removed => removed?,
        }
        // A journal gives freed blocks out again only once it holds that they are free.
        sync_folder(folder_of(&self.path))?;
        Ok(true)
    }

    fn stands(&self) -> io::Result<bool> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => {
                let whole = found.len() == self.len && found.blocks() * BLOCK >= self.len;
                Ok(whole && self.len > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn make(&self) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        match allocate(&file, self.len) {
            // Not every file system gives out space that nothing is written to.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                write_zeros(&mut file, self.len)?;
            }
            allocated => allocated?,
        }
        file.sync_all()
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, len: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_file: &File, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn write_zeros(file: &mut File, len: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), file)?;
    file.flush()
}

/// Whether a folder's disk has `len` bytes free. Asked before space is used, so that a look doesn't
/// take away what a commit needs.
pub(super) fn has_free(folder: &Path, len: u64) -> io::Result<bool> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize) >= len)
}
