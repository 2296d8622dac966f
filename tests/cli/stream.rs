//! `stream retry` beside a running host.

use std::time::Duration;

use serde_json::Value;
use sidenote::config::Config;
use sidenote::host::Host;

use crate::sidenote::sidenote;

/// A stream that nobody serves.
const TEXT: &str = r#"
[server]
listen = "127.0.0.1:0"
token = { env = "API_TOKEN" }
[store]
kind = "memory"
[streams.main]
url = "http://127.0.0.1:9/stream/p"
retry_initial = "1h"
retry_max = "1h"
[plugins.w]
[products.p]
plugins = ["w"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_is_told_to_ask_its_streams_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sidenote.toml");
    std::fs::write(&file, TEXT).expect("a file can be written");
    let token = |name: &str| (name == "API_TOKEN").then(|| "right".to_owned());
    let config = Config::from_toml(TEXT, folder.path(), &token).expect("a configuration");
    let host = Host::start(config).await.expect("a host");
    let url = format!("http://{}", host.addr());
    let retry = |args: &[&str], token: &str| {
        let file = file.to_str().expect("a plain name");
        let all = [&["stream", "retry", "--config", file, "--host", &url][..], args].concat();
        sidenote(&all, &[("API_TOKEN", token)])
    };
    // Until it has found out that nobody is there.
    let mut run = retry(&["--json"], "right");
    for _ in 0..50 {
        if run.stdout.contains("waiting") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        run = retry(&["--json"], "right");
    }
    assert_eq!(run.code, 0, "{}", run.stderr);
    let answer: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(answer["streams"]["main"]["state"], "waiting", "{answer}");
    assert!(run.stderr.contains("main: asked at once; before: no answer"), "{}", run.stderr);
    assert_eq!(retry(&["main"], "right").code, 0);

    let unknown = retry(&["other"], "right");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""));
    assert!(unknown.stderr.contains("there is no stream of this name"), "{}", unknown.stderr);
    let wrong = retry(&[], "hunter2");
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stderr.contains("401 Unauthorized") && !wrong.stderr.contains("hunter2"),
        "{}",
        wrong.stderr
    );
    host.shutdown(Duration::from_secs(5)).await.expect("the host stops");
}
