//! The first ten minutes, as the README and the book show them: the commands are run, and say what is shown.
//!
//! In what the README shows, `…` stands for any text, and alone on a line for any lines. The book has all of it with
//! its times, in `docs/snippets/ten-minutes.txt`, which `SIDENOTE_TRANSCRIPT=write` writes again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regex::Regex;
use sidenote_tests::{DEADLINE, binary, compiled, components};
use tokio::time::Instant;

const README: &str = include_str!("../../README.md");
const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/ten-minutes.txt");
/// Where the host of the book listens; here it is another port.
const LISTEN: &str = "127.0.0.1:8787";

/// What is shown of the demo: the first line with each of these, whose order depends on the machine.
const DEMO: [&str; 16] = [
    "Sidenote demo",
    "",
    "connector  http",
    "host       http",
    "platform   http",
    "…",
    "asks support in c-1",
    "note n-1 beside c-1",
    "| session_id: ps_maya",
    "| timestamp",
    "| [1] Opened Billing",
    "| [2] Filtered the invoices",
    "| [3] Clicked",
    "| [4] Saw the error",
    "…",
    "Every action arrived once",
];

/// What is done before a plugin is written: the part of the page, and the command.
const FIRST: [(&str, &str); 11] = [
    ("demo", "sidenote demo --plugins plugins --seconds 3"),
    ("start", "sidenote init sidenote.toml --product shop --pushed --plugins plugins"),
    ("start", "sidenote check --config sidenote.toml"),
    ("start", "sidenote run --config sidenote.toml > notes.txt 2> host.log &"),
    ("start", "sidenote health --ready"),
    (
        "note",
        r#"echo '{"type": "actions", "session_id": "s-1", "actions": [{"title": "Opened the invoice list"}]}' > event.json"#,
    ),
    (
        "note",
        r#"curl -sS -X POST http://127.0.0.1:8787/ingest/shop --data-binary @event.json -H "X-Connector-Signature: sha256=$(
    openssl dgst -sha256 -hmac "$(cat secrets/connector)" -r event.json | cut -d' ' -f1)""#,
    ),
    (
        "note",
        r#"curl -sS -X POST http://127.0.0.1:8787/sessions/link -H "Authorization: Bearer $(cat secrets/server-token)" \
    -H 'content-type: application/json' -d '{"product_id": "shop", "session_id": "s-1", "conversation_id": "c-1"}'"#,
    ),
    ("note", "cat notes.txt"),
    ("note", "sidenote outbox show shop/s-1/1"),
    ("note", "sidenote outbox timeline shop s-1 --show-text"),
];

#[test]
fn the_first_ten_minutes_are_as_the_readme_and_the_book_show_them() {
    let shell = Shell::new();
    let mut book = Vec::new();
    for (part, command) in FIRST {
        let (mut shown, took) = shell.run(command, &shell.folder);
        // It is said on the standard error, ahead of the rest.
        shown.retain(|line| !line.starts_with("asking the host at"));
        if part == "demo" {
            let first = |text: &str| shown.iter().find(|line| line.contains(text)).cloned();
            let told = DEMO.map(|text| match text {
                "" | "…" => text.to_owned(),
                text => first(text).unwrap_or_else(|| panic!("{text}:\n{}", shown.join("\n"))),
            });
            shown = told.into();
        }
        book.push(Told { part, command, shown, took });
    }
    let mut place = shell.folder.clone();
    let steps = steps(transcript());
    assert!(steps.len() >= 4, "the transcript is there");
    for (command, shown) in steps {
        if let Some(to) = command.strip_prefix("cd ") {
            place.push(to);
            assert!(shown.is_empty());
            book.push(Told { part: "plugin", command, shown: Vec::new(), took: Duration::ZERO });
            continue;
        }
        let (said, took) = shell.run(command, &place);
        assert_eq!(missing(&shown, &said), None, "{command} said:\n{}", said.join("\n"));
        let told = |line: &&str| match *line {
            "…" => "…".to_owned(),
            line => said.iter().find(|said| fits(line, said)).cloned().unwrap_or_default(),
        };
        book.push(Told { part: "plugin", command, shown: shown.iter().map(told).collect(), took });
    }
    if std::env::var("SIDENOTE_TRANSCRIPT").is_ok_and(|it| it == "write") {
        std::fs::write(BOOK, written(&book)).unwrap();
    }
    let there = std::fs::read_to_string(BOOK).unwrap();
    assert_eq!(
        shape(&there),
        shape(&written(&book)),
        "what the commands say has changed: SIDENOTE_TRANSCRIPT=write writes {BOOK} again"
    );
}

/// A command of the book's transcript.
struct Told {
    part: &'static str,
    command: &'static str,
    shown: Vec<String>,
    took: Duration,
}

