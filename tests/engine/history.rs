//! What is kept of what people did: through a crash, behind a summary, within its bounds, and not at all
//! once it is erased.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Context, Delivery, History, Retention};
use sidenote::context::{Recent, follow};
use sidenote::engine::Settings;
use sidenote::engine::erase::{Erasure, Subject};
use sidenote::engine::feed::{Next, What};
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::note::FailureKind;
use sidenote::session::payload::{ActionsPayload, Payload};
use sidenote::store::{Change, Group, Key, Store, Table};
use sidenote_tests::files_with;
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    Answer, BEGIN, Platform, World, action, batch, embedded, failed, ok_after, product, settings,
    wait,
};
use tokio::task::JoinSet;

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn keeping(rules: History) -> Settings {
    settings(&Delivery::default()).with_history(rules)
}

fn world_on(store: Arc<dyn Store>, script: impl IntoIterator<Item = Answer>) -> World {
    let platform = Platform::with_redactions(script, []);
    World::start_with(BEGIN, store, platform, keeping(History::default()))
}

fn start(script: impl IntoIterator<Item = Answer>) -> World {
    world_on(memory(), script)
}

fn key(session: &str) -> SessionKey {
    SessionKey { product: product("p"), session: SessionId::new(session).expect("not empty") }
}

/// What `user` does in a session.
fn done_by(user: &str, session: &str, texts: &[&str]) -> ActionsPayload {
    let actions = texts.iter().map(|text| action(text));
    ActionsPayload { user_id: Some(user.to_owned()), ..batch(session, actions) }
}

/// The contexts of a world, and the task that keeps them up to date.
struct Contexts {
    recent: Recent,
    _following: JoinSet<()>,
}

impl Contexts {
    /// Follows a world from this moment on; what is stored is read when this returns.
    async fn of(world: &World) -> Self {
        Self::at(BEGIN, world).await
    }

    /// As [`Self::of`], by a clock that shows `wall` at this moment.
    async fn at(wall: f64, world: &World) -> Self {
        let clock = Clock::starting_at(Timestamp::from_secs_f64(wall));
        let config = Context { lookback: Duration::from_secs(600), ..Context::default() };
        let recent = Recent::of(&config, Arc::default(), clock).expect("these settings are fine");
        let mut following = JoinSet::new();
        following.spawn(follow(world.handle.clone(), recent.clone()));
        let contexts = Self { recent, _following: following };
        contexts.caught_up(world).await;
        contexts
    }

    async fn caught_up(&self, world: &World) {
        let caught_up = self.recent.caught_up(world.handle.feed_position());
        tokio::time::timeout(Duration::from_secs(30), caught_up).await.expect("it catches up");
    }

    /// What a user did, one line.
    async fn of_user(&self, world: &World, user: &str) -> String {
        self.caught_up(world).await;
        let text = self.recent.activity("p", user, self.recent.view());
        let parts = text.lines().filter(|line| !line.is_empty() && *line != "Recent activity:");
        parts
            .map(|line| line.replace("[0] : ", "").replace(" — ", ""))
            .collect::<Vec<_>>()
            .join("|")
    }
}

/// The ordinals of the first actions of the batches that are kept of session `s`, and the summary's text.
async fn kept(world: &World) -> (Vec<u64>, Option<String>) {
    let history = world.handle.history(&key("s")).await.expect("the store answers");
    let firsts = history.batches.iter().map(|batch| batch.first).collect();
    (firsts, history.summary.map(|summary| summary.text))
}

#[tokio::test]
async fn a_crash_forgets_nothing_of_what_people_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let world = world_on(embedded(&path).await, []);
    let contexts = Contexts::of(&world).await;
    world.take(done_by("ann", "s", &["a", "b"])).await;
    world.take(done_by("ann", "s", &["c"])).await;
    world.take(done_by("ann", "t", &["x"])).await;
    world.take(done_by("bob", "u", &["y"])).await;
    world.summarize("s", "did a", 1).await;
    let before = contexts.of_user(&world, "ann").await;
    assert_eq!(before, "Session t (p):|1. x|Session s (p):|Summary: did a|1. b|2. c");
    drop(world.crash().await);

    let platform = Platform::new([]);
    let later = BEGIN + 60.0;
    let rules = keeping(History::default());
    let world = World::start_with(later, embedded(&path).await, platform, rules);
    let contexts = Contexts::at(later, &world).await;
    assert_eq!(contexts.of_user(&world, "ann").await, before);
    assert_eq!(contexts.of_user(&world, "bob").await, "Session u (p):|1. y");
    world.take(done_by("ann", "s", &["d"])).await;
    assert_eq!(
        contexts.of_user(&world, "ann").await,
        "Session s (p):|Summary: did a|1. b|2. c|3. d|Session t (p):|1. x",
        "and goes on where it was"
    );
    world.end().await;
}

