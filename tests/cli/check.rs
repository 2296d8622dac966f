//! `sidenote check`: what it says of files that are wrong, and of one that is right.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use sidenote::plugin::sha256;
use sidenote_tests::{components, test_guests};

use crate::sidenote::{Run, sidenote};

#[test]
fn every_broken_file_gets_its_own_message() {
    let mut messages = Vec::new();
    for (name, text) in BROKEN {
        let folder = tempfile::tempdir().unwrap();
        let run = check(folder.path(), text, &[], &[]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{name}: {}", run.stderr);
        insta::assert_snapshot!(*name, run.shown_in(folder.path()));
        messages.push(run.stderr);
    }
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), BROKEN.len(), "two files share a message");
}

const BROKEN: &[(&str, &str)] = &[
    ("not_toml", "[streams.main\nurl = 1"),
    (
        "unknown_key",
        "[streams.main]\nurl = \"https://a.example\"\ntokne = 1\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    ("no_stream_no_product", ""),
    (
        "token_in_the_file",
        "[streams.main]\nurl = \"https://a.example\"\ntoken = \"hunter2\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "variable_not_set",
        "[streams.main]\nurl = \"https://a.example\"\ntoken = { env = \"NOT_SET\" }\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "secret_file_missing",
        "[streams.main]\nurl = \"https://a.example\"\ntoken = { file = \"missing\" }\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "unknown_plugin",
        "[streams.main]\nurl = \"https://a.example\"\n[plugins.webhook]\n[products.p]\nplugins = [\"webhok\"]",
    ),
    (
        "open_without_token",
        "[server]\nlisten = \"0.0.0.0:8787\"\n[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "plaintext_stream",
        "[streams.main]\nurl = \"http://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "debounce_over_max_wait",
        "[delivery]\ndebounce = \"5s\"\n[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "duration_without_unit",
        "[delivery]\nmax_wait = \"5\"\n[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "secret_outside_its_grant",
        "[streams.main]\nurl = \"https://a.example\"\n[plugins.w.secrets]\nkey = { file = \"sidenote.toml\", hosts = [\"b.example\"] }\n[plugins.w.grants]\nhosts = [\"a.example\"]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "private_host_not_granted",
        "[streams.main]\nurl = \"https://a.example\"\n[plugins.w.grants]\nhosts = [\"http://127.0.0.1:4010\"]\n[products.p]\nplugins = [\"w\"]",
    ),
    (
        "summaries_without_what_is_kept",
        "[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]\n[llm]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:11434/v1\"",
    ),
    (
        "no_folder_of_prompts",
        "[streams.main]\nurl = \"https://a.example\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]\n[prompts]\nfolder = \"absent\"",
    ),
    (
        "several_at_once",
        "[server]\nlisten = \"nowhere\"\nheader_timeout = 10\n[streams.main]\nurl = \"ftp://a.example\"\ntokne = 1\n[plugins.w.limits]\nmemory = \"lots\"\n[products.p]\nplugins = []",
    ),
];

const RIGHT: &str = r#"
[server]
token = { env = "API" }
[streams.main]
url = "https://connector.example.com/stream/acme?key=hunter2"
token = { file = "stream.secret" }
[plugins.eu]
file = "chat.wasm"
[plugins.eu.secrets]
token = { env = "API", hosts = ["api.eu.example"] }
[plugins.eu.grants]
hosts = ["api.eu.example", "http://127.0.0.1:4010"]
private = true
[plugins.idle]
file = "chat.wasm"
[products.acme]
plugins = ["eu"]
"#;

#[test]
fn a_right_file_is_summed_up_without_its_secrets() {
    let folder = right_folder();
    put(test_guests().join("guest_trap.wasm"), folder.path(), "chat.wasm");
    let run = check(folder.path(), RIGHT, &[], &[("API", "hunter2")]);
    assert_eq!(run.code, 0);
    assert!(!run.stdout.contains("hunter2"), "{}", run.stdout);
    insta::assert_snapshot!("right", run.shown_in(folder.path()));
}

#[test]
fn offers_of_help_are_summed_up_and_a_trigger_that_waits_for_no_judge_is_a_warning() {
    let folder = right_folder();
    put(test_guests().join("guest_echo.wasm"), folder.path(), "chat.wasm");
    let trigger = |keys: &str| format!("[[products.acme.offers.triggers]]\n{keys}\n");
    let text = [
        RIGHT.to_owned(),
        "[context]\n[products.acme.offers]\n".to_owned(),
        trigger("id = \"stuck\"\nkind = \"page-dwell\"\nmode = \"instant\""),
        trigger("id = \"back\"\nkind = \"ping-pong\""),
        trigger("id = \"own\"\nkind = \"plugin\"\nplugin = \"idle\"\nmode = \"instant\""),
    ];
    let run = check(folder.path(), &text.concat(), &[], &[("API", "hunter2")]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("            offers help by: stuck, own"), "{}", run.stdout);
    assert!(!run.stdout.contains("not used by any product"), "{}", run.stdout);
    let said = "[products.acme.offers] warning: the trigger \"back\" waits for a judge, and there is no [llm]";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn a_product_that_none_of_its_plugins_can_speak_for_is_refused_with_the_reason() {
    let folder = right_folder();
    put(components().join("webhook.wasm"), folder.path(), "chat.wasm");
    let model = "[context]\n[llm]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:1/v1\"\n[summary]\nenabled = false\n";
    let refused = |tables: &str| {
        let run =
            check(folder.path(), &format!("{RIGHT}{model}{tables}"), &[], &[("API", "hunter2")]);
        assert_ne!(run.code, 2, "{}", run.stderr);
        let lines = run.stderr.lines().filter(|line| line.starts_with("[products."));
        (run.stdout, lines.map(str::to_owned).collect::<Vec<_>>())
    };
    let (shown, said) = refused("[products.acme.offers]\n[products.acme.reply]\nenabled = true\n");
    assert!(shown.starts_with("INCOMPLETE"), "{shown}");
    assert!(shown.contains("what people write gets: a model's reply"), "{shown}");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("[products.acme.offers] ") && said[0].contains("`offer_url`"));
    assert!(said[1].starts_with("[products.acme.reply] ") && said[1].contains("`reply_url`"));
    let dry = "[products.acme.reply]\nenabled = true\ndry_run = true\n";
    let set = "[plugins.eu.config]\noffer_url = \"https://api.eu.example/o\"\nreply_url = \"https://api.eu.example/r\"\n[products.acme.offers]\n[products.acme.reply]\nenabled = true\n";
    for right in [dry, set] {
        assert_eq!(refused(right).1, Vec::<String>::new(), "{right}");
    }
}

#[test]
fn tables_in_the_folder_beside_the_file_are_checked_with_it() {
    let folder = right_folder();
    put(test_guests().join("guest_trap.wasm"), folder.path(), "chat.wasm");
    std::fs::create_dir(folder.path().join("plugins.d")).expect("a folder can be made");
    let write = |text: &str| {
        let file = folder.path().join("plugins.d/more.toml");
        std::fs::write(file, text).expect("a file can be written");
        check(folder.path(), RIGHT, &[], &[("API", "hunter2")])
    };
    let right =
        write("[plugins.more]\nfile = \"chat.wasm\"\n[products.more]\nplugins = [\"more\"]\n");
    assert_eq!((right.code, right.stderr.as_str()), (0, ""));
    assert!(right.stdout.contains("tables    "), "{}", right.stdout);
    assert!(right.stdout.contains("product   more: more"), "{}", right.stdout);
    let twice = write("\n[plugins.eu]\n");
    assert_eq!(twice.code, 2);
    let shown = twice.shown_in(folder.path());
    assert!(shown.contains("DIR/plugins.d/more.toml:2: [plugins.eu] "), "{shown}");
    assert!(shown.contains("DIR/sidenote.toml:7 too"), "{shown}");
}

#[test]
fn a_product_with_sinks_only_is_right_and_one_that_goes_nowhere_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["jsonl-http.wasm", "webhook.wasm"] {
        put(components().join(file), folder.path(), file);
    }
    let strayed = test_guests().join("guest_strayed.wasm");
    put(strayed, folder.path(), "strayed.wasm");
    let toml = r#"
[streams.main]
url = "https://a.example"
[plugins.jsonl-http.config]
url = "https://warehouse.example/lines"
[plugins.jsonl-http.grants]
hosts = ["warehouse.example"]
[products.analytics]
plugins = ["jsonl-http"]
"#;
    let run = check(folder.path(), toml, &[], &[]);
    assert_eq!(run.code, 0, "{}", run.shown());
    let line = "product   analytics: jsonl-http, without notes";
    assert!(run.stdout.lines().any(|it| it == line), "{}", run.stdout);
    let nowhere = format!("{toml}[plugins.strayed]\n[products.lost]\nplugins = [\"strayed\"]\n");
    let run = check(folder.path(), &nowhere, &[], &[]);
    let warning = "[products.lost] warning: none of its plugins posts notes or is a sink";
    assert!(run.stderr.contains(warning), "{}", run.shown());
}

