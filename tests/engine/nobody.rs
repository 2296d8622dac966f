//! Values that name nobody: whichever way they come in, nobody is known by them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Context, Delivery, History};
use sidenote::context::{Recent, follow};
use sidenote::engine::erase::{EraseError, Erasure, Subject};
use sidenote::engine::link::{Identity, LinkCommand, LinkError, LinkMode, Who};
use sidenote::ids::{ConversationId, SessionId, SessionKey};
use sidenote::session::identity::Names;
use sidenote::session::payload::{Action, ActionsPayload, Payload, parse_event};
use sidenote::store::{Change, Group, Key, Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{BEGIN, Platform, World, action, batch, product, settings, wait, wish};
use tokio::task::JoinSet;

/// Each in the ways in that a test tries, as a user id, and as an address too.
const NOBODIES: [&str; 14] = [
    "undefined",
    "null",
    "NULL",
    "None",
    "NaN",
    "0",
    "guest",
    "Anonymous",
    "   ",
    "\u{200b}",
    "\"null\"",
    "[object Object]",
    "{{user.id}}",
    "distinct_id",
];

fn start() -> World {
    on(fresh_store())
}

fn on(store: Arc<dyn Store>) -> World {
    let settings = settings(&Delivery::default()).with_history(History::default());
    World::start_with(BEGIN, store, Platform::new([]), settings)
}

fn key(session: &str) -> SessionKey {
    SessionKey { product: product("p"), session: SessionId::new(session).expect("not empty") }
}

fn named(session: &str, value: &str) -> ActionsPayload {
    let actions = [Action {
        user_id: Some(value.to_owned()),
        email: Some(value.to_owned()),
        ..action(&format!("by {session}"))
    }];
    let name = Some(value.to_owned());
    ActionsPayload { user_id: name.clone(), email: name, ..batch(session, actions) }
}

fn by_person(user_id: Option<&str>, email: Option<&str>) -> LinkCommand {
    let (user_id, email) = (user_id.map(str::to_owned), email.map(str::to_owned));
    let who = Who::Person { products: vec![product("p")], user_id, email };
    LinkCommand { who, ..wish("s", "c-1", LinkMode::Auto) }
}

/// Follows a world's contexts.
async fn contexts(world: &World) -> (Recent, JoinSet<()>) {
    let clock = Clock::starting_at(Timestamp::from_secs_f64(BEGIN));
    let config = Context { lookback: Duration::from_secs(600), ..Context::default() };
    let names = world.handle.settings().names().clone();
    let recent = Recent::of(&config, names, clock).expect("these settings are fine");
    let mut following = JoinSet::new();
    following.spawn(follow(world.handle.clone(), recent.clone()));
    recent.caught_up(world.handle.feed_position()).await;
    (recent, following)
}

/// Asserts that nobody is known by a value, in the rows and by whoever asks.
async fn assert_nobody(world: &World, value: &str) {
    assert_eq!(world.rows(Table::Person).await, 0, "{value:?}");
    for session in ["a", "b"] {
        let record = world.record(session).await;
        assert_eq!((record.user_id, record.email), (None, None), "{value:?}");
    }
    for request in [
        by_person(Some(value), None),
        by_person(None, Some(value)),
        by_person(Some(value), Some(value)),
    ] {
        let refused = world.handle.link(request).await;
        assert!(matches!(refused, Err(LinkError::NotFound(_))), "{value:?}: {refused:?}");
    }
    let (recent, _following) = contexts(world).await;
    recent.caught_up(world.handle.feed_position()).await;
    assert!(!recent.names_somebody(value));
    assert_eq!(recent.activity("p", value, recent.view()), "", "{value:?}");
    assert!(recent.actions("p", value, 10, recent.view()).is_none(), "{value:?}");
    for subject in [Subject::User(value.to_owned()), Subject::Email(value.to_owned())] {
        let erasure = Erasure { product: product("p"), subject, keep_notes: true };
        let refused = world.handle.erase(&erasure).await;
        assert!(matches!(refused, Err(EraseError::Nobody(_))), "{value:?}: {refused:?}");
        assert!(world.handle.preview_erase(&erasure).await.is_err());
    }
    assert_eq!(world.rows(Table::History).await, 2, "{value:?}: nothing was erased");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_known_by_a_value_that_names_nobody() {
    for value in NOBODIES {
        let world = start();
        for session in ["a", "b"] {
            world.take(named(session, value)).await;
        }
        assert_nobody(&world, value).await;
        assert!(world.handle.counters().nobody_ids.get() >= 8, "{value:?}");
        // What goes on from here is nobody's either.
        world.link("a", "c-1").await.unwrap();
        wait(1.0).await;
        let note = world.platform.posts().pop().expect("it is posted").note;
        assert_eq!((note.user_id, note.email), (None, None), "{value:?}");
        let (action, history) =
            (&note.actions.list()[0], world.handle.history(&key("b")).await.unwrap());
        assert_eq!((action.user_id, action.email), (None, None));
        let kept = &history.batches[0].batch;
        assert_eq!((&kept.user_id, &kept.actions[0].email), (&None, &None));
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_that_name_nobody_name_nobody_either() {
    let world = start();
    for session in ["a", "b"] {
        let event = json!({"type": "actions", "product_id": "p", "session_id": session, "user_id": 0,
            "actions": [{"description": "x", "user_id": -1}]});
        let Payload::Actions(batch) = parse_event(&event.to_string()).unwrap().payload else {
            panic!("actions")
        };
        world.take(batch).await;
    }
    assert_nobody(&world, "0").await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_lists_names_nobody_and_what_is_taken_off_somebody() {
    let names = Names::default().with_list(["demo"], ["guest"]);
    let settings = settings(&Delivery::default()).with_names(names);
    let store = fresh_store();
    let world = World::start_with(BEGIN, store, Platform::new([]), settings);
    world.take(ActionsPayload { email: None, ..named("a", "demo") }).await;
    world.take(ActionsPayload { email: None, ..named("b", "guest") }).await;
    assert!(world.handle.link(by_person(Some("DEMO"), None)).await.is_err());
    let linked = world.handle.link(by_person(Some("guest"), None)).await.unwrap();
    assert_eq!(linked.key, key("b"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_names_nobody_leaves_the_other_name_in_force() {
    let world = start();
    let email = Some("ann@example.com".to_owned());
    world.take(ActionsPayload { email, ..named("a", "undefined") }).await;
    assert_eq!(world.rows(Table::Person).await, 1);
    let request = by_person(Some("undefined"), Some("ann@example.com"));
    assert_eq!(world.handle.link(request).await.unwrap().key, key("a"));
    // And it takes no name away that was known.
    world.take(named("a", "null")).await;
    assert_eq!(world.record("a").await.email.as_deref(), Some("ann@example.com"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn people_whose_programs_know_of_no_session_or_conversation_are_never_pooled() {
    for value in NOBODIES {
        let world = start();
        world.handle.accept(Payload::Actions(named(value, "ann")), 100).await.unwrap();
        world.act("s", "x").await;
        assert_eq!(world.rows(Table::Session).await, 1, "{value:?}");
        assert_eq!(world.handle.counters().dropped_no_session.get(), 1, "{value:?}");
        let session = Err(LinkError::Nobody("session"));
        assert_eq!(world.link(value, "c").await, session, "{value:?}");
        let products = vec![product("p"), product("q")];
        let who = Who::SessionOf(products, SessionId::new(value).unwrap());
        let request = LinkCommand { who, ..wish("s", "c", LinkMode::Auto) };
        assert_eq!(world.handle.link(request).await, session, "{value:?}");
        let conversation = Err(LinkError::Nobody("conversation"));
        assert_eq!(world.link("s", value).await, conversation, "{value:?}");
        assert_eq!(world.rows(Table::Conversation).await, 0);
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_platform_tells_of_nobody_teaches_nothing() {
    let world = start();
    world.act("s", "x").await;
    let told = Identity::new(Some("undefined".into()), Some("noemail".into()));
    world.handle.link(LinkCommand { told, ..wish("s", "c", LinkMode::Auto) }).await.unwrap();
    let record = world.record("s").await;
    assert_eq!((record.user_id, record.email), (None, None));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn rows_that_an_earlier_version_stored_under_nobody_link_nobody() {
    // Such a version took every value: the operator's list is empty but for this.
    let before = Names::default().with_list([], ["undefined"]);
    let store: Arc<dyn Store> = fresh_store();
    let settings = settings(&Delivery::default()).with_history(History::default());
    let old = settings.clone().with_names(before);
    let world = World::start_with(BEGIN, store.clone(), Platform::new([]), old);
    for session in ["a", "b"] {
        world.take(ActionsPayload { email: None, ..named(session, "undefined") }).await;
    }
    world.link("a", "c-1").await.unwrap();
    assert_eq!(world.rows(Table::Person).await, 2);
    world.end().await;

    let world = on(store);
    let refused = world.handle.link(by_person(Some("undefined"), None)).await;
    assert!(matches!(refused, Err(LinkError::NotFound(_))), "{refused:?}");
    let (recent, _following) = contexts(&world).await;
    assert_eq!(recent.activity("p", "undefined", recent.view()), "");
    // Two people whom the program didn't know are no contradiction, and no link.
    world.take(batch("a", [action("y")])).await;
    world.take(ActionsPayload { user_id: Some("ann".into()), ..batch("b", [action("z")]) }).await;
    assert!(world.link("b", "c-1").await.is_ok());
    let record = world.record("b").await;
    assert_eq!(record.user_id.as_deref(), Some("ann"));
    let people = world.rows(Table::Person).await;
    assert_eq!(people, 1, "the index forgets what was under nobody");
    world.end().await;
}

/// What a hand that isn't ours put into the store.
#[tokio::test(start_paused = true)]
async fn an_owner_that_is_nobody_keeps_nobody_out() {
    let store: Arc<dyn Store> = fresh_store();
    let group = Group("bot".into(), "c".into());
    let owner = json!({"key": {"product": "p", "session": "old"}, "user_id": "undefined",
        "email": null, "since": 0});
    let row = Key { table: Table::Conversation, group, number: 7 };
    store.commit([Change::Put(row, owner.to_string().into())].into()).await.unwrap();
    let world = on(store);
    world.take(ActionsPayload { user_id: Some("ann".into()), ..batch("s", [action("x")]) }).await;
    assert!(world.link("s", "c").await.is_ok());
    let conversation = ConversationId::new("c").unwrap();
    assert!(world.record("s").await.link.is_some_and(|link| link.conversation == conversation));
    world.end().await;
}
