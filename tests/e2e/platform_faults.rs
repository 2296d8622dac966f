//! A platform that refuses, fails, resets and hangs: every action arrives all the same.

use std::time::Duration;

use sidenote::clock::Clock;
use sidenote::sim::{Fault, Scope};
use sidenote_tests::{Person, Setup, World};

const DELIVERY: &str = r#"
retry_initial = "20ms"
retry_max = "200ms"
call_timeout = "500ms"
"#;

fn setup() -> Setup {
    Setup { delivery: DELIVERY, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_arrives_in_order_through_faults_of_every_kind() {
    let world = World::start(setup()).await;
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
        world.emit(&person.batch(0..3)).await;
        let conversation = world.conversation(&person);
        world.platform.fail(Scope::Conversation(conversation.clone()), fault.clone(), 2);
        world.link(&person, &conversation).await;
        told.push((person, conversation, *taken));
    }
    for (person, ..) in &told {
        world.emit(&person.batch(3..5)).await;
    }
    for (person, conversation, _) in &told {
        world.arrives(conversation, person, 5).await;
    }
    let stats = world.platform.stats();
    assert_eq!(stats.faults, 2 * faults.len() as u64, "every fault struck");
    // Only a note whose fate was unknown was sent twice: the platform knew it by its key.
    let unknown = told.iter().filter(|(.., taken)| *taken).count() as u64;
    assert_eq!(stats.repeats, 2 * unknown);
    assert_eq!(world.host().counters().notes_dead, 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for_and_holds_back_only_its_lane() {
    let world = World::start(setup()).await;
    let (limited, free) = (Person::new("p", "limited"), Person::new("p", "free"));
    let (of_limited, of_free) = (world.open(&limited).await, world.open(&free).await);
    let patience = Duration::from_secs(2);
    let scope = Scope::Conversation(of_limited.clone());
    world.platform.fail(scope, Fault::rate_limited(patience), 1);
    let clock = Clock::system();
    let began = clock.now();
    world.emit(&limited.batch(0..1)).await;
    sidenote_tests::eventually(|| match world.platform.stats().faults {
        1 => Ok(()),
        _ => Err("the platform wasn't asked".to_owned()),
    })
    .await;
    world.emit(&free.batch(0..1)).await;
    world.arrives(&of_free, &free, 1).await;
    assert_eq!(world.arrived(&of_limited), [] as [&str; 0], "the limited lane waits");
    world.arrives(&of_limited, &limited, 1).await;
    assert!(clock.now().since(began) >= patience, "Retry-After was undercut");
    assert_eq!(world.host().counters().notes_posted, 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_conversation_leaves_the_others_their_latency() {
    let setup = Setup {
        delivery: "retry_initial = \"20ms\"\ncall_timeout = \"3s\"",
        limits: "concurrency = 4",
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let hanging = Person::new("p", "hanging");
    let of_hanging = world.open(&hanging).await;
    world.platform.fail(Scope::Conversation(of_hanging.clone()), Fault::hang(), 1);
    world.emit(&hanging.batch(0..1)).await;
    sidenote_tests::eventually(|| match world.platform.stats().faults {
        1 => Ok(()),
        _ => Err("the platform wasn't asked".to_owned()),
    })
    .await;
    let people: Vec<Person> = (0..20).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(world.open(person).await);
        world.emit(&person.batch(0..2)).await;
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        world.arrives(conversation, person, 2).await;
    }
    assert_eq!(world.arrived(&of_hanging), [] as [&str; 0], "the others were not behind it");
    world.arrives(&of_hanging, &hanging, 1).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_becomes_a_dead_letter_and_the_session_goes_on() {
    let world = World::start(setup()).await;
    let person = Person::new("p", "s");
    let conversation = world.open(&person).await;
    world.platform.fail(Scope::Any, Fault::status(400), 1);
    world.emit(&person.saying([(0, "refused".to_owned())])).await;
    sidenote_tests::eventually(|| match world.host().counters().notes_dead {
        1 => Ok(()),
        dead => Err(format!("{dead} dead letters")),
    })
    .await;
    let letters = world.host().dead_letters(10).await.expect("the store can be read");
    assert_eq!(letters.len(), 1);
    assert!(letters[0].note.body.contains("refused") && letters[0].reason.contains("400"));
    assert_eq!(letters[0].attempts, 1);
    world.emit(&person.batch(0..2)).await;
    world.arrives(&conversation, &person, 2).await;
    world.end().await;
}
