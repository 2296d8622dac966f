//! Notes that are redacted: what comes of each outcome, and what survives a crash at any moment.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::core::rows::decode;
use sidenote::outbox::note::{
    Crash, Failure, FailureKind, LimitScope, PostError, Posted, Redaction, Sent,
};
use sidenote::outbox::redaction::{Job, State};
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{BEGIN, Platform, RedactionAnswer, World, settings, wait};

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn refused(kind: FailureKind) -> RedactionAnswer {
    limited(kind, LimitScope::Conversation, None)
}

fn limited(kind: FailureKind, scope: LimitScope, seconds: Option<u64>) -> RedactionAnswer {
    let (code, message) = ("503".to_owned(), "no".to_owned());
    let retry_after = seconds.map(Duration::from_secs);
    let failure = Failure { kind, code, message, retry_after, scope, sent: Sent::Sent };
    (Duration::ZERO, Err(PostError::Failed(failure)))
}

fn after(seconds: u64, redaction: Redaction) -> RedactionAnswer {
    (Duration::from_secs(seconds), Ok(redaction))
}

/// A session with two notes at the platform and a summary that takes their place; the redactions are
/// answered by the script.
async fn replaced(script: impl IntoIterator<Item = RedactionAnswer>, rules: Delivery) -> World {
    let world = World::start(memory(), Platform::with_redactions([], script), rules);
    act_and_summarize(&world).await;
    world
}

async fn act_and_summarize(world: &World) {
    world.link("s", "c").await.expect("a link");
    for text in ["0", "1"] {
        world.act("s", text).await;
        wait(0.2).await;
    }
    world.summary("s", "both", 2).await;
    wait(0.1).await;
}

async fn jobs(world: &World) -> Vec<Job> {
    let rows = world.store.scan(Table::Redact, None, 100).await.expect("the store answers");
    rows.iter().map(|(_, value)| decode(value).expect("a job")).collect()
}

