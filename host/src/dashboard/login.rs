//! Who a key is, and what its bearer may see and do: the one place of the dashboard that knows keys.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use http::Uri;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub(super) use crate::access::{Caller, Scope};
use crate::config::{Dashboard, Server};
use crate::http::is_this_machine;
use crate::ids::ProductId;

/// What is remembered of a key while its bearer is logged in: nothing that opens anything.
#[derive(Clone, Copy)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// By what somebody logged in. Asked again with each request, so that a key that is no longer one ends its logins.
#[derive(Clone)]
pub(super) enum Proof {
    /// The host's token.
    Token(Fingerprint),
    /// A key of the API, by who its bearer is.
    Key(Caller),
    /// Being on this machine, where no key is set.
    ThisMachine,
}

/// The keys.
pub(super) struct Keys {
    /// The host's token, and in tests others.
    known: Vec<(Fingerprint, Caller)>,
    /// The keys of the API.
    api: Option<crate::keys::Keys>,
    /// Who comes without a key from this machine; `None` where there is a token, or where others reach the listener.
    this_machine: Option<Caller>,
}

impl Keys {
    /// The keys of a listener at `local`.
    pub(super) fn of(
        server: &Server,
        dashboard: &Dashboard,
        api: Option<crate::keys::Keys>,
        local: SocketAddr,
    ) -> Self {
        let public = dashboard.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let elsewhere = public.is_some_and(|url| !url.authority().is_some_and(is_this_machine));
        let is_private = local.ip().to_canonical().is_loopback() && !elsewhere;
        let token = server.token.as_ref();
        let token = token.map(|token| (Fingerprint::of(token.expose()), Caller::token()));
        // As at the API: what people did is for the bearer of a token alone.
        let this_machine = (token.is_none() && is_private).then(Caller::machine);
        Self { known: token.into_iter().collect(), api, this_machine }
    }

    /// These keys and no others.
    #[cfg(test)]
    pub(super) fn these(keys: impl IntoIterator<Item = (&'static str, Caller)>) -> Self {
        let known = keys.into_iter().map(|(key, caller)| (Fingerprint::of(key), caller));
        Self { known: known.collect(), api: None, this_machine: None }
    }

    /// Who the bearer of a key is; `None` where it is none, found out in the same time.
    pub(super) fn caller(&self, key: &str) -> Option<(Caller, Proof)> {
        let of_api = self.api.as_ref().and_then(|keys| keys.caller(key));
        let proof = match of_api {
            Some(caller) => Proof::Key(caller),
            None => Proof::Token(Fingerprint::of(key)),
        };
        Some((self.still(&proof)?, proof))
    }

    /// Who somebody on this machine is who has no key; `None` where one is needed.
    pub(super) fn this_machine(&self) -> Option<(Caller, Proof)> {
        Some((self.still(&Proof::ThisMachine)?, Proof::ThisMachine))
    }

    /// Who somebody is that logged in before; `None` where that doesn't hold any more.
    pub(super) fn still(&self, proof: &Proof) -> Option<Caller> {
        let sent = match proof {
            Proof::Token(sent) => sent,
            Proof::Key(caller) => {
                let stands = self.api.as_ref().is_some_and(|keys| keys.still_allow(&caller.actor));
                return stands.then(|| caller.clone());
            }
            Proof::ThisMachine => return self.this_machine.clone(),
        };
        // All of them, and hashes of equal length: neither which one nor how much of it fits shows in the time.
        let fits = |known: &Fingerprint| bool::from(sent.0.ct_eq(&known.0));
        let mut found = None;
        for (known, caller) in &self.known {
            if fits(known) {
                found = Some(caller);
            }
        }
        found.cloned()
    }
}

/// The products that a list is narrowed to, where somebody asks for it with this one; `None`: to none but that. `Err`: it
/// is none of theirs.
pub(super) fn narrowed(
    caller: &Caller,
    wanted: Option<&ProductId>,
) -> Result<Option<BTreeSet<ProductId>>, ()> {
    match wanted {
        Some(product) if caller.sees(product) => Ok(None),
        Some(_) => Err(()),
        None => Ok(caller.products.limit().cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Products;
    use crate::config::Secret;

    fn keys(token: Option<&str>, public_url: Option<&str>, local: &str) -> Keys {
        let server = Server { token: token.map(Secret::new), ..Server::default() };
        let public_url = public_url.map(str::to_owned);
        let dashboard = Dashboard { public_url, ..Dashboard::default() };
        Keys::of(&server, &dashboard, None, local.parse().unwrap())
    }

    #[test]
    fn the_token_opens_everything_and_nothing_else_opens_anything() {
        let with_token = keys(Some("right"), None, "127.0.0.1:8788");
        let (caller, proof) = with_token.caller("right").expect("it is the key");
        assert!([Scope::Read, Scope::Text, Scope::Operate].iter().all(|it| caller.may(*it)));
        for wrong in ["", "righ", "right ", "rightx", "Right"] {
            assert!(with_token.caller(wrong).is_none(), "{wrong:?}");
        }
        assert!(with_token.this_machine().is_none());
        assert!(keys(Some("renewed"), None, "127.0.0.1:8788").still(&proof).is_none(), "revoked");
        assert!(keys(None, None, "127.0.0.1:8788").still(&proof).is_none());
    }

    #[test]
    fn without_a_token_this_machine_alone_comes_in_and_sees_no_texts() {
        let (caller, proof) = keys(None, None, "[::1]:8788").this_machine().expect("it is private");
        assert!(caller.may(Scope::Read) && caller.may(Scope::Operate) && !caller.may(Scope::Text));
        let public = Some("https://sidenote.example.com");
        for others in [keys(None, None, "192.0.2.1:8788"), keys(None, public, "127.0.0.1:8788")] {
            assert!(others.this_machine().is_none() && others.caller("").is_none());
            assert!(others.still(&proof).is_none());
        }
    }

    #[test]
    fn who_sees_some_products_asks_for_those() {
        let product = |id: &str| ProductId::new(id).unwrap();
        let mut caller = Caller::token();
        assert_eq!(narrowed(&caller, None), Ok(None));
        let both = BTreeSet::from([product("p"), product("q")]);
        caller.products = Products::Only(both.clone());
        assert_eq!(narrowed(&caller, None), Ok(Some(both)));
        assert_eq!(narrowed(&caller, Some(&product("q"))), Ok(None));
        assert_eq!(narrowed(&caller, Some(&product("r"))), Err(()));
        assert!(caller.sees(&product("q")) && !caller.sees(&product("r")));
    }
}
