//! Timers of a plugin: listed, removed and erased over the real API, called for once each whatever is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sidenote::session::payload::ActionsPayload;
use sidenote_tests::{Person, RedisServer, Rig, Setup, StoreKind, eventually, files_with};
use tokio::time::Instant;

/// A sink beside the bot.
const TABLES: &str = r#"
[plugins.waker]
file = "guest_waker.wasm"

[plugins.waker.grants]
kv = true
timer = true
"#;

/// What stands in timers of somebody's session, and in nothing else.
const MARK: &str = "timer-of-ann";

/// Sessions with a timer each, and how often the host is killed while those are due.
const SESSIONS: usize = 30;
const KILLS: usize = 6;

fn setup(store: StoreKind) -> Setup {
    let (beside, files) = (&["waker"][..], &["guest_waker.wasm"][..]);
    Setup { store, beside, files, tables: TABLES.to_owned(), ..Setup::default() }
}

async fn does(rig: &Rig, person: &Person, n: u64, orders: &str) {
    let batch = ActionsPayload {
        user_id: Some("ann".to_owned()),
        ..person.saying([(n, format!("do:{orders}"))])
    };
    rig.emit(&batch).await;
}

async fn has_done(rig: &Rig, person: &Person, n: u64, orders: &str) {
    let before = rig.host().counters().sink_deliveries_accepted;
    does(rig, person, n, orders).await;
    eventually(|| match rig.host().counters().sink_deliveries_accepted > before {
        true => Ok(()),
        false => Err(format!("`{orders}` isn't done")),
    })
    .await;
}

async fn listed(rig: &Rig, query: &str) -> Value {
    let (status, listing) = rig.get(&format!("/plugins/waker/timers{query}")).await;
    assert_eq!(status, 200, "{listing}");
    listing
}

/// Waits until so many are stored.
async fn lists(rig: &Rig, timers: usize) {
    let began = Instant::now();
    while names(&listed(rig, "").await).len() != timers {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", listed(rig, "").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn names(listing: &Value) -> Vec<&str> {
    let listed = listing["listed"].as_array().expect("it lists them");
    listed.iter().filter_map(|timer| timer["name"].as_str()).collect()
}

/// What is set over a restart, called for, and removed by whoever may. What is erased is looked for by the caller.
async fn set_and_removed(mut rig: Rig) -> Rig {
    let person = Person::new("p", "s");
    has_done(&rig, &person, 0, &format!("after who 3600000 {MARK};after a 3600000 text")).await;
    rig.stop_host().await;
    rig.start_host().await;
    let listing = listed(&rig, "").await;
    assert_eq!((&listing["timers"], names(&listing)), (&json!(2), vec!["a", "who"]), "{listing}");
    assert_eq!(listing["listed"][0]["payload"], Value::Null);
    let page = listed(&rig, "?limit=1&payloads=true").await;
    assert_eq!(page["listed"][0]["payload"], json!("text"));
    let next = page["next"].as_str().expect("there are more").to_owned();
    let rest = listed(&rig, &format!("?after={next}")).await;
    assert_eq!((names(&rest), &rest["next"]), (vec!["who"], &Value::Null));
    for odd in ["?payloads=maybe", "?after=nowhere", "?what=1"] {
        assert_eq!(rig.get(&format!("/plugins/waker/timers{odd}")).await.0, 422, "{odd}");
    }
    // One that is due is called for, and isn't listed any more.
    has_done(&rig, &person, 1, "after soon 1000 keep;cancel a").await;
    eventually(|| match rig.host().counters().timers_called {
        1 => Ok(()),
        called => Err(format!("{called} timers were called for")),
    })
    .await;
    lists(&rig, 1).await;
    assert_eq!(names(&listed(&rig, "").await), ["who"]);

    let erased = rig.post("/erase", &json!({"product_id": "p", "user_id": "ann"})).await;
    assert_eq!(erased.status, 200);
    assert_eq!(listed(&rig, "").await["timers"], 0);

    let other = Person::new("p", "other");
    has_done(&rig, &other, 2, "many t 8 3600000").await;
    lists(&rig, 8).await;
    let (status, _) = rig.ask(Method::DELETE, "/plugins/waker/timers", None).await;
    assert_eq!(status, 401);
    let removed = rig.ask(Method::DELETE, "/plugins/waker/timers", Some("api-token")).await;
    assert_eq!(removed, (200, json!({"plugin": "waker", "removed": 8})));
    assert_eq!(listed(&rig, "").await["timers"], 0);
    let (_, log) = rig.get("/audit").await;
    assert_eq!(log["entries"][0]["act"], json!({"what": "timers_removed", "plugin": "waker"}));
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_are_listed_removed_and_erased_on_the_embedded_store() {
    let rig = set_and_removed(Rig::start(setup(StoreKind::Embedded)).await).await;
    let folder = rig.plugins_folder().to_owned();
    eventually(|| match files_with(&folder, MARK).as_slice() {
        [] => Ok(()),
        files => Err(format!("what was in somebody's timer is in {files:?}")),
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_are_listed_removed_and_erased_on_a_redis_server() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = StoreKind::Redis { url: server.config().url };
    let rig = set_and_removed(Rig::start(setup(store)).await).await;
    assert!(!server.everything().await.contains(MARK));
    rig.end().await;
}

/// Sets a timer in many sessions, and kills the host again and again while they are due. The plugin keeps the key of each
/// call that ended: one for each timer.
async fn killed_while_they_are_due(store: StoreKind) {
    let mut rig = Rig::start(Setup { process: true, ..setup(store) }).await;
    for n in 0..SESSIONS {
        let person = Person::new("p", format!("s{n}"));
        // Some fail for now at first, and all are due while the host is killed.
        let payload = if n % 3 == 0 { "once,keep" } else { "keep" };
        let ms = 8_000 + 300 * n;
        does(&rig, &person, 0, &format!("after t{n} {ms} {payload}")).await;
    }
    lists(&rig, SESSIONS).await;
    for _ in 0..KILLS {
        let pause = 300 + u64::from(rand::random::<u16>()) % 2000;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        rig.kill_host().await;
        rig.start_host().await;
    }
    let began = Instant::now();
    let keys = loop {
        let (status, kept) = rig.get("/plugins/waker/kv?limit=1000").await;
        assert_eq!(status, 200, "{kept}");
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        for entry in kept["listed"].as_array().expect("it lists them") {
            let (name, _) =
                entry["key"].as_str().and_then(|key| key.split_once('/')).expect("ours");
            *keys.entry(name.to_owned()).or_default() += 1;
        }
        let (_, waiting) = rig.get("/outbox").await;
        let nothing_waits = waiting["entries"].as_array().is_none_or(Vec::is_empty);
        if keys.len() == SESSIONS && listed(&rig, "").await["timers"] == 0 && nothing_waits {
            break keys;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{keys:?} of {SESSIONS}; {waiting}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(keys.values().all(|keys| *keys == 1), "{keys:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_timer_is_called_for_once_whatever_is_killed_on_the_embedded_store() {
    killed_while_they_are_due(StoreKind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_timer_is_called_for_once_whatever_is_killed_on_a_redis_server() {
    let options = [("appendonly", "yes"), ("appendfsync", "always")];
    let Some(server) = RedisServer::start(&options).await else { return };
    killed_while_they_are_due(StoreKind::Redis { url: server.config().url }).await;
}
