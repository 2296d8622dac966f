//! Every command line of the book is one that the binary takes, and what it prints is what it prints.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use sidenote::metrics::names;
use sidenote_tests::binary;

use super::blocks::snippets;
use super::book::{Page, pages, root};
use crate::sidenote::sidenote;

/// Commands that would listen, wait or call somebody: only their arguments are looked at.
const NOT_RUN: [&str; 5] = ["run", "demo", "smoke-test", "watch", "pull"];

/// A command of a console snippet, and what is shown below it.
struct Shown {
    words: Vec<String>,
    output: Vec<String>,
}

/// The commands of a snippet. A `\` at a line's end goes on in the next.
fn commands(file: &Path) -> Vec<Shown> {
    let text = std::fs::read_to_string(file).expect("a snippet can be read").replace("\\\n", " ");
    let mut commands = Vec::<Shown>::new();
    for line in text.lines().filter(|line| !line.contains("ANCHOR") && !line.is_empty()) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => {
                let words =
                    command.split_whitespace().map(|word| word.trim_matches('\'').to_owned());
                commands.push(Shown { words: words.collect(), output: Vec::new() });
            }
            (None, Some(command)) => command.output.push(line.to_owned()),
            (None, None) => panic!("{}: {line} is below no command", file.display()),
        }
    }
    commands
}

/// The arguments of a `sidenote`, which variables may stand before.
fn arguments(words: &[String]) -> Option<&[String]> {
    let first = words.iter().position(|word| !word.contains('='))?;
    (words[first] == "sidenote").then(|| &words[first + 1..])
}

/// Whether the binary knows every word of a command line.
fn check_words(arguments: &[String], place: &str) {
    let words = arguments.iter().map(String::as_str).chain(["--help"]).collect::<Vec<_>>();
    let run = sidenote(&words, &[]);
    assert_eq!(run.code, 0, "{place}: sidenote {}: {}", arguments.join(" "), run.stderr);
    // `help` of a level above would be an answer to anything.
    let names = arguments
        .iter()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let mut usage = "Usage: sidenote".to_owned();
    for name in names.take_while(|word| !word.starts_with('-')).take(2) {
        write!(usage, " {name}").expect("text can be added to a string");
    }
    assert!(run.stdout.contains(&usage), "{place}: sidenote {}", arguments.join(" "));
}

#[test]
fn every_command_line_is_one_that_the_binary_takes() {
    let mut checked = 0;
    for file in snippets("console") {
        let place = file.display().to_string();
        for shown in commands(&file) {
            let Some(arguments) = arguments(&shown.words) else { continue };
            check_words(arguments, &place);
            checked += 1;
            if arguments.iter().any(|word| NOT_RUN.contains(&word.as_str())) {
                continue;
            }
            // Nothing is there to work with; that an argument is missing is told before that.
            let folder = tempfile::tempdir().expect("a folder");
            let output = Command::new(binary())
                .args(arguments)
                .current_dir(folder.path())
                .env_clear()
                .stdin(Stdio::null())
                .output();
            let stderr = String::from_utf8(output.expect("the binary runs").stderr);
            let stderr = stderr.expect("it writes UTF-8");
            assert!(!stderr.contains("Usage: "), "{place}: {}: {stderr}", shown.words.join(" "));
        }
    }
    assert!(checked > 10, "{checked} command lines");
}

#[test]
fn commands_in_the_text_are_commands() {
    let tasks = std::fs::read_to_string(root().join("tests/xtask/src/main.rs"));
    let tasks = tasks.expect("the project's commands can be read");
    let mut checked = 0;
    for page in pages() {
        for span in page.code_spans() {
            if let Some(arguments) = span.strip_prefix("sidenote ") {
                let words = arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                check_words(&words, &page.name());
                checked += 1;
            }
            if let Some(task) = span.strip_prefix("cargo xtask ") {
                let task = task.split_whitespace().next().unwrap_or_default();
                assert!(tasks.contains(&format!("\"{task}\" =>")), "{}: {span}", page.name());
            }
        }
    }
    assert!(checked > 10, "{checked} commands");
}

