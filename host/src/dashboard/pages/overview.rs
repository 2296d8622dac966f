//! `/`: whether all is well, what fails, and what was tried last. Its parts are told live, too.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Here, cell, chip, heads};
use crate::dashboard::login::{Caller, Scope};
use crate::dashboard::pulse::Gathered;
use crate::dashboard::source::{PluginStanding, Standing};
use crate::dashboard::visitor::Visitor;
use crate::dashboard::wording::{self, count, grouped, moment, span};
use crate::dashboard::{Dashboard, answer};
use crate::engine::latest::Attempted;
use crate::engine::ledger::{Failure, Failures};
use crate::http::{Part, StreamState};

/// A note that waits for longer is told as trouble.
const LONG: Duration = Duration::from_secs(300);
/// Attempts that are shown.
const SHOWN: usize = 15;

/// Something that isn't well.
#[derive(Debug, PartialEq)]
struct Problem {
    is_bad: bool,
    what: String,
    next: &'static str,
}

/// The page.
pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let gathered = dashboard.pulse.latest(&*dashboard.source).await;
    let body = view(&gathered, &visitor.caller);
    answer::page(StatusCode::OK, layout::page(&visitor, Here::Overview, "Overview", body))
}

fn view(gathered: &Gathered, caller: &Caller) -> Markup {
    let [verdict, health, failures, attempts, counts] = parts(gathered, caller);
    html! {
        h1.hidden { "Overview" }
        section.health aria-label="Health" {
            p.verdict role="status" aria-live="polite" data-live=(verdict.0) { (verdict.1) }
            div data-live=(health.0) { (health.1) }
        }
        section aria-labelledby="failures" {
            h2 #failures { "Failures" }
            div data-live=(failures.0) { (failures.1) }
        }
        section aria-labelledby="attempts" {
            h2 #attempts { "Latest attempts" }
            div data-live=(attempts.0) { (attempts.1) }
        }
        section aria-labelledby="counts" {
            h2 #counts { "Since the start of the host" }
            div data-live=(counts.0) { (counts.1) }
        }
    }
}

