//! Analytics over real sockets: a connector, the host, the component `jsonl-http`, and a strict place that
//! takes lines of JSON.

use std::collections::BTreeSet;
use std::time::Duration;

use sidenote::session::payload::SummaryPayload;
use sidenote_sim::{Event, PlatformOptions};
use sidenote_tests::warehouse::{Refusal, Warehouse};
use sidenote_tests::{Person, Rig, Setup, eventually};

const TOKEN: &str = "incoming-of-a-test";
const SIGNING: &str = "signing-of-a-test";
const PEOPLE: u64 = 8;

/// The product `a` has a sink and nothing else; the product `n` has one beside the bot.
async fn rig(warehouse: &Warehouse, process: bool) -> Rig {
    let url = warehouse.url();
    let tables = format!(
        r#"
[plugins.jsonl-http.config]
url = "{url}/lines"
bearer = "true"
signed = "true"

[plugins.jsonl-http.secrets]
token = {{ env = "INCOMING", hosts = ["{url}"] }}
signing = {{ env = "SIGNING", hosts = [] }}

[plugins.jsonl-http.grants]
hosts = ["{url}"]
private = true

[products.a]
plugins = ["jsonl-http"]

[products.n]
plugins = ["bot", "jsonl-http"]
"#
    );
    let delivery = r#"
debounce = "20ms"
retry_initial = "20ms"
retry_max = "200ms"
call_timeout = "2s"
"#;
    let platform = PlatformOptions {
        signing_secret: SIGNING.to_owned(),
        webhook_secret: TOKEN.to_owned(),
        ..PlatformOptions::default()
    };
    Rig::start(Setup {
        delivery: delivery.to_owned(),
        tables,
        files: &["jsonl-http.wasm"],
        process,
        platform,
        ..Setup::default()
    })
    .await
}

async fn warehouse() -> Warehouse {
    Warehouse::start(TOKEN, SIGNING).await
}