#[test]
fn a_plugin_without_its_file_is_a_failure_that_says_so() {
    let folder = right_folder();
    let run = check(folder.path(), RIGHT, &[], &[("API", "hunter2")]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!("plugin_file_missing", run.shown_in(folder.path()));
}

#[test]
fn json_goes_to_stdout_whatever_comes_of_it() {
    let folder = right_folder();
    let run = check(folder.path(), RIGHT, &["--json"], &[("API", "hunter2")]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &value["ok"], run.stderr.as_str()), (1, &json!(false), ""));
    assert_eq!(value["problems"][0]["section"], "plugins.eu");
    assert_eq!(value["plugins"]["eu"]["hosts"], json!(["api.eu.example", "http://127.0.0.1:4010"]));
    assert_eq!(value["plugins"]["eu"]["secrets"], json!({"token": {"hosts": ["api.eu.example"]}}));
    assert_eq!(value["plugins"]["idle"]["products"], json!([]));
    assert_eq!(value["products"], json!({"acme": {"plugins": ["eu"]}}));

    let (_, text) = BROKEN[1];
    let run = check(folder.path(), text, &["--json"], &[]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let problem = &value["problems"][0];
    assert_eq!((run.code, &value["ok"], run.stderr.as_str()), (2, &json!(false), ""));
    assert_eq!((&problem["line"], &problem["section"]), (&json!(3), &json!("streams.main")));
    assert!(problem["message"].as_str().unwrap().contains("did you mean \"token\"?"), "{problem}");
}

#[test]
fn a_variable_of_the_overlay_that_overrides_nothing_is_named() {
    let folder = right_folder();
    let env = [("API", "hunter2"), ("SIDENOTE__SERVER__LISTN", "127.0.0.1:1")];
    let run = check(folder.path(), RIGHT, &[], &env);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!("overlay_unknown", run.shown_in(folder.path()));
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_so() {
    let run = sidenote(&["check", "--config", "/nonexistent/sidenote.toml"], &[]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!("no_file", run.shown());
}

#[test]
fn the_example_files_pass_once_their_secrets_are_set() {
    let env = [
        ("SIDENOTE_SERVER_TOKEN", "a"),
        ("SIDENOTE_STREAM_TOKEN", "b"),
        ("BOT_SIGNING_SECRET", "c"),
        ("ACME_INGEST_SECRET", "d"),
        ("BOT_INCOMING_SECRET", "e"),
        ("SIDENOTE_LLM_KEY", "f"),
        ("SIDENOTE_TRACES_TOKEN", "g"),
        ("SIDENOTE_EVENTS_SECRET", "h"),
        ("ACME_WRITE_KEY", "i"),
    ];
    for name in ["sidenote.toml", "other-servers.toml"] {
        let folder = tempfile::tempdir().unwrap();
        let webhook = put(components().join("webhook.wasm"), folder.path(), "webhook.wasm");
        put(components().join("events.wasm"), folder.path(), "events.wasm");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        // The example pins nothing that was ever built: the hash of an empty file.
        let text = std::fs::read_to_string(example).unwrap();
        let text = text.replace(&sha256(b"").to_string(), &sha256(&webhook).to_string());
        let run = check(folder.path(), &text, &[], &env);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{name}");
    }
}

/// A plugin of the host's own, which asks for a URL, a secret and a host.
fn with_webhook(plugin: &str, args: &[&str]) -> (tempfile::TempDir, Run) {
    let folder = tempfile::tempdir().expect("a folder");
    put(components().join("webhook.wasm"), folder.path(), "webhook.wasm");
    let text = format!(
        "[streams.main]\nurl = \"https://a.example\"\n{plugin}\n[products.p]\nplugins = [\"webhook\"]"
    );
    let run = check(folder.path(), &text, args, &[("BOT", "hunter2")]);
    (folder, run)
}

#[test]
fn a_plugin_that_would_be_refused_or_is_granted_nothing_is_a_failure_that_says_what_to_do() {
    let url = "[plugins.webhook.config]\nurl = \"https://bot.example/notes\"";
    let pin = format!("sha256 = \"{}\"", "0".repeat(64));
    let cases = [
        ("plugin_pinned", format!("[plugins.webhook]\n{pin}\n{url}")),
        (
            "plugin_settings",
            "[plugins.webhook.config]\nurl = \"ftp://x\"\nbearer = \"yes\"\nulr = 1".to_owned(),
        ),
        ("plugin_granted_nothing", url.to_owned()),
    ];
    for (name, plugin) in cases {
        let (folder, run) = with_webhook(&plugin, &[]);
        assert_eq!(run.code, 1, "{name}: {}", run.stdout);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        let sum = sha256(&std::fs::read(folder.path().join("plugins/webhook.wasm")).unwrap());
        let shown = run.shown_in(folder.path()).replace(&sum.to_string(), "SHA256");
        insta::assert_snapshot!(name, shown);
    }
}

#[test]
fn what_leaves_a_plugin_of_use_is_a_warning() {
    let plugin = "[plugins.webhook.config]\nurl = \"https://bot.example/notes\"\n\
        [plugins.webhook.grants]\nhosts = [\"bot.example\"]\n\
        [plugins.webhook.secrets]\n\
        signing = { env = \"BOT\", hosts = [\"bot.example\"] }\n\
        other = { env = \"BOT\" }";
    let (folder, run) = with_webhook(plugin, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!("plugin_warnings", run.shown_in(folder.path()));
    let (_folder, run) = with_webhook(plugin, &["--json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&value["ok"], &value["problems"]), (&json!(true), &json!([])));
    assert_eq!(value["warnings"].as_array().map(Vec::len), Some(3), "{}", value["warnings"]);
    assert_eq!(value["warnings"][0]["section"], "plugins.webhook");
}

#[test]
fn a_file_that_is_no_component_is_a_failure() {
    for bytes in ["", "\x7fELF compiled", "\0asm\x01\0\0\0"] {
        let folder = right_folder();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        std::fs::write(folder.path().join("plugins/chat.wasm"), bytes).unwrap();
        let run = check(folder.path(), RIGHT, &[], &[("API", "hunter2")]);
        assert_eq!(run.code, 1, "{bytes:?}");
        assert!(run.stderr.starts_with("[plugins.eu] compile: it is "), "{}", run.stderr);
    }
}

/// Puts a component into the plugins folder; what it is made of.
fn put(component: PathBuf, folder: &Path, name: &str) -> Vec<u8> {
    let bytes = std::fs::read(&component).unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo xtask guests`", component.display())
    });
    std::fs::create_dir_all(folder.join("plugins")).expect("a folder can be made");
    std::fs::write(folder.join("plugins").join(name), &bytes).expect("a file can be written");
    bytes
}

fn right_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    secret_file(folder.path(), 0o600);
    folder
}

fn secret_file(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    let path = folder.join("stream.secret");
    std::fs::write(&path, "hunter2\n").expect("a file can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_secret_file_that_others_can_read_is_warned_of() {
    let folder = right_folder();
    put(test_guests().join("guest_echo.wasm"), folder.path(), "chat.wasm");
    secret_file(folder.path(), 0o644);
    let run = check(folder.path(), RIGHT, &[], &[("API", "hunter2")]);
    let file = folder.path().join("stream.secret").display().to_string();
    let warning = format!(
        "[streams.main] warning: \"token\": the file {file} can be read by others (mode 644) (docs: errors#secret-readable); chmod 600 {file}"
    );
    assert_eq!(run.code, 0);
    assert!(run.stderr.lines().any(|line| line == warning), "{}", run.stderr);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter2"));
}

fn check(folder: &Path, text: &str, args: &[&str], env: &[(&str, &str)]) -> Run {
    let file = folder.join("sidenote.toml");
    std::fs::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("a temporary folder has a plain name");
    sidenote(&[&["check", "--config", file], args].concat(), env)
}
