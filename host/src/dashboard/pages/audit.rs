//! `/audit`: what people changed, the newest first.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here, cell, chip, heads};
use crate::clock::Timestamp;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::login::Scope;
use crate::dashboard::visitor::Visitor;
use crate::dashboard::wording::{self, grouped, moment};
use crate::dashboard::{Dashboard, guard};
use crate::engine::people::{AuditCursor, AuditPage, AuditRow, Outcome};

/// Entries of a page.
const SHOWN: usize = 100;

const NAMES: [&str; 5] = ["When", "Who", "What", "Product", "Result"];

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    if !layout::sees_audit(&visitor.caller) {
        return Err(guard::lacks(Scope::Admin));
    }
    let after = query.into_iter().find(|(name, _)| name == "after").map(|(_, value)| value);
    let after = after.map(AuditCursor::try_from).transpose().map_err(|_| {
        Refusal::unusable("The place in the log can't be read.", "Begin at its top.")
    })?;
    let page = dashboard.source.audited(SHOWN, after).await?;
    let body = view(&page, dashboard.source.now());
    Ok(answer::page(StatusCode::OK, layout::page(&visitor, Here::Audit, "Audit log", body)))
}

fn view(page: &AuditPage, now: Timestamp) -> Markup {
    html! {
        h1 { "Audit log" }
        @if page.rows.is_empty() {
            p.empty { "Nobody has changed anything." }
        } @else {
            table {
                caption.hidden { "What people changed, the newest first" }
                (heads(&NAMES))
                tbody { @for entry in &page.rows { (row(entry, now)) } }
            }
        }
        @if let Some(next) = &page.next {
            @let query = [("after", String::from(next.clone()))];
            p { a.button href=(wording::address("/audit", query)) { "Older entries" } }
        }
    }
}

fn row(entry: &AuditRow, now: Timestamp) -> Markup {
    html! {
        tr {
            (cell(NAMES[0], moment(entry.at, now)))
            (cell(NAMES[1], html! { (entry.by.words()) }))
            (cell(NAMES[2], html! { (entry.act.name().replace('_', " ")) }))
            (cell(NAMES[3], html! { (entry.product.as_ref().map(|it| it.as_str()).unwrap_or_default()) }))
            (cell(NAMES[4], match &entry.outcome {
                Outcome::Done { affected: None } => chip("good", "done"),
                Outcome::Done { affected: Some(many) } => html! {
                    (chip("good", "done")) " " (grouped(*many))
                },
                Outcome::Refused { reason } => html! { (chip("warn", "refused")) " " (reason) },
            }))
        }
    }
}
