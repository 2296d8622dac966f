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
