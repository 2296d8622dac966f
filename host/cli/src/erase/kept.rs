//! `sidenote erase --list`: the notes that stayed at the platforms.

use anyhow::Context;
use clap::Args;
use sidenote::clock::Clock;
use sidenote::engine::erase::kept::{KeptFilter, KeptNote};
use sidenote::ids::{PluginName, ProductId};
use sidenote::outbox::redaction::ErasureId;
use sidenote_terminal::output;

use super::reach::Reach;
use super::{counted, stays};
use crate::outbox::args::{limit, plugin};

/// Notes that are asked for at once.
const PAGE: usize = 1000;

/// Which of them are listed.
#[derive(Debug, Args)]
pub(super) struct KeptArgs {
    /// With --list: notes of this erasure, by the name that it printed
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "email", "session"])]
    erasure: Option<ErasureId>,
    /// With --list: notes of this plugin
    #[arg(long, value_name = "NAME", value_parser = plugin, conflicts_with_all = ["user", "email", "session"])]
    plugin: Option<PluginName>,
    /// With --list: also notes that a summary was to replace
    #[arg(long, conflicts_with_all = ["user", "email", "session"])]
    replaced: bool,
    /// With --list: maximum number of notes
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit, conflicts_with_all = ["user", "email", "session"])]
    limit: usize,
}

/// Lists them.
pub(super) async fn list(
    reach: &Reach,
    args: KeptArgs,
    product: Option<ProductId>,
    as_json: bool,
) -> anyhow::Result<()> {
    let KeptArgs { erasure, plugin, replaced, limit } = args;
    let filter = KeptFilter { erasure, plugin, product, replaced, within: None };
    let (mut shown, mut counts, mut after) = (Vec::new(), None, None);
    let more = loop {
        let page = reach.kept(&filter, (limit - shown.len()).min(PAGE), after).await?;
        let (notes, waiting, counted_all) = (page.counts, page.waiting, page.counted_all);
        counts.get_or_insert((notes, waiting, counted_all));
        shown.extend(page.notes);
        after = page.next;
        if after.is_none() || shown.len() >= limit {
            break after.is_some();
        }
    };
    if as_json {
        for note in &shown {
            output::data(&serde_json::to_string(note).context("a note is no JSON")?)?;
        }
    } else if !shown.is_empty() {
        output::data(&table(&shown, Clock::system().now().as_secs_f64()))?;
    }
    let (counts, waiting, counted_all) = counts.unwrap_or_default();
    let all: u64 = counts.iter().map(|count| count.notes).sum();
    let at_least = if counted_all { "" } else { "at least " };
    output::say(&format!(
        "{at_least}{} at the platforms though they were to go",
        counted(all, "note")
    ));
    for count in &counts {
        output::say(&stays(count));
    }
    if waiting > 0 {
        output::say(&format!("{} still to be redacted", counted(waiting, "note")));
    }
    if more {
        output::say("there are more than are listed: raise --limit, or filter");
    }
    Ok(())
}

const HEADS: [&str; 7] =
    ["SINCE", "PRODUCT", "PLUGIN", "CONVERSATION", "NOTE ID", "WHY", "ERASURE"];

fn table(notes: &[KeptNote], now: f64) -> String {
    let rows: Vec<_> = notes.iter().map(|note| cells(note, now)).collect();
    let heads = HEADS.map(str::to_owned);
    let lines = || [&heads].into_iter().chain(&rows);
    let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADS.len()).map(width).collect();
    let line = |cells: &[String; HEADS.len()]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines().map(line).collect::<Vec<_>>().join("\n")
}

fn cells(note: &KeptNote, now: f64) -> [String; HEADS.len()] {
    let id = match (&note.note_id, note.notes) {
        (Some(id), _) => output::escaped(id),
        (None, 1) => "-".to_owned(),
        (None, notes) => format!("(up to {notes} notes)"),
    };
    [
        format!("{} ago", output::short(now - note.at)),
        output::escaped(note.product.as_str()),
        output::escaped(&note.plugin),
        output::escaped(note.conversation.as_str()),
        id,
        note.reason.name().to_owned(),
        note.erasure.map_or_else(|| "(summary)".to_owned(), |id| id.to_string()),
    ]
}
