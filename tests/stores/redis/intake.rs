//! An engine that is fed from its partition's inbox, on a real server: each entry is applied once and in order, whatever ends.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::core::message::{ReplyTo, Request};
use sidenote::engine::core::{Answer, Command};
use sidenote::engine::link::{LinkEvent, LinkMode};
use sidenote::engine::{Intake, IntakeError};
use sidenote::ids::SessionKey;
use sidenote::store::{Owner, PartitionStore, SharedServer, Store, Table};
use sidenote_cluster::call::{Add, Call};
use sidenote_cluster::ids::{Number, Once, Partition, Payload, Producer};
use sidenote_cluster::input::Input;
use sidenote_cluster::time::Times;
use sidenote_tests::RedisServer;
use sidenote_tests::partition::{acquire, member, shared};
use sidenote_tests::world::{Platform, World, action, batch, product, wish};
use sidenote_tests::{DEADLINE, eventually};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{client, send};

const OF: Partition = Partition::new(7);

/// An owner of the partition at work.
struct Running {
    world: World,
    store: Arc<PartitionStore>,
    answers: mpsc::Receiver<(ReplyTo, Answer)>,
    intake: JoinSet<IntakeError>,
    bell: Arc<Notify>,
}

/// Starts one; the owner before, of the name `over`, is over.
async fn start(shared: &Arc<SharedServer>, by: &str, over: Option<&str>) -> Running {
    let (by, over) = (member(by), over.map(member));
    let epoch = acquire(shared, OF, &by, over.as_ref()).await.unwrap();
    let owner = Owner { partition: OF, by, epoch };
    let store = Arc::new(PartitionStore::open(shared.clone(), owner).await.unwrap());
    let world = World::of_partition(store.clone(), Platform::new([]), Delivery::default());
    let (answer, answers) = mpsc::channel(16);
    let handle = world.handle.clone();
    let opened = Intake::open(store.clone(), handle, answer, Times::default()).await.unwrap();
    let bell = opened.bell();
    let mut intake = JoinSet::new();
    intake.spawn(opened.run());
    Running { world, store, answers, intake, bell }
}

/// What somebody adds, numbered.
struct Adding {
    shared: Arc<SharedServer>,
    next: u64,
}

impl Adding {
    async fn add(&mut self, once: Option<u64>, request: &Request) {
        let body = Payload::new(&request.encode().unwrap());
        self.add_bytes(Input::work(once.map(Once::new), body).encode()).await;
    }

    async fn add_bytes(&mut self, payload: Payload) {
        let add = Call::Add(Add {
            partition: OF,
            producer: Producer::Host(member("c"), 0),
            first: Number::new(self.next),
            payloads: vec![payload],
            reader: None,
        });
        self.shared.call(&add).await.unwrap();
        self.next += 1;
    }
}

fn key(session: &str) -> SessionKey {
    let session = sidenote::ids::SessionId::new(session).unwrap();
    SessionKey { product: product("p"), session }
}

fn did(session: &str, text: &str) -> Request {
    let batch = batch(session, [action(text)]);
    let command = Command::Actions { key: key(session), batch, bytes: 10, accepted_at: None };
    Request { command, deed: None, reply: None }
}

