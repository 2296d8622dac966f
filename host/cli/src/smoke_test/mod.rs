//! `sidenote smoke-test`: a connector's stream in three lines.

pub(crate) mod probe;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use serde_json::json;
use sidenote_terminal::{exit, output};

use self::probe::Trouble;

/// What `smoke-test` takes.
#[derive(Args)]
pub(crate) struct SmokeTestArgs {
    /// The stream's URL, for example https://connector.example.com/stream/PRODUCT
    #[arg(long, value_parser = web_address)]
    url: Url,
    /// The stream's bearer token; set it in the environment, because others can see a command line
    #[arg(long, env = "SIDENOTE_STREAM_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How long to wait for the connection, and then for the first payload
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The steps as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

impl std::fmt::Debug for SmokeTestArgs {
    /// The token and the address, whose query may be a token, are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmokeTestArgs").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

/// Connects, waits for a payload and looks at its session id. Prints three lines, or one object, whatever happens.
pub(super) async fn smoke_test(args: SmokeTestArgs) -> anyhow::Result<ExitCode> {
    let payload = format!(": first payload within {} s", args.seconds);
    let names =
        [("connection", ""), ("heartbeat", payload.as_str()), ("session_id", " is not empty")];
    let (passed, trouble) = match steps(&args).await {
        Ok(()) => (names.len(), None),
        Err((passed, trouble)) => (passed, Some(trouble)),
    };
    if args.json {
        let step = |(step, (name, _)): (usize, (&str, &str))| {
            let failed = trouble.as_ref().filter(|_| step == passed).map(ToString::to_string);
            json!({ "step": name, "tried": step <= passed, "passed": step < passed, "trouble": failed })
        };
        let steps: Vec<_> = names.into_iter().enumerate().map(step).collect();
        output::data(&json!({ "passed": trouble.is_none(), "steps": steps }).to_string())?;
        return Ok(exit::done_if(trouble.is_none()));
    }
    for (step, (name, promise)) in names.into_iter().enumerate() {
        output::data(&match &trouble {
            Some(trouble) if step == passed => format!("✗ {name}: {trouble}"),
            Some(_) if step > passed => format!("- {name}: not tried"),
            Some(_) | None => format!("✓ {name}{promise}"),
        })?;
    }
    Ok(exit::done_if(trouble.is_none()))
}

/// Takes the steps; an error comes with the number of those that passed.
async fn steps(args: &SmokeTestArgs) -> Result<(), (usize, Trouble)> {
    let patience = Duration::from_secs(args.seconds);
    let response = probe::connect(&args.url, args.token.as_deref(), patience)
        .await
        .map_err(|trouble| (0, trouble))?;
    let payload = probe::first_payload(response, patience).await.map_err(|trouble| (1, trouble))?;
    probe::session_id(&payload).map_err(|trouble| (2, trouble))
}

fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("it must begin with https:// or http://".to_owned())
    }
}
