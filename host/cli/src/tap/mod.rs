//! `sidenote tap`: what happens in a running host, a line each, until Ctrl-C.

mod line;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use reqwest::Response;
use serde_json::Value;
use sidenote_terminal::output::{self, Reader};

use super::client::{Busy, Client, HostArgs, Unreached};
use super::events::events;

/// A host says something at least every 15 s. One that is silent for so long isn't there any more.
const SILENCE: Duration = Duration::from_secs(50);

/// Pauses before a host that went away is asked again: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(8)];

/// What `tap` takes.
#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Only sessions of this product
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// Only this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only this plugin
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Only these kinds, separated by commas; default: all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<Kind>,
    /// Print the titles of actions too. The host sends them only to the bearer of its token
    #[arg(long)]
    show_text: bool,
    /// A JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

/// A kind of what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Events that are accepted
    Events,
    /// Notes that are sealed
    Notes,
    /// Attempts that begin and end, and dead letters
    Attempts,
    /// Sessions that are linked
    Links,
    /// Offers of help
    Offers,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Notes => "notes",
            Self::Attempts => "attempts",
            Self::Links => "links",
            Self::Offers => "offers",
        }
    }
}

impl TapArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let given =
            [("product", &self.product), ("session", &self.session), ("plugin", &self.plugin)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let only: Vec<_> = self.only.iter().map(|kind| kind.word()).collect();
        given.chain((!only.is_empty()).then(|| ("only", only.join(",")))).collect()
    }

    fn path(&self) -> &'static str {
        if self.show_text { "/tap/text" } else { "/tap" }
    }
}

/// Shows what happens until Ctrl-C, or until nobody reads it any more.
pub(super) async fn tap(args: TapArgs) -> anyhow::Result<ExitCode> {
    let client = args.host.client()?;
    output::say(&format!("following the host at {}; Ctrl-C ends it", client.url()));
    tokio::select! {
        followed = follow(&client, &args) => followed?,
        stopped = tokio::signal::ctrl_c() => stopped.context("can't listen for Ctrl-C")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Follows a host, and again where it went away. Ends when nobody reads.
async fn follow(client: &Client, args: &TapArgs) -> anyhow::Result<()> {
    let query = args.query();
    // Who was never there isn't waited for.
    let mut answer = client.follow(args.path(), &query).await?;
    loop {
        let ended = match show(answer, args.json).await? {
            Shown::Unread => return Ok(()),
            Shown::Ended(why) => why,
        };
        output::say(&format!("the host went away ({ended}); asking again until it is back"));
        answer = again(client, args.path(), &query).await?;
        output::say("the host is back; what happened meanwhile isn't shown");
    }
}

/// Asks until the host answers.
async fn again(client: &Client, path: &str, query: &[(&str, String)]) -> anyhow::Result<Response> {
    let [mut pause, longest] = PAUSES;
    let mut told = String::new();
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
        match client.follow(path, query).await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is::<Unreached>() || error.is::<Busy>() => {
                let why = format!("{error:#}");
                if why != told {
                    output::say(&format!("still waiting: {why}"));
                    told = why;
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// How an answer ended.
enum Shown {
    /// Nobody reads what is shown.
    Unread,
    /// The host ended it.
    Ended(String),
}

async fn show(answer: Response, json: bool) -> anyhow::Result<Shown> {
    let mut events = pin!(events(answer, SILENCE));
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(broken) => return Ok(Shown::Ended(broken.to_string())),
        };
        let value: Value = serde_json::from_str(&event.data)
            .context("what answers isn't a host of this version: it tells no JSON")?;
        let line = if json { value.to_string() } else { line::of(&value) };
        if output::data_read(&line)? == Reader::Gone {
            return Ok(Shown::Unread);
        }
    }
    Ok(Shown::Ended("it ended its answer".to_owned()))
}