async fn until_read(running: &Running, number: u64) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while running.store.read().await.number() < number {
        running.bell.notify_one();
        assert!(tokio::time::Instant::now() < deadline, "entry {number} isn't read");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_entry_is_applied_with_its_offset_and_answered_after_the_commit() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let mut adding = Adding { shared: shared.clone(), next: 1 };
    let mut first = start(&shared, "a", None).await;
    adding.add(Some(1), &did("s", "one")).await;
    adding.add(Some(2), &did("s", "two")).await;
    // The same event by another reader.
    adding.add(Some(1), &did("s", "one")).await;
    until_read(&first, 3).await;
    assert_eq!(first.world.rows(Table::Open).await, 2);

    let reply = ReplyTo { host: "c#1".into(), number: 77 };
    let command = Command::Link(wish("s", "conversation", LinkMode::Auto));
    adding.add(None, &Request { command, deed: None, reply: Some(reply.clone()) }).await;
    first.bell.notify_one();
    let (to, answer) = timeout(DEADLINE, first.answers.recv()).await.unwrap().unwrap();
    assert_eq!(to, reply);
    let Answer::Linked(Ok(linked)) = Answer::decode(&answer.encode()).unwrap() else { panic!() };
    assert_eq!((linked.event, linked.conversation.as_str()), (LinkEvent::New, "conversation"));
    assert_eq!(first.store.read().await.number(), 4, "it is committed when it is answered");
    eventually(|| match first.world.platform.lines().len() {
        1 => Ok(()),
        other => Err(format!("{other} notes")),
    })
    .await;
    assert_eq!(first.world.platform.lines(), ["conversation: [1] one|[2] two"]);

    // The next owner goes on behind it, and knows the events again.
    drop(first.intake);
    drop(first.world.crash().await);
    let () = send(&mut client(&server.config()).await, &["DEL", "sidenote:{p007}:lease"]).await;
    let second = start(&shared, "b", Some("a")).await;
    assert_eq!(second.store.read().await.number(), 4);
    adding.add(Some(2), &did("s2", "two")).await;
    adding.add(Some(5), &did("s2", "five")).await;
    until_read(&second, 6).await;
    assert_eq!(second.world.rows(Table::Open).await, 1);
}

#[tokio::test]
async fn what_is_added_is_applied_once_and_in_order_though_engines_are_cut_off_at_any_moment() {
    const ENTRIES: u64 = 400;
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let mut beside = client(&server.config()).await;
    let mut adding = Adding { shared: shared.clone(), next: 1 };
    let mut running = start(&shared, "a0", None).await;
    let mut cut = 0;
    for n in 1..=ENTRIES {
        adding.add(None, &did("s", &format!("{n}"))).await;
        running.bell.notify_one();
        if n % 50 == 0 {
            // Wherever it is: before, in or behind a commit.
            tokio::time::sleep(Duration::from_micros(700 * (n / 50))).await;
            drop(running.intake);
            drop(running.world.crash().await);
            let () = send(&mut beside, &["DEL", "sidenote:{p007}:lease"]).await;
            let before = format!("a{cut}");
            cut += 1;
            running = start(&shared, &format!("a{cut}"), Some(&before)).await;
        }
    }
    until_read(&running, ENTRIES).await;
    let rows = running.store.scan(Table::Open, None, 1000).await.unwrap();
    let numbers: Vec<u64> = rows.iter().map(|(key, _)| key.number).collect();
    let count = usize::try_from(ENTRIES).unwrap();
    assert_eq!((numbers.len(), cut), (count, 8));
    let reply = ReplyTo { host: "c#1".into(), number: 1 };
    let command = Command::Link(wish("s", "conversation", LinkMode::Auto));
    adding.add(None, &Request { command, deed: None, reply: Some(reply) }).await;
    running.bell.notify_one();
    eventually(|| match said(&running.world).len() {
        enough if enough >= count => Ok(()),
        other => Err(format!("{other} actions in notes")),
    })
    .await;
    let wanted: Vec<String> = (1..=ENTRIES).map(|n| n.to_string()).collect();
    assert_eq!(said(&running.world), wanted);
}

/// What notes tell, in order.
fn said(world: &World) -> Vec<String> {
    let lines = world.platform.lines();
    let actions = lines.iter().flat_map(|line| line.split('|'));
    actions.filter_map(|it| it.rsplit_once("] ").map(|(_, text)| text.to_owned())).collect()
}

#[tokio::test]
async fn an_entry_of_a_later_release_is_never_passed_over() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let mut adding = Adding { shared: shared.clone(), next: 1 };
    adding.add(None, &did("s", "one")).await;
    adding.add_bytes(Input::work(None, Payload::new(b"\x63later")).encode()).await;
    adding.add(None, &did("s", "two")).await;
    let mut running = start(&shared, "a", None).await;
    let ended = timeout(DEADLINE, running.intake.join_next()).await.unwrap().unwrap().unwrap();
    let IntakeError::Unreadable(at) = ended else { panic!("{ended}") };
    assert_eq!(at.number(), 2);
    until_read(&running, 1).await;
    assert_eq!(running.world.rows(Table::Open).await, 1);
    assert_eq!(running.store.read().await.number(), 1);
}
