//! Who is logged in: by a random id in a cookie, of which only a hash is kept, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::login::Proof;
use crate::clock::Timestamp;

/// Logins at the same time. Beyond it the one that was used longest ago ends.
const MOST: usize = 256;
/// A login ends after so long without a request.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);
/// And after so long in any case.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// The logins.
#[derive(Default)]
pub(super) struct Logins(Mutex<HashMap<Hashed, Login>>);

type Hashed = [u8; 32];

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Login {
    /// By what.
    pub(super) proof: Proof,
    /// What every form of theirs has in it.
    pub(super) form_token: String,
    began: Timestamp,
    used: Timestamp,
}

/// The id in a cookie.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct LoginId(Hashed);

impl LoginId {
    /// What the cookie says.
    pub(super) fn of_cookie(value: &str) -> Self {
        Self(Sha256::digest(value).into())
    }
}

/// 256 random bits, as text.
pub(super) fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

impl Logins {
    /// Logs somebody in: what the cookie is to say.
    pub(super) fn begin(&self, proof: Proof, now: Timestamp) -> String {
        let cookie = random();
        let mut logins = self.lock();
        logins.retain(|_, login| login.holds(now));
        if logins.len() >= MOST
            && let Some(oldest) = logins.iter().min_by_key(|(_, it)| it.used).map(|(id, _)| *id)
        {
            logins.remove(&oldest);
        }
        let login = Login { proof, form_token: random(), began: now, used: now };
        logins.insert(LoginId::of_cookie(&cookie).0, login);
        cookie
    }

    /// Who this is, if somebody. `uses`: it is a person who asks, so the login goes on.
    pub(super) fn get(&self, id: &LoginId, uses: bool, now: Timestamp) -> Option<Login> {
        let mut logins = self.lock();
        let login = logins.get_mut(&id.0)?;
        if !login.holds(now) {
            logins.remove(&id.0);
            return None;
        }
        if uses {
            login.used = now;
        }
        Some(login.clone())
    }

    /// Ends a login.
    pub(super) fn end(&self, id: &LoginId) {
        self.lock().remove(&id.0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hashed, Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    fn holds(&self, now: Timestamp) -> bool {
        now.since(self.used) < IDLE && now.since(self.began) < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn id(cookie: &str) -> LoginId {
        LoginId::of_cookie(cookie)
    }

    #[test]
    fn a_login_goes_on_while_it_is_used_and_ends_at_last() {
        let logins = Logins::default();
        let cookie = logins.begin(Proof::ThisMachine, NOW);
        assert!(cookie.len() == 64 && logins.get(&id("another"), true, NOW).is_none());
        let step = IDLE - Duration::from_secs(1);
        let mut now = NOW;
        while (now + step).since(NOW) < LONGEST {
            now = now + step;
            assert!(logins.get(&id(&cookie), true, now).is_some());
        }
        assert!(logins.get(&id(&cookie), true, NOW + LONGEST).is_none());
        assert!(logins.get(&id(&cookie), true, now).is_none(), "it is gone");
    }

    #[test]
    fn who_only_follows_uses_nothing_and_who_logs_out_is_gone() {
        let logins = Logins::default();
        let cookie = logins.begin(Proof::ThisMachine, NOW);
        assert!(logins.get(&id(&cookie), false, NOW + IDLE / 2).is_some());
        assert!(logins.get(&id(&cookie), false, NOW + IDLE).is_none());
        let cookie = logins.begin(Proof::ThisMachine, NOW);
        logins.end(&id(&cookie));
        assert!(logins.get(&id(&cookie), true, NOW).is_none());
    }

    #[test]
    fn the_number_of_logins_is_bounded_and_the_one_used_longest_ago_ends() {
        let logins = Logins::default();
        let at = |n: u64| NOW + Duration::from_millis(n);
        let first = logins.begin(Proof::ThisMachine, NOW);
        let second = logins.begin(Proof::ThisMachine, at(1));
        for n in 2..MOST as u64 {
            logins.begin(Proof::ThisMachine, at(n));
        }
        assert!(logins.get(&id(&first), true, at(1000)).is_some());
        logins.begin(Proof::ThisMachine, at(1001));
        assert!(logins.get(&id(&second), false, at(1001)).is_none());
        assert!(logins.get(&id(&first), false, at(1001)).is_some());
        assert_eq!(logins.lock().len(), MOST);
    }
}
