//! How keys are reached: through a running host, or in the store where none runs.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use sidenote::access::{Actor, KeyId, KeyName, Products, Scopes};
use sidenote::clock::Clock;
use sidenote::config::Secret;
use sidenote::ids::ProductId;
use sidenote::keys::{KeyChange, KeyRow, ListedKey, NewKey};

use crate::outbox::args::SourceArgs;
use crate::outbox::way::Way;

/// The way that was chosen.
pub(super) struct Reach(Way);

/// A key that is wanted.
pub(super) struct Wish {
    pub(super) name: KeyName,
    pub(super) scopes: Scopes,
    /// `None`: all.
    pub(super) products: Option<BTreeSet<ProductId>>,
    pub(super) expires: Option<Duration>,
}

#[derive(Deserialize)]
struct Listed {
    keys: Vec<ListedKey>,
}

impl Reach {
    /// Finds out whether a host runs, unless the command line says it.
    pub(super) async fn of(source: &SourceArgs) -> anyhow::Result<Self> {
        Way::choose(source).await.map(Self)
    }

    /// Makes a key. Returns it with its secret.
    pub(super) async fn make(&self, wish: Wish) -> anyhow::Result<(ListedKey, Secret)> {
        match &self.0 {
            Way::Host(client) => {
                let mut body = json!({"name": wish.name, "scopes": wish.scopes});
                match &wish.products {
                    None => body["all_products"] = json!(true),
                    Some(products) => body["products"] = json!(products),
                }
                if let Some(life) = wish.expires {
                    body["expires_in_s"] = json!(life.as_secs());
                }
                let made: Value = client.post("/keys", &body).await?;
                let secret = made["secret"].as_str().context("the host tells no secret")?;
                let secret = Secret::new(secret);
                let key = serde_json::from_value(made).context("the host tells no key")?;
                Ok((key, secret))
            }
            Way::Offline(offline) => {
                let (NewKey { id, hash, written }, now) = (NewKey::make(), Clock::system().now());
                let row = KeyRow {
                    name: wish.name,
                    hash,
                    scopes: wish.scopes,
                    products: wish.products.map_or(Products::All, Products::Only),
                    made_at: now,
                    made_by: Actor::Offline,
                    expires_at: wish.expires.map(|life| now + life),
                    used_at: None,
                };
                let change = KeyChange::New { id: id.clone(), row };
                let changed = offline.change_keys(change).await;
                offline.let_go().await;
                Ok((ListedKey::of(&id, &changed?, now), written))
            }
        }
    }

    /// Lists the keys.
    pub(super) async fn list(&self) -> anyhow::Result<Vec<ListedKey>> {
        match &self.0 {
            Way::Host(client) => client.get("/keys", &[]).await.map(|Listed { keys }| keys),
            Way::Offline(offline) => {
                let (keys, now) = (offline.keys().await?, Clock::system().now());
                Ok(keys.iter().map(|(id, row)| ListedKey::of(id, row, now)).collect())
            }
        }
    }

    /// Revokes a key. Returns what people called it.
    pub(super) async fn revoke(&self, id: &KeyId) -> anyhow::Result<KeyName> {
        match &self.0 {
            Way::Host(client) => {
                let told: Value = client.delete(&format!("/keys/{id}")).await?;
                let name = told["name"].as_str().context("the host tells no name")?;
                Ok(KeyName::new(name)?)
            }
            Way::Offline(offline) => {
                let changed = offline.change_keys(KeyChange::Revoke(id.clone())).await;
                offline.let_go().await;
                Ok(changed?.name)
            }
        }
    }
}