/// The parts of the page that change, each by its name.
pub(in crate::dashboard) fn parts(
    gathered: &Gathered,
    caller: &Caller,
) -> [(&'static str, Markup); 5] {
    let Gathered { standing, failures, attempts } = gathered;
    let failures = failures.as_ref();
    let groups = failures.iter().flat_map(|it| &it.groups);
    let dead = groups.filter(|it| caller.sees(&it.product)).map(|it| it.dead).sum();
    let problems = problems(standing, dead);
    let attempts = attempts.iter().filter(|it| caller.sees(&it.key.product)).take(SHOWN);
    [
        ("verdict", verdict(&problems)),
        ("health", health(standing, &problems)),
        ("failures", self::failures(failures, caller)),
        ("attempts", self::attempts(attempts, standing)),
        ("counts", counts(standing)),
    ]
}

fn verdict(problems: &[Problem]) -> Markup {
    let bad = problems.iter().filter(|problem| problem.is_bad).count();
    let (tone, words) = match (problems.len(), bad) {
        (0, _) => ("good", "All is well".to_owned()),
        (all, 0) => ("warn", count(all as u64, "thing to look at", "things to look at")),
        (_, bad) => ("bad", count(bad as u64, "thing is broken", "things are broken")),
    };
    html! { (chip(tone, &words)) }
}

fn health(standing: &Standing, problems: &[Problem]) -> Markup {
    let streams = &standing.streams;
    let is_connected = |state: StreamState| state == StreamState::Connected;
    let connected = streams.iter().filter(|it| is_connected(it.readiness.state)).count();
    let lag = streams.iter().filter_map(|stream| stream.lag).max();
    let configured = standing.plugins.iter().filter(|plugin| plugin.part.is_some());
    let ready = configured.clone().filter(|it| it.part == Some(Part::Ready)).count();
    let oldest = standing.plugins.iter().filter_map(|plugin| plugin.oldest).min();
    let waiting: u64 = standing.plugins.iter().map(|plugin| plugin.waiting).sum();
    html! {
        dl.parts {
            div {
                dt { "Streams" }
                dd {
                    @if streams.is_empty() { "none; events are pushed" }
                    @else { (connected) " of " (streams.len()) " connected" }
                    @if let Some(lag) = lag { ", lag " (span(lag)) }
                }
            }
            div {
                dt { "Store" }
                dd {
                    @match (&standing.store, standing.store_is_away) {
                        (Part::Ready, false) => "ready",
                        (Part::Ready, true) => "away; the journal is used",
                        (Part::NotReady { .. }, _) => "not ready",
                    }
                }
            }
            div { dt { "Plugins" } dd { (ready) " of " (configured.count()) " ready" } }
            div {
                dt { "Oldest waiting note" }
                dd {
                    @match oldest {
                        None => "none waits",
                        Some(oldest) => {
                            (span(standing.now.since(oldest))) ", of " (grouped(waiting))
                        }
                    }
                }
            }
        }
        @if !problems.is_empty() {
            ul.problems {
                @for problem in problems {
                    li {
                        (chip(if problem.is_bad { "bad" } else { "warn" }, if problem.is_bad { "broken" } else { "look" }))
                        " " (problem.what) " " span.next { (problem.next) }
                    }
                }
            }
        }
    }
}

fn problems(standing: &Standing, dead: u64) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |is_bad, what, next| problems.push(Problem { is_bad, what, next });
    if let Part::NotReady { cause } = &standing.store {
        add(true, format!("Store: {cause}."), "Nothing is accepted until it is; see the log.");
    } else if standing.store_is_away {
        let what = "Store: its server is away, and what comes in is kept in the journal.";
        add(true, what.to_owned(), "Start it again; notes wait until then.");
    }
    for stream in &standing.streams {
        let it = &stream.readiness;
        let (is_bad, state, next) = match it.state {
            StreamState::Connected => match stream.paused {
                None => continue,
                Some(_) => (false, "is paused", "The host is busy; it goes on by itself."),
            },
            StreamState::Connecting => (false, "connects", "It goes on by itself."),
            StreamState::Waiting => (true, "is lost", "It connects again by itself."),
            StreamState::Refused => {
                (true, "is refused", "Correct its address or token, then `sidenote stream retry`.")
            }
            StreamState::Stopped => (true, "has stopped", "See the log."),
        };
        let cause = it.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
        add(is_bad, format!("Stream {} {state}{cause}.", it.name), next);
    }
    for plugin in &standing.plugins {
        let name = &plugin.report.state.name;
        if let Some(Part::NotReady { cause }) = &plugin.part {
            add(true, format!("Plugin {name}: {cause}."), "See Plugins.");
        } else if let Some(breaker) = breaker(plugin) {
            add(true, format!("Plugin {name}: {breaker}."), "See Plugins.");
        }
        let waits = plugin.oldest.map(|oldest| standing.now.since(oldest));
        if let Some(waits) = waits.filter(|waits| *waits >= LONG) {
            let what = format!("Plugin {name}: a note waits for {}.", span(waits));
            add(false, what, "See Outbox.");
        }
    }
    if dead > 0 {
        let what = format!(
            "Outbox: {}.",
            count(dead, "dead letter waits for a person", "dead letters wait for a person")
        );
        add(false, what, "See Failures below.");
    }
    problems
}

/// Why nothing is posted, where that is so.
pub(super) fn breaker(plugin: &PluginStanding) -> Option<&'static str> {
    match plugin.report.breaker.as_deref() {
        Some("open" | "probing") => Some("the platform fails, and is asked by one call at a time"),
        Some("disabled") => Some("it is disabled until a person enables it"),
        Some(_) | None => None,
    }
}

