//! What a host knows survives its end.

use sidenote_tests::{Person, Rig, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn notes_go_on_in_the_same_conversation_after_a_restart() {
    let mut rig = Rig::start(Setup::default()).await;
    let people: Vec<Person> = (0..5).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        rig.emit(&person.batch(0..2)).await;
        conversations.push(rig.open(person).await);
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, 2).await;
    }
    rig.stop_host().await;
    rig.start_host().await;
    for person in &people {
        rig.emit(&person.batch(2..4)).await;
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, 4).await;
    }
    assert_eq!(rig.host().counters().links_made, 0, "the links came from the store");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_from_before_a_restart_wait_for_their_conversation() {
    let mut rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    rig.emit(&person.batch(0..3)).await;
    // Everything that was read is committed before the host ends.
    sidenote_tests::eventually(|| match rig.host().counters().actions_accepted {
        3 => Ok(()),
        taken => Err(format!("{taken} of 3 actions taken")),
    })
    .await;
    rig.stop_host().await;
    rig.start_host().await;
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(3..4)).await;
    rig.arrives(&conversation, &person, 4).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_posts_what_was_taken() {
    let setup =
        Setup { delivery: "debounce = \"30s\"\nmax_wait = \"30s\"".to_owned(), ..Setup::default() };
    let mut rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..3)).await;
    sidenote_tests::eventually(|| match rig.host().counters().actions_accepted {
        3 => Ok(()),
        taken => Err(format!("{taken} of 3 actions taken")),
    })
    .await;
    assert_eq!(rig.arrived(&conversation), [] as [&str; 0], "the debounce holds the note back");
    rig.stop_host().await;
    rig.start_host().await;
    rig.arrives(&conversation, &person, 3).await;
    rig.end().await;
}