/// Waits until a session's first actions are there, and asserts that they are there in order, each once,
/// with nothing else.
async fn has(warehouse: &Warehouse, person: &Person, actions: u64) {
    let wanted: Vec<String> = (0..actions).map(|n| person.marker(n)).collect();
    eventually(|| {
        let said = warehouse.said(person.product, &person.session);
        if said.len() >= wanted.len() {
            return Ok(());
        }
        let (violations, stats) = (warehouse.violations(), warehouse.stats());
        let session = &person.session;
        Err(format!("{} of {actions} lines of {session}: {violations:?} {stats:?}", said.len()))
    })
    .await;
    assert_eq!(warehouse.said(person.product, &person.session), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_chatbot_has_its_actions_and_summaries_as_lines() {
    let warehouse = warehouse().await;
    let rig = rig(&warehouse, false).await;
    let person = Person::new("a", "s-1");
    let typed = "{{secret:token}} \"\n{\"event\":\"action\"";
    rig.emit(&person.saying([(0, typed.to_owned()), (1, "paid".to_owned())])).await;
    let summary = SummaryPayload {
        product_id: "a".to_owned(),
        session_id: Some("s-1".to_owned()),
        summary: "Looked,\nand paid".to_owned(),
        replaces: 2,
        forwarded_at: 1_700_000_100.0,
    };
    rig.emit_event(Event::summary(&summary)).await;
    eventually(|| match warehouse.lines("a", "s-1").len() {
        3 => Ok(()),
        lines => Err(format!("{lines} of 3 lines: {:?}", warehouse.violations())),
    })
    .await;
    assert_eq!(warehouse.said("a", "s-1"), [typed, "paid", "Looked,\nand paid"]);
    let lines = warehouse.lines("a", "s-1");
    assert_eq!(lines[0]["user_id"], person.user_id());
    assert_eq!(lines[0]["email"], person.email());
    assert_eq!(
        (&lines[0]["timestamp_start"], &lines[1]["index"]),
        (&1_700_000_000.0.into(), &1.into())
    );
    assert_eq!((&lines[2]["replaces"], &lines[2]["event"]), (&2.into(), &"summary".into()));
    // What the sink has is on record a moment later.
    eventually(|| match rig.host().counters().sink_deliveries_accepted {
        2 => Ok(()),
        accepted => Err(format!("{accepted} of 2 deliveries are on record")),
    })
    .await;
    let counters = rig.host().counters();
    assert_eq!((counters.dropped_window, counters.notes_sealed), (0, 0));
    assert_eq!(warehouse.violations(), [""; 0]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_arrives_in_order_through_limits_failures_and_a_kill() {
    let warehouse = warehouse().await;
    let mut rig = rig(&warehouse, true).await;
    // Behind all that came before it on the stream: where its note is, that is taken.
    let last = Person::new("p", "last");
    let conversation = rig.open(&last).await;
    let people: Vec<_> = (0..PEOPLE).map(|n| Person::new("a", format!("s{n}"))).collect();
    let mut done = 0;
    let refusals = [
        vec![Refusal::status(500), Refusal::status(503), Refusal::status(500).but_taken()],
        vec![Refusal::status(429); 3],
        vec![Refusal::status(502); 6],
        vec![Refusal::status(401), Refusal::silence().but_taken(), Refusal::silence()],
    ];
    for (round, refusals) in (0..).zip(refusals) {
        warehouse.refuse(refusals);
        for person in &people {
            rig.emit(&person.batch(done..done + 2)).await;
            rig.emit(&person.batch(done + 2..done + 3)).await;
        }
        done += 3;
        rig.emit(&last.batch(round..round + 1)).await;
        if round % 2 == 1 {
            rig.arrives(&conversation, &last, round + 1).await;
            rig.kill_host().await;
            rig.start_host().await;
        }
    }
    for person in &people {
        has(&warehouse, person, done).await;
    }
    // Not before a kill: a host that hadn't stored what it was told can't keep to it.
    warehouse.refuse([Refusal::limit(Duration::from_secs(2))]);
    for person in &people {
        rig.emit(&person.batch(done..done + 1)).await;
    }
    for person in &people {
        has(&warehouse, person, done + 1).await;
    }
    assert_eq!(warehouse.violations(), [""; 0], "{:?}", warehouse.stats());
    assert!(warehouse.stats().refused >= 10, "{:?}", warehouse.stats());
    assert!(warehouse.stats().repeats >= 1, "{:?}", warehouse.stats());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_takes_nothing_holds_up_no_note() {
    let warehouse = warehouse().await;
    let rig = rig(&warehouse, false).await;
    warehouse.refuse(vec![Refusal::silence(); 64]);
    let person = Person::new("n", "s-1");
    let other = Person::new("a", "s-2");
    let conversation = rig.open(&person).await;
    for n in 0..10 {
        rig.emit(&person.batch(n..n + 1)).await;
        rig.arrives(&conversation, &person, n + 1).await;
    }
    assert_eq!(warehouse.said("n", "s-1"), [""; 0]);
    rig.emit(&other.batch(0..1)).await;
    let ids: BTreeSet<_> = rig.platform.conversations().into_iter().collect();
    assert_eq!(ids.len(), 1);
    warehouse.heal();
    has(&warehouse, &person, 10).await;
    has(&warehouse, &other, 1).await;
    assert_eq!(warehouse.violations(), [""; 0]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_a_dead_letter_that_can_be_sent_again() {
    let warehouse = warehouse().await;
    let rig = rig(&warehouse, false).await;
    warehouse.refuse([Refusal::status(400)]);
    let person = Person::new("a", "s-1");
    rig.emit(&person.batch(0..1)).await;
    eventually(|| match rig.host().counters().sink_deliveries_dead {
        1 => Ok(()),
        dead => Err(format!("{dead} dead letters")),
    })
    .await;
    rig.emit(&person.batch(1..2)).await;
    eventually(|| match warehouse.said("a", "s-1") {
        said if said == [person.marker(1)] => Ok(()),
        said => Err(format!("{said:?}")),
    })
    .await;
    let filter = serde_json::json!({ "plugin": "jsonl-http" });
    let answer = rig.post("/outbox/retry", &filter).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    eventually(|| match warehouse.said("a", "s-1").len() {
        2 => Ok(()),
        said => Err(format!("{said} of 2 lines")),
    })
    .await;
    assert_eq!(warehouse.violations(), [""; 0]);
    rig.end().await;
}
