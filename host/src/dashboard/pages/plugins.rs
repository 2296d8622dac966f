//! `/plugins`: each plugin's version, breaker, limits, times, traps and slots.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here, cell, chip, heads};
use super::overview::breaker;
use crate::clock::Timestamp;
use crate::dashboard::answer::{self, Refusal};
use crate::dashboard::login::{Caller, Scope};
use crate::dashboard::source::{PluginStanding, Standing};
use crate::dashboard::visitor::{Form, Visitor};
use crate::dashboard::wording::{self, grouped, moment, quantile, span};
use crate::dashboard::{Dashboard, guard};
use crate::engine::people::{PluginSwitch, SwitchTo};
use crate::plugin::Health;

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let standing = dashboard.source.standing().await;
    let body = view(&standing, switches(&visitor.caller).then_some(&visitor));
    answer::page(StatusCode::OK, layout::page(&visitor, Here::Plugins, "Plugins", body))
}

/// Whether somebody may enable and disable plugins: they are the whole host's.
fn switches(caller: &Caller) -> bool {
    caller.may(Scope::Operate) && caller.products.limit().is_none()
}

/// Enables a plugin or disables it, and shows them all again.
pub(in crate::dashboard) async fn switch(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Refusal> {
    if !switches(&visitor.caller) {
        return Err(guard::lacks(Scope::Operate));
    }
    let to = match form.get("to") {
        Some("enable") => SwitchTo::Enabled,
        Some("disable") => SwitchTo::Disabled { reason: None },
        Some(_) | None => {
            let message = "It isn't said whether the plugin is to be enabled or disabled.";
            return Err(Refusal::unusable(message, "Use the buttons of the page."));
        }
    };
    let plugin = form.get("plugin").unwrap_or_default().into();
    let switched =
        dashboard.source.switch_plugin(PluginSwitch { plugin, to }, &visitor.caller.actor);
    switched.await.map_err(|error| {
        let said = wording::capital(&error.to_string());
        Refusal::unusable(format!("{said}."), "Look at the plugins again.")
    })?;
    Ok(answer::see_other("/plugins"))
}

pub(super) const NAMES: [&str; 8] =
    ["Plugin", "State", "Breaker", "Limit until", "p50 / p99", "Calls", "Slots", "Waiting"];

/// `visitor`: who may enable and disable them.
pub(in crate::dashboard) fn view(standing: &Standing, visitor: Option<&Visitor>) -> Markup {
    html! {
        h1 { "Plugins" }
        @if standing.plugins.is_empty() {
            p.empty { "No plugin is there. Put a file into the plugins folder, and name it in [plugins.NAME]." }
        } @else {
            table {
                caption.hidden { "Every plugin and how it stands" }
                (heads(&NAMES))
                tbody { @for plugin in &standing.plugins { (row(plugin, visitor, standing.now)) } }
            }
        }
    }
}

fn row(plugin: &PluginStanding, visitor: Option<&Visitor>, now: Timestamp) -> Markup {
    let state = &plugin.report.state;
    let (tone, word) = match state.health {
        Health::Loaded => ("good", "runs"),
        Health::Compiling => ("warn", "is compiled"),
        Health::NotConfigured => ("", "not configured"),
        Health::Failed => ("bad", "failed"),
        Health::Unhealthy => ("bad", "unhealthy"),
        Health::HeldBack => ("bad", "held back"),
    };
    let notes = [&state.failed, &state.refused, &state.next_step];
    let until = |seconds: f64| moment(Timestamp::from_secs_f64(seconds), now);
    let account = plugin.account.as_ref();
    html! {
        tr {
            th scope="row" {
                (state.name)
                div.note { (state.file) }
                div.note { @match &state.version { Some(version) => code { (version) }, None => "no version runs" } }
            }
            (cell(NAMES[1], html! {
                @if plugin.report.disabled.is_some() { (chip("warn", "disabled")) } @else { (chip(tone, word)) }
                @if let Some(visitor) = visitor.filter(|_| state.health != Health::NotConfigured) {
                    (button(&state.name, plugin.report.disabled.is_some(), visitor))
                }
                @if state.webhooks_trap { " " (chip("warn", "webhooks trap")) }
                @if let Some(at) = state.held_back_until { div.note { "until " (until(at)) } }
                @for note in notes.into_iter().flatten() { div.note { (note) } }
                @if let Some(error) = &plugin.report.last_error {
                    div.note {
                        @if error.is_ongoing() { "Fails now: " } @else { "Failed last at " (until(error.at)) ": " }
                        (error.kind.name()) " " (error.code) ", " (error.message)
                    }
                }
            }))
            (cell(NAMES[2], html! {
                @match (breaker(plugin), plugin.report.breaker.as_deref()) {
                    (Some(why), word) => {
                        (chip("bad", word.unwrap_or("open")))
                        div.note { (why) }
                        @if let Some(at) = account.and_then(|it| it.until) { div.note { "next try " (until(at)) } }
                    }
                    (None, word) => (word.unwrap_or("–")),
                }
            }))
            (cell(NAMES[3], html! {
                @match account.and_then(|it| it.limited_until).filter(|at| *at > now.as_secs_f64()) {
                    Some(at) => (until(at)),
                    None => "–",
                }
            }))
            (cell(NAMES[4], html! {
                @let called: Vec<_> = plugin.times.iter().filter(|(_, times)| times.count() > 0).collect();
                @if called.is_empty() { "–" }
                @for (interface, times) in called {
                    div {
                        (quantile(times, 0.5).unwrap_or_default()) " / " (quantile(times, 0.99).unwrap_or_default())
                        " " span.note { (interface) }
                    }
                }
            }))
            (cell(NAMES[5], html! {
                (grouped(state.calls))
                div.note { (grouped(state.failures)) " failed, " (grouped(state.traps)) " trapped" }
            }))
            (cell(NAMES[6], html! {
                @match &plugin.slots {
                    Some([own, webhooks]) => {
                        (own.busy) " of " (own.all)
                        div.note { "webhooks " (webhooks.busy) " of " (webhooks.all) }
                    }
                    None => "–",
                }
            }))
            (cell(NAMES[7], html! {
                (grouped(plugin.waiting))
                @if let Some(oldest) = plugin.oldest { div.note { "since " (span(now.since(oldest))) } }
            }))
        }
    }
}

/// Has a plugin called, or not.
fn button(name: &str, is_disabled: bool, visitor: &Visitor) -> Markup {
    let (to, word) = if is_disabled { ("enable", "Enable") } else { ("disable", "Disable") };
    html! {
        form method="post" action="/plugins/switch" {
            (layout::token(visitor))
            input type="hidden" name="plugin" value=(name);
            input type="hidden" name="to" value=(to);
            button.quiet type="submit" aria-label={ (word) " " (name) } { (word) }
        }
    }
}
