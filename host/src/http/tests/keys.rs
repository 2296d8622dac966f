//! Keys: what they open, until when, and what is said of those that open nothing.

use std::collections::BTreeSet;

use super::*;
use crate::access::{Actor, KeyName, Products, Scope};
use crate::clock::{Clock, Timestamp};
use crate::engine::{Engine, Handle, Settings};
use crate::keys::{KeyChange, KeyRow, Keys, ListedKey, NewKey, RefusedLogin};
use crate::outbox::note::{Call, Note, PostError, Posted};
use crate::post::Post;
use crate::rules::{Delivery, Product};
use crate::store::MemoryStore;

/// Makes keys by a real engine.
pub(super) struct Issuer {
    pub(super) keys: Keys,
    engine: Handle,
    clock: Clock,
    _running: tokio::task::JoinSet<()>,
}

/// A key that was made.
pub(super) struct Made {
    pub(super) change: KeyChange,
    pub(super) written: String,
}

impl Made {
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.written)
    }

    fn id(&self) -> crate::access::KeyId {
        match &self.change {
            KeyChange::New { id, .. } | KeyChange::Revoke(id) => id.clone(),
        }
    }
}

struct Nothing;

#[async_trait::async_trait]
impl Post for Nothing {
    async fn post_note(&self, _: Call, _: &Note) -> Result<Posted, PostError> {
        Err(PostError::Unavailable { message: "nothing is posted here".to_owned() })
    }
}

/// An engine that knows these products.
pub(super) async fn issuer(products: &[&str]) -> Issuer {
    let products = products
        .iter()
        .map(|id| (ProductId::new(*id).unwrap(), Product::of(vec![], Delivery::default())));
    let settings = Settings::of_products(products);
    let clock = Clock::starting_at(Timestamp::default());
    let store = Arc::new(MemoryStore::new());
    let (engine, service) = Engine::new(store, Arc::new(Nothing), settings, clock);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(async move { service.run().await.unwrap() });
    let keys = Keys::new(engine.clone(), clock);
    Issuer { keys, engine, clock, _running: running }
}

impl Issuer {
    /// Makes a key that lasts so long.
    pub(super) async fn make(
        &self,
        scopes: &[Scope],
        products: Products,
        life: Option<Duration>,
    ) -> Made {
        let NewKey { id, hash, written } = NewKey::make();
        let row = KeyRow {
            name: KeyName::new(&format!("k-{id}")).unwrap(),
            hash,
            scopes: scopes.iter().copied().collect(),
            products,
            made_at: Timestamp::default(),
            made_by: Actor::Token,
            expires_at: life.map(|life| self.clock.now() + life),
            used_at: None,
        };
        let change = KeyChange::New { id, row };
        self.engine.change_keys(change.clone()).await.unwrap();
        Made { change, written: written.expose().to_owned() }
    }
}

async fn host(token: Option<&str>, keys: &Keys) -> Host {
    let host = Host::start(Server { token: token.map(Secret::new), ..Server::default() }).await;
    *host.backend.keys.lock().unwrap() = Some(keys.clone());
    host
}

impl Host {
    async fn plugins_by(&self, bearer: &str) -> (u16, String) {
        let answer = self.send("GET", "/plugins", &[("authorization", bearer)], "").await;
        let code = if answer.status() == 200 { String::new() } else { answer.code() };
        assert!(!answer.0.contains("sn_"), "an answer never repeats a key: {}", answer.0);
        (answer.status(), code)
    }
}

