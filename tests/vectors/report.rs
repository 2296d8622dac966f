//! Runs the files and says what came of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use serde_json::Value;

use crate::{Check, left_out};

/// More than this share of the untagged cases may not be left out.
const MAX_LEFT_OUT: f64 = 0.08;
/// Files of which that holds too by themselves.
const STRICT: [&str; 1] = ["proactive_gate"];
/// Failures shown per file.
const SHOWN: usize = 8;

pub(crate) struct Report {
    files: Vec<FileReport>,
}

struct FileReport {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Unreadable(String),
    LeftOut {
        reason: &'static str,
    },
    Ran {
        tagged: usize,
        passed: usize,
        /// Not tagged, and a row of the defects demands that they differ.
        of_rows: Vec<(String, &'static str)>,
        left_out: Vec<(String, &'static str)>,
        failed: Vec<(String, String)>,
    },
}

/// Runs `files` of a folder; those of `left_out` are told of and not read.
pub(crate) fn run(
    folder: &Path,
    files: &[(&str, Check)],
    left_out: &[(&str, &'static str)],
) -> Report {
    let ran = files.iter().map(|(name, check)| {
        let outcome = match cases(&folder.join(format!("{name}.json"))) {
            Err(cause) => Outcome::Unreadable(cause),
            Ok(cases) => run_file(name, &cases, *check),
        };
        FileReport { name: (*name).to_owned(), outcome }
    });
    let left_out = left_out.iter().map(|(name, reason)| FileReport {
        name: (*name).to_owned(),
        outcome: Outcome::LeftOut { reason },
    });
    Report { files: ran.chain(left_out).collect() }
}

fn cases(path: &Path) -> Result<Vec<Value>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut file: Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let cases = file["cases"]
        .as_array_mut()
        .ok_or_else(|| format!("{}: no list of cases", path.display()))?;
    Ok(std::mem::take(cases))
}

fn run_file(file: &str, cases: &[Value], check: Check) -> Outcome {
    let (mut tagged, mut passed) = (0, 0);
    let (mut of_rows, mut left_out, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for case in cases {
        if case.get("defects").is_some() {
            tagged += 1;
            continue;
        }
        let name = case["name"].as_str().unwrap_or("(no name)").to_owned();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| check(case)));
        match outcome.unwrap_or_else(|_| Err("it panicked".to_owned())) {
            Ok(()) => passed += 1,
            // A rule covers a difference only: a case that passes is never left out.
            Err(difference) => match (left_out::row(file, case), left_out::reason(file, case)) {
                (Some(row), _) => of_rows.push((name, row)),
                (None, Some(reason)) => left_out.push((name, reason)),
                (None, None) => failed.push((name, difference)),
            },
        }
    }
    Outcome::Ran { tagged, passed, of_rows, left_out, failed }
}

impl Report {
    /// Writes the report where the test harness doesn't swallow it.
    pub(crate) fn print(&self) {
        let mut text = String::from("\nconformance vectors\n");
        for FileReport { name, outcome } in &self.files {
            match outcome {
                Outcome::Unreadable(cause) => writeln!(text, "  {name:17} can't be read: {cause}"),
                Outcome::LeftOut { reason } => writeln!(text, "  {name:17} left out as a file: {reason}"),
                Outcome::Ran { tagged, passed, of_rows, left_out, failed } => writeln!(
                    text,
                    "  {name:17} {passed:4} passed, {:2} left out, {:2} failed ({tagged} tagged as defects, {} of a defect's \
                     row without the tag)",
                    left_out.len(),
                    failed.len(),
                    of_rows.len(),
                ),
            }
            .expect("writing to a String can't fail");
            if let Outcome::Ran { of_rows, left_out, failed, .. } = outcome {
                for (case, row) in of_rows {
                    writeln!(text, "      of a row  {case}: {row}")
                        .expect("writing to a String can't fail");
                }
                for (case, reason) in left_out {
                    writeln!(text, "      left out  {case}: {reason}")
                        .expect("writing to a String can't fail");
                }
                for (case, difference) in failed.iter().take(SHOWN) {
                    writeln!(text, "      FAILED    {case}: {difference}")
                        .expect("writing to a String can't fail");
                }
            }
        }
        std::io::stderr().write_all(text.as_bytes()).expect("the report can be written");
    }

    /// Everything that makes the run fail.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let (mut untagged, mut all_left_out) = (0, 0);
        for FileReport { name, outcome } in &self.files {
            match outcome {
                Outcome::Unreadable(cause) => problems.push(format!("{name}: {cause}")),
                Outcome::LeftOut { .. } => {}
                Outcome::Ran { passed, of_rows, left_out, failed, .. } => {
                    let own = passed + left_out.len() + failed.len();
                    untagged += own + of_rows.len();
                    all_left_out += left_out.len() + of_rows.len();
                    if STRICT.contains(&name.as_str()) && is_too_many(left_out.len(), own) {
                        problems.push(format!("{name}: {} of {own} are left out", left_out.len()));
                    }
                    problems.extend(
                        failed
                            .iter()
                            .map(|(case, difference)| format!("{name}: {case}: {difference}")),
                    );
                }
            }
        }
        if is_too_many(all_left_out, untagged) {
            problems.push(format!(
                "{all_left_out} of {untagged} untagged cases are left out: too many"
            ));
        }
        problems
    }
}

fn is_too_many(left_out: usize, of: usize) -> bool {
    left_out > 0 && left_out as f64 >= MAX_LEFT_OUT * of as f64
}
