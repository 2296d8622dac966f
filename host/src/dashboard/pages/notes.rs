//! Notes in a table, and their words.

use maud::{Markup, html};

use super::layout::{cell, chip, heads};
use crate::clock::Timestamp;
use crate::dashboard::wording::{self, count, moment, span_of};
use crate::engine::ledger::{Entry, EntryKind, EntryState};
use crate::ids::SessionKey;

/// A state, as it is shown.
pub(super) fn state(state: EntryState) -> Markup {
    match state {
        EntryState::Due => chip("", "due"),
        EntryState::InFlight => chip("", "in flight"),
        EntryState::RetryAt => chip("warn", "retry"),
        EntryState::HeldUntil => chip("warn", "held"),
        EntryState::GivenUp => chip("bad", "dead, holds others"),
        EntryState::Dead => chip("bad", "dead"),
    }
}

/// Notes, one a row.
pub(super) fn table(caption: &str, entries: &[Entry], now: Timestamp) -> Markup {
    let names = ["State", "Session", "What", "Plugin", "Reason", "Attempts", "Age"];
    html! {
        table {
            caption.hidden { (caption) }
            (heads(&names))
            tbody {
                @for entry in entries {
                    @let key = SessionKey { product: entry.product.clone(), session: entry.session.clone() };
                    tr {
                        (cell(names[0], html! {
                            (state(entry.state))
                            @if let Some(at) = entry.waits_until {
                                div.note { "until " (moment(Timestamp::from_secs_f64(at), now)) }
                            }
                        }))
                        (cell(names[1], html! { a href=(wording::session_path(&key)) { (key.to_string()) } }))
                        (cell(names[2], html! {
                            (kind(entry.kind)) " " (entry.seq)
                            div.note { (count(entry.actions as u64, "action", "actions")) ", " (entry.bytes) " bytes" }
                        }))
                        (cell(names[3], html! {
                            (entry.plugin)
                            @if let Some(id) = &entry.conversation { div.note { (id.as_str()) } }
                        }))
                        (cell(names[4], html! { (entry.reason.as_deref().unwrap_or("–")) }))
                        (cell(names[5], html! { (entry.attempts) }))
                        (cell(names[6], html! { (span_of(entry.age_seconds)) }))
                    }
                }
            }
        }
    }
}

/// What a note is made of.
pub(super) fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Actions => "note",
        EntryKind::Summary => "summary",
        EntryKind::ForPeople => "note for people",
        EntryKind::Timer => "timer",
    }
}
