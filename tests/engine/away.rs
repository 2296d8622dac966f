//! A store that can't be reached for a while.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sidenote::engine::link::LinkError;
use sidenote::engine::{Settings, Unchanged};
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::sink_delivery::{Content, Roles};
use sidenote::session::payload::{Payload, SummaryPayload};
use sidenote::store::{Change, Group, Journal, Key, MemoryStore, Rows, Store, StoreError, Table};
use sidenote_tests::world::{Platform, World, action, batch, ok_after, product, wait};

/// A store in memory that can be away. What it is asked meanwhile it neither says nor does.
#[derive(Default)]
struct Remote {
    rows: MemoryStore,
    away: AtomicBool,
    /// Whether it refuses what it is asked instead.
    refuses: AtomicBool,
    /// So many commits are carried out without an answer.
    unanswered: AtomicUsize,
    /// Every other read of sessions fails, and a commit takes its time.
    shaky: AtomicBool,
    reads: AtomicUsize,
}

impl Remote {
    fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<(), StoreError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::Refused("NOPERM as the test wishes".to_owned()));
        }
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Away("as the test wishes".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Store for Remote {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        self.reach()?;
        if table == Table::Session && self.shaky.load(Ordering::SeqCst) {
            let reads = self.reads.fetch_add(1, Ordering::SeqCst);
            if reads.is_multiple_of(2) {
                return Err(StoreError::Away("every other time".to_owned()));
            }
        }
        self.rows.load(table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.reach()?;
        self.rows.scan(table, after, limit).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        let count = |n: usize| n.checked_sub(1);
        let silent = self.unanswered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if silent.is_ok() {
            self.rows.commit(changes).await?;
            return Err(StoreError::Away("the answer got lost".to_owned()));
        }
        self.reach()?;
        if self.shaky.load(Ordering::SeqCst) {
            wait(0.02).await;
        }
        self.rows.commit(changes).await
    }
}

fn journal(folder: &Path, max_bytes: usize) -> Journal {
    Journal::open(&folder.join("test.journal"), max_bytes).expect("a journal")
}

fn start(store: &Arc<Remote>, platform: Arc<Platform>, journal: Journal) -> World {
    World::start_with_journal(store.clone(), platform, journal)
}

/// The store goes away, and the engine finds out.
async fn go_away(store: &Remote, world: &World) {
    store.set_away(true);
    let batch = batch("another", [action("not taken before the store is back")]);
    world.handle.accept(Payload::Actions(batch), 100).await.expect("the engine runs");
    wait(0.1).await;
    assert_eq!(world.handle.counters().store_away.get(), 1);
}

async fn acts(world: &World, texts: impl IntoIterator<Item = u64>) {
    for n in texts {
        world.act("s", &n.to_string()).await;
    }
}

/// The texts of all notes, in the order in which they were posted.
fn texts(platform: &Platform) -> Vec<String> {
    let posts = platform.posts();
    let actions = posts.iter().flat_map(|post| post.note.actions.unpack());
    actions.map(|action| action.description).collect()
}

fn numbers(to: u64) -> Vec<String> {
    (0..to).map(|n| n.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_store_is_away_is_kept_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    acts(&world, 0..3).await;
    go_away(&store, &world).await;
    acts(&world, 3..6).await;
    // The commit that plays the journal back is carried out, and its answer gets lost.
    store.unanswered.store(1, Ordering::SeqCst);
    store.set_away(false);
    wait(5.0).await;
    acts(&world, 6..7).await;
    let key =
        SessionKey { product: product("p"), session: SessionId::new("s").expect("not empty") };
    let history = world.handle.history(&key).await.expect("the store answers");
    let kept: Vec<_> =
        history.uncovered().map(|(ordinal, it)| (ordinal, it.description.clone())).collect();
    let expected: Vec<_> = (1..).zip(numbers(7)).collect();
    assert_eq!(kept, expected);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_store_is_away_is_taken_and_sent_in_order_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    acts(&world, 0..3).await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;

    go_away(&store, &world).await;
    acts(&world, 3..8).await;
    assert_eq!(world.link("t", "c2").await, Err(LinkError::Unavailable));
    wait(30.0).await;
    assert_eq!(world.handle.counters().store_away.get(), 1);
    assert!(world.handle.counters().journalled.get() > 0);
    assert_eq!(texts(&world.platform), numbers(3), "no attempt can be put on record");

    store.set_away(false);
    acts(&world, 8..10).await;
    wait(5.0).await;
    assert_eq!(texts(&world.platform), numbers(10));
    let counters = world.handle.counters();
    assert_eq!((counters.store_away.get(), counters.journalled.get()), (0, 0));
    assert_eq!(counters.actions_accepted.get(), 11);
    world.link("t", "c2").await.unwrap();
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_while_the_store_was_away_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    acts(&world, 0..1).await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;
    go_away(&store, &world).await;
    acts(&world, 1..6).await;
    let (_, platform) = world.crash().await;
    assert_eq!(texts(&platform), numbers(1));

    // The store is still away when the host is back.
    let platform = Platform::new([]);
    let world = start(&store, platform.clone(), journal(folder.path(), 1 << 20));
    acts(&world, 6..7).await;
    wait(5.0).await;
    store.set_away(false);
    wait(5.0).await;
    assert_eq!(texts(&platform), &numbers(7)[1..]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_played_back_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("test.journal"), folder.path().join("copy"));
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    world.act("s", "0").await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;
    go_away(&store, &world).await;
    acts(&world, 1..4).await;
    std::fs::copy(&file, &copy).unwrap();
    store.set_away(false);
    wait(5.0).await;
    let (_, platform) = world.crash().await;
    assert_eq!(texts(&platform), numbers(4));

    // As if the host had died between the store's commit and the journal's.
    std::fs::copy(&copy, &file).unwrap();
    let platform = Platform::new([]);
    let world = start(&store, platform.clone(), journal(folder.path(), 1 << 20));
    wait(5.0).await;
    assert_eq!(texts(&platform), Vec::<String>::new());
    assert_eq!(world.handle.counters().journalled.get(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_got_lost_is_made_again_and_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    world.link("s", "c").await.unwrap();
    store.unanswered.store(2, Ordering::SeqCst);
    acts(&world, 0..4).await;
    wait(5.0).await;
    assert_eq!(texts(&world.platform), numbers(4));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_pauses_the_intake_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 2000));
    acts(&world, 0..1).await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;
    go_away(&store, &world).await;
    let long = "x".repeat(300);
    let mut taken = 0;
    for n in 1..20 {
        let batch = batch("s", [action(&format!("{n} {long}"))]);
        let take = world.handle.accept_committed(batch, 400);
        let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), take).await;
        if in_time.is_err() {
            break;
        }
        taken = n;
    }
    assert!((1..8).contains(&taken), "{taken} found room");
    store.set_away(false);
    wait(5.0).await;
    let sent = texts(&world.platform);
    assert_eq!(sent.len() as u64, taken + 2, "the one that waited is there as well");
    assert!(sent[1..].iter().zip(1..).all(|(text, n)| text.starts_with(&format!("{n} "))));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    acts(&world, 0..1).await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;
    // A host that doesn't have the session in memory.
    let (_, _) = world.crash().await;
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    wait(1.0).await;
    let before = store.rows.scan(Table::Session, None, 10).await.unwrap();
    store.set_away(true);
    // The first to need the store waits for it in vain; whoever comes later is told at once.
    assert_eq!(world.link("s", "another").await, Err(LinkError::Unavailable));
    acts(&world, 1..2).await;
    wait(10.0).await;
    assert_eq!(store.rows.scan(Table::Session, None, 10).await.unwrap(), before);
    store.set_away(false);
    wait(5.0).await;
    assert_eq!(world.record("s").await.link.unwrap().conversation.as_str(), "c");
    assert_eq!(world.end().await, ["c: [1] 1"]);
}

