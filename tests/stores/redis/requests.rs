//! Requests of any host to the engines of all, on a real server: each carried out once, by the owner, and answered to the host
//! that asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sidenote::access::{Actor, KeyId, KeyName, Products, Scopes};
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{self, Delivery};
use sidenote::engine::core::helping::Turn;
use sidenote::engine::core::message::ReplyTo;
use sidenote::engine::core::{Answer, PollMark, SourceRows};
use sidenote::engine::hosts::{Dispatch, DispatchError, Here, Hosts};
use sidenote::engine::link::{Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Who, Word};
use sidenote::engine::people::{KeyChange, KeyRow};
use sidenote::engine::{Decision, Engine, Gate, Handle, Intake, NoteRef, Process, Settings};
use sidenote::ids::{ConversationId, SessionId, SessionKey};
use sidenote::outbox::note::FailureKind;
use sidenote::session::payload::{ActionsPayload, Payload, SummaryPayload};
use sidenote::session::turn::Meaning;
use sidenote::store::{
    AllPartitions, Bells, Change, Group, Key, Owner, PartitionStore, SharedServer, Store, Table,
};
use sidenote_cluster::ids::Partition;
use sidenote_cluster::partition::{Partitions, SessionKey as Spread};
use sidenote_cluster::time::Times;
use sidenote_tests::partition::{acquire, member, shared};
use sidenote_tests::world::{Platform, action, batch, failed, product, settings, wish};
use sidenote_tests::{DEADLINE, RedisServer, eventually};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::relay::Relay;
use super::{client, send};

/// The one that has what is the namespace's, and two others.
const NAMESPACE: Partition = Partition::new(0);
const FIRST: Partition = Partition::new(7);
const SECOND: Partition = Partition::new(9);

/// How long an answer is waited for where one comes.
const PATIENT: Duration = Duration::from_secs(30);

/// Short, so that what was added is kept no longer than a test wants to wait.
fn times() -> Times {
    Times::of_lease(Duration::from_secs(2))
}

/// A host of a test.
struct TestHost {
    name: String,
    handle: Handle,
    platform: Arc<Platform>,
    settings: Arc<Settings>,
    process: Process,
    shared: Arc<SharedServer>,
    bells: Arc<Bells>,
    answers: mpsc::Sender<(ReplyTo, Answer)>,
    dispatch: JoinSet<Result<(), DispatchError>>,
    engines: BTreeMap<Partition, Owned>,
}

/// A partition that it owns.
struct Owned {
    handle: Handle,
    tasks: JoinSet<()>,
}

impl TestHost {
    async fn start(
        config: &config::Redis,
        name: &str,
        platform: &Arc<Platform>,
        patience: Duration,
    ) -> Self {
        let shared = shared(config).await;
        let bells = Arc::new(Bells::new(shared.clone()));
        let settings = Arc::new(settings(&Delivery::default()));
        let process = Process::new(Gate::new(settings.clone()));
        let hosts = Hosts {
            server: shared.clone(),
            partitions: Partitions::default(),
            me: member(name),
            times: times(),
            bells: bells.clone(),
            patience,
        };
        let (process_of_it, post) = (process.clone(), platform.clone());
        let here = Here { process: process_of_it, post, settings: settings.clone() };
        let (handle, service) = Dispatch::new(hosts, here);
        let answers = service.answers();
        let mut dispatch = JoinSet::new();
        dispatch.spawn(service.run());
        let (name, platform) = (name.to_owned(), platform.clone());
        let engines = BTreeMap::new();
        Self {
            name,
            handle,
            platform,
            settings,
            process,
            shared,
            bells,
            answers,
            dispatch,
            engines,
        }
    }

    /// It owns a partition from here on; where `over` owned it, that is over.
    async fn own(&mut self, of: Partition, over: Option<&str>) {
        let (by, over) = (member(&self.name), over.map(member));
        let epoch = acquire(&self.shared, of, &by, over.as_ref()).await.unwrap();
        let owner = Owner { partition: of, by, epoch };
        let store = Arc::new(PartitionStore::open(self.shared.clone(), owner).await.unwrap());
        let post = self.platform.clone();
        let (settings, clock) = (self.settings.clone(), Clock::system());
        let (handle, engine) = Engine::among(&self.process, store.clone(), post, settings, clock);
        let answers = self.answers.clone();
        let intake = Intake::open(store.clone(), handle.clone(), answers, times()).await.unwrap();
        self.bells.ring_for_inbox(of, &intake.bell());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(engine.of_partition(store).run().await) });
        tasks.spawn(async move { drop(intake.run().await) });
        self.engines.insert(of, Owned { handle, tasks });
    }

    async fn act(&self, session: &str, text: &str) {
        self.handle.accept_committed(batch(session, [action(text)]), 100).await.unwrap();
    }

    /// Ends it in order. What it added stays here for a while first.
    async fn drained(mut self) -> Result<(), DispatchError> {
        self.handle.drain().await;
        self.dispatch.join_next().await.unwrap().unwrap()
    }
}

