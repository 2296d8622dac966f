//! `sidenote generate`: what shells and readers of manuals get, made from the command line itself, the document of the HTTP
//! API, and the schema of the configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use clap_complete::Shell;
use sidenote_terminal::output;

use crate::help;

/// The program.
const PROGRAM: &str = "sidenote";

/// What is made.
#[derive(Debug, Subcommand)]
pub(crate) enum GenerateCommand {
    /// Generate a shell's completions
    Completions(CompletionsArgs),
    /// Generate the man pages
    Man(ManArgs),
    /// Write the OpenAPI document of the HTTP API, for programs that make clients
    Openapi(OpenapiArgs),
    /// Write the JSON Schema of the configuration, for editors
    ConfigSchema(ConfigSchemaArgs),
}

/// What `generate completions` takes.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// Write a file into this folder, under the name that the shell expects; default: stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `generate man` takes.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder; default: the first page on stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `generate openapi` takes.
#[derive(Debug, Args)]
pub(crate) struct OpenapiArgs {
    /// Write this file; default: stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What `generate config-schema` takes.
#[derive(Debug, Args)]
pub(crate) struct ConfigSchemaArgs {
    /// Write this file; default: stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes what is asked for.
pub(super) fn generate(command: GenerateCommand) -> anyhow::Result<()> {
    match command {
        GenerateCommand::Completions(args) => completions(&args),
        GenerateCommand::Man(args) => man(&args),
        GenerateCommand::Openapi(args) => document(sidenote::http::openapi(), args.out.as_deref()),
        GenerateCommand::ConfigSchema(args) => {
            document(&sidenote::config::schema(), args.out.as_deref())
        }
    }
}

fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut tree = help::tree();
    if let Some(folder) = &args.out {
        made(folder)?;
        let file = clap_complete::generate_to(args.shell, &mut tree, PROGRAM, folder);
        let file = file.with_context(|| not_written(folder))?;
        output::say(&format!("written: {}", file.display()));
        return Ok(());
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree, PROGRAM, &mut script);
    output::data(String::from_utf8(script).context("the completions are no text")?.trim_end())
}

fn man(args: &ManArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.out {
        made(folder)?;
        clap_mangen::generate_to(help::tree(), folder).with_context(|| not_written(folder))?;
        output::say(&format!("written: the pages of {PROGRAM} in {}", folder.display()));
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(help::tree()).render(&mut page).context("the page can't be made")?;
    output::data(String::from_utf8(page).context("the page is no text")?.trim_end())
}

/// Writes a document of JSON into a file, or to stdout.
fn document(document: &serde_json::Value, out: Option<&Path>) -> anyhow::Result<()> {
    let document = format!("{document:#}");
    let Some(file) = out else { return output::data(&document) };
    let written = std::fs::write(file, document + "\n");
    written.with_context(|| {
        format!("{} can't be written; name another file with --out", file.display())
    })?;
    output::say(&format!("written: {}", file.display()));
    Ok(())
}

fn made(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| not_written(folder))
}

fn not_written(folder: &Path) -> String {
    format!("{} can't be written to; name another folder with --out", folder.display())
}
