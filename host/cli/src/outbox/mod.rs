//! `sidenote outbox`: what waits and the dead letters, and a person's decisions about it.

pub(super) mod args;
mod host_api;
pub(super) mod offline;
mod resend;
mod show;
mod table;
#[cfg(test)]
mod tests;
mod timeline;
pub(super) mod way;

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use sidenote::engine::Decision;
use sidenote::engine::ledger::{Decided, Listing, Order, Want};
use sidenote_terminal::{exit, output};

use self::args::{DecideArgs, ListArgs, PurgeArgs};
use self::resend::ResendArgs;
use self::show::ShowArgs;
use self::timeline::TimelineArgs;
use self::way::Way;

/// What `outbox` does.
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List the notes that wait, and the dead letters
    List(ListArgs),
    /// Show one delivery: its state, every attempt, the platform's responses, the next step
    Show(ShowArgs),
    /// Show everything known of a session, in the order of time
    Timeline(TimelineArgs),
    /// Send notes again: requeue dead letters, retry waiting notes at once
    Retry(DecideArgs),
    /// Send a delivered note once more, as a new note
    Resend(ResendArgs),
    /// Remove notes for good
    Purge(PurgeArgs),
}

/// Notes that are asked for at once.
const PAGE: usize = 1000;

/// Runs one of the commands.
pub(super) async fn run(command: OutboxCommand) -> anyhow::Result<ExitCode> {
    match command {
        OutboxCommand::List(args) => list(args).await,
        OutboxCommand::Show(args) => show::show(args).await,
        OutboxCommand::Timeline(args) => timeline::timeline(args).await,
        OutboxCommand::Resend(args) => resend::resend(args).await,
        OutboxCommand::Retry(args) => decide(args, Decision::Retry, true).await,
        OutboxCommand::Purge(PurgeArgs { decide: args, yes }) => {
            decide(args, Decision::Purge, yes).await
        }
    }
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let filter = args.filter.filter();
    let way = Way::choose(&args.source).await?;
    let (mut shown, mut unreadable, mut after) = (0, 0, None);
    let last: Listing = loop {
        let limit = (args.limit - shown).min(PAGE);
        let want = Want { limit, text: args.show_text, after };
        let mut listing = way.list(&filter, &want).await?;
        let first = shown == 0;
        shown += listing.entries.len();
        unreadable += listing.unreadable;
        if args.json {
            for entry in &listing.entries {
                output::data(&serde_json::to_string(entry).context("a note is no JSON")?)?;
            }
        } else if !listing.entries.is_empty() {
            output::data(&table::for_stdout(&listing.entries, first))?;
        }
        after = listing.next.take();
        if after.is_none() || shown >= args.limit {
            break listing;
        }
    };
    say_accounts(&last);
    let notes = counted(shown as u64);
    output::say(&match (shown, last.beyond, last.counted_all) {
        (0, _, _) => "no note matches".to_owned(),
        (_, 0, true) => notes,
        (_, 0, false) => format!("{notes}, and perhaps more: raise --limit, or filter"),
        (_, beyond, true) => format!("{notes}, and {beyond} more: raise --limit, or filter"),
        (_, beyond, false) => {
            format!("{notes}, and more than {beyond} more: raise --limit, or filter")
        }
    });
    say_unreadable(unreadable);
    Ok(ExitCode::SUCCESS)
}

async fn decide(args: DecideArgs, decision: Decision, sure: bool) -> anyhow::Result<ExitCode> {
    let filter = args.filter.filter();
    if filter.is_empty() && !args.all {
        output::say(
            "error: no filter is given, so that every note would be meant; name a filter, or --all if that is so. See --help",
        );
        return Ok(exit::usage());
    }
    if !sure && !args.dry_run && exit::cannot_ask("purging") {
        return Ok(exit::usage());
    }
    let way = Way::choose(&args.source).await?;
    let mut order = Order { decision, filter, until: None, after: None };
    if args.dry_run {
        let would = way.decide(&mut order, true).await?;
        show_preview(&args, decision, &would)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !sure {
        let would = way.decide(&mut order, true).await?;
        if would.matched == 0 {
            output::say("no note matches");
            say_unreadable(would.unreadable);
            return Ok(ExitCode::SUCCESS);
        }
        let question = format!("Purge {} for good? This can't be undone.", counted(would.matched));
        if !exit::is_wanted(&question, "nothing was changed")? {
            return Ok(exit::NOT_DONE);
        }
    }
    let decided = way.decide(&mut order, false).await?;
    if args.json {
        let value = json!({
            "action": verb(decision),
            "matched": decided.matched,
            "done": decided.done,
            "unreadable": decided.unreadable,
        });
        output::data(&value.to_string())?;
    }
    output::say(&outcome(decision, &decided));
    say_unreadable(decided.unreadable);
    Ok(ExitCode::SUCCESS)
}

fn show_preview(args: &DecideArgs, decision: Decision, would: &Decided) -> anyhow::Result<()> {
    if args.json {
        for entry in &would.entries {
            output::data(&serde_json::to_string(entry).context("a note is no JSON")?)?;
        }
    } else if !would.entries.is_empty() {
        output::data(&table::for_stdout(&would.entries, true))?;
    }
    let shown = would.entries.len() as u64;
    output::say(&match would.matched {
        0 => "no note matches; nothing would be changed".to_owned(),
        matched if matched > shown => format!(
            "{} would be {}, of which {shown} are shown; nothing was changed",
            counted(matched),
            participle(decision)
        ),
        matched => {
            format!("{} would be {}; nothing was changed", counted(matched), participle(decision))
        }
    });
    say_unreadable(would.unreadable);
    Ok(())
}

/// What was done, in words.
fn outcome(decision: Decision, decided: &Decided) -> String {
    let left = decided.matched.saturating_sub(decided.done);
    match (decided.matched, left) {
        (0, _) => "no note matches; nothing was changed".to_owned(),
        (_, 0) => format!("{} {}", counted(decided.done), participle(decision)),
        (_, left) => format!(
            "{} {}; {left} left alone: {}",
            counted(decided.done),
            participle(decision),
            match decision {
                Decision::Retry =>
                    "sent meanwhile, being posted, due already or held by the platform",
                Decision::Purge => "sent meanwhile, or being posted",
            }
        ),
    }
}

fn say_accounts(listing: &Listing) {
    for account in &listing.accounts {
        let state = match &*account.breaker {
            "closed" if account.limited_until.is_some() => {
                "its platform takes nothing for a while; its notes wait"
            }
            "closed" => continue,
            "open" => "it fails; its notes wait for the next one that is tried",
            "probing" => "it fails; one note is tried at the moment, the others wait",
            "disabled" => {
                "disabled after failing for long; its notes wait. Repair it, and retry its notes"
            }
            other => other,
        };
        output::say(&format!("plugin {}: {state}", output::escaped(&account.plugin)));
    }
}

fn say_unreadable(rows: u64) {
    if rows > 0 {
        let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        output::say(&format!(
            "{rows} can't be read and were passed over; they stay where they are"
        ));
    }
}

fn counted(notes: u64) -> String {
    if notes == 1 { "1 note".to_owned() } else { format!("{notes} notes") }
}

fn verb(decision: Decision) -> &'static str {
    match decision {
        Decision::Retry => "retry",
        Decision::Purge => "purge",
    }
}

fn participle(decision: Decision) -> &'static str {
    match decision {
        Decision::Retry => "queued to be sent again",
        Decision::Purge => "purged",
    }
}
