//! `sidenote demo`, as somebody without a terminal sees it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sidenote_tests::{binary, components};

#[test]
fn the_demo_tells_its_story_and_every_action_arrives() {
    let output = Command::new(binary())
        .args(["demo", "--seconds", "3", "--plugins"])
        .arg(components())
        .env_clear()
        .output()
        .expect("the binary runs");
    let (shown, log) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{shown}\n{log}");
    for part in [
        "Maya   asks support in c-1: My invoice export keeps failing.",
        "note n-1 beside c-1: 6 actions from before the conversation",
        "| [1] Opened Billing > Invoices",
        "the platform answers 429 and asks for 1 s of patience for c-2",
        ", at attempt 2",
        "27 actions, 3 conversations,",
        "Every action arrived once, in order, beside the right conversation.",
        "Try next",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}\n{log}");
    }
    assert!(!shown.contains('\x1b'), "no colours without a terminal:\n{shown}");
    assert_eq!(log, "", "the demo is not disturbed by the log");
}

#[test]
fn ctrl_c_ends_the_demo_in_good_order() {
    let mut demo = Command::new(binary())
        .args(["demo", "--seconds", "600", "--plugins"])
        .arg(components())
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(demo.stdout.take().expect("stdout is piped")).lines();
    let mut line = || lines.next().map(|line| line.expect("it writes UTF-8"));
    let mut shown = Vec::new();
    while !shown.last().is_some_and(|line: &String| line.contains("Opened Billing")) {
        shown.push(line().unwrap_or_else(|| panic!("the demo ended: {shown:?}")));
    }
    let sent = Command::new("kill").args(["-INT", &demo.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    while let Some(line) = line() {
        shown.push(line);
    }
    let status = demo.wait().expect("it can be waited for");
    assert!(status.success(), "{status}: {shown:?}");
    assert!(shown.iter().any(|line| line == "Try next"), "{shown:?}");
}

#[test]
fn a_missing_component_is_named_with_the_way_to_get_it() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(binary())
        .args(["demo", "--plugins"])
        .arg(empty.path())
        .env_clear()
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let log = text(output.stderr);
    assert!(log.contains("webhook.wasm") && log.contains("cargo xtask guests"), "{log}");
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it writes UTF-8")
}
