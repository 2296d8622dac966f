//! `sidenote plugin add`: a component into the plugins folder, or the name of one in a registry, and its table into
//! `plugins.d`; all of it or nothing.
//!
//! | file | what |
//! |---|---|
//! | `component` | where the component comes from, whether its signature is right, and what the table says of it |
//! | `answers` | settings, secrets and grants: from the command line, or from whoever sits at the terminal |
//! | `table` | the table file, and what its head says for `plugin remove` |

mod answers;
mod component;
mod table;

use crate::placed::Placed;
pub(super) use table::{Head, secrets_folder};

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use sidenote::config::Config;
use sidenote::plugin::{Compiler, Inspection, signature_file};
use sidenote_terminal::output;

use self::answers::Answers;
use self::component::{Component, Place};
use crate::client::{HostArgs, Presence};
use crate::reload;

/// What `plugin add` takes.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The component: a file, or HOST/REPOSITORY with :TAG or @sha256:DIGEST
    #[arg(value_name = "FILE|REF")]
    subject: String,
    /// Its name in the configuration; default: the file's or the repository's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    host: HostArgs,
    /// A setting; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A secret: NAME=env:VARIABLE, NAME=file:PATH, or NAME=- for the first line of stdin;
    /// repeatable
    #[arg(long, value_name = "NAME=SOURCE")]
    secret: Vec<String>,
    /// Grant the plugin this host; repeatable
    #[arg(long, value_name = "HOST")]
    grant: Vec<String>,
    /// Grant every host that the manifest names
    #[arg(long)]
    grant_all: bool,
    /// Let the plugin keep values between its calls (kv)
    #[arg(long)]
    grant_kv: bool,
    /// Let the plugin set timers (timer)
    #[arg(long)]
    grant_timer: bool,
    /// A product that it serves; repeatable
    #[arg(long, value_name = "ID")]
    product: Vec<String>,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    /// The result as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Adds a plugin.
pub(super) async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.host.config)?;
    let component = Component::fetch(&args.subject, &config).await?;
    let compiler = Compiler::of_this_program().context("the program's own file can't be told")?;
    let inspection = component.inspect(compiler).await?;
    if let Some(why) = &inspection.refused {
        bail!("this host doesn't take {}: {why}", component.told);
    }
    let name = name(&args, &component)?;
    if config.plugins.contains_key(&*name) {
        bail!("there is a plugin {name} already; choose another name with --name");
    }
    component.verify(&config.supply.trusted_keys)?;
    say_manifest(&name, &inspection);
    let answers = Answers::gather(&args, inspection.manifest.as_ref())?;
    let folder = plugins_d(&args.host.config);
    let table_file = folder.join(format!("{name}.toml"));
    if table_file.exists() {
        bail!("{} is there already; move it away, or choose another name", table_file.display());
    }
    let place = component.place(&name, &config.plugins_folder)?;
    let (mine, others): (Vec<_>, Vec<_>) =
        args.product.iter().partition(|id| !config.products.keys().any(|it| it.as_str() == **id));
    let head = Head {
        component: place.as_ref().filter(|place| place.is_new).map(|place| place.name.clone()),
        secrets: answers.made.iter().map(|(secret, _)| secret.clone()).collect(),
    };
    let wants = |import: &str| inspection.imports.sidenote.iter().any(|it| it.starts_with(import));
    if wants("sidenote:plugin/kv@") && !args.grant_kv {
        output::say(
            "it imports kv, to keep something between its calls, and may not: --grant-kv lets it",
        );
    }
    if wants("sidenote:plugin/timer@") && !args.grant_timer {
        output::say("it imports timer, to be called later, and may not: --grant-timer lets it");
    }
    let file = component.written(&name, &inspection.sha256);
    let text = table::text(&name, &file, &answers, &head, &mine);
    if args.dry_run {
        output::say(&format!("{} would be written:", table_file.display()));
        output::data(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut placed = Placed::default();
    let put = put_all(&mut placed, (&folder, &name), (&component, place.as_ref()), &answers, &text);
    if let Err(error) = put.and_then(|()| check(&args.host.config)) {
        placed.undo();
        return Err(error.context("nothing was added; everything is as it was"));
    }
    placed.keep();
    for id in &others {
        output::say(&format!(
            "to have it serve {id}, add \"{name}\" to `plugins` of [products.{id}], where that table stands"
        ));
    }
    if args.json {
        let done = json!({
            "plugin": name,
            "table": table_file,
            "component": place.as_ref().map(|place| &place.file),
            "reference": component.reference(),
            "copied": place.as_ref().is_some_and(|place| place.is_new),
        });
        output::data(&done.to_string())?;
    }
    output::say(&format!("{name} is added: {}", table_file.display()));
    have_read(&args.host).await
}

/// Has the running host read its configuration; says so where none runs.
pub(super) async fn have_read(host: &HostArgs) -> anyhow::Result<ExitCode> {
    let client = host.client()?;
    match client.presence().await {
        Presence::Nobody => {
            output::say("no host runs; it is used from the next start on");
            Ok(ExitCode::SUCCESS)
        }
        Presence::Answers => reload::have_read(&client).await,
    }
}

/// The folder of further tables.
pub(super) fn plugins_d(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join("plugins.d")
}

/// Whether the configuration can be used as it is now.
pub(super) fn check(config: &Path) -> anyhow::Result<()> {
    Config::load(config).map(drop).map_err(Into::into)
}

fn put_all(
    placed: &mut Placed,
    (folder, name): (&Path, &str),
    (component, place): (&Component, Option<&Place>),
    answers: &Answers,
    text: &str,
) -> anyhow::Result<()> {
    if let Some(place) = place.filter(|place| place.is_new) {
        placed.folder(place.file.parent().unwrap_or(Path::new("")), 0o755)?;
        // The signature first: a host that watches the folder reads both when the component is there.
        if let Some(signature) = &component.signature {
            placed.file(&signature_file(&place.file), signature.as_bytes(), 0o644)?;
        }
        placed.file(&place.file, &component.bytes, 0o644)?;
    }
    placed.folder(folder, 0o755)?;
    if !answers.made.is_empty() {
        let secrets = folder.join(table::secrets_folder(name));
        placed.folder(&secrets, 0o700)?;
        for (secret, value) in &answers.made {
            placed.file(&secrets.join(secret), value.expose().as_bytes(), 0o600)?;
        }
    }
    placed.file(&folder.join(format!("{name}.toml")), text.as_bytes(), 0o644)
}

fn name(args: &AddArgs, component: &Component) -> anyhow::Result<String> {
    let name = args.name.clone().unwrap_or_else(|| component.stem.clone());
    let usual = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(usual) {
        bail!(
            "\"{}\" can't be a plugin's name; give one of letters, digits, - and _ with --name",
            output::escaped(&name)
        );
    }
    Ok(name)
}

fn say_manifest(name: &str, inspection: &Inspection) {
    match &inspection.manifest {
        None => {
            output::say(&format!("{name}: the component has no manifest, and asks for nothing"))
        }
        Some(manifest) => output::say(&format!(
            "{name}: {} {}. {}\nit asks to reach: {}",
            output::escaped(&manifest.name),
            output::escaped(&manifest.version),
            output::escaped(&manifest.description),
            if manifest.hosts.is_empty() {
                "nothing".to_owned()
            } else {
                output::escaped(&manifest.hosts.join(", "))
            },
        )),
    }
}
