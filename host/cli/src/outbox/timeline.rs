//! `sidenote outbox timeline`: what is known of a session, in the order of time.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use sidenote::engine::ledger::{Happened, Moment, TimelineWant};
use sidenote::ids::{ProductId, SessionId, SessionKey};
use sidenote_terminal::output::{self, escaped};

use super::args::{SourceArgs, product, session};
use super::show::{decision, why, word};
use super::way::Way;
use crate::table;
use crate::when::utc;

/// What `timeline` takes.
#[derive(Debug, Args)]
pub(crate) struct TimelineArgs {
    /// The product
    #[arg(value_name = "PRODUCT", value_parser = product)]
    product: ProductId,
    /// The session
    #[arg(value_name = "SESSION", value_parser = session)]
    session: SessionId,
    #[command(flatten)]
    source: SourceArgs,
    /// Print what people did too, as far as it is kept. A running host returns it only if
    /// `server.token` is set
    #[arg(long)]
    show_text: bool,
    /// One JSON object per moment on stdout
    #[arg(long)]
    json: bool,
}

/// Moments that are asked for at once.
const PAGE: usize = 1000;
const HEADS: [&str; 4] = ["WHEN", "WHAT", "ID", "MORE"];

/// Runs the command.
pub(super) async fn timeline(args: TimelineArgs) -> anyhow::Result<ExitCode> {
    let way = Way::choose(&args.source).await?;
    let key = SessionKey { product: args.product, session: args.session };
    let mut want = TimelineWant { limit: PAGE, text: args.show_text, after: None };
    let (mut shown, mut first) = (0, true);
    let last = loop {
        let told = way.timeline(&key, &want).await?;
        shown += told.moments.len();
        if args.json {
            for moment in &told.moments {
                output::data(&serde_json::to_string(moment).context("a moment is no JSON")?)?;
            }
        } else if !told.moments.is_empty() {
            output::data(&text(&told.moments, first))?;
        }
        first = false;
        want.after = told.next;
        if want.after.is_none() {
            break told;
        }
    };
    if last.waiting_actions > 0 {
        output::say(&format!("{} actions wait for a note", last.waiting_actions));
    }
    if last.cut {
        output::say("there is more than is shown; see `sidenote outbox list --product --session`");
    }
    if shown == 0 {
        output::say("the session is known, and nothing of it is on record");
    }
    Ok(ExitCode::SUCCESS)
}

/// The moments as a table, with what people did below each where it was asked for.
pub(super) fn text(moments: &[Moment], with_heads: bool) -> String {
    let heads = with_heads.then_some(HEADS);
    let drawn = table::drawn(heads, moments.iter().map(cells), &[], None);
    let mut drawn = table::lines(&drawn);
    let mut lines: Vec<_> = drawn.by_ref().take(usize::from(with_heads)).collect();
    for (line, moment) in drawn.zip(moments) {
        lines.push(line);
        let texts: Vec<_> = match &moment.what {
            Happened::Actions { texts, .. } => texts.iter().flatten().collect(),
            Happened::Summary { text, .. } => text.iter().collect(),
            Happened::Linked { .. }
            | Happened::Made { .. }
            | Happened::Attempt { .. }
            | Happened::Delivered { .. }
            | Happened::Dead { .. }
            | Happened::Redact { .. }
            | Happened::RedactAttempt { .. }
            | Happened::Ended { .. }
            | Happened::Offer { .. } => Vec::new(),
        };
        let texts = texts.into_iter().flat_map(|text| text.0.lines());
        lines.extend(texts.map(|line| format!("    | {}", escaped(line))));
    }
    lines.join("\n")
}

fn cells(moment: &Moment) -> [String; HEADS.len()] {
    let (id, more) = match &moment.what {
        Happened::Actions { first, count, .. } => {
            let from = first.map(|first| format!(", from the {first}th on"));
            (None, format!("{count} accepted{}", from.unwrap_or_default()))
        }
        Happened::Summary { covers, .. } => (None, format!("covers up to the {covers}th action")),
        Happened::Linked { plugin, conversation, basis, moves } => {
            let to = format!("to {} of {}", escaped(conversation.as_str()), escaped(plugin));
            let moved = if *moves > 0 { format!(", move {moves}") } else { String::new() };
            (None, format!("{to}, on {} word{moved}", word(basis)))
        }
        Happened::Made { id, kind, plugin, conversation, actions, resent_of } => {
            let conversation = conversation.as_ref().map(|id| escaped(id.as_str()));
            let to = conversation.map(|conversation| format!(" for {conversation}"));
            let actions = actions.filter(|actions| *actions > 0);
            let actions = actions.map(|actions| format!(", {actions} actions"));
            let again = resent_of.as_ref().map(|of| format!(", repeats {of}"));
            let more = [to, actions, again].into_iter().flatten().collect::<String>();
            (Some(id), format!("{} by {}{more}", escaped(kind), escaped(plugin)))
        }
        Happened::Attempt { id, attempt } | Happened::RedactAttempt { id, attempt } => {
            let why = Some(why(attempt)).filter(|why| !why.is_empty());
            let why = why.map(|why| format!("; {why}")).unwrap_or_default();
            let ended = word(&attempt.status);
            (Some(id), format!("{}: {ended}, {}{why}", attempt.attempt, decision(attempt)))
        }
        Happened::Delivered { id } => (Some(id), String::new()),
        Happened::Dead { id, reason } => {
            (Some(id), reason.as_deref().map(escaped).unwrap_or_default())
        }
        Happened::Redact { id, why } => (Some(id), word(why)),
        Happened::Ended { id, state } => (Some(id), state.name().replace('_', " ")),
        Happened::Offer { trigger, decision, id, until, times, failure, .. } => {
            let times = if *times > 1 { format!(", {times} times") } else { String::new() };
            let until = until.map(|until| format!(", until {}", utc(until))).unwrap_or_default();
            let failure = failure.as_deref().map(|why| format!(": {}", escaped(why)));
            let failure = failure.unwrap_or_default();
            let more =
                format!("{}: {}{times}{until}{failure}", escaped(trigger), escaped(decision));
            (id.as_ref(), more)
        }
    };
    let id = id.map(ToString::to_string).unwrap_or_default();
    [utc(moment.at), moment.what.name().to_owned(), id, more]
}
