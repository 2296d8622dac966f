//! The console: notes into the host's log where nothing is granted. What is granted goes to the standard
//! output of a process: see `tests/e2e/console.rs`.

use std::sync::{Arc, Mutex};

use crate::guests::{plugin, post, registry};

#[tokio::test]
async fn without_the_grant_a_note_goes_to_the_log() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let registry = registry([("console", plugin("sidenote_console.wasm"))]).await;
    let sink = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || Sink(sink.clone())).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    assert_eq!(post(&registry, "console", "clicked Pay").await.unwrap().note_id, None);
    drop(guard);
    let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains("sidenote::guest")).unwrap();
    assert!(line.contains(r#""body":"clicked Pay""#), "{text}");
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
