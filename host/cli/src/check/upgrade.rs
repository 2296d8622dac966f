//! `check --upgrade`: which format a store has, and what a start would do with it.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use sidenote::config::{Access, Store};
use sidenote::engine::core::rows::is_packed;
use sidenote::store::{FORMAT, FileReport, inspect};
use sidenote_terminal::{exit, output};

/// Where the book says what a format is, and how to go back.
const PAGE: &str = "docs/src/operators/formats.md";

/// Looks at a store's file. Nothing is changed, and no secret is read.
pub(super) fn upgrade(
    config: &Path,
    file: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => match Access::load(config)?.store {
            Store::Embedded { path, .. } => path,
            Store::Memory => return not_a_file("memory", "nothing is kept", as_json),
            Store::Redis(_) => {
                let words = "each row says its form by itself; all that earlier builds wrote are read, and written anew as they change";
                return not_a_file("redis", words, as_json);
            }
        },
    };
    if !path.exists() && file.is_none() {
        return not_a_file("embedded", "the file isn't there; the first start makes it", as_json);
    }
    let found = inspect(&path, is_packed)?;
    let (usable, plan) = plan(&found);
    if as_json {
        let FileReport { format, rows, earlier, bytes } = found;
        let value = json!({
            "ok": usable, "store": path, "format": format, "rows": rows, "rows_of_format_1": earlier,
            "bytes": bytes, "this_build": FORMAT, "plan": plan,
        });
        output::data(&value.to_string())?;
    } else {
        let FileReport { format, rows, earlier, bytes } = found;
        output::data(&format!(
            "store     {}: {bytes} bytes\nformat    {format}; {rows} rows, {earlier} of them in the form of format 1\nthis build writes {FORMAT}, and reads 1 to {FORMAT}\nplan      {plan}",
            path.display()
        ))?;
    }
    Ok(exit::done_if(usable))
}

/// Whether this build can use the file, and what its start does.
fn plan(found: &FileReport) -> (bool, String) {
    match found.format {
        FORMAT if found.earlier == 0 => (true, "none: the file is as this build writes it".into()),
        FORMAT => (true, format!("{} rows are written anew as they change", found.earlier)),
        0..FORMAT => (
            true,
            format!(
                "a start puts the number {FORMAT} into the file, and rows of format 1 are written anew as they change; copy the file before, to be able to go back ({PAGE})"
            ),
        ),
        newer => (
            false,
            format!(
                "none: a later build wrote format {newer}. Run that one, or put a copy from before the upgrade in its place ({PAGE})"
            ),
        ),
    }
}

fn not_a_file(kind: &str, words: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let value: Value = json!({"ok": true, "store": kind, "this_build": FORMAT, "plan": words});
    output::data(&if as_json { value.to_string() } else { format!("store     {kind}: {words}") })?;
    Ok(ExitCode::SUCCESS)
}
