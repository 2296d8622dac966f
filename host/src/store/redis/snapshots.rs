//! Sessions as autoplay-sdk shares them, each under its own key.

use std::time::Duration;

use redis::{Script, cmd};

use super::keys;
use super::server::Server;
use crate::ids::SessionId;
use crate::store::{Snapshots, StoreError};

/// Snapshots that are read at once.
const PAGE: usize = 256;

/// The snapshots on a server.
pub(super) struct SharedSnapshots {
    server: Server,
    swap: Script,
    remove: Script,
    ttl_secs: u64,
}

impl SharedSnapshots {
    pub(super) fn new(server: Server, ttl: Duration) -> Self {
        // autoplay-sdk counts in whole seconds, and 0 is none.
        let ttl_secs = ttl.as_secs().max(1);
        let (swap, remove) = (include_str!("swap.lua"), include_str!("remove.lua"));
        Self { server, swap: Script::new(swap), remove: Script::new(remove), ttl_secs }
    }
}

#[async_trait::async_trait]
impl Snapshots for SharedSnapshots {
    async fn read(&self, sessions: &[SessionId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut found = Vec::with_capacity(sessions.len());
        for page in sessions.chunks(PAGE) {
            let keys: Vec<_> = page.iter().map(keys::snapshot).collect();
            let mut values: Vec<_> = self.server.query(cmd("MGET").arg(keys)).await?;
            found.append(&mut values);
        }
        Ok(found)
    }

    async fn swap(
        &self,
        session: &SessionId,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, StoreError> {
        let mut call = self.swap.key(keys::snapshot(session));
        call.arg(u8::from(expected.is_some())).arg(expected.unwrap_or_default());
        call.arg(new).arg(self.ttl_secs);
        self.server.run(&call, new.len()).await
    }

    async fn remove(&self, session: &SessionId, expected: &[u8]) -> Result<bool, StoreError> {
        let mut call = self.remove.key(keys::snapshot(session));
        call.arg(expected);
        self.server.run(&call, 0).await
    }
}