/// The transcript, with how long each command took, and all of them.
fn written(told: &[Told]) -> String {
    let mut text = String::new();
    let mut part = "";
    for it in told {
        if it.part != part {
            if !part.is_empty() {
                text.push_str(&format!("# ANCHOR_END: {part}\n"));
            }
            part = it.part;
            text.push_str(&format!("# ANCHOR: {part}\n"));
        }
        text.push_str(&format!("$ {}\n", it.command));
        it.shown.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        let took = rounded(it.took).map(|took| format!("[{took}]\n"));
        text.push_str(&took.unwrap_or_default());
    }
    let all = rounded(told.iter().map(|it| it.took).sum()).unwrap_or_default();
    let end = "# ANCHOR: all\n[all of it: ";
    text.push_str(&format!("# ANCHOR_END: {part}\n{end}{all}]\n# ANCHOR_END: all\n"));
    text
}

/// A time as it is shown: nothing below a second.
fn rounded(took: Duration) -> Option<String> {
    match took.as_secs() {
        0 => None,
        secs @ 1..60 => Some(format!("{} s", secs + 1)),
        secs => Some(format!("{} min", secs.div_ceil(60))),
    }
}

/// A transcript without times, numbers and random names.
fn shape(text: &str) -> Vec<String> {
    let changing = Regex::new(r"[0-9a-f]{8,}|[0-9]+(?:\.[0-9]+)?").unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('[') || !line.ends_with(']'));
    // Columns are as wide as what is in them.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.map(|line| words(&changing.replace_all(line, "0"))).collect()
}

/// A folder with what the archive of a release has, and a host that ends with it.
struct Shell {
    _kept: tempfile::TempDir,
    folder: PathBuf,
    path: String,
    listen: String,
}

impl Shell {
    fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().canonicalize().unwrap();
        let programs = folder.join("bin");
        std::fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(binary(), programs.join("sidenote")).unwrap();
        std::os::unix::fs::symlink(components(), folder.join("plugins")).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { _kept: kept, folder, path, listen: free.to_string() }
    }

    /// What a command says, the standard error behind the standard output, and how long it took. What a host does
    /// behind an answer is waited for.
    fn run(&self, command: &str, place: &Path) -> (Vec<String>, Duration) {
        let began = Instant::now();
        loop {
            let (done, said) = self.once(command, place);
            let outbox = command.contains(" outbox ");
            let waits = outbox || command.contains(" health ") || command.starts_with("cat ");
            let there =
                !said.is_empty() && (!outbox || said.iter().any(|it| it.contains("delivered")));
            if done && (there || !waits) {
                return (said, began.elapsed());
            }
            assert!(waits && began.elapsed() < DEADLINE, "{command}:\n{}", said.join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn once(&self, command: &str, place: &Path) -> (bool, Vec<String>) {
        let mut script = command.replace(LISTEN, &self.listen);
        if script.ends_with('&') {
            script.push_str(" echo $! > host.pid");
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(place).env("PATH", &self.path);
        shell.env("SIDENOTE__SERVER__LISTEN", &self.listen).env("SIDENOTE_CACHE", compiled());
        let output = shell.output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        let folder = self.folder.display().to_string();
        let line = |line: &str| {
            line.trim_end().replace(&folder, "~/sidenote").replace(&self.listen, LISTEN)
        };
        (output.status.success(), said.iter().flat_map(|said| said.lines()).map(line).collect())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.folder.join("host.pid")) {
            drop(Command::new("kill").arg(pid.trim()).status());
        }
    }
}

fn transcript() -> &'static str {
    let (_, rest) = README.split_once("```transcript\n").expect("the README has a transcript");
    rest.split_once("```").expect("it ends").0
}

/// Each command with the lines that are shown behind it.
fn steps(transcript: &str) -> Vec<(&str, Vec<&str>)> {
    let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in transcript.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command, Vec::new())),
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => panic!("the transcript begins with a command"),
        }
    }
    steps
}

/// The first line that is shown and wasn't said where it is shown.
fn missing<'a>(shown: &[&'a str], said: &[String]) -> Option<&'a str> {
    let mut said = said.iter();
    let mut skipping = false;
    for line in shown {
        if *line == "…" {
            skipping = true;
            continue;
        }
        let found = if skipping {
            said.any(|said| fits(line, said))
        } else {
            said.next().is_some_and(|said| fits(line, said))
        };
        if !found {
            return Some(line);
        }
        skipping = false;
    }
    if !skipping && said.next().is_some() { Some("(the end)") } else { None }
}

/// Whether a line is as it is shown.
fn fits(shown: &str, said: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut whole = true;
    for part in parts {
        whole = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        whole |= rest.is_empty();
    }
    rest.is_empty() || (whole && shown.trim_end().ends_with('…'))
}

#[test]
fn what_is_shown_is_held_against_what_is_said() {
    let said = ["one", "two 17 ms", "three", "four"].map(str::to_owned);
    assert_eq!(missing(&["one", "two … ms", "three", "four"], &said), None);
    assert_eq!(missing(&["one", "…", "four"], &said), None);
    assert_eq!(missing(&["one", "…"], &said), None);
    assert_eq!(missing(&["one", "two …", "…"], &said), None);
    assert_eq!(missing(&["one", "two … s", "…"], &said), Some("two … s"));
    assert_eq!(missing(&["one", "three", "…"], &said), Some("three"));
    assert_eq!(missing(&["one", "two … ms", "three"], &said), Some("(the end)"));
    assert_eq!(missing(&["…", "five"], &said), Some("five"));
}
