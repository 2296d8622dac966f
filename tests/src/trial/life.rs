//! A host that lives, is killed and lives again, under load all the time.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sidenote_sim::{Fault, Keep, Live, Marker, Platform, PlatformOptions, Scope};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, Wish};
use super::evidence::{Batch, Evidence, Kill, LinkWish};
use super::judge::{Verdict, judge};
use crate::patience::DEADLINE;
use crate::process::Feed;
use crate::rig::{Rig, Setup};
use crate::store_kind::StoreKind;

/// Windows and pauses as short as they can be, so that every life sees all of it.
const DELIVERY: &str = r#"
debounce = "20ms"
max_wait = "200ms"
retry_initial = "20ms"
retry_max = "200ms"
call_timeout = "500ms"
max_attempts = 1000
"#;

/// A platform that fails often is asked again soon.
const BREAKER: &str = r#"
[plugins.bot.breaker]
pause_initial = "50ms"
pause_max = "200ms"
"#;

/// Most exchanges of which the platform keeps the record.
const EXCHANGES: usize = 1 << 20;
/// Nothing more comes when nothing came for so long.
const STANDSTILL: Duration = Duration::from_secs(20);
/// How often is looked for what is missing.
const LOOK: Duration = Duration::from_millis(200);
/// In milliseconds: between two batches, two links, two troubles, and from a start to the kill.
const BATCHES: std::ops::Range<u64> = 2..16;
const LINKS: std::ops::Range<u64> = 5..60;
const TROUBLES: std::ops::Range<u64> = 10..150;
const LIFE: std::ops::Range<u64> = 30..1200;
/// Of so many kills, one strikes while the host starts.
const STARTING: u32 = 5;

/// What a trial is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the host keeps its rows.
    pub store: StoreKind,
    /// The program `taker`.
    pub taker: PathBuf,
    /// Where the components are; those of `cargo xtask guests` by default.
    pub components: Option<PathBuf>,
    /// How many sessions act at the same time.
    pub sessions: usize,
    /// Decides who acts, what fails and when the host is killed.
    pub seed: u64,
}

/// When a life of the host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// When its time is up, whatever happens then.
    Any,
    /// As soon as it says after that time that it took a batch: what it said too early is lost.
    Taken,
    /// As soon as a note arrives after that time: it can't be on record yet that it did.
    Posted,
}

/// How a life of the host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGKILL.
    Kill,
    /// In good order.
    Stop,
}

/// A trial under way.
pub struct Trial {
    rig: Rig,
    feed: Option<Feed>,
    /// Commands that the host hasn't read yet.
    unread: BytesMut,
    ledger: RefCell<Ledger>,
    rng: StdRng,
    /// How long the host took to start.
    startup: Duration,
    /// Kills that struck while the host started.
    kills_while_starting: usize,
}

/// What was asked for and seen.
struct Ledger {
    crowd: Crowd,
    /// Links to be made, the first one first.
    wishes: VecDeque<Wish>,
    late: Vec<Wish>,
    evidence: Evidence,
    /// The number of the first batch of the evidence.
    base: usize,
    /// Whether the dead letters were told since they were asked for.
    told_dead: bool,
    /// What the host counts, as it told last.
    counters: HashMap<String, u64>,
}

impl Trial {
    /// Starts a connector, a platform and a host, and acts nothing yet.
    ///
    /// # Panics
    /// When something doesn't start.
    pub async fn start(plan: Plan) -> Self {
        let platform = PlatformOptions {
            keep: Keep::Tally,
            exchanges: EXCHANGES,
            max_conversations: 100_000,
            answers_after: Duration::from_millis(2),
            ..PlatformOptions::default()
        };
        let setup = Setup {
            store: plan.store,
            taker: Some(plan.taker),
            components: plan.components,
            delivery: DELIVERY.to_owned(),
            limits: "concurrency = 8".to_owned(),
            tables: BREAKER.to_owned(),
            platform,
            ..Setup::default()
        };
        let began = Instant::now();
        let mut rig = Rig::start(setup).await;
        let startup = began.elapsed();
        let crowd = Crowd::new(plan.sessions, plan.seed);
        let (soon, late) = crowd.wishes(&rig.platform);
        let ledger = Ledger {
            crowd,
            wishes: soon.into(),
            late,
            evidence: Evidence::default(),
            base: 0,
            told_dead: false,
            counters: HashMap::new(),
        };
        Self {
            feed: Some(rig.feed()),
            rig,
            unread: BytesMut::new(),
            ledger: RefCell::new(ledger),
            rng: StdRng::seed_from_u64(plan.seed),
            startup,
            kills_while_starting: 0,
        }
    }

