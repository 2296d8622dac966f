//! `/offers`: what was decided of offers lately, made and refused, with the reason.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here, cell, chip, heads};
use crate::clock::Timestamp;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::visitor::Visitor;
use crate::dashboard::wording::{self, count, moment};
use crate::ids::{ProductId, SessionId, SessionKey};
use crate::offers::log::{Decided, Decision};

/// Decisions of one page.
const SHOWN: usize = 200;

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let asked = |name: &str| {
        let value = query.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let after = match (asked("after_product"), asked("after_session")) {
        (Some(product), Some(session)) => {
            let key = (ProductId::new(product), SessionId::new(session));
            let (Ok(product), Ok(session)) = key else {
                let message = "The place in the list can't be read.";
                return Err(Refusal::unusable(message, "Begin at its top."));
            };
            Some(SessionKey { product, session })
        }
        (Some(_) | None, _) => None,
    };
    let within = visitor.caller.products.limit();
    let found = dashboard.source.offer_decisions(after.as_ref(), within).await?;
    let decisions = found.sessions.into_iter();
    let mut decisions: Vec<_> = decisions
        .flat_map(|(key, of_session)| of_session.into_iter().map(move |it| (key.clone(), it)))
        .collect();
    decisions.sort_by_key(|(_, decision)| std::cmp::Reverse(decision.at));
    let left_out = decisions.len().saturating_sub(SHOWN);
    decisions.truncate(SHOWN);
    let body = view(&decisions, left_out, found.next.as_ref(), dashboard.source.now());
    Ok(answer::page(StatusCode::OK, layout::page(&visitor, Here::Offers, "Offers", body)))
}

pub(in crate::dashboard) fn view(
    decisions: &[(SessionKey, Decision)],
    left_out: usize,
    next: Option<&SessionKey>,
    now: Timestamp,
) -> Markup {
    let names = ["When", "Session", "Trigger", "Decision"];
    html! {
        h1 { "Offers" }
        @if decisions.is_empty() {
            p.empty { "Nothing was decided of offers lately. They are made where [products.ID.offers] is there." }
        } @else {
            table {
                caption.hidden { "What was decided of offers lately" }
                (heads(&names))
                tbody {
                    @for (key, decision) in decisions {
                        tr {
                            (cell(names[0], moment(decision.at, now)))
                            (cell(names[1], html! { a href=(wording::session_path(key)) { (key.to_string()) } }))
                            (cell(names[2], html! { (decision.trigger) }))
                            (cell(names[3], what(decision, now)))
                        }
                    }
                }
            }
        }
        @if left_out > 0 { p.note { (count(left_out as u64, "older one", "older ones")) " of these sessions left out" } }
        @if let Some(next) = next {
            @let query = [("after_product", next.product.as_str()), ("after_session", next.session.as_str())];
            p { a.button href=(wording::address("/offers", query)) { "Those of further sessions" } }
        }
    }
}

fn what(decision: &Decision, now: Timestamp) -> Markup {
    let (tone, word) = match &decision.what {
        Decided::Made { .. } => ("", "made"),
        Decided::Delivered { .. } => ("good", "delivered"),
        Decided::Late { .. } => ("warn", "late"),
        Decided::Failed { .. } => ("bad", "failed"),
        Decided::Unknown { .. } => ("warn", "unknown"),
        Decided::TornDown { .. } => ("", "removed"),
        Decided::TearDownFailed { .. } => ("warn", "not removed"),
        Decided::Interrupted { .. } => ("", "interrupted"),
        Decided::Refused(_) => ("warn", "refused"),
    };
    html! {
        (chip(tone, word))
        @match &decision.what {
            Decided::Refused(refusal) => {
                " " (refusal.code())
                @if let Some(until) = refusal.until() { " until " (moment(until, now)) }
            }
            Decided::Failed { failure, .. } => { " " (failure) }
            Decided::Made { .. } | Decided::Delivered { .. } | Decided::Late { .. } | Decided::Unknown { .. }
            | Decided::TornDown { .. } | Decided::TearDownFailed { .. } | Decided::Interrupted { .. } => {}
        }
        @if decision.times > 1 { " " span.note { (decision.times) " times" } }
    }
}
