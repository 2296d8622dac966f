//! A product whose platform is in trouble leaves the others their latency, and its own calls end at their
//! deadline.
//!
//! The latency of a note is what lies between the moment at which it was due (its action plus the debounce) and
//! its arrival. It is measured with the neighbour at rest and with the neighbour in trouble, in turns, in one run,
//! so that whatever else the machine does strikes both. The rule: the 99th percentile with the neighbour in
//! trouble is at most a fifth above that without it, and [`FLOOR`], which is what a busy machine adds by itself.
//! A trouble is felt where that doesn't hold of all turns together, nor of most of them, each with the turn at
//! rest before it: one bad moment of the machine makes no neighbour. Where one is felt the turns are repeated,
//! up to [`MOST_ROUNDS`]: what is felt by bad luck is outvoted, what is felt stays felt.
//!
//! The host's files are kept in memory: a disk that other programs use pauses now and then for longer than all
//! that is looked for here, and no neighbour is to blame for that.
//!
//! The long form has troubles of minutes: `SIDENOTE_ISOLATION_SECONDS` is how long each turn takes. It takes each
//! trouble once and is judged as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote_sim::{
    ConnectorOptions, Fault, Histogram, Keep, Marker, Platform, PlatformOptions, Scope,
};
use sidenote_tests::{Person, Rig, Setup, eventually};
use tokio::time::{Instant, sleep_until};

const DEBOUNCE: Duration = Duration::from_millis(50);
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// What a call may take beyond its deadline on a busy machine.
const GRACE: Duration = Duration::from_secs(2);
const DELIVERY: &str = r#"
debounce = "50ms"
call_timeout = "1s"
retry_initial = "20ms"
retry_max = "200ms"
max_attempts = 1000
"#;

/// A fifth more is allowed, and this.
const RATIO: f64 = 1.2;
const FLOOR: Duration = Duration::from_millis(5);

/// Who act next door to the neighbours.
const PEOPLE: usize = 20;
/// Few, and tried again after a while: the test is of who waits for whom, not of who has the processor.
const NEIGHBOURS: usize = 8;
/// Between two actions of one person: 100 notes in a second.
const EVERY: Duration = Duration::from_millis(200);
/// How long the neighbour is at rest, or in trouble, at a time.
const TURN: Duration = Duration::from_millis(1200);
/// How often all turns are taken before they are judged, and at most.
const ROUNDS: u32 = 3;
const MOST_ROUNDS: u32 = 6;

