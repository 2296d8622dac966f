//! `sidenote offers try`: recorded events through the triggers and the gate of a configuration.

use serde_json::Value;

use crate::sidenote::{Run, sidenote};

fn example(file: &str) -> String {
    format!("{}/../examples/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn tried(args: &[&str]) -> Run {
    let secrets = [("SIDENOTE_STREAM_TOKEN", "token"), ("SIDENOTE_LLM_KEY", "key")];
    let config = example("offers.toml");
    sidenote(&[&["offers", "try", "--config", &config], args].concat(), &secrets)
}

fn decisions(run: &Run) -> Vec<(String, String)> {
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines.map(|it| (text(&it["trigger"]), text(&it["decision"]))).collect()
}

#[test]
fn the_recording_of_the_book_is_offered_help_once_and_then_left_to_the_agent() {
    let file = example("offers.jsonl");
    let run = tried(&[&file, "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let decided = decisions(&run);
    let of = |wanted: &str| decided.iter().filter(|(_, it)| it == wanted).count();
    assert_eq!((of("made"), of("delivered")), (1, 1), "{decided:?}");
    assert!(of("agent_wrote") > 0, "{decided:?}");
    let text = tried(&[&file]);
    assert!(text.stdout.contains("acme/s1  projects_back_and_forth  made"), "{}", text.stdout);
    let no = tried(&[&file, "--json", "--judge", "no"]);
    assert!(decisions(&no).iter().all(|(trigger, _)| trigger != "projects_back_and_forth"));
}

#[test]
fn what_cant_be_tried_is_named_with_its_line_and_the_others_are_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.jsonl");
    let lines = [
        "not JSON",
        r#"{"at": 1.0, "type": "actions", "product_id": "acme", "actions": [{"title": "x"}]}"#,
        r#"{"type": "actions", "product_id": "acme", "session_id": "s", "actions": [{"title": "x"}]}"#,
        r#"{"at": 1.0, "product_id": "acme", "session_id": "s", "happened": "sneezed"}"#,
        r#"{"at": 1.0, "product_id": "other", "session_id": "s", "happened": "closed"}"#,
        r#"{"at": 2.0, "product_id": "acme", "session_id": "s", "happened": "closed"}"#,
    ];
    std::fs::write(&file, lines.join("\n")).expect("it is written");
    let run = tried(&[&file.to_string_lossy()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for said in [
        ":1: left out: it isn't JSON",
        ":2: left out: it names no session",
        ":3: left out: it says no time",
        ":4: left out: happened must be person_wrote",
        ":5: left out: its product `other` isn't configured",
        "5 lines were left out",
    ] {
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
}

#[test]
fn a_session_is_linked_where_that_is_recorded_and_counts_as_linked_where_nothing_is() {
    let linked = tried(&[&example("linked.jsonl"), "--json"]);
    assert_eq!(linked.code, 0, "{}", linked.stderr);
    assert!(!linked.stderr.contains("no link is recorded"), "{}", linked.stderr);
    let sessions = |run: &Run| -> Vec<String> {
        let lines =
            run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let made = lines.filter(|it| it["decision"] == "made");
        made.map(|it| it["session_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(sessions(&linked), ["s1"], "nobody knows a conversation of the other one");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.jsonl");
    let recorded = std::fs::read_to_string(example("linked.jsonl")).expect("it is there");
    let unlinked: Vec<_> = recorded.lines().skip(1).collect();
    std::fs::write(&file, unlinked.join("\n")).expect("it is written");
    let assumed = tried(&[&file.to_string_lossy(), "--json"]);
    assert!(assumed.stderr.contains("no link is recorded"), "{}", assumed.stderr);
    assert_eq!(sessions(&assumed), ["s1", "s2"]);

    let lines = [
        r#"{"at": 1.0, "product_id": "acme", "session_id": "s", "linked": 7}"#,
        r#"{"at": 1.0, "product_id": "acme", "session_id": "s", "linked": "c", "plugin": "desk"}"#,
        r#"{"at": 1.0, "product_id": "acme", "session_id": "s", "happened": "closed"}"#,
    ];
    std::fs::write(&file, lines.join("\n")).expect("it is written");
    let run = tried(&[&file.to_string_lossy()]);
    for said in [
        ":1: left out: linked must be the id of a conversation",
        ":2: left out: its product `acme` doesn't have the plugin `desk`",
        ":3: left out: its session isn't linked at that moment",
    ] {
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
}

#[test]
fn the_triggers_of_a_plugin_are_asked_about_what_was_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sidenote.toml");
    let mut text = std::fs::read_to_string(example("offers.toml")).expect("it is there");
    text.insert_str(0, "plugins_folder = \".\"\n");
    std::fs::write(&config, text).expect("it is written");
    let guest = sidenote_tests::test_guests().join("guest_echo.wasm");
    let copied = std::fs::copy(guest, folder.path().join("helper.wasm"));
    copied.expect("`cargo xtask guests` has built it");
    let secrets = [("SIDENOTE_STREAM_TOKEN", "token"), ("SIDENOTE_LLM_KEY", "key")];
    let (config, file) = (config.to_string_lossy(), example("linked.jsonl"));
    let args = ["offers", "try", "--config", &config, &file, "--json", "--judge", "no"];
    let run = sidenote(&args, &secrets);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(decisions(&run).contains(&("helper".to_owned(), "made".to_owned())), "{}", run.stdout);
    // Without the file the others are evaluated all the same, and that is said.
    let none = tried(&[&file, "--json"]);
    assert!(none.stderr.contains("the trigger `helper` failed"), "{}", none.stderr);
    assert!(decisions(&none).iter().all(|(trigger, _)| trigger != "helper"));
}
