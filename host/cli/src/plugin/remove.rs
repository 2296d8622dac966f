//! `sidenote plugin remove`: takes away what `plugin add` made, and nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use sidenote::config::Config;
use sidenote::plugin::signature_file;
use sidenote_terminal::{exit, output};

use super::add::{self, Head, secrets_folder};
use crate::client::{HostArgs, Presence};

/// What `plugin remove` takes.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Also if a product uses it; change that product's table afterwards
    #[arg(long)]
    force: bool,
    /// Don't ask for confirmation; required without a terminal
    #[arg(long)]
    yes: bool,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
    /// The removed files as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Removes a plugin.
pub(super) async fn remove(args: RemoveArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.host.config)?;
    let shown = output::escaped(&args.name);
    if !config.plugins.contains_key(&*args.name) {
        bail!("no plugin {shown} is configured; `sidenote plugin list` shows those that are");
    }
    let folder = add::plugins_d(&args.host.config);
    let table = folder.join(format!("{}.toml", args.name));
    let head = std::fs::read_to_string(&table).ok().and_then(|text| Head::of(&text));
    let head = head.with_context(|| {
        format!("`plugin add` didn't write the table [plugins.{shown}]; remove it where it stands, then `sidenote reload`")
    })?;
    let text = std::fs::read_to_string(&table).unwrap_or_default();
    let uses = |id: &str| !text.contains(&format!("[products.\"{id}\"]"));
    let users = config.products.iter().filter(|(id, product)| {
        product.plugins.iter().any(|name| **name == *args.name) && uses(id.as_str())
    });
    let users: Vec<_> = users.map(|(id, _)| id.to_string()).collect();
    if !users.is_empty() && !args.force {
        bail!(
            "{shown} serves {}; take it off `plugins` of that table first, or add --force",
            users.join(", ")
        );
    }
    let gone = files(&config, &args.name, &folder, table, &head);
    say_waiting(&args).await;
    for file in &gone {
        output::say(&format!("to be removed: {}", file.display()));
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        if exit::cannot_ask("removing") {
            return Ok(exit::usage());
        }
        if !exit::is_wanted(&format!("remove {shown}?"), "nothing was removed")? {
            return Ok(exit::NOT_DONE);
        }
    }
    take_away(&args, &gone)?;
    std::fs::remove_dir(folder.join(secrets_folder(&args.name))).ok();
    if args.json {
        output::data(&json!({"plugin": args.name, "removed": gone}).to_string())?;
    }
    output::say(&format!("{shown} is removed"));
    if !users.is_empty() {
        output::say(&format!(
            "take it off `plugins` of {} now: until then the configuration can't be used",
            users.join(", ")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    add::have_read(&args.host).await
}

/// What `add` made: the table first. A component that another plugin uses stays.
fn files(config: &Config, name: &str, folder: &Path, table: PathBuf, head: &Head) -> Vec<PathBuf> {
    let mut gone = vec![table];
    gone.extend(head.secrets.iter().map(|it| folder.join(secrets_folder(name)).join(it)));
    if let Some(file) = &head.component {
        let others = config.plugins.iter().filter(|(other, _)| &***other != name);
        match others.into_iter().any(|(_, plugin)| plugin.file == *file) {
            true => output::say(&format!("{file} stays: another plugin uses it")),
            false => {
                let component = config.plugins_folder.join(file);
                gone.extend([signature_file(&component), component]);
            }
        }
    }
    gone.retain(|file| file.exists());
    gone
}

/// Puts the files aside, looks whether the configuration can be used without them, and only then removes them.
fn take_away(args: &RemoveArgs, gone: &[PathBuf]) -> anyhow::Result<()> {
    let aside = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        file.with_file_name(format!(".{name}.removed"))
    };
    let mut moved = Vec::new();
    let put_aside = gone.iter().try_for_each(|file| {
        std::fs::rename(file, aside(file)).with_context(|| file.display().to_string())?;
        moved.push(file);
        Ok(())
    });
    let checked =
        put_aside.and_then(|()| if args.force { Ok(()) } else { add::check(&args.host.config) });
    if let Err(error) = checked {
        for file in moved {
            std::fs::rename(aside(file), file).with_context(|| file.display().to_string())?;
        }
        return Err(error.context("nothing was removed; everything is as it was"));
    }
    for file in moved {
        std::fs::remove_file(aside(file)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Says what waits for the plugin, where a host can be asked.
async fn say_waiting(args: &RemoveArgs) {
    let Ok(client) = args.host.client() else { return };
    if client.presence().await == Presence::Nobody {
        output::say(
            "no host runs: what waits for it isn't known; `sidenote outbox list --offline` shows it",
        );
        return;
    }
    let query = [("plugin", args.name.clone()), ("limit", "1".to_owned())];
    let Ok(listing) = client.get::<Value>("/outbox", &query).await else { return };
    match listing["entries"].as_array().is_some_and(|entries| entries.is_empty()) {
        true => output::say("nothing waits for it"),
        false => output::say(&format!(
            "something waits for it, which nobody delivers then: `sidenote outbox list --plugin {0}` shows it, `sidenote outbox purge --plugin {0}` removes it",
            output::escaped(&args.name)
        )),
    }
}
