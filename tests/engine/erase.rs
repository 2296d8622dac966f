//! Erasing somebody: what goes at once, what goes at the platform, and what is left of it in the files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::erase::kept::{self, KeptCount, KeptFilter, KeptList, Reason};
use sidenote::engine::erase::{Erased, Erasure, Subject};
use sidenote::ids::SessionId;
use sidenote::outbox::note::{FailureKind, Redaction};
use sidenote::outbox::redaction::{ErasureId, Why};
use sidenote::session::payload::ActionsPayload;
use sidenote::store::{RedisStore, Store, Table};
use sidenote_tests::world::{
    Answer, Platform, World, action, batch, crashed, each_sealed, embedded, failed, ok_after,
    product, wait,
};
use sidenote_tests::{RedisServer, files_with, fresh_store};

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn start(script: impl IntoIterator<Item = Answer>) -> World {
    World::start(memory(), Platform::with_redactions(script, []), Delivery::default())
}

fn erasure(subject: Subject) -> Erasure {
    Erasure { product: product("p"), subject, keep_notes: false }
}

fn user(id: &str) -> Erasure {
    erasure(Subject::User(id.to_owned()))
}

fn session(id: &str) -> Erasure {
    erasure(Subject::Session(SessionId::new(id).expect("not empty")))
}

/// What `person` does in a session.
fn done_by(person: &str, session: &str, text: &str) -> ActionsPayload {
    ActionsPayload {
        user_id: Some(person.to_owned()),
        email: Some(format!("{person}@Example.com")),
        ..batch(session, [action(text)])
    }
}

