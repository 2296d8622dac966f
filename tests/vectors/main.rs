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
mod proactive_gate;
mod rag;
mod replies;
mod report;
mod session_fsm;
mod session_snapshot;
mod sse_stream;
mod summarizer;
mod tours;
mod trigger_config;
mod triggers;
mod values;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Runs one case; the error says how the behaviour differs.
type Check = fn(&Value) -> Result<(), String>;

/// The files that have odd inputs too, and what runs the cases of each.
const FILES: [(&str, Check); 11] = [
    ("payloads", payloads::check),
    ("note_format", note_format::check),
    ("session_fsm", session_fsm::check),
    ("session_snapshot", session_snapshot::check),
    ("linking", linking::check),
    ("delivery", delivery::check),
    ("sse_stream", sse_stream::check),
    ("context_store", context::check),
    ("user_index", context::check),
    ("summarizer", summarizer::check),
    ("copilot_http", copilot::check),
];

/// The files of offers of help.
const OFFERS: [(&str, Check); 5] = [
    ("triggers", triggers::check),
    ("trigger_config", trigger_config::check),
    ("tours", tours::check),
    ("proactive_gate", proactive_gate::check),
    ("rag", rag::check),
];

/// The files that are left out as a whole.
const LEFT_OUT: [(&str, &str); 1] =
    [("adoption", "what a person has learned of a product is no part of this host yet")];

#[test]
fn vectors_behave_as_the_reference_did() {
    let files: Vec<_> = FILES.into_iter().chain(OFFERS).collect();
    check(&folder(), &files, &LEFT_OUT);
}

#[test]
fn odd_inputs_behave_as_the_reference_did() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/vectors/odd"), &FILES, &[]);
}

fn check(folder: &Path, files: &[(&str, Check)], left_out: &[(&str, &'static str)]) {
    let report = report::run(folder, files, left_out);
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
