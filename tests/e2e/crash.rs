//! The host's process is killed, without any warning, and started again on the same store.

use std::time::Duration;

use sidenote_sim::{Fault, Scope};
use sidenote_tests::{Person, Rig, Setup, eventually};

const PEOPLE: u64 = 20;

fn setup() -> Setup {
    Setup { process: true, limits: format!("concurrency = {PEOPLE}"), ..Setup::default() }
}

fn people() -> Vec<Person> {
    (0..PEOPLE).map(|i| Person::new("p", format!("s{i}"))).collect()
}

/// A host with a post under way for everybody: that a post was begun shows that its note is committed.
async fn everybody_in_flight(rig: &Rig, people: &[Person], fault: Fault) -> Vec<String> {
    let times = u32::try_from(people.len()).expect("tests count small numbers");
    rig.platform.fail(Scope::Any, fault, times);
    let mut conversations = Vec::new();
    for person in people {
        rig.emit(&person.batch(0..3)).await;
        conversations.push(rig.open(person).await);
    }
    eventually(|| match rig.platform.stats().faults {
        faults if faults == people.len() as u64 => Ok(()),
        faults => Err(format!("{faults} of {} posts are under way", people.len())),
    })
    .await;
    conversations
}

async fn everything_arrives(rig: &Rig, people: &[Person], conversations: &[String]) {
    for person in people {
        rig.emit(&person.batch(3..5)).await;
    }
    for (person, conversation) in people.iter().zip(conversations) {
        rig.arrives(conversation, person, 5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_a_kill_arrives_after_it() {
    let mut rig = Rig::start(setup()).await;
    let people = people();
    let conversations = everybody_in_flight(&rig, &people, Fault::hang()).await;
    rig.kill_host().await;
    assert_eq!(rig.platform.stats().notes, 0, "nothing was posted before the kill");
    rig.start_host().await;
    everything_arrives(&rig, &people, &conversations).await;
    assert_eq!(rig.platform.stats().repeats, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_in_flight_at_a_kill_is_sent_again_under_its_key() {
    let mut rig = Rig::start(setup()).await;
    let people = people();
    let conversations = everybody_in_flight(&rig, &people, Fault::hang().but_taken()).await;
    rig.kill_host().await;
    rig.start_host().await;
    everything_arrives(&rig, &people, &conversations).await;
    // At most the notes in flight are doubled, and the platform knows them by their keys.
    assert_eq!(rig.platform.stats().repeats, PEOPLE);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_survive_a_kill() {
    let mut rig = Rig::start(setup()).await;
    let people = people();
    let mut conversations = Vec::new();
    for person in &people {
        let conversation = rig.conversation(person);
        rig.link(person, &conversation).await;
        conversations.push(conversation);
    }
    // The link was answered after its commit: no moment between the two is left to wait for.
    rig.kill_host().await;
    rig.start_host().await;
    for person in &people {
        rig.emit(&person.batch(0..3)).await;
    }
    everything_arrives(&rig, &people, &conversations).await;
    rig.end().await;
}

/// The stream has no replay, so what is on its way into the host at a kill may be missing. Nothing that
/// arrives may be doubled or out of order for that.
#[tokio::test(flavor = "multi_thread")]
async fn kills_in_the_middle_of_everything_never_double_or_reorder() {
    const ACTIONS: u64 = 60;
    let mut setup = setup();
    setup.delivery = "debounce = \"20ms\"\nretry_initial = \"20ms\"".to_owned();
    setup.platform.answers_after = Duration::from_millis(3);
    let mut rig = Rig::start(setup).await;
    let people = people();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
    }
    for n in 0..ACTIONS {
        for person in &people {
            rig.emit(&person.batch(n..n + 1)).await;
        }
        // Each time when posts of this stretch are under way.
        if n % 20 == 19 {
            let notes = rig.platform.stats().notes;
            eventually(|| match rig.platform.stats().notes {
                now if now > notes => Ok(()),
                _ => Err("nothing arrives".to_owned()),
            })
            .await;
            rig.kill_host().await;
            rig.start_host().await;
        }
    }
    for person in &people {
        rig.emit(&person.batch(ACTIONS..ACTIONS + 1)).await;
    }
    let last = |person: &Person| person.marker(ACTIONS);
    for (person, conversation) in people.iter().zip(&conversations) {
        eventually(|| match rig.arrived(conversation).last() {
            Some(marker) if *marker == last(person) => Ok(()),
            marker => Err(format!("the last action to arrive is {marker:?}")),
        })
        .await;
        let order: Vec<u64> =
            rig.arrived(conversation).iter().map(|marker| number(marker)).collect();
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{conversation}: {order:?}");
    }
    let stats = rig.platform.stats();
    assert_eq!((stats.changed_repeats, stats.foreign, stats.seq_out_of_order), (0, 0, 0));
    rig.stop().await;
}

fn number(marker: &str) -> u64 {
    let (_, n) = marker.rsplit_once('-').expect("a marker ends in its number");
    n.parse().expect("a marker ends in its number")
}
