//! Keys of the API: making them, and telling who has one.
//!
//! A key is written `sn_ID_SECRET`. The id is public: it names the key in the log and in lists, and the beginning lets
//! scanners of secrets find one that got somewhere. The secret is 256 random bits, shown once; what is kept is its SHA-256.
//! A hash that is slow on purpose protects secrets that can be guessed; this one can't.
//!
//! Who asks is told from a snapshot of the keys, as they were committed last: a request waits for no store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use crate::access::{Actor, Caller, KeyId, KeyName, Scopes};
use crate::clock::{Clock, Timestamp};
use crate::config::Secret;
use crate::engine::Handle;
use crate::ids::ProductId;

pub use crate::engine::people::{KeyChange, KeyError, KeyRow, KeyTable};

/// What every key begins with.
pub const PREFIX: &str = "sn_";

/// How often it is put on record which keys were used.
const USES: Duration = Duration::from_secs(60);

/// A key that was just made.
pub struct NewKey {
    /// Its public part.
    pub id: KeyId,
    /// What is kept of its secret.
    pub hash: [u8; 32],
    /// The whole of it, as whoever is to have it sends it. Shown once.
    pub written: Secret,
}

impl NewKey {
    /// Makes one.
    pub fn make() -> Self {
        let secret: [u8; 32] = rand::random();
        let id = hex::encode(rand::random::<[u8; KeyId::LEN / 2]>());
        let written = Secret::new(format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret)));
        let id = KeyId::new(&id).expect("it has as many hexadecimal digits as an id");
        Self { id, hash: Sha256::digest(secret).into(), written }
    }
}

/// A key as it is listed: all but what it is checked by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListedKey {
    /// Its public part.
    pub id: KeyId,
    /// What people call it.
    pub name: KeyName,
    /// What it may do.
    pub scopes: Scopes,
    /// With which products; none is named where it is all of them.
    pub products: Vec<ProductId>,
    /// Whether it is for all products, and for the host itself.
    pub all_products: bool,
    /// When it was made, in seconds since the Unix epoch.
    pub made_at: f64,
    /// Who made it.
    pub made_by: Actor,
    /// When it expires, in seconds since the Unix epoch.
    pub expires_at: Option<f64>,
    /// Whether it has.
    pub expired: bool,
    /// When it was used last, to about a minute.
    pub used_at: Option<f64>,
}

impl ListedKey {
    /// A key as it is listed at this moment.
    pub fn of(id: &KeyId, row: &KeyRow, now: Timestamp) -> Self {
        let KeyRow { name, scopes, products, made_at, made_by, expires_at, used_at, .. } = row;
        Self {
            id: id.clone(),
            name: name.clone(),
            scopes: scopes.clone(),
            products: products.limit().into_iter().flatten().cloned().collect(),
            all_products: products.limit().is_none(),
            made_at: made_at.as_secs_f64(),
            made_by: made_by.clone(),
            expires_at: expires_at.map(Timestamp::as_secs_f64),
            expired: !row.is_live(now),
            used_at: used_at.map(Timestamp::as_secs_f64),
        }
    }
}

/// Why somebody isn't let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCaller {
    /// The keys weren't read yet: the host has just started.
    Unread,
    /// It isn't written as a key is.
    NoKey,
    /// There is no such key: it was never made, it is revoked, or its secret is another.
    Unknown(KeyId),
    /// The key has expired.
    Expired(KeyId),
}

/// Why logins were refused, for the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedLogin {
    /// With a key that isn't there, or is revoked.
    UnknownKey,
    /// With a key that has expired.
    ExpiredKey,
    /// With a token that isn't the host's.
    WrongToken,
}

impl RefusedLogin {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::UnknownKey, Self::ExpiredKey, Self::WrongToken];

    /// As the metric has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey => "expired_key",
            Self::WrongToken => "wrong_token",
        }
    }
}

/// The causes, as the metric has them.
pub const REFUSED_LOGINS: [&str; RefusedLogin::ALL.len()] = [
    RefusedLogin::UnknownKey.name(),
    RefusedLogin::ExpiredKey.name(),
    RefusedLogin::WrongToken.name(),
];

