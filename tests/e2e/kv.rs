//! What a plugin keeps: listed, cleared and erased over the real API, across a restart; and the real command.

use reqwest::Method;
use serde_json::{Value, json};
use sidenote::session::payload::ActionsPayload;
use sidenote_tests::{Person, RedisServer, Rig, Setup, StoreKind, eventually, files_with};

/// A sink beside the bot.
const TABLES: &str = r#"
[plugins.keeper]
file = "guest_keeper.wasm"

[plugins.keeper.grants]
kv = true
"#;

/// What stands in values of somebody's session, and in nothing else.
const MARK: &str = "kept-of-ann";

fn setup(store: StoreKind) -> Setup {
    let (beside, files) = (&["keeper"][..], &["guest_keeper.wasm"][..]);
    Setup { store, beside, files, tables: TABLES.to_owned(), ..Setup::default() }
}

async fn has_done(rig: &Rig, person: &Person, n: u64, orders: &str) {
    let batch = ActionsPayload {
        user_id: Some("ann".to_owned()),
        ..person.saying([(n, format!("do:{orders}"))])
    };
    let before = rig.host().counters().sink_deliveries_accepted;
    rig.emit(&batch).await;
    eventually(|| match rig.host().counters().sink_deliveries_accepted > before {
        true => Ok(()),
        false => Err(format!("`{orders}` isn't done")),
    })
    .await;
}

async fn listed(rig: &Rig, query: &str) -> Value {
    let (status, listing) = rig.get(&format!("/plugins/keeper/kv{query}")).await;
    assert_eq!(status, 200, "{listing}");
    listing
}

/// What is kept over a restart, and removed by whoever may. What is erased is looked for by the caller.
async fn kept_and_cleared(mut rig: Rig) -> Rig {
    let person = Person::new("p", "s");
    let orders = format!("set p token abc;set p other 1;set s who {MARK}");
    has_done(&rig, &person, 0, &orders).await;
    rig.stop_host().await;
    rig.start_host().await;
    // What it wrote is what it sees, behind a restart.
    has_done(&rig, &person, 1, "get s who;delete p other;set p last 1").await;
    let listing = listed(&rig, "").await;
    assert_eq!(listing["keys"], 2, "{listing}");
    assert_eq!(listing["bytes"], 8 + 5, "{listing}");
    assert_eq!(
        listing["listed"],
        json!([
            {"key": "last", "bytes": 5, "value": null, "base64": null},
            {"key": "token", "bytes": 8, "value": null, "base64": null},
        ])
    );
    let page = listed(&rig, "?limit=1&values=true").await;
    assert_eq!((&page["listed"][0]["value"], &page["next"]), (&json!("1"), &json!("last")));
    let rest = listed(&rig, "?after=last&values=true").await;
    assert_eq!((&rest["listed"][0]["value"], &rest["next"]), (&json!("abc"), &Value::Null));
    let (status, _) = rig.get("/plugins/keeper/kv?values=maybe").await;
    assert_eq!(status, 422);

    let erased = rig.post("/erase", &json!({"product_id": "p", "session_id": "s"})).await;
    assert_eq!(erased.status, 200);
    assert_eq!(listed(&rig, "").await["keys"], 2, "the plugin's own are nobody's");

    let (status, _) = rig.ask(Method::DELETE, "/plugins/keeper/kv", None).await;
    assert_eq!(status, 401);
    let (status, cleared) = rig.ask(Method::DELETE, "/plugins/keeper/kv", Some("api-token")).await;
    assert_eq!((status, &cleared), (200, &json!({"plugin": "keeper", "removed": 2})));
    assert_eq!(listed(&rig, "").await["keys"], 0);
    let (_, log) = rig.get("/audit").await;
    assert_eq!(log["entries"][0]["act"], json!({"what": "kv_cleared", "plugin": "keeper"}));
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_keeps_is_listed_cleared_and_erased_on_the_embedded_store() {
    let rig = kept_and_cleared(Rig::start(setup(StoreKind::Embedded)).await).await;
    let folder = rig.plugins_folder().to_owned();
    eventually(|| match files_with(&folder, MARK).as_slice() {
        [] => Ok(()),
        files => Err(format!("what was kept of somebody is in {files:?}")),
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_keeps_is_listed_cleared_and_erased_on_a_redis_server() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = StoreKind::Redis { url: server.config().url };
    let rig = kept_and_cleared(Rig::start(setup(store)).await).await;
    assert!(!server.everything().await.contains(MARK));
    rig.end().await;
}
