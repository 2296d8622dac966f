//! Short-lived tokens that let the browser of one session ask what it is to show.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::clock::Timestamp;
use crate::ids::SessionKey;

/// How long a token lets a browser connect.
pub(super) const TOKEN_LASTS: Duration = Duration::from_secs(600);
/// Browsers that are told at once.
const MOST: usize = 256;

/// Makes and checks tokens. Its key is the process's own: what it made means nothing after a restart, and the page asks
/// its server for another.
#[derive(Clone)]
pub(super) struct EventTokens {
    key: Arc<[u8; 32]>,
    pub(super) permits: Arc<Semaphore>,
}

impl EventTokens {
    /// With a key that nobody knows.
    pub(super) fn new() -> Self {
        Self { key: Arc::new(rand::random()), permits: Arc::new(Semaphore::new(MOST)) }
    }

    fn of(&self, key: &SessionKey, expires: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&*self.key).expect("a key may have any length");
        for part in [key.product.as_str(), key.session.as_str()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(&expires.to_be_bytes());
        mac
    }

    /// A token for a session, from now on.
    pub(super) fn make(&self, key: &SessionKey, now: Timestamp) -> String {
        let expires = (now + TOKEN_LASTS).as_millis();
        format!("{expires}.{}", hex::encode(self.of(key, expires).finalize().into_bytes()))
    }

    /// Whether a token is this session's, at this moment.
    pub(super) fn allows(&self, key: &SessionKey, token: &str, now: Timestamp) -> bool {
        let read = || {
            let (expires, mac) = token.split_once('.')?;
            let (expires, mac) = (expires.parse::<u64>().ok()?, hex::decode(mac).ok()?);
            (expires > now.as_millis()).then_some(())?;
            self.of(key, expires).verify_slice(&mac).ok()
        };
        read().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_sessions_and_ends() {
        let tokens = EventTokens::new();
        let now = Timestamp(1_700_000_000_000_000);
        let of = |session: &str| SessionKey {
            product: crate::ids::ProductId::new("p").unwrap(),
            session: crate::ids::SessionId::new(session).unwrap(),
        };
        let token = tokens.make(&of("s"), now);
        assert!(tokens.allows(&of("s"), &token, now));
        assert!(!tokens.allows(&of("t"), &token, now));
        assert!(!tokens.allows(&of("s"), &token, now + TOKEN_LASTS));
        assert!(!EventTokens::new().allows(&of("s"), &token, now), "another process's");
        let (expires, mac) = token.split_once('.').unwrap();
        let later = expires.parse::<u64>().unwrap() + 1_000_000;
        for forged in
            [format!("{later}.{mac}"), format!("{expires}."), String::new(), mac.to_owned()]
        {
            assert!(!tokens.allows(&of("s"), &forged, now), "{forged}");
        }
    }
}
