//! What a host knows survives its end.

use sidenote_tests::{Person, Setup, World};

#[tokio::test(flavor = "multi_thread")]
async fn notes_go_on_in_the_same_conversation_after_a_restart() {
    let mut world = World::start(Setup::default()).await;
    let people: Vec<Person> = (0..5).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        world.emit(&person.batch(0..2)).await;
        conversations.push(world.open(person).await);
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        world.arrives(conversation, person, 2).await;
    }
    world.stop_host().await;
    world.start_host().await;
    for person in &people {
        world.emit(&person.batch(2..4)).await;
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        world.arrives(conversation, person, 4).await;
    }
    assert_eq!(world.host().counters().links_made, 0, "the links came from the store");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_from_before_a_restart_wait_for_their_conversation() {
    let mut world = World::start(Setup::default()).await;
    let person = Person::new("p", "s");
    world.emit(&person.batch(0..3)).await;
    // Everything that was read is committed before the host ends.
    sidenote_tests::eventually(|| match world.host().counters().actions_taken {
        3 => Ok(()),
        taken => Err(format!("{taken} of 3 actions taken")),
    })
    .await;
    world.stop_host().await;
    world.start_host().await;
    let conversation = world.open(&person).await;
    world.emit(&person.batch(3..4)).await;
    world.arrives(&conversation, &person, 4).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_posts_what_was_taken() {
    let setup = Setup { delivery: "debounce = \"30s\"\nmax_wait = \"30s\"", ..Setup::default() };
    let mut world = World::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = world.open(&person).await;
    world.emit(&person.batch(0..3)).await;
    sidenote_tests::eventually(|| match world.host().counters().actions_taken {
        3 => Ok(()),
        taken => Err(format!("{taken} of 3 actions taken")),
    })
    .await;
    assert_eq!(world.arrived(&conversation), [] as [&str; 0], "the debounce holds the note back");
    world.stop_host().await;
    world.start_host().await;
    world.arrives(&conversation, &person, 3).await;
    world.end().await;
}
