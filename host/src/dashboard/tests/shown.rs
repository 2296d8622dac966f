//! What the pages say of values, without a host.

use super::*;
use crate::dashboard::pages::{offers, orders, overview, plugins};
use crate::dashboard::pulse::Gathered;
use crate::dashboard::source::PluginStanding;
use crate::engine::ledger::Account;
use crate::http::PluginReport;
use crate::offers::log::{self, Decision as OfferDecision};
use crate::offers::refusal::Refusal;
use crate::outbox::trouble::{FaultKind, LastError};
use crate::plugin::{Health, PluginState, Slots};

fn plugin(health: Health, breaker: &str) -> PluginStanding {
    let state = PluginState {
        name: "bot".into(),
        file: "webhook.wasm".to_owned(),
        version: Some("3fff88a7a564".to_owned()),
        interfaces: Vec::new(),
        health,
        held_back_until: None,
        webhooks_trap: false,
        failed: None,
        refused: None,
        next_step: None,
        calls: 1234,
        failures: 5,
        traps: 6,
        repeats: 0,
        swaps: 0,
        mean_call_ms: Some(12.5),
        last_trap: None,
    };
    let last_error = LastError {
        at: NOW.as_secs_f64(),
        kind: FaultKind::Transient,
        code: "503".to_owned(),
        message: "busy".to_owned(),
        since: Some(NOW.as_secs_f64()),
        failures: 7,
    };
    let account = Account {
        plugin: "bot".into(),
        breaker: breaker.to_owned().into(),
        until: Some(NOW.as_secs_f64() + 60.0),
        limited_until: Some(NOW.as_secs_f64() + 120.0),
        failures: 7,
    };
    let report = PluginReport {
        state,
        breaker: Some(breaker.to_owned()),
        last_error: Some(last_error),
        disabled: None,
    };
    PluginStanding {
        report,
        part: Some(Part::Ready),
        account: Some(account),
        times: Vec::new(),
        slots: Some([Slots { all: 16, busy: 3 }, Slots { all: 4, busy: 0 }]),
        waiting: 9,
        oldest: Some(NOW - Duration::from_secs(600)),
    }
}

async fn gathered(change: impl FnOnce(&mut Standing)) -> Gathered {
    let mut standing = Fake::default().standing().await;
    standing.streams[0].readiness.state = StreamState::Connected;
    change(&mut standing);
    Gathered { standing, failures: Some(Failures::default()), attempts: Vec::new() }
}

/// The verdict, and the line of health with what isn't well.
async fn told(change: impl FnOnce(&mut Standing)) -> (String, String) {
    let gathered = gathered(change).await;
    let [(_, verdict), (_, health), ..] = overview::parts(&gathered, &caller(&ALL, Products::All));
    (verdict.into_string(), health.into_string())
}

#[tokio::test]
async fn the_line_of_health_says_what_is_broken_and_what_to_do() {
    let (verdict, health) = told(|_| {}).await;
    assert!(verdict.contains("All is well") && verdict.contains("good"), "{verdict}");
    assert!(health.contains("1 of 1 connected") && health.contains("none waits"), "{health}");

    let (verdict, health) =
        told(|standing| standing.plugins.push(plugin(Health::Loaded, "open"))).await;
    assert!(verdict.contains("1 thing is broken"), "{verdict}");
    assert!(health.contains("10 min, of 9") && health.contains("Plugin bot: the platform fails"));
    assert!(health.contains("a note waits for 10 min"), "{health}");

    let (verdict, health) = told(|standing| {
        standing.store = Part::NotReady { cause: "the disk is full".to_owned() };
        standing.plugins.push(plugin(Health::Loaded, "disabled"));
        standing.plugins[0].oldest = None;
    })
    .await;
    assert!(verdict.contains("2 things are broken"), "{verdict}");
    assert!(health.contains("the disk is full") && health.contains("until a person enables it"));

    let (verdict, health) = told(|standing| standing.store_is_away = true).await;
    assert!(verdict.contains("1 thing is broken") && health.contains("journal"), "{health}");

    let (_, health) = told(|standing| standing.streams.clear()).await;
    assert!(health.contains("events are pushed"), "{health}");
}

#[tokio::test]
async fn a_store_that_cant_be_read_is_told_in_place_of_what_fails() {
    let gathered = Gathered { failures: None, ..gathered(|_| {}).await };
    let [.., (_, failures), _, _] = overview::parts(&gathered, &caller(&ALL, Products::All));
    assert!(failures.into_string().contains("can't be read"));
}

#[tokio::test]
async fn a_plugin_is_told_with_its_version_breaker_limit_calls_and_slots() {
    let gathered =
        gathered(|standing| standing.plugins.push(plugin(Health::HeldBack, "open"))).await;
    let page = plugins::view(&gathered.standing, None).into_string();
    for said in [
        "3fff88a7a564",
        "held back",
        "open",
        "22:14:20",
        "22:15:20",
        "1\u{202f}234",
        "6 trapped",
        "3 of 16",
        "webhooks 0 of 4",
        "Fails now: </div>transient",
        "since 10 min",
    ] {
        let said = said.replace("</div>", "");
        assert!(page.contains(&said), "{said}: {page}");
    }
}

#[test]
fn what_was_done_of_an_order_is_said_with_what_is_left() {
    let order = |decision| Order { decision, filter: Filter::default(), until: None, after: None };
    let visitor = visitor::Visitor {
        caller: caller(&ALL, Products::All),
        form_token: "t".to_owned(),
        id: logins::LoginId::of_cookie("c"),
    };
    let said = orders::outcome(&order(Decision::Retry), &decided(2), &visitor).into_string();
    assert!(said.contains("Retried 2 notes") && !said.contains("meant"), "{said}");
    let said = orders::outcome(&order(Decision::Purge), &decided(1), &visitor).into_string();
    assert!(said.contains("Purged 1 note<") && said.contains("1 other was meant"), "{said}");
    let everything = orders::confirmation(&order(Decision::Purge), &decided(0), &visitor, NOW);
    let everything = everything.into_string();
    assert!(everything.contains("every note is meant") && everything.contains("can't be undone"));
    let none = Decided { matched: 0, entries: Vec::new(), ..decided(0) };
    let none = orders::confirmation(&order(Decision::Retry), &none, &visitor, NOW).into_string();
    assert!(none.contains("No note matches") && !none.contains("method=\"post\""), "{none}");
}

#[test]
fn a_refused_offer_is_told_with_its_reason_and_until_when() {
    let key = SessionKey { product: product("p"), session: SessionId::new("s").unwrap() };
    let refusal = Refusal::TooSoon { until: NOW + Duration::from_secs(60) };
    let decision = |what| OfferDecision { at: NOW, trigger: "t".to_owned(), what, times: 3 };
    let decisions = [
        (key.clone(), decision(log::Decided::Refused(refusal))),
        (key.clone(), decision(log::Decided::failed(1, "<b>".to_owned()))),
    ];
    let page = offers::view(&decisions, 1, Some(&key), NOW).into_string();
    for said in ["min_interval until", "22:14:20", "3 times", "failed</span> &lt;b&gt;"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(page.contains("after_product=p&amp;after_session=s") && page.contains("1 older one"));
}
