//! `/sessions/{product}/{session}`: what happened in one session, the latest first. What people did is read, and shown,
//! only where somebody asks for it who may.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde::Serialize;

use super::layout::{self, Here, chip};
use crate::clock::Timestamp;
use crate::dashboard::Dashboard;
use crate::dashboard::Session;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::guard;
use crate::dashboard::login::Scope;
use crate::dashboard::visitor::Visitor;
use crate::dashboard::wording::{self, count, moment};
use crate::engine::ledger::{AttemptDecision, AttemptEntry, DeliveryState, Happened, Moment};
use crate::ids::{ProductId, SessionId, SessionKey};
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::redaction::Why;
use crate::session::identity::Basis;

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Path((product, session)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let unknown = || {
        Refusal::not_found(
            "Nothing is known of this session.",
            "A session is known once an action of it was accepted, and forgotten after [retention] sessions.",
        )
    };
    let (Ok(product), Ok(session)) = (ProductId::new(product), SessionId::new(session)) else {
        return Err(unknown());
    };
    if !visitor.caller.sees(&product) {
        return Err(unknown());
    }
    let texts = query.iter().any(|(name, value)| name == "text" && value == "1");
    if texts && !visitor.caller.may(Scope::Text) {
        return Err(guard::lacks(Scope::Text));
    }
    let key = SessionKey { product, session };
    let found = dashboard.source.session(&key, texts).await?.ok_or_else(unknown)?;
    if texts {
        let (caller, product) = (visitor.caller.name(), &key.product);
        tracing::info!(caller, %product, "dashboard: somebody had shown what was done in a session");
    }
    let body = view(&key, &found, texts, &visitor, dashboard.source.now());
    Ok(answer::page(StatusCode::OK, layout::page(&visitor, Here::Sessions, "Session", body)))
}

pub(in crate::dashboard) fn view(
    key: &SessionKey,
    found: &Session,
    texts: bool,
    visitor: &Visitor,
    now: Timestamp,
) -> Markup {
    let of_session = [("product", key.product.as_str()), ("session", key.session.as_str())];
    html! {
        h1 { "Session " span.id { (key.session.as_str()) } }
        (facts(key, found, texts, now))
        p.actions {
            @if texts {
                a.button href=(wording::session_path(key)) { "Hide what was done" }
            } @else if visitor.caller.may(Scope::Text) {
                form action=(wording::session_path(key)) {
                    input type="hidden" name="text" value="1";
                    button type="submit" { "Show what was done" }
                }
            } @else {
                span.note { "What was done is shown to keys with the scope " code { "text" } "." }
            }
            " " a.button href=(wording::address("/outbox", of_session)) { "Its notes in the outbox" }
        }
        h2 { "What happened" }
        @if found.timeline.waiting_actions > 0 {
            p { (count(found.timeline.waiting_actions, "action waits", "actions wait")) " to become a note." }
        }
        @if found.timeline.moments.is_empty() {
            p.empty { "Nothing is on record." }
        } @else {
            ol.timeline {
                @for moment in found.timeline.moments.iter().rev() { li { (happened(moment, now)) } }
            }
        }
        @if found.timeline.next.is_some() || found.timeline.cut {
            p.note { "There is more than is shown; the API pages through it: " code { "/sessions/…/timeline" } "." }
        }
    }
}

