//! The rows about where a session's notes go, and who may say so.

use std::sync::{Arc, Mutex};

use serde_json::json;
use sidenote::access::Actor;
use sidenote::config::{Delivery, Server};
use sidenote::engine::Handle;
use sidenote::engine::erase::{EraseError, Erased, Erasure};
use sidenote::engine::ledger::{Decided, Filter, LedgerError, Listing, Order, Want};
use sidenote::engine::link::{
    Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Linked, Who, Word,
};
use sidenote::http::{
    Backend, LinkRequest, Part, PluginsReport, PushAnswer, PushRequest, Readiness, WebhookAnswer,
    serve,
};
use sidenote::ids::{ConversationId, InvalidId, SessionId, SessionKey};
use sidenote::plugin::WebhookRequest;
use sidenote::session::payload::ActionsPayload;
use sidenote::store::{Change, Group, Key, MemoryStore, Rows, Store, StoreError, Table};
use sidenote::stream::CancellationToken;
use sidenote_sim::post_json;
use sidenote_tests::world::{BEGIN, Platform, World, action, batch, ok_after, product, wait, wish};
use tokio::task::JoinSet;

use crate::delivery::world;

/// One action of somebody.
async fn act(world: &World, session: &str, user_id: Option<&str>, email: Option<&str>) {
    let (user_id, email) = (user_id.map(str::to_owned), email.map(str::to_owned));
    let actions = [action(&format!("by {session}"))];
    world.take(ActionsPayload { user_id, email, ..batch(session, actions) }).await;
}

async fn link_person(
    world: &World,
    user_id: Option<&str>,
    email: Option<&str>,
    conversation: &str,
) -> Result<String, LinkError> {
    let who = Who::Person {
        products: vec![product("p")],
        user_id: user_id.map(str::to_owned),
        email: email.map(str::to_owned),
    };
    let request = LinkCommand { who, ..wish("s", conversation, LinkMode::Auto) };
    let linked = world.handle.link(request);
    linked.await.map(|linked| linked.key.session.as_str().to_owned())
}

async fn conversation_of(world: &World, session: &str) -> Option<String> {
    world.record(session).await.link.map(|link| link.conversation.as_str().to_owned())
}

/// Remembers which tables each commit changes.
#[derive(Default)]
struct Watched {
    rows: MemoryStore,
    commits: Mutex<Vec<Vec<Table>>>,
}

#[async_trait::async_trait]
impl Store for Watched {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        self.rows.load(table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.rows.scan(table, after, limit).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        let tables = changes.iter().map(|change| change.key().table).collect();
        self.commits.lock().expect("nothing panics while it holds this lock").push(tables);
        self.rows.commit(changes).await
    }
}

