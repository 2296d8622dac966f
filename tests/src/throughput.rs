//! How much a host takes from the stream to the platform, and how late notes come.
//!
//! The connector and the platform are in this process. Every action is known by its marker: the platform says
//! what is lost, doubled or out of order, and how late notes came.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sidenote::clock::{Clock, Timestamp};
use sidenote_sim::{
    ConnectorOptions, Event, Keep, Marker, Opening, PlatformOptions, TallyOptions, Totals,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::acting::Person;
use crate::rig::{Rig, Setup};
use crate::store_kind::StoreKind;
use crate::vitals;

/// A load to be put on a host.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the components are; those of `cargo xtask guests` by default.
    pub components: Option<PathBuf>,
    /// Where the host keeps its rows.
    pub store: StoreKind,
    /// Where the host runs.
    pub host: Place,
    /// People who act at the same time, each in a session with a conversation of its own.
    pub sessions: u32,
    /// Actions per second; 0 for as many as the host takes.
    pub rate: u64,
    /// How long actions are sent, at most.
    pub time: Duration,
    /// So many events of each session, where that is said; else as many as there is time for.
    pub events: Option<u32>,
    /// Whether people open their conversations when all is sent, instead of before.
    pub linked_after: bool,
    /// Actions in one event of the stream.
    pub batch: u32,
    /// Actions of one note at most; with 1, every action is a note at once.
    pub note_actions: usize,
    /// Calls of the plugin at the same time.
    pub concurrency: u32,
    /// How long the platform takes over a note.
    pub platform_takes: Duration,
    /// Whether what people did lately is kept for those who ask.
    pub context: bool,
    /// What is looked for in it, where it is kept.
    pub triggers: Triggers,
}

/// Triggers that look at every batch. Those that never hit have what they cost be all that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triggers {
    /// No help is offered.
    None,
    /// A ping-pong, a dwell time and a playbook.
    BuiltIn,
    /// One that a component says, the guest `echo`.
    Wasm,
    /// One that hits in every session at once, with [`CROWD_OFFERS`] offers a minute.
    Crowd,
}

/// So many offers a minute are made to a crowd that all want one.
pub const CROWD_OFFERS: u64 = 60;

/// Where a host runs.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this process.
    Here,
    /// In a process of its own, `sidenote run`.
    Process,
    /// In a process of its own, the program `taker`, which tells what it counts.
    Taker(PathBuf),
    /// No host at all: the program `peer`, which does the same job by hand.
    Peer(PathBuf),
}

/// The run is over when nothing arrived for this long.
const STANDSTILL: Duration = Duration::from_secs(20);
/// The product that everybody uses.
const PRODUCT: &str = "p";
/// Links made at the same time.
const LINKS: usize = 64;
/// The host's default for the actions of one note.
pub const NOTE_ACTIONS: usize = 100;
/// The host's default for the actions of a note that waits for its turn.
const GATHERED_ACTIONS: usize = 500;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Actions sent.
    pub emitted: u64,
    /// How long it took to link everybody.
    pub linked_in: Duration,
    /// How long actions were sent.
    pub sent_in: Duration,
    /// From the first action sent to the last one arrived.
    pub arrived_in: Duration,
    /// What arrived.
    pub totals: Totals,
    /// The longest time without an arrival, from the first one to the last.
    pub longest_pause: Duration,
    /// How late notes came after they were due: median, 99th percentile, latest.
    pub late: [Duration; 3],
    /// Notes sent twice and recognised by their key.
    pub repeats: u64,
    /// Offers that arrived.
    pub offers: u64,
    /// Commits of the host's store, where the host tells.
    pub commits: Option<u64>,
    /// How often triggers were evaluated, and how many offers were refused, where the host tells.
    pub triggers: Option<(u64, u64)>,
    /// Processor time of the host's process; where it is this one, the simulators' is in it.
    pub host_cpu: Option<Duration>,
    /// Processor time of this process.
    pub own_cpu: Option<Duration>,
    /// Processor time of the whole machine, other programs included.
    pub machine_cpu: Option<Duration>,
    /// The largest resident size of the host's process, in bytes.
    pub peak_memory: Option<u64>,
}

