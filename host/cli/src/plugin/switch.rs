//! `sidenote plugin disable` and `plugin enable`: a person has a plugin not called, or called again.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sidenote::http::DisabledPlugin;
use sidenote_terminal::output::{self, escaped};

use crate::client::HostArgs;

/// What `plugin disable` takes.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    /// The reason, for others; at most 200 characters, and nothing about people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    host: HostArgs,
    /// The response as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// What `plugin enable` takes.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// The response as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// How it stands now.
#[derive(Serialize, Deserialize)]
struct Switched {
    plugin: String,
    changed: bool,
    disabled: Option<DisabledPlugin>,
}

/// Has a plugin not called any more.
pub(super) async fn disable(args: DisableArgs) -> anyhow::Result<()> {
    let DisableArgs { name, reason, host, json } = args;
    let switched = ask(&host, &name, "disable", &json!({ "reason": reason })).await?;
    told(&switched, json)?;
    let name = escaped(&name);
    output::say(&match switched.changed {
        true => format!(
            "{name} isn't called any more, a restart or a reload changes nothing of that; what is for it waits, and its webhooks are answered 503. `sidenote plugin enable {name}` has it called again"
        ),
        false => format!("{name} was disabled already, and is"),
    });
    Ok(())
}

/// Has a plugin called again.
pub(super) async fn enable(args: EnableArgs) -> anyhow::Result<()> {
    let EnableArgs { name, host, json } = args;
    let switched = ask(&host, &name, "enable", &json!({})).await?;
    told(&switched, json)?;
    let name = escaped(&name);
    output::say(&match switched.changed {
        true => format!("{name} is called again; what waits goes out in its order"),
        false => format!("{name} wasn't disabled; `sidenote plugin list` shows how it is"),
    });
    Ok(())
}

async fn ask(
    host: &HostArgs,
    name: &str,
    what: &str,
    body: &serde_json::Value,
) -> anyhow::Result<Switched> {
    let client = host.client()?;
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["plugins", name, what]);
    }
    client.post(url.path(), body).await
}

fn told(switched: &Switched, as_json: bool) -> anyhow::Result<()> {
    if as_json { output::data(&serde_json::to_string(switched)?) } else { Ok(()) }
}
