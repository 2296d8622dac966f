//! `sidenote sources try`: a recorded request through a source's plugin and its words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Config, PluginSource};
use sidenote::ids::PluginName;
use sidenote::plugin::{Compiler, Registry, SourceRequest, TrialKv};
use sidenote::session::payload::ActionsPayload;
use sidenote::sources::rehearsal::{Rehearsed, rehearse, words};
use sidenote::sources::unpacked;
use sidenote_terminal::output;

/// What `sources` does.
#[derive(Debug, Subcommand)]
pub(crate) enum SourcesCommand {
    /// Print the lines of a recorded request, and what is left out and why; send nothing
    Try(TryArgs),
}

/// What `sources try` takes.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The request: a body as it was sent, or an object in JSON with `method`, `path`, `query`, `headers`,
    /// `received_at_ms` and `body_text` or `body_base64`
    file: PathBuf,
    /// The configuration, with the source and its rules
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// The source, if there are several
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Rules instead of the configured ones: a file with the content of [plugins.NAME.source.words]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The path of a body's request, below /sources/NAME
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn sources(command: SourcesCommand) -> anyhow::Result<ExitCode> {
    match command {
        SourcesCommand::Try(args) => try_request(&args).await,
    }
}

async fn try_request(args: &TryArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let (name, mut rules) = chosen(&config, args.source.as_deref(), &args.config)?;
    if let Some(file) = &args.rules {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} can't be read", file.display()))?;
        rules.words = words(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    }
    let request = request(&args.file, &args.path, rules.max_body_bytes)?;
    let registry = registry(&config, &name).await?;
    let tried = rehearse(&registry, &name, &rules, &config.names, &request).await;
    let tried = tried.map_err(|error| anyhow!("{}: {error}", args.file.display()))?;
    tell(&tried, args.json)?;
    let is_refused = tried.key.is_none() && !tried.keyless;
    if is_refused {
        output::say("a host would answer 401: the request has no key of this source");
    }
    Ok(ExitCode::SUCCESS)
}

/// The source that is meant: the one that is named, or the only one.
fn chosen(
    config: &Config,
    named: Option<&str>,
    file: &Path,
) -> anyhow::Result<(PluginName, PluginSource)> {
    let sources = config.plugins.iter();
    let mut sources: BTreeMap<_, _> =
        sources.filter_map(|(name, it)| Some((name.clone(), it.source.clone()?))).collect();
    let there: Vec<_> = sources.keys().map(ToString::to_string).collect();
    let file = file.display();
    match named {
        Some(named) => sources.remove_entry(named).ok_or_else(|| match there.is_empty() {
            true => anyhow!("{file} has no source; add [plugins.{named}.source]"),
            false => anyhow!("{file} has no source `{named}`; it has {}", there.join(", ")),
        }),
        None if sources.len() == 1 => Ok(sources.pop_first().expect("there is one")),
        None if sources.is_empty() => bail!("{file} has no source; add [plugins.NAME.source]"),
        None => bail!("name the source with --source NAME; {file} has {}", there.join(", ")),
    }
}

async fn registry(config: &Config, name: &PluginName) -> anyhow::Result<Registry> {
    let plugin = config.plugins.get(name).expect("it was chosen among them").clone();
    let plugins = BTreeMap::from([(name.clone(), plugin)]);
    let compiler = Compiler::of_this_program().context("the program's own file can't be told")?;
    let compiler = compiler.within(config.compile.clone());
    let registry = Registry::load_of(compiler, config, &plugins).await?;
    Ok(registry.with_store(TrialKv::default().store()))
}

/// The request of a file, unpacked as a host does.
fn request(file: &Path, path: &str, most: usize) -> anyhow::Result<SourceRequest> {
    let bytes = std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let mut request = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(fields)) if is_recorded(&fields) => {
            recorded(&fields).with_context(|| format!("{}", file.display()))?
        }
        Ok(_) | Err(_) => SourceRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: bytes.into(),
            received_at: Clock::system().now(),
        },
    };
    let body = unpacked(request.body, most);
    request.body = body.map_err(|why| anyhow!("{}: {why}", file.display()))?;
    Ok(request)
}

/// Whether an object is a recorded request, and no body of its own.
fn is_recorded(fields: &Map<String, Value>) -> bool {
    let has = |name: &str| fields.get(name).is_some_and(Value::is_string);
    has("method")
        && has("path")
        && ["body_text", "body_base64"].iter().any(|it| fields.contains_key(*it))
}

fn recorded(fields: &Map<String, Value>) -> anyhow::Result<SourceRequest> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let headers = fields.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned())))
        .filter(|(name, _)| name != "cookie")
        .collect();
    let body = match fields.get("body_base64").and_then(Value::as_str) {
        Some(packed) => STANDARD.decode(packed).context("`body_base64` isn't base64")?,
        None => text("body_text").into_bytes(),
    };
    let at = fields.get("received_at_ms").and_then(Value::as_f64);
    let received_at = at
        .map_or_else(|| Clock::system().now(), |millis| Timestamp::from_secs_f64(millis / 1000.0));
    let (method, path, query) = (text("method"), text("path"), text("query"));
    Ok(SourceRequest { method, path, query, headers, body: body.into(), received_at })
}

fn tell(tried: &Rehearsed, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let left_out: Vec<_> = tried
            .left_out
            .iter()
            .map(|(reason, count)| json!({ "reason": reason, "count": count }))
            .collect();
        let told = json!({
            "key": tried.key, "keyless": tried.keyless, "status": tried.status,
            "sessions": tried.sessions.iter().map(session).collect::<Vec<_>>(), "left_out": left_out,
        });
        return output::data(&told.to_string());
    }
    match (&tried.key, tried.keyless) {
        (Some(key), _) => output::say(&format!("the key is `{key}`; answered {}", tried.status)),
        (None, true) => output::say(&format!("it needs no key; answered {}", tried.status)),
        (None, false) => {}
    }
    for batch in &tried.sessions {
        output::data(&heading(batch))?;
        for action in &batch.actions {
            output::data(&format!("  {}", action.description))?;
        }
    }
    if tried.sessions.is_empty() {
        output::say("it becomes no line, and says nothing of anybody");
    }
    for (reason, count) in &tried.left_out {
        output::say(&format!("left out, {count} ×: {reason}"));
    }
    Ok(())
}

fn heading(batch: &ActionsPayload) -> String {
    let session = batch.session_id.as_deref().unwrap_or_default();
    let who = [&batch.user_id, &batch.email].into_iter().flatten().cloned().collect::<Vec<_>>();
    let who = if who.is_empty() { "nobody known".to_owned() } else { who.join(", ") };
    format!("{}/{session} ({who})", batch.product_id)
}

fn session(batch: &ActionsPayload) -> Value {
    let actions: Vec<_> = batch
        .actions
        .iter()
        .map(|action| {
            json!({
                "type": action.kind, "title": action.title, "description": action.description,
                "canonical_url": action.canonical_url, "timestamp_start": action.timestamp_start,
            })
        })
        .collect();
    json!({
        "product_id": batch.product_id, "session_id": batch.session_id, "user_id": batch.user_id,
        "email": batch.email, "conversation_id": batch.conversation_id, "actions": actions,
    })
}