/// Puts the load on a host of its own and waits until everything has arrived, or nothing comes any more.
///
/// # Errors
/// When people can't be linked.
///
/// # Panics
/// When something doesn't start or stop.
pub async fn run(load: &Load) -> Result<Outcome> {
    let mut rig = Rig::start(setup(load)).await;
    let mut feed = matches!(load.host, Place::Taker(_)).then(|| rig.feed());
    let rig = Arc::new(rig);
    let names: Vec<String> = (0..load.sessions).map(|i| format!("s{i}")).collect();
    let linking = Instant::now();
    if !load.linked_after {
        link(&rig, load, &names).await?;
    }
    let linked_in = linking.elapsed();

    let process = rig.host_process();
    let before = (vitals::cpu_time(process), vitals::cpu_time(None), vitals::machine_time());
    let watch = Watch::begin(&rig);
    let mut began = Instant::now();
    let emitted = emit(&rig, load, &names).await;
    let sent_in = began.elapsed();
    if load.linked_after {
        // What was queued last is read and stored by then.
        sleep(Duration::from_secs(2)).await;
        began = Instant::now();
        link(&rig, load, &names).await?;
    }
    let arrived_in = arrive(&rig, emitted, began).await;
    let longest_pause = watch.end().await;
    let used = |after: Option<Duration>, before: Option<Duration>| {
        after.zip(before).map(|(after, before)| after.saturating_sub(before))
    };
    let host_cpu = used(vitals::cpu_time(process), before.0);
    let own_cpu = used(vitals::cpu_time(None), before.1);
    let machine_cpu = used(vitals::machine_time(), before.2);
    let counters: HashMap<String, u64> = match (&mut feed, &load.host) {
        (Some(feed), _) => feed.counters().await,
        (None, Place::Here) => {
            serde_json::from_value(serde_json::to_value(rig.host().counters())?)?
        }
        (None, Place::Process | Place::Taker(_) | Place::Peer(_)) => HashMap::new(),
    };
    let count = |name: &str| counters.get(name).copied();
    let outcome = Outcome {
        emitted,
        linked_in,
        sent_in,
        arrived_in,
        totals: rig.platform.tally(|tally| tally.totals()),
        longest_pause,
        late: rig.platform.tally(|tally| {
            let late = tally.lateness();
            [50.0, 99.0, 100.0].map(|percent| late.percentile(percent))
        }),
        repeats: rig.platform.stats().repeats,
        offers: rig.platform.stats().messages,
        commits: count("commits"),
        triggers: count("triggers_evaluated").zip(count("offers_refused")),
        host_cpu,
        own_cpu,
        machine_cpu,
        peak_memory: vitals::peak_resident(process),
    };
    // A taker ends with its feed.
    drop(feed);
    let rig = Arc::into_inner(rig).context("load: a task still holds the rig")?;
    rig.stop().await;
    Ok(outcome)
}

impl Outcome {
    /// Actions that never arrived.
    pub fn lost(&self) -> u64 {
        self.emitted.saturating_sub(self.totals.distinct())
    }

    /// Actions that arrived in a second.
    pub fn actions_per_second(&self) -> f64 {
        self.per_second(self.totals.distinct() as f64)
    }

    /// Notes that arrived in a second.
    pub fn notes_per_second(&self) -> f64 {
        self.per_second(self.totals.notes as f64)
    }

    /// The host's processor time for a note, where that is known.
    pub fn cost_of_a_note(&self) -> Option<Duration> {
        Some(self.host_cpu?.div_f64((self.totals.notes as f64).max(1.0)))
    }