fn facts(key: &SessionKey, found: &Session, texts: bool, now: Timestamp) -> Markup {
    let record = found.record.as_ref();
    let link = record.and_then(|record| record.link.as_ref());
    html! {
        dl.parts {
            div { dt { "Product" } dd { (key.product.as_str()) } }
            div {
                dt { "Linked to" }
                dd {
                    @match link {
                        None => "no conversation",
                        Some(link) => {
                            (link.plugin) ", " (link.conversation.as_str())
                            div.note {
                                "since " (moment(link.since, now)) ", "
                                @match link.basis {
                                    Basis::Unverified => "unverified",
                                    Basis::Verified => "verified by the platform",
                                    Basis::Operator => "by an operator",
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(record) = record {
                div { dt { "Active last" } dd { (moment(record.active_at, now)) } }
                div { dt { "Notes sealed" } dd { (record.notes) } }
                div {
                    dt { "Person" }
                    dd {
                        @match (texts, &record.user_id, &record.email) {
                            (_, None, None) => "not known",
                            (false, ..) => "known, hidden",
                            (true, user, email) => {
                                @for name in [user, email].into_iter().flatten() { div { (name) } }
                            }
                        }
                    }
                }
            }
            @if let Some(help) = &found.help {
                div {
                    dt { "Help" }
                    dd {
                        (help.state.as_str())
                        @if help.cooling_down { div.note { "cooling down" } }
                        @if let Some(until) = help.until { div.note { "until " (moment(until, now)) } }
                    }
                }
            }
        }
    }
}

fn happened(it: &Moment, now: Timestamp) -> Markup {
    html! {
        (moment(Timestamp::from_secs_f64(it.at), now))
        div { (what(&it.what, now)) }
    }
}

fn what(it: &Happened, now: Timestamp) -> Markup {
    html! {
        @match it {
            Happened::Actions { first, count: number, texts } => {
                (chip("", "actions")) " "
                @match first {
                    Some(first) if *number > 1 => { "actions " (first) " to " (first + number - 1) " accepted" }
                    Some(first) => { "action " (first) " accepted" }
                    None => { (count(*number, "action", "actions")) " accepted" }
                }
                @if let Some(texts) = texts {
                    ul.done { @for text in texts { li { (text.0) } } }
                }
            }
            Happened::Summary { covers, text } => {
                (chip("", "summary")) " covers up to action " (covers)
                @if let Some(text) = text { pre { (text.0) } }
            }
            Happened::Linked { plugin, conversation, moves, .. } => {
                (chip("", "linked")) " to " (plugin) ", " (conversation.as_str())
                @if *moves > 0 { ", after " (count((*moves).into(), "move", "moves")) }
            }
            Happened::Made { id, kind, plugin, conversation, resent_of, .. } => {
                (chip("", "made")) " " (kind) " " span.id { (id) } " for " (plugin)
                @if let Some(conversation) = conversation { ", to " (conversation.as_str()) }
                @if let Some(of) = resent_of { div.note { "sent once more: it repeats " (of) } }
            }
            Happened::Attempt { id, attempt: it } | Happened::RedactAttempt { id, attempt: it } => {
                (attempt(id, it, now))
            }
            Happened::Delivered { id } => { (chip("good", "sent")) " " span.id { (id) } }
            Happened::Dead { id, reason } => {
                (chip("bad", "dead letter")) " " span.id { (id) }
                @if let Some(reason) = reason { div.note { (reason) } }
            }
            Happened::Redact { id, why } => {
                (chip("warn", "to be redacted")) " " span.id { (id) } ", "
                @match why {
                    Why::Replaced => "a summary stands in its place",
                    Why::Erased => "its person or session is erased",
                }
            }
            Happened::Ended { id, state } => {
                (chip(if *state == DeliveryState::Redacted { "" } else { "warn" }, &words(state.name())))
                " " span.id { (id) }
            }
            Happened::Offer { trigger, decision, made, until, times, failure, .. } => {
                (chip(if *made { "good" } else { "" }, if *made { "offer made" } else { "offer" }))
                " " (words(decision))
                @if *times > 1 { ", " (times) " times in a row" }
                @if let Some(until) = until {
                    ", until " (moment(Timestamp::from_secs_f64(*until), now))
                }
                div.note { "by the trigger " (trigger) }
                @if let Some(failure) = failure { div.note { (failure) } }
            }
        }
    }
}

fn attempt(id: &DeliveryId, it: &AttemptEntry, now: Timestamp) -> Markup {
    let (tone, word) = match it.decision {
        AttemptDecision::Delivered => ("good", "sent"),
        AttemptDecision::Again => ("warn", "failed, tried again"),
        AttemptDecision::Dead => ("bad", "failed"),
        AttemptDecision::Waits => ("", "under way"),
    };
    html! {
        (chip(tone, word)) " attempt " (it.attempt) " at " span.id { (id) } ": " (name(&it.status))
        @if let Some(code) = &it.code { ", code " (code) }
        @if let Some(took) = it.duration_ms { ", " (took) " ms" }
        @if let Some(at) = it.again_at { ", next " (moment(Timestamp::from_secs_f64(at), now)) }
        @if let Some(asked) = &it.asked_first { div.note { "the platform was asked first: " (name(asked)) } }
        @if let Some(reason) = &it.reason { div.note { (reason) } }
        @if let Some(version) = &it.version { div.note { "version " (version) } }
    }
}

/// As the API has it, in words.
fn name(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    words(value.as_str().unwrap_or_default())
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
