//! The conformance vectors: what autoplay-sdk did, run against the real types.
//!
//! Each untagged case must pass; a case tagged with a defect shows what autoplay-sdk does wrong and is
//! asserted the other way round by the `defects` tests. `SIDENOTE_VECTORS=DIR` runs another folder of the
//! same file names.

mod as_v1;
mod compare;
mod context;
mod copilot;
mod delivery;
mod left_out;
mod linking;
mod note_format;
mod payloads;
mod replies;
mod report;
mod session_fsm;
mod session_snapshot;
mod sse_stream;
mod summarizer;
mod trigger_config;
mod triggers;
mod values;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Runs one case; the error says how the behaviour differs.
type Check = fn(&Value) -> Result<(), String>;

/// The files that have odd inputs too, and what runs the cases of each. `None`: it waits for the part named.
const FILES: [(&str, Option<Check>); 11] = [
    ("payloads", Some(payloads::check)),
    ("note_format", Some(note_format::check)),
    ("session_fsm", Some(session_fsm::check)),
    ("session_snapshot", Some(session_snapshot::check)),
    ("linking", Some(linking::check)),
    ("delivery", Some(delivery::check)),
    ("sse_stream", Some(sse_stream::check)),
    ("context_store", Some(context::check)),
    ("user_index", Some(context::check)),
    ("summarizer", Some(summarizer::check)),
    ("copilot_http", Some(copilot::check)),
];

/// The files of offers of help.
const OFFERS: [(&str, Option<Check>); 2] =
    [("triggers", Some(triggers::check)), ("trigger_config", Some(trigger_config::check))];

#[test]
fn vectors_behave_as_the_reference_did() {
    let files: Vec<_> = FILES.into_iter().chain(OFFERS).collect();
    check(&folder(), &files);
}

#[test]
fn odd_inputs_behave_as_the_reference_did() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/vectors/odd"), &FILES);
}

fn check(folder: &Path, files: &[(&str, Option<Check>)]) {
    let report = report::run(folder, files);
    report.print();
    assert_eq!(report.problems(), Vec::<String>::new());
}

/// A relative folder is meant from the workspace's root: tests run in their package's.
fn folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    match std::env::var_os("SIDENOTE_VECTORS") {
        Some(folder) => package.join("..").join(folder),
        None => package.join("data/vectors"),
    }
}
