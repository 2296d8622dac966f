//! Having notes sent again, or purging them: first a page that says how many are meant and which, then the action, which is
//! about the same filter and the same moment and says how many it was carried out for.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here};
use super::{notes, outbox};
use crate::clock::Timestamp;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::visitor::{Form, Visitor};
use crate::dashboard::wording::{self, count};
use crate::engine::Decision;
use crate::engine::ledger::{Decided, Order};

/// Notes that are named before the decision.
const SHOWN: usize = 20;

fn read<'f>(
    fields: impl Iterator<Item = (&'f str, &'f str)>,
    visitor: &Visitor,
) -> Result<Order, Refusal> {
    let (mut decision, mut until, mut after) = ("", None, None);
    let filter = outbox::filter(fields, &visitor.caller, |name, value| match name {
        "decision" => decision = value,
        "until" => until = Some(value),
        "after" => after = Some(value),
        _ => {}
    })?;
    let decision = match decision {
        "retry" => Decision::Retry,
        "purge" => Decision::Purge,
        _ => {
            let message = "It isn't said what is to be done.";
            return Err(Refusal::unusable(message, "Begin at the outbox."));
        }
    };
    let until = until.map(|until| {
        let seconds = until.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        let message = "The moment of the preview can't be read.";
        seconds.ok_or_else(|| Refusal::unusable(message, "Begin at the outbox."))
    });
    let until = until.transpose()?.map(Timestamp::from_secs_f64);
    let after = after.map(outbox::cursor).transpose()?;
    Ok(Order { decision, filter, until, after })
}

/// What would be done, and the button that does it.
pub(in crate::dashboard) async fn confirm(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let fields = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let order = read(fields, &visitor)?;
    let preview = dashboard.source.preview(&order).await?;
    let body = confirmation(&order, &preview, &visitor, dashboard.source.now());
    let title = if is_purge(&order) { "Purge" } else { "Retry" };
    Ok(answer::page(StatusCode::OK, layout::page(&visitor, Here::Outbox, title, body)))
}

fn is_purge(order: &Order) -> bool {
    match order.decision {
        Decision::Purge => true,
        Decision::Retry => false,
    }
}

pub(in crate::dashboard) fn confirmation(
    order: &Order,
    preview: &Decided,
    visitor: &Visitor,
    now: Timestamp,
) -> Markup {
    let fields = order.filter.fields();
    let notes = count(preview.matched, "note", "notes");
    let purges = is_purge(order);
    let (title, tone) = if purges {
        (format!("Purge {notes}?"), "danger")
    } else {
        (format!("Retry {notes}?"), "main")
    };
    let shown = &preview.entries[..preview.entries.len().min(SHOWN)];
    let address = wording::address("/outbox", fields.iter().map(|(name, value)| (*name, value)));
    let back = html! { a.button href=(address) { "Back, and do nothing" } };
    html! {
        h1 { (title) }
        @if purges {
            p { "They are removed for good, and never sent. This can't be undone." }
        } @else {
            p { "Dead letters are queued again, and what waits is tried at once. Limits and breakers hold." }
        }
        @if fields.is_empty() {
            p.wrong { "No filter is set: every note is meant, those that only wait too." }
        } @else {
            dl.parts {
                @for (name, value) in &fields {
                    div { dt { (outbox::label(name)) } dd { (outbox::shown_value(name, value)) } }
                }
            }
        }
        @if preview.matched == 0 {
            p.empty { "No note matches any more." }
            p { (back) }
        } @else {
            form.actions.decide method="post" action="/outbox/decide" {
                (layout::token(visitor))
                (hidden(order, preview.until))
                button class=(tone) type="submit" { (title.trim_end_matches('?')) }
                (back)
            }
            (notes::table("The notes that are meant", shown, now))
            @if preview.matched > shown.len() as u64 {
                p.note { "and " (preview.matched - shown.len() as u64) " more" }
            }
        }
    }
}

fn hidden(order: &Order, until: f64) -> Markup {
    let decision = if is_purge(order) { "purge" } else { "retry" };
    html! {
        input type="hidden" name="decision" value=(decision);
        input type="hidden" name="until" value=(until);
        @for (name, value) in order.filter.fields() {
            input type="hidden" name=(name) value=(value);
        }
    }
}

/// Does it, and says for how many.
pub(in crate::dashboard) async fn decide(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Refusal> {
    let order = read(form.fields(), &visitor)?;
    if order.until.is_none() {
        let message = "It isn't said when the preview was made.";
        return Err(Refusal::unusable(message, "Begin at the outbox."));
    }
    let decided = dashboard.source.decide(&order, &visitor.caller.actor).await?;
    let Decided { matched, done, .. } = decided;
    let decision = if is_purge(&order) { "purge" } else { "retry" };
    let (caller, filter) = (visitor.caller.name(), order.filter.for_log());
    tracing::info!(
        caller,
        decision,
        matched,
        done,
        filter,
        "dashboard: somebody decided about notes"
    );
    let body = outcome(&order, &decided, &visitor);
    Ok(answer::page(StatusCode::OK, layout::page(&visitor, Here::Outbox, "Done", body)))
}

pub(in crate::dashboard) fn outcome(order: &Order, decided: &Decided, visitor: &Visitor) -> Markup {
    let did = if is_purge(order) { "Purged" } else { "Retried" };
    let left = decided.matched.saturating_sub(decided.done);
    html! {
        h1 { (did) " " (count(decided.done, "note", "notes")) }
        @if left > 0 {
            p role="status" { (count(left, "other was", "others were")) " meant and changed meanwhile: sent, or gone." }
        }
        @if let Some(next) = &decided.next {
            p.wrong role="status" { "The time was up before the end." }
            form method="post" action="/outbox/decide" {
                (layout::token(visitor))
                (hidden(order, decided.until))
                input type="hidden" name="after" value=(String::from(next.clone()));
                button.main type="submit" { "Go on" }
            }
        }
        p.actions {
            a.button href=(wording::address("/outbox", order.filter.fields())) { "To the outbox" }
            " " a.button href="/" { "To the overview" }
        }
    }
}
