//! `sidenote init`: six questions, and a configuration that works, with its secrets in files beside it; all of it or nothing.

mod answers;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use sidenote::config::Config;
use sidenote_terminal::output;

use self::answers::{Answers, Kept};
use crate::placed::Placed;

/// Where secrets go, beside the configuration.
const SECRETS: &str = "secrets";

/// What `init` takes.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The configuration to write; an existing file isn't overwritten
    #[arg(value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    file: PathBuf,
    /// The product's id at the connector
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// The connector's stream; without it, the connector pushes its events
    #[arg(long, value_name = "URL")]
    stream: Option<String>,
    /// The connector pushes its events: there is no stream
    #[arg(long, conflicts_with = "stream")]
    pushed: bool,
    /// The stream's token, or with --pushed the connector's signing secret: env:VARIABLE,
    /// file:PATH, or - for the first line of stdin. With --pushed the default is a new secret
    #[arg(long, value_name = "SOURCE")]
    connector_secret: Option<String>,
    /// The bot that notes are posted to; without it they are written to standard output
    #[arg(long, value_name = "URL")]
    bot: Option<String>,
    /// The folder with webhook.wasm and console.wasm
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The address that the host listens on
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The written files, as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Asks what the command line doesn't say, where somebody sits at a terminal, and writes the files.
pub(super) fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let file = &args.file;
    if file.symlink_metadata().is_ok() {
        bail!(
            "{} is there, and isn't replaced: name another file, or move it away",
            file.display()
        );
    }
    let answers = Answers::gather(args)?;
    let mut placed = Placed::default();
    let put = put_all(&mut placed, file, &answers);
    let checked = put.and_then(|()| {
        Config::load(file).map(drop).context("what was answered makes no configuration that works")
    });
    if let Err(error) = checked {
        placed.undo();
        return Err(error.context("nothing was written; everything is as it was"));
    }
    placed.keep();
    let made: Vec<_> = answers.files().map(|(name, _)| secrets_of(file).join(name)).collect();
    if args.json {
        output::data(&json!({"file": file, "secrets": made}).to_string())?;
    }
    output::say(&format!(
        "{} is written, with {} secrets in files beside it",
        file.display(),
        made.len()
    ));
    let shown = file.display();
    output::say(&format!(
        "next: sidenote check --config {shown}, then sidenote run --config {shown}"
    ));
    if answers.is_pushed() {
        output::say(&format!(
            "the connector pushes to POST /ingest/{}, signed with what is in {}",
            answers.product,
            match &answers.connector {
                Some(Kept::Made(_)) | None =>
                    secrets_of(file).join(answers::CONNECTOR).display().to_string(),
                Some(Kept::Env(name)) => name.clone(),
                Some(Kept::File(path)) => path.clone(),
            }
        ));
    }
    output::say("another platform: sidenote plugin add FILE.wasm");
    Ok(ExitCode::SUCCESS)
}

fn put_all(placed: &mut Placed, file: &Path, answers: &Answers) -> anyhow::Result<()> {
    let secrets = secrets_of(file);
    placed.folder(&secrets, 0o700)?;
    for (name, secret) in answers.files() {
        placed.file(&secrets.join(name), secret.expose().as_bytes(), 0o600)?;
    }
    placed.file(file, text::of(answers).as_bytes(), 0o644)
}

fn secrets_of(file: &Path) -> PathBuf {
    file.with_file_name(SECRETS)
}
