//! What is said on stderr, as objects where that is asked for; and which secrets a command wants.

use std::io::Write as _;

use serde_json::Value;
use sidenote_tests::components;

use crate::sidenote::{Run, sidenote};

/// A host whose secrets are set nowhere.
const SECRETIVE: &str = r#"
[server]
listen = "127.0.0.1:1"
token = { env = "HOST_TOKEN" }
[store]
path = "sidenote.redb"
[streams.main]
url = "https://connector.invalid/stream"
token = { env = "STREAM_TOKEN" }
[llm]
provider = "openai"
model = "m"
api_key = { env = "MODEL_KEY" }
[summary]
enabled = false
[plugins.bot]
file = "webhook.wasm"
[plugins.bot.secrets]
signing = { env = "SIGNING", hosts = [] }
[products.p]
plugins = ["bot"]
"#;

fn lines(run: &Run) -> Vec<Value> {
    let parsed = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}\n{}", run.stderr))
    };
    run.stderr.lines().map(parsed).collect()
}

fn folder(toml: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sidenote.toml");
    std::fs::write(&config, toml).expect("a configuration");
    let config = config.display().to_string();
    (folder, config)
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_as_objects() {
    let (_folder, config) = folder("[server]\nlisten = 7\nport = 1\n");
    let run = sidenote(&["--log-json", "run", "--config", &config], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    let lines = lines(&run);
    assert!(lines.len() >= 3, "{lines:?}");
    for line in &lines {
        let fields = &line["fields"];
        assert_eq!((&line["level"], &fields["stage"]), (&"ERROR".into(), &"config".into()));
        assert!(
            fields["subject"].as_str().is_some_and(|it| it.contains("sidenote.toml")),
            "{line}"
        );
        assert!(fields["cause"].as_str().is_some_and(|it| !it.is_empty()), "{line}");
    }
}

#[test]
fn a_start_that_fails_and_a_wrong_command_line_are_told_as_objects() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    let (_folder, config) = folder(&format!(
        "[server]\nlisten = \"{addr}\"\n[store]\nkind = \"memory\"\n[streams.main]\nurl = \"https://c.invalid\"\n\
         [plugins.bot]\n[products.p]\nplugins = [\"bot\"]\n"
    ));
    let run = sidenote(&["--log-json", "run", "--config", &config], &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let lines = lines(&run);
    let fields = &lines.last().expect("a line")["fields"];
    assert_eq!((&fields["stage"], &fields["subject"]), (&"server".into(), &addr.as_str().into()));
    let next = "Choose another `server.listen` (docs: errors#address-in-use)";
    assert_eq!(fields["next"], next);

    let run = sidenote(&["--log-json", "run", "--nonsense"], &[]);
    assert_eq!((run.code, self::lines(&run).len()), (2, 1), "{}", run.stderr);
    assert_eq!(self::lines(&run)[0]["fields"]["stage"], "arguments");
}

#[test]
fn words_are_objects_too() {
    let (_folder, config) = folder(SECRETIVE);
    let run = sidenote(&["--log-json", "outbox", "list", "--config", &config], &[]);
    assert_eq!(run.code, 1);
    assert!(!lines(&run).is_empty());
    let args = ["--log-json", "outbox", "purge", "--all", "--config", &config];
    let run = sidenote(&args, &[]);
    assert_eq!(run.code, 2, "nobody can be asked");
    assert!(lines(&run)[0]["fields"]["message"].as_str().is_some_and(|it| it.contains("--yes")));
}

#[test]
fn who_asks_a_host_needs_its_token_and_no_other_secret() {
    let (_folder, config) = folder(SECRETIVE);
    let asked = ["plugin", "list", "--config", &config];
    let run = sidenote(&asked, &[]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(
        run.stderr.contains("the host's token isn't known; give it in SIDENOTE_TOKEN"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("HOST_TOKEN") && !run.stderr.contains("STREAM_TOKEN"),
        "{}",
        run.stderr
    );
    for token in [("HOST_TOKEN", "t"), ("SIDENOTE_TOKEN", "t")] {
        let run = sidenote(&asked, &[token]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(
            run.stderr.contains("can't be asked; is `sidenote run` running there?"),
            "{}",
            run.stderr
        );
    }
    // Elsewhere, with no configuration at all.
    let elsewhere = ["outbox", "list", "--host", "http://127.0.0.1:1", "--config", "sidenote.toml"];
    let run = sidenote(&elsewhere, &[("SIDENOTE_TOKEN", "t")]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("the host at http://127.0.0.1:1/ can't be asked"),
        "{}",
        run.stderr
    );
    let run = sidenote(&elsewhere, &[("SIDENOTE_TOKEN", "two words")]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(
        !run.stderr.contains("two words") || run.stderr.contains("invalid value"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_store_is_opened_without_any_secret_of_the_host() {
    let (_folder, config) = folder(SECRETIVE);
    for args in [&["outbox", "list"][..], &["erase", "--list"]] {
        let run = sidenote(&[args, &["--config", &config]].concat(), &[]);
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains("isn't there: no host has run"), "{}", run.stderr);
    }
}

#[test]
fn a_file_that_is_no_component_is_told_in_the_same_words_everywhere() {
    let good = std::fs::read(components().join("webhook.wasm"))
        .expect("the components are built with `cargo xtask guests`");
    let (folder, config) = folder(SECRETIVE);
    let file = folder.path().join("plugins").join("webhook.wasm");
    std::fs::create_dir(folder.path().join("plugins")).expect("a folder");
    let secrets = ["HOST_TOKEN", "STREAM_TOKEN", "MODEL_KEY", "SIGNING"]
        .map(|name| (name, "a-secret-of-some-length"));
    for (bytes, words) in [
        (
            &b""[..],
            "compile: it is no WebAssembly component but an empty file; copy the component again",
        ),
        (&good[..good.len() - 10], "compile: it ends in the middle, after"),
        (
            b"\0asm\x01\0\0\0",
            "compile: it is a core module, not a component; make one of it with `sidenote plugin pack",
        ),
        (
            b"\x1f\x8b\x08\0",
            "compile: it is no WebAssembly component but compressed with gzip; unpack it",
        ),
        (
            b"<!DOCTYPE html>",
            "compile: it is no WebAssembly component but a web page; what was downloaded",
        ),
        (
            b"\0asm\x0c\0\x01\0",
            "compile: it is a component of another version of the binary form (12",
        ),
    ] {
        let mut out = std::fs::File::create(&file).expect("a file");
        out.write_all(bytes).expect("it is written");
        let path = file.display().to_string();
        let inspected = sidenote(&["plugin", "inspect", &path], &[]);
        assert_eq!(inspected.code, 1);
        assert!(inspected.stdout.contains(words), "{words}: {}", inspected.stdout);
        let checked = sidenote(&["check", "--config", &config], &secrets);
        assert!(checked.stderr.contains(words), "{words}: {}", checked.stderr);
        let tested = sidenote(&["plugin", "test", &path], &[]);
        assert_eq!(tested.code, 1, "{}", tested.stderr);
        let lines: Vec<_> = tested.stdout.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with(&format!("failed   loads: {words}")), "{lines:?}");
        assert_eq!(lines[1], "0 ok, 1 failed, 0 warnings, 0 skipped");
    }
}
