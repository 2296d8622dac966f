//! A platform that refuses, fails, resets and hangs: every action arrives all the same.

use std::time::Duration;

use sidenote::clock::Clock;
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{Person, Rig, Setup, eventually};

const DELIVERY: &str = r#"
retry_initial = "20ms"
retry_max = "200ms"
call_timeout = "500ms"
"#;

fn setup() -> Setup {
    Setup { delivery: DELIVERY.to_owned(), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_arrives_in_order_through_faults_of_every_kind() {
    // Many failures in a row: what is looked at is each lane, not the breaker that would hold them all.
    let tables = "[plugins.bot.breaker]\nfailures = 1000".to_owned();
    let rig = Rig::start(Setup { tables, ..setup() }).await;
    let faults = [
        ("limited", Fault::rate_limited(Duration::from_secs(1)), false),
        ("failing", Fault::status(500), false),
        ("unavailable", Fault::status(503), false),
        ("reset", Fault::reset(), false),
        ("hanging", Fault::hang(), false),
        ("reset-taken", Fault::reset().but_taken(), true),
        ("hanging-taken", Fault::hang().but_taken(), true),
        ("failing-taken", Fault::status(502).but_taken(), true),
    ];
    let mut told = Vec::new();
    for (name, fault, taken) in &faults {
        let person = Person::new("p", *name);
        rig.emit(&person.batch(0..3)).await;
        let conversation = rig.conversation(&person);
        rig.platform.fail(Scope::Conversation(conversation.clone()), fault.clone(), 2);
        rig.link(&person, &conversation).await;
        told.push((person, conversation, *taken));
    }
    for (person, ..) in &told {
        rig.emit(&person.batch(3..5)).await;
    }
    for (person, conversation, _) in &told {
        rig.arrives(conversation, person, 5).await;
    }
    // Only a note whose fate was unknown was sent twice: the platform knew it by its key. What was taken has
    // arrived before its faults are over.
    let unknown = told.iter().filter(|(.., taken)| *taken).count() as u64;
    let wanted = (2 * faults.len() as u64, 2 * unknown);
    let seen = || {
        let stats = rig.platform.stats();
        (stats.faults, stats.repeats)
    };
    eventually(|| if seen() == wanted { Ok(()) } else { Err(format!("{:?}", seen())) }).await;
    assert_eq!(rig.host().counters().notes_dead, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for_by_the_whole_account_and_doubles_nothing() {
    let rig = Rig::start(setup()).await;
    let (limited, free) = (Person::new("p", "limited"), Person::new("p", "free"));
    let (of_limited, of_free) = (rig.open(&limited).await, rig.open(&free).await);
    let patience = Duration::from_secs(2);
    let scope = Scope::Conversation(of_limited.clone());
    rig.platform.fail(scope, Fault::rate_limited(patience), 1);
    let clock = Clock::system();
    let began = clock.now();
    rig.emit(&limited.batch(0..1)).await;
    eventually(|| match rig.platform.stats().faults {
        1 => Ok(()),
        _ => Err("the platform wasn't asked".to_owned()),
    })
    .await;
    // The plugin doesn't say that the limit is the conversation's, so it is the account's.
    rig.emit(&free.batch(0..1)).await;
    rig.arrives(&of_limited, &limited, 1).await;
    rig.arrives(&of_free, &free, 1).await;
    assert!(clock.now().since(began) >= patience, "Retry-After was undercut");
    // The pause was no failed attempt, and the two notes were posted once each.
    eventually(|| match rig.host().counters().notes_posted {
        2 => Ok(()),
        posted => Err(format!("{posted} of 2 notes posted")),
    })
    .await;
    assert_eq!(rig.platform.stats().repeats, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_conversation_leaves_the_others_their_latency() {
    let setup = Setup {
        delivery: "retry_initial = \"20ms\"\ncall_timeout = \"3s\"".to_owned(),
        limits: "concurrency = 4".to_owned(),
        ..Setup::default()
    };
    let rig = Rig::start(setup).await;
    let hanging = Person::new("p", "hanging");
    let of_hanging = rig.open(&hanging).await;
    rig.platform.fail(Scope::Conversation(of_hanging.clone()), Fault::hang(), 1);
    rig.emit(&hanging.batch(0..1)).await;
    eventually(|| match rig.platform.stats().faults {
        1 => Ok(()),
        _ => Err("the platform wasn't asked".to_owned()),
    })
    .await;
    let people: Vec<Person> = (0..20).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
        rig.emit(&person.batch(0..2)).await;
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, 2).await;
    }
    assert_eq!(rig.arrived(&of_hanging), [] as [&str; 0], "the others were not behind it");
    rig.arrives(&of_hanging, &hanging, 1).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_becomes_a_dead_letter_and_the_session_goes_on() {
    let rig = Rig::start(setup()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(400), 1);
    rig.emit(&person.saying([(0, "refused".to_owned())])).await;
    let letters = rig.dead_letters(1).await;
    assert!(letters[0].note.body.contains("refused") && letters[0].reason.contains("400"));
    assert_eq!(letters[0].attempts, 1);
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.end().await;
}
