//! `sidenote outbox show`: one delivery and every attempt at it.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use sidenote::engine::ledger::{AttemptEntry, Delivery};
use sidenote::outbox::delivery_id::DeliveryId;
use sidenote_terminal::output::{self, escaped, short};

use super::args::{SourceArgs, id};
use super::way::Way;
use crate::table;
use crate::when::utc;

/// What `show` takes.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The delivery's id, as `outbox list` prints it
    #[arg(value_name = "ID", value_parser = id)]
    id: DeliveryId,
    #[command(flatten)]
    source: SourceArgs,
    /// Print its text too, if it is kept: what people did in the product. A running host returns it
    /// only if `server.token` is set
    #[arg(long)]
    show_text: bool,
    /// A JSON object on stdout
    #[arg(long)]
    json: bool,
}

const HEADS: [&str; 8] = ["TRY", "BEGAN", "TOOK", "PLUGIN", "STATUS", "BYTES", "DECISION", "WHY"];

/// Runs the command.
pub(super) async fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let way = Way::choose(&args.source).await?;
    let delivery = way.delivery(&args.id, args.show_text).await?;
    if args.json {
        output::data(&serde_json::to_string(&delivery).context("a delivery is no JSON")?)?;
    } else {
        output::data(&text(&delivery))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A delivery as people read it.
pub(super) fn text(delivery: &Delivery) -> String {
    let mut lines: Vec<_> = table::lines(&table::drawn(None, facts(delivery), &[], None)).collect();
    lines.push(String::new());
    lines.extend(attempts(&delivery.attempts, delivery.attempts_left_out));
    if let Some(redaction) = &delivery.redaction {
        let when = utc(redaction.since);
        lines.push(String::new());
        let end = redaction.ended.map(|end| format!("; {} {}", word(&end.how), utc(end.at)));
        let end = end.unwrap_or_default();
        lines.push(format!("to be redacted since {when}: {}{end}", word(&redaction.why)));
        lines.extend(attempts(&redaction.attempts, redaction.attempts_left_out));
    }
    let text = delivery.text.iter().flat_map(|text| text.0.lines());
    lines.extend(text.map(|line| format!("    | {}", escaped(line))));
    lines.join("\n")
}

fn facts(delivery: &Delivery) -> Vec<[String; 2]> {
    let at = |at: Option<f64>| at.map(utc);
    let conversation = delivery.conversation.as_ref().map(|id| escaped(id.as_str()));
    let made = match delivery.made_at {
        Some(at) => utc(at),
        None => "not on record: an earlier version sent it".to_owned(),
    };
    let facts = [
        ("id", Some(delivery.id.to_string())),
        ("state", Some(delivery.state.name().to_owned())),
        ("product", Some(escaped(delivery.product.as_str()))),
        ("session", Some(escaped(delivery.session.as_str()))),
        ("kind", Some(format!("{} ({})", word(&delivery.delivery), escaped(&delivery.kind)))),
        ("plugin", Some(escaped(&delivery.plugin))),
        ("conversation", conversation),
        ("made", Some(made)),
        ("actions", delivery.actions.map(|actions| actions.to_string())),
        ("up to action", delivery.through.map(|through| through.to_string())),
        ("idempotency key", Some(escaped(&delivery.idempotency_key))),
        ("platform's id", delivery.note_id.as_deref().map(escaped)),
        ("delivered", at(delivery.delivered_at)),
        ("dead since", at(delivery.dead_lettered_at)),
        ("tried again", at(delivery.waits_until)),
        ("not sent after", at(delivery.expires_at)),
        ("why", delivery.reason.as_deref().map(escaped)),
        ("repeats", delivery.resent_of.as_ref().map(DeliveryId::to_string)),
        ("stays", delivery.stays.then(|| "it was to be redacted, and can't be".to_owned())),
    ];
    let known = |(name, value): (&str, Option<String>)| Some([name.to_owned(), value?]);
    facts.into_iter().filter_map(known).collect()
}

/// The attempts as a table.
fn attempts(attempts: &[AttemptEntry], left_out: u32) -> Vec<String> {
    if attempts.is_empty() {
        return vec!["no attempt is on record".to_owned()];
    }
    let drawn = table::drawn(Some(HEADS), attempts.iter().map(cells), &[0, 2], None);
    let mut lines: Vec<_> = table::lines(&drawn).collect();
    if left_out > 0 {
        let gap = attempts.windows(2).position(|two| two[1].attempt > two[0].attempt + 1);
        let place = gap.map_or(lines.len(), |gap| gap + 2);
        lines.insert(place, format!("  …  {left_out} more"));
    }
    lines
}

fn cells(attempt: &AttemptEntry) -> [String; HEADS.len()] {
    let took = attempt.duration_ms.map_or_else(|| "-".to_owned(), |millis| format!("{millis}ms"));
    [
        attempt.attempt.to_string(),
        utc(attempt.began_at),
        took,
        attempt.version.as_deref().map_or_else(|| "-".to_owned(), escaped),
        word(&attempt.status),
        word(&attempt.bytes_left),
        decision(attempt),
        why(attempt),
    ]
}

/// What was decided after an attempt.
pub(super) fn decision(attempt: &AttemptEntry) -> String {
    let word_of = attempt.decision.word();
    match (attempt.again_at, &attempt.because) {
        (Some(at), _) => {
            let ended = attempt.began_at + attempt.duration_ms.unwrap_or_default() as f64 / 1000.0;
            format!("{word_of} in {}", short((at - ended).max(0.0)))
        }
        (None, Some(because)) => format!("{word_of}: {}", word(because)),
        (None, None) => word_of.to_owned(),
    }
}

/// Why it ended so.
pub(super) fn why(attempt: &AttemptEntry) -> String {
    let asked = attempt.asked_first.map(|asked| format!("asked first: {}", word(&asked)));
    let reason = attempt.reason.as_deref().map(escaped);
    asked.into_iter().chain(reason).collect::<Vec<_>>().join("; ")
}

/// A value as its word in JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
