//! Whom a platform is believed: what links, what outranks what, and what a visitor's word can't do.

use sidenote::config::Delivery;
use sidenote::engine::core::rows::decode;
use sidenote::engine::link::{
    Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Linked, Vouched, Who, Word,
};
use sidenote::ids::{ConversationId, SessionId, SessionKey};
use sidenote::session::identity::{Basis, Belief, UserIds};
use sidenote::session::payload::ActionsPayload;
use sidenote::session::state::Record;
use sidenote::store::Table;
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    BEGIN, Platform, World, action, batch, ok_after, product, settings, wait, wish,
};

const UUID: &str = "018f3a6e-7b1c-7cc2-9d5e-2f6a0b1c2d3e";
const VICTIM: &str = "victim@example.com";

const NOTHING: Vouched = Vouched { session_id: false, user_id: false, email: false };
const USER: Vouched = Vouched { user_id: true, ..NOTHING };
const EMAIL: Vouched = Vouched { email: true, ..NOTHING };
const SESSION: Vouched = Vouched { session_id: true, ..NOTHING };

fn believing(belief: Belief) -> World {
    let settings = settings(&Delivery::default()).with_belief("bot", belief);
    World::start_with(BEGIN, fresh_store(), Platform::new([]), settings)
}

fn with_ids(user_ids: UserIds) -> World {
    believing(Belief { user_ids, ..Belief::default() })
}

fn start() -> World {
    believing(Belief::default())
}

/// One action of somebody, as the activity source knows them; an empty name is none.
async fn act(world: &World, session: &str, user_id: &str, email: &str) {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (user_id, email) = (some(user_id), some(email));
    let actions = [action(&format!("by {session}"))];
    world.take(ActionsPayload { user_id, email, ..batch(session, actions) }).await;
}

/// What a webhook tells; an empty name is none.
#[derive(Clone, Copy, Default)]
struct Told {
    session: &'static str,
    user_id: &'static str,
    email: &'static str,
    vouched: Vouched,
}

async fn hook(world: &World, conversation: &str, told: Told) -> Result<Linked, LinkError> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let identity = Identity::new(some(told.user_id), some(told.email));
    let products = vec![product("p")];
    let who = match SessionId::new(told.session) {
        Ok(session) => Who::SessionOf(products, session),
        Err(_) => {
            let Identity { user_id, email, .. } = identity.clone();
            Who::Person { products, user_id, email }
        }
    };
    let request = LinkCommand {
        plugin: "bot".into(),
        conversation: ConversationId::new(conversation).expect("not empty"),
        who,
        mode: LinkMode::Auto,
        told: identity,
        word: Word::Platform(told.vouched),
    };
    world.handle.link(request).await
}

async fn linked_to(world: &World, session: &str) -> Option<String> {
    world.record(session).await.link.map(|link| link.conversation.as_str().to_owned())
}

async fn basis(world: &World, session: &str) -> Option<Basis> {
    world.record(session).await.link.map(|link| link.basis)
}

fn event(linked: Result<Linked, LinkError>) -> LinkEvent {
    linked.expect("it is linked").event
}

