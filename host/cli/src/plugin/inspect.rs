//! `sidenote plugin inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use sidenote::plugin::manifest::settings;
use sidenote::plugin::{Compiler, InspectError, Inspection, Manifest};
use sidenote_terminal::{about, exit, output};

/// Names of a group that are shown; `--json` has more.
const SHOWN: usize = 24;

/// What `plugin inspect` takes.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Inspects a component. Success where this host would take it.
pub(super) async fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let compiler = Compiler::of_this_program().context("the program's own file can't be told")?;
    let inspection = match sidenote::plugin::inspect_by(compiler, &args.file).await {
        Ok(inspection) => inspection,
        Err(InspectError::Read(error)) => return Err(about(&args.file, error)),
        Err(error) => return Err(error.into()),
    };
    let text = if args.json { serde_json::to_string(&inspection)? } else { shown(&inspection) };
    output::data(&text)?;
    Ok(exit::done_if(inspection.refused.is_none()))
}

fn shown(inspection: &Inspection) -> String {
    let mut page = Page::default();
    page.line("file", &format!("{}, {} bytes", inspection.file, inspection.size));
    page.line("sha256", &inspection.sha256);
    let exports = &inspection.exports;
    page.line("exports", &listed(&exports.known));
    if !exports.unknown.is_empty() {
        page.line("", &format!("unknown: {}", listed(&exports.unknown)));
    }
    let imports = &inspection.imports;
    page.line("imports", &listed(&imports.sidenote));
    page.line("", &format!("WASI: {}", listed(&imports.wasi)));
    if !imports.other.is_empty() {
        page.line("", &format!("that no host has: {}", listed(&imports.other)));
    }
    match &inspection.manifest {
        Some(manifest) => manifest_lines(&mut page, manifest),
        None => page.line("manifest", "none"),
    }
    page.line(
        "verdict",
        &match &inspection.refused {
            None => "this host takes it".to_owned(),
            Some(why) => format!("this host doesn't take it: {why}"),
        },
    );
    if inspection.refused.is_none() {
        page.text.push_str(
            "\nTo use it, put it into the plugins folder and this into the configuration:\n\n",
        );
        page.text.push_str(inspection.toml.trim_end());
    }
    page.text.trim_end().to_owned()
}

fn manifest_lines(page: &mut Page, manifest: &Manifest) {
    page.line("manifest", &format!("{} {}", manifest.name, manifest.version));
    if !manifest.description.is_empty() {
        page.line("", &manifest.description);
    }
    page.line("", &format!("asks to reach: {}", asked(&manifest.hosts)));
    for (name, ask) in &manifest.secrets {
        let optional = if ask.optional { ", optional" } else { "" };
        let about = if ask.description.is_empty() {
            String::new()
        } else {
            format!(": {}", ask.description)
        };
        let goes = match &*ask.hosts {
            [] => "never leaves the host".to_owned(),
            hosts => format!("goes to {}", asked(hosts)),
        };
        page.line("", &format!("secret {name}{optional}, {goes}{about}"));
    }
    for setting in settings(manifest) {
        page.line("", &setting);
    }
}

fn asked(hosts: &[String]) -> String {
    let shown = |host: &String| match host.as_str() {
        "*" => "any host that you name".to_owned(),
        host => host.to_owned(),
    };
    listed(&hosts.iter().map(shown).collect::<Vec<_>>())
}

fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len() - shown.len() {
        0 if names.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Lines with a label before the first of a group.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, label: &str, words: &str) {
        writeln!(self.text, "{label:<10}{words}").expect("text can always be added to a string");
    }
}
