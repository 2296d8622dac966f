//! `sidenote offers list`: the decisions of a running host.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use sidenote_terminal::output::{self, escaped};

use crate::client::{Client, HostArgs};
use crate::when::utc;

/// How often a host that is followed is asked.
const EVERY: Duration = Duration::from_secs(1);

/// What `offers list` takes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this session only
    #[arg(long, value_name = "ID", requires = "product")]
    session: Option<String>,
    /// The session's product
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// Continue with new decisions, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Each decision as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// Runs the command.
pub(super) async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = args.host.client()?;
    output::say(&format!("asking the host at {}", client.url()));
    let mut told = HashSet::new();
    loop {
        let mut decisions = match (&args.product, &args.session) {
            (Some(product), Some(session)) => of_session(&client, product, session).await?,
            (product, _) => of_all(&client, product.as_deref()).await?,
        };
        decisions.retain(|decision| told.insert(decision.to_string()));
        decisions.sort_by(|a, b| at(a).total_cmp(&at(b)));
        for decision in &decisions {
            output::data(&if args.json { decision.to_string() } else { line(decision) })?;
        }
        if !args.follow {
            if told.is_empty() {
                output::say("nothing was decided lately");
            }
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn of_session(client: &Client, product: &str, session: &str) -> anyhow::Result<Vec<Value>> {
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["sessions", product, session, "help"]);
    }
    let answer: Value = client.get(url.path(), &[]).await?;
    named(&answer)
}

async fn of_all(client: &Client, product: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let (mut decisions, mut after) = (Vec::new(), Vec::new());
    loop {
        let answer: Value = client.get("/offers", &after).await?;
        let sessions = answer["sessions"].as_array();
        for session in sessions.context("the host doesn't say what was decided")? {
            if product.is_none_or(|product| session["product_id"] == product) {
                decisions.extend(named(session)?);
            }
        }
        let next = |name: &str| answer["next"][name].as_str().map(str::to_owned);
        let (Some(product), Some(session)) = (next("after_product"), next("after_session")) else {
            return Ok(decisions);
        };
        after = vec![("after_product", product), ("after_session", session)];
    }
}

/// The decisions of a session, each with its names.
fn named(session: &Value) -> anyhow::Result<Vec<Value>> {
    let decisions = session["decisions"].as_array();
    let decisions = decisions.context("the host doesn't say what was decided")?.iter().cloned();
    let named = decisions.map(|mut decision| {
        decision["product_id"] = session["product_id"].clone();
        decision["session_id"] = session["session_id"].clone();
        decision
    });
    Ok(named.collect())
}

fn at(decision: &Value) -> f64 {
    decision["at"].as_f64().unwrap_or_default()
}

/// A decision as a line: when, of whom, by which trigger, what, why.
pub(super) fn line(decision: &Value) -> String {
    let text = |name: &str| escaped(decision[name].as_str().unwrap_or_default());
    let when = utc(at(decision));
    let mut line = format!(
        "{when}  {}/{}  {}  {}",
        text("product_id"),
        text("session_id"),
        text("trigger"),
        text("decision")
    );
    if decision["made"] == json!(false) {
        line.push_str(" (refused)");
    }
    if let Some(times) = decision["times"].as_u64().filter(|times| *times > 1) {
        line.push_str(&format!(", {times} times"));
    }
    if let Some(until) = decision["until"].as_f64() {
        line.push_str(&format!(", until {}", utc(until)));
    }
    if !text("failure").is_empty() {
        line.push_str(&format!(": {}", text("failure")));
    }
    line
}