#[tokio::test(start_paused = true)]
async fn what_a_visitor_says_of_himself_links_nobody_unless_the_operator_accepts_it() {
    let claims = [
        Told { email: VICTIM, ..Told::default() },
        Told { email: "VICTIM@Example.com", ..Told::default() },
        Told { user_id: "victim", ..Told::default() },
        Told { user_id: "victim", email: VICTIM, ..Told::default() },
        // Only the address of the two is vouched for, and finds nobody.
        Told { user_id: "victim", email: "mallory@example.com", vouched: EMAIL, ..Told::default() },
    ];
    for claim in claims {
        let world = start();
        act(&world, "s", "victim", VICTIM).await;
        let refused = hook(&world, "mallorys", claim).await;
        assert!(matches!(refused, Err(LinkError::Claimed | LinkError::NotFound(_))), "{refused:?}");
        assert_eq!(
            (linked_to(&world, "s").await, world.rows(Table::Conversation).await),
            (None, 0)
        );
        world.end().await;

        let world = believing(Belief { accept_claims: true, ..Belief::default() });
        act(&world, "s", "victim", VICTIM).await;
        assert_eq!(event(hook(&world, "c", claim).await), LinkEvent::New);
        assert_eq!(basis(&world, "s").await, Some(Basis::Unverified));
        assert_eq!(world.end().await, ["c: [1] by s"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_vouches_for_links() {
    for (told, basis_of_it) in [
        (Told { user_id: "ann", vouched: USER, ..Told::default() }, Basis::Verified),
        (Told { email: "ANN@example.com", vouched: EMAIL, ..Told::default() }, Basis::Verified),
        (Told { session: "s", ..Told::default() }, Basis::Unverified),
        (Told { session: "s", vouched: SESSION, ..Told::default() }, Basis::Verified),
        (Told { session: "s", user_id: "ann", vouched: USER, ..Told::default() }, Basis::Verified),
        (Told { session: "s", user_id: "ann", ..Told::default() }, Basis::Unverified),
        (Told { session: "s", user_id: "42", vouched: USER, ..Told::default() }, Basis::Unverified),
        (
            Told {
                user_id: "nobody-known",
                email: "ann@example.com",
                vouched: Vouched::ALL,
                ..Told::default()
            },
            Basis::Verified,
        ),
    ] {
        let world = start();
        act(&world, "s", "ann", "ann@example.com").await;
        assert_eq!(event(hook(&world, "c", told).await), LinkEvent::New);
        assert_eq!(basis(&world, "s").await, Some(basis_of_it));
        assert_eq!(world.end().await, ["c: [1] by s"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_joins_what_the_ids_of_two_systems_do_not() {
    for user_id in ["ann@example.com", UUID, "u-17", ""] {
        let world = start();
        act(&world, "s", user_id, "ann@example.com").await;
        let told = Told {
            user_id: "42",
            email: "Ann@Example.com",
            vouched: Vouched::ALL,
            ..Told::default()
        };
        assert_eq!(event(hook(&world, "c", told).await), LinkEvent::New, "{user_id}");
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_stands_for_an_id_is_an_address_all_the_same() {
    let ann = "ann@example.com";
    for (user_id, email, told) in [
        (ann, "", Told { email: ann, vouched: EMAIL, ..Told::default() }),
        ("17", ann, Told { user_id: ann, vouched: USER, ..Told::default() }),
        ("", ann, Told { user_id: "ANN@example.com", vouched: USER, ..Told::default() }),
    ] {
        let world = start();
        act(&world, "s", user_id, email).await;
        assert_eq!(event(hook(&world, "c", told).await), LinkEvent::New, "{user_id} {email}");
        assert_eq!(basis(&world, "s").await, Some(Basis::Verified));
        let claimed = Told { vouched: NOTHING, ..told };
        assert_eq!(hook(&world, "mallorys", claimed).await, Err(LinkError::Claimed));
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_platform_names_is_linked_whatever_id_it_has_there() {
    for (user_id, user_ids, links) in [
        (UUID, UserIds::Matching, true),
        (UUID, UserIds::Product, true),
        (UUID, UserIds::Platform, true),
        ("17", UserIds::Matching, true),
        ("17", UserIds::Product, false),
        ("17", UserIds::Platform, true),
        ("44", UserIds::Product, true),
        ("ann@example.com", UserIds::Product, true),
    ] {
        let world = with_ids(user_ids);
        act(&world, "s", user_id, "ann@example.com").await;
        let told = Told { session: "s", user_id: "44", vouched: Vouched::ALL, ..Told::default() };
        let linked = hook(&world, "c", told).await;
        assert_eq!(linked.is_ok(), links, "{user_id} {user_ids:?}: {linked:?}");
        // What is only claimed contradicts nobody.
        let claimed = Told { session: "s", user_id: "45", ..Told::default() };
        assert!(hook(&world, "c", claimed).await.is_ok());
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn ids_of_the_platforms_own_are_neither_looked_up_nor_learned() {
    let world = with_ids(UserIds::Platform);
    act(&world, "s", "42", "").await;
    let told = Told { user_id: "42", vouched: USER, ..Told::default() };
    assert!(matches!(hook(&world, "c", told).await, Err(LinkError::NotFound(_))));
    act(&world, "t", "", "ann@example.com").await;
    let told = Told { email: "ann@example.com", vouched: Vouched::ALL, ..told };
    assert!(hook(&world, "c", told).await.is_ok());
    assert_eq!(world.record("t").await.user_id, None);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_verified_person_outranks_whatever_a_visitor_linked_before() {
    let attacks = [
        (Told { email: VICTIM, ..Told::default() }, true),
        (Told { user_id: "victim", ..Told::default() }, true),
        (Told { session: "s", ..Told::default() }, false),
        (Told { session: "s", user_id: "mallory", vouched: USER, ..Told::default() }, false),
    ];
    let truths = [
        Told { user_id: "victim", vouched: USER, ..Told::default() },
        Told { email: VICTIM, vouched: EMAIL, ..Told::default() },
        Told { session: "s", vouched: SESSION, ..Told::default() },
        Told { session: "s", user_id: "victim", vouched: USER, ..Told::default() },
    ];
    for (attack, accept_claims) in attacks {
        for truth in truths {
            let world = believing(Belief { accept_claims, ..Belief::default() });
            act(&world, "s", "victim", VICTIM).await;
            assert_eq!(event(hook(&world, "mallorys", attack).await), LinkEvent::New);
            wait(5.0).await;
            world.act("s", "seen late").await;
            assert_eq!(event(hook(&world, "victims", truth).await), LinkEvent::Moved);
            let link = world.record("s").await.link.expect("it is linked");
            assert_eq!((link.basis, link.moves), (Basis::Verified, 1));
            assert_eq!(world.handle.counters().links_outranked.get(), 1);
            // Neither he nor another one gets it back, in a conversation that is opened again or a new one.
            for conversation in ["mallorys", "another"] {
                assert_eq!(event(hook(&world, conversation, attack).await), LinkEvent::Kept);
            }
            world.act("s", "after").await;
            let posted = world.end().await;
            assert_eq!(
                posted,
                ["mallorys: [1] by s", "victims: [1] seen late", "victims: [1] after"]
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sealed_for_the_claimed_conversation_is_sent_in_its_order() {
    let settings = settings(&Delivery::default());
    let platform = Platform::new([ok_after(1.0)]);
    let world = World::start_with(BEGIN, fresh_store(), platform, settings);
    act(&world, "s", "victim", "").await;
    hook(&world, "mallorys", Told { session: "s", ..Told::default() }).await.unwrap();
    let truth = Told { user_id: "victim", vouched: USER, ..Told::default() };
    hook(&world, "victims", truth).await.unwrap();
    world.act("s", "b").await;
    assert_eq!(world.end().await, ["mallorys: [1] by s", "victims: [1] b"]);
}

#[tokio::test(start_paused = true)]
async fn links_of_equal_rank_are_sticky_whoever_comes_second() {
    let session = Told { session: "s", ..Told::default() };
    let claim = Told { email: VICTIM, ..Told::default() };
    let truth = Told { user_id: "victim", vouched: USER, ..Told::default() };
    for (first, second, kept) in [
        (session, session, true),
        (session, claim, true),
        (claim, session, true),
        (truth, truth, true),
        (truth, session, true),
        (truth, claim, true),
        (session, truth, false),
        (claim, truth, false),
    ] {
        let world = believing(Belief { accept_claims: true, ..Belief::default() });
        act(&world, "s", "victim", VICTIM).await;
        hook(&world, "c1", first).await.unwrap();
        let event = event(hook(&world, "c2", second).await);
        assert_eq!(event == LinkEvent::Kept, kept);
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_operators_word_is_above_all() {
    let truth = Told { user_id: "ann", vouched: USER, ..Told::default() };
    let world = start();
    act(&world, "s", "ann", "").await;
    hook(&world, "c1", truth).await.unwrap();
    let moved = world.handle.link(wish("s", "c2", LinkMode::Auto)).await;
    assert_eq!(event(moved), LinkEvent::Moved);
    assert_eq!(event(hook(&world, "c1", truth).await), LinkEvent::Kept);
    assert_eq!(event(world.link("s", "c3").await), LinkEvent::Kept);
    assert_eq!(linked_to(&world, "s").await.as_deref(), Some("c2"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_conversation_vouched_for_later_is_as_sure_as_if_it_had_been_at_once() {
    let world = start();
    act(&world, "s", "ann", "").await;
    hook(&world, "c1", Told { session: "s", ..Told::default() }).await.unwrap();
    let truth = Told { user_id: "ann", vouched: USER, ..Told::default() };
    assert_eq!(event(hook(&world, "c1", truth).await), LinkEvent::ReplyExisting);
    assert_eq!(basis(&world, "s").await, Some(Basis::Verified));
    let (store, _) = world.crash().await;
    let world = World::start(store, Platform::new([]), Delivery::default());
    let other = Told { session: "s", user_id: "ann", vouched: USER, ..Told::default() };
    assert_eq!(event(hook(&world, "c2", other).await), LinkEvent::Kept, "it is stored");
    // And the conversation is known to be hers.
    act(&world, "t", "bob", "").await;
    let bob = Told { user_id: "bob", vouched: USER, ..Told::default() };
    assert_eq!(hook(&world, "c1", bob).await, Err(LinkError::Foreign));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_somebody_claimed_keeps_its_true_person_not_out() {
    for restarts in [false, true] {
        let mut world = start();
        act(&world, "s", "mallory", "").await;
        act(&world, "t", "ann", "").await;
        hook(&world, "anns", Told { session: "s", ..Told::default() }).await.unwrap();
        if restarts {
            let (store, _) = world.crash().await;
            world = World::start(store, Platform::new([]), Delivery::default());
        }
        let ann = Told { user_id: "ann", vouched: USER, ..Told::default() };
        assert_eq!(event(hook(&world, "anns", ann).await), LinkEvent::ReplyExisting);
        assert_eq!(linked_to(&world, "s").await, None, "it isn't mallory's conversation");
        assert_eq!(world.rows(Table::Conversation).await, 1);
        assert_eq!(world.handle.counters().links_outranked.get(), 1);
        world.act("s", "elsewhere").await;
        world.act("t", "hers").await;
        // He doesn't come back into it either.
        let again = hook(&world, "anns", Told { session: "s", ..Told::default() }).await;
        assert_eq!(again, Err(LinkError::Foreign));
        let posted = world.end().await;
        assert!(!posted.iter().any(|note| note.contains("elsewhere")), "{posted:?}");
        assert_eq!(posted.last().map(String::as_str), Some("anns: [1] hers"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_names_somebodys_session_is_never_taken_for_its_person() {
    let world = start();
    // Nobody is known of the session yet.
    act(&world, "s", "", "").await;
    let mallory = Told {
        session: "s",
        user_id: "mallory",
        email: "mallory@example.com",
        vouched: Vouched { session_id: false, ..Vouched::ALL },
    };
    hook(&world, "mallorys", mallory).await.unwrap();
    let record = world.record("s").await;
    assert_eq!((record.user_id, record.email), (None, None));
    let by_name = Told { session: "", ..mallory };
    assert!(matches!(hook(&world, "mallorys", by_name).await, Err(LinkError::NotFound(_))));
    // Where the platform vouches for the session too, it is theirs, until the source says another.
    hook(&world, "mallorys", Told { vouched: Vouched::ALL, ..mallory }).await.unwrap();
    let record = world.record("s").await;
    assert_eq!(record.user_id.as_deref(), Some("mallory"));
    assert_eq!(record.told_by.as_deref(), Some("bot"), "it is the platform's word");
    act(&world, "s", "ann", "").await;
    let record = world.record("s").await;
    assert_eq!((record.user_id.as_deref(), record.told_by), (Some("ann"), None));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_an_earlier_version_stored_gives_way_to_a_verified_one() {
    let key = SessionKey { product: product("p"), session: SessionId::new("s").expect("an id") };
    let world = start();
    act(&world, "s", "ann", "").await;
    world.link("s", "old").await.unwrap();
    let (store, _) = world.crash().await;
    let group = sidenote::store::Group(key.product.shared(), key.session.shared());
    let rows = store.load(Table::Session, std::slice::from_ref(&group)).await.unwrap();
    let record: Record = decode(&rows[0][0].1).unwrap();
    let mut record = serde_json::to_value(&record).unwrap();
    record["link"].as_object_mut().expect("a link").remove("basis");
    let row = sidenote::store::Key { table: Table::Session, group, number: 0 };
    let put = sidenote::store::Change::Put(row, serde_json::to_vec(&record).unwrap());
    store.commit([put].into()).await.unwrap();
    let world = World::start(store, Platform::new([]), Delivery::default());
    let truth = Told { user_id: "ann", vouched: USER, ..Told::default() };
    assert_eq!(event(hook(&world, "hers", truth).await), LinkEvent::Moved);
    world.end().await;
}
