//! `sidenote plugin kv`: what a plugin keeps under keys; removes it where that is wanted.

use std::fmt::Write as _;

use anyhow::bail;
use clap::Args;
use serde::{Deserialize, Serialize};
use sidenote::engine::kv::KvListing;
use sidenote_terminal::output::{self, escaped};

use crate::client::{Client, HostArgs};

/// What `plugin kv` takes.
#[derive(Debug, Args)]
pub(crate) struct KvArgs {
    /// The plugin, as [plugins.NAME] of the configuration calls it, or called it
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// At most so many keys
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// The keys behind this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// Show the values too; they may be anything
    #[arg(long)]
    values: bool,
    /// Remove all of it, but for what it keeps of sessions, which goes with them; needs --yes
    #[arg(long, conflicts_with_all = ["limit", "after", "values"])]
    clear: bool,
    /// Really remove it: it can't be brought back
    #[arg(long, requires = "clear")]
    yes: bool,
    /// The answer as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
struct Cleared {
    plugin: String,
    removed: u64,
}

/// Shows or removes it.
pub(super) async fn kv(args: KvArgs) -> anyhow::Result<()> {
    let client = args.host.client()?;
    let path = path(&client, &args.name);
    if args.clear {
        return clear(&client, &path, &args).await;
    }
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.after.clone().map(|after| ("after", after)));
    if args.values {
        query.push(("values", "true".to_owned()));
    }
    let listing: KvListing = client.get(&path, &query).await?;
    if args.json {
        return output::data(&serde_json::to_string(&listing)?);
    }
    let name = escaped(&args.name);
    output::say(&format!(
        "{name} keeps {} keys, {} bytes; what it keeps of sessions is theirs and isn't counted",
        listing.keys, listing.bytes
    ));
    for entry in &listing.listed {
        let mut line = format!("{:>8}  {}", entry.bytes, escaped(&entry.key));
        if let Some(value) = &entry.value {
            write!(line, " = {}", escaped(value))?;
        } else if let Some(base64) = &entry.base64 {
            write!(line, " = base64 {}", escaped(base64))?;
        }
        output::data(&line)?;
    }
    if let Some(next) = &listing.next {
        output::say(&format!("there are more: --after {}", escaped(next)));
    }
    Ok(())
}

async fn clear(client: &Client, path: &str, args: &KvArgs) -> anyhow::Result<()> {
    let name = escaped(&args.name);
    if !args.yes {
        let query = [("limit", "1".to_owned())];
        let there: KvListing = client.get(path, &query).await?;
        bail!("{} keys of {name} would be removed, for good; add --yes to do it", there.keys);
    }
    let cleared: Cleared = client.delete(path).await?;
    if args.json {
        output::data(&serde_json::to_string(&cleared)?)?;
    }
    output::say(&format!(
        "{} values of {name} are removed; the audit log says who did it",
        cleared.removed
    ));
    Ok(())
}

fn path(client: &Client, name: &str) -> String {
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["plugins", name, "kv"]);
    }
    url.path().to_owned()
}
