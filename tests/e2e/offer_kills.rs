//! Kills at random moments while people go back and forth, judged from outside: nobody is offered anything twice, no
//! session is proactive without an offer that the platform has, and none that it has is forgotten.
//!
//! `SIDENOTE_KILLS=200` asks for more kills than the few of a run in continuous integration, and `SIDENOTE_SEED` for
//! the seed of an earlier run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sidenote_sim::{Fault, PlatformOptions, Scope};
use sidenote_tests::{Person, RedisServer, Rig, Setup, StoreKind};
use tokio::time::{Instant, sleep};

use crate::kills::{from_environment, seed};

/// People who go back and forth, each in a session and a conversation of their own.
const SESSIONS: usize = 8;
/// As `cooldown` below: two offers of a session are at least so far apart.
const COOLDOWN: Duration = Duration::from_secs(1);
/// In milliseconds: between two actions, two troubles of the platform, and from a start to the kill.
const ACTIONS: std::ops::Range<u64> = 3..12;
const TROUBLES: std::ops::Range<u64> = 20..120;
const LIFE: std::ops::Range<u64> = 30..1500;
/// Of so many kills, one strikes while the host starts.
const STARTING: u32 = 5;
/// How long the host takes to start, at most: when it is killed meanwhile.
const STARTUP_MS: u64 = 400;

const RULES: &str = r#"
[context]

[plugins.bot.breaker]
pause_initial = "50ms"
pause_max = "200ms"

[products.p.offers]
min_interval = "0s"
quiet_after_person = "0s"
interaction_timeout = "300ms"
cooldown = "1s"

[[products.p.offers.triggers]]
id = "canonical_url_ping_pong"
kind = "ping-pong"
mode = "instant"
text = "Shall I show you around?"
options = [{ label = "Yes, please" }, { label = "No" }]
"#;

const DELIVERY: &str = r#"
debounce = "20ms"
max_wait = "200ms"
retry_initial = "20ms"
retry_max = "200ms"
call_timeout = "500ms"
"#;

/// A host that lives, is killed and lives again, and what it said meanwhile.
struct Trial {
    rig: Rig,
    people: Vec<(Person, String)>,
    acted: u64,
    /// What became of each offer, by session and number, as the host said last.
    told: BTreeMap<(usize, u64), String>,
    rng: StdRng,
    kills: u64,
    proactive: u64,
}

impl Trial {
    async fn start(store: StoreKind, seed: u64) -> Self {
        let setup = Setup {
            store,
            taker: Some(PathBuf::from(env!("CARGO_BIN_EXE_taker"))),
            delivery: DELIVERY.to_owned(),
            tables: RULES.to_owned(),
            messages: true,
            platform: PlatformOptions {
                answers_after: Duration::from_millis(2),
                ..PlatformOptions::default()
            },
            ..Setup::default()
        };
        let rig = Rig::start(setup).await;
        let mut people = Vec::new();
        for n in 0..SESSIONS {
            let person = Person::new("p", format!("s-{n}"));
            let conversation = rig.conversation(&person);
            rig.link(&person, &conversation).await;
            people.push((person, conversation));
        }
        let (told, rng) = (BTreeMap::new(), StdRng::seed_from_u64(seed));
        Self { rig, people, acted: 0, told, rng, kills: 0, proactive: 0 }
    }

    async fn live_and_be_killed(&mut self) {
        self.kills += 1;
        if !self.rig.is_running() && self.rng.random_ratio(1, STARTING) {
            let after = Duration::from_millis(self.rng.random_range(0..STARTUP_MS));
            return self.rig.kill_while_starting(after).await;
        }
        if !self.rig.is_running() {
            self.rig.start_host().await;
        }
        self.look().await;
        let length = Duration::from_millis(self.rng.random_range(LIFE));
        self.act(length).await;
        self.rig.kill_host().await;
    }

    /// Everybody goes back and forth, and the platform fails now and then.
    async fn act(&mut self, time: Duration) {
        let end = Instant::now() + time;
        let mut trouble = Instant::now();
        while Instant::now() < end {
            let place = self.acted as usize % SESSIONS;
            let n = self.acted / SESSIONS as u64;
            let mut batch = self.people[place].0.batch(n..n + 1);
            for action in &mut batch.actions {
                action.canonical_url =
                    format!("https://app.example/{}", ["a", "b"][n as usize % 2]);
            }
            self.rig.emit(&batch).await;
            self.acted += 1;
            if Instant::now() > trouble {
                trouble = Instant::now() + Duration::from_millis(self.rng.random_range(TROUBLES));
                let fault = match self.rng.random_range(0..4) {
                    0 => Fault::reset().but_taken(),
                    1 => Fault::reset(),
                    2 => Fault::status(503),
                    _ => Fault::slow(Duration::from_millis(100)),
                };
                self.rig.platform.fail(Scope::Any, fault, 1);
            }
            sleep(Duration::from_millis(self.rng.random_range(ACTIONS))).await;
        }
    }

