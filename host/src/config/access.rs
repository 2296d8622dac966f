//! What a command needs of a configuration that asks a running host, or opens the store where none runs: no
//! secret but the one that is used.

use std::net::SocketAddr;
use std::path::Path;

use super::error::ConfigErrors;
use super::load::{self, Part};
use super::model::{Config, Store};
use super::secret::Secret;

/// Where the host of a configuration is, and its store.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where the host listens.
    pub listen: SocketAddr,
    /// The store. A password of it is not in here: [`Config::load_for_store`] has it.
    pub store: Store,
}

impl Access {
    /// Reads `[server]` and `[store]` of the file at `path`, with the environment over them, and no secret.
    ///
    /// # Errors
    /// What is wrong with these two tables; the others may be anything.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let (server, store) = load::part(path, Part::Access)?;
        Ok(Self { listen: server.listen, store })
    }
}

impl Config {
    /// Reads `token` of `[server]` in the file at `path`, and no other secret.
    ///
    /// # Errors
    /// What is wrong with the table, or with the token.
    pub fn load_token(path: &Path) -> Result<Option<Secret>, ConfigErrors> {
        load::part(path, Part::Token).map(|(server, _)| server.token)
    }

    /// As [`Config::load`], for who opens the store and calls nobody: of all secrets only the store's
    /// password is read. In the place of the others stands a text that is none.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_for_store(path: &Path) -> Result<Self, ConfigErrors> {
        load::whole(path, Some("store"))
    }

    /// As [`Config::load`], for who connects to the streams and to nothing else: of all secrets only their tokens are
    /// read. In the place of the others stands a text that is none.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_for_streams(path: &Path) -> Result<Self, ConfigErrors> {
        load::whole(path, Some("streams"))
    }
}