/// The `n`th session of product `p` in a partition.
fn session_in(of: Partition, n: usize) -> String {
    let of_session = |session: &String| {
        let key = Spread { product: "p".into(), session: session.as_str().into() };
        Partitions::default().of_session(&key)
    };
    let names = (0..).map(|number| format!("s-{number}"));
    names.filter(|session| of_session(session) == of).nth(n).unwrap()
}

fn key(session: &str) -> SessionKey {
    SessionKey { product: product("p"), session: SessionId::new(session).unwrap() }
}

/// What the notes of a conversation tell, in order.
fn said(platform: &Platform, conversation: &str) -> Vec<String> {
    let begin = format!("{conversation}: ");
    let lines = platform.lines();
    let notes = lines.iter().filter_map(|line| line.strip_prefix(&begin));
    let actions = notes.flat_map(|note| note.split('|'));
    actions.filter_map(|it| it.rsplit_once("] ").map(|(_, text)| text.to_owned())).collect()
}

async fn until_said(platform: &Platform, conversation: &str, count: usize) {
    eventually(|| match said(platform, conversation).len() {
        enough if enough >= count => Ok(()),
        other => Err(format!("{other} of {count} actions are in notes")),
    })
    .await;
}

#[tokio::test]
async fn any_host_takes_what_is_for_a_partition_of_another_and_its_owner_answers() {
    const ACTIONS: usize = 40;
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let mut one = TestHost::start(&server.config(), "one", &platform, PATIENT).await;
    let mut two = TestHost::start(&server.config(), "two", &platform, PATIENT).await;
    let three = TestHost::start(&server.config(), "three", &platform, PATIENT).await;
    one.own(NAMESPACE, None).await;
    one.own(FIRST, None).await;
    two.own(SECOND, None).await;
    let sessions = [(FIRST, "c7"), (SECOND, "c9")].map(|(of, c)| (session_in(of, 0), c));
    for n in 0..ACTIONS {
        for (session, _) in &sessions {
            // One after the other through all three: so they are in order, whoever adds them.
            let through = [&one, &two, &three][n % 3];
            through.act(session, &n.to_string()).await;
        }
    }
    for (session, conversation) in &sessions {
        let linked = three.handle.link(wish(session, conversation, LinkMode::Auto)).await.unwrap();
        assert_eq!((linked.event, linked.key), (LinkEvent::New, key(session)));
    }
    let wanted: Vec<String> = (0..ACTIONS).map(|n| n.to_string()).collect();
    for (_, conversation) in &sessions {
        until_said(&platform, conversation, ACTIONS).await;
        assert_eq!(said(&platform, conversation), wanted);
    }

    // A conversation's turn finds the partition of its session.
    let turn = Turn {
        plugin: "bot".into(),
        conversation: ConversationId::new("c9").unwrap(),
        meaning: Meaning::PersonWrote,
        option_id: None,
        text: Some("hello".to_owned()),
        message_id: Some("m".to_owned()),
    };
    let heard = three.handle.turn(turn).await.unwrap();
    assert_eq!(heard.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key(&sessions[1].0)]);

    // What people are shown is of all partitions, whoever owns them, and sums are of the process.
    let all = AllPartitions::new(three.shared.clone(), Partitions::default());
    let conversations = all.scan(Table::Conversation, None, 10).await.unwrap();
    assert_eq!(conversations.len(), 2);
    let counted = |host: &TestHost| host.handle.counters().links_made.get();
    assert_eq!((counted(&one), counted(&two), counted(&three)), (1, 1, 0));
}

