//! `/sessions`: finding a session by its id, its user or an e-mail address.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here, cell, heads};
use crate::clock::Timestamp;
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::visitor::Visitor;
use crate::dashboard::wording::{self, count, moment};
use crate::ids::{ProductId, SessionKey};
use crate::session::state::Record;

/// Longest text that is looked for, in bytes: as long as the longest id.
const MAX_TEXT: usize = 1024;
/// Sessions that are shown of those that something was tried for.
const SHOWN: usize = 20;

type Found = (SessionKey, Record);

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let asked = |name: &str| {
        let value = query.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    let products = dashboard.source.products();
    let products: Vec<_> = products.into_iter().filter(|id| visitor.caller.sees(id)).collect();
    let now = dashboard.source.now();
    let (text, product) = (asked("q"), asked("product"));
    let found = match text {
        None => None,
        Some(text) if text.len() > MAX_TEXT => {
            return Err(Refusal::unusable("That is longer than any id.", "Look for less."));
        }
        Some(text) => {
            let mut found = Vec::new();
            for id in products.iter().filter(|id| product.is_none_or(|it| it == id.as_str())) {
                found.extend(dashboard.source.find_sessions(id, text).await?);
            }
            Some(found)
        }
    };
    let latest: Vec<SessionKey> = match found {
        Some(_) => Vec::new(),
        None => {
            let mut latest: Vec<SessionKey> = Vec::new();
            for it in dashboard.source.latest_attempts() {
                let is_new = !latest.contains(&it.key);
                if is_new && visitor.caller.sees(&it.key.product) && latest.len() < SHOWN {
                    latest.push(it.key);
                }
            }
            latest
        }
    };
    let body = view(&products, text, product, found.as_deref(), &latest, now);
    let page = layout::page(&visitor, Here::Sessions, "Sessions", body);
    Ok(answer::page(StatusCode::OK, page))
}

fn view(
    products: &[ProductId],
    text: Option<&str>,
    product: Option<&str>,
    found: Option<&[Found]>,
    latest: &[SessionKey],
    now: Timestamp,
) -> Markup {
    html! {
        h1 { "Sessions" }
        form.filter action="/sessions" {
            div {
                label for="q" { "Session id, user id or e-mail address" }
                input #q type="search" name="q" value=[text] maxlength=(MAX_TEXT) autocomplete="off" spellcheck="false";
            }
            @if products.len() > 1 {
                div {
                    label for="product" { "Product" }
                    select #product name="product" {
                        option value="" { "any" }
                        @for id in products {
                            option value=(id.as_str()) selected[product == Some(id.as_str())] { (id.as_str()) }
                        }
                    }
                }
            }
            button.main type="submit" { "Find" }
        }
        @match found {
            Some([]) => p.empty role="status" {
                "No session has this id, user or address. A session is known once an action of it was accepted, and forgotten after [retention] sessions."
            },
            Some(found) => {
                p role="status" { (count(found.len() as u64, "session", "sessions")) }
                (table("The sessions that were found", found, now))
            }
            None => {
                h2 { "Tried last" }
                @if latest.is_empty() { p.empty { "Nothing was tried since the start of the host." } }
                @else {
                    ul.plain {
                        @for key in latest {
                            li { a href=(wording::session_path(key)) { (key.to_string()) } }
                        }
                    }
                }
            }
        }
    }
}

fn table(caption: &str, found: &[Found], now: Timestamp) -> Markup {
    let names = ["Session", "Product", "Active last", "Linked to", "Notes"];
    html! {
        table {
            caption.hidden { (caption) }
            (heads(&names))
            tbody {
                @for (key, record) in found {
                    tr {
                        th scope="row" { a href=(wording::session_path(key)) { (key.session.as_str()) } }
                        (cell(names[1], html! { (key.product.as_str()) }))
                        (cell(names[2], moment(record.active_at, now)))
                        (cell(names[3], html! {
                            @match &record.link {
                                Some(link) => { (link.plugin) ", " (link.conversation.as_str()) }
                                None => "nothing",
                            }
                        }))
                        (cell(names[4], html! { (record.notes) }))
                    }
                }
            }
        }
    }
}
