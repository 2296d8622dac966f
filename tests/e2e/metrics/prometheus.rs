//! A real Prometheus reads a running host with the configuration of `examples/monitoring`, and its tools judge the text, the
//! alerts and the configuration.
//!
//! `cargo xtask test` installs Debian's package where it can; without it these tests say so and show nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sidenote_tests::{DEADLINE, Person, Rig, Setup};
use tokio::time::{Instant, sleep};

use super::{TOKEN, client, text};

pub(super) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

/// Whether the package is there; says so where not.
pub(super) fn is_installed() -> bool {
    let works = |program: &str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let there = works("prometheus") && works("promtool");
    if !there {
        let line = b"metrics: no Prometheus is here; whether it reads them isn't shown\n";
        std::io::stderr().write_all(line).expect("the line can be written");
    }
    there
}

/// `promtool` with this on its standard input.
pub(super) fn promtool(args: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

pub(super) fn assert_fine(judged: &Output) {
    let said = [&judged.stdout[..], &judged.stderr].map(String::from_utf8_lossy).join("\n");
    assert!(judged.status.success(), "{said}");
}

#[test]
fn the_alerts_are_rules() {
    if is_installed() {
        let alerts = examples().join("alerts.yml");
        assert_fine(&promtool(&["check", "rules", &alerts.to_string_lossy()], ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_reads_the_metrics_with_the_configuration_of_the_examples() {
    if !is_installed() {
        return;
    }
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;
    let linted = promtool(&["check", "metrics"], &text(&rig, false).await);
    assert_fine(&linted);
    let said = [&linted.stdout[..], &linted.stderr].concat();
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));

    let folder = tempfile::tempdir().expect("a folder");
    let example = std::fs::read_to_string(examples().join("prometheus.yml")).expect("it is there");
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).expect("the folder is ours");
    let host = rig.url("").trim_start_matches("http://").to_owned();
    let mut config = example;
    for (from, to) in [
        ("/etc/prometheus/sidenote-token", &*token.to_string_lossy()),
        ("127.0.0.1:8787", &*host),
        ("scrape_interval: 15s", "scrape_interval: 200ms"),
        ("alerts.yml", &*examples().join("alerts.yml").to_string_lossy()),
    ] {
        assert!(config.contains(from), "{from}");
        config = config.replace(from, to);
    }
    config = config
        .replace("scrape_interval: 200ms", "scrape_interval: 200ms\n    scrape_timeout: 200ms");
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("the folder is ours");
    assert_fine(&promtool(&["check", "config", &file.to_string_lossy()], ""));

    let addr = sidenote_tests::free_address().to_string();
    let mut prometheus = tokio::process::Command::new("prometheus");
    let mut prometheus = prometheus
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={addr}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("prometheus starts");
    let query = async |query: &str| -> Option<String> {
        let url = format!("http://{addr}/api/v1/query");
        let url = reqwest::Url::parse_with_params(&url, [("query", query)]).expect("an address");
        let answer = client().get(url).send().await.ok()?;
        let answer: serde_json::Value = answer.json().await.ok()?;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    };
    let deadline = Instant::now() + DEADLINE;
    for (what, wanted) in [
        ("up{job=\"sidenote\"}", "1"),
        ("sidenote_notes_posted_total", "1"),
        ("sidenote_delivery_seconds_bucket{kind=\"note\",le=\"+Inf\"}", "1"),
        ("sum(sidenote_stream_state)", "1"),
        ("count(ALERTS) or vector(0)", "0"),
    ] {
        let mut found = query(what).await;
        while found.as_deref() != Some(wanted) {
            assert!(Instant::now() < deadline, "{what} is {found:?}");
            sleep(Duration::from_millis(100)).await;
            found = query(what).await;
        }
    }
    prometheus.kill().await.expect("it is ours");
    rig.end().await;
}