fn begun(world: &World) -> Vec<(u64, u32)> {
    let seen = world.platform.redactions();
    seen.iter().map(|seen| (seen.at.as_secs(), seen.call.attempt)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failed_redaction_is_tried_again_under_its_key_with_growing_pauses() {
    let script = (0..3).map(|_| refused(FailureKind::Transient));
    let world = replaced(script, Delivery::default()).await;
    wait(60.0).await;
    assert_eq!(world.platform.visible(), ["c: both"]);
    let seen = world.platform.redactions();
    let first: Vec<_> = seen.iter().filter(|seen| seen.note_id == "n1").collect();
    let second: Vec<_> = seen.iter().filter(|seen| seen.note_id == "n2").collect();
    assert!(first.iter().all(|seen| seen.call.idempotency_key == first[0].call.idempotency_key));
    assert_ne!(first[0].call.idempotency_key, second[0].call.idempotency_key);
    let posts = world.platform.posts();
    assert!(posts.iter().all(|post| post.call.idempotency_key != first[0].call.idempotency_key));
    assert_eq!(first.len() + second.len(), 5);
    assert_eq!(world.rows(Table::Redact).await, 0);
    assert_eq!(world.handle.counters().redactions_failed.get(), 3);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_redaction_that_waits_holds_up_no_other_of_its_session() {
    let rules = Delivery { retry_initial: Duration::from_secs(600), ..Delivery::default() };
    let world = replaced([refused(FailureKind::Transient)], rules).await;
    assert_eq!(world.platform.visible(), ["c: [1] 0", "c: both"]);
    wait(700.0).await;
    assert_eq!(world.platform.visible(), ["c: both"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_that_is_not_there_counts_as_gone() {
    let world = replaced([refused(FailureKind::NotFound)], Delivery::default()).await;
    wait(1.0).await;
    assert_eq!((world.rows(Table::Redact).await, world.rows(Table::Sent).await), (0, 1));
    assert_eq!(world.handle.counters().redactions_done.get(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_notes_cannot_be_taken_back_they_stay_and_are_not_asked_for_again() {
    let script = [after(0, Redaction::Unsupported), after(0, Redaction::Unsupported)];
    let world = replaced(script, Delivery::default()).await;
    wait(1.0).await;
    assert_eq!(world.platform.visible(), ["c: [1] 0", "c: [1] 1", "c: both"]);
    assert_eq!((world.rows(Table::Redact).await, world.rows(Table::Sent).await), (0, 3));
    assert_eq!(world.handle.counters().redactions_unsupported.get(), 2);
    world.summary("s", "both again", 0).await;
    wait(1.0).await;
    let asked: Vec<_> = world.platform.redactions().into_iter().map(|it| it.note_id).collect();
    assert_eq!(asked, ["n1", "n2", "n3"], "of the second summary only the first one");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_without_a_name_stays() {
    let world = World::start(memory(), Platform::new([]), Delivery::default());
    act_and_summarize(&world).await;
    wait(1.0).await;
    assert_eq!(world.platform.redactions().len(), 0);
    assert_eq!((world.rows(Table::Redact).await, world.rows(Table::Sent).await), (0, 3));
    assert_eq!(world.handle.counters().redactions_unsupported.get(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_kept_and_burns_no_attempt() {
    let kind = FailureKind::RateLimited;
    let script = [limited(kind, LimitScope::Account, Some(30))];
    let world = replaced(script, Delivery { max_attempts: 1, ..Delivery::default() }).await;
    wait(29.0).await;
    world.act("s", "2").await;
    assert_eq!(world.platform.redactions().len(), 1, "the account has a pause");
    wait(10.0).await;
    assert_eq!(world.platform.visible(), ["c: both", "c: [1] 2"]);
    assert!(begun(&world)[1..].iter().all(|(at, attempt)| *at >= 30 && *attempt == 1));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_conversation_holds_its_other_redactions_too() {
    let kind = FailureKind::RateLimited;
    let script = [limited(kind, LimitScope::Conversation, Some(30))];
    let world = replaced(script, Delivery::default()).await;
    wait(29.0).await;
    assert_eq!(world.platform.redactions().len(), 1);
    wait(10.0).await;
    assert_eq!(world.platform.visible(), ["c: both"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_wait_for_a_person_and_burn_no_attempt() {
    let script = (0..20).map(|_| refused(FailureKind::Auth));
    let rules = Delivery { max_attempts: 2, ..Delivery::default() };
    let world = replaced(script, rules).await;
    wait(3600.0 * 24.0).await;
    assert_eq!(world.platform.visible(), ["c: both"]);
    assert_eq!(world.handle.counters().redactions_dead.get(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_given_up_and_stays_on_record() {
    for kind in [FailureKind::Invalid, FailureKind::Permanent] {
        let world = replaced([refused(kind)], Delivery::default()).await;
        wait(3600.0).await;
        assert_eq!(world.platform.visible(), ["c: [1] 0", "c: both"]);
        let jobs = jobs(&world).await;
        assert_eq!((jobs.len(), jobs[0].state), (1, State::GivenUp));
        assert_eq!(jobs[0].failure.as_deref(), Some("503: no"));
        assert_eq!(world.handle.counters().redactions_dead.get(), 1);
        let (store, _) = world.crash().await;
        let world = World::start(store, Platform::with_redactions([], []), Delivery::default());
        wait(3600.0).await;
        assert_eq!(world.platform.redactions().len(), 0, "nor after a restart");
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_forgotten_after_the_retention_of_dead_letters() {
    let mut settings = settings(&Delivery::default());
    settings.retention.dead_letters = Duration::from_secs(48 * 3600);
    let script = [refused(FailureKind::Permanent), refused(FailureKind::Permanent)];
    let platform = Platform::with_redactions([], script);
    let world = World::start_with(BEGIN, memory(), platform, settings);
    act_and_summarize(&world).await;
    wait(47.0 * 3600.0).await;
    assert_eq!(world.rows(Table::Redact).await, 2);
    wait(2.0 * 3600.0).await;
    assert_eq!(world.rows(Table::Redact).await, 0);
    assert_eq!(world.handle.counters().redactions_expired.get(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_over_crashes_of_the_host() {
    let rules = Delivery { max_attempts: 3, ..Delivery::default() };
    let script = || [after(3600, Redaction::Removed), after(3600, Redaction::Removed)];
    let world = replaced(script(), rules.clone()).await;
    let mut store = world.crash().await.0;
    for crash in 2..=3 {
        let platform = Platform::with_redactions([], script());
        let world = World::start(store, platform, rules.clone());
        wait(1.0).await;
        assert_eq!(begun(&world), [(0, crash)]);
        store = world.crash().await.0;
    }
    let world = World::start(store, Platform::with_redactions([], []), rules);
    wait(1.0).await;
    assert_eq!(world.handle.counters().redactions_dead.get(), 1);
    let asked: Vec<_> = world.platform.redactions().into_iter().map(|it| it.note_id).collect();
    assert_eq!(asked, ["n2"], "the other one has its turn");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_traps_is_asked_again_so_many_times() {
    let trap =
        || (Duration::ZERO, Err(PostError::Crashed { crash: Crash::Trap, message: String::new() }));
    let rules = Delivery { max_attempts: 2, ..Delivery::default() };
    let world = replaced((0..3).map(|_| trap()), rules).await;
    wait(60.0).await;
    assert_eq!(world.handle.counters().redactions_dead.get(), 1);
    assert_eq!(world.platform.redactions().len(), 4);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_that_cannot_be_taken_back_for_a_week_is_given_up() {
    let gone = || (Duration::ZERO, Err(PostError::Unavailable { message: "gone".into() }));
    let world = replaced((0..10_000).map(|_| gone()), Delivery::default()).await;
    wait(6.9 * 24.0 * 3600.0).await;
    assert_eq!(world.handle.counters().redactions_dead.get(), 0);
    wait(0.3 * 24.0 * 3600.0).await;
    assert_eq!(world.handle.counters().redactions_dead.get(), 2);
    assert_eq!(jobs(&world).await.len(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_ordered_stop_in_the_middle_of_a_redaction_burns_no_attempt() {
    let mut store = memory();
    for restart in 0..4 {
        let platform = Platform::with_redactions([], [after(3600, Redaction::Removed)]);
        let rules = Delivery { max_attempts: 2, ..Delivery::default() };
        let mut world = World::start(store, platform, rules);
        if restart == 0 {
            act_and_summarize(&world).await;
        }
        wait(1.0).await;
        assert_eq!(world.platform.redactions().last().map(|seen| seen.call.attempt), Some(1));
        world.handle.stop().await;
        world.ended().await.expect("an orderly end");
        store = world.store.clone();
    }
}

#[tokio::test(start_paused = true)]
async fn posts_go_first_and_redactions_of_one_session_one_at_a_time() {
    let script = [after(10, Redaction::Removed), after(10, Redaction::Removed)];
    let world = replaced(script, Delivery::default()).await;
    // The plugin has one slot here: a note that comes meanwhile goes before the second redaction.
    world.act("s", "2").await;
    wait(15.0).await;
    let log = world.platform.log();
    assert_eq!(
        log[3..],
        ["asked for n1", "gone n1", "taken n4", "asked for n2"],
        "the order of calls"
    );
    world.end().await;
}

/// The engine is dropped after every possible moment of a whole run, and taken up again: what people see
/// is never blank, and in the end the summary stands alone.
#[tokio::test(start_paused = true)]
async fn at_whatever_moment_the_host_dies_the_summary_stands_before_the_notes_go() {
    for millis in (0..4000).step_by(50) {
        let slow_post = || (Duration::from_millis(300), Ok(Posted { note_id: None, pause: None }));
        let slow = || (Duration::from_millis(300), Ok(Redaction::Removed));
        let script = (0..20).map(|_| slow_post());
        let platform = Platform::with_redactions(script, (0..20).map(|_| slow()));
        let store = memory();
        let world = World::start(store.clone(), platform.clone(), Delivery::default());
        world.link("s", "c").await.expect("a link");
        for text in ["0", "1"] {
            world.act("s", text).await;
            wait(0.2).await;
        }
        assert!(matches!(
            world.summarize("s", "both", 2).await,
            sidenote::engine::Summary::Accepted(_)
        ));
        wait(f64::from(millis) / 1000.0).await;
        drop(world.crash().await);

        let world = World::start(store, platform.clone(), Delivery::default());
        wait(60.0).await;
        let log = platform.log();
        let summary_taken =
            log.iter().position(|line| line.starts_with("taken n3")).expect("a summary");
        let first_asked =
            log.iter().position(|line| line.starts_with("asked")).expect("a redaction");
        assert!(first_asked > summary_taken, "{millis}: {log:?}");
        let visible = platform.visible();
        assert_eq!(visible, ["c: both"], "{millis}: {log:?}");
        assert_eq!(world.rows(Table::Redact).await, 0, "{millis}");
        world.end().await;
    }
}