#[tokio::test(start_paused = true)]
async fn reads_that_fail_now_and_then_leave_no_lane_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let slow = [(); 30].map(|()| ok_after(1.0));
    let world = start(&store, Platform::new(slow), journal(folder.path(), 1 << 20));
    world.link("s", "c").await.unwrap();
    // More notes than a lane has in memory.
    for n in 0..30 {
        world.act("s", &n.to_string()).await;
        wait(0.2).await;
    }
    store.shaky.store(true, Ordering::SeqCst);
    // Whenever the lane is refilled, sessions are read in the same round that nobody has seen before.
    for n in 0..3000 {
        world.act(&format!("stranger{n}"), "passes by").await;
        wait(0.01).await;
    }
    store.shaky.store(false, Ordering::SeqCst);
    wait(60.0).await;
    assert_eq!(texts(&world.platform), numbers(30));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_can_be_stopped_while_its_store_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let mut world = start(&store, Platform::new([ok_after(1.0)]), journal(folder.path(), 1 << 20));
    acts(&world, 0..1).await;
    go_away(&store, &world).await;
    acts(&world, 1..3).await;
    world.handle.drain().await;
    wait(2.0).await;
    world.handle.stop().await;
    world.ended().await.unwrap();
    drop(world);

    store.set_away(false);
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    wait(1.0).await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;
    assert_eq!(texts(&world.platform), numbers(3));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn sinks_have_all_that_was_taken_while_the_store_was_away_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let platform = Platform::new([]);
    platform.sinks.set_roles("bot", Some(Roles { writer: true, sink: true }));
    let world = start(&store, platform.clone(), journal(folder.path(), 1 << 20));
    acts(&world, 0..2).await;
    wait(1.0).await;
    go_away(&store, &world).await;
    acts(&world, 2..4).await;
    let summary = SummaryPayload {
        product_id: "p".to_owned(),
        session_id: Some("s".to_owned()),
        summary: "0 to 3".to_owned(),
        replaces: 4,
        forwarded_at: 12.5,
    };
    let summary = Payload::Summary(summary);
    world.handle.accept(summary.clone(), 10).await.expect("the engine runs");
    acts(&world, 4..5).await;
    wait(1.0).await;
    world.crash().await;
    assert_eq!(platform.sinks.kept("bot", "s"), ["0", "1"]);
    // The host that takes over plays it back, its commits are answered late, and reads fail now and then.
    store.unanswered.store(2, Ordering::SeqCst);
    store.shaky.store(true, Ordering::SeqCst);
    let world = start(&store, platform.clone(), journal(folder.path(), 1 << 20));
    store.set_away(false);
    wait(20.0).await;
    store.shaky.store(false, Ordering::SeqCst);
    wait(20.0).await;
    let kept = platform.sinks.kept("bot", "s");
    assert_eq!(kept, ["0", "1", "2", "3", "summary: 0 to 3", "4"]);
    let told = platform.sinks.handed().into_iter().map(|handed| handed.delivery.content);
    let Payload::Summary(wanted) = summary else { unreachable!() };
    assert!(told.into_iter().any(|content| content == Content::Summary(wanted.clone())));
    assert_eq!(world.rows(Table::SinkQueue).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_not_away_and_the_host_goes_on_when_it_is_let() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    acts(&world, 0..3).await;
    world.link("s", "c").await.unwrap();
    wait(1.0).await;
    store.refuses.store(true, Ordering::SeqCst);
    for n in 3..6 {
        let batch = batch("s", [action(&n.to_string())]);
        world.handle.accept(Payload::Actions(batch), 100).await.expect("the engine runs");
    }
    wait(600.0).await;
    let counters = world.handle.counters();
    assert_eq!((counters.store_refused.get(), counters.store_away.get()), (1, 0));
    assert_eq!(counters.journalled.get(), 0, "nothing is taken into the journal");
    let asked = tokio::time::Instant::now();
    assert_eq!(world.link("t", "c2").await, Err(LinkError::Unavailable));
    assert_eq!(asked.elapsed(), std::time::Duration::ZERO, "whoever links is told at once");

    store.refuses.store(false, Ordering::SeqCst);
    wait(5.0).await;
    assert_eq!(texts(&world.platform), numbers(6), "nothing is lost, and the order stays");
    assert_eq!((counters.store_refused.get(), counters.store_away.get()), (0, 0));
    world.link("t", "c2").await.unwrap();
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn other_settings_wait_for_the_store_and_are_given_up_when_that_takes_too_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Remote::default());
    let world = start(&store, Platform::new([]), journal(folder.path(), 1 << 20));
    go_away(&store, &world).await;
    let nothing = || Settings::of_products([]);
    let patience = Duration::from_secs(5);
    let given_up = world.handle.change_settings(nothing(), || panic!("never"), patience).await;
    assert_eq!(given_up, Err(Unchanged::Busy));
    let changing = world.handle.change_settings(nothing(), || {}, 12 * patience);
    let back = async {
        wait(10.0).await;
        acts(&world, 0..3).await;
        assert_eq!(world.handle.settings().products().count(), 2, "those before are in force");
        store.set_away(false);
    };
    let (changed, ()) = tokio::join!(changing, back);
    assert_eq!(changed, Ok(()));
    assert_eq!(world.handle.settings().products().count(), 0);
    world.end().await;
}

/// What a journal has that can't be read stays: in the store, when the journal is emptied.
#[tokio::test(start_paused = true)]
async fn a_record_of_the_journal_that_cannot_be_read_is_set_aside_and_the_others_are_played_back() {
    let (dir, store) = (tempfile::tempdir().expect("a folder"), Arc::new(MemoryStore::new()));
    let journal = Journal::open(&dir.path().join("journal"), 1 << 20).expect("a journal");
    let unreadable = b"{\"from\": \"another version\"".to_vec();
    journal.append(vec![unreadable.clone()]).await.expect("it is written");
    let id = journal.id().to_owned();
    let platform = Platform::new([]);
    let world = World::start_with_journal(store.clone(), platform, journal);
    world.act("s", "a").await;
    let group = Group(id.into(), "".into());
    let rows = store.load(Table::Journal, &[group]).await.expect("the store answers");
    let aside: Vec<_> = rows[0].iter().filter(|(number, _)| *number > 0).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].1, unreadable);
    assert_eq!(world.handle.counters().journalled.get(), 0);
    assert_eq!(world.rows(Table::Open).await, 1);
}