    /// A life of random length, and its kill; one of some while the host starts.
    ///
    /// # Panics
    /// When the host doesn't do as it must.
    pub async fn live_and_be_killed(&mut self) {
        if !self.rig.is_running() && self.rng.random_ratio(1, STARTING) {
            let after = self.startup.mul_f64(self.rng.random_range(0.0..1.1));
            let before = self.rig.platform.now();
            self.rig.kill_while_starting(after).await;
            let after = self.rig.platform.now();
            self.ledger.get_mut().evidence.kills.push(Kill { before, after });
            self.kills_while_starting += 1;
            return;
        }
        let length = Duration::from_millis(self.rng.random_range(LIFE));
        let moments = [Moment::Any, Moment::Taken, Moment::Posted];
        let moment = *moments.choose(&mut self.rng).expect("there are some");
        self.live(length, moment).await;
        self.end_life(End::Kill).await;
    }

    /// Acts for so long, and up to the moment: batches, links, moves and troubles of the platform. Starts
    /// the host if none runs.
    ///
    /// # Panics
    /// When the host ends by itself.
    pub async fn live(&mut self, length: Duration, moment: Moment) {
        self.start_host().await;
        let ledger = self.ledger.get_mut();
        ledger.wishes.extend(ledger.late.pop());
        ledger.wishes.extend(ledger.crowd.moves(&self.rig.platform));
        let mut random = || StdRng::seed_from_u64(self.rng.random());
        let (to_emit, to_link, to_trouble) = (random(), random(), random());
        let Feed { input, output } = self.feed.as_mut().expect("the host runs");
        let (ledger, platform) = (&self.ledger, &self.rig.platform);
        let unread = &mut self.unread;
        let heard = Notify::new();
        let emit = async {
            let mut rng = to_emit;
            loop {
                sleep(pause(&mut rng, BATCHES)).await;
                let command = ledger.borrow_mut().emit(platform);
                unread.extend_from_slice(command.as_bytes());
                // Where this is cut off, what was not written stays.
                input.write_all_buf(unread).await.expect("the host reads until it is killed");
            }
        };
        let hear = async {
            loop {
                let line = output.next_line().await.expect("the host answers in text");
                let line = line.expect("the host runs until it is killed");
                ledger.borrow_mut().hear(&line);
                heard.notify_waiters();
            }
        };
        let the_moment = async {
            sleep(length).await;
            match moment {
                Moment::Any => {}
                Moment::Taken => heard.notified().await,
                Moment::Posted => {
                    let mut live = platform.subscribe();
                    while !matches!(live.recv().await, Ok(Live::Note(_))) {}
                }
            }
        };
        let everything = async {
            let link = link(&self.rig, ledger, to_link);
            let trouble = trouble(platform, to_trouble);
            let (never, ..): (Infallible, Infallible, Infallible, Infallible) =
                tokio::join!(emit, hear, link, trouble);
            never
        };
        tokio::select! {
            never = everything => match never {},
            () = the_moment => {}
        }
    }

    /// Ends the host, and hears what it said to the last.
    ///
    /// # Panics
    /// When a host that is to stop in good order doesn't.
    pub async fn end_life(&mut self, end: End) {
        let Feed { input, mut output } = self.feed.take().expect("the host runs");
        match end {
            End::Kill => {
                let before = self.rig.platform.now();
                self.rig.kill_host().await;
                let after = self.rig.platform.now();
                self.ledger.get_mut().evidence.kills.push(Kill { before, after });
                drop(input);
            }
            End::Stop => {
                let mut input = input;
                input.write_all_buf(&mut self.unread).await.expect("the host reads to the end");
                drop(input);
            }
        }
        self.unread.clear();
        // A line is written at once and is shorter than what a pipe takes at once: no half one is read.
        while let Some(line) = output.next_line().await.expect("the host answers in text") {
            self.ledger.get_mut().hear(&line);
        }
        if end == End::Stop {
            self.rig.stop_host().await;
        }
    }

