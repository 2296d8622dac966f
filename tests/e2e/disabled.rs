//! An operator has a plugin not called while the platform is moved: everything waits, and goes out in order.

use reqwest::Method;
use serde_json::json;
use sidenote_tests::{Person, Rig, Setup, StoreKind, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_plugin_is_not_called_until_it_is_enabled_again_across_a_restart() {
    let mut rig = Rig::start(Setup { store: StoreKind::Embedded, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;

    let why = json!({"reason": "canary: the desk is being moved"});
    let answer = rig.post("/plugins/bot/disable", &why).await;
    assert_eq!(answer.status, 200);
    let (status, _) = rig.ask(Method::POST, "/plugins/bot/enable", None).await;
    assert_eq!(status, 401);
    rig.emit(&person.batch(1..2)).await;
    // What a connector sent and nobody read is lost with the process.
    eventually(|| match rig.host().counters().actions_accepted {
        2 => Ok(()),
        other => Err(format!("{other} actions are accepted")),
    })
    .await;
    rig.stop_host().await;
    rig.start_host().await;
    rig.emit(&person.batch(2..3)).await;

    let webhook = reqwest::Client::builder().no_proxy().build().expect("a plain client");
    let webhook =
        webhook.post(rig.url("/webhooks/bot")).body("{}").send().await.expect("it answers");
    assert_eq!(webhook.status().as_u16(), 503);
    assert_eq!(webhook.headers()["retry-after"], "60");
    let (status, ready) = rig.get("/readyz").await;
    assert_eq!(status, 503);
    let part = json!({"ready": false, "cause": "it was disabled by an operator"});
    assert_eq!(ready["plugins"]["bot"], part);
    let (_, plugins) = rig.get("/plugins").await;
    assert_eq!(plugins["plugins"][0]["disabled"]["reason"], why["reason"]);
    assert_eq!(plugins["plugins"][0]["calls"], 0, "{plugins}");
    assert_eq!(rig.arrived(&conversation).len(), 1);

    assert_eq!(rig.post("/plugins/bot/enable", &json!({})).await.status, 200);
    rig.arrives(&conversation, &person, 3).await;
    let (status, lines) = rig.get("/plugins/bot/logs?limit=5").await;
    assert_eq!((status, lines["next"].is_u64()), (200, true), "{lines}");
    let (_, log) = rig.get("/audit").await;
    assert_eq!(log["entries"][0]["act"], json!({"what": "plugin_enabled", "plugin": "bot"}));
    assert!(!log.to_string().contains("canary"), "{log}");
    rig.end().await;
}
