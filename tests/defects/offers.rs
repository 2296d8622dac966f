//! The rows about the gate before offers.

use std::sync::Arc;

use sidenote::clock::Timestamp;
use sidenote::config::{Delivery, Product};
use sidenote::engine::Settings;
use sidenote::engine::core::helping::OfferWish;
use sidenote::ids::{SessionId, SessionKey};
use sidenote::offers::content::Offer;
use sidenote::offers::refusal::Refusal;
use sidenote::rules::Offers;
use sidenote::session::fsm::{Fsm, Limits, State};
use sidenote::store::MemoryStore;
use sidenote_tests::world::{BEGIN, Platform, World, product};

fn wish() -> OfferWish {
    let key = SessionKey { product: product("p"), session: SessionId::new("s").expect("an id") };
    OfferWish {
        key,
        offer: Offer::new("t", "Need help?", []).expect("it says something"),
        as_of: None,
        ask_only: false,
    }
}

#[tokio::test(start_paused = true)]
async fn d97_a_session_that_is_linked_nowhere_is_offered_nothing_and_stays_as_it_is() {
    let with_offers =
        Product::of(vec!["bot".into()], Delivery::default()).with_offers(Offers::default());
    let settings = Settings::of_products([(product("p"), with_offers)]);
    let store = Arc::new(MemoryStore::new());
    let world = World::start_with(BEGIN, store, Platform::new([]), settings);
    let now = Timestamp::from_secs_f64(BEGIN);

    assert_eq!(world.handle.offer(wish()).await.unwrap(), Err(Refusal::NotLinked), "unknown");
    world.act("s", "a").await;
    let refused = world.handle.offer(wish()).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), "not_linked");
    let helped = world.handle.helped(&wish().key, now).await.unwrap().expect("it is known");
    assert_eq!((helped.standing.state, helped.target), (State::Thinking, None));
    assert!(!helped.decisions.is_empty(), "the refusal is on record");
    // The state machine's own answer stays: it knows of no links.
    assert_eq!(Fsm::new(Limits::default(), now).can_deliver_proactive(), Ok(()));

    world.link("s", "c").await.unwrap();
    let linked = world.handle.offer(wish()).await.unwrap();
    assert_ne!(linked, Err(Refusal::NotLinked));
    world.end().await;
}
