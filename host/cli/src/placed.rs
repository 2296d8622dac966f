//! Files put in place, each whole or not at all, and taken out again where what they make up doesn't work.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sidenote_terminal::output;

/// What was put in place so far.
#[derive(Default)]
pub(crate) struct Placed {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Placed {
    /// Makes a folder where it isn't there.
    pub(crate) fn folder(&mut self, path: &Path, mode: u32) -> anyhow::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let made = DirBuilder::new().mode(mode).create(path);
        made.with_context(|| format!("the folder {} can't be made", path.display()))?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// Puts a new file in place, at once and whole. One that is there is left alone.
    pub(crate) fn file(&mut self, path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        let said = || format!("{} can't be written", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part);
        let written = written.and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            // Unlike a rename, a link replaces nothing.
            std::fs::hard_link(&part, path)
        });
        std::fs::remove_file(&part).ok();
        written.with_context(said)?;
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Leaves everything in place.
    pub(crate) fn keep(self) {}

    /// Takes everything out again.
    pub(crate) fn undo(self) {
        for file in self.files.iter().rev() {
            if let Err(error) = std::fs::remove_file(file) {
                output::say(&format!("{} is left behind: {error}", file.display()));
            }
        }
        for folder in self.folders.iter().rev() {
            // One that something else was put into meanwhile stays.
            std::fs::remove_dir(folder).ok();
        }
    }
}
