//! The lines and the JSON. No secret is in either.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use sidenote_sim::{Mock, MockExchange};
use sidenote_terminal::{exit, output};

use super::check::{Mark, Verdict};
use super::say;
use crate::bench::Bench;
use crate::exchange::{Masks, shown};

/// Exchanges of a failed check that are shown.
const SHOWN: usize = 3;

/// What came of the checks.
pub(super) struct Report<'a> {
    file: PathBuf,
    bench: &'a Bench,
    mock: &'a Mock,
    masks: Masks,
    json: bool,
    rows: Vec<Row>,
    /// How many of the last rows were skipped for one reason, and aren't printed yet.
    alike: usize,
}

/// One check and what came of it.
pub(super) struct Row {
    name: String,
    verdict: Verdict,
}

impl Row {
    pub(super) fn new(name: String, verdict: Verdict) -> Self {
        Self { name, verdict }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &Path, bench: &'a Bench, mock: &'a Mock, json: bool) -> Self {
        let masks = Masks::of(bench);
        Self { file: file.to_owned(), bench, mock, masks, json, rows: Vec::new(), alike: 0 }
    }

    /// Says what is tried out, and what was chosen for it.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        let Bench { name, manifest, chosen, .. } = self.bench;
        let version = manifest.as_ref().map(|manifest| format!(" {}", manifest.version));
        say(&format!("{name}{}, {}", version.unwrap_or_default(), self.file.display()));
        say(&format!("mock platform at {}", self.mock.url()));
        for line in chosen.iter().chain(&self.bench.mismatches()) {
            say(line);
        }
        Ok(())
    }

    /// Prints a check. What is skipped for one reason is told in one line, when the next check is another.
    pub(super) fn add(&mut self, row: Row) -> anyhow::Result<()> {
        if row.verdict.mark == Mark::Skipped {
            let last = self.rows.last().filter(|_| self.alike > 0);
            if last.is_some_and(|last| last.verdict.detail != row.verdict.detail) {
                self.tell_skipped()?;
            }
            self.alike += 1;
        } else {
            self.tell_skipped()?;
            self.tell(&row.name, &row.verdict)?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Prints what was skipped and isn't printed yet.
    fn tell_skipped(&mut self) -> anyhow::Result<()> {
        let alike = std::mem::take(&mut self.alike);
        match self.rows.last() {
            Some(row) if alike == 1 => self.tell(&row.name, &row.verdict),
            Some(row) if alike > 1 => self.tell(&format!("{alike} checks"), &row.verdict),
            Some(_) | None => Ok(()),
        }
    }

    fn tell(&self, name: &str, verdict: &Verdict) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        let Verdict { mark, detail, exchanges } = verdict;
        let detail = self.masks.mask(detail);
        output::data(&format!("{:<8} {name}: {}", mark.word(), indented(&detail)))?;
        if *mark == Mark::Failed {
            for exchange in exchanges.iter().take(SHOWN) {
                output::data(&shown(exchange, &self.masks))?;
            }
            if exchanges.len() > SHOWN {
                let more = exchanges.len() - SHOWN;
                output::data(&format!("           and {more} more requests"))?;
            }
        }
        Ok(())
    }

    /// Prints the sum. Success where no check failed.
    pub(super) fn end(mut self) -> anyhow::Result<ExitCode> {
        self.tell_skipped()?;
        let count = |mark| self.rows.iter().filter(|row| row.verdict.mark == mark).count();
        let (ok, failed) = (count(Mark::Ok), count(Mark::Failed));
        let (warnings, skipped) = (count(Mark::Warning), count(Mark::Skipped));
        if self.json {
            let checks: Vec<_> = self.rows.iter().map(|row| self.row_json(row)).collect();
            let bench = self.bench;
            output::data(
                &json!({
                    "plugin": &*bench.name,
                    "version": bench.manifest.as_ref().map(|manifest| &manifest.version),
                    "file": self.file.display().to_string(),
                    "interfaces": bench.state().interfaces,
                    "chosen": bench.chosen,
                    "passed": failed == 0,
                    "counts": {"ok": ok, "warning": warnings, "failed": failed, "skipped": skipped},
                    "checks": checks,
                })
                .to_string(),
            )?;
        } else {
            let plural = if warnings == 1 { "warning" } else { "warnings" };
            output::data(&format!(
                "\n{ok} ok, {failed} failed, {warnings} {plural}, {skipped} skipped"
            ))?;
        }
        if self.mock.forgotten() > 0 {
            say(&format!(
                "{} requests were too many to keep; what was judged was judged without them",
                self.mock.forgotten()
            ));
        }
        for place in self.mock.unused_answers() {
            say(&format!(
                "answer {place} of --answer fits no request; look at its method and its path"
            ));
        }
        Ok(exit::done_if(failed == 0))
    }

    fn row_json(&self, row: &Row) -> Value {
        let Verdict { mark, detail, exchanges } = &row.verdict;
        let exchange = |it: &MockExchange| {
            let headers: Vec<_> = it
                .headers
                .iter()
                .map(|(name, value)| [name.clone(), self.masks.header(name, value)])
                .collect();
            json!({
                "method": it.method,
                "target": self.masks.mask(&it.target),
                "headers": headers,
                "body": self.masks.mask(&String::from_utf8_lossy(&it.body)).chars().take(4000).collect::<String>(),
                "answer": self.masks.mask(&it.answer),
            })
        };
        let shown: Vec<_> = match mark {
            Mark::Failed => exchanges.iter().take(SHOWN).map(exchange).collect(),
            Mark::Ok | Mark::Warning | Mark::Skipped => Vec::new(),
        };
        json!({"name": row.name, "result": mark.word(), "detail": self.masks.mask(detail), "exchanges": shown})
    }
}

/// Further lines of a text stand below the first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n           ")
}
