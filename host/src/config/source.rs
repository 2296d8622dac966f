//! Where a configuration is read from, again and again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigErrors;
use super::further;
use super::load;
use super::model::Config;

/// A configuration file, the folder `plugins.d` beside it, and the environment over both.
#[derive(Clone)]
pub struct Source {
    file: PathBuf,
    /// `None`: the process's.
    env: Option<Arc<Env>>,
}

/// Looks a variable up.
type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Source {
    /// This file, with the process's environment.
    pub fn of(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), env: None }
    }

    /// Takes another environment. It can't be listed: variables of the overlay that mean nothing aren't
    /// found.
    #[must_use]
    pub fn with_env(self, env: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { env: Some(Arc::new(env)), ..self }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads everything as it is at this moment, files that secrets stand in included. Waits for the disk.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        match &self.env {
            None => Config::load(&self.file),
            Some(env) => load::read(&self.file, &|name| env(name), Vec::new()),
        }
    }

    /// The files of the folder of further tables that are read, sorted by name.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn further(&self) -> std::io::Result<Vec<PathBuf>> {
        further::files(&further::folder(load::folder_of(&self.file)))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}
