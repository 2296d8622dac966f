//! What a chatbot asks for: `GET /context/{user_id}`, `GET /users/{product_id}/{user_id}/live-activity` and
//! `POST /admin/reset/{user_id}`.
//!
//! The first and the last answer as autoplay-sdk's bridge does, save that an error says more: beside
//! autoplay-sdk's `detail` it has the `error` of every other route.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::backend::NoProduct;
use super::erase::failed;
use super::path::Path;
use super::products::{self, AllowedProduct, NotAllowed};
use super::query;
use super::state::ApiState;
use crate::access::Caller;
use crate::context::assembly::{Assembly, Watermark};
use crate::context::{Acted, Query, Recent, View, about_user};
use crate::ids::ConversationId;

/// Actions of an answer where nobody says how many.
const DEFAULT_LIMIT: usize = 50;
/// When to ask again while what is stored is being read.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a user did lately, as text.
pub(super) async fn context(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    uri: Uri,
) -> Result<Response, Refused> {
    let asked = Asked::read(&api, &caller, user, &uri)?;
    let activity = asked.activity()?;
    let Asked { user, query, .. } = asked;
    let value = json!({"user_id": user, "query": query, "context": activity});
    Ok(json_answer(StatusCode::OK, &value))
}

/// What a user did lately, as a list.
pub(super) async fn live_activity(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path((product, user)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Refused> {
    let recent = readable(&api)?;
    let pairs = pairs(&uri)?;
    let limit =
        value(&pairs, "limit").map(|text| query::limit(text, "send, for example, ?limit=20"));
    let limit = limit.transpose()?.unwrap_or(DEFAULT_LIMIT);
    let product = product_of(&api, &caller, Some(&product))?;
    check_somebody(&recent, &user)?;
    let view = View { max_actions: None, ..recent.view() };
    let actions = recent.actions(&product, &user, limit, view).ok_or_else(unknown_user)?;
    let listed: Vec<_> = actions.iter().map(listed).collect();
    let value = json!({
        "product_id": &*product,
        "user_id": user,
        "count": listed.len(),
        "actions": listed,
    });
    Ok(json_answer(StatusCode::OK, &value))
}

/// Erases a user's sessions, and with them the context; notes that were posted stay.
pub(super) async fn reset(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    uri: Uri,
) -> Result<Response, Refused> {
    let product = product_of(&api, &caller, value(&pairs(&uri)?, "product"))?;
    let reset = api.within_deadline(api.backend.reset(&product, &user, &caller.actor)).await?;
    let erased = reset.map_err(failed)?;
    let mut answer = json!({"status": "ok", "user_id": user});
    // autoplay-sdk's answer has no more; what stays at the platforms is told where there is any.
    if erased.left > 0 {
        answer["left"] = json!(erased.left);
        answer["kept"] = json!(erased.kept);
        answer["erasure"] = json!(erased.erasure);
    }
    Ok(json_answer(StatusCode::OK, &answer))
}

/// A question about a user, from a client that may ask.
pub(super) struct Asked {
    pub(super) recent: Recent,
    pub(super) product: AllowedProduct,
    pub(super) user: String,
    pub(super) query: String,
    /// In which conversation, where that is said.
    pub(super) conversation: Option<ConversationId>,
}

impl Asked {
    /// Reads `…/{user_id}?query=&product=`.
    pub(super) fn read(
        api: &ApiState,
        caller: &Caller,
        user: String,
        uri: &Uri,
    ) -> Result<Self, Refused> {
        let recent = readable(api)?;
        let pairs = pairs(uri)?;
        let query = value(&pairs, "query").ok_or_else(missing_query)?.to_owned();
        let product = product_of(api, caller, value(&pairs, "product"))?;
        let conversation = value(&pairs, "conversation_id").filter(|id| !id.trim().is_empty());
        let conversation = conversation.and_then(|id| ConversationId::new(id).ok());
        Ok(Self { recent, product, user, query, conversation })
    }

    /// What the user did lately; refused with 404 where nothing is known.
    pub(super) fn activity(&self) -> Result<String, Refused> {
        check_somebody(&self.recent, &self.user)?;
        let activity = self.recent.activity(&self.product, &self.user, self.recent.view());
        if activity.is_empty() { Err(unknown_user()) } else { Ok(activity) }
    }

    /// What is known about the question, and what is new since one was answered in its conversation; refused with 404
    /// where nothing is known of the user.
    pub(super) async fn assemble(&self, answered: Watermark) -> Result<Assembly, Refused> {
        check_somebody(&self.recent, &self.user)?;
        let query = Query { text: &self.query, answered };
        let assembly = about_user(&self.recent, &self.product, &self.user, query).await;
        if assembly.context().trim().is_empty() { Err(unknown_user()) } else { Ok(assembly) }
    }
}

/// What people did lately, where it is kept.
fn readable(api: &ApiState) -> Result<Recent, Refused> {
    let Some(recent) = api.backend.recent() else {
        return Err(Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "context_off",
            "this host keeps no context",
            "add the table [context] to the configuration and start the host again",
        ));
    };
    if !recent.is_ready() {
        return Err(Refused::unavailable(
            "context_not_ready",
            "what is stored is being read",
            RETRY_AFTER,
        ));
    }
    Ok(recent)
}

fn product_of(
    api: &ApiState,
    caller: &Caller,
    named: Option<&str>,
) -> Result<AllowedProduct, Refused> {
    AllowedProduct::of(&*api.backend, caller, named).map_err(|no| match no {
        NotAllowed::Foreign(products) => products::foreign(&products),
        NotAllowed::No(NoProduct::Unknown) => Refused::new(
            StatusCode::NOT_FOUND,
            "unknown_product",
            "the product isn't configured",
            "name one that has a table [products.ID]",
        ),
        NotAllowed::No(NoProduct::Several(ids)) => Refused::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "which_product",
            "several products are configured, and users of different products are different people",
            format!("say which: ?product={}", ids.join(" or ?product=")),
        ),
    })
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Refused> {
    query::pairs(uri, "encode it as forms are: UTF-8, with % before what has a meaning of its own")
}

/// The last value of a name, as autoplay-sdk reads it.
fn value<'a>(pairs: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// An action as it is listed.
pub(super) fn listed(acted: &Acted) -> Value {
    let value = serde_json::to_value(&acted.action);
    let mut value = value.expect("an action is made of text and numbers");
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
        fields.insert("session_id".to_owned(), json!(&*acted.place.session));
        fields.insert("accepted_at".to_owned(), json!(acted.at.as_secs_f64()));
    }
    value
}

/// What autoplay-sdk says of a user of whom nothing is known.
const UNKNOWN: &str = "No activity found for user";

fn unknown_user() -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "unknown_user",
        "nothing recent is known of this user in this product",
        "answer without a context; `lookback` in [context] says what is recent",
    )
    .with_detail(json!(UNKNOWN))
}

/// Nobody is known by `undefined`, blanks and their like, and whoever asks had better know that it is so.
fn check_somebody(recent: &Recent, user: &str) -> Result<(), Refused> {
    if recent.names_somebody(user) {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        "unknown_user",
        "this user id names nobody: programs write it where they know of no one",
        "ask with the id of somebody who is signed in, or answer without a context",
    )
    .with_detail(json!(UNKNOWN)))
}

fn missing_query() -> Refused {
    let missing = json!({
        "type": "missing",
        "loc": ["query", "query"],
        "msg": "Field required",
        "input": null,
    });
    Refused::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "missing_query",
        "the query has no `query`",
        "send ?query= with the user's question; it may be empty",
    )
    .with_detail(json!([missing]))
}
