//! What a person decides about notes, and lanes that wait for it.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{DeadHead, Delivery};
use sidenote::engine::{Decision, NoteRef};
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::note::FailureKind;
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    Answer, Platform, World, each_sealed, failed, ok_after, product, wait,
};

fn refused() -> Answer {
    failed(FailureKind::NotFound, None)
}

fn hold() -> Delivery {
    Delivery { dead_head: DeadHead::Hold, ..Delivery::default() }
}

fn world(script: impl IntoIterator<Item = Answer>, rules: Delivery) -> World {
    World::start(fresh_store(), Platform::new(script), rules)
}

fn note(seq: u64) -> NoteRef {
    let key =
        SessionKey { product: product("p"), session: SessionId::new("s").expect("not empty") };
    NoteRef::note(key, seq)
}

async fn acts(world: &World, texts: &[&str]) {
    for text in texts {
        world.act("s", text).await;
        wait(0.2).await;
    }
}

async fn linked(script: impl IntoIterator<Item = Answer>, rules: Delivery) -> World {
    let world = world(script, rules);
    world.act("s", "0").await;
    world.link("s", "c").await.expect("a link");
    wait(0.2).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_sent_again_under_its_key_and_leaves_nothing_behind() {
    let world = linked([refused()], Delivery::default()).await;
    acts(&world, &["1"]).await;
    assert_eq!(world.handle.decide(Decision::Retry, vec![note(1), note(1)]).await, Ok(1));
    wait(1.0).await;
    let posts = world.platform.posts();
    assert_eq!(world.platform.lines(), ["c: [1] 0", "c: [1] 1", "c: [1] 0"]);
    assert_eq!(posts[0].call.idempotency_key, posts[2].call.idempotency_key);
    for table in [Table::Dead, Table::Outbox, Table::Attempt] {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_are_sent_again_go_in_order_before_what_waits() {
    let script = [refused(), refused(), ok_after(60.0)];
    let world = linked(script, each_sealed(Delivery::default())).await;
    acts(&world, &["1", "2", "3", "4", "5", "6", "7"]).await;
    assert_eq!(world.dead().await.len(), 2, "0 and 1; 2 is under way");
    assert_eq!(world.handle.decide(Decision::Retry, vec![note(2), note(1)]).await, Ok(2));
    wait(120.0).await;
    let texts: Vec<_> = world.platform.lines()[3..].iter().map(|l| l[7..].to_owned()).collect();
    assert_eq!(texts, ["0", "1", "3", "4", "5", "6", "7"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_decision_survives_a_crash() {
    let store: Arc<dyn Store> = fresh_store();
    let platform = Platform::new([refused(), ok_after(3600.0)]);
    let world = World::start(store, platform, Delivery::default());
    acts(&world, &["0"]).await;
    world.link("s", "c").await.unwrap();
    acts(&world, &["1"]).await;
    assert_eq!(world.handle.decide(Decision::Retry, vec![note(1)]).await, Ok(1));
    let (store, _) = world.crash().await;
    let world = World::start(store, Platform::new([]), Delivery::default());
    wait(1.0).await;
    assert_eq!(world.end().await, ["c: [1] 0", "c: [1] 1"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_rules_say_so_a_dead_head_holds_its_lane_over_restarts_until_a_person_decides() {
    let store: Arc<dyn Store> = fresh_store();
    let world = World::start(store, Platform::new([refused()]), each_sealed(hold()));
    acts(&world, &["0"]).await;
    world.link("s", "c").await.unwrap();
    acts(&world, &["1", "2"]).await;
    wait(1000.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] 0"]);
    assert!(world.dead().await[0].holds_lane);
    let (store, _) = world.crash().await;

    let world = World::start(store, Platform::new([]), hold());
    wait(1000.0).await;
    assert_eq!(world.platform.lines(), Vec::<String>::new());
    assert_eq!(world.handle.decide(Decision::Retry, vec![note(1)]).await, Ok(1));
    wait(1.0).await;
    assert_eq!(world.rows(Table::Dead).await, 0);
    assert_eq!(world.end().await, ["c: [1] 0", "c: [1] 1", "c: [1] 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_purged_head_lets_its_lane_go_on() {
    let world = linked([refused()], hold()).await;
    acts(&world, &["1"]).await;
    assert_eq!(world.handle.decide(Decision::Purge, vec![note(1)]).await, Ok(1));
    wait(1.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] 0", "c: [1] 1"]);
    for table in [Table::Dead, Table::Outbox, Table::Attempt] {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn notes_behind_are_purged_and_one_in_flight_is_not() {
    let world = linked([ok_after(60.0)], each_sealed(Delivery::default())).await;
    acts(&world, &["1", "2", "3", "4", "5", "6", "7"]).await;
    let all = [1, 3, 7].map(note).to_vec();
    assert_eq!(world.handle.decide(Decision::Purge, all).await, Ok(2), "1 is under way");
    wait(120.0).await;
    let texts: Vec<_> = world.platform.lines().iter().map(|l| l[7..].to_owned()).collect();
    assert_eq!(texts, ["0", "1", "3", "4", "5", "7"]);
    assert_eq!(world.rows(Table::Outbox).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_that_waits_is_due_when_a_person_wants_it_sent() {
    let rules = Delivery {
        retry_initial: Duration::from_secs(600),
        retry_max: Duration::from_secs(600),
        ..Delivery::default()
    };
    let world = linked([failed(FailureKind::Transient, None)], rules).await;
    assert_eq!(world.handle.decide(Decision::Retry, vec![note(1)]).await, Ok(1));
    wait(1.0).await;
    assert_eq!(world.platform.lines().len(), 2);
    assert_eq!(world.handle.decide(Decision::Retry, vec![note(1)]).await, Ok(0), "it was sent");
    world.end().await;
}
