//! `doctor` and what it asks beyond this machine's files: a real Redis server, real TLS servers, a name that is none.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sidenote_tests::RedisServer;

use crate::sidenote::sidenote;

const REST: &str = "[plugins.w]\n[products.p]\nplugins = [\"w\"]\n";

/// The findings of a configuration with these tables.
fn doctor(folder: &Path, tables: &str, env: &[(&str, &str)]) -> Value {
    let file = folder.join("sidenote.toml");
    let listen = "[server]\nlisten = \"127.0.0.1:1\"\n";
    std::fs::write(&file, format!("{listen}{tables}{REST}")).expect("it can be written");
    let run = sidenote(&["doctor", "--json", "--config", file.to_str().expect("a name")], env);
    assert_eq!(run.code, 1, "the plugin isn't there: {}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
}

/// Of a check and a subject: the worst result, and all that was found.
fn found(report: &Value, check: &str, subject: &str) -> (String, String) {
    let all = report["findings"].as_array().expect("a list").iter().filter(|it| {
        it["check"] == check && it["subject"].as_str().is_some_and(|it| it.contains(subject))
    });
    let all: Vec<_> = all.collect();
    let result = ["error", "warning", "ok"].into_iter();
    let mut worst = result.filter(|result| all.iter().any(|it| it["result"] == *result));
    let worst = worst.next().unwrap_or_else(|| panic!("{check}, {subject}: {report:#}"));
    let said = all.iter().map(|it| format!("{} {}", it["found"], it["next"]));
    (worst.to_owned(), said.collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn a_redis_server_that_forgets_evicts_refuses_or_is_away_is_told_with_what_to_set() {
    const PASSWORD: &str = "canary-of-redis";
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let of = |url: &str, password: &str| {
        let store = format!(
            "[store]\nkind = \"redis\"\nurl = \"{url}\"\npassword = {{ env = \"P\" }}\n[streams.s]\nurl = \"http://127.0.0.1:9/s\"\n"
        );
        let report = doctor(folder, &store, &[("P", password)]);
        assert!(!report.to_string().contains("canary"), "{report}");
        found(&report, "store", "redis")
    };
    let kept = [
        ("requirepass", PASSWORD),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("maxmemory-policy", "noeviction"),
    ];
    let Some(server) = RedisServer::start(&kept).await else { return };
    let (result, said) = of(&server.url(), PASSWORD);
    assert_eq!(result, "ok", "{said}");
    let (result, said) = of(&server.url(), "canary-of-another");
    assert!(result == "error" && said.contains("`store.user` and `store.password`"), "{said}");
    let (url, _) = (server.url(), drop(server));
    let (result, said) = of(&url, PASSWORD);
    assert!(result == "error" && said.contains(url.trim_start_matches("redis://")), "{said}");

    let loses =
        [("requirepass", PASSWORD), ("maxmemory", "64mb"), ("maxmemory-policy", "allkeys-lru")];
    let server = RedisServer::start(&loses).await.expect("it was there a moment ago");
    let (result, said) = of(&server.url(), PASSWORD);
    assert_eq!(result, "warning", "{said}");
    for wanted in ["appendonly", "maxmemory-policy", "noeviction"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

/// A program that runs until it is dropped.
struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A TLS server with a certificate.
fn serves(folder: &Path, certificate: &str) -> Server {
    let mut child = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-www",
            "-key",
            "key.pem",
            "-cert",
            certificate,
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    let port =
        lines.find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok());
    Server(child, port.expect("it says where it listens"))
}

/// A certificate of this machine's name, by an authority of its own.
fn issue(folder: &Path, name: &str, from: &str, until: &str) {
    let days = ["-startdate", from, "-enddate", until];
    let fixed = [
        "ca",
        "-batch",
        "-notext",
        "-config",
        "ca.cnf",
        "-cert",
        "ca.pem",
        "-keyfile",
        "ca.key",
        "-in",
        "request.pem",
        "-extfile",
        "names.cnf",
        "-out",
        name,
    ];
    openssl(folder, &[&fixed[..], &days].concat());
}

fn openssl(folder: &Path, args: &[&str]) {
    let run = Command::new("openssl").args(args).current_dir(folder).output().expect("it runs");
    assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A moment so many days from now, as openssl has it.
fn in_days(days: i64) -> String {
    let days = format!("{days} days");
    let run = Command::new("date").args(["-u", "+%Y%m%d%H%M%SZ", "-d", &days]).output();
    let run = run.expect("it runs");
    String::from_utf8(run.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_certificate_that_has_ended_or_is_nobodys_and_a_name_that_is_none_are_told() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("left out: there is no openssl on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("it can be written");
    };
    write("index.txt", "");
    write("index.txt.attr", "unique_subject = no\n");
    write("serial", "01\n");
    write("names.cnf", "subjectAltName = DNS:localhost\n");
    write(
        "ca.cnf",
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n",
    );
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = |name: &str, key_file: &str| {
        let fixed =
            ["req", "-x509", "-days", "400", "-subj", "/CN=ca", "-out", name, "-keyout", key_file];
        openssl(folder, &[&fixed[..], &key].concat());
    };
    authority("ca.pem", "ca.key");
    let request =
        ["req", "-new", "-subj", "/CN=localhost", "-out", "request.pem", "-keyout", "key.pem"];
    openssl(folder, &[&request[..], &key].concat());
    issue(folder, "fine.pem", &in_days(-1), &in_days(90));
    issue(folder, "soon.pem", &in_days(-1), &in_days(5));
    issue(folder, "ended.pem", &in_days(-30), &in_days(-2));
    let self_signed = [
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-signkey",
        "key.pem",
        "-extfile",
        "names.cnf",
        "-out",
        "unknown.pem",
    ];
    openssl(folder, &self_signed);

    let servers = ["fine", "soon", "ended", "unknown"]
        .map(|name| (name, serves(folder, &format!("{name}.pem"))));
    let mut tables = String::from(
        "[store]\nkind = \"memory\"\n[streams.lost]\nurl = \"https://nowhere.invalid/s\"\n",
    );
    for (name, Server(_, port)) in &servers {
        tables += &format!("[streams.{name}]\nurl = \"https://localhost:{port}/s\"\n");
    }
    let trusted = folder.join("ca.pem");
    let report = doctor(folder, &tables, &[("SSL_CERT_FILE", trusted.to_str().expect("a name"))]);
    for (stream, result, words) in [
        ("fine", "ok", "its certificate is valid"),
        ("soon", "warning", "ends within"),
        ("ended", "error", "expired"),
        ("unknown", "error", "UnknownIssuer"),
        ("lost", "error", "its name can't be resolved"),
    ] {
        let (found, said) = found(&report, "hosts", &format!("stream {stream}"));
        assert!(found == result && said.contains(words), "{stream}: {found}, {said}");
    }
}