    /// Heals the platform, waits until all that was taken has arrived or nothing comes any more, stops the
    /// host in good order, and judges.
    ///
    /// # Panics
    /// When the host doesn't stop in good order, or sent what no platform understands.
    pub async fn settle(&mut self) -> Verdict {
        self.start_host().await;
        let ledger = self.ledger.get_mut();
        let late = std::mem::take(&mut ledger.late);
        ledger.wishes.extend(late);
        self.rig.platform.heal();
        let linked = async {
            while !self.ledger.borrow().wishes.is_empty() {
                link_first(&self.rig, &self.ledger).await;
            }
        };
        timeout(DEADLINE, linked).await.expect("every link is made");
        let (mut missing, mut last) = (usize::MAX, Instant::now());
        loop {
            self.ask("dead\n", |ledger| std::mem::take(&mut ledger.told_dead)).await;
            self.ledger.get_mut().evidence.exchanges = self.rig.platform.exchanges();
            let still = self.ledger.get_mut().missing();
            if still == 0 || (still == missing && last.elapsed() > STANDSTILL) {
                break;
            }
            if still != missing {
                (missing, last) = (still, Instant::now());
            }
            sleep(LOOK).await;
        }
        self.end_life(End::Stop).await;
        let stats = self.rig.platform.stats();
        let odd = [
            stats.malformed,
            stats.unsigned,
            stats.unknown_conversation,
            stats.foreign,
            stats.exchanges_forgotten,
        ];
        assert_eq!(odd, [0; 5], "the platform saw what must not be: {stats:?}");
        let ledger = self.ledger.get_mut();
        ledger.evidence.exchanges = self.rig.platform.exchanges();
        judge(&ledger.evidence)
    }

    /// What was seen so far.
    pub fn evidence(&self) -> Evidence {
        self.ledger.borrow().evidence.clone()
    }

    /// Forgets what was judged, so that a long trial needs no more memory than a short one. For after
    /// [`Trial::settle`].
    pub fn forget(&mut self) {
        drop(self.rig.platform.take_exchanges());
        let ledger = self.ledger.get_mut();
        ledger.base += ledger.evidence.batches.len();
        ledger.evidence.batches.clear();
        ledger.evidence.exchanges.clear();
        ledger.evidence.kills.clear();
        for wishes in ledger.evidence.links.values_mut() {
            wishes.drain(..wishes.len().saturating_sub(1));
        }
    }

    /// What the host counts.
    ///
    /// # Panics
    /// When it doesn't answer.
    pub async fn counters(&mut self) -> HashMap<String, u64> {
        self.start_host().await;
        self.ledger.get_mut().counters.clear();
        self.ask("counters\n", |ledger| !ledger.counters.is_empty()).await;
        self.ledger.borrow().counters.clone()
    }

    /// The rig.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Kills that struck while the host started.
    pub fn kills_while_starting(&self) -> usize {
        self.kills_while_starting
    }

    /// Ends everything.
    pub async fn end(self) {
        self.rig.stop().await;
    }

    async fn start_host(&mut self) {
        if !self.rig.is_running() {
            self.rig.start_host().await;
            self.feed = Some(self.rig.feed());
        }
    }

    /// Sends a command and hears until what it asks for is there.
    async fn ask(&mut self, command: &str, mut answered: impl FnMut(&mut Ledger) -> bool) {
        let Feed { input, output } = self.feed.as_mut().expect("the host runs");
        self.unread.extend_from_slice(command.as_bytes());
        let (unread, ledger) = (&mut self.unread, self.ledger.get_mut());
        let answer = async {
            while !answered(ledger) {
                tokio::select! {
                    written = input.write_all_buf(unread), if unread.has_remaining() => {
                        written.expect("the host reads");
                    }
                    line = output.next_line() => {
                        let line = line.expect("the host answers in text");
                        ledger.hear(&line.expect("the host runs"));
                    }
                }
            }
        };
        timeout(DEADLINE, answer).await.expect("the host answers in time");
    }
}

