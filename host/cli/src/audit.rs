//! `sidenote audit`: what people changed, the newest first.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use sidenote::clock::Clock;
use sidenote::engine::people::AuditCursor;
use sidenote::http::audit_json;
use sidenote_terminal::output::{self, escaped, short};

use super::outbox::args::{SourceArgs, limit};
use super::outbox::way::Way;
use super::table;

/// Entries that are asked for at once.
const PAGE: usize = 1000;

/// What `audit` takes.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Maximum number of entries, the newest
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: usize,
    /// One JSON object per entry on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<Value>,
    next: Option<AuditCursor>,
}

/// Runs the command.
pub(super) async fn audit(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let way = Way::choose(&args.source).await?;
    let (mut shown, mut after) = (Vec::new(), None);
    let more = loop {
        let page = page(&way, (args.limit - shown.len()).min(PAGE), after).await?;
        shown.extend(page.entries);
        after = page.next;
        if after.is_none() || shown.len() >= args.limit {
            break after.is_some();
        }
    };
    if args.json {
        for entry in &shown {
            output::data(&entry.to_string())?;
        }
    } else if !shown.is_empty() {
        output::data(&text(&shown, Clock::system().now().as_secs_f64()))?;
    }
    output::say(&match (shown.len(), more) {
        (0, _) => "nobody has changed anything".to_owned(),
        (many, false) => format!("{many} in the log"),
        (many, true) => format!("the newest {many}; raise --limit for more"),
    });
    Ok(ExitCode::SUCCESS)
}

async fn page(way: &Way, limit: usize, after: Option<AuditCursor>) -> anyhow::Result<Page> {
    match way {
        Way::Host(client) => {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(after.map(|cursor| ("after", String::from(cursor))));
            client.get("/audit", &query).await
        }
        Way::Offline(offline) => {
            let page = offline.audited(limit, after).await.context("the log can't be read")?;
            let entries = page.rows.iter().map(audit_json).collect();
            Ok(Page { entries, next: page.next })
        }
    }
}

const HEADS: [&str; 6] = ["WHEN", "WHO", "WHAT", "PRODUCT", "RESULT", "MORE"];

fn text(entries: &[Value], now: f64) -> String {
    let drawn = table::drawn(Some(HEADS), entries.iter().map(|entry| cells(entry, now)), &[], None);
    table::lines(&drawn).collect::<Vec<_>>().join("\n")
}

fn cells(entry: &Value, now: f64) -> [String; HEADS.len()] {
    let word = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), escaped);
    let at = entry["at"].as_f64().unwrap_or_default();
    let who = match entry["by"]["kind"].as_str() {
        Some("key") => format!("key {} ({})", word(&entry["by"]["name"]), word(&entry["by"]["id"])),
        Some("token") => "server.token".to_owned(),
        Some("machine") => "a program on this machine".to_owned(),
        Some("offline") => "offline command".to_owned(),
        Some(_) | None => word(&entry["by"]["kind"]),
    };
    let result = match (&entry["outcome"]["affected"], &entry["outcome"]["reason"]) {
        (Value::Number(number), _) => format!("done: {number}"),
        (_, Value::String(reason)) => format!("refused: {}", escaped(reason)),
        _ => word(&entry["outcome"]["result"]),
    };
    [
        format!("{} ago", short((now - at).max(0.0))),
        who,
        word(&entry["act"]["what"]),
        word(&entry["product"]),
        result,
        more(&entry["act"]),
    ]
}

/// What else is known of an act: its fields, by name.
fn more(act: &Value) -> String {
    let field = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        _ if name == "what" => None,
        Value::String(text) => Some(format!("{name}={}", escaped(text))),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(format!("{name}={}", escaped(&value.to_string())))
        }
    };
    let fields: Vec<_> = act.as_object().into_iter().flatten().filter_map(field).collect();
    fields.join(" ")
}