/// What goes wrong at the neighbour's platform, for the whole time.
fn troubles() -> [(&'static str, Fault); 4] {
    [
        ("answers 500", Fault::status(500)),
        ("hangs", Fault::hang()),
        ("drips a byte a second", Fault::drip(Duration::from_secs(1))),
        ("sends 1 GiB", Fault::flood(1 << 30)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_in_trouble_is_not_felt_and_its_calls_end_at_their_deadline() {
    let seconds = std::env::var("SIDENOTE_ISOLATION_SECONDS").ok();
    let seconds = seconds.map(|seconds| seconds.parse().expect("whole seconds"));
    let (length, rounds, most) = match seconds {
        Some(seconds) => (Duration::from_secs(seconds), 1, 1),
        None => (TURN, ROUNDS, MOST_ROUNDS),
    };
    let mut street = Street::new().await;
    let mut felt = Vec::new();
    for round in 1..=most {
        for (name, fault) in troubles() {
            street.turn(length, None).await;
            street.turn(length, Some((name, fault))).await;
        }
        if round < rounds {
            continue;
        }
        felt = street.felt();
        if felt.is_empty() {
            break;
        }
    }
    for line in street.report() {
        println!("{line}");
    }
    assert!(felt.is_empty(), "the neighbour is felt when it {felt:?}");
    street.assert_calls_ended_in_time();
    street.rig.end().await;
    street.neighbour.shutdown().await;
}

/// One host, two products: one is measured, its neighbour gets into trouble.
struct Street {
    rig: Rig,
    neighbour: Platform,
    people: Vec<Person>,
    neighbours: Vec<Person>,
    /// The next action of everybody, and of every neighbour.
    next: [u64; 2],
    sent: u64,
    turns: Vec<Turn>,
}

/// A stretch of time, and what went wrong at the neighbour's meanwhile.
struct Turn {
    trouble: Option<&'static str>,
    from: Timestamp,
    to: Timestamp,
    /// How many of the neighbour's calls met the trouble.
    struck: u64,
}

impl Street {
    async fn new() -> Self {
        let recorded =
            PlatformOptions { keep: Keep::Tally, exchanges: 100_000, ..PlatformOptions::default() };
        let neighbour = Platform::start(recorded.clone()).await.expect("a free port");
        let setup = Setup {
            process: true,
            in_memory_files: true,
            delivery: DELIVERY.to_owned(),
            limits: "concurrency = 4".to_owned(),
            tables: second_plugin(&neighbour),
            platform: recorded,
            connector: ConnectorOptions::default(),
            ..Setup::default()
        };
        let rig = Rig::start(setup).await;
        let people = |count, product, name: &str| -> Vec<Person> {
            (0..count).map(|i| Person::new(product, format!("{name}{i}"))).collect()
        };
        let (people, neighbours) = (people(PEOPLE, "p", "s"), people(NEIGHBOURS, "n", "t"));
        for person in &people {
            rig.link(person, &rig.conversation(person)).await;
        }
        for person in &neighbours {
            let conversation = neighbour.create(person.opening()).expect("room for it");
            rig.link(person, &conversation).await;
        }
        Self { rig, neighbour, people, neighbours, next: [0; 2], sent: 0, turns: Vec::new() }
    }

    /// Everybody acts for a while, the neighbours only while they are in trouble. Ends when all is quiet.
    async fn turn(&mut self, length: Duration, trouble: Option<(&'static str, Fault)>) {
        let circles = length.div_duration_f64(EVERY) as u32;
        let before = self.neighbour.stats().faults;
        if let Some((_, fault)) = &trouble {
            self.neighbour.fail(Scope::Any, fault.clone(), u32::MAX);
        }
        let (began, from) = (Instant::now(), self.rig.platform.now());
        let pause = EVERY / PEOPLE as u32;
        for circle in 0..circles {
            for who in 0..PEOPLE {
                sleep_until(began + EVERY * circle + pause * who as u32).await;
                self.act(&self.people[who], self.next[0]).await;
                if let Some(neighbour) = self.neighbours.get(who).filter(|_| trouble.is_some()) {
                    self.act(neighbour, self.next[1]).await;
                }
            }
            self.next[0] += 1;
            self.next[1] += u64::from(trouble.is_some());
        }
        let to = self.rig.platform.now();
        let struck = self.neighbour.stats().faults - before;
        self.neighbour.heal();
        let name = trouble.as_ref().map(|(name, _)| *name);
        self.turns.push(Turn { trouble: name, from, to, struck });
        let acting = PEOPLE + if trouble.is_some() { NEIGHBOURS } else { 0 };
        self.sent += acting as u64 * u64::from(circles);
        self.everything_arrives().await;
    }

    async fn act(&self, person: &Person, n: u64) {
        let emitted = Some(self.rig.platform.now());
        let marker = Marker { session: &person.session, n, emitted };
        self.rig.emit(&person.saying([(n, marker.to_string())])).await;
    }

    async fn everything_arrives(&self) {
        let sent = self.sent;
        eventually(|| {
            let arrived = |platform: &Platform| platform.tally(|tally| tally.totals().distinct());
            match arrived(&self.rig.platform) + arrived(&self.neighbour) {
                arrived if arrived >= sent => Ok(()),
                arrived => Err(format!("{arrived} of {sent} actions arrived")),
            }
        })
        .await;
    }

    /// How late the notes of each turn arrived.
    fn latencies(&self) -> Vec<(&Turn, Histogram)> {
        let mut latencies: Vec<_> =
            self.turns.iter().map(|turn| (turn, Histogram::default())).collect();
        for exchange in self.rig.platform.exchanges() {
            let emitted =
                Marker::find_all(&exchange.text).filter_map(|marker| marker.emitted).max();
            let (Some(taken), Some(emitted)) = (exchange.taken, emitted) else { continue };
            let turn =
                latencies.iter_mut().find(|(turn, _)| (turn.from..=turn.to).contains(&emitted));
            let (_, late) = turn.expect("everything is sent in a turn");
            late.record(taken.since(emitted + DEBOUNCE));
        }
        latencies
    }

    /// The troubles that are felt next door.
    fn felt(&self) -> Vec<&'static str> {
        let latencies = self.latencies();
        let names = troubles().map(|(name, _)| name);
        let felt = |name: &&'static str| {
            // Every trouble comes after a turn at rest.
            let pairs: Vec<_> = latencies
                .windows(2)
                .filter(|pair| pair[1].0.trouble == Some(name))
                .map(|pair| (&pair[1].1, &pair[0].1))
                .collect();
            are_felt(&pairs)
        };
        names.into_iter().filter(|name| felt(name)).collect()
    }

    fn report(&self) -> Vec<String> {
        let mut together: BTreeMap<Option<&str>, Histogram> = BTreeMap::new();
        for (turn, late) in self.latencies() {
            together.entry(turn.trouble).or_default().add(&late);
        }
        let line = |(trouble, late): (Option<&str>, Histogram)| {
            let [p50, p99] =
                [50.0, 99.0].map(|percent| late.percentile(percent).as_secs_f64() * 1e3);
            let trouble = trouble.unwrap_or("is at rest");
            let notes = late.len();
            format!(
                "isolation: the neighbour {trouble}: {notes} notes, p50 {p50:.1} ms, p99 {p99:.1} ms"
            )
        };
        together.into_iter().map(line).collect()
    }

    fn assert_calls_ended_in_time(&self) {
        for turn in self.turns.iter().filter(|turn| turn.trouble.is_some()) {
            assert!(turn.struck > 0, "no call of the neighbour met the trouble {:?}", turn.trouble);
        }
        for call in self.neighbour.exchanges() {
            let (end, _) = call.end.unwrap_or_else(|| panic!("a call never ended: {call:?}"));
            let took = end.since(call.began);
            assert!(took <= CALL_TIMEOUT + GRACE, "a call took {took:?}: {call:?}");
        }
    }
}

/// The rule of this test, for the turns of one trouble: with it, and at rest before.
fn are_felt(pairs: &[(&Histogram, &Histogram)]) -> bool {
    let (mut with, mut without) = (Histogram::default(), Histogram::default());
    for pair in pairs {
        with.add(pair.0);
        without.add(pair.1);
    }
    let felt = pairs.iter().filter(|(with, without)| is_felt(with, without)).count();
    is_felt(&with, &without) && felt * 2 > pairs.len()
}

fn is_felt(with: &Histogram, without: &Histogram) -> bool {
    with.percentile(99.0) > without.percentile(99.0).mul_f64(RATIO) + FLOOR
}

fn second_plugin(platform: &Platform) -> String {
    format!(
        r#"
[plugins.neighbour]
file = "webhook.wasm"

[plugins.neighbour.config]
url = "{notes}"

[plugins.neighbour.secrets]
signing = {{ env = "SIGNING", hosts = [] }}
incoming = {{ env = "INCOMING", hosts = [] }}

[plugins.neighbour.grants]
hosts = ["{platform}"]
private = true

[plugins.neighbour.limits]
concurrency = 4
max_response = "64KiB"

[plugins.neighbour.breaker]
pause_initial = "50ms"
pause_max = "200ms"

[products.n]
plugins = ["neighbour"]

[products.n.delivery]
retry_initial = "1s"
retry_max = "1s"
"#,
        notes = platform.notes_url(),
        platform = platform.url(),
    )
}

#[test]
fn the_rule_finds_a_neighbour_that_is_felt() {
    let histogram = |late: [u64; 3]| {
        let mut histogram = Histogram::default();
        for (millis, count) in late.into_iter().zip([900, 80, 20]) {
            for _ in 0..count {
                histogram.record(Duration::from_millis(millis));
            }
        }
        histogram
    };
    let without = histogram([5, 10, 20]);
    assert!(!is_felt(&without, &without));
    assert!(!is_felt(&histogram([5, 12, 28]), &without), "a fifth and 5 ms are allowed");
    assert!(is_felt(&histogram([5, 10, 31]), &without));
    assert!(is_felt(&histogram([500, 500, 500]), &without));
    let slow = histogram([500, 500, 500]);
    assert!(are_felt(&[(&slow, &without), (&without, &without), (&slow, &without)]));
    assert!(!are_felt(&[(&slow, &without), (&without, &without), (&without, &without)]));
}
