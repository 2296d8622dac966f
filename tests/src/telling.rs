//! How much a host accepts through a source's plugin, and what that costs beside the connector's stream with the same
//! actions. Nobody has opened a conversation: what is measured ends with the commit.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sidenote::clock::{Clock, Timestamp};
use sidenote_sim::{ConnectorOptions, Event};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::process::Feed;
use crate::rig::{Rig, Setup};
use crate::store_kind::StoreKind;
use crate::vitals;

/// What is told, and to which host.
#[derive(Debug, Clone)]
pub struct Telling {
    /// The program `taker`.
    pub taker: PathBuf,
    /// Where the components are; those of `cargo xtask guests` by default.
    pub components: Option<PathBuf>,
    /// Where the host keeps its rows.
    pub store: StoreKind,
    /// People who act at the same time, each in a session.
    pub sessions: u64,
    /// Actions of a session that come together: an event of the stream.
    pub batch: u64,
    /// Events in one body.
    pub body: u64,
    /// Requests at the same time.
    pub senders: u64,
    /// How long it is told.
    pub time: Duration,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ToldFigures {
    /// Events that were accepted.
    pub events: u64,
    /// In a second.
    pub events_per_second: f64,
    /// Processor time of the host for one, in microseconds.
    pub micros_per_event: f64,
    /// Processors that the host used.
    pub host_cores: f64,
    /// Processors that whoever tells it used.
    pub own_cores: f64,
    /// Commits in a second.
    pub commits_per_second: f64,
    /// The largest resident size of the host, in MiB.
    pub peak: f64,
}

const PRODUCT: &str = "p";
const KEY: &str = "pk_of_the_benchmark";
/// Nothing is accepted for so long: the run is over.
const STANDSTILL: Duration = Duration::from_secs(20);

/// Tells it to the plugin `events`, in lines of JSON over real sockets.
///
/// # Errors
/// Something was refused.
///
/// # Panics
/// When something doesn't start or stop.
pub async fn through_source(telling: &Telling) -> Result<ToldFigures> {
    let tables = format!(
        r#"
[plugins.events.limits]
concurrency = 16
[plugins.events.source]
max_requests = 1000000
max_bytes = "1GiB"
[plugins.events.source.keys.bench]
key = "{KEY}"
product = "{PRODUCT}"
"#
    );
    let mut rig = Rig::start(Setup { tables, files: &["events.wasm"], ..setup(telling) }).await;
    let feed = rig.feed();
    // Whatever is asked: a client isn't made without.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = Arc::<str>::from(rig.url("/sources/events"));
    // Until its plugin is compiled.
    let first = line(&Named { session: 0, number: 0 }, Clock::system().now());
    timeout(STANDSTILL * 3, tell(&client, &url, first)).await.context("it isn't accepted")??;
    let measure = Measure::begin(&rig, feed).await;
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..telling.senders {
        let (client, url, next) = (client.clone(), url.clone(), next.clone());
        let (telling, until) = (telling.clone(), measure.began + telling.time);
        senders.spawn(async move {
            let mut told = 0;
            while Instant::now() < until {
                let body = body(&telling, next.fetch_add(1, Relaxed), Clock::system().now());
                tell(&client, &url, body).await?;
                told += telling.body;
            }
            anyhow::Ok(told)
        });
    }
    let mut told = 0;
    while let Some(sender) = senders.join_next().await {
        told += sender.context("a sender failed")??;
    }
    let figures = measure.end(&rig, told).await?;
    rig.stop().await;
    Ok(figures)
}

/// Tells the same by the connector's stream.
///
/// # Errors
/// Something wasn't accepted.
///
/// # Panics
/// When something doesn't start or stop.
pub async fn through_stream(telling: &Telling) -> Result<ToldFigures> {
    let connector = ConnectorOptions { queued_events: 16, ..ConnectorOptions::default() };
    let mut rig = Rig::start(Setup { connector, ..setup(telling) }).await;
    let feed = rig.feed();
    let measure = Measure::begin(&rig, feed).await;
    let mut told = 0;
    for number in 0.. {
        if measure.began.elapsed() >= telling.time {
            break;
        }
        let (session, round) = (number % telling.sessions, number / telling.sessions);
        let event = event(session, round * telling.batch, telling.batch, Clock::system().now());
        rig.emit_event(event).await;
        told += telling.batch;
    }
    let figures = measure.end(&rig, told).await?;
    rig.stop().await;
    Ok(figures)
}

fn setup(telling: &Telling) -> Setup {
    Setup {
        store: telling.store.clone(),
        taker: Some(telling.taker.clone()),
        components: telling.components.clone(),
        ..Setup::default()
    }
}

/// A measurement under way.
pub(crate) struct Measure {
    began: Instant,
    feed: Feed,
    accepted: u64,
    commits: u64,
    host: Option<Duration>,
    own: Option<Duration>,
}

impl Measure {
    pub(crate) async fn begin(rig: &Rig, mut feed: Feed) -> Self {
        let counters = feed.counters().await;
        Self {
            accepted: counters["actions_accepted"],
            commits: counters["commits"],
            host: vitals::cpu_time(rig.host_process()),
            own: vitals::cpu_time(None),
            began: Instant::now(),
            feed,
        }
    }

