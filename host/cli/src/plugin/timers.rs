//! `sidenote plugin timers`: the timers that a plugin set and that aren't due; removes them where that is wanted.

use std::fmt::Write as _;

use anyhow::bail;
use clap::Args;
use serde::{Deserialize, Serialize};
use sidenote::engine::timers::TimerListing;
use sidenote_terminal::output::{self, escaped};

use crate::client::{Client, HostArgs};
use crate::when::utc;

/// What `plugin timers` takes.
#[derive(Debug, Args)]
pub(crate) struct TimersArgs {
    /// The plugin, as [plugins.NAME] of the configuration calls it, or called it
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// At most so many timers
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// The timers behind this place: what the answer before ended with
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Show the payloads too; they may be anything
    #[arg(long)]
    payloads: bool,
    /// Remove all that aren't due; needs --yes
    #[arg(long, conflicts_with_all = ["limit", "after", "payloads"])]
    remove: bool,
    /// Really remove them: they can't be brought back
    #[arg(long, requires = "remove")]
    yes: bool,
    /// The answer as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
struct Removed {
    plugin: String,
    removed: u64,
}

/// Shows or removes them.
pub(super) async fn timers(args: TimersArgs) -> anyhow::Result<()> {
    let client = args.host.client()?;
    let path = path(&client, &args.name);
    if args.remove {
        return remove(&client, &path, &args).await;
    }
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.after.clone().map(|after| ("after", after)));
    if args.payloads {
        query.push(("payloads", "true".to_owned()));
    }
    let listing: TimerListing = client.get(&path, &query).await?;
    if args.json {
        return output::data(&serde_json::to_string(&listing)?);
    }
    output::say(&format!("{} has {} timers that aren't due", escaped(&args.name), listing.timers));
    for timer in &listing.listed {
        let id = format!("{}/{}", timer.product.as_str(), timer.session.as_str());
        let mut line = format!("{}  {}  {}", utc(timer.at), escaped(&id), escaped(&timer.name));
        if let Some(payload) = &timer.payload {
            write!(line, " = {}", escaped(payload))?;
        } else if let Some(base64) = &timer.base64 {
            write!(line, " = base64 {}", escaped(base64))?;
        }
        output::data(&line)?;
    }
    if let Some(next) = listing.next {
        output::say(&format!("there may be more: --after {}", escaped(&String::from(next))));
    }
    Ok(())
}

async fn remove(client: &Client, path: &str, args: &TimersArgs) -> anyhow::Result<()> {
    let name = escaped(&args.name);
    if !args.yes {
        let query = [("limit", "1".to_owned())];
        let there: TimerListing = client.get(path, &query).await?;
        bail!("{} timers of {name} would be removed, for good; add --yes to do it", there.timers);
    }
    let removed: Removed = client.delete(path).await?;
    if args.json {
        output::data(&serde_json::to_string(&removed)?)?;
    }
    output::say(&format!(
        "{} timers of {name} are removed; the audit log says who did it",
        removed.removed
    ));
    Ok(())
}

fn path(client: &Client, name: &str) -> String {
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["plugins", name, "timers"]);
    }
    url.path().to_owned()
}