#[tokio::test]
async fn a_key_opens_what_it_says_until_it_is_revoked_or_expires() {
    let issuer = issuer(&["p"]).await;
    for token in [Some("right"), None] {
        let host = host(token, &issuer.keys).await;
        let key = issuer.make(&[Scope::Read], Products::All, None).await;
        assert_eq!(host.plugins_by(&key.bearer()).await.0, 200);
        issuer.engine.change_keys(KeyChange::Revoke(key.id())).await.unwrap();
        assert_eq!(host.plugins_by(&key.bearer()).await, (401, "unauthorized".to_owned()));

        let short = issuer.make(&[Scope::Read], Products::All, Some(Duration::from_millis(300)));
        let short = short.await;
        assert_eq!(host.plugins_by(&short.bearer()).await.0, 200);
        while issuer.keys.caller(&short.written).is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(host.plugins_by(&short.bearer()).await, (401, "unauthorized".to_owned()));
    }
    let refused = issuer.keys.refused();
    let expected = [
        (RefusedLogin::UnknownKey, 2),
        (RefusedLogin::ExpiredKey, 2),
        (RefusedLogin::WrongToken, 0),
    ];
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn what_is_nearly_a_key_opens_nothing() {
    let issuer = issuer(&["p"]).await;
    let host = host(Some("right"), &issuer.keys).await;
    let key = issuer.make(&[Scope::Read], Products::All, None).await;
    let other = issuer.make(&[Scope::Read], Products::All, None).await;
    let secret_of_other = other.written.replace(other.id().as_str(), key.id().as_str());
    let short = &key.written[..key.written.len() - 1];
    for wrong in ["sn_", "sn__", "sn_0123456789_", short, &secret_of_other] {
        let bearer = format!("Bearer {wrong}");
        assert_eq!(host.plugins_by(&bearer).await, (401, "unauthorized".to_owned()), "{wrong}");
    }
    assert_eq!(host.plugins_by("Bearer wrong").await.0, 401);
    assert_eq!(issuer.keys.refused().map(|(_, total)| total), [5, 0, 1]);
    assert_eq!(host.plugins_by("Bearer right").await.0, 200);
    assert_eq!(host.plugins_by(&key.bearer()).await.0, 200);
}

#[tokio::test]
async fn without_a_token_a_program_here_may_what_it_could_and_a_key_that_is_sent_is_judged_alone() {
    let issuer = issuer(&["p"]).await;
    let host = host(None, &issuer.keys).await;
    let limited = Products::Only(BTreeSet::from([ProductId::new("p").unwrap()]));
    let key = issuer.make(&[Scope::Text], limited, None).await.bearer();
    assert_eq!(host.send("GET", "/plugins", &[], "").await.status(), 200);
    // As before, what is no key isn't looked at.
    assert_eq!(host.plugins_by("Bearer whatever").await.0, 200);
    assert_eq!(host.plugins_by(&key).await, (403, "scope".to_owned()));
    assert_eq!(host.plugins_by("Bearer sn_0123456789_x").await.0, 401);
    // A key opens by any name, and through a proxy, as the token does.
    let head = [("authorization", key.as_str()), ("x-forwarded-for", "10.0.0.1")];
    let answer = host.send("GET", "/context/u?query=q", &head, "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "context_off"));
    let answer = host.send("GET", "/context/u?query=q", &[], "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "context_needs_token"));
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked_over_the_api() {
    let issuer = issuer(&["p"]).await;
    let host = host(Some("right"), &issuer.keys).await;
    *host.backend.engine.lock().unwrap() = Some(issuer.engine.clone());
    let right = [JSON, ("authorization", "Bearer right")];
    let wish =
        json!({"name": "grafana", "scopes": ["read"], "products": ["p"], "expires_in_s": 60});
    let made = host.send("POST", "/keys", &right, &wish.to_string()).await;
    assert_eq!(made.status(), 200, "{}", made.0);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let listed: ListedKey = serde_json::from_value(made.json()).unwrap();
    assert!(secret.starts_with(&format!("sn_{}_", listed.id)));
    assert_eq!((listed.products.len(), listed.all_products, listed.expired), (1, false, false));
    let again = host.send("POST", "/keys", &right, &wish.to_string()).await;
    assert_eq!((again.status(), again.code().as_str()), (409, "name_in_use"));

    let list = host.send("GET", "/keys", &right, "").await;
    assert_eq!((list.status(), list.json()["keys"][0]["name"].as_str()), (200, Some("grafana")));
    assert!(!list.0.contains(&secret) && !list.0.contains("hash"), "{}", list.0);
    let by_key = format!("Bearer {secret}");
    let by_key = host.send("GET", "/outbox", &[("authorization", &by_key)], "").await;
    assert_eq!(by_key.status(), 200);

    let path = format!("/keys/{}", listed.id);
    assert_eq!(host.send("DELETE", &path, &right, "").await.status(), 200);
    let twice = host.send("DELETE", &path, &right, "").await;
    assert_eq!((twice.status(), twice.code().as_str()), (404, "unknown_key"));
    assert_eq!(host.plugins_by(&format!("Bearer {secret}")).await.0, 401);
}

#[tokio::test]
async fn a_key_that_isnt_said_clearly_or_gives_more_than_its_maker_has_isnt_made() {
    let issuer = issuer(&["p"]).await;
    let host = host(None, &issuer.keys).await;
    *host.backend.engine.lock().unwrap() = Some(issuer.engine.clone());
    let admin = issuer.make(&[Scope::Admin], Products::All, None).await.bearer();
    let all = json!({"name": "n", "scopes": ["read"], "all_products": true});
    let with = |name: &str, value: Value| {
        let mut wish = all.clone();
        wish[name] = value;
        wish
    };
    for wish in [
        json!({}),
        with("name", json!("a b")),
        with("name", json!("ann@example.com")),
        with("scopes", json!([])),
        with("scopes", json!(["write"])),
        with("scopes", json!("read")),
        with("scopes", json!([1])),
        with("products", json!(["p"])),
        with("all_products", json!(false)),
        with("expires_in_s", json!(0)),
        with("expires_in_s", json!(-1)),
        with("expires_in_s", json!("90d")),
    ] {
        let answer = host.send("POST", "/keys", &[JSON], &wish.to_string()).await;
        assert_eq!((answer.status(), answer.code().as_str()), (422, "invalid_key"), "{wish}");
    }
    let unknown = json!({"name": "n", "scopes": ["read"], "products": ["other"]});
    let answer = host.send("POST", "/keys", &[JSON], &unknown.to_string()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (422, "unknown_product"));
    // Without a token no program here reads what people did, and makes no key that does.
    let text = with("scopes", json!(["text"])).to_string();
    let answer = host.send("POST", "/keys", &[JSON], &text).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "scope"));
    let by_admin = [JSON, ("authorization", &*admin)];
    let answer = host.send("POST", "/keys", &by_admin, &all.to_string()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "scope"));
    assert_eq!(issuer.keys.table().unwrap().len(), 1);
    let answer = host.send("POST", "/keys", &[JSON], &all.to_string()).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
}
