//! `sidenote outbox resend`: a note that was delivered is sent once more.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use sidenote::engine::ledger::Repeat;
use sidenote::outbox::delivery_id::DeliveryId;
use sidenote_terminal::{exit, output};

use super::args::{SourceArgs, id};
use super::way::Way;

/// What `resend` takes.
#[derive(Debug, Args)]
pub(crate) struct ResendArgs {
    /// The note's id, as `outbox list`, `outbox timeline` and the log print it
    #[arg(value_name = "ID", value_parser = id)]
    id: DeliveryId,
    #[command(flatten)]
    source: SourceArgs,
    /// Only show what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Print its text too: what people did in the product. A running host returns it only if
    /// `server.token` is set
    #[arg(long)]
    show_text: bool,
    /// Don't ask for confirmation; required without a terminal
    #[arg(long)]
    yes: bool,
    /// A JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn resend(args: ResendArgs) -> anyhow::Result<ExitCode> {
    if !args.yes && !args.dry_run && exit::cannot_ask("sending") {
        return Ok(exit::usage());
    }
    let way = Way::choose(&args.source).await?;
    if !args.yes || args.dry_run {
        let would = way.resend(&args.id, true, args.show_text).await?;
        if args.dry_run {
            show(&args, &would)?;
            output::say(&format!("{} would be sent; nothing was changed", sent(&would)));
            return Ok(ExitCode::SUCCESS);
        }
        let question = format!("Send {}? It is a second note for whoever reads it.", sent(&would));
        if !exit::is_wanted(&question, "nothing was changed")? {
            return Ok(exit::NOT_DONE);
        }
    }
    let resent = way.resend(&args.id, false, args.show_text).await?;
    show(&args, &resent)?;
    let id = resent.id.as_ref().map(ToString::to_string).unwrap_or_default();
    output::say(&format!("{} waits as {id}", sent(&resent)));
    Ok(ExitCode::SUCCESS)
}

/// What is sent, in words.
fn sent(repeat: &Repeat) -> String {
    let what = match repeat.actions {
        0 => "the summary".to_owned(),
        1 => "1 action".to_owned(),
        actions => format!("{actions} actions"),
    };
    let to = output::escaped(repeat.conversation.as_str());
    format!(
        "{} once more, {what}, to {to} of {}",
        repeat.resent_of,
        output::escaped(&repeat.plugin)
    )
}

fn show(args: &ResendArgs, repeat: &Repeat) -> anyhow::Result<()> {
    if args.json {
        return output::data(&serde_json::to_string(repeat).context("a note is no JSON")?);
    }
    let text = repeat.text.iter().flat_map(|text| text.0.lines());
    for line in text {
        output::data(&format!("    | {}", output::escaped(line)))?;
    }
    Ok(())
}
