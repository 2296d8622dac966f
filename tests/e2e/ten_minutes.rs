//! The README's transcript of the first ten minutes is what happens: its commands are run, and say what it
//! shows.
//!
//! In what is shown, `…` stands for any text, and alone on a line for any lines.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use sidenote_tests::{binary, compiled};

const README: &str = include_str!("../../README.md");

#[test]
fn the_first_ten_minutes_are_as_the_readme_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(binary(), programs.join("sidenote")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());

    let mut place = folder.path().to_owned();
    let steps = steps(transcript());
    assert!(steps.len() >= 4, "the transcript is there");
    for (command, shown) in steps {
        if let Some(to) = command.strip_prefix("cd ") {
            place.push(to);
            assert!(shown.is_empty());
            continue;
        }
        let said = run(command, &place, &path);
        assert_eq!(missing(&shown, &said), None, "{command} said:\n{}", said.join("\n"));
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

/// What a command says, the standard error behind the standard output.
fn run(command: &str, place: &Path, path: &str) -> Vec<String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(place).env("PATH", path);
    let output = shell.env("SIDENOTE_CACHE", compiled()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(output.status.success(), "{command}:\n{}\n{}", said[0], said[1]);
    said.iter().flat_map(|said| said.lines()).map(|line| line.trim_end().to_owned()).collect()
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
