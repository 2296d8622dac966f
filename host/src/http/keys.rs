//! `GET /keys`, `POST /keys` and `DELETE /keys/{id}`.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::json::{Fields, Json, Wanted};
use super::path::Path;
use super::products;
use super::state::ApiState;
use crate::access::{Caller, KeyId, KeyName, Products, Scope, Scopes};
use crate::clock::Timestamp;
use crate::ids::ProductId;
use crate::keys::{KeyChange, KeyError, KeyRow, ListedKey, NewKey};

/// When to ask again while the store takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Products of a key at most; a key for more is one for all.
const MOST_PRODUCTS: usize = 100;

/// Longest life of a key that has an end, in seconds: ten years.
pub(super) const LONGEST_S: u64 = 10 * 365 * 86_400;

/// Lists the keys, without their secrets.
pub(super) async fn list(State(api): State<ApiState>) -> Result<Response, Refused> {
    let table = api.backend.keys().and_then(|keys| keys.table()).ok_or_else(unread)?;
    let now = api.backend.now();
    let keys: Vec<_> = table.iter().map(|(id, row)| ListedKey::of(id, row, now)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "keys": keys })))
}

/// Makes a key, and tells its secret: this once.
pub(super) async fn make(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Json(wish): Json<Wish>,
) -> Result<Response, Refused> {
    let NewKey { id, hash, written } = NewKey::make();
    let row = wish.row(hash, &caller, api.backend.now());
    let change = KeyChange::New { id: id.clone(), row };
    let changed = api.within_deadline(api.backend.change_keys(change, &caller.actor)).await?;
    let row = changed.map_err(refused)?;
    let mut value = json!(ListedKey::of(&id, &row, api.backend.now()));
    value["secret"] = json!(written.expose());
    Ok(json_answer(StatusCode::OK, &value))
}

/// Revokes a key. It opens nothing any more when this is answered.
pub(super) async fn revoke(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = KeyId::new(&id).map_err(|_| refused(KeyError::Unknown))?;
    let change = KeyChange::Revoke(id.clone());
    let changed = api.within_deadline(api.backend.change_keys(change, &caller.actor)).await?;
    let row = changed.map_err(refused)?;
    Ok(json_answer(StatusCode::OK, &json!({"id": id.as_str(), "name": row.name.as_str()})))
}

/// A key that is wanted.
pub(super) struct Wish {
    name: KeyName,
    scopes: Scopes,
    products: Products,
    expires_in: Option<Duration>,
}

impl Wish {
    fn row(self, hash: [u8; 32], by: &Caller, now: Timestamp) -> KeyRow {
        KeyRow {
            name: self.name,
            hash,
            scopes: self.scopes,
            products: self.products,
            made_at: now,
            made_by: by.actor.clone(),
            expires_at: self.expires_in.map(|life| now + life),
            used_at: None,
        }
    }
}

impl Wanted for Wish {
    const EXAMPLE: &'static str = "send, for example, {\"name\": \"grafana\", \"scopes\": [\"read\"], \"all_products\": true, \"expires_in_s\": 7776000}";

    fn names() -> Vec<&'static str> {
        vec!["name", "scopes", "products", "all_products", "expires_in_s"]
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        let bad = |message: String| fields.unusable("invalid_key", message);
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
        let name = KeyName::new(name).map_err(|error| bad(error.to_string()))?;
        let scopes: Option<Scopes> =
            texts(fields, "scopes")?.into_iter().map(Scope::named).collect();
        let scopes = scopes.filter(|scopes| !scopes.is_empty()).ok_or_else(|| {
            let names = Scope::ALL.map(Scope::name).join(", ");
            bad(format!("scopes must be a list of some of {names}"))
        })?;
        let named: Result<BTreeSet<_>, _> =
            texts(fields, "products")?.into_iter().map(ProductId::new).collect();
        let named = named.map_err(|error| bad(format!("products: {}", error.cause)))?;
        let products = match (fields.truth("all_products")?, named.len()) {
            (true, 0) => Products::All,
            (false, 1..=MOST_PRODUCTS) => Products::Only(named),
            (true, _) | (false, _) => {
                return Err(bad(format!(
                    "products must name 1 to {MOST_PRODUCTS}, or all_products be true"
                )));
            }
        };
        let expires_in = match fields.get("expires_in_s") {
            None => None,
            Some(value) => {
                let life = value.as_u64().filter(|life| (1..=LONGEST_S).contains(life));
                let life = life.ok_or_else(|| {
                    bad(format!("expires_in_s must be a whole number from 1 to {LONGEST_S}"))
                })?;
                Some(Duration::from_secs(life))
            }
        };
        Ok(Self { name, scopes, products, expires_in })
    }

    /// A key gives no more than its maker has.
    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        if caller.products.limit().is_some() {
            return Err(products::whole_host(&caller.products));
        }
        if caller.scopes.include(&self.scopes) {
            return Ok(self);
        }
        let has = caller.scopes.names().join(", ");
        Err(Refused::new(
            StatusCode::FORBIDDEN,
            "scope",
            format!("a key gives no more than its maker has, which is {has}"),
            "make it with `server.token`, with a key that has these scopes, or with `sidenote key new --offline`",
        ))
    }
}

/// The strings of a list; none where there is no list.
fn texts<'f>(fields: &'f Fields, name: &str) -> Result<Vec<&'f str>, Refused> {
    let Some(value) = fields.get(name) else { return Ok(Vec::new()) };
    let texts = value.as_array().map(|list| list.iter().map(Value::as_str).collect());
    texts
        .flatten()
        .ok_or_else(|| fields.unusable("invalid_key", format!("{name} must be a list of strings")))
}

fn unread() -> Refused {
    Refused::unavailable("keys_not_ready", "the keys are being read", RETRY_AFTER)
}

fn refused(error: KeyError) -> Refused {
    let (status, next) = match error {
        KeyError::NameInUse => (StatusCode::CONFLICT, "GET /keys lists them with their names"),
        KeyError::IdInUse => (StatusCode::CONFLICT, "send the same request again"),
        KeyError::TooMany => (StatusCode::CONFLICT, "GET /keys lists them"),
        KeyError::Product(_) => (StatusCode::UNPROCESSABLE_ENTITY, "check the configuration"),
        KeyError::Nothing => (StatusCode::UNPROCESSABLE_ENTITY, Wish::EXAMPLE),
        KeyError::Unknown => (StatusCode::NOT_FOUND, "GET /keys lists them with their ids"),
        KeyError::Unavailable => {
            let message = "the store takes nothing at the moment";
            return Refused::unavailable(error.code(), message, RETRY_AFTER);
        }
    };
    Refused::new(status, error.code(), error.to_string(), next)
}