    /// So much, by the time that everything took.
    pub fn per_second(&self, count: f64) -> f64 {
        count / self.arrived_in.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// # Errors
    /// When something was lost, out of order or in a foreign note.
    pub fn check(&self) -> Result<()> {
        let Totals { out_of_order, misplaced, unjudged, .. } = self.totals;
        let lost = self.lost();
        if lost + out_of_order + misplaced + unjudged > 0 {
            bail!(
                "load: {lost} lost, {out_of_order} out of order, {misplaced} misplaced, {unjudged} unjudged"
            );
        }
        Ok(())
    }
}

fn setup(load: &Load) -> Setup {
    let tally = TallyOptions {
        max_note_actions: load.note_actions,
        max_sessions: load.sessions as usize,
        ..TallyOptions::default()
    };
    let platform = PlatformOptions {
        keep: Keep::Tally,
        max_conversations: load.sessions as usize,
        keys_per_conversation: 8,
        answers_after: load.platform_takes,
        tally,
        ..PlatformOptions::default()
    };
    Setup {
        store: load.store.clone(),
        process: matches!(load.host, Place::Process),
        taker: match &load.host {
            Place::Taker(taker) => Some(taker.clone()),
            Place::Here | Place::Process | Place::Peer(_) => None,
        },
        peer: match &load.host {
            Place::Peer(peer) => Some(peer.clone()),
            Place::Here | Place::Process | Place::Taker(_) => None,
        },
        components: load.components.clone(),
        limits: format!("concurrency = {}", load.concurrency),
        store_keys: match &load.store {
            // What an earlier run left there isn't this one's.
            StoreKind::Redis { .. } => {
                format!("namespace = \"bench-{:08x}\"", rand::random::<u32>())
            }
            StoreKind::Memory | StoreKind::Embedded => String::new(),
        },
        delivery: format!(
            "max_note_actions = {}\nmax_gathered_actions = {}",
            load.note_actions,
            if load.note_actions == NOTE_ACTIONS { GATHERED_ACTIONS } else { load.note_actions }
        ),
        tables: tables(load),
        messages: load.triggers != Triggers::None,
        files: if load.triggers == Triggers::Wasm { &["guest_echo.wasm"] } else { &[] },
        platform,
        // A short queue: actions that wait for the host are sent late, not counted as late.
        connector: ConnectorOptions { queued_events: 16, ..ConnectorOptions::default() },
        ..Setup::default()
    }
}

fn tables(load: &Load) -> String {
    let context = if load.context { "[context]\nenabled = true\n" } else { "" };
    let triggers = match load.triggers {
        Triggers::None => "",
        Triggers::BuiltIn => BUILT_IN,
        Triggers::Wasm => WASM,
        Triggers::Crowd => CROWD,
    };
    format!("{context}{triggers}")
}

/// Everybody stays on one page, which is none of these, and not for so long.
const BUILT_IN: &str = r#"
[products.p.offers]

[[products.p.offers.triggers]]
id = "back-and-forth"
kind = "ping-pong"
mode = "instant"
text = "Shall I help?"

[[products.p.offers.triggers]]
id = "long"
kind = "page-dwell"
mode = "instant"
text = "Shall I help?"
threshold = "24h"

[[products.p.offers.triggers]]
id = "elsewhere"
kind = "section-playbook"
mode = "instant"
sections = [{ prefix = "https://app.example.com/projects", id = "projects" }]
[products.p.offers.triggers.playbook]
projects = "Shall I help?"
"#;

/// Everybody is in this section.
const CROWD: &str = r#"
[products.p.offers]
per_product_minute = 60

[[products.p.offers.triggers]]
id = "here"
kind = "section-playbook"
mode = "instant"
sections = [{ prefix = "https://app.example.com/documents", id = "documents" }]
[products.p.offers.triggers.playbook]
documents = "Shall I help?"
"#;

/// The component is asked first; nobody stays for so long, so that what it says is never offered.
const WASM: &str = r#"
[plugins.echo]
file = "guest_echo.wasm"

[products.p.offers]

[[products.p.offers.triggers]]
id = "echo"
kind = "plugin"
plugin = "echo"
mode = "instant"
alone = false

[[products.p.offers.triggers]]
id = "long"
kind = "page-dwell"
mode = "instant"
threshold = "24h"
alone = false

[[products.p.offers.triggers]]
id = "both"
kind = "criteria"
mode = "instant"
text = "Shall I help?"
criteria = { operator = "AND", conditions = [{ type = "echo" }, { type = "long" }] }
"#;

/// Opens a conversation for everybody, by webhook; where nobody is to have written, by the host's own address: whoever
/// wrote is offered nothing for a while.
async fn link(rig: &Arc<Rig>, load: &Load, names: &[String]) -> Result<()> {
    let quietly = load.triggers != Triggers::None;
    let mut links = JoinSet::new();
    for name in names {
        if links.len() >= LINKS {
            finished(links.join_next().await)?;
        }
        let rig = rig.clone();
        if quietly {
            let person = Person::new(PRODUCT, name);
            links.spawn(async move {
                let conversation = rig.conversation(&person);
                rig.link(&person, &conversation).await;
                Ok(conversation)
            });
        } else {
            let opening = Opening::session(PRODUCT, name);
            links.spawn(async move { rig.platform.open(opening).await });
        }
    }
    while !links.is_empty() {
        finished(links.join_next().await)?;
    }
    Ok(())
}

type Opened = Result<String, sidenote_sim::WebhookError>;

fn finished(joined: Option<Result<Opened, tokio::task::JoinError>>) -> Result<()> {
    if let Some(opened) = joined {
        opened.context("load: a link's task failed")?.context("load: a webhook wasn't taken")?;
    }
    Ok(())
}

/// Sends actions, one batch of everybody after the other, until the time is up; how many.
async fn emit(rig: &Rig, load: &Load, names: &[String]) -> u64 {
    let clock = Clock::system();
    let began = Instant::now();
    let (mut emitted, batch) = (0, u64::from(load.batch));
    for round in 0..load.events.map_or(u64::MAX, u64::from) {
        for name in names {
            if began.elapsed() >= load.time {
                return emitted;
            }
            if load.rate > 0 {
                sleep_until(began + Duration::from_secs_f64(emitted as f64 / load.rate as f64))
                    .await;
            }
            rig.emit_event(event(name, round * batch, batch, clock.now())).await;
            emitted += batch;
        }
    }
    emitted
}

/// A batch as the connector would send it. Written by hand: a serialiser would be a good part of the load.
fn event(session: &str, first: u64, count: u64, now: Timestamp) -> Event {
    let mut json = String::with_capacity(200 + count as usize * 320);
    let at = now.as_secs_f64();
    let mut write = |text: std::fmt::Arguments<'_>| {
        json.write_fmt(text).expect("writing to a String can't fail");
    };
    write(format_args!(
        r#"{{"type":"actions","product_id":"{PRODUCT}","session_id":"{session}","user_id":"u-{session}","email":"{session}@example.com","actions":["#
    ));
    for index in 0..count {
        let marker = Marker { session, n: first + index, emitted: Some(now) };
        let comma = if index == 0 { "" } else { "," };
        write(format_args!(
            r#"{comma}{{"title":"Clicked a button","description":"{marker} clicked on Save in the editor","canonical_url":"https://app.example.com/documents/:id/edit","index":{index},"type":"click","timestamp_start":{at:.3},"timestamp_end":{at:.3},"raw_url":"https://app.example.com/documents/4711/edit"}}"#
        ));
    }
    write(format_args!(r#"],"count":{count},"forwarded_at":{at:.3}}}"#));
    Event::data(json)
}

/// Looks for a time in which nothing arrives.
struct Watch {
    longest: JoinSet<Duration>,
    ended: Arc<AtomicBool>,
}

impl Watch {
    fn begin(rig: &Arc<Rig>) -> Self {
        let (rig, ended, mut longest) =
            (rig.clone(), Arc::new(AtomicBool::new(false)), JoinSet::new());
        let until = ended.clone();
        longest.spawn(async move {
            let count = || rig.platform.tally(|tally| tally.totals().arrived);
            let (none, mut longest, mut last) = (count(), Duration::ZERO, None);
            let mut before = none;
            while !until.load(Relaxed) {
                let (arrived, now) = (count(), Instant::now());
                if arrived != before {
                    let pause = last.replace(now).map_or(Duration::ZERO, |last| now - last);
                    (before, longest) = (arrived, longest.max(pause));
                }
                sleep(Duration::from_millis(5)).await;
            }
            longest
        });
        Self { longest, ended }
    }

    async fn end(mut self) -> Duration {
        self.ended.store(true, Relaxed);
        self.longest.join_next().await.and_then(Result::ok).expect("it only counts")
    }
}

/// Waits until everything has arrived, or nothing comes any more; how long after `began` the last came.
async fn arrive(rig: &Rig, emitted: u64, began: Instant) -> Duration {
    let mut arrived = rig.platform.tally(|tally| tally.totals().arrived);
    let mut last = Instant::now();
    while rig.platform.tally(|tally| tally.totals().distinct()) < emitted {
        if last.elapsed() > STANDSTILL {
            break;
        }
        sleep(Duration::from_millis(5)).await;
        let before =
            std::mem::replace(&mut arrived, rig.platform.tally(|tally| tally.totals().arrived));
        if arrived != before {
            last = Instant::now();
        }
    }
    last.duration_since(began)
}
