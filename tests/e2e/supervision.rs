//! A plugin that webhooks make trap, seen from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sidenote_tests::{Rig, Setup};

const TRAP: &str = r#"
[plugins.trap]
file = "guest_trap.wasm"

[products.trap]
plugins = ["trap"]
"#;

async fn ready(rig: &Rig) -> (u16, Value) {
    let url = format!("http://{}/readyz", rig.host().addr());
    let answer = reqwest::get(url).await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_make_a_plugin_trap_are_told_to_come_again_and_the_host_stays_ready() {
    let setup = Setup { tables: TRAP.to_owned(), files: &["guest_trap.wasm"], ..Setup::default() };
    let rig = Rig::start(setup).await;
    assert_eq!(ready(&rig).await.0, 200);
    for _ in 0..5 {
        assert_eq!(rig.post("/webhooks/trap", &json!({})).await.status, 502);
    }
    assert_eq!(rig.post("/webhooks/trap", &json!({})).await.status, 503);
    // Whoever sent them may be anyone.
    let (status, parts) = ready(&rig).await;
    assert_eq!((status, &parts["plugins"]["trap"]["ready"]), (200, &Value::from(true)));
    rig.end().await;
}
