//! The whole way on a Redis server that fails under load. `SIDENOTE_OUTAGE_SECONDS=30` asks for longer
//! outages than a run in continuous integration has.

use std::time::Duration;

use serde_json::json;
use sidenote_tests::{Person, RedisServer, Rig, Setup, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const PEOPLE: u64 = 12;
/// Pause between two rounds of actions.
const BEAT: Duration = Duration::from_millis(100);

fn outage() -> Duration {
    let seconds = std::env::var("SIDENOTE_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(5, |text| text.parse().expect("a number of seconds")))
}

/// A server that has on its disk what it acknowledged.
async fn server() -> Option<RedisServer> {
    RedisServer::start(&[("appendonly", "yes"), ("appendfsync", "always")]).await
}

fn setup(server: &RedisServer, process: bool) -> Setup {
    let store = StoreKind::Redis { url: server.config().url };
    Setup { store, process, ..Setup::default() }
}

/// People in conversations, who act all the time.
struct Crowd {
    people: Vec<Person>,
    conversations: Vec<String>,
    /// Actions of each so far.
    actions: u64,
}

impl Crowd {
    async fn gather(rig: &Rig) -> Self {
        let people: Vec<_> = (0..PEOPLE).map(|n| Person::new("p", format!("s{n}"))).collect();
        let mut conversations = Vec::new();
        for person in &people {
            conversations.push(rig.open(person).await);
        }
        Self { people, conversations, actions: 0 }
    }

    async fn act_for(&mut self, rig: &Rig, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for person in &self.people {
                rig.emit(&person.batch(self.actions..self.actions + 1)).await;
            }
            self.actions += 1;
            sleep(BEAT).await;
        }
    }

    async fn all_arrives(&self, rig: &Rig) {
        for (person, conversation) in self.people.iter().zip(&self.conversations) {
            rig.arrives(conversation, person, self.actions).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_paused_killed_and_started_again_under_load_costs_nothing() {
    let Some(mut server) = server().await else { return };
    let rig = Rig::start(setup(&server, false)).await;
    let mut crowd = Crowd::gather(&rig).await;
    let away = || rig.host().counters().store_away > 0;
    crowd.act_for(&rig, Duration::from_secs(1)).await;

    server.pause();
    crowd.act_for(&rig, outage()).await;
    assert!(away(), "the host has found out");
    assert!(rig.host().counters().journalled > 0);
    let person = Person::new("p", "late");
    let body =
        json!({"product_id": "p", "session_id": person.session, "conversation_id": "c-late"});
    let asked = Instant::now();
    let answer = rig.post("/sessions/link", &body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    server.resume();
    crowd.act_for(&rig, Duration::from_secs(2)).await;

    server.kill();
    crowd.act_for(&rig, outage()).await;
    assert!(away(), "the host has found out");
    assert!(server.restart().await);
    crowd.act_for(&rig, Duration::from_secs(1)).await;

    crowd.all_arrives(&rig).await;
    let counters = rig.host().counters();
    assert_eq!((counters.journalled, counters.store_away, counters.notes_dead), (0, 0, 0));
    assert_eq!(counters.actions_accepted, PEOPLE * crowd.actions);
    assert_eq!(rig.post("/sessions/link", &body).await.status, 200);
    rig.end().await;
}

/// The stream has no replay: what was read but not taken at the kill is lost with it, so nothing is sent
/// around the kill itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_while_its_server_is_away_takes_up_its_journal() {
    let Some(server) = server().await else { return };
    let mut rig = Rig::start(setup(&server, true)).await;
    let mut crowd = Crowd::gather(&rig).await;
    crowd.act_for(&rig, Duration::from_secs(1)).await;
    crowd.all_arrives(&rig).await;

    // One batch is in the round that finds out; its person is nobody of the crowd.
    server.pause();
    rig.emit(&Person::new("p", "first").batch(0..1)).await;
    sleep(Duration::from_secs(3)).await;
    crowd.act_for(&rig, Duration::from_secs(2)).await;
    sleep(Duration::from_secs(3)).await;
    rig.kill_host().await;
    server.resume();
    rig.start_host().await;
    crowd.act_for(&rig, Duration::from_secs(1)).await;
    crowd.all_arrives(&rig).await;
    rig.end().await;
}

/// Two hosts on one namespace: the second takes over with all that the first took.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_when_the_first_host_ends() {
    let Some(server) = server().await else { return };
    let mut first = Rig::start(setup(&server, false)).await;
    let person = Person::new("p", "s");
    let conversation = first.open(&person).await;
    first.emit(&person.batch(0..3)).await;
    first.arrives(&conversation, &person, 3).await;

    let mut standby = JoinSet::new();
    standby.spawn(Rig::start(setup(&server, false)));
    sleep(Duration::from_secs(2)).await;
    assert!(standby.try_join_next().is_none(), "it stands by");
    first.stop_host().await;
    let second = tokio::time::timeout(Duration::from_secs(20), standby.join_next()).await;
    let second = second.expect("it takes over").expect("one stood by").expect("it starts");
    // The link is the first host's; the second rig's platform has a conversation of the same name.
    assert_eq!(second.conversation(&person), conversation);
    second.emit(&person.batch(3..5)).await;
    eventually(|| match second.arrived(&conversation).len() {
        2 => Ok(()),
        n => Err(format!("{n} actions arrived")),
    })
    .await;
    second.stop().await;
    first.stop().await;
}