#[tokio::test(start_paused = true)]
async fn d04_a_link_is_stored_both_ways_in_one_transaction_and_outlives_the_process() {
    let store = Arc::new(Watched::default());
    let world = World::start(store.clone(), Platform::new([]), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    let links = |tables: &&Vec<Table>| tables.contains(&Table::Conversation);
    let commits = store.commits.lock().unwrap().clone();
    let link: Vec<_> = commits.iter().filter(links).collect();
    assert_eq!(link.len(), 1);
    for table in [Table::Session, Table::Open, Table::Outbox] {
        assert!(link[0].contains(&table), "{table:?} isn't in {:?}", link[0]);
    }
    let (store, _) = world.crash().await;

    let world = World::start_at(BEGIN + 5.0, store, Platform::new([]), Delivery::default());
    let again = world.link("s", "c").await.unwrap();
    assert_eq!(again.event, LinkEvent::ReplyExisting);
    let tab = world.link("another tab", "c").await.unwrap();
    assert_eq!(tab.event, LinkEvent::ReplyExisting, "the conversation is known");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d06_what_is_detected_never_moves_a_link() {
    let world = world([]);
    world.link("s", "42").await.unwrap();
    for mode in [LinkMode::Auto, LinkMode::Reply] {
        for other in ["43", "042", " 42", "42.0"] {
            let kept = world.handle.link(wish("s", other, mode)).await.unwrap();
            assert_eq!((kept.event, kept.conversation.as_str()), (LinkEvent::Kept, "42"));
        }
    }
    world.act("s", "a").await;
    assert_eq!(world.record("s").await.link.unwrap().moves, 0);
    assert_eq!(world.end().await, ["42: [1] a"]);
}

#[tokio::test(start_paused = true)]
async fn d06_a_move_is_explicit_is_recorded_and_sends_what_waits_to_the_old_conversation() {
    let world = world([ok_after(1.0)]);
    world.link("s", "c1").await.unwrap();
    world.act("s", "a").await;
    wait(0.2).await;
    world.act("s", "b").await;
    let moved = world.handle.link(wish("s", "c2", LinkMode::Move)).await.unwrap();
    assert_eq!((moved.event, moved.conversation.as_str()), (LinkEvent::Moved, "c2"));
    world.act("s", "d").await;
    let record = world.record("s").await;
    assert_eq!(record.link.unwrap().moves, 1);
    assert_eq!(record.past.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["c1"]);
    assert_eq!(world.end().await, ["c1: [1] a", "c1: [1] b", "c2: [1] d"]);
}

#[tokio::test(start_paused = true)]
async fn d06_moving_back_and_forth_keeps_the_conversation_known() {
    let world = world([]);
    act(&world, "s", Some("u1"), None).await;
    world.link("s", "c0").await.unwrap();
    for n in 1..29 {
        let to = format!("c{}", n % 3);
        world.handle.link(wish("s", &to, LinkMode::Move)).await.unwrap();
    }
    assert_eq!(conversation_of(&world, "s").await.as_deref(), Some("c1"));
    let (store, _) = world.crash().await;
    let world = World::start(store, Platform::new([]), Delivery::default());
    act(&world, "t", Some("u2"), None).await;
    assert_eq!(world.link("t", "c1").await, Err(LinkError::Foreign));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d07_a_session_never_enters_another_persons_conversation() {
    let world = world([]);
    act(&world, "s1", Some("u1"), None).await;
    act(&world, "s2", Some("u2"), None).await;
    world.link("s1", "c1").await.unwrap();
    world.link("s2", "c2").await.unwrap();
    let kept = world.link("s1", "c2").await.unwrap();
    assert_eq!((kept.event, kept.conversation.as_str()), (LinkEvent::Kept, "c1"));

    act(&world, "s3", Some("u1"), None).await;
    for mode in [LinkMode::Auto, LinkMode::Reply] {
        assert_eq!(world.handle.link(wish("s3", "c2", mode)).await, Err(LinkError::Foreign));
    }
    assert_eq!(world.handle.counters().links_refused.get(), 2);
    assert_eq!(conversation_of(&world, "s3").await, None);
    assert_eq!(world.link("s3", "c1").await.unwrap().event, LinkEvent::ReplyExisting);

    act(&world, "s1", Some("u1"), None).await;
    for line in world.end().await {
        let right = ["c1: [1] by s1", "c1: [1] by s3", "c2: [1] by s2"];
        assert!(right.contains(&line.as_str()), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn d07_a_person_who_is_learned_of_after_the_link_owns_the_conversation_all_the_same() {
    for restarts in [false, true] {
        let mut world = world([]);
        act(&world, "s1", None, None).await;
        world.link("s1", "c").await.unwrap();
        act(&world, "s1", Some("u1"), None).await;
        act(&world, "s2", Some("u2"), None).await;
        if restarts {
            let (store, _) = world.crash().await;
            world = World::start(store, Platform::new([]), Delivery::default());
        }
        assert_eq!(world.link("s2", "c").await, Err(LinkError::Foreign), "restarts: {restarts}");
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn d08_an_empty_id_is_a_typed_error_before_anything_happens() {
    let invalid = InvalidId { kind: "ConversationId", cause: "it is empty" };
    assert_eq!(ConversationId::new(""), Err(invalid));
    assert!(SessionId::new("").is_err());
    assert!(ConversationId::new("c".repeat(ConversationId::MAX_BYTES + 1)).is_err());
    let stored: Result<ConversationId, _> = serde_json::from_value(json!(""));
    assert!(stored.is_err(), "not even a store can bring one in");
}

/// Links through the engine behind the real routes.
struct Links(Handle);

#[async_trait::async_trait]
impl Backend for Links {
    async fn webhook(&self, _: &str, _: WebhookRequest) -> WebhookAnswer {
        WebhookAnswer::UnknownPlugin
    }

    async fn ingest(&self, _: PushRequest) -> PushAnswer {
        panic!("no row pushes here")
    }

    async fn link(&self, wish: LinkRequest, _: &Actor) -> Result<Linked, LinkError> {
        let LinkRequest { session_id, conversation_id: conversation, mode, .. } = wish;
        let who = Who::Session(SessionKey { product: product("p"), session: session_id });
        self.0
            .link(LinkCommand {
                plugin: "bot".into(),
                conversation,
                who,
                mode,
                told: Identity::default(),
                word: Word::Operator,
            })
            .await
    }

    async fn outbox(&self, _: &Filter, _: &Want) -> Result<Listing, LedgerError> {
        panic!("no row asks for the outbox here")
    }

    async fn preview(&self, _: &Order) -> Result<Decided, LedgerError> {
        panic!("no row asks for the outbox here")
    }

    async fn decide(&self, _: &Order, _: &Actor) -> Result<Decided, LedgerError> {
        panic!("no row asks for the outbox here")
    }

    async fn erase(&self, erasure: &Erasure, _: bool, _: &Actor) -> Result<Erased, EraseError> {
        self.0.erase(erasure).await
    }

    fn readiness(&self) -> Readiness {
        Readiness { streams: Vec::new(), store: Part::Ready, plugins: Vec::new() }
    }

    fn plugins(&self) -> PluginsReport {
        PluginsReport {
            plugins: Vec::new(),
            reloads: Default::default(),
            cache: Default::default(),
        }
    }
}

#[tokio::test]
async fn d08_over_http_an_unusable_id_is_refused_and_changes_nothing() {
    let world = world([]);
    world.act("s", "a").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sessions/link", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    let links = Arc::new(Links(world.handle.clone()));
    server.spawn(serve(listener, links, Server::default(), stop.clone()));
    let post = async |body: serde_json::Value| {
        let answer = post_json(&url, &[], body.to_string().into()).await.unwrap();
        (answer.status, serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap())
    };
    for field in ["conversation_id", "session_id"] {
        for unusable in [json!(""), json!(null), json!(4.5), json!(true), json!(["c"]), json!({})] {
            let mut body = json!({"session_id": "s", "conversation_id": "c"});
            body[field] = unusable.clone();
            let (status, answer) = post(body).await;
            let code = &answer["error"]["code"];
            assert_eq!((status, code.as_str()), (422, Some("invalid_id")), "{field} {unusable}");
        }
    }
    assert_eq!(conversation_of(&world, "s").await, None);
    assert_eq!(world.rows(Table::Conversation).await, 0);
    assert_eq!(world.rows(Table::Open).await, 1);
    let (status, answer) = post(json!({"session_id": "s", "conversation_id": "c"})).await;
    assert_eq!((status, answer["event"].as_str()), (200, Some("NEW")));
    stop.cancel();
    server.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(world.end().await, ["c: [1] a"]);
}

#[tokio::test(start_paused = true)]
async fn d47_two_links_at_once_post_once_and_to_one_conversation() {
    let world = world([ok_after(1.0)]);
    world.act("s", "a").await;
    let (first, second) = tokio::join!(world.link("s", "c1"), world.link("s", "c2"));
    assert_eq!(first.unwrap().event, LinkEvent::New);
    let second = second.unwrap();
    assert_eq!((second.event, second.conversation.as_str()), (LinkEvent::Kept, "c1"));
    let third = world.link("s", "c1").await.unwrap();
    assert_eq!(third.event, LinkEvent::ReplyExisting);
    wait(60.0).await;
    assert_eq!(world.end().await, ["c1: [1] a"]);
}

#[tokio::test(start_paused = true)]
async fn d59_who_it_is_is_learned_when_it_arrives_later_and_never_forgotten() {
    let world = world([]);
    act(&world, "s", None, None).await;
    act(&world, "s", None, Some("Ann@Example.com")).await;
    // Without actions, it only tells who it is.
    let user_id = Some("ann".to_owned());
    world.take(ActionsPayload { user_id, ..batch("s", []) }).await;
    act(&world, "s", None, None).await;
    assert_eq!(link_person(&world, Some("ann"), None, "c").await.as_deref(), Ok("s"));
    act(&world, "s", None, None).await;
    wait(1.0).await;
    for post in world.platform.posts() {
        assert_eq!(post.note.user_id.as_deref(), Some("ann"));
        assert_eq!(post.note.email.as_deref(), Some("Ann@Example.com"));
    }
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn d07_a_platform_that_names_another_person_links_nothing_and_teaches_nothing() {
    let world = world([]);
    act(&world, "s", Some("ann"), None).await;
    let told = Identity::new(Some("bob".into()), None);
    let request = LinkCommand { told, ..wish("s", "bobs", LinkMode::Auto) };
    assert_eq!(world.handle.link(request).await, Err(LinkError::Foreign));
    // Nobody's session, but the conversation is another person's by the address.
    act(&world, "t", None, Some("ann@example.com")).await;
    world.link("t", "anns").await.unwrap();
    act(&world, "u", None, None).await;
    let told = Identity::new(None, Some("bob@example.com".into()));
    let request = LinkCommand { told, ..wish("u", "anns", LinkMode::Auto) };
    assert_eq!(world.handle.link(request).await, Err(LinkError::Foreign));
    assert_eq!(world.record("u").await.email, None, "a refused wish changes nothing");
    assert_eq!(world.handle.counters().links_refused.get(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d59_what_the_platform_knows_fills_in_what_the_source_does_not_say() {
    let world = world([]);
    act(&world, "s", None, Some("ann@example.com")).await;
    let told = Identity::new(Some("ann".into()), Some("other@example.com".into()));
    let request = LinkCommand { told, ..wish("s", "c", LinkMode::Auto) };
    world.handle.link(request).await.unwrap();
    act(&world, "s", None, None).await;
    wait(1.0).await;
    let last = world.platform.posts().pop().unwrap().note;
    assert_eq!(last.user_id.as_deref(), Some("ann"));
    assert_eq!(last.email.as_deref(), Some("ann@example.com"), "the source's word stands");
    assert_eq!(link_person(&world, Some("ann"), None, "c").await.as_deref(), Ok("s"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d63_a_session_that_changes_its_person_is_found_under_that_one_only() {
    for restarts in [false, true] {
        let mut world = world([]);
        act(&world, "s", Some("anon"), Some("anon@example.com")).await;
        // The index of persons is in memory from here on.
        assert!(link_person(&world, Some("nobody"), None, "c").await.is_err());
        act(&world, "s", Some("ann"), Some("ann@example.com")).await;
        if restarts {
            let (store, _) = world.crash().await;
            world = World::start(store, Platform::new([]), Delivery::default());
        }
        for (user_id, email) in [(Some("anon"), None), (None, Some("anon@example.com"))] {
            let found = link_person(&world, user_id, email, "c").await;
            assert!(matches!(found, Err(LinkError::NotFound(_))), "{found:?}");
        }
        assert_eq!(world.rows(Table::Person).await, 2);
        let found = link_person(&world, None, Some("ann@example.com"), "c").await;
        assert_eq!(found.as_deref(), Ok("s"));
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_persons_sessions_the_one_that_was_active_last_is_linked() {
    // Also where a session has left the memory, and where the host was started again.
    for (pause, restarts) in [(1.0, false), (100.0, false), (400.0, false), (1.0, true)] {
        let mut world = world([]);
        act(&world, "s1", Some("u"), None).await;
        wait(pause).await;
        act(&world, "s2", Some("u"), None).await;
        wait(pause).await;
        act(&world, "s3", Some("other"), None).await;
        act(&world, "s1", Some("u"), None).await;
        wait(pause).await;
        if restarts {
            let (store, _) = world.crash().await;
            let platform = Platform::new([]);
            world = World::start_at(BEGIN + 10.0, store, platform, Delivery::default());
        }
        let found = link_person(&world, Some("u"), None, "c").await;
        assert_eq!(found.as_deref(), Ok("s1"), "pause {pause}, restarts {restarts}");
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_compared_without_case_and_counts_after_the_user_id() {
    let world = world([]);
    act(&world, "s1", Some("ann"), Some("Ann@Example.COM")).await;
    wait(1.0).await;
    act(&world, "s2", Some("bob"), Some("bob@example.com")).await;
    let found = link_person(&world, None, Some(" aNN@example.com "), "c1").await;
    assert_eq!(found.as_deref(), Ok("s1"));
    let found = link_person(&world, Some("unknown"), Some("BOB@example.com"), "c2").await;
    assert_eq!(found.as_deref(), Ok("s2"));
    let found = link_person(&world, Some("ann"), Some("bob@example.com"), "c3").await;
    assert_eq!(found.as_deref(), Ok("s1"), "the user id is the surer name");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_person_links_nothing() {
    let world = world([]);
    act(&world, "s", Some("ann"), None).await;
    for (user_id, email) in
        [(Some("Ann"), None), (None, Some("ann")), (Some(""), Some("")), (None, None)]
    {
        let found = link_person(&world, user_id, email, "c").await;
        assert!(matches!(found, Err(LinkError::NotFound(_))), "{found:?}");
    }
    let elsewhere =
        Who::Person { products: vec![product("q")], user_id: Some("ann".to_owned()), email: None };
    let request = LinkCommand { who: elsewhere, ..wish("s", "c", LinkMode::Auto) };
    assert!(matches!(world.handle.link(request).await, Err(LinkError::NotFound(_))));
    assert_eq!(world.rows(Table::Conversation).await, 0);
    wait(1.0).await;
    assert_eq!(world.end().await, Vec::<String>::new());
}
