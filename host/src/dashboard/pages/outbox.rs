//! `/outbox`: what waits and the dead letters, by filters.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here};
use super::notes;
use crate::clock::Timestamp;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::login::{Caller, Scope, narrowed};
use crate::dashboard::visitor::Visitor;
use crate::dashboard::wording::{self, count};
use crate::engine::ledger::{Cursor, Filter, Listing, Want};

/// Notes of one page.
const SHOWN: usize = 50;
/// Which states are chosen among: words for several at once.
const STATES: [(&str, &str); 4] = [
    ("", "any"),
    ("dead,given_up", "dead letters"),
    ("due,in_flight,retry_at,held_until", "waiting"),
    ("given_up", "dead, and holding others"),
];

/// Reads a filter from the fields of an address or a form, for somebody who sees what they may. Empty fields mean nothing.
/// What is no filter's is handed to `other`.
pub(super) fn filter<'f>(
    fields: impl Iterator<Item = (&'f str, &'f str)>,
    caller: &Caller,
    mut other: impl FnMut(&'f str, &'f str),
) -> Result<Filter, Refusal> {
    let mut filter = Filter::default();
    for (name, value) in fields {
        let value = value.trim();
        if !Filter::NAMES.contains(&name) {
            other(name, value);
        } else if !value.is_empty() {
            filter.set(name, value).map_err(|error| {
                let said = wording::capital(&error.to_string());
                Refusal::unusable(format!("{said}."), "Correct the filter.")
            })?;
        }
    }
    filter.within = narrowed(caller, filter.product.as_ref()).map_err(|()| {
        let message = "Your key isn't for this product.";
        Refusal::new(StatusCode::FORBIDDEN, message, "Choose another product.")
    })?;
    Ok(filter)
}

/// Reads where a list goes on.
pub(super) fn cursor(text: &str) -> Result<Cursor, Refusal> {
    Cursor::try_from(text.to_owned())
        .map_err(|_| Refusal::unusable("The place in the list can't be read.", "Begin at its top."))
}

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let mut after = None;
    let fields = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let filter = filter(fields, &visitor.caller, |name, value| {
        if name == "after" && !value.is_empty() {
            after = Some(value);
        }
    })?;
    let after = after.map(cursor).transpose()?;
    let want = Want { limit: SHOWN, text: false, after };
    let listing = dashboard.source.outbox(&filter, &want).await?;
    let body = view(&filter, &listing, &visitor.caller, dashboard.source.now());
    Ok(answer::page(StatusCode::OK, layout::page(&visitor, Here::Outbox, "Outbox", body)))
}

pub(in crate::dashboard) fn view(
    filter: &Filter,
    listing: &Listing,
    caller: &Caller,
    now: Timestamp,
) -> Markup {
    let fields = filter.fields();
    let query = || fields.iter().map(|(name, value)| (*name, value.clone()));
    let order = |decision: &str| {
        let decision = ("decision", decision.to_owned());
        wording::address("/outbox/confirm", query().chain([decision]))
    };
    html! {
        h1 { "Outbox" }
        (form(filter))
        @if listing.entries.is_empty() {
            p.empty role="status" {
                @if filter.is_empty() { "Nothing waits, and there are no dead letters." }
                @else { "No note matches." }
            }
        } @else {
            p.actions {
                span role="status" { (shown(listing)) }
                @if caller.may(Scope::Operate) {
                    " " a.button href=(order("retry")) { "Retry all of these…" }
                    " " a.button.danger href=(order("purge")) { "Purge all of these…" }
                }
            }
            (notes::table("Notes that wait and dead letters", &listing.entries, now))
        }
        @if let Some(next) = &listing.next {
            @let after = ("after", String::from(next.clone()));
            p { a.button href=(wording::address("/outbox", query().chain([after]))) { "The next ones" } }
        }
        @if listing.unreadable > 0 {
            p.note { (count(listing.unreadable, "row", "rows")) " can't be read; see the log." }
        }
    }
}

fn shown(listing: &Listing) -> String {
    let all = listing.entries.len() as u64 + listing.beyond;
    let least = if listing.counted_all { "" } else { "at least " };
    format!("{least}{}", count(all, "note", "notes"))
}

/// The fields of a filter but the state, as people call them, with an example.
const FIELDS: [(&str, &str, &str); 7] = [
    ("plugin", "Plugin", ""),
    ("reason", "Reason has", "404"),
    ("product", "Product", ""),
    ("session", "Session", ""),
    ("conversation", "Conversation", ""),
    ("older_than", "Older than", "2h"),
    ("newer_than", "Newer than", "30m"),
];

/// A field, as people call it.
pub(super) fn label(name: &str) -> &'static str {
    FIELDS.iter().find(|(known, ..)| *known == name).map_or("State", |(_, label, _)| label)
}

/// Its value.
pub(super) fn shown_value<'v>(name: &str, value: &'v str) -> &'v str {
    let states = STATES.iter().filter(|_| name == "state").find(|(known, _)| *known == value);
    states.map_or(value, |(_, label)| label)
}

fn form(filter: &Filter) -> Markup {
    let fields = filter.fields();
    let value = |name: &str| {
        let field = fields.iter().find(|(known, _)| *known == name);
        field.map_or("", |(_, value)| value.as_str())
    };
    let states = value("state");
    let is_known = STATES.iter().any(|(known, _)| *known == states);
    html! {
        form.filter action="/outbox" {
            div {
                label for="state" { "State" }
                select #state name="state" {
                    @for (value, name) in STATES {
                        option value=(value) selected[value == states] { (name) }
                    }
                    @if !is_known { option value=(states) selected { (states) } }
                }
            }
            @for (name, label, example) in FIELDS {
                div {
                    label for=(name) { (label) }
                    input id=(name) name=(name) value=(value(name)) placeholder=(example)
                        autocomplete="off" spellcheck="false";
                }
            }
            button.main type="submit" { "Filter" }
            a.button href="/outbox" { "Clear" }
        }
    }
}
