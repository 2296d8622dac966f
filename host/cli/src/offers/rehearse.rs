//! `sidenote offers try`: recorded events through the triggers and the gate of a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::config::Config;
use sidenote::engine::{self, Settings};
use sidenote::http::decision_json;
use sidenote::ids::PluginName;
use sidenote::offering::ask_plugin;
use sidenote::offering::rehearsal::{AskPlugin, Links, Rehearsal, Step};
use sidenote::plugin::{Compiler, Registry, TrialKv, TriggerContext};
use sidenote::session::payload::{Payload, parse_event};
use sidenote::session::turn::Meaning;
use sidenote::triggers::Answer;
use sidenote_terminal::output;

use super::list::line;

/// Longest line of a recording, in bytes.
const LONGEST: usize = 16 << 20;

/// What `offers try` takes.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The recording: a JSON object on each line, an event as the stream sends it, with `at`
    /// (seconds since 1970) or its own `forwarded_at`; or what happened in the session's
    /// conversation, as {"at": 1.0, "product_id": "p", "session_id": "s", "happened":
    /// "person_wrote", "text": "Yes"}; or the link of a session, as {"at": 1.0, "product_id": "p",
    /// "session_id": "s", "linked": "conversation-1"}, with a "plugin" where it isn't the product's
    /// first one. Without a recorded link, every session counts as linked from its first event on
    file: PathBuf,
    /// The configuration, with the triggers and the limits
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// The judge's answer to every request
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
pub(super) async fn rehearse(args: TryArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let settings = engine::settings(&config);
    let offers = settings.products().any(|product| settings.offers(product).is_some());
    if !offers {
        bail!(
            "{} offers no help in any product; add [products.ID.offers] with its triggers",
            args.config.display()
        );
    }
    let ask = plugins(&config, &settings).await?;
    // It reads files and waits for plugins.
    tokio::task::spawn_blocking(move || play(&args, settings, ask)).await?
}

/// Loads the plugins that triggers rest on, as a host does.
async fn plugins(config: &Config, settings: &Settings) -> anyhow::Result<Box<AskPlugin>> {
    let of_product = |id| settings.product(id).map(|product| product.triggers.clone());
    let triggers: Vec<_> = settings.products().filter_map(of_product).collect();
    let wanted: BTreeSet<_> = triggers.iter().flat_map(|triggers| triggers.plugins()).collect();
    let configured = config.plugins.iter().filter(|(name, _)| wanted.contains(name));
    let configured: BTreeMap<_, _> = configured.map(|(n, it)| (n.clone(), it.clone())).collect();
    if configured.is_empty() {
        return Ok(Box::new(|plugin: &PluginName, _: &TriggerContext| {
            Answer::Failed(format!("no plugin is called `{plugin}`"))
        }));
    }
    let compiler = Compiler::of_this_program().context("the program's own file can't be told")?;
    let compiler = compiler.within(config.compile.clone());
    let registry = match Registry::load_of(compiler, config, &configured).await {
        Ok(registry) => registry.with_store(TrialKv::default().store()),
        Err(error) => {
            let why = error.to_string();
            return Ok(Box::new(move |_: &PluginName, _: &TriggerContext| {
                Answer::Failed(why.clone())
            }));
        }
    };
    let runtime = tokio::runtime::Handle::current();
    Ok(Box::new(move |plugin: &PluginName, about: &TriggerContext| {
        runtime.block_on(ask_plugin(&registry, plugin, about))
    }))
}

fn play(args: &TryArgs, settings: Settings, ask: Box<AskPlugin>) -> anyhow::Result<ExitCode> {
    let links = if has_links(&args.file)? { Links::Recorded } else { Links::Assumed };
    if links == Links::Assumed {
        output::say("no link is recorded: every session counts as linked from its first event on");
    }
    let mut rehearsal = Rehearsal::new(settings, args.judge == Judge::Yes, links, ask);
    let mut unusable = 0_u64;
    for (n, text) in lines(&args.file)?.enumerate() {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        if let Err(error) = step(&mut rehearsal, &text) {
            unusable += 1;
            output::say(&format!("{}:{}: left out: {error:#}", args.file.display(), n + 1));
        }
        tell(&mut rehearsal, args.json)?;
    }
    for (trigger, times, why) in rehearsal.failures() {
        output::say(&format!("the trigger `{trigger}` failed {times} times, the last time: {why}"));
    }
    if unusable > 0 {
        output::say(&format!("{unusable} lines were left out"));
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(file: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<String>>> {
    let unreadable = format!("{} can't be read", file.display());
    let lines = BufReader::new(std::fs::File::open(file).context(unreadable.clone())?).lines();
    Ok(lines.map(move |line| line.with_context(|| unreadable.clone())))
}

/// Whether the recording says of any session where it was linked to.
fn has_links(file: &Path) -> anyhow::Result<bool> {
    for line in lines(file)? {
        // Most lines are long and have none.
        let line = line?;
        let is_link = |line: &str| {
            let value = serde_json::from_str::<Value>(line);
            value.is_ok_and(|value| value.get("linked").is_some())
        };
        if line.contains("\"linked\"") && line.len() <= LONGEST && is_link(&line) {
            return Ok(true);
        }
    }
    Ok(false)
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
    if let Some(linked) = value.get("linked") {
        let conversation = linked.as_str().context("linked must be the id of a conversation")?;
        let text = |name: &str| value[name].as_str();
        let key = rehearsal.key(text("product_id").unwrap_or_default(), text("session_id"))?;
        let (plugin, conversation) =
            (text("plugin").map(PluginName::from), conversation.to_owned());
        let at = at.unwrap_or(rehearsal.now());
        return Ok(rehearsal.step(at, Step::Link { key, plugin, conversation })?);
    }
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
