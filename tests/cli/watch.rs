//! `sidenote plugin watch`: what changes is built, swapped in and shown.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::time::Instant;

use serde_json::json;
use sidenote_tests::{DEADLINE, binary, test_guests};

use crate::sidenote::sidenote;

/// A run that goes on, with the lines of both its outputs.
struct Watching {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Watching {
    fn start(args: &[&str]) -> Self {
        // One pipe for both, so that their order is kept.
        let (output, input) = std::io::pipe().expect("a pipe");
        let child = Command::new(binary())
            .args(["plugin", "watch"])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(input.try_clone().expect("a pipe has room for two"))
            .stderr(input)
            .spawn()
            .expect("the binary runs");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Who doesn't listen any more has seen enough.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, said: String::new() }
    }

    /// Waits for a line with this in it.
    fn says(&mut self, wanted: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it doesn't say {wanted:?}; it said:\n{}", self.said);
            };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(wanted) {
                return line;
            }
        }
    }

    fn types(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Ctrl-C.
    fn interrupt(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                assert_eq!(status.code(), Some(0), "{}", self.said);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it doesn't end; it said:\n{}", self.said);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // One that ended by itself can't be killed.
        self.child.kill().unwrap_or_default();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are text")
}

/// The flawed plugin under another version, so that it is another file.
fn version(folder: &Path, number: &str) -> String {
    let (manifest, file) =
        (folder.join("manifest.json"), folder.join(format!("{number}.component")));
    let mine = json!({
        "name": "bot",
        "version": number,
        "hosts": ["*"],
        "secrets": {"token": {"hosts": ["*"]}},
        "config": {"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}},
    });
    std::fs::write(&manifest, mine.to_string()).expect("a file");
    let from = test_guests().join("guest_flawed.wasm");
    let pack = ["plugin", "pack", text(&from), "-o", text(&file), "--replace", "--manifest"];
    let run = sidenote(&[&pack[..], &[text(&manifest)]].concat(), &[]);
    assert_eq!(run.code, 0, "{}", run.shown());
    text(&file).to_owned()
}

#[test]
fn sources_that_change_are_built_swapped_in_and_the_last_event_is_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = tempfile::tempdir().expect("a folder");
    let (one, two) = (version(made.path(), "1.0.0"), version(made.path(), "2.0.0"));
    let source = folder.path().join("source.txt");
    let write = |content: &str| std::fs::write(&source, content).expect("a file");
    write(&one);
    let build = "echo building; cp \"$(cat source.txt)\" bot.wasm";
    let mut watching = Watching::start(&[text(folder.path()), "--build", build]);
    watching.says("building");
    watching.says("> {\"text\":\"clicked \\\"Pay\\\"\"}");
    watching.says("posted, id mock1id");

    watching.types("hello from the keyboard");
    watching.says("> {\"text\":\"hello from the keyboard\"}");
    watching.says("posted, id mock2id");

    write(&two);
    watching.says("building");
    watching.says("swapped in: ");
    watching.says("> {\"text\":\"hello from the keyboard\"}");
    watching.says("posted, id mock3id");

    write("gone");
    watching.says("the build failed (exit status: 1); waiting for the next change");
    let stranger = test_guests().join("guest_stranger.wasm");
    write(text(&stranger));
    watching.says("not loaded, the one before goes on: link: ");
    watching.says("posted, id mock4id");
    watching.interrupt();
}

#[test]
fn a_component_that_something_else_builds_is_swapped_in_too() {
    let (folder, made) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("bot.wasm");
    std::fs::copy(version(made.path(), "1.0.0"), &file).expect("a file");
    let mut watching = Watching::start(&[text(&file), "--text", "one note"]);
    watching.says("posted, id mock1id");
    std::fs::copy(version(made.path(), "2.0.0"), &file).expect("a file");
    watching.says("swapped in: ");
    watching.says("> {\"text\":\"one note\"}");
    watching.says("posted, id mock2id");
    watching.interrupt();
}

#[test]
fn a_folder_that_nobody_knows_how_to_build_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = sidenote(&["plugin", "watch", text(folder.path())], &[]);
    let wanted = "error: DIR: nothing in there says how it is built; say it with --build COMMAND";
    assert_eq!(run.shown_in(folder.path()), format!("exit code 2\n--- stderr\n{wanted}\n"));
}