/// All rows but those that a run leaves behind whoever was there.
async fn rows(world: &World) -> Vec<(Table, usize)> {
    let mut rows = Vec::new();
    for table in Table::ALL {
        let count = world.rows(table).await;
        if count > 0 {
            rows.push((table, count));
        }
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_somebody_in_any_table_and_their_notes_go() {
    let world = start([]);
    for (person, session) in [("ann", "s1"), ("ann", "s2"), ("bob", "s3")] {
        world.take(done_by(person, session, "0")).await;
        world.link(session, &format!("c-{session}")).await.expect("a link");
        wait(0.2).await;
        world.take(done_by(person, session, "1")).await;
        wait(0.3).await;
    }
    world.take(done_by("ann", "s1", "2")).await;
    let expected = Erased { sessions: 2, actions: 1, redactions: 4, ..Erased::default() };
    assert_eq!(world.handle.preview_erase(&user("ann")).await.expect("a preview"), expected);
    let erased = world.handle.erase(&user("ann")).await.expect("an erasure");
    assert!(erased.erasure.is_some(), "it has a name");
    assert_eq!(Erased { erasure: None, ..erased }, expected);
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c-s3: [1] 0", "c-s3: [1] 1"]);
    assert_eq!(
        rows(&world).await,
        [
            (Table::Session, 1),
            (Table::Conversation, 1),
            (Table::Person, 2),
            (Table::Sent, 2),
            (Table::Scrub, 1)
        ],
        "bob's, and that the files are to be written anew"
    );
    wait(120.0).await;
    assert_eq!(world.rows(Table::Scrub).await, 0);
    assert_eq!(world.handle.erase(&user("ann")).await.expect("again"), Erased::default());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn somebody_is_found_by_address_and_by_session_too() {
    for subject in [
        Subject::Email("ANN@example.COM".to_owned()),
        Subject::Session(SessionId::new("s").expect("not empty")),
    ] {
        let world = start([]);
        world.take(done_by("ann", "s", "0")).await;
        world.link("s", "c").await.expect("a link");
        wait(0.3).await;
        let erased = world.handle.erase(&erasure(subject)).await.expect("an erasure");
        assert_eq!((erased.sessions, erased.redactions), (1, 1));
        wait(200.0).await;
        assert_eq!(rows(&world).await, []);
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_without_a_session_is_found_by_its_person() {
    let world = start([failed(FailureKind::Invalid, None)]);
    world.take(done_by("ann", "s", "0")).await;
    world.link("s", "c").await.expect("a link");
    wait(26.0 * 3600.0).await;
    assert_eq!((world.rows(Table::Session).await, world.dead().await.len()), (0, 1));
    let erased = world.handle.erase(&user("ann")).await.expect("an erasure");
    assert_eq!((erased.sessions, erased.notes), (1, 1));
    assert_eq!(world.rows(Table::Dead).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn queued_notes_go_and_the_one_under_way_goes_when_it_has_arrived() {
    let platform = Platform::with_redactions([ok_after(30.0)], []);
    let world = World::start(memory(), platform, each_sealed(Delivery::default()));
    world.link("s", "c").await.expect("a link");
    for n in 0..7 {
        world.act("s", &n.to_string()).await;
        wait(0.2).await;
    }
    let erased = world.handle.erase(&session("s")).await.expect("an erasure");
    assert_eq!((erased.notes, erased.redactions), (7, 1));
    assert_eq!(world.rows(Table::Outbox).await, 0);
    wait(20.0).await;
    assert_eq!(world.platform.redactions().len(), 0, "it is still under way");
    wait(20.0).await;
    assert_eq!(world.platform.posts().len(), 1, "no other is posted");
    assert_eq!(world.platform.visible(), Vec::<String>::new());
    wait(200.0).await;
    assert_eq!(rows(&world).await, []);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_post_under_way_that_a_crash_cuts_off_is_looked_for_and_taken_back() {
    let store = memory();
    let world =
        World::start(store, Platform::with_redactions([ok_after(30.0)], []), Delivery::default());
    world.act("s", "0").await;
    world.link("s", "c").await.expect("a link");
    wait(1.0).await;
    let key = world.platform.posts()[0].call.idempotency_key.clone();
    world.handle.erase(&session("s")).await.expect("an erasure");
    let (store, _) = world.crash().await;

    let platform = Platform::with_redactions([], []);
    platform.finds([key.clone()]);
    let world = World::start(store, platform, Delivery::default());
    wait(200.0).await;
    assert_eq!(world.platform.asked(), [key]);
    let asked: Vec<_> = world.platform.redactions().into_iter().map(|it| it.note_id).collect();
    assert_eq!((asked, world.platform.posts().len()), (vec!["found".to_owned()], 0));
    assert_eq!(rows(&world).await, []);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_of_which_nobody_knows_is_looked_for() {
    let world = start([crashed(), failed(FailureKind::Transient, Some(Duration::from_secs(600)))]);
    world.platform.finds([]);
    world.act("s", "0").await;
    world.link("s", "c").await.expect("a link");
    wait(0.5).await;
    let erased = world.handle.erase(&session("s")).await.expect("an erasure");
    assert_eq!((erased.notes, erased.redactions), (1, 1));
    wait(200.0).await;
    assert_eq!(world.platform.asked().len(), 1, "the platform doesn't have it");
    assert_eq!((world.platform.redactions().len(), rows(&world).await), (0, Vec::new()));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn notes_can_be_left_where_they_are() {
    let world = start([ok_after(0.0), ok_after(30.0)]);
    world.link("s", "c").await.expect("a link");
    for n in 0..2 {
        world.act("s", &n.to_string()).await;
        wait(0.3).await;
    }
    let erasure = Erasure { keep_notes: true, ..session("s") };
    let erased = world.handle.erase(&erasure).await.expect("an erasure");
    // One that was sent, and one that is under way.
    assert_eq!((erased.notes, erased.redactions, erased.left), (1, 0, 2));
    assert_eq!(erased.kept, [count(Reason::Wished, 2)]);
    world.act("s", "2").await;
    world.link("s", "c").await.expect("a link");
    wait(200.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 0", "c: [1] 1", "c: [1] 2"]);
    assert_eq!(world.platform.redactions().len(), 0);
    assert_eq!(world.rows(Table::Sent).await, 1, "of the session that began anew");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_does_afterwards_begins_a_session_that_nobody_knew() {
    let world = start([]);
    world.take(done_by("ann", "s", "0")).await;
    world.link("s", "c").await.expect("a link");
    wait(0.3).await;
    let handle = world.handle.clone();
    let erased = async move { handle.erase(&user("ann")).await.expect("an erasure") };
    let (erased, ()) = tokio::join!(erased, world.take(done_by("ann", "s", "1")));
    assert_eq!(erased.sessions, 1);
    world.take(done_by("ann", "s", "2")).await;
    wait(1.0).await;
    assert_eq!(world.record("s").await.link, None);
    assert_eq!(world.platform.visible(), Vec::<String>::new());
    assert_eq!(world.rows(Table::Open).await, 1, "1 came before the erasure's commit, 2 behind it");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_tried_again_when_it_is_erased() {
    let refused = failed(FailureKind::Permanent, None).1.expect_err("a failure");
    let platform = Platform::with_redactions([], [(Duration::ZERO, Err(refused))]);
    let world = World::start(memory(), platform, Delivery::default());
    world.link("s", "c").await.expect("a link");
    world.act("s", "0").await;
    wait(0.3).await;
    world.summary("s", "one", 1).await;
    wait(1.0).await;
    assert_eq!(world.handle.counters().redactions_dead.get(), 1);
    let erased = world.handle.erase(&session("s")).await.expect("an erasure");
    assert_eq!(erased.redactions, 2);
    wait(200.0).await;
    assert_eq!((world.platform.visible(), rows(&world).await), (Vec::new(), Vec::new()));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn notes_that_the_platform_does_not_give_back_are_counted_and_listed_until_they_expire() {
    let platform = Platform::with_redactions([], [(Duration::ZERO, Ok(Redaction::Unsupported))]);
    let world = World::start(memory(), platform, Delivery::default());
    world.link("s", "c").await.expect("a link");
    world.act("s", "0").await;
    wait(0.3).await;
    let erased = world.handle.erase(&session("s")).await.expect("an erasure");
    assert_eq!((erased.redactions, erased.left), (1, 0), "the platform wasn't asked yet");
    wait(200.0).await;
    assert_eq!((world.platform.visible().len(), rows(&world).await), (1, vec![(Table::Kept, 1)]));
    assert_eq!(world.handle.counters().redactions_unsupported.get(), 1);
    let kept = kept_of(&world, erased.erasure).await;
    assert_eq!((kept.counts, kept.waiting), (vec![count(Reason::Unsupported, 1)], 0));
    assert_eq!(kept.notes[0].conversation.as_str(), "c");
    assert!(kept.notes[0].note_id.is_some());
    wait(31.0 * 86_400.0).await;
    assert_eq!(rows(&world).await, []);
    world.end().await;
}

fn count(reason: Reason, notes: u64) -> KeptCount {
    KeptCount { plugin: "bot".into(), reason, notes }
}

async fn kept_of(world: &World, erasure: Option<ErasureId>) -> KeptList {
    let filter = KeptFilter { erasure, ..KeptFilter::default() };
    kept::list(&*world.store, &filter, 100, None).await.expect("the store is read")
}

#[tokio::test(start_paused = true)]
async fn a_plugin_without_a_redactor_keeps_all_notes_and_says_so_before_and_after() {
    let platform = Platform::with_redactions([], []);
    platform.redacts(false);
    let world = World::start(memory(), platform, Delivery::default());
    world.link("s", "c").await.expect("a link");
    for n in 0..6 {
        world.act("s", &n.to_string()).await;
        wait(0.3).await;
    }
    let preview = world.handle.preview_erase(&session("s")).await.expect("a preview");
    assert_eq!((preview.redactions, preview.left), (0, 6));
    assert_eq!((preview.kept, preview.erasure), (vec![count(Reason::NoRedactor, 6)], None));
    assert_eq!(kept_of(&world, None).await.notes, [], "a preview changes nothing");
    let erased = world.handle.erase(&session("s")).await.expect("an erasure");
    assert_eq!((erased.redactions, erased.left), (0, 6));
    assert_eq!(erased.kept, [count(Reason::NoRedactor, 6)]);
    wait(200.0).await;
    assert_eq!((world.platform.visible().len(), world.platform.redactions().len()), (6, 0));
    let kept = kept_of(&world, erased.erasure).await;
    assert_eq!((kept.notes.len(), kept.counts), (6, vec![count(Reason::NoRedactor, 6)]));
    assert_eq!(kept_of(&world, Some(ErasureId(1))).await.notes, [], "another erasure's");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_summary_could_not_replace_is_listed_apart_and_stays_at_an_erasure() {
    let unsupported = || (Duration::ZERO, Ok(Redaction::Unsupported));
    let platform = Platform::with_redactions([], [unsupported(), unsupported(), unsupported()]);
    let world = World::start(memory(), platform, Delivery::default());
    world.link("s", "c").await.expect("a link");
    world.act("s", "0").await;
    wait(0.3).await;
    world.summary("s", "one", 1).await;
    wait(1.0).await;
    assert_eq!(kept_of(&world, None).await.notes, [], "of erasures there are none");
    let filter = KeptFilter { replaced: true, ..KeptFilter::default() };
    let kept = kept::list(&*world.store, &filter, 100, None).await.expect("the store is read");
    assert_eq!((kept.notes.len(), kept.notes[0].why), (1, Why::Replaced));
    // The raw note can't be redacted, as is known; of the summary nobody knows yet.
    let erased = world.handle.erase(&session("s")).await.expect("an erasure");
    assert_eq!((erased.redactions, erased.left), (1, 1));
    wait(10.0).await;
    let kept = kept_of(&world, erased.erasure).await;
    assert_eq!((kept.notes.len(), kept.waiting), (2, 0), "the later outcome is added");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_that_went_in_the_end_leaves_the_ledger() {
    let refused = failed(FailureKind::Permanent, None).1.expect_err("a failure");
    let platform = Platform::with_redactions([], [(Duration::ZERO, Err(refused))]);
    let world = World::start(memory(), platform, Delivery::default());
    world.link("s", "c").await.expect("a link");
    world.act("s", "0").await;
    wait(0.3).await;
    let first = world.handle.erase(&session("s")).await.expect("an erasure");
    wait(1.0).await;
    let kept = kept_of(&world, first.erasure).await;
    assert_eq!(kept.counts, [count(Reason::GivenUp, 1)]);
    world.handle.erase(&session("s")).await.expect("once more");
    wait(200.0).await;
    assert_eq!((world.platform.visible(), rows(&world).await), (Vec::new(), Vec::new()));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_stays_is_listed_in_pages() {
    let platform = Platform::with_redactions([], []);
    platform.redacts(false);
    let world = World::start(memory(), platform, Delivery::default());
    world.link("s", "c").await.expect("a link");
    for n in 0..5 {
        world.act("s", &n.to_string()).await;
        wait(0.3).await;
    }
    world.handle.erase(&session("s")).await.expect("an erasure");
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let filter = KeptFilter::default();
        let page = kept::list(&*world.store, &filter, 2, after).await.expect("a page");
        let counted = if pages == 0 { vec![count(Reason::NoRedactor, 5)] } else { Vec::new() };
        assert_eq!(page.counts, counted, "page {pages}");
        seen.extend(page.notes.into_iter().filter_map(|note| note.note_id));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), pages), (5, 3));
    world.end().await;
}

const MARKERS: [&str; 5] = [
    "marker-user",
    "marker-session",
    "marker-text",
    "marker-conversation",
    "marker-user@Example.com",
];

async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !is().await {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        wait(0.01).await;
    }
}

#[tokio::test]
async fn no_byte_of_somebody_is_left_in_the_files_of_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let store = embedded(&path).await;
    let script = [ok_after(0.0), failed(FailureKind::Invalid, None)];
    let world = World::start(store, Platform::with_redactions(script, []), Delivery::default());
    for n in 0..50 {
        world.act(&format!("other-{n}"), "what another did").await;
    }
    world.take(done_by("marker-user", "marker-session", "marker-text 0")).await;
    world.link("marker-session", "marker-conversation").await.expect("a link");
    for n in 1..4 {
        world.take(done_by("marker-user", "marker-session", &format!("marker-text {n}"))).await;
        eventually("a note", async || world.platform.posts().len() > n).await;
    }
    world.take(done_by("marker-user", "marker-session", "marker-text open")).await;
    for marker in MARKERS {
        assert!(!files_with(folder.path(), marker).is_empty(), "{marker} is there before");
    }

    let erased = world.handle.erase(&user("marker-user")).await.expect("an erasure");
    assert_eq!(erased.sessions, 1);
    // Without the platform's part: what is needed to redact notes goes with the last one.
    eventually("redactions", async || world.rows(Table::Redact).await == 0).await;
    let (store, _) = world.crash().await;
    // Within one run there is a minute between two times at least; the next start doesn't wait for it.
    let world = World::start(store, Platform::with_redactions([], []), Delivery::default());
    world.handle.scrubbed().await;
    eventually("the mark is gone", async || world.rows(Table::Scrub).await == 0).await;
    for marker in MARKERS {
        assert_eq!(files_with(folder.path(), marker), Vec::<PathBuf>::new(), "{marker}");
    }
    assert_eq!(world.rows(Table::Session).await, world.rows(Table::Open).await, "of the others");
    assert_eq!(world.rows(Table::Open).await, 50);
    world.act("other-1", "goes on").await;
    drop(world.crash().await);
    let world = World::start(embedded(&path).await, Platform::new([]), Delivery::default());
    assert_eq!(world.rows(Table::Open).await, 51);
    world.end().await;
}

#[tokio::test]
async fn no_byte_of_somebody_is_left_on_a_redis_server() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = RedisStore::open(&server.config()).await.expect("a server");
    store.hold().await.expect("a lease");
    let platform = Platform::with_redactions([], []);
    // What comes behind the link stays open.
    let patient = Duration::from_secs(3600);
    let rules = Delivery { debounce: patient, max_wait: patient, ..Delivery::default() };
    let world = World::start(Arc::new(store), platform, rules);
    world.act("other", "what another did").await;
    world.take(done_by("marker-user", "marker-session", "marker-text 0")).await;
    world.link("marker-session", "marker-conversation").await.expect("a link");
    eventually("a note", async || world.platform.visible().len() == 1).await;
    world.take(done_by("marker-user", "marker-session", "marker-text open")).await;
    eventually("the copy for the SDK", async || {
        server.everything().await.contains("autoplay:session_state:marker-session")
    })
    .await;
    let before = server.everything().await;
    for marker in MARKERS {
        assert!(before.contains(marker), "{marker} is there before");
    }

    let erased = world.handle.erase(&user("marker-user")).await.expect("an erasure");
    assert_eq!(erased.sessions, 1);
    eventually("redactions", async || world.rows(Table::Redact).await == 0).await;
    let after = server.everything().await;
    for marker in MARKERS {
        assert!(!after.contains(marker), "{marker}");
    }
    assert!(after.contains("what another did"));
    world.end().await;
}
