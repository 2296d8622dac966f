//! The outbox of a running host, as it is asked for.

use serde_json::{Map, json};
use sidenote::engine::Decision;
use sidenote::engine::ledger::{
    Decided, Delivery, Filter, Listing, Order, Repeat, Timeline, TimelineWant, Want,
};
use sidenote::ids::SessionKey;
use sidenote::outbox::delivery_id::DeliveryId;

use crate::client::Client;

/// Lists notes.
pub(super) async fn list(client: &Client, filter: &Filter, want: &Want) -> anyhow::Result<Listing> {
    let mut query: Vec<_> = filter.fields().into_iter().collect();
    query.push(("limit", want.limit.to_string()));
    query.extend(want.text.then(|| ("text", "true".to_owned())));
    query.extend(want.after.clone().map(|cursor| ("after", String::from(cursor))));
    client.get("/outbox", &query).await
}

/// What a delivery is.
pub(super) async fn delivery(
    client: &Client,
    id: &DeliveryId,
    text: bool,
) -> anyhow::Result<Delivery> {
    client.get(&format!("/deliveries/{id}"), &with_text(text)).await
}

/// What is known of a session.
pub(super) async fn timeline(
    client: &Client,
    key: &SessionKey,
    want: &TimelineWant,
) -> anyhow::Result<Timeline> {
    let mut query = with_text(want.text);
    query.push(("limit", want.limit.to_string()));
    query.extend(want.after.map(|cursor| ("after", String::from(cursor))));
    let session = DeliveryId::escaped(key);
    client.get(&format!("/sessions/{session}/timeline"), &query).await
}

/// Has a note sent once more, or says what that would be.
pub(super) async fn resend(
    client: &Client,
    id: &DeliveryId,
    dry_run: bool,
    text: bool,
) -> anyhow::Result<Repeat> {
    let body = json!({ "dry_run": dry_run, "text": text });
    client.post(&format!("/deliveries/{id}/resend"), &body).await
}

fn with_text(text: bool) -> Vec<(&'static str, String)> {
    text.then(|| ("text", "true".to_owned())).into_iter().collect()
}

/// Carries out an order, or says what it would mean.
pub(super) async fn decide(
    client: &Client,
    order: &Order,
    dry_run: bool,
) -> anyhow::Result<Decided> {
    let path = match order.decision {
        Decision::Retry => "/outbox/retry",
        Decision::Purge => "/outbox/purge",
    };
    let fields = order.filter.fields().into_iter();
    let mut body: Map<_, _> = fields.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    body.insert("dry_run".to_owned(), json!(dry_run));
    if order.filter.is_empty() {
        body.insert("all".to_owned(), json!(true));
    }
    if let Some(until) = order.until {
        body.insert("until".to_owned(), json!(until.as_secs_f64()));
    }
    if let Some(after) = &order.after {
        body.insert("after".to_owned(), json!(after));
    }
    client.post(path, &body).await
}