    /// Waits until so many are accepted.
    async fn end(mut self, rig: &Rig, told: u64) -> Result<ToldFigures> {
        let (mut before, mut last) = (0, Instant::now());
        let counters = loop {
            let counters = self.feed.counters().await;
            let accepted = counters["actions_accepted"] - self.accepted;
            if accepted >= told {
                ensure!(accepted == told, "{accepted} were accepted of {told}");
                break counters;
            }
            if accepted > before {
                (before, last) = (accepted, Instant::now());
            }
            ensure!(last.elapsed() < STANDSTILL, "{accepted} were accepted of {told}");
            sleep(Duration::from_millis(10)).await;
        };
        let took = self.began.elapsed().as_secs_f64();
        let used = |after: Option<Duration>, before: Option<Duration>| {
            let used = after.zip(before).map(|(after, before)| after.saturating_sub(before));
            used.context("processor times can't be read here").map(|it| it.as_secs_f64())
        };
        let host = used(vitals::cpu_time(rig.host_process()), self.host)?;
        let own = used(vitals::cpu_time(None), self.own)?;
        let events = told as f64;
        Ok(ToldFigures {
            events: told,
            events_per_second: events / took,
            micros_per_event: host * 1e6 / events.max(1.0),
            host_cores: host / took,
            own_cores: own / took,
            commits_per_second: (counters["commits"] - self.commits) as f64 / took,
            peak: vitals::peak_resident(rig.host_process()).unwrap_or_default() as f64
                / f64::from(1 << 20),
        })
    }
}

/// Sends a body until it is accepted: a host that has too much says when to come again.
async fn tell(client: &reqwest::Client, url: &str, body: String) -> Result<()> {
    loop {
        let request = client.post(url).header("x-sidenote-key", KEY).body(body.clone());
        let answer = request.send().await?;
        match answer.status().as_u16() {
            200 => {
                let answer: serde_json::Value = answer.json().await?;
                ensure!(answer["refused"] == 0, "{answer}");
                return Ok(());
            }
            503 => sleep(Duration::from_millis(50)).await,
            other => anyhow::bail!("{other} is answered"),
        }
    }
}

/// An action of a session.
struct Named {
    session: u64,
    number: u64,
}

/// Lines of JSON: of each session as many events as come together on the stream.
fn body(telling: &Telling, number: u64, now: Timestamp) -> String {
    let mut lines = String::with_capacity(telling.body as usize * 300);
    for event in 0..telling.body {
        let nth = (number * telling.body + event) / telling.batch;
        let session = nth % telling.sessions;
        let number = nth / telling.sessions * telling.batch + event % telling.batch;
        lines.push_str(&line(&Named { session, number }, now));
    }
    lines
}

/// An event as `events` reads it. Written by hand: a serialiser would be a good part of the load.
fn line(Named { session, number }: &Named, now: Timestamp) -> String {
    format!(
        "{{\"id\":\"e-{session}-{number}-{at}\",\"kind\":\"click\",\"title\":\"Clicked a button\",\"description\":\"Step {number}: clicked on Save in the editor\",\"url\":\"https://app.example.com/documents/4711/edit\",\"session\":\"s{session}\",\"user\":\"u-s{session}\",\"email\":\"s{session}@example.com\",\"at\":{at:.3}}}\n",
        at = now.as_secs_f64()
    )
}

/// The same as the connector sends it.
pub(crate) fn event(session: u64, first: u64, count: u64, now: Timestamp) -> Event {
    let mut json = String::with_capacity(200 + count as usize * 320);
    let at = now.as_secs_f64();
    let mut write = |text: std::fmt::Arguments<'_>| {
        json.write_fmt(text).expect("writing to a String can't fail");
    };
    write(format_args!(
        r#"{{"type":"actions","product_id":"{PRODUCT}","session_id":"s{session}","user_id":"u-s{session}","email":"s{session}@example.com","actions":["#
    ));
    for index in 0..count {
        let (number, comma) = (first + index, if index == 0 { "" } else { "," });
        write(format_args!(
            r#"{comma}{{"title":"Clicked a button","description":"Step {number}: clicked on Save in the editor","canonical_url":"https://app.example.com/documents/:id/edit","index":{index},"type":"click","timestamp_start":{at:.3},"timestamp_end":{at:.3},"raw_url":"https://app.example.com/documents/4711/edit"}}"#
        ));
    }
    write(format_args!(r#"],"count":{count},"forwarded_at":{at:.3}}}"#));
    Event::data(json)
}
