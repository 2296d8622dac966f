//! `sidenote reload`: a running host reads its configuration again.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sidenote::config::{Changes, Plan};
use sidenote::http::{Reload, ReloadOutcome, ReloadRefusal, Reloads};
use sidenote_terminal::{exit, output};

use super::client::{Client, HostArgs};

/// How often a host is asked that still works on it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What `reload` takes.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Only show the result of the last reload
    #[arg(long)]
    last: bool,
    /// The result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Has a running host read its configuration again, and says what was swapped, or why nothing was.
pub(super) async fn reload(args: ReloadArgs) -> anyhow::Result<ExitCode> {
    let client = args.host.client()?;
    let reload = if args.last { reloads(&client).await?.last } else { Some(ask(&client).await?) };
    if args.json {
        output::data(&json!(reload).to_string())?;
    }
    match reload {
        Some(reload) => Ok(say(reload)),
        None => {
            output::say("nothing was reloaded since the host started");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Has a host read its configuration again, and says what came of it.
pub(crate) async fn have_read(client: &Client) -> anyhow::Result<ExitCode> {
    Ok(say(ask(client).await?))
}

fn say(reload: Reload) -> ExitCode {
    match reload.outcome {
        ReloadOutcome::Applied { changes } => {
            output::say(&format!("reloaded: {}", told(&changes)));
            ExitCode::SUCCESS
        }
        ReloadOutcome::Unchanged => {
            output::say("nothing to reload: the configuration is the one that is in force");
            ExitCode::SUCCESS
        }
        ReloadOutcome::Refused(refusal) => {
            let ReloadRefusal { code, .. } = &refusal;
            output::say(&format!("refused, and nothing was swapped:\n{refusal}\n{}", code.next()));
            exit::NOT_DONE
        }
    }
}

async fn reloads(client: &Client) -> anyhow::Result<Reloads> {
    client.get("/reload", &[]).await
}

async fn ask(client: &Client) -> anyhow::Result<Reload> {
    let mut said = client.post_told("/reload", "reload").await?;
    if said["result"] == "under_way" {
        output::say("it takes its time: a plugin is being compiled");
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Reloads { last, under_way, .. } = reloads(client).await?;
            if let (Some(last), false) = (last, under_way) {
                return Ok(last);
            }
        }
    }
    // Beside the error, where it is refused.
    let reload = if said["reload"].is_null() { said } else { said["reload"].take() };
    serde_json::from_value(reload)
        .context("the answer can't be read; is the host of another version of sidenote?")
}

/// `plugins bot added, old removed; tables llm`.
fn told(changes: &Plan) -> String {
    let Plan { plugins, products, streams, tables } = changes;
    let kinds = [("plugins", plugins), ("products", products), ("streams", streams)];
    let mut told: Vec<_> = kinds
        .into_iter()
        .filter(|(_, changes)| !changes.is_empty())
        .map(|(kind, changes)| format!("{kind} {}", listed(changes)))
        .collect();
    if !tables.is_empty() {
        let tables: Vec<_> = tables.iter().map(|table| format!("[{table}]")).collect();
        told.push(tables.join(", "));
    }
    told.join("; ")
}

fn listed(changes: &Changes) -> String {
    let Changes { added, changed, removed } = changes;
    let kinds = [(added, "added"), (changed, "changed"), (removed, "removed")];
    let all = kinds.iter().flat_map(|(names, what)| names.iter().map(move |name| (name, what)));
    all.map(|(name, what)| format!("{name} {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_swapped_is_told_by_kind_and_name() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let changes = Plan {
            plugins: Changes { added: names(&["b", "c"]), ..Changes::default() },
            products: Changes::default(),
            streams: Changes {
                changed: names(&["s"]),
                removed: names(&["t"]),
                ..Changes::default()
            },
            tables: names(&["llm", "context"]),
        };
        assert_eq!(
            told(&changes),
            "plugins b added, c added; streams s changed, t removed; [llm], [context]"
        );
    }
}
