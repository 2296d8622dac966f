//! Every request of the clients that were recorded becomes the lines on record, or is ignored for a reason: one person
//! reads `tests/data/sources/lines.txt` when it changes. `SIDENOTE_WRITE=1` writes it.

mod hostile;
mod requests;

use std::fmt::Write;

use requests::{Taken, folder, of};

/// The clients, and how many requests of each there are.
const CLIENTS: [(&str, usize); 11] = [
    ("posthog-js", 43),
    ("posthog-snippet", 3),
    ("posthog-node", 9),
    ("posthog-webhook", 5),
    ("segment-browser", 18),
    ("segment-node", 7),
    ("segment-webhook", 3),
    ("rudder-browser", 15),
    ("rudder-node", 6),
    ("amplitude-browser", 29),
    ("amplitude-node", 5),
];

/// What was planted in the recordings and may stand in no line.
const SECRETS: [&str; 9] = [
    "tok_invented",
    "key_invented",
    "mara.lind@example.test\"",
    "Invite mara",
    "mara.lind%40",
    "555 0100",
    "4242",
    "invite_token",
    "hunter",
];

#[test]
fn every_recorded_request_becomes_its_lines_or_is_ignored_for_a_reason() {
    let mut text = String::new();
    for (client, count) in CLIENTS {
        let recorded = of(client);
        assert_eq!(recorded.len(), count, "{client}");
        let mut taken = Taken::new(client);
        for it in recorded {
            writeln!(text, "{client}/{}: {}", it.name, it.about).unwrap();
            // The host answers these by itself.
            let lines = match &*it.method {
                "OPTIONS" => vec!["answered by the host".to_owned()],
                _ => taken.take(it.request()),
            };
            assert!(!lines.is_empty(), "{client}/{}: neither a line nor a reason", it.name);
            for line in lines {
                writeln!(text, "    {line}").unwrap();
                let told = line.trim_start_matches("session").split(" of ").next().unwrap();
                for secret in SECRETS {
                    assert!(!told.contains(secret), "{client}/{}: {line}", it.name);
                }
            }
        }
    }
    let file = folder().join("lines.txt");
    if std::env::var_os("SIDENOTE_WRITE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let on_record = std::fs::read_to_string(&file).unwrap();
    for (now, before) in text.lines().zip(on_record.lines()) {
        assert_eq!(now, before, "read what changed, then write it: SIDENOTE_WRITE=1");
    }
    assert_eq!(text.lines().count(), on_record.lines().count());
}
