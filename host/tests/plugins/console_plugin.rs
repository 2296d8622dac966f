//! The console: notes into the host's log where nothing is granted. What is granted goes to the standard
//! output of a process: see `tests/e2e/console.rs`.

use crate::guests::{plugin, post, registry};
use crate::log::Log;

#[tokio::test]
async fn without_the_grant_a_note_goes_to_the_log() {
    let registry = registry([("console", plugin("sidenote_console.wasm"))]).await;
    let log = Log::of_this_thread();
    assert_eq!(post(&registry, "console", "clicked Pay").await.unwrap().note_id, None);
    let text = log.text();
    let line = text.lines().find(|line| line.contains("sidenote::guest")).unwrap();
    assert!(line.contains(r#""body":"clicked Pay""#), "{text}");
}