fn failures(failures: Option<&Failures>, caller: &Caller) -> Markup {
    let Some(failures) = failures else {
        return html! { p.empty { "The store can't be read at the moment." } };
    };
    let groups: Vec<_> = failures.groups.iter().filter(|it| caller.sees(&it.product)).collect();
    if groups.is_empty() {
        return html! { p.empty { "Nothing fails." } };
    }
    let names = ["Plugin", "Reason", "Dead letters", "Waiting", "Oldest", "Next step"];
    html! {
        table {
            caption.hidden { "Failures by plugin and reason" }
            (heads(&names))
            tbody {
                @for group in groups { (failure(group, caller, &names)) }
            }
        }
        @if !failures.counted_all {
            p.note { "There is more than could be counted: the numbers are the least there are." }
        }
    }
}

fn failure(group: &Failure, caller: &Caller, names: &[&str; 6]) -> Markup {
    let Failure { product, plugin, code, reason, dead, waiting, oldest_seconds } = group;
    let is_dead = *dead > 0;
    let mut query = vec![("product", product.as_str()), ("plugin", &**plugin)];
    if !code.is_empty() {
        query.push(("reason", code.as_str()));
    }
    let states = if is_dead { "dead,given_up" } else { "due,in_flight,retry_at,held_until" };
    query.push(("state", states));
    let outbox = wording::address("/outbox", query.iter().copied());
    let order = |decision| {
        let query = query.iter().copied().chain([("decision", decision)]);
        wording::address("/outbox/confirm", query)
    };
    html! {
        tr {
            th scope="row" { (plugin) div.note { (product) } }
            (cell(names[1], html! { a href=(outbox) { (reason) } }))
            (cell(names[2], html! { @if is_dead { (chip("bad", &grouped(*dead))) } @else { "0" } }))
            (cell(names[3], html! { (grouped(*waiting)) }))
            (cell(names[4], html! { (wording::rough(*oldest_seconds)) }))
            (cell(names[5], html! {
                p { (wording::next_step(code, is_dead)) }
                @if is_dead && caller.may(Scope::Operate) {
                    p.actions {
                        a.button href=(order("retry")) { "Retry…" } " "
                        a.button.danger href=(order("purge")) { "Purge…" }
                    }
                }
            }))
        }
    }
}

fn attempts<'a>(attempts: impl Iterator<Item = &'a Attempted>, standing: &Standing) -> Markup {
    let mut attempts = attempts.peekable();
    if attempts.peek().is_none() {
        return html! { p.empty { "Nothing was tried since the start of the host." } };
    }
    let names = ["Ended", "What", "Plugin", "Session", "Outcome"];
    html! {
        table.dense {
            caption.hidden { "The attempts that ended last" }
            (heads(&names))
            tbody {
                @for it in attempts {
                    tr data-attempt=(it.number) {
                        (cell(names[0], moment(it.at, standing.now)))
                        (cell(names[1], html! { (it.of) }))
                        (cell(names[2], html! { (it.plugin) }))
                        (cell(names[3], html! {
                            a href=(wording::session_path(&it.key)) { (it.key.to_string()) }
                        }))
                        (cell(names[4], match it.failure {
                            None => chip("good", "delivered"),
                            Some(word) => chip("bad", word),
                        }))
                    }
                }
            }
        }
    }
}

fn counts(standing: &Standing) -> Markup {
    let totals = &standing.totals;
    let counted = [
        ("Actions accepted", totals.actions_accepted),
        ("Notes sent", totals.notes_posted),
        ("Failed, tried again", totals.attempts_failed),
        ("Dead letters", totals.notes_dead),
        ("Offers made", totals.offers_made),
        ("Offers refused", totals.offers_refused),
    ];
    html! {
        dl.counts {
            @for (name, number) in counted { div { dt { (name) } dd { (grouped(number)) } } }
        }
    }
}