#[tokio::test]
async fn a_session_all_of_which_is_summarized_is_its_users_after_a_restart_too() {
    let store = memory();
    let world = world_on(store.clone(), []);
    world.take(done_by("ann", "s", &["a"])).await;
    world.summarize("s", "did a", 1).await;
    assert_eq!(kept(&world).await, (vec![], Some("did a".to_owned())));
    drop(world.crash().await);
    let world = world_on(store, []);
    let contexts = Contexts::of(&world).await;
    assert_eq!(contexts.of_user(&world, "ann").await, "Session s (p):|Summary: did a");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_summary_covers_is_kept_until_its_note_is_sent() {
    let world = start([ok_after(0.0), ok_after(30.0)]);
    let contexts = Contexts::of(&world).await;
    world.link("s", "c").await.expect("a link");
    for texts in [&["a"][..], &["b", "c"], &["d"]] {
        world.take(done_by("ann", "s", texts)).await;
    }
    wait(1.0).await;
    world.summarize("s", "did a and b", 2).await;
    wait(10.0).await;
    assert_eq!(world.platform.posts().len(), 2, "the summary's note is under way");
    let summary = Some("did a and b".to_owned());
    assert_eq!(kept(&world).await, (vec![1, 2, 4], summary.clone()));
    let expected = "Session s (p):|Summary: did a and b|1. c|2. d";
    assert_eq!(contexts.of_user(&world, "ann").await, expected, "readers see it at once");
    let history = world.handle.history(&key("s")).await.expect("the store answers");
    let uncovered: Vec<_> = history.uncovered().map(|(n, it)| (n, &*it.description)).collect();
    assert_eq!(uncovered, [(3, "c"), (4, "d")]);

    wait(30.0).await;
    assert_eq!(kept(&world).await, (vec![2, 4], summary), "a batch that is covered in part stays");
    world.summarize("s", "did it all", 4).await;
    wait(1.0).await;
    assert_eq!(kept(&world).await, (vec![], Some("did it all".to_owned())));
    assert_eq!(contexts.of_user(&world, "ann").await, "Session s (p):|Summary: did it all");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_note_of_a_summary_that_is_given_up_would_replace_stays() {
    let world = start([ok_after(0.0), failed(FailureKind::Invalid, None)]);
    world.link("s", "c").await.expect("a link");
    world.take(done_by("ann", "s", &["a", "b"])).await;
    wait(1.0).await;
    world.summarize("s", "did it", 2).await;
    wait(1.0).await;
    assert_eq!(world.dead().await.len(), 1);
    assert_eq!(kept(&world).await, (vec![1], Some("did it".to_owned())));
    let (store, platform) = world.crash().await;

    platform.recover();
    let world = World::start_with(BEGIN + 60.0, store, platform, keeping(History::default()));
    let dead = world.dead().await.remove(0).note;
    let note = sidenote::engine::NoteRef::note(dead.key.clone(), dead.seq);
    let retry = sidenote::engine::Decision::Retry;
    assert_eq!(world.handle.decide(retry, vec![note]).await, Ok(1));
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: did it"]);
    assert_eq!(kept(&world).await, (vec![], Some("did it".to_owned())), "once it is sent, it goes");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_the_latest_of_what_it_did() {
    let rules = History { max_actions: 5, ..History::default() };
    let world = World::start_with(BEGIN, memory(), Platform::new([]), keeping(rules.clone()));
    for texts in [&["a", "b"][..], &["c", "d"], &["e"], &["f"]] {
        world.take(done_by("ann", "s", texts)).await;
    }
    assert_eq!(kept(&world).await.0, [3, 5, 6]);
    assert_eq!(world.handle.counters().history_dropped.get(), 2);
    let (store, platform) = world.crash().await;
    let world = World::start_with(BEGIN, store, platform, keeping(rules));
    world.take(done_by("ann", "s", &["g", "h"])).await;
    assert_eq!(kept(&world).await.0, [5, 6, 7], "what was kept before a restart counts");
    world.end().await;

    let rules = History { max_bytes: 1000, ..History::default() };
    let world = World::start_with(BEGIN, memory(), Platform::new([]), keeping(rules));
    let long = "x".repeat(2000);
    for text in ["a", &long] {
        world.take(done_by("ann", "s", &[text])).await;
    }
    assert_eq!(kept(&world).await.0, [2], "the latest batch stays whatever its size");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_while_its_session_goes_on() {
    let rules = History { keep: Duration::from_secs(3600), ..History::default() };
    let world = World::start_with(BEGIN, memory(), Platform::new([]), keeping(rules));
    world.take(done_by("ann", "s", &["a"])).await;
    world.summarize("s", "nothing yet", 0).await;
    for _ in 0..6 {
        wait(900.0).await;
        world.take(done_by("ann", "s", &["b"])).await;
    }
    assert_eq!(kept(&world).await, (vec![3, 4, 5, 6, 7], None));
    assert_eq!(world.handle.counters().history_expired.get(), 3);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn with_its_session_everything_that_is_kept_goes_and_followers_are_told() {
    let keep = Duration::from_secs(30 * 24 * 3600);
    let mut settings = keeping(History { keep, ..History::default() });
    settings.retention = Retention { sessions: Duration::from_secs(3600), ..settings.retention };
    let world = World::start_with(BEGIN, memory(), Platform::new([]), settings);
    world.take(done_by("ann", "s", &["a", "b"])).await;
    world.summarize("s", "did a", 1).await;
    let mut feed = world.handle.feed();
    wait(5000.0).await;
    assert_eq!((world.rows(Table::History).await, world.rows(Table::Session).await), (0, 0));
    let Ok(Next::Committed(told)) = feed.next().await else { panic!("something is told") };
    assert!(matches!(told.what, What::Gone), "{told:?}");
    world.take(done_by("ann", "s", &["c"])).await;
    assert_eq!(kept(&world).await.0, [1], "it is counted from 1 again");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_told_in_order_and_with_who_it_is() {
    let world = start([]);
    let mut feed = world.handle.feed();
    world.take(done_by("ann", "s", &["a", "b"])).await;
    world.act("s", "c").await;
    world.summarize("s", "did a", 1).await;
    world.take(ActionsPayload { user_id: Some("eve".to_owned()), ..batch("s", []) }).await;
    let erasure = Erasure {
        product: product("p"),
        subject: Subject::Session(SessionId::new("s").expect("not empty")),
        keep_notes: false,
    };
    world.handle.erase(&erasure).await.expect("an erasure");
    let mut told = Vec::new();
    while feed.position() < world.handle.feed_position() {
        let Ok(Next::Committed(committed)) = feed.next().await else { panic!("it keeps up") };
        told.push(match &committed.what {
            What::Batch(kept) => {
                format!("{}-{} {:?}", kept.first, kept.last(), kept.batch.user_id)
            }
            What::Summary(kept) => format!("{} through {}", kept.text, kept.covers),
            What::Person { user_id, .. } => format!("person {user_id:?}"),
            What::Gone => "gone".to_owned(),
            What::Linked(_) | What::Help(_) | What::Offer(_) | What::Asked(_) | What::Launch(_) => {
                unreachable!("no help is offered")
            }
        });
    }
    let expected = [
        "1-2 Some(\"ann\")",
        "person Some(\"ann\")",
        "3-3 Some(\"ann\")",
        "did a through 1",
        "person Some(\"eve\")",
        "gone",
    ];
    assert_eq!(told, expected);
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_last_longer() {
    let day = 86_400.0;
    let store = memory();
    let world = World::start_with(
        BEGIN + day,
        store.clone(),
        Platform::new([]),
        keeping(History::default()),
    );
    world.take(done_by("ann", "s", &["a"])).await;
    drop(world.crash().await);
    tokio::time::pause();
    let world = world_on(store, []);
    let contexts = Contexts::of(&world).await;
    assert_eq!(contexts.of_user(&world, "ann").await, "Session s (p):|1. a");
    wait(601.0).await;
    assert_eq!(contexts.of_user(&world, "ann").await, "");
    world.end().await;
}

#[tokio::test]
async fn a_session_that_changes_hands_is_the_last_ones_after_a_restart_too() {
    let store = memory();
    let world = world_on(store.clone(), []);
    let contexts = Contexts::of(&world).await;
    world.take(done_by("anon", "s", &["a"])).await;
    world.take(ActionsPayload { user_id: Some("ann".to_owned()), ..batch("s", []) }).await;
    assert_eq!(contexts.of_user(&world, "anon").await, "");
    assert_eq!(contexts.of_user(&world, "ann").await, "Session s (p):|1. a");
    drop(world.crash().await);
    let world = world_on(store, []);
    let contexts = Contexts::of(&world).await;
    assert_eq!(contexts.of_user(&world, "anon").await, "");
    assert_eq!(contexts.of_user(&world, "ann").await, "Session s (p):|1. a");
    world.end().await;
}

#[tokio::test]
async fn who_falls_behind_reads_again_and_misses_nothing() {
    let world = start([]);
    let contexts = Contexts::of(&world).await;
    let long = "x".repeat(600_000);
    // All of it is told at once, and is more than what may wait.
    for n in 0..40 {
        let batch = done_by("ann", &format!("s{n}"), &[&long]);
        world.handle.accept(Payload::Actions(batch), 600_000).await.expect("the engine runs");
    }
    world.take(done_by("ann", "last", &["z"])).await;
    contexts.caught_up(&world).await;
    assert_eq!(world.handle.counters().context_reread.get(), 1);
    for n in 0..40 {
        let text = contexts.recent.session_activity(&key(&format!("s{n}")), contexts.recent.view());
        assert!(text.contains(&long), "s{n}");
    }
    assert!(contexts.of_user(&world, "ann").await.starts_with("Session last (p):|1. z"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_history_nothing_is_stored_and_nothing_told() {
    let world = World::start(memory(), Platform::new([]), Delivery::default());
    let mut feed = world.handle.feed();
    world.take(done_by("ann", "s", &["a"])).await;
    world.summarize("s", "did a", 1).await;
    assert_eq!((world.rows(Table::History).await, world.handle.feed_position()), (0, 0));
    world.end().await;
    assert!(feed.next().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_run_with_a_history_left_behind_goes_without_one_too() {
    let world = start([]);
    world.take(done_by("ann", "s", &["a"])).await;
    let (store, platform) = world.crash().await;
    let world = World::start(store, platform, Delivery::default());
    for _ in 0..30 {
        wait(3600.0).await;
        world.take(done_by("ann", "s", &["b"])).await;
    }
    assert_eq!(world.rows(Table::History).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_gives_no_ordinal_twice() {
    let store = memory();
    let world = world_on(store.clone(), []);
    world.take(done_by("ann", "s", &["a", "b", "c"])).await;
    drop(world.crash().await);
    let group = Group("p".into(), "s".into());
    let record = Key { table: Table::Session, group: group.clone(), number: 0 };
    let open = store.load(Table::Open, std::slice::from_ref(&group)).await.expect("rows");
    let open = open[0].iter().map(|(number, _)| {
        Change::Delete(Key { table: Table::Open, group: group.clone(), number: *number })
    });
    let changes = open.chain([Change::Put(record, b"not a record".to_vec())]);
    store.commit(changes.collect()).await.expect("a commit");
    let world = world_on(store, []);
    world.take(done_by("ann", "s", &["d"])).await;
    assert_eq!(kept(&world).await.0, [1, 4]);
    world.end().await;
}

#[tokio::test]
async fn no_byte_of_what_somebody_did_is_left_when_they_are_erased() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let world = world_on(embedded(&path).await, []);
    let contexts = Contexts::of(&world).await;
    world.take(done_by(" marker-before ", "s", &["marker-text 1"])).await;
    // The session is another's by then, all the same it tells of the first one.
    world.take(done_by("marker-user", "s", &["marker-text 2", "marker-text 3"])).await;
    world.summarize("s", "marker-summary", 0).await;
    world.take(done_by("bob", "t", &["other"])).await;
    let markers = ["marker-text 1", "marker-text 3", "marker-summary", "marker-before"];
    for marker in markers {
        assert!(!files_with(folder.path(), marker).is_empty(), "{marker} is there before");
    }
    let subject = Subject::User("marker-before".to_owned());
    let erasure = Erasure { product: product("p"), subject, keep_notes: false };
    let erased = world.handle.erase(&erasure).await.expect("an erasure");
    assert_eq!(erased.sessions, 1);
    assert_eq!(contexts.of_user(&world, "marker-user").await, "");
    assert_eq!(contexts.of_user(&world, "bob").await, "Session t (p):|1. other");
    world.take(done_by("marker-user", "s", &["after"])).await;
    assert_eq!(contexts.of_user(&world, "marker-user").await, "Session s (p):|1. after");
    let scrubbed = world.handle.scrubbed();
    tokio::time::timeout(Duration::from_secs(30), scrubbed).await.expect("it is scrubbed");
    for marker in markers {
        assert_eq!(files_with(folder.path(), marker), Vec::<PathBuf>::new(), "{marker}");
    }
    world.end().await;
}
