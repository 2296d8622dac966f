//! Raw events and the lines that they become, each read by a person: `tests/data/golden.json`.
//!
//! A case has its events, its `lines`, and where configuration alone improves them, `rules` and the `improved` lines.
//! `SIDENOTE_WRITE=1` writes the lines of now into the file; then read what changed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sidenote_core::clock::Timestamp;
use sidenote_sources::{Batch, Event, Memory, Settings, Wording};

#[derive(Serialize, Deserialize)]
struct Case {
    about: String,
    events: Vec<serde_json::Value>,
    lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    improved: Option<Vec<String>>,
}

impl Case {
    fn lines(&self, rules: &str) -> Vec<String> {
        let wording =
            Settings::parse(rules).and_then(|it| Wording::new(&it)).expect("the rules are right");
        let events = self.events.iter().map(|event| {
            let mut event: Event = serde_json::from_value(event.clone()).expect("an event");
            event.identity.session_id = Some("s".into());
            event
        });
        let batch = Batch { events: events.collect(), ..Batch::default() };
        let worded = wording.words(
            &mut Memory::default(),
            batch,
            "p",
            Timestamp::from_secs_f64(1_000_060.0),
        );
        let actions = worded.sessions.iter().flat_map(|it| &it.actions);
        let left =
            worded.left_out.iter().map(|(reason, count)| format!("({count}: {})", reason.words()));
        actions.map(|it| format!("{} — {}", it.description, it.canonical_url)).chain(left).collect()
    }
}

#[test]
fn raw_events_become_the_lines_that_are_on_record() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden.json");
    let mut cases: Vec<Case> =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let events: usize = cases.iter().map(|it| it.events.len()).sum();
    assert!(events >= 60, "{events} events");
    let improved = cases.iter().filter(|it| it.rules.is_some()).count();
    assert!(improved >= 10, "{improved} cases that configuration improves");
    let write = std::env::var_os("SIDENOTE_WRITE").is_some();
    for case in &mut cases {
        let lines = case.lines("");
        let better = case.rules.as_deref().map(|rules| case.lines(rules));
        if write {
            (case.lines, case.improved) = (lines, better);
            continue;
        }
        assert_eq!(lines, case.lines, "{}", case.about);
        assert_eq!(better, case.improved, "{}", case.about);
        if let Some(better) = better {
            assert_ne!(better, lines, "{}: the rules change nothing", case.about);
        }
    }
    if write {
        let lines = cases.iter().map(|it| serde_json::to_string(it).unwrap());
        std::fs::write(&path, format!("[\n{}\n]\n", lines.collect::<Vec<_>>().join(",\n")))
            .unwrap();
    }
}