    /// Asks how everybody stands, and compares it with what the platform has.
    async fn look(&mut self) {
        for place in 0..SESSIONS {
            let (person, conversation) = &self.people[place];
            let path = format!("/sessions/{}/{}/help", person.product, person.session);
            let (status, said) = self.rig.get(&path).await;
            // Looked at behind the answer: the host knows nothing that the platform doesn't.
            let there = self.rig.platform.messages(conversation).len();
            assert_eq!(status, 200, "{said}");
            for decision in said["decisions"].as_array().into_iter().flatten() {
                let Some(offer) = decision["offer"].as_u64() else { continue };
                let word = decision["decision"].as_str().unwrap_or_default().to_owned();
                let known = self.told.entry((place, offer)).or_insert_with(|| word.clone());
                if word == "made" {
                    continue;
                }
                assert!(*known == "made" || *known == word, "an offer ends once: {said}");
                *known = word;
            }
            let delivered = self.ended(place, "delivered");
            assert!(delivered <= there, "{delivered} are delivered, {there} are there: {said}");
            if said["state"] == "proactive_assistance" {
                self.proactive += 1;
                assert!(delivered > 0, "nothing that was delivered is behind it: {said}");
            }
        }
    }

    fn ended(&self, place: usize, how: &str) -> usize {
        self.told.iter().filter(|((of, _), word)| *of == place && *word == how).count()
    }

    /// Heals the platform and waits until nothing is on its way.
    async fn settle(&mut self) {
        if !self.rig.is_running() {
            self.rig.start_host().await;
        }
        self.rig.platform.heal();
        for _ in 0..400 {
            self.look().await;
            let open = self.told.values().filter(|word| *word == "made").count();
            if open == 0 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("something is on its way for ever: {:?}", self.told);
    }

    fn judge(&self) -> String {
        let stats = self.rig.platform.stats();
        assert_eq!((stats.message_repeats, stats.malformed, stats.unsigned), (0, 0, 0));
        let (mut all, mut unknown) = (0, 0);
        for (place, (person, conversation)) in self.people.iter().enumerate() {
            let there = self.rig.platform.messages(conversation);
            let keys: BTreeSet<_> = there.iter().map(|it| &it.idempotency_key).collect();
            assert_eq!(keys.len(), there.len(), "one message for each key");
            for pair in there.windows(2) {
                let apart = pair[1].received.since(pair[0].received);
                assert!(apart >= COOLDOWN, "{} has two offers {apart:?} apart", person.session);
            }
            let delivered = self.ended(place, "delivered");
            let nobody_knows = self.ended(place, "unknown");
            assert!(
                (delivered..=delivered + nobody_knows).contains(&there.len()),
                "{} are there of {}, {delivered} delivered and {nobody_knows} unknown",
                there.len(),
                person.session
            );
            (all, unknown) = (all + there.len(), unknown + nobody_knows);
        }
        assert!(all >= SESSIONS, "too little happened: {all} offers");
        format!(
            "{} kills, {} actions, {all} offers, of {unknown} nobody knows; seen proactive {} times",
            self.kills, self.acted, self.proactive
        )
    }
}

async fn kills(store: StoreKind, seed: u64) -> String {
    let wanted = from_environment("SIDENOTE_KILLS").unwrap_or(4);
    let name = store.name();
    let mut trial = Trial::start(store, seed).await;
    // Each is offered something before the first kill.
    trial.act(Duration::from_millis(400)).await;
    for _ in 0..wanted {
        trial.live_and_be_killed().await;
    }
    trial.settle().await;
    let seen = trial.judge();
    trial.rig.stop().await;
    format!("offers: {name}, {SESSIONS} sessions, seed {seed}: {seen}")
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_offer_nothing_twice_and_forget_no_offer_on_the_embedded_store() {
    let seed = seed();
    println!("SIDENOTE_SEED={seed} repeats this run");
    println!("{}", kills(StoreKind::Embedded, seed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_offer_nothing_twice_and_forget_no_offer_on_a_redis_server() {
    let options = [("appendonly", "yes"), ("appendfsync", "always")];
    let Some(server) = RedisServer::start(&options).await else { return };
    let seed = seed();
    println!("SIDENOTE_SEED={seed} repeats this run");
    println!("{}", kills(StoreKind::Redis { url: server.config().url }, seed).await);
}