/// Words of the operators' pages that look like keys: states of a note, codes of an answer, fields of a judge's.
const NO_KEYS: &[&str] = &[
    "received_at_ms",
    "user_page_dwell",
    "short_user_message",
    "what_to_send",
    "proactive_valid_timing",
    "proactive_intent",
    "coaching_tip",
    "primary_trigger_id",
    "in_flight",
    "retry_at",
    "held_until",
    "given_up",
    "foreign_conversation",
    "user_id",
    "forwarded_at",
    "forward_url",
    "dropped_actions",
    "get_live_user_activity",
    "invalid_arguments",
    "unknown_product",
    "which_product",
    "context_off",
    "context_not_ready",
    "rate_limited",
    "not_found",
    "too_long",
    "last_error",
    "no_redactor",
    "no_note_id",
    "outcome_unknown",
    "max_tokens",
    "max_completion_tokens",
    "unknown_user",
    "not_authenticated",
    "hmac_verified",
    "distinct_id",
    "identity_verification",
    "session_id",
    "default_interaction_timeout_s",
    "default_cooldown_period_s",
    "tour_registry",
    "tear_down_failed",
    "torn_down",
    "not_linked",
    "conversation_ended",
    "no_messenger",
    "offer_pending",
    "trigger_cooldown",
    "breaker_open",
    "agent_wrote",
    "person_active",
    "moved_on",
    "proactive_assistance",
    "reactive_assistance",
    "option_click",
    "tour_step",
    "to_proactive",
    "to_reactive",
    "start_tour",
    "stop_tour",
    "start_cooldown",
    "clear_cooldown",
    "handed_over",
    "left_to_agent",
    // Why calls aren't compared with a shadow's.
    "queue_full",
    "too_large",
    "live_stopped",
    "shadow_paused",
    // What traces and their lines have.
    "trace_id",
    "span_id",
    "error.type",
    // Operator events.
    "plugin.disabled",
    "credentials.refused",
    "stream.stopped",
    "store.unavailable",
    "dead_letters.above",
    "product_id",
    "after_product",
    "sn_",
    "at_ms",
    "page_view",
];

#[test]
fn keys_in_the_operators_pages_are_keys_of_the_configuration() {
    let keys = std::fs::read_to_string(root().join("examples/sidenote.toml"));
    let keys = keys.expect("the configuration with every key can be read");
    let keys: BTreeSet<_> = keys.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).collect();
    let mut checked = 0;
    let metrics: BTreeSet<_> = names::ALL.iter().map(|metric| metric.full_name()).collect();
    // The pages of the metrics and of the commands are made of their names and of the help.
    let made =
        |page: &Page| ["/metrics.md", "/commands.md"].iter().any(|it| page.name().ends_with(it));
    let own = |page: &&Page| page.name().contains("/operators/") && !made(page);
    for page in pages().iter().filter(own) {
        for span in page.code_spans() {
            if span.starts_with("sidenote_") {
                let name = span.split('{').next().unwrap_or_default();
                assert!(metrics.contains(name), "{}: `{span}` is no metric", page.name());
                continue;
            }
            let word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
            let looks = span.contains(['_', '.']) && span.chars().all(word);
            if !looks || NO_KEYS.contains(&&*span) {
                continue;
            }
            for key in span.split('.') {
                assert!(keys.contains(key), "{}: `{span}` is no key", page.name());
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked} keys");
}

/// What is shown below a command is in a snapshot of what the command printed.
#[test]
fn what_a_command_prints_is_what_it_printed_in_a_test() {
    let mut snapshots = Vec::new();
    for folder in ["tests/cli/snapshots", "tests/cli/outbox/snapshots"] {
        let files = std::fs::read_dir(root().join(folder)).expect("the snapshots can be read");
        for file in files {
            let text = std::fs::read_to_string(file.expect("a snapshot").path());
            snapshots.push(text.expect("a snapshot can be read"));
        }
    }
    let mut compared = 0;
    for file in snippets("console") {
        for shown in commands(&file).into_iter().filter(|shown| !shown.output.is_empty()) {
            let output = shown.output.join("\n");
            let printed = snapshots.iter().any(|snapshot| snapshot.contains(&output));
            assert!(
                printed,
                "{}: {} didn't print\n{output}",
                file.display(),
                shown.words.join(" ")
            );
            compared += 1;
        }
    }
    assert!(compared > 0, "no output is shown");
}
