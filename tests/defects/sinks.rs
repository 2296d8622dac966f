//! Consumers beside a chatbot.

use std::sync::Arc;

use sidenote::config::Delivery;
use sidenote::store::MemoryStore;
use sidenote_tests::world::{BEGIN, Platform, World, settings_with, wait};

#[tokio::test(start_paused = true)]
async fn d50_every_consumer_of_a_summary_gets_it_beside_the_others() {
    let platform = Platform::new([]);
    platform.sinks.add(&["sink1", "sink2", "sink3"]);
    let settings = settings_with(&Delivery::default(), &["bot", "sink1", "sink2", "sink3"]);
    let store = Arc::new(MemoryStore::new());
    let world = World::start_with(BEGIN, store, platform.clone(), settings);
    world.link("s", "c").await.expect("a link");
    world.act("s", "a").await;
    wait(1.0).await;
    world.summary("s", "they did a", 1).await;
    wait(1.0).await;
    for sink in ["sink1", "sink2", "sink3"] {
        assert_eq!(platform.sinks.kept(sink, "s"), ["a", "summary: they did a"], "{sink}");
    }
    let notes = world.end().await;
    assert_eq!((notes.len(), notes[0].as_str()), (2, "c: [1] a"), "{notes:?}");
    assert!(notes[1].contains("they did a"), "{notes:?}");
}
