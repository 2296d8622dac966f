//! `sidenote offers try`: recorded events through the triggers and the gate of a configuration.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::config::Config;
use sidenote::engine;
use sidenote::http::decision_json;
use sidenote::offering::rehearsal::{Rehearsal, Step};
use sidenote::session::payload::{Payload, parse_event};
use sidenote::session::turn::Meaning;
use sidenote_terminal::output;

use super::list::line;

/// Longest line of a recording, in bytes.
const LONGEST: usize = 16 << 20;

/// What `offers try` takes.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The recording: a JSON object on each line, an event as the stream sends it, with `at` (seconds since
    /// 1970) or its own `forwarded_at`; or what happened in the session's conversation, as {"at": 1.0,
    /// "product_id": "p", "session_id": "s", "happened": "person_wrote", "text": "Yes"}
    file: PathBuf,
    /// The configuration, with the triggers and the limits
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// What the judge says to whatever it would be asked
    #[arg(long, value_enum, default_value_t = Judge::Yes)]
    judge: Judge,
    /// Each decision as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
}

/// What a judge says that isn't asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Judge {
    /// Everything helps.
    Yes,
    /// Nothing does.
    No,
}

/// Runs the command.
pub(super) fn rehearse(args: TryArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let settings = engine::settings(&config);
    let offers = settings.products().any(|product| settings.offers(product).is_some());
    if !offers {
        bail!(
            "{} offers no help in any product; add [products.ID.offers] with its triggers",
            args.config.display()
        );
    }
    let mut rehearsal = Rehearsal::new(settings, args.judge == Judge::Yes);
    let file = std::fs::File::open(&args.file)
        .with_context(|| format!("{} can't be read", args.file.display()))?;
    let mut unusable = 0_u64;
    for (n, text) in BufReader::new(file).lines().enumerate() {
        let text = text.with_context(|| format!("{} can't be read", args.file.display()))?;
        if text.trim().is_empty() {
            continue;
        }
        if let Err(error) = step(&mut rehearsal, &text) {
            unusable += 1;
            output::say(&format!("{}:{}: left out: {error:#}", args.file.display(), n + 1));
        }
        tell(&mut rehearsal, args.json)?;
    }
    for plugin in rehearsal.unasked() {
        output::say(&format!(
            "the triggers of the plugin `{plugin}` weren't evaluated: plugins run in a host only"
        ));
    }
    if unusable > 0 {
        output::say(&format!("{unusable} lines were left out"));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(rehearsal: &mut Rehearsal, as_json: bool) -> anyhow::Result<()> {
    for decided in rehearsal.take_decisions() {
        let mut value = decision_json(&decided.decision);
        value["product_id"] = json!(decided.key.product.as_str());
        value["session_id"] = json!(decided.key.session.as_str());
        output::data(&if as_json { value.to_string() } else { line(&value) })?;
    }
    Ok(())
}

/// Takes one line.
fn step(rehearsal: &mut Rehearsal, text: &str) -> anyhow::Result<()> {
    if text.len() > LONGEST {
        bail!("the line is longer than {} MiB", LONGEST >> 20);
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| anyhow!("it isn't JSON: {error}"))?;
    let at = value["at"].as_f64().map(Timestamp::from_secs_f64);
    if let Some(happened) = value.get("happened") {
        let meaning = happened.as_str().and_then(meaning).context(
            "happened must be person_wrote, person_types, person_reacted, agent_wrote, agent_types, closed or reopened",
        )?;
        let text = |name: &str| value[name].as_str();
        let key = rehearsal.key(text("product_id").unwrap_or_default(), text("session_id"))?;
        let text = text("text").map(str::to_owned);
        let at = at.unwrap_or(rehearsal.now());
        return Ok(rehearsal.step(at, Step::Turn { key, meaning, text })?);
    }
    let payload = parse_event(text).map_err(|error| anyhow!("it is no event: {error}"))?.payload;
    let forwarded_at = match &payload {
        Payload::Actions(batch) => batch.forwarded_at,
        Payload::Summary(summary) => summary.forwarded_at,
    };
    let forwarded_at = (forwarded_at > 0.0).then(|| Timestamp::from_secs_f64(forwarded_at));
    let at = at.or(forwarded_at).context("it says no time; give it `at`, in seconds since 1970")?;
    Ok(rehearsal.step(at, Step::Event(payload))?)
}

fn meaning(word: &str) -> Option<Meaning> {
    Some(match word {
        "person_wrote" => Meaning::PersonWrote,
        "person_types" => Meaning::PersonTypes,
        "person_reacted" => Meaning::PersonReacted,
        "agent_wrote" => Meaning::AgentWrote,
        "agent_types" => Meaning::AgentTypes,
        "closed" => Meaning::Closed,
        "reopened" => Meaning::Reopened,
        _ => return None,
    })
}