impl Ledger {
    /// Somebody's next batch, as a command.
    fn emit(&mut self, platform: &Platform) -> String {
        let sent = self.crowd.act();
        let number = self.base + self.evidence.batches.len();
        let mut event = serde_json::to_value(&sent.payload).expect("a batch is plain data");
        event["type"] = "actions".into();
        self.evidence.batches.push(Batch {
            session: sent.session,
            first: sent.first,
            count: sent.count,
            emitted: platform.now(),
            taken: false,
        });
        format!("take {number} {event}\n")
    }

    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').expect("an answer has two parts");
        match word {
            "taken" => {
                let number: usize = rest.parse().expect("a batch's number");
                self.evidence.batches[number - self.base].taken = true;
            }
            "dead" => {
                self.evidence.dead = serde_json::from_str(rest).expect("dead letters");
                self.told_dead = true;
            }
            "counters" => self.counters = serde_json::from_str(rest).expect("counters"),
            _ => panic!("no answer of a taker: {line}"),
        }
    }

    /// Actions that were taken and are neither at the platform nor in a dead letter.
    fn missing(&self) -> usize {
        let taken = self.evidence.exchanges.iter().filter(|exchange| exchange.taken.is_some());
        let texts = taken.map(|exchange| &*exchange.text);
        let dead = self.evidence.dead.iter().map(|letter| letter.note.body.as_str());
        let there: BTreeSet<_> = texts
            .chain(dead)
            .flat_map(Marker::find_all)
            .map(|marker| (marker.session, marker.n))
            .collect();
        let batches = self.evidence.batches.iter().filter(|batch| batch.taken);
        batches
            .flat_map(|batch| {
                (batch.first..batch.first + batch.count).map(|n| (batch.session.as_str(), n))
            })
            .filter(|action| !there.contains(action))
            .count()
    }
}

/// Makes the links that are wished for, one after the other.
async fn link(rig: &Rig, ledger: &RefCell<Ledger>, mut rng: StdRng) -> Infallible {
    loop {
        sleep(pause(&mut rng, LINKS)).await;
        link_first(rig, ledger).await;
    }
}

/// Asks for the first link; it stays the first one until the host says that it is made.
async fn link_first(rig: &Rig, ledger: &RefCell<Ledger>) {
    let Some(wish) = ledger.borrow().wishes.front().cloned() else { return };
    {
        let links = &mut ledger.borrow_mut().evidence.links;
        let links = links.entry(wish.person.session.clone()).or_default();
        if links.last().is_none_or(|last| last.conversation != wish.conversation) {
            links.push(LinkWish { conversation: wish.conversation.clone(), made: None });
        }
    }
    let body = json!({
        "product_id": wish.person.product,
        "session_id": wish.person.session,
        "conversation_id": wish.conversation,
        "mode": wish.mode,
    });
    let Ok(answer) = rig.try_post("/sessions/link", &body).await else { return };
    match answer.status {
        200 => {
            let mut ledger = ledger.borrow_mut();
            ledger.wishes.pop_front();
            let told: serde_json::Value =
                serde_json::from_slice(&answer.body).expect("a link is answered in JSON");
            let links = ledger.evidence.links.get_mut(&wish.person.session);
            let links = links.expect("asked for above");
            if told["conversation_id"] == *wish.conversation {
                links.last_mut().expect("asked for above").made = Some(rig.platform.now());
            } else {
                // Linked elsewhere before: a link is sticky.
                links.pop();
            }
        }
        429 | 503 => {}
        status => panic!("a link is answered {status}: {}", String::from_utf8_lossy(&answer.body)),
    }
}

/// Lets a note fail every now and then, in all ways.
async fn trouble(platform: &Platform, mut rng: StdRng) -> Infallible {
    let troubles = [
        Fault::status(500),
        Fault::status(500).but_taken(),
        Fault::status(503),
        Fault::hang(),
        Fault::hang().but_taken(),
        Fault::reset(),
        Fault::reset().but_taken(),
        Fault::slow(Duration::from_millis(100)),
    ];
    loop {
        sleep(pause(&mut rng, TROUBLES)).await;
        let fault = troubles.choose(&mut rng).expect("there are some").clone();
        platform.fail(Scope::Any, fault, 1);
    }
}

fn pause(rng: &mut StdRng, millis: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(millis))
}
