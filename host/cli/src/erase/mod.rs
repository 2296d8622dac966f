//! `sidenote erase`: what is known of a person or a session, gone; and what stays at the platforms.

mod kept;
mod reach;

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sidenote::engine::erase::kept::KeptCount;
use sidenote::engine::erase::{Erased, Erasure, Subject};
use sidenote::ids::{ProductId, SessionId};
use sidenote_terminal::{exit, output};

use self::kept::KeptArgs;
use self::reach::Reach;
use super::outbox::args::{SourceArgs, product, session};

/// What `erase` takes.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Of this product
    #[arg(long, value_name = "ID", value_parser = product, required_unless_present = "list")]
    product: Option<ProductId>,
    #[command(flatten)]
    subject: WhomArgs,
    /// Leave the notes at the platform; by default they are redacted if the platform can
    #[arg(long, conflicts_with = "list")]
    keep_notes: bool,
    /// Only count what would be erased
    #[arg(long, conflicts_with = "list")]
    dry_run: bool,
    /// Don't ask for confirmation; required without a terminal
    #[arg(long, conflicts_with = "list")]
    yes: bool,
    #[command(flatten)]
    kept: KeptArgs,
    /// The counts as a JSON object on stdout, or with --list the notes, an object each
    #[arg(long)]
    json: bool,
}

/// Who is meant.
#[derive(Debug, Args)]
#[group(id = "subject", required = true, multiple = false)]
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
    /// Erase nothing: list the notes that stayed at the platforms, and why
    #[arg(long)]
    list: bool,
}

/// Runs the command.
pub(super) async fn erase(args: EraseArgs) -> anyhow::Result<ExitCode> {
    let EraseArgs { source, product, subject, keep_notes, dry_run, yes, kept, json: as_json } =
        args;
    if subject.list {
        let reach = Reach::of(&source).await?;
        return kept::list(&reach, kept, product, as_json).await.map(|()| ExitCode::SUCCESS);
    }
    let subject = match (subject.session, subject.user, subject.email) {
        (Some(session), _, _) => Subject::Session(session),
        (None, Some(id), _) => Subject::User(id),
        (None, None, email) => Subject::Email(email.context("nobody is named")?),
    };
    let product = product.context("no product is named")?;
    if !yes && !dry_run && exit::cannot_ask("erasing") {
        return Ok(exit::usage());
    }
    let reach = Reach::of(&source).await?;
    let erasure = Erasure { product, subject, keep_notes };
    if !yes && !dry_run {
        say(&reach.erase(&erasure, true).await?, true);
        if !exit::is_wanted("erase?", "nothing was erased")? {
            return Ok(exit::NOT_DONE);
        }
    }
    let erased = reach.erase(&erasure, dry_run).await?;
    if as_json {
        let mut value = serde_json::to_value(&erased).context("the counts are no JSON")?;
        value["dry_run"] = json!(dry_run);
        output::data(&value.to_string())?;
    }
    say(&erased, dry_run);
    Ok(ExitCode::SUCCESS)
}

fn say(erased: &Erased, dry_run: bool) {
    for line in lines(erased, dry_run) {
        output::say(&line);
    }
}

/// What was erased or would be, in words.
fn lines(erased: &Erased, dry_run: bool) -> Vec<String> {
    let Erased {
        sessions,
        actions,
        notes,
        sink_deliveries,
        timers,
        redactions,
        left,
        kept,
        erasure,
    } = erased;
    let mut lines = vec![format!(
        "{}, {} that waited for a note, {} that waited or were dead letters: {}",
        counted(*sessions, "session"),
        counted(*actions, "action"),
        counted(*notes, "note"),
        if dry_run { "would be erased" } else { "erased" },
    )];
    if *sink_deliveries > 0 {
        lines.push(format!(
            "for sinks: {sink_deliveries} that waited or were dead letters; what they were given stays there"
        ));
    }
    if *timers > 0 {
        lines.push(format!(
            "of plugins: {} that waited, were due or dead",
            counted(*timers, "timer")
        ));
    }
    lines.push(match dry_run {
        true => format!(
            "at the platform: {} would be redacted, {} would stay",
            counted(*redactions, "note"),
            counted(*left, "note")
        ),
        false => format!(
            "at the platform: {} to be redacted, {} left",
            counted(*redactions, "note"),
            counted(*left, "note")
        ),
    });
    lines.extend(kept.iter().map(stays));
    let asked = *redactions > 0;
    match erasure {
        Some(id) if *left > 0 || asked => lines.push(format!(
            "what stays is listed by `sidenote erase --list --erasure {id}`{}",
            if asked { ", with what the platform refuses from here on" } else { "" }
        )),
        None if asked && dry_run => lines.push(
            "what the platform refuses when it is asked is counted then, and listed by `sidenote erase --list`"
                .to_owned(),
        ),
        Some(_) | None => {}
    }
    lines
}

/// So many notes of a plugin stay, and why.
fn stays(count: &KeptCount) -> String {
    let KeptCount { plugin, reason, notes } = count;
    let plugin = output::escaped(plugin);
    format!("  plugin {plugin}: {}, for {}", counted(*notes, "note"), reason.words())
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidenote::engine::erase::kept::Reason;
    use sidenote::outbox::redaction::ErasureId;

    #[test]
    fn what_stays_is_told_with_the_plugin_and_the_reason() {
        let kept = |reason, notes| KeptCount { plugin: "bot".into(), reason, notes };
        let erased = Erased {
            sessions: 1,
            left: 6,
            kept: vec![kept(Reason::NoRedactor, 5), kept(Reason::NoNoteId, 1)],
            ..Erased::default()
        };
        insta::assert_snapshot!(lines(&erased, true).join("\n"), @"
        1 session, 0 actions that waited for a note, 0 notes that waited or were dead letters: would be erased
        at the platform: 0 notes would be redacted, 6 notes would stay
          plugin bot: 5 notes, for the plugin exports no `redactor`
          plugin bot: 1 note, for the platform gave them no id
        ");
        let done = Erased { redactions: 2, erasure: Some(ErasureId(0xabc)), ..erased };
        insta::assert_snapshot!(lines(&done, false).join("\n"), @"
        1 session, 0 actions that waited for a note, 0 notes that waited or were dead letters: erased
        at the platform: 2 notes to be redacted, 6 notes left
          plugin bot: 5 notes, for the plugin exports no `redactor`
          plugin bot: 1 note, for the platform gave them no id
        what stays is listed by `sidenote erase --list --erasure 0000000000000abc`, with what the platform refuses from here on
        ");
    }
}
