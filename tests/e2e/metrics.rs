//! What `/metrics` of a running host tells, in both forms, read strictly; and what it must not tell.

mod alerts;
mod examples;
mod exposition;
mod prometheus;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sidenote::metrics::names::{self, Kind, Values};
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{DEADLINE, Person, RedisServer, Rig, Setup, StoreKind};

use exposition::Exposition;

const TOKEN: &str = "api-token";
const OPEN: &str = "application/openmetrics-text; version=1.0.0";

fn client() -> reqwest::Client {
    sidenote::tls::install_provider();
    reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().expect("a plain client")
}

/// `GET /metrics` with these headers: status, content type, body.
async fn get(rig: &Rig, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut request = client().get(rig.url("/metrics"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("the host answers");
    let content_type = answer.headers().get("content-type").expect("a content type");
    let content_type = content_type.to_str().expect("a text").to_owned();
    (answer.status().as_u16(), content_type, answer.text().await.expect("a text"))
}

/// The text in one of both forms.
async fn text(rig: &Rig, open: bool) -> String {
    let bearer = format!("Bearer {TOKEN}");
    let accept = if open { OPEN } else { "text/plain" };
    let (status, content_type, text) =
        get(rig, &[("authorization", &bearer), ("accept", accept)]).await;
    assert_eq!((status, content_type.starts_with("application/openmetrics-text")), (200, open));
    text
}

/// Both forms at nearly the same moment, the older one told.
async fn scrape(rig: &Rig) -> Exposition {
    let open = Exposition::read(&text(rig, true).await, true);
    let plain = Exposition::read(&text(rig, false).await, false);
    let names = |read: &Exposition| -> BTreeSet<_> {
        read.series().map(|series| (series.name.clone(), series.labels.clone())).collect()
    };
    // Between the two an export may have been called for the first time.
    let (open, now) = (names(&open), names(&plain));
    let missing: Vec<_> =
        open.difference(&now).filter(|(_, labels)| !labels.iter().any(|it| it.0 == "le")).collect();
    assert!(missing.is_empty(), "the older form lacks {missing:?}");
    plain
}

/// Waits until a scrape has what is wanted.
async fn until(rig: &Rig, what: &str, has: impl Fn(&Exposition) -> bool) -> Exposition {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let read = scrape(rig).await;
        if has(&read) {
            return read;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {read:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_tells_what_happened_on_the_way_from_the_stream_to_the_platform() {
    let delivery = "retry_initial = \"100ms\"\nretry_max = \"200ms\"".to_owned();
    let rig = Rig::start(Setup { delivery, ..Setup::default() }).await;
    assert_eq!(get(&rig, &[]).await.0, 401, "not without the token");
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(503), 1);
    rig.emit(&person.batch(0..3)).await;
    rig.arrives(&conversation, &person, 3).await;
    let posted = [("kind", "note")];
    let read = until(&rig, "the note is told", |read| {
        read.sum("sidenote_delivery_seconds_count", &posted) == Some(1.0)
    })
    .await;
    let bot = ("plugin", "bot");
    for (name, labels, value) in [
        ("sidenote_ready", &[][..], 1.0),
        ("sidenote_actions_accepted_total", &[], 3.0),
        ("sidenote_actions_dropped_total", &[], 0.0),
        ("sidenote_links_total", &[("outcome", "made")], 1.0),
        ("sidenote_notes_sealed_total", &[], 1.0),
        ("sidenote_notes_posted_total", &[], 1.0),
        ("sidenote_note_attempts_failed_total", &[], 1.0),
        ("sidenote_stream_state", &[("stream", "all"), ("state", "connected")], 1.0),
        ("sidenote_stream_state", &[("stream", "all")], 1.0),
        ("sidenote_stream_events_total", &[("stream", "all")], 1.0),
        ("sidenote_stream_paused_seconds", &[("stream", "all")], 0.0),
        ("sidenote_plugin_state", &[bot, ("state", "loaded")], 1.0),
        (
            "sidenote_plugin_calls_total",
            &[bot, ("interface", "writer"), ("outcome", "answered")],
            1.0,
        ),
        (
            "sidenote_plugin_calls_total",
            &[bot, ("interface", "writer"), ("outcome", "transient")],
            1.0,
        ),
        (
            "sidenote_plugin_calls_total",
            &[bot, ("interface", "webhook"), ("outcome", "answered")],
            1.0,
        ),
        ("sidenote_plugin_call_seconds_count", &[bot, ("interface", "writer")], 2.0),
        ("sidenote_plugin_requests_total", &[bot, ("status", "2xx")], 1.0),
        ("sidenote_plugin_requests_total", &[bot, ("status", "5xx")], 1.0),
        ("sidenote_plugin_slots_busy", &[bot], 0.0),
        ("sidenote_plugin_traps_total", &[bot], 0.0),
        ("sidenote_breaker_state", &[bot, ("state", "closed")], 1.0),
        ("sidenote_rate_limited_seconds", &[bot], 0.0),
        ("sidenote_deliveries_waiting", &[], 0.0),
        ("sidenote_delivery_oldest_waiting_seconds", &[], 0.0),
        ("sidenote_store_state", &[("state", "serving")], 1.0),
        ("sidenote_inbox_inputs", &[], 0.0),
    ] {
        assert_eq!(read.sum(name, labels), Some(value), "{name} {labels:?}: {read:?}");
    }
    for (name, labels) in [
        ("sidenote_delivery_seconds_sum", &posted[..]),
        ("sidenote_stream_lag_seconds", &[]),
        ("sidenote_plugin_slots", &[("queue", "own")]),
        ("sidenote_store_commit_seconds_count", &[]),
        ("sidenote_store_commits_total", &[]),
        ("sidenote_store_sync_seconds_count", &[]),
        ("sidenote_store_sync_seconds_sum", &[]),
        ("sidenote_store_file_bytes", &[]),
    ] {
        assert!(read.sum(name, labels) > Some(0.0), "{name} {labels:?}: {read:?}");
    }
    let failed = read.sum("sidenote_delivery_seconds_sum", &posted);
    assert!(failed > Some(0.1), "the pause is part of it: {failed:?}");
    assert_eq!(read.sum("sidenote_journal_records", &[]), None, "this store has none");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_by_plugin_with_its_age_and_the_breaker() {
    let delivery = "retry_initial = \"50ms\"\nretry_max = \"100ms\"".to_owned();
    let tables =
        "[plugins.bot.breaker]\nfailures = 3\npause_initial = \"100ms\"\npause_max = \"1s\""
            .to_owned();
    let rig = Rig::start(Setup { delivery, tables, ..Setup::default() }).await;
    let people: Vec<_> = (0..5).map(|n| Person::new("p", format!("s{n}"))).collect();
    rig.platform.fail(Scope::Any, Fault::status(503), 100_000);
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
        rig.emit(&person.batch(0..1)).await;
    }
    let notes = [("plugin", "bot"), ("kind", "note")];
    let read = until(&rig, "all wait and the breaker is open", |read| {
        let closed = [("plugin", "bot"), ("state", "closed")];
        read.sum("sidenote_deliveries_waiting", &notes) == Some(5.0)
            && read.sum("sidenote_breaker_state", &closed) == Some(0.0)
            && read.sum("sidenote_delivery_oldest_waiting_seconds", &notes) > Some(0.5)
    })
    .await;
    assert_eq!(read.sum("sidenote_breakers_opened_total", &[]), Some(1.0));
    assert!(read.sum("sidenote_breaker_failures", &[]) >= Some(3.0));
    assert_eq!(read.sum("sidenote_deliveries_waiting", &[("kind", "sink")]), Some(0.0));
    rig.platform.heal();
    let read = until(&rig, "none waits", |read| {
        read.sum("sidenote_deliveries_waiting", &notes) == Some(0.0)
    })
    .await;
    assert_eq!(read.sum("sidenote_delivery_oldest_waiting_seconds", &notes), Some(0.0));
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, 1).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_with_what_is_in_the_journal() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = StoreKind::Redis { url: server.config().url };
    let rig = Rig::start(Setup { store, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    let serving = [("state", "serving")];
    let read = scrape(&rig).await;
    assert_eq!(read.sum("sidenote_store_state", &serving), Some(1.0));
    assert_eq!(read.sum("sidenote_journal_records", &[]), Some(0.0));
    assert_eq!(read.sum("sidenote_store_file_bytes", &[]), None, "the file isn't ours");
    server.pause();
    // By this the host finds out; what comes then goes into the journal.
    rig.emit(&person.batch(0..1)).await;
    until(&rig, "the store is away", |read| {
        read.sum("sidenote_store_state", &[("state", "away")]) == Some(1.0)
    })
    .await;
    rig.emit(&person.batch(1..2)).await;
    let read = until(&rig, "the batch is in the journal", |read| {
        read.sum("sidenote_journal_records", &[]) == Some(1.0)
    })
    .await;
    assert!(read.sum("sidenote_journal_bytes", &[]) > Some(0.0));
    server.resume();
    rig.arrives(&conversation, &person, 2).await;
    let read = until(&rig, "the journal is empty", |read| {
        read.sum("sidenote_journal_records", &[]) == Some(0.0)
    })
    .await;
    assert_eq!(read.sum("sidenote_store_state", &serving), Some(1.0));
    rig.end().await;
}

/// What people are called, what they did, and what is secret.
const PRIVATE: [&str; 9] = [
    "canary-session",
    "canary-user",
    "canary@example.com",
    "canary-act",
    "canary-product",
    "canary-hook",
    "canary-option",
    "api-token",
    "connector-of",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_people_is_in_it_and_the_series_do_not_grow_with_them() {
    let setup = Setup { pushed: true, ..Setup::default() };
    let rig = Rig::start(setup).await;
    let first = Person::new("p", "canary-session-first");
    let conversation = rig.open(&first).await;
    rig.emit(&first.saying([(0, format!("{} canary-act", first.marker(0)))])).await;
    rig.arrives(&conversation, &first, 1).await;
    assert_eq!(rig.push(&first, &first.batch(1..2)).await, 200);
    rig.arrives(&conversation, &first, 2).await;
    let size = |read: &Exposition| read.series().count();
    let before = until(&rig, "both notes are told", |read| {
        read.sum("sidenote_notes_posted_total", &[]) == Some(2.0)
    })
    .await;

    // Many people, and strangers who name what they like wherever a name is read.
    for n in 0..100_u64 {
        let person = Person::new(["p", "q"][n as usize % 2], format!("canary-session-{n}"));
        let mut batch = person.saying([(0, format!("{} canary-act", person.marker(0)))]);
        batch.user_id = Some(format!("canary-user-{n}"));
        batch.email = Some("canary@example.com".to_owned());
        rig.emit(&batch).await;
        batch.product_id = format!("canary-product-{n}\"\n}} 7");
        rig.emit(&batch).await;
    }
    for n in 0..20 {
        let body = serde_json::json!({"option": "canary-option"});
        for path in [
            format!("/webhooks/canary-hook-{n}"),
            "/webhooks/bot".to_owned(),
            format!("/ingest/canary-product-{n}"),
        ] {
            rig.post(&path, &body).await;
        }
    }
    let after = until(&rig, "all of it is counted", |read| {
        let unknown = [("reason", "unknown_product")];
        read.sum("sidenote_actions_dropped_total", &unknown) == Some(100.0)
            && read.sum("sidenote_pushes_total", &[("outcome", "refused")]) == Some(20.0)
    })
    .await;
    // A webhook was refused, which none was before.
    assert_eq!(size(&after), size(&before) + 1, "the series are those of the configuration");
    let known: BTreeMap<_, _> =
        names::ALL.iter().map(|metric| (metric.full_name(), metric)).collect();
    for (name, family) in &after.families {
        let metric = known.get(name).unwrap_or_else(|| panic!("{name} isn't among the names"));
        for series in &family.series {
            let labels = series.labels.iter().filter(|(label, _)| label != "le");
            let labels: Vec<_> = labels.collect();
            assert_eq!(labels.len(), metric.labels.len(), "{series:?}");
            for ((name, value), label) in labels.into_iter().zip(metric.labels) {
                assert_eq!(name, label.name, "{series:?}");
                let is_known = match label.values {
                    Values::Plugins => value == "bot",
                    Values::PluginsOrNot => ["bot", names::NOT_CONFIGURED].contains(&&**value),
                    Values::Streams => value == "all",
                    Values::OneOf(values) => values.contains(&&**value),
                };
                assert!(is_known, "{series:?}");
            }
            assert!(metric.kind == Kind::Histogram || series.name == *name, "{series:?}");
        }
    }
    for open in [true, false] {
        let text = text(&rig, open).await;
        for private in PRIVATE.iter().chain([&&*conversation]) {
            assert!(!text.contains(private), "{private} is in it:\n{text}");
        }
    }
    rig.stop().await;
}
