//! What people see of what waits for sinks, and decide about it.

use sidenote::clock::Timestamp;
use sidenote::config::{DeadHead, Delivery};
use sidenote::engine::ledger::{self, EntryState, Filter, Want};
use sidenote::engine::{Decision, LaneKind, NoteRef};
use sidenote::outbox::note::{FailureKind, Sent};
use sidenote::store::Table;
use sidenote_tests::world::{BEGIN, World, wait};

use super::{after, fails, numbers, unavailable, world};

async fn list(world: &World, filter: &Filter, limit: usize) -> Vec<ledger::Entry> {
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let want = Want { limit, text: true, after };
        let now = Timestamp::from_secs_f64(BEGIN + 10.0);
        let listing =
            ledger::list(&*world.store, filter, &want, now).await.expect("the store answers");
        entries.extend(listing.entries);
        after = listing.next;
        if after.is_none() {
            return entries;
        }
    }
}

fn delivery(entry: &ledger::Entry) -> NoteRef {
    let key = sidenote::ids::SessionKey {
        product: entry.product.clone(),
        session: entry.session.clone(),
    };
    NoteRef { key, lane: entry.lane, seq: entry.seq }
}

fn invalid() -> sidenote_tests::sinks::SinkAnswer {
    fails(FailureKind::Invalid, None, Sent::Sent)
}

#[tokio::test(start_paused = true)]
async fn what_waits_and_what_was_given_up_is_listed_beside_the_notes_page_by_page() {
    let world = world(&["bot", "sink1", "sink2"], &Delivery::default());
    world.platform.sinks.script("sink1", [invalid(), after(1000.0)]);
    world.platform.sinks.script("sink2", [unavailable()]);
    world.platform.then([sidenote_tests::world::ok_after(1000.0)]);
    world.link("s", "c").await.expect("a link");
    world.act("s", "a").await;
    world.act("s", "b").await;
    wait(0.3).await;
    for limit in [1, 2, 100] {
        let entries = list(&world, &Filter::default(), limit).await;
        let shown: Vec<_> = entries
            .iter()
            .map(|it| (it.lane, it.seq, it.plugin.to_string(), it.state, it.actions))
            .collect();
        let sink = |seq, plugin: &str, state| (LaneKind::Sink, seq, plugin.to_owned(), state, 1);
        assert_eq!(
            shown,
            [
                (LaneKind::Note, 1, "bot".to_owned(), EntryState::InFlight, 2),
                sink(2, "sink2", EntryState::RetryAt),
                sink(3, "sink1", EntryState::InFlight),
                sink(4, "sink2", EntryState::Due),
                sink(1, "sink1", EntryState::Dead),
            ],
            "{limit}"
        );
        assert!(entries[1..].iter().all(|entry| entry.conversation.is_none()));
        let text = entries[4].text.as_ref().map(|text| text.0.as_str());
        assert!(text.is_some_and(|text| text.contains(": a")), "{text:?}");
    }
    let of_sink = Filter { plugin: Some("sink2".into()), ..Filter::default() };
    assert_eq!(list(&world, &of_sink, 1).await.len(), 2);
    let dead = Filter { states: vec![EntryState::Dead], ..Filter::default() };
    assert_eq!(list(&world, &dead, 10).await.len(), 1);
    world.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_a_sink_is_sent_again_as_a_person_wishes_and_counts_once() {
    let world = world(&["sink"], &Delivery::default());
    world.platform.sinks.script("sink", [invalid()]);
    world.act("s", "a").await;
    world.act("s", "b").await;
    wait(0.1).await;
    assert_eq!(world.platform.sinks.kept("sink", "s"), ["b"]);
    let dead = list(&world, &Filter::default(), 10).await;
    assert_eq!((dead.len(), dead[0].reason.as_deref()), (1, Some("503: no")));
    let notes = vec![delivery(&dead[0]), delivery(&dead[0])];
    let decided = world.handle.decide(Decision::Retry, notes.clone()).await.expect("it runs");
    assert_eq!(decided, 1);
    wait(0.1).await;
    assert_eq!(world.platform.sinks.kept("sink", "s"), ["b", "a"]);
    let handed = world.platform.sinks.handed();
    assert_eq!(handed[0].call.idempotency_key, handed[2].call.idempotency_key);
    let again = world.handle.decide(Decision::Retry, notes).await.expect("it runs");
    assert_eq!((again, world.rows(Table::SinkDead).await), (0, 0), "it was sent");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_purge_takes_what_waits_wherever_it_waits_and_nothing_of_the_same_number() {
    let rules = Delivery { max_lane_notes: 1000, ..Delivery::default() };
    let world = world(&["bot", "sink"], &rules);
    world.link("s", "c").await.expect("a link");
    world.platform.sinks.script("sink", [unavailable()]);
    for n in numbers(0..12) {
        world.act("s", &n).await;
    }
    wait(0.3).await;
    assert_eq!(world.platform.lines().len(), 1);
    // The head waits; the second is in memory; the tenth is in the store only.
    let entries = list(&world, &Filter::default(), 100).await;
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=12).collect::<Vec<_>>());
    let purged: Vec<_> = [1, 2, 10].map(|seq: usize| delivery(&entries[seq - 1])).into();
    let decided = world.handle.decide(Decision::Purge, purged).await.expect("it runs");
    assert_eq!(decided, 3);
    wait(5.0).await;
    let kept = world.platform.sinks.kept("sink", "s");
    assert_eq!(kept, ["2", "3", "4", "5", "6", "7", "8", "10", "11"]);
    assert_eq!((world.rows(Table::Sent).await, world.rows(Table::SinkQueue).await), (1, 0));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_a_dead_head_holds_its_lane_it_holds_that_of_its_sink_alone() {
    let rules = Delivery { dead_head: DeadHead::Hold, ..Delivery::default() };
    let world = world(&["sink1", "sink2"], &rules);
    world.platform.sinks.script("sink1", [invalid()]);
    world.act("s", "a").await;
    world.act("s", "b").await;
    wait(100.0).await;
    assert_eq!(world.platform.sinks.kept("sink1", "s"), [""; 0]);
    assert_eq!(world.platform.sinks.kept("sink2", "s"), ["a", "b"]);
    let (store, platform) = world.crash().await;
    let world = super::start(store, &["sink1", "sink2"], &rules, platform);
    world.act("s", "c").await;
    wait(1.0).await;
    let held = Filter { states: vec![EntryState::GivenUp], ..Filter::default() };
    let held = list(&world, &held, 10).await;
    assert_eq!(held.len(), 1);
    let notes = held.iter().map(delivery).collect();
    assert_eq!(world.handle.decide(Decision::Retry, notes).await.expect("it runs"), 1);
    wait(1.0).await;
    assert_eq!(world.platform.sinks.kept("sink1", "s"), ["a", "b", "c"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_purged_sink_delivery_never_comes_back_with_what_joins_later() {
    let world = world(&["sink"], &Delivery::default());
    world.platform.sinks.script("sink", [fails(FailureKind::RateLimited, Some(60.0), Sent::Sent)]);
    world.act("s", "a").await;
    wait(0.1).await;
    world.act("s", "b").await;
    let waiting = list(&world, &Filter::default(), 10).await;
    let last = waiting.last().map(delivery).into_iter().collect();
    assert_eq!(world.handle.decide(Decision::Purge, last).await.expect("it runs"), 1);
    world.act("s", "c").await;
    wait(100.0).await;
    assert_eq!(world.platform.sinks.kept("sink", "s"), ["a", "c"]);
    world.end().await;
}
