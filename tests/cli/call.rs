//! `sidenote plugin call`: one call, with the grants of a configuration.

use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sidenote_tests::test_guests;

use crate::connector::{Connector, Step};
use crate::sidenote::{Run, sidenote};

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"id\":\"n7\"}";

fn flawed() -> PathBuf {
    test_guests().join("guest_flawed.wasm")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are text")
}

/// A configuration of a plugin that may reach an address, or not.
fn config(folder: &Path, address: &str, granted: bool) -> PathBuf {
    let grants = match granted {
        true => format!("hosts = [\"{address}\"]\nprivate = true"),
        false => String::new(),
    };
    let secret_hosts = if granted { format!("hosts = [\"{address}\"]") } else { String::new() };
    let toml = format!(
        "[plugins.bot]\n[plugins.bot.config]\nurl = \"{address}\"\naccount = 3\n\
         [plugins.bot.grants]\n{grants}\n\
         [plugins.bot.secrets.token]\nenv = \"BOT_TOKEN\"\n{secret_hosts}\n\
         [plugins.bot.secrets.incoming]\nenv = \"BOT_INCOMING\"\n"
    );
    let file = folder.join("plugin.toml");
    std::fs::write(&file, toml).expect("a file");
    file
}

fn call(function: &str, config: &Path, more: &[&str]) -> Run {
    let flawed = flawed();
    let args = ["plugin", "call", text(&flawed), function, "--config", text(config)];
    let env = [("BOT_TOKEN", "hunter2-hunter2"), ("BOT_INCOMING", "incoming-secret")];
    sidenote(&[&args, more].concat(), &env)
}

#[test]
fn a_note_is_posted_and_its_id_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let send = |answer: &str| Connector::start(vec![Step::Send(answer.as_bytes().to_vec())]);
    let posted = |more: &[&str], answer: &str| {
        let platform = send(answer);
        let config = config(folder.path(), &format!("http://{}", platform.address), true);
        let run = call("post-note", &config, more);
        (run, platform.request().to_lowercase())
    };
    let (run, request) = posted(&["--conversation", "c1", "--text", "hello"], TAKEN);
    assert_eq!((run.code, run.stdout.as_str()), (0, "posted, id n7\n"), "{}", run.shown());
    assert!(request.starts_with("post /notes/c1 http/1.1"), "{request}");
    assert!(request.contains("authorization: bearer hunter2-hunter2"), "{request}");

    let (run, _) = posted(&["--json", "--key", "k1"], TAKEN);
    let json: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(
        (&json["ok"], &json["note_id"], &json["idempotency_key"]),
        (&json!(true), &json!("n7"), &json!("k1"))
    );

    let refused = "HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let (run, _) = posted(&[], refused);
    assert_eq!(run.code, 1);
    let wanted = "it isn't posted: rate-limited, 429: the platform answered 429; the host sends it again after 7 s, not before";
    assert!(run.stdout.starts_with(wanted), "{}", run.shown());
    let (run, _) = posted(&["--json"], refused);
    let json: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(
        (run.code, &json["kind"], &json["retry_after_ms"]),
        (1, &json!("rate-limited"), &json!(7000))
    );
}

#[test]
fn what_is_not_granted_is_not_reached_and_the_grant_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "http://127.0.0.1:9", false);
    let run = call("post-note", &config, &[]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("http-denied"), "{}", run.shown());
    assert!(run.shown().contains("[plugins.bot.grants]\nhosts = [\"HOST\"]"), "{}", run.shown());
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody may come here: the listener would see it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("a listener can be asked");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let config = config(folder.path(), &address, true);
    let run = call("post-note", &config, &["--dry-run", "--conversation", "c1", "--text", "a <b>"]);
    assert_eq!(run.code, 0, "{}", run.shown());
    for line in [
        "> POST /notes/c1\n",
        "> authorization: Bearer [secret token]\n",
        "> {\"text\":\"a <b>\"}\n",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.shown());
    }
    assert!(run.stderr.ends_with("nothing was sent; a fake answered\n"), "{}", run.shown());
    assert!(!run.shown().contains("hunter2"), "{}", run.shown());
    let came = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(came, Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn what_was_compiled_is_kept_for_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "http://127.0.0.1:9", true);
    let cache = folder.path().join("compiled");
    let kept = || {
        let run = call("post-note", &config, &["--dry-run", "--cache", text(&cache)]);
        assert_eq!(run.code, 0, "{}", run.shown());
        let files = std::fs::read_dir(&cache).expect("the folder is made");
        let inode = |file: std::io::Result<std::fs::DirEntry>| file.expect("an entry").ino();
        files.map(inode).collect::<Vec<_>>()
    };
    let first = kept();
    assert_eq!(first.len(), 1, "one component was compiled");
    assert_eq!(kept(), first, "a component that is compiled again is a new file");
}

#[test]
fn a_webhook_is_signed_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "http://127.0.0.1:9", false);
    let mut sample = json!({
        "headers": {"x-time": "{timestamp}", "x-signature": "{signature}"},
        "body": {"conversation_id": "c9"},
        "sign": {"secret": "incoming", "over": "{timestamp}.{body}"},
    });
    let file = folder.path().join("opened.json");
    std::fs::write(&file, sample.to_string()).expect("a file");
    let run = call("receive", &config, &["--request", text(&file)]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "opened \"c9\"\n"), "{}", run.shown());

    sample["headers"]["x-signature"] = "00".into();
    std::fs::write(&file, sample.to_string()).expect("a file");
    let run = call("receive", &config, &["--request", text(&file)]);
    let wanted = "webhook: refused with 401, signature: the signature doesn't fit\n";
    assert_eq!((run.code, run.stdout.as_str()), (1, wanted));
}

#[test]
fn a_call_that_lacks_something_ends_with_2_and_says_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "http://127.0.0.1:9", false);
    for (function, more, wanted) in [
        ("find-note", &[][..], "error: find-note needs --key, the idempotency key\n"),
        ("redact-note", &[], "error: redact-note needs --note-id\n"),
        ("receive", &[], "error: receive needs --request FILE\n"),
        (
            "post-note",
            &["--conversation", ""],
            "error: --conversation: ConversationId can't be used: it is empty\n",
        ),
        (
            "post-note",
            &["--set", "url={mock}"],
            "error: there is no mock here for {mock}; write an address\n",
        ),
    ] {
        let run = call(function, &config, more);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{function}: {}", run.shown());
        assert!(run.stderr.ends_with(wanted), "{function}: {}", run.shown());
    }
    let run = call("reply", &config, &[]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (1, "the plugin `bot` doesn't export `messenger`\n")
    );
}
