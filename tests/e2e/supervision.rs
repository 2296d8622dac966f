//! A plugin that does nothing but trap, seen from outside.

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
async fn a_plugin_that_only_traps_is_not_ready_and_its_platform_is_told_to_come_again() {
    let setup = Setup { tables: TRAP.to_owned(), files: &["guest_trap.wasm"], ..Setup::default() };
    let rig = Rig::start(setup).await;
    assert_eq!(ready(&rig).await.0, 200);
    for _ in 0..5 {
        assert_eq!(rig.post("/webhooks/trap", &json!({})).await.status, 502);
    }
    assert_eq!(rig.post("/webhooks/trap", &json!({})).await.status, 503);
    let (status, parts) = ready(&rig).await;
    assert_eq!((status, &parts["plugins"]["bot"]["ready"]), (503, &Value::from(true)));
    let cause = parts["plugins"]["trap"]["cause"].as_str().unwrap();
    assert!(cause.contains("traps again and again"), "{cause}");
    rig.end().await;
}
