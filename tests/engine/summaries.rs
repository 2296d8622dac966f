//! Summaries: which note they become, when, and what of a session they cover.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::Summary;
use sidenote::engine::link::LinkMode;
use sidenote::outbox::note::{FailureKind, NoteKind};
use sidenote::session::state::Summarized;
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    Answer, Platform, World, action, batch, embedded, failed, ok_after, wait, wish,
};

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn start(script: impl IntoIterator<Item = Answer>) -> World {
    World::start(memory(), Platform::with_redactions(script, []), Delivery::default())
}

/// A linked session with so many notes of one action each, which are all at the platform.
async fn with_notes(world: &World, notes: u64) {
    world.link("s", "c").await.expect("a link");
    acts(world, 0..notes).await;
}

async fn acts(world: &World, numbers: std::ops::Range<u64>) {
    for n in numbers {
        world.act("s", &n.to_string()).await;
        wait(0.2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_posted_and_then_takes_the_place_of_what_it_covers() {
    let world = start([]);
    with_notes(&world, 3).await;
    world.summary("s", "They looked around.", 2).await;
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 2", "c: They looked around."]);
    assert_eq!(
        world.platform.log()[3..],
        ["taken n4", "asked for n1", "gone n1", "asked for n2", "gone n2"],
        "first the summary, then what it replaces, one after the other"
    );
    let posted = world.platform.posts().pop().expect("a post").note;
    assert_eq!((posted.kind, posted.seq, posted.through), (NoteKind::Summary, 4, 2));
    assert_eq!((world.rows(Table::Sent).await, world.rows(Table::Redact).await), (2, 0));
    let counters = world.handle.counters();
    assert_eq!((counters.summaries_sealed.get(), counters.redactions_done.get()), (1, 2));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_goes_only_when_all_its_actions_are_covered() {
    let world = start([]);
    world.link("s", "c").await.expect("a link");
    world.take(batch("s", [action("0"), action("1"), action("2")])).await;
    wait(0.5).await;
    world.summary("s", "half", 2).await;
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 0|[2] 1|[3] 2", "c: half"]);
    world.summary("s", "whole", 1).await;
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: whole"], "with the summary before it");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_open_and_covered_is_sealed_first_and_the_rest_comes_behind_the_summary() {
    let world = start([]);
    world.link("s", "c").await.expect("a link");
    for text in ["0", "1", "2"] {
        world.act("s", text).await;
    }
    world.summary("s", "two things", 2).await;
    wait(1.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] 0|[2] 1", "c: two things", "c: [1] 2"]);
    assert_eq!(world.platform.visible(), ["c: two things", "c: [1] 2"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_covers_no_more_than_was_taken() {
    let world = start([]);
    with_notes(&world, 1).await;
    world.summary("s", "everything", 100).await;
    wait(1.0).await;
    acts(&world, 1..2).await;
    assert_eq!(world.platform.visible(), ["c: everything", "c: [1] 1"]);
    assert_eq!(world.record("s").await.covered, 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_link_nothing_is_posted_and_nothing_is_kept_but_the_count_goes_on() {
    let world = start([]);
    world.take(batch("s", [action("0"), action("1")])).await;
    world.take(batch("s", [action("2")])).await;
    assert_eq!(world.summarize("s", "early", 2).await, Summary::Accepted(Summarized::Unlinked));
    assert_eq!(world.summarize("nobody", "early", 2).await, Summary::Accepted(Summarized::Stale));
    assert_eq!(world.record("nobody").await.covered, 0);
    assert_eq!(world.handle.counters().summaries_unlinked.get(), 1);
    world.link("s", "c").await.expect("a link");
    wait(1.0).await;
    world.summary("s", "the third", 1).await;
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: the third"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_window_dropped_counts_as_actions_of_the_session() {
    let world = start([]);
    world.act("s", "0").await;
    wait(130.0).await;
    assert_eq!(world.handle.counters().dropped_window.get(), 1);
    world.act("s", "1").await;
    world.link("s", "c").await.expect("a link");
    acts(&world, 2..3).await;
    assert_eq!(
        world.summarize("s", "two", 2).await,
        Summary::Accepted(Summarized::Queued { seq: 3 })
    );
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 2", "c: two"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_behind_one_that_covers_more_is_left_out() {
    let world = start([]);
    with_notes(&world, 3).await;
    assert_eq!(
        world.summarize("s", "three", 3).await,
        Summary::Accepted(Summarized::Queued { seq: 4 })
    );
    assert_eq!(world.summarize("s", "two", 2).await, Summary::Accepted(Summarized::Stale));
    assert_eq!(world.summarize("s", " \n", 3).await, Summary::Unusable);
    world.summary("s", "", 9).await;
    assert_eq!(
        world.summarize("s", "three again", 3).await,
        Summary::Accepted(Summarized::Queued { seq: 5 })
    );
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: three again"]);
    assert_eq!(world.handle.counters().summaries_ignored.get(), 3);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_given_up_replaces_nothing() {
    let world = start([ok_after(0.0), failed(FailureKind::Invalid, None)]);
    with_notes(&world, 1).await;
    world.summary("s", "refused", 1).await;
    wait(3600.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 0"]);
    assert_eq!(world.platform.redactions().len(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_a_summary_is_sealed_is_posted_first_and_goes_then() {
    let world = start([ok_after(30.0)]);
    world.link("s", "c").await.expect("a link");
    acts(&world, 0..6).await;
    world.summary("s", "all of it", 6).await;
    wait(28.0).await;
    assert_eq!(world.platform.redactions().len(), 0, "the first note is under way");
    wait(10.0).await;
    assert_eq!(world.platform.lines().len(), 3, "in order, the summary last");
    assert_eq!(world.platform.visible(), ["c: all of it"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_sent_again_after_its_summary_goes_right_away() {
    use sidenote::engine::{Decision, NoteRef};
    let world = start([failed(FailureKind::NotFound, None)]);
    with_notes(&world, 2).await;
    world.summary("s", "both", 2).await;
    wait(1.0).await;
    let key = world.platform.posts()[0].note.key.clone();
    let note = NoteRef::note(key, 1);
    assert_eq!(world.handle.decide(Decision::Retry, vec![note]).await, Ok(1));
    wait(1.0).await;
    assert_eq!(world.platform.posts().len(), 4, "it was posted");
    assert_eq!(world.platform.visible(), ["c: both"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn notes_beside_another_conversation_stay_there() {
    let world = start([]);
    with_notes(&world, 1).await;
    world.handle.link(wish("s", "c2", LinkMode::Move)).await.expect("a move");
    acts(&world, 1..2).await;
    world.summary("s", "both", 2).await;
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 0", "c2: both"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_summary_cannot_pass_for_another_note() {
    let world = start([]);
    with_notes(&world, 1).await;
    world.summary("s", "They paid.\r\n\n\n\nsession_id: other\n[1] refunded\u{1b}[2J\n", 1).await;
    wait(1.0).await;
    let body = world.platform.posts().pop().expect("a post").note.body;
    let (head, text) = body.split_once("\n\n").expect("a header");
    assert!(head.starts_with("session_id: s\ntimestamp: "), "{head}");
    assert_eq!(text, "They paid.\n\n  session_id: other\n  [1] refunded\u{fffd}[2J");
    world.end().await;
}

#[tokio::test]
async fn the_count_of_actions_and_a_summary_that_was_not_posted_survive_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let platform = Platform::with_redactions([ok_after(3600.0)], []);
    let patient = Duration::from_secs(3600);
    let rules = Delivery { debounce: patient, max_wait: patient, ..Delivery::default() };
    let world = World::start(embedded(&path).await, platform, rules);
    world.link("s", "c").await.expect("a link");
    world.act("s", "0").await;
    world.act("s", "1").await;
    assert_eq!(
        world.summarize("s", "one", 1).await,
        Summary::Accepted(Summarized::Queued { seq: 2 })
    );
    drop(world.crash().await);

    let platform = Platform::with_redactions([], []);
    let world = World::start(embedded(&path).await, platform, Delivery::default());
    world.act("s", "2").await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.platform.visible().len() != 2 || world.rows(Table::Open).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", world.platform.visible());
        wait(0.01).await;
    }
    assert_eq!(world.platform.visible(), ["c: one", "c: [1] 1|[2] 2"]);
    assert_eq!(world.record("s").await.left, 3);
    world.end().await;
}
