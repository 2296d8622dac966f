//! `sidenote demo`, as somebody without a terminal sees it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
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

/// The picture of the README: what the demo shows up to its first note, as a terminal has it.
const PICTURE: &str = "docs/images/demo.svg";

/// `SIDENOTE_PICTURE=write` draws it anew.
#[test]
fn the_picture_of_the_demo_shows_what_it_shows() {
    let write = std::env::var_os("SIDENOTE_PICTURE").is_some_and(|what| what == "write");
    let output = Command::new(binary())
        .args(["demo", "--seconds", if write { "25" } else { "3" }, "--plugins"])
        .arg(components())
        .env_clear()
        .output()
        .expect("the binary runs");
    let shown = text(output.stdout);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PICTURE);
    if write {
        std::fs::write(&file, picture(shown.lines().take(LINES))).expect("the picture is written");
    }
    let picture = std::fs::read_to_string(&file).expect("the picture is there");
    let drawn: Vec<_> =
        picture.lines().filter_map(|line| Some(line.split_once("<tspan")?.1)).collect();
    assert!(drawn.len() > LINES / 2, "{picture}");
    let told: BTreeSet<_> = shown.lines().map(|line| steady(&escaped(line))).collect();
    for line in drawn {
        let line = line.split_once('>').and_then(|(_, rest)| rest.strip_suffix("</tspan>"));
        let line = steady(line.expect("a line is one element"));
        assert!(told.contains(&line), "the demo doesn't show {line:?}:\n{shown}");
    }
}

/// Lines that are drawn.
const LINES: usize = 26;

fn picture<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    use std::fmt::Write;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"820\" height=\"{}\" role=\"img\" aria-label=\"sidenote demo\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#10151d\"/>\n\
         <text xml:space=\"preserve\" font-family=\"ui-monospace, monospace\" font-size=\"13\" fill=\"#d5dbe3\">\n",
        LINES * 20 + 30
    );
    for (place, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let colour = match line {
            line if line.trim_start().starts_with('|') => "#9fd3a8",
            line if line.contains("note n-") => "#6fc3ff",
            _ => "#d5dbe3",
        };
        let y = place * 20 + 32;
        writeln!(svg, "<tspan x=\"18\" y=\"{y}\" fill=\"{colour}\">{}</tspan>", escaped(line))
            .expect("a text takes it");
    }
    svg + "</text>\n</svg>\n"
}

fn escaped(line: &str) -> String {
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Without what differs from run to run: digits of ports, times and dates.
fn steady(line: &str) -> String {
    let (time, rest) = line.split_at_checked(8).unwrap_or(("", line));
    let changing = rest.contains("http://127.0.0.1:") || rest.contains("timestamp: ");
    let rest =
        if changing { rest.replace(|c: char| c.is_ascii_digit(), "") } else { rest.to_owned() };
    match time.trim_end().ends_with('s')
        && time.trim_start().starts_with(|c: char| c.is_ascii_digit())
    {
        true => rest,
        false => format!("{time}{rest}"),
    }
}