#[tokio::test]
async fn a_link_finds_the_session_by_what_it_names_and_says_what_the_owner_says() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let mut one = TestHost::start(&server.config(), "one", &platform, PATIENT).await;
    let two = TestHost::start(&server.config(), "two", &platform, PATIENT).await;
    for of in [NAMESPACE, FIRST, SECOND] {
        one.own(of, None).await;
    }
    let (older, newer) = (session_in(FIRST, 0), session_in(SECOND, 0));
    for session in [&older, &newer] {
        let email = Some("ann@example.com".to_owned());
        let batch = ActionsPayload { email, ..batch(session, [action("a")]) };
        two.handle.accept_committed(batch, 100).await.unwrap();
        // Which was active last is what counts, by the clock in milliseconds.
        let all = AllPartitions::new(two.shared.clone(), Partitions::default());
        let group = [Group("p".into(), session.as_str().into())];
        let deadline = Instant::now() + DEADLINE;
        while all.load(Table::Session, &group).await.unwrap()[0].is_empty() {
            assert!(Instant::now() < deadline, "the session has no record");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let of_whom = |who| LinkCommand {
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        who,
        mode: LinkMode::Auto,
        told: Identity::default(),
        word: Word::Operator,
    };
    let person = |email: &str| Who::Person {
        products: vec![product("p"), product("q")],
        user_id: None,
        email: Some(email.to_owned()),
    };
    let linked = two.handle.link(of_whom(person("Ann@example.com"))).await.unwrap();
    assert_eq!(linked.key, key(&newer));
    let nobody = two.handle.link(of_whom(person("bob@example.com"))).await;
    assert!(matches!(nobody, Err(LinkError::NotFound(_))));

    let of = |session: &str| {
        Who::SessionOf(vec![product("p"), product("q")], SessionId::new(session).unwrap())
    };
    let linked = two.handle.link(of_whom(of(&older))).await.unwrap();
    assert_eq!(linked.key, key(&older));
    let unknown = two.handle.link(of_whom(of("nothing is known of it"))).await;
    assert!(matches!(unknown, Err(LinkError::NotFound(_))));
    // Another product's session of the same id.
    let other = ActionsPayload { product_id: "q".into(), ..batch(&older, [action("a")]) };
    let partition = Partitions::default()
        .of_session(&Spread { product: "q".into(), session: older.as_str().into() });
    if !one.engines.contains_key(&partition) {
        one.own(partition, None).await;
    }
    two.handle.accept_committed(other, 100).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        match two.handle.link(of_whom(of(&older))).await {
            Err(LinkError::Ambiguous) => break,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_about_several_partitions_goes_to_each_and_its_answers_are_added_up() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let refused = (0..2).map(|_| failed(FailureKind::Permanent, None));
    let platform = Platform::new(refused);
    let mut one = TestHost::start(&server.config(), "one", &platform, PATIENT).await;
    let mut two = TestHost::start(&server.config(), "two", &platform, PATIENT).await;
    one.own(NAMESPACE, None).await;
    one.own(FIRST, None).await;
    two.own(SECOND, None).await;
    let sessions = [FIRST, SECOND].map(|of| session_in(of, 0));
    for session in &sessions {
        two.act(session, "a").await;
        two.handle.link(wish(session, session, LinkMode::Auto)).await.unwrap();
    }
    let all = AllPartitions::new(one.shared.clone(), Partitions::default());
    let dead = async || {
        let rows = all.scan(Table::Dead, None, 10).await.unwrap();
        rows.into_iter().map(|(row, _)| row).collect::<Vec<Key>>()
    };
    let deadline = Instant::now() + DEADLINE;
    while dead().await.len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", dead().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let notes: Vec<NoteRef> =
        dead().await.iter().map(|row| NoteRef::note(key(&row.group.1), row.number)).collect();
    let decided = one.handle.decide(Decision::Retry, notes.clone()).await.unwrap();
    assert_eq!(decided, 2, "one by each owner");
    assert_eq!(one.handle.decide(Decision::Retry, Vec::new()).await.unwrap(), 0);
    eventually(|| match platform.lines().len() {
        4 => Ok(()),
        other => Err(format!("{other} calls")),
    })
    .await;

    // A page of a source: its batches where their sessions are, and behind them how far it is.
    let mark = PollMark { cursor: Some("7".to_owned()), at: Timestamp(1) };
    let group = Group("tool".into(), "".into());
    let person = Change::Put(Key { table: Table::SourcePerson, group, number: 3 }, b"x".to_vec());
    let beside = SourceRows {
        mark: Some(("tool".into(), mark)),
        remembered: vec![person],
        ..SourceRows::default()
    };
    let batches = sessions.iter().map(|session| (batch(session, [action("b")]), 10)).collect();
    let accepted = two.handle.hand_over_page(batches, beside).await.unwrap();
    accepted.await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let marks = all.scan(Table::Source, None, 10).await.unwrap();
        if let [(row, _)] = &marks[..] {
            assert_eq!(&*row.group.0, "tool");
            break;
        }
        assert!(Instant::now() < deadline, "{} marks", marks.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for session in &sessions {
        until_said(&platform, session, 3).await;
        assert_eq!(said(&platform, session), ["a", "a", "b"]);
    }
}

#[tokio::test]
async fn keys_that_one_host_makes_open_something_at_all() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let mut one = TestHost::start(&server.config(), "one", &platform, PATIENT).await;
    let two = TestHost::start(&server.config(), "two", &platform, PATIENT).await;
    one.own(NAMESPACE, None).await;
    let id = KeyId::new("0123456789").unwrap();
    let row = KeyRow {
        name: KeyName::new("ops").unwrap(),
        hash: [255; 32],
        scopes: Scopes::all(),
        products: Products::All,
        made_at: Timestamp(1),
        made_by: Actor::Token,
        expires_at: None,
        used_at: None,
    };
    let change = KeyChange::New { id: id.clone(), row };
    two.handle.change_keys(change).await.unwrap();
    assert!(
        two.handle.keys().unwrap().contains_key(&id),
        "it opens something at once where it was made"
    );
    eventually(|| match one.handle.keys() {
        Some(keys) if keys.contains_key(&id) => Ok(()),
        _ => Err("the other host doesn't know of it".to_owned()),
    })
    .await;
    one.handle.change_keys(KeyChange::Revoke(id.clone())).await.unwrap();
    eventually(|| match two.handle.keys() {
        Some(keys) if keys.contains_key(&id) => Err("it opens something still".to_owned()),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn where_nobody_answers_whoever_asks_is_told_in_time_and_what_was_accepted_is_kept() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let patience = Duration::from_millis(300);
    let mut one = TestHost::start(&server.config(), "one", &platform, patience).await;
    let session = session_in(FIRST, 0);
    let began = Instant::now();
    let unanswered = one.handle.link(wish(&session, "c", LinkMode::Auto)).await;
    assert!(matches!(unanswered, Err(LinkError::Unavailable)), "{unanswered:?}");
    assert!(began.elapsed() >= patience);
    assert!(
        one.handle.decide(Decision::Purge, vec![NoteRef::note(key(&session), 1)]).await.is_err()
    );
    // Accepted is what is in the inbox: that needs no owner.
    one.act(&session, "a").await;
    one.own(FIRST, None).await;
    until_said(&platform, "c", 1).await;
    assert_eq!(said(&platform, "c"), ["a"]);
}

#[tokio::test]
async fn what_is_accepted_is_in_once_and_in_order_though_connections_go_dead_all_the_time() {
    const ACTIONS: usize = 300;
    let Some(server) = RedisServer::start(&[]).await else { return };
    let relay = Relay::start(server.url().strip_prefix("redis://").unwrap()).await;
    let way = config::Redis {
        timeout: Duration::from_millis(200),
        ..config::Redis::at(format!("redis://{}", relay.addr))
    };
    let platform = Platform::new([]);
    let mut owner = TestHost::start(&server.config(), "owner", &platform, PATIENT).await;
    owner.own(FIRST, None).await;
    let asking = TestHost::start(&way, "asking", &platform, PATIENT).await;
    let session = session_in(FIRST, 0);
    for n in 0..ACTIONS {
        if n % 60 == 59 {
            relay.cut();
        }
        asking.act(&session, &n.to_string()).await;
    }
    // Whoever asks while the server can't be reached is told so at once.
    let linked = async || asking.handle.link(wish(&session, "c", LinkMode::Auto)).await;
    let deadline = Instant::now() + DEADLINE;
    while linked().await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until_said(&platform, "c", ACTIONS).await;
    let wanted: Vec<String> = (0..ACTIONS).map(|n| n.to_string()).collect();
    assert_eq!(said(&platform, "c"), wanted);
}

#[tokio::test]
async fn a_request_that_could_not_be_sent_while_it_was_waited_for_is_never_carried_out() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let config = config::Redis { timeout: Duration::from_millis(300), ..server.config() };
    let patience = Duration::from_millis(900);
    let mut one = TestHost::start(&config, "one", &platform, patience).await;
    let sessions = [0, 1, 2].map(|n| session_in(FIRST, n));
    one.act(&sessions[0], "a").await;
    server.pause();
    let asks = |n: usize| {
        let (handle, session) = (one.handle.clone(), sessions[n].clone());
        async move { handle.link(wish(&session, &session, LinkMode::Auto)).await }
    };
    let behind = async {
        // The first one is on its way by now, and nobody knows yet that it doesn't arrive.
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::join!(asks(1), asks(2))
    };
    let (first, (second, third)) = tokio::join!(asks(0), behind);
    for answer in [first, second, third] {
        assert!(matches!(answer, Err(LinkError::Unavailable)), "{answer:?}");
    }
    let began = Instant::now();
    assert!(matches!(asks(1).await, Err(LinkError::Unavailable)));
    assert!(began.elapsed() < patience, "it is known by now, and said at once");
    server.resume();
    let deadline = Instant::now() + DEADLINE;
    while one.shared.is_there().await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.own(FIRST, None).await;
    let last = session_in(FIRST, 3);
    while one.handle.link(wish(&last, "last", LinkMode::Auto)).await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = AllPartitions::new(one.shared.clone(), Partitions::default());
    let rows = all.scan(Table::Conversation, None, 10).await.unwrap();
    let linked: Vec<&str> = rows.iter().map(|(row, _)| &*row.group.1).collect();
    assert!(!linked.contains(&&*sessions[1]) && !linked.contains(&&*sessions[2]), "{linked:?}");
    assert!(linked.contains(&"last"));
}

#[tokio::test]
async fn an_event_that_comes_through_two_hosts_is_accepted_once_and_a_host_that_ends_leaves_nothing()
 {
    const EVENTS: u64 = 20;
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let mut one = TestHost::start(&server.config(), "one", &platform, PATIENT).await;
    let two = TestHost::start(&server.config(), "two", &platform, PATIENT).await;
    one.own(FIRST, None).await;
    let session = session_in(FIRST, 0);
    for n in 0..EVENTS {
        for through in [&two, &one] {
            let event = Payload::Actions(batch(&session, [action(&n.to_string())]));
            assert!(through.handle.accept_through(event, 100, Some(n)).await.unwrap());
        }
    }
    let summary = || {
        Payload::Summary(SummaryPayload {
            product_id: "p".to_owned(),
            session_id: Some(session.clone()),
            summary: "in short".to_owned(),
            ..SummaryPayload::default()
        })
    };
    for through in [&one, &two] {
        // The second time it is known, and that is said after the commit, too.
        assert!(through.handle.accept_through(summary(), 100, Some(EVENTS)).await.unwrap());
    }
    assert_eq!(one.handle.counters().summaries_unlinked.get(), 1);
    let began = Instant::now();
    two.drained().await.unwrap();
    assert!(began.elapsed() >= times().lease() / 2, "what it added is kept there for a while");
    one.handle.link(wish(&session, "c", LinkMode::Auto)).await.unwrap();
    let count = usize::try_from(EVENTS).unwrap();
    until_said(&platform, "c", count).await;
    let wanted: Vec<String> = (0..EVENTS).map(|n| n.to_string()).collect();
    assert_eq!(said(&platform, "c")[..count], wanted);

    // One that is stopped is over at once, and so is its handle.
    let mut three = TestHost::start(&server.config(), "three", &platform, PATIENT).await;
    three.handle.stop().await;
    three.dispatch.join_next().await.unwrap().unwrap().unwrap();
    assert!(three.handle.has_ended());
    let mut owned = one.engines.remove(&FIRST).unwrap();
    owned.handle.drain().await;
    owned.tasks.join_next().await.unwrap().unwrap();
}

/// How many commands the server has carried out, those of scripts included.
async fn commands(server: &RedisServer) -> u64 {
    let about: String = send(&mut client(&server.config()).await, &["INFO", "stats"]).await;
    let count = about.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    count.unwrap().trim().parse().unwrap()
}

/// What the developers' page has of it: `-- --nocapture a_request_through` prints it.
#[tokio::test]
async fn a_request_through_another_host_costs_the_server_a_few_dozen_commands() {
    const REQUESTS: u64 = 100;
    let Some(server) = RedisServer::start(&[]).await else { return };
    let platform = Platform::new([]);
    let mut one = TestHost::start(&server.config(), "one", &platform, PATIENT).await;
    let two = TestHost::start(&server.config(), "two", &platform, PATIENT).await;
    one.own(FIRST, None).await;
    let session = session_in(FIRST, 0);
    let link = |host: &TestHost| {
        let (handle, session) = (host.handle.clone(), session.clone());
        async move {
            let began = Instant::now();
            handle.link(wish(&session, "c", LinkMode::Auto)).await.unwrap();
            began.elapsed()
        }
    };
    for (who, host) in [("another host", &two), ("the owner's host", &one)] {
        link(host).await;
        let before = commands(&server).await;
        let mut took = Vec::new();
        for _ in 0..REQUESTS {
            took.push(link(host).await);
        }
        let each = (commands(&server).await - before) / REQUESTS;
        took.sort();
        let middle = took[took.len() / 2];
        println!(
            "a request through {who}: {each} commands of the server, {middle:?} in the middle"
        );
        assert!((5..80).contains(&each), "{each} commands");
    }
}
