//! `doctor`: beside a running host, and with a configuration that can't be used.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use sidenote::config::Config;
use sidenote::host::Host;

use crate::sidenote::sidenote;

const TEXT: &str = r#"
[server]
listen = "127.0.0.1:0"
token = { file = "token" }
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

fn of<'v>(report: &'v Value, check: &str, subject: &str) -> &'v Value {
    let all = report["findings"].as_array().expect("a list");
    let meant = |it: &&Value| {
        it["check"] == check && it["subject"].as_str().is_some_and(|it| it.contains(subject))
    };
    all.iter().find(meant).unwrap_or_else(|| panic!("{check}, {subject}: {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_found_and_what_harms_nothing_is_put_right_when_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, token) = (folder.path().join("sidenote.toml"), folder.path().join("token"));
    std::fs::write(&file, TEXT).expect("a file can be written");
    std::fs::write(&token, "canary-token").expect("a file can be written");
    let rights = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&token, rights(0o644)).expect("it is ours");
    let config = Config::from_toml(TEXT, folder.path(), &|_| None).expect("a configuration");
    let host = Host::start(config).await.expect("a host");
    let url = format!("http://{}", host.addr());
    let file = file.to_str().expect("a plain name");
    let doctor = |more: &[&str]| {
        sidenote(&[&["doctor", "--config", file, "--host", &url][..], more].concat(), &[])
    };

    let run = doctor(&["--json"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(of(&report, "hosts", "127.0.0.1:9")["result"], "error");
    assert_eq!(of(&report, "plugins", "plugin w")["result"], "error");
    assert_eq!(of(&report, "integration", "stream main")["result"], "warning");
    assert_eq!(of(&report, "store", "memory")["result"], "warning");
    assert_eq!(of(&report, "secret files", "token")["fix"]["do"], "chmod");
    assert_eq!(of(&report, "keys", "keys")["result"], "warning");
    assert!(!run.stdout.contains("canary") && !run.stderr.contains("canary"), "{}", run.stdout);
    let mode = || std::fs::metadata(&token).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(), folder.path().join("plugins").exists()), (0o644, false), "only looked at");

    let run = doctor(&["--fix", "--offline"]);
    assert!(run.stderr.contains("fixing: chmod 600"), "{}", run.stderr);
    assert!(run.stdout.contains("ok       secret files"), "{}", run.stdout);
    assert!(run.stdout.contains("--offline"), "{}", run.stdout);
    assert_eq!((mode(), folder.path().join("plugins").exists()), (0o600, true));
    host.shutdown(std::time::Duration::from_secs(5)).await.expect("the host stops");
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_and_the_rest_is_looked_at_where_it_can_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sidenote.toml");
    std::fs::write(&file, "[server]\nlisten = 5\n[nonsense]\n").expect("a file can be written");
    let run = sidenote(&["doctor", "--offline", "--config", file.to_str().expect("a name")], &[]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("ERROR    configuration"), "{}", run.stdout);
    assert!(run.stdout.contains("nonsense"), "{}", run.stdout);
    assert!(run.stdout.contains("no host runs"), "{}", run.stdout);
}
