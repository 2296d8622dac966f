//! A platform that says when it may be asked again isn't asked before: not by another session, not after a
//! restart, not after a kill. Afterwards everything arrives, in order.

use std::path::PathBuf;
use std::time::Duration;

use sidenote_sim::{Exchange, PlatformOptions, Scope};
use sidenote_tests::{Feed, Person, Rig, Setup, eventually};

const DELIVERY: &str = r#"
debounce = "20ms"
retry_initial = "20ms"
retry_max = "200ms"
"#;

/// How long the platform takes nothing: long enough for two starts of the host.
const HOLD: Duration = Duration::from_secs(10);
/// Sessions with a conversation each.
const PEOPLE: u64 = 20;
/// Calls of the plugin at the same time.
const CONCURRENCY: usize = 2;
/// Notes that a host begins before it knows how the first one ended: what its plugin works on, and as many
/// again and again that wait at the plugin's door.
const BEGUN: usize = 4 * CONCURRENCY;

/// A host with everybody in a conversation.
async fn host(taker: Option<PathBuf>) -> (Rig, Vec<(Person, String)>) {
    let setup = Setup {
        taker,
        delivery: DELIVERY.to_owned(),
        limits: format!("concurrency = {CONCURRENCY}"),
        platform: PlatformOptions { exchanges: 10_000, ..PlatformOptions::default() },
        ..Setup::default()
    };
    let rig = Rig::start(setup).await;
    let mut people = Vec::new();
    for i in 0..PEOPLE {
        let person = Person::new("p", format!("s{i}"));
        let conversation = rig.conversation(&person);
        rig.link(&person, &conversation).await;
        people.push((person, conversation));
    }
    (rig, people)
}

fn taker() -> Option<PathBuf> {
    Some(PathBuf::from(env!("CARGO_BIN_EXE_taker")))
}

/// The calls that came although the platform had asked to wait longer, where it had said so before they began.
fn too_early(exchanges: &[Exchange]) -> Vec<&Exchange> {
    let asked_to_wait = |call: &&Exchange| {
        exchanges.iter().any(|answer| {
            let told = answer.end.is_some_and(|(at, _)| at <= call.began);
            told && answer.wait_until.is_some_and(|until| call.began < until)
        })
    };
    exchanges.iter().filter(asked_to_wait).collect()
}

/// Lets one person's first action meet the limit, and waits until the host has put on record that it did.
async fn meet_the_limit(rig: &Rig, (person, conversation): &(Person, String)) {
    rig.emit(&person.batch(0..1)).await;
    eventually(|| match rig.platform.exchanges().first().and_then(|first| first.end) {
        Some(_) => Ok(()),
        None => Err("the platform wasn't asked".to_owned()),
    })
    .await;
    let met = &rig.platform.exchanges()[0];
    assert!(met.wait_until.is_some(), "the first call meets the limit: {met:?}");
    // A link is answered after the commit of its round, which comes after that of the call's end.
    rig.link(person, conversation).await;
}

async fn everybody_acts(rig: &Rig, people: &[(Person, String)], actions: std::ops::Range<u64>) {
    for (person, _) in people {
        rig.emit(&person.batch(actions.clone())).await;
    }
}

/// Everybody's first actions arrive, once and in order, after the moment that the platform named.
async fn everything_arrives(rig: &Rig, people: &[(Person, String)], count: u64) {
    for (person, conversation) in people {
        rig.arrives(conversation, person, count).await;
    }
    let exchanges = rig.platform.exchanges();
    let until = exchanges.iter().filter_map(|call| call.wait_until).max();
    let first = exchanges.iter().filter_map(|call| call.taken).min();
    assert!(first >= until, "a note was taken before the moment: {first:?}, {until:?}");
}

async fn attempts_failed(feed: &mut Feed) -> u64 {
    feed.counters().await["attempts_failed"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_account_holds_back_every_session() {
    let (rig, people) = host(None).await;
    rig.platform.limit(Scope::Any, HOLD);
    meet_the_limit(&rig, &people[0]).await;
    eventually(|| match rig.host().counters().attempts_failed {
        0 => Err("the host doesn't know of the limit".to_owned()),
        _ => Ok(()),
    })
    .await;
    everybody_acts(&rig, &people[1..], 0..1).await;
    everybody_acts(&rig, &people, 1..3).await;
    everything_arrives(&rig, &people, 3).await;
    let exchanges = rig.platform.exchanges();
    let early = too_early(&exchanges);
    assert_eq!(early.len(), 0, "called before the moment asked for: {early:?}");
    assert_eq!(rig.platform.stats().limited, 1, "the limit was met once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_account_holds_after_a_kill_and_a_restart() {
    let (mut rig, people) = host(taker()).await;
    rig.platform.limit(Scope::Any, HOLD);
    meet_the_limit(&rig, &people[0]).await;
    let mut feed = rig.feed();
    while attempts_failed(&mut feed).await == 0 {}
    let (person, conversation) = &people[0];
    rig.link(person, conversation).await;
    everybody_acts(&rig, &people[1..], 0..1).await;
    everybody_acts(&rig, &people, 1..2).await;
    // What the host has read and not committed would be lost with it: a link is behind all of that.
    while feed.counters().await["actions_accepted"] < 2 * PEOPLE {}
    rig.kill_host().await;
    rig.start_host().await;
    everybody_acts(&rig, &people, 2..3).await;
    let mut feed = rig.feed();
    while feed.counters().await["actions_accepted"] < PEOPLE {}
    let middle = rig.platform.exchanges();
    assert_eq!(middle.iter().filter(|call| call.taken.is_some()).count(), 0, "the hold was short");
    rig.kill_host().await;
    rig.start_host().await;
    everything_arrives(&rig, &people, 3).await;
    let exchanges = rig.platform.exchanges();
    let early = too_early(&exchanges);
    assert_eq!(early.len(), 0, "called before the moment asked for: {early:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_met_under_load_lets_only_through_what_was_begun() {
    let (rig, people) = host(None).await;
    rig.platform.limit(Scope::Any, Duration::from_secs(2));
    everybody_acts(&rig, &people, 0..2).await;
    everything_arrives(&rig, &people, 2).await;
    let exchanges = rig.platform.exchanges();
    let early = too_early(&exchanges);
    assert!(early.len() < BEGUN, "{} calls before the moment asked for", early.len());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_one_conversation_holds_it_back_through_a_kill() {
    let (mut rig, people) = host(taker()).await;
    let (person, conversation) = &people[0];
    rig.platform.limit(Scope::Conversation(conversation.clone()), HOLD);
    meet_the_limit(&rig, &people[0]).await;
    let mut feed = rig.feed();
    while attempts_failed(&mut feed).await == 0 {}
    rig.link(person, conversation).await;
    rig.kill_host().await;
    rig.start_host().await;
    everybody_acts(&rig, &people[1..], 0..1).await;
    everybody_acts(&rig, &people, 1..3).await;
    for (person, conversation) in &people {
        rig.arrives(conversation, person, 3).await;
    }
    let mut limited = rig.platform.exchanges();
    limited.retain(|call| *call.conversation == **conversation);
    let early = too_early(&limited);
    assert_eq!(early.len(), 0, "called before the moment asked for: {early:?}");
    rig.end().await;
}
