//! `sidenote stream record`: what a connector sends, in a file, with people's data masked.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use futures_util::StreamExt;
use reqwest::Url;
use sidenote::clock::Clock;
use sidenote::config::{Config, Stream, parse_duration};
use sidenote::stream::recording::{Header, MAX_EVENTS, Recorded};
use sidenote_terminal::{Unusable, exit, output};

use super::file::{Recording, Written};
use super::mask::Mask;
use crate::events::events;
use crate::smoke_test::probe;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The pause before a connector is asked again that ended its answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What `stream record` takes.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The file to write, a line of JSON for each event; only its owner may read it
    file: PathBuf,
    /// The configuration. Of its secrets only the streams' tokens are read
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// The stream's name, as in [streams.NAME] of the configuration; required if there are several
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// End after this time, for example 10m; by default with Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    lasts: Option<Duration>,
    /// End after this number of events
    #[arg(long, value_name = "N", default_value_t = MAX_EVENTS, value_parser = clap::value_parser!(u64).range(1..=MAX_EVENTS))]
    events: u64,
    /// Don't mask product ids; everything else is masked
    #[arg(long)]
    keep_products: bool,
    /// Mask nothing: the file contains people's data
    #[arg(long, conflicts_with = "keep_products")]
    no_mask: bool,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// Records until enough came, the time is over, or Ctrl-C.
pub(super) async fn record(args: RecordArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load_for_streams(&args.config)?;
    let (name, stream) = chosen(&config, args.stream.as_deref())?;
    let clock = Clock::system();
    let header = Header::new(&*name, clock.now().as_secs_f64(), !args.no_mask, args.keep_products);
    let mask = (!args.no_mask).then(|| Mask::new(args.keep_products));
    // Who can't be reached leaves no file behind.
    let url: Url = stream.url.parse().context("the stream's address can't be used")?;
    let token = stream.token.as_ref().map(|token| token.expose());
    let first = probe::connect(&url, token, CONNECT).await;
    let first = first.map_err(|trouble| anyhow!("stream {name}: {trouble}"))?;
    let file = Recording::create(&args.file, args.force, &header)?;
    output::say(&format!(
        "recording the stream {name} into {}; Ctrl-C ends it",
        args.file.display()
    ));
    if args.no_mask {
        output::say(
            "nothing is masked: the file holds people's data; keep it as you keep theirs, and remove it when it has served",
        );
    }
    let mut recorder = Recorder {
        file,
        mask,
        clock,
        began: clock.now(),
        most: args.events,
        written: 0,
        left_out: 0,
    };
    let over = async {
        match args.lasts {
            Some(lasts) => tokio::time::sleep(lasts).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        recorded = recorder.record(first, &url, token, stream.idle_timeout) => recorded?,
        () = over => {}
        stopped = tokio::signal::ctrl_c() => stopped.context("can't listen for Ctrl-C")?,
    }
    recorder.say(&args);
    Ok(exit::done_if(recorder.written > 0))
}

/// The stream that is meant.
fn chosen(config: &Config, named: Option<&str>) -> anyhow::Result<(String, Stream)> {
    let names: Vec<_> = config.streams.keys().map(ToString::to_string).collect();
    let refused = |message: String| Err(Unusable(message).into());
    let found = |name: &str| {
        let found = config.streams.iter().find(|(key, _)| *key == name);
        found.map(|(key, stream)| (key.to_string(), stream.clone()))
    };
    match (named, &names[..]) {
        (Some(name), _) => match found(name) {
            Some(found) => Ok(found),
            None => refused(format!(
                "there is no stream {name:?} in the configuration; there is: {}",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            )),
        },
        (None, [only]) => Ok(found(only).expect("it is one of them")),
        (None, []) => refused("the configuration has no stream to connect to: its events are pushed, and nobody can be asked for those; have the connector push to a program of yours, or record where a stream is".to_owned()),
        (None, _) => refused(format!("there are several streams; name one with --stream: {}", names.join(", "))),
    }
}

struct Recorder {
    file: Recording,
    mask: Option<Mask>,
    clock: Clock,
    began: sidenote::clock::Timestamp,
    most: u64,
    written: u64,
    left_out: u64,
}

impl Recorder {
    /// Writes what comes until there is enough, and connects again where the connector ends its answer.
    async fn record(
        &mut self,
        first: reqwest::Response,
        url: &Url,
        token: Option<&str>,
        silence: Duration,
    ) -> anyhow::Result<()> {
        let mut answer = Some(first);
        loop {
            if let Some(answer) = answer.take() {
                let mut events = pin!(events(answer, silence));
                let why = loop {
                    match events.next().await {
                        Some(Ok(event)) => {
                            if !self.write(&event.event, &event.data)? {
                                return Ok(());
                            }
                        }
                        Some(Err(broken)) => break broken.to_string(),
                        None => break "it ended its answer".to_owned(),
                    }
                };
                output::say(&format!(
                    "the connector went away ({why}); what it sends until it is back is missing"
                ));
            }
            tokio::time::sleep(PAUSE).await;
            match probe::connect(url, token, CONNECT).await {
                Ok(again) => {
                    output::say("the connector is back");
                    answer = Some(again);
                }
                Err(trouble) if trouble.is_refusal() => return Err(anyhow!("{trouble}")),
                Err(_) => {}
            }
        }
    }

    /// Writes one event. `false`: no further one is to be.
    fn write(&mut self, name: &str, data: &str) -> anyhow::Result<bool> {
        let (event, data) = match &self.mask {
            Some(mask) => (mask.name(name), mask.data(data)),
            None => (name.to_owned(), data.to_owned()),
        };
        let at_ms = self.clock.now().since(self.began).as_millis();
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        match self.file.add(&Recorded { at_ms, event, data })? {
            Written::Whole => self.written += 1,
            Written::LeftOut => self.left_out += 1,
            Written::Full => {
                output::say("the recording is as long as it may be");
                return Ok(false);
            }
        }
        Ok(self.written < self.most)
    }

    fn say(&self, args: &RecordArgs) {
        let masked = if self.mask.is_some() { "masked" } else { "as they came" };
        let Self { written, left_out, .. } = self;
        output::say(&format!("{written} events in {}, {masked}", args.file.display()));
        if *left_out > 0 {
            output::say(&format!("{left_out} were too long and are left out"));
        }
    }
}
