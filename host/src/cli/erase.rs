//! `sidenote erase`: what is known of a person or a session, gone.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::outbox::args::{SourceArgs, product, session};
use super::outbox::way::Way;
use super::{USAGE, output};
use crate::config::Config;
use crate::engine::erase::{Erased, Erasure, Whom};
use crate::ids::{ProductId, SessionId};

/// What `erase` takes.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Of this product
    #[arg(long, value_name = "ID", value_parser = product)]
    product: ProductId,
    #[command(flatten)]
    whom: WhomArgs,
    /// Leaves the notes at the platform; otherwise they are taken back where the platform can
    #[arg(long)]
    keep_notes: bool,
    /// Only counts what would be erased
    #[arg(long)]
    dry_run: bool,
    /// Doesn't ask; needed without a terminal
    #[arg(long)]
    yes: bool,
    /// The counts as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Who is meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhomArgs {
    /// Every session of the person with this user id
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// Every session of the person with this e-mail address
    #[arg(long, value_name = "ADDRESS", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    email: Option<String>,
    /// This session
    #[arg(long, value_name = "ID", value_parser = session)]
    session: Option<SessionId>,
}

/// Runs the command.
pub(super) async fn erase(args: EraseArgs) -> anyhow::Result<ExitCode> {
    let EraseArgs { source, product, whom, keep_notes, dry_run, yes, json: as_json } = args;
    let whom = match (whom.session, whom.user, whom.email) {
        (Some(session), _, _) => Whom::Session(session),
        (None, Some(id), _) => Whom::User(id),
        (None, None, email) => Whom::Email(email.context("nobody is named")?),
    };
    if !yes && !dry_run && !io::stdin().is_terminal() {
        output::say(
            "error: erasing can't be undone, and without a terminal nobody can be asked; add --yes, or look first with --dry-run",
        );
        return Ok(ExitCode::from(USAGE));
    }
    let way = Way::choose(Config::load(&source.config)?, &source).await?;
    let erasure = Erasure { product, whom, keep_notes };
    if !yes && !dry_run {
        say(&way.erase(&erasure, true).await?, "would be erased");
        if !is_wanted()? {
            output::say("nothing was erased");
            return Ok(ExitCode::FAILURE);
        }
    }
    let erased = way.erase(&erasure, dry_run).await?;
    if as_json {
        let mut value = serde_json::to_value(erased).context("the counts are no JSON")?;
        value["dry_run"] = json!(dry_run);
        output::data(&value.to_string())?;
    }
    say(&erased, if dry_run { "would be erased" } else { "erased" });
    Ok(ExitCode::SUCCESS)
}

fn is_wanted() -> anyhow::Result<bool> {
    output::say("erase? [y/N]");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("the answer can't be read")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn say(erased: &Erased, done: &str) {
    let Erased { sessions, actions, notes, parcels, redactions, left } = *erased;
    output::say(&format!(
        "{}, {} that waited for a note, {} that waited or had been given up: {done}",
        counted(sessions, "session"),
        counted(actions, "action"),
        counted(notes, "note"),
    ));
    if parcels > 0 {
        output::say(&format!(
            "for sinks: {parcels} that waited or had been given up; what they were given stays there"
        ));
    }
    output::say(&format!(
        "at the platform: {} to be taken back, {} left",
        counted(redactions, "note"),
        counted(left, "note"),
    ));
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
