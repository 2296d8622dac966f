//! Who writes: a lease that is renewed, and an epoch that fences off whoever lost it.

use std::time::Duration;

use redis::Script;

use super::keys::Keys;
use super::server::Server;
use crate::see::See;
use crate::store::{Lost, StoreError};

/// A host that shows no sign of life for so long is taken over.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// How often it shows one.
const RENEWAL: Duration = Duration::from_secs(3);

/// How often a standby asks whether it is its turn.
const STANDBY: Duration = Duration::from_secs(1);

/// How the rows are laid out.
const LAYOUT: u32 = 1;

/// The scripts of the lease, and whose it is to be.
#[derive(Clone)]
pub(super) struct Lease {
    server: Server,
    keys: Keys,
    holder: String,
    acquire: Script,
    renew: Script,
    release: Script,
}

impl Lease {
    pub(super) fn new(server: Server, keys: Keys) -> Self {
        let holder = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
        Self {
            server,
            keys,
            holder,
            acquire: Script::new(include_str!("acquire.lua")),
            renew: Script::new(include_str!("renew.lua")),
            release: Script::new(include_str!("release.lua")),
        }
    }

    /// Names who is to have it.
    pub(super) fn name_holder(&mut self, holder: &str) {
        holder.clone_into(&mut self.holder);
    }

    /// Who is to have it: one name per opened store, where it isn't given one.
    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// Waits until the lease is ours; the epoch.
    pub(super) async fn acquire(&self) -> Result<u64, StoreError> {
        let (mut told, mut away) = (false, false);
        loop {
            let mut call = self.acquire.key(self.keys.lease());
            call.key(self.keys.fence()).arg(&self.holder).arg(millis()).arg(LAYOUT);
            match self.server.run::<i64>(&call, 0).await {
                Ok(epoch) if epoch > 0 => {
                    tracing::info!(epoch, "store: redis: this host writes");
                    return Ok(epoch.unsigned_abs());
                }
                Ok(0) => {
                    if !told {
                        tracing::info!(
                            "store: redis: another host writes; this one stands by and takes over when that \
                             one ends {}",
                            See::StoreInUse
                        );
                    }
                    told = true;
                }
                Ok(_) => {
                    return Err(StoreError::Fatal(
                        "the rows on the Redis server were laid out by a later release; use that one, or \
                         another `store.namespace`"
                            .to_owned(),
                    ));
                }
                Err(error @ (StoreError::Away(_) | StoreError::Full(_))) => {
                    if !away {
                        tracing::warn!("{error}");
                    }
                    away = true;
                }
                Err(
                    error @ (StoreError::Refused(_) | StoreError::Lost(_) | StoreError::Fatal(_)),
                ) => {
                    return Err(error);
                }
            }
            tokio::time::sleep(STANDBY).await;
        }
    }

    /// Renews it until another host has taken over.
    pub(super) async fn keep(self, epoch: u64) {
        let mut away = false;
        loop {
            tokio::time::sleep(RENEWAL).await;
            let mut call = self.renew.key(self.keys.lease());
            call.key(self.keys.fence()).arg(&self.holder).arg(millis()).arg(epoch);
            match self.server.run::<(bool, u64)>(&call, 0).await {
                Ok((true, _)) => away = false,
                // The next commit ends this host.
                Ok((false, stored)) => {
                    let lost = match stored < epoch {
                        true => Lost::ByServer,
                        false => Lost::TakenOver { own: epoch, stored },
                    };
                    tracing::error!("store: redis: {lost}");
                    return;
                }
                Err(error) => {
                    if !away {
                        tracing::warn!("store: redis: the lease can't be renewed: {error}");
                    }
                    away = true;
                }
            }
        }
    }

    /// Gives it back, so that a standby needn't wait for it to run out.
    pub(super) async fn release(&self) {
        let mut call = self.release.key(self.keys.lease());
        call.arg(&self.holder);
        match self.server.run::<u64>(&call, 0).await {
            Ok(_) => tracing::info!("store: redis: the lease is given back"),
            Err(error) => tracing::warn!(
                "store: redis: the lease can't be given back, it runs out by itself: {error}"
            ),
        }
    }
}

pub(super) fn millis() -> u64 {
    LEASE.as_millis() as u64
}