/// Tells who has a key. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    engine: Handle,
    clock: Clock,
    /// Which keys were used since that was put on record.
    uses: Mutex<BTreeMap<KeyId, Timestamp>>,
    refused: [AtomicU64; RefusedLogin::ALL.len()],
}

impl Keys {
    /// The keys of an engine's store.
    pub fn new(engine: Handle, clock: Clock) -> Self {
        let refused = Default::default();
        Self(Arc::new(Shared { engine, clock, uses: Mutex::default(), refused }))
    }

    /// Who sends this as their key; `None` where it opens nothing.
    pub fn caller(&self, sent: &str) -> Option<Caller> {
        self.authenticate(sent).ok()
    }

    /// Who sends this as their key, or why it opens nothing. An unknown id costs as much as a wrong secret.
    ///
    /// # Errors
    /// [`NoCaller`].
    pub fn authenticate(&self, sent: &str) -> Result<Caller, NoCaller> {
        let (id, secret) = read(sent).ok_or(NoCaller::NoKey)?;
        let keys = self.0.engine.keys().ok_or(NoCaller::Unread)?;
        let (key, hash) = (keys.get(&id), Sha256::digest(secret));
        let fits = hash.ct_eq(&key.map_or([0; 32], |key| key.hash));
        let Some(key) = key.filter(|_| bool::from(fits)) else { return Err(NoCaller::Unknown(id)) };
        let now = self.0.clock.now();
        if !key.is_live(now) {
            return Err(NoCaller::Expired(id));
        }
        self.uses().insert(id.clone(), now);
        Ok(key.caller(&id))
    }

    /// Whether whoever was let in as this still is: for what goes on after the request was answered.
    pub fn still_allow(&self, actor: &Actor) -> bool {
        let Actor::Key { id, .. } = actor else { return true };
        let now = self.0.clock.now();
        self.0.engine.keys().is_some_and(|keys| keys.get(id).is_some_and(|key| key.is_live(now)))
    }

    /// All of them; `None` before they were read.
    pub fn table(&self) -> Option<Arc<KeyTable>> {
        self.0.engine.keys()
    }

    /// Counts a login that was refused.
    pub fn count_refused(&self, why: RefusedLogin) {
        self.0.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were refused, by cause.
    pub fn refused(&self) -> [(RefusedLogin, u64); RefusedLogin::ALL.len()] {
        RefusedLogin::ALL.map(|why| (why, self.0.refused[why as usize].load(Ordering::Relaxed)))
    }

    /// Has it put on record which keys were used, once a minute and at the end.
    pub async fn keep_uses(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(USES)).await.is_some() {
            self.put_uses().await;
        }
        self.put_uses().await;
    }

    async fn put_uses(&self) {
        // A key that is used meanwhile is in the next one.
        let uses: Vec<_> = std::mem::take(&mut *self.uses()).into_iter().collect();
        if !uses.is_empty() && self.0.engine.keys_used(uses).await.is_err() {
            tracing::debug!("keys: the store takes nothing; it isn't known when some were used");
        }
    }

    fn uses(&self) -> std::sync::MutexGuard<'_, BTreeMap<KeyId, Timestamp>> {
        self.0.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of a key; `None` where it isn't written as one.
fn read(sent: &str) -> Option<(KeyId, [u8; 32])> {
    let (id, secret) = sent.strip_prefix(PREFIX)?.split_once('_')?;
    let id = KeyId::new(id).ok()?;
    Some((id, URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_nothing_else_is() {
        let key = NewKey::make();
        let written = key.written.expose();
        let (id, secret) = read(written).unwrap();
        assert_eq!((id, Sha256::digest(secret).into()), (key.id.clone(), key.hash));
        assert_ne!(NewKey::make().written.expose(), written);
        assert!(!format!("{:?}", key.written).contains(written));
        let head = &written[..written.len() - 1];
        for wrong in [
            "",
            "sn_",
            "sn__",
            head,
            &format!("{written}A"),
            &format!("{written} "),
            &format!(" {written}"),
            &written.to_uppercase(),
            &written.replacen('_', "-", 1),
            &format!("sn_{}_", key.id),
            // The last letter has bits that no byte has.
            &format!("{head}B"),
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
