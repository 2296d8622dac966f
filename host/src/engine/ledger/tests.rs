//! Reading rows as they are, whatever they are.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::engine::core::Settings;
use crate::engine::core::rows::{put, session_group};
use crate::engine::core::{Answer, Command, Decision, Gate, NoteRef};
use crate::engine::feed::Publisher;
use crate::engine::handle::Handle;
use crate::engine::inbox::{self, Input};
use crate::engine::latest::Latest;
use crate::engine::state::StoreState;
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};
use crate::outbox::attempt::Attempts;
use crate::outbox::lane::{DeadLetter, Progress, State};
use crate::outbox::note::{Call, Note, NoteKind, PostError, Posted};
use crate::post::Post;
use crate::session::packed::Packed;
use crate::store::{Change, Group, Key, MemoryStore, Store, Table};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn key(product: &str, session: &str) -> SessionKey {
    let (product, session) = (ProductId::new(product), SessionId::new(session));
    SessionKey { product: product.unwrap(), session: session.unwrap() }
}

fn note(product: &str, session: &str, seq: u64, age: Duration) -> Note {
    let key = key(product, session);
    let sealed_at = NOW - age;
    Note {
        idempotency_key: Note::idempotency_key(&key, seq, sealed_at),
        key,
        seq,
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        user_id: Some("the-user".to_owned()),
        email: Some("zoe@example.com".to_owned()),
        kind: NoteKind::Actions,
        body: "what they did".to_owned(),
        actions: Packed::default(),
        through: 0,
        sealed_at,
        waits_since: None,
        begun: false,
        resent_of: None,
    }
}

fn waiting(note: &Note, state: Option<State>) -> Vec<Change> {
    let group = session_group(&note.key);
    let progress = state.map(|state| {
        let progress = Progress { attempts: 1, state, since: NOW, ..Progress::FRESH };
        put(Table::Attempt, group.clone(), note.seq, &progress)
    });
    [put(Table::Outbox, group.clone(), note.seq, note)].into_iter().chain(progress).collect()
}

fn dead(note: Note, reason: &str, at: Timestamp) -> Change {
    let (group, seq) = (session_group(&note.key), note.seq);
    let (note, reason) = (Arc::new(note), reason.to_owned());
    let letter =
        DeadLetter { note, reason, attempts: 3, at, holds_lane: false, tries: Attempts::NONE };
    put(Table::Dead, group, seq, &letter)
}

async fn store(changes: impl IntoIterator<Item = Change>) -> MemoryStore {
    let store = MemoryStore::new();
    store.commit(changes.into_iter().collect::<Vec<_>>().into()).await.unwrap();
    store
}

/// Notes of every state, of two products.
async fn mixed() -> MemoryStore {
    let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
    let mut changes = Vec::new();
    changes.extend(waiting(&note("p", "a", 1, 3 * hour), Some(State::RetryAt(NOW + hour))));
    changes.extend(waiting(&note("p", "a", 2, 2 * hour), None));
    changes.extend(waiting(&note("p", "b", 7, minute), Some(State::HeldUntil(NOW + minute))));
    changes.extend(waiting(&note("q", "a", 1, minute), Some(State::InFlight)));
    changes.push(dead(note("p", "a", 3, 4 * hour), "400: Bad Body", NOW - hour));
    changes.push(dead(note("q", "z", 1, hour), "poison: it was in flight in 3 crashes", NOW));
    store(changes).await
}

fn filter(fields: &[(&str, &str)]) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in fields {
        filter.set(name, value).unwrap();
    }
    filter
}

fn all() -> Want {
    Want { limit: usize::MAX, text: false, after: None }
}

async fn names(store: &MemoryStore, fields: &[(&str, &str)]) -> Vec<String> {
    let listing = list(store, &filter(fields), &all(), NOW).await.unwrap();
    let name = |entry: &Entry| {
        format!("{} {}/{} {}", entry.state.name(), entry.product, entry.session, entry.seq)
    };
    listing.entries.iter().map(name).collect()
}

#[tokio::test]
async fn every_filter_means_what_it_says() {
    let store = mixed().await;
    let every = [
        "retry_at p/a 1",
        "due p/a 2",
        "held_until p/b 7",
        "in_flight q/a 1",
        "dead p/a 3",
        "dead q/z 1",
    ];
    assert_eq!(names(&store, &[]).await, every);
    for (fields, expected) in [
        (&[("state", "dead")][..], &every[4..]),
        (&[("state", "due,in_flight")], &[every[1], every[3]]),
        (&[("state", "given_up")], &[]),
        (&[("product", "q")], &[every[3], every[5]]),
        (&[("product", "p"), ("session", "a")], &[every[0], every[1], every[4]]),
        (&[("session", "a")], &[every[0], every[1], every[3], every[4]]),
        (&[("product", "none")], &[]),
        (&[("plugin", "bot")], &every[..]),
        (&[("plugin", "other")], &[]),
        (&[("conversation", "c"), ("state", "held_until")], &[every[2]]),
        (&[("conversation", "d")], &[]),
        (&[("reason", "bad body")], &[every[4]]),
        (&[("reason", "crash")], &[every[5]]),
        (&[("older_than", "150m")], &[every[0], every[4]]),
        (&[("newer_than", "5m")], &[every[2], every[3]]),
        (&[("older_than", "90m"), ("newer_than", "150m")], &[every[1]]),
        (&[("older_than", "1h"), ("product", "q")], &[]),
    ] {
        assert_eq!(names(&store, fields).await, expected, "{fields:?}");
    }
}

#[tokio::test]
async fn a_note_that_holds_its_lane_is_met_once_with_its_reason() {
    let held = note("p", "held", 1, Duration::ZERO);
    let letter = DeadLetter {
        note: Arc::new(held.clone()),
        reason: "404: gone".to_owned(),
        attempts: 2,
        at: NOW,
        holds_lane: true,
        tries: Attempts::NONE,
    };
    let mut changes = waiting(&held, Some(State::GivenUp));
    changes.push(put(Table::Dead, session_group(&held.key), 1, &letter));
    changes.extend(waiting(&note("p", "held", 2, Duration::ZERO), None));
    // Without its dead letter it is still there.
    changes.extend(waiting(&note("p", "alone", 1, Duration::ZERO), Some(State::GivenUp)));
    let store = store(changes).await;
    let every = ["given_up p/alone 1", "due p/held 2", "given_up p/held 1"];
    assert_eq!(names(&store, &[]).await, every);
    assert_eq!(names(&store, &[("state", "given_up")]).await, [every[0], every[2]]);
    assert_eq!(names(&store, &[("state", "dead")]).await, [""; 0]);
    assert_eq!(names(&store, &[("reason", "404")]).await, [every[2]]);
}

#[tokio::test]
async fn an_entry_says_where_the_note_stands_and_nothing_of_the_person() {
    let store = mixed().await;
    let listing = list(&store, &Filter::default(), &all(), NOW).await.unwrap();
    let json = serde_json::to_string(&listing).unwrap();
    for personal in ["what they did", "the-user", "zoe@example.com"] {
        assert!(!json.contains(personal), "{json}");
    }
    let retried = &listing.entries[0];
    assert_eq!((retried.attempts, retried.crashes), (1, Some(0)));
    assert_eq!(retried.waits_until, Some(NOW.as_secs_f64() + 3600.0));
    assert_eq!((retried.age_seconds, retried.bytes), (10_800.0, 13));
    let dead = &listing.entries[4];
    assert_eq!((dead.attempts, dead.crashes, dead.waits_until), (3, None, None));
    assert_eq!(dead.dead_lettered_at, Some(NOW.as_secs_f64() - 3600.0));
    let back: Listing = serde_json::from_str(&json).unwrap();
    assert_eq!(back, listing);

    let want = Want { text: true, ..all() };
    let listing = list(&store, &Filter::default(), &want, NOW).await.unwrap();
    assert!(listing.entries.iter().all(|entry| entry.text.as_ref().unwrap().0 == "what they did"));
    assert!(!format!("{listing:?}").contains("what they did"), "no text in Debug");
}

#[tokio::test]
async fn pages_of_any_size_are_the_whole() {
    let notes = (0..100).flat_map(|n| {
        let note = note("p", &format!("s{:02}", n / 7), n % 7 + 1, Duration::ZERO);
        match n % 3 {
            0 => vec![dead(note, "400: no", NOW)],
            _ => waiting(&note, None),
        }
    });
    let store = store(notes).await;
    let whole = list(&store, &Filter::default(), &all(), NOW).await.unwrap();
    assert_eq!((whole.entries.len(), whole.more, whole.next), (100, false, None));
    for limit in [1, 7, 66, 67, 99] {
        let mut want = Want { limit, ..all() };
        let mut entries = Vec::new();
        loop {
            let listing = list(&store, &Filter::default(), &want, NOW).await.unwrap();
            entries.extend(listing.entries);
            let beyond = (100 - entries.len()) as u64;
            assert_eq!((listing.beyond, listing.counted_all), (beyond, true), "{limit}");
            assert_eq!(listing.more, beyond > 0);
            let Some(next) = listing.next else { break };
            // As it goes over the wire.
            want.after = Some(Cursor::try_from(String::from(next)).unwrap());
        }
        assert_eq!(entries, whole.entries, "{limit}");
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_passed_over_and_counted_once() {
    let garbage = |table, session: &str, number| {
        let group = Group("p".into(), session.into());
        Change::Put(Key { table, group, number }, b"{".to_vec())
    };
    let good = note("p", "good", 1, Duration::ZERO);
    // A note in another one's place is none: the engine would look for it elsewhere.
    let misplaced = put(Table::Outbox, session_group(&key("p", "elsewhere")), 1, &good);
    let nameless = Key { table: Table::Dead, group: Group("".into(), "".into()), number: 5 };
    let mut changes = waiting(&good, None);
    changes.extend([
        garbage(Table::Outbox, "a", 1),
        garbage(Table::Outbox, "z", 1),
        garbage(Table::Attempt, "good", 1),
        garbage(Table::Attempt, "good", 99),
        garbage(Table::Dead, "a", 1),
        misplaced,
        Change::Put(nameless, b"{}".to_vec()),
    ]);
    changes.push(dead(note("p", "good", 2, Duration::ZERO), "no", NOW));
    let store = store(changes).await;
    let listing = list(&store, &Filter::default(), &all(), NOW).await.unwrap();
    assert_eq!(listing.entries.len(), 2);
    assert_eq!(listing.entries[0].state, EntryState::Due, "as the engine takes it");
    assert_eq!(listing.unreadable, 6);
    let (mut counted, mut want) = (0, Want { limit: 1, ..all() });
    loop {
        let listing = list(&store, &Filter::default(), &want, NOW).await.unwrap();
        counted += listing.unreadable;
        want.after = listing.next;
        if want.after.is_none() {
            break;
        }
    }
    assert_eq!(counted, 6, "in pages too");
}

#[tokio::test]
async fn long_texts_end_an_answer_early() {
    let heavy = |n| {
        let mut note = note("p", "s", n, Duration::ZERO);
        note.body = "x".repeat(1 << 20);
        waiting(&note, None)
    };
    let store = store((1..=9).flat_map(heavy)).await;
    let want = Want { text: true, ..all() };
    let listing = list(&store, &Filter::default(), &want, NOW).await.unwrap();
    assert_eq!((listing.entries.len(), listing.beyond, listing.more), (3, 6, true));
    let listing = list(&store, &Filter::default(), &all(), NOW).await.unwrap();
    assert_eq!((listing.entries.len(), listing.more), (9, false));
}

#[tokio::test(start_paused = true)]
async fn a_preview_leaves_out_what_came_after_the_moment_of_the_order() {
    let second = Duration::from_secs(1);
    let old = note("p", "old", 1, 10 * second);
    let mut young = note("p", "young", 1, Duration::ZERO);
    young.sealed_at = NOW - second;
    let mut ahead = note("p", "ahead", 1, Duration::ZERO);
    // By a clock that was set back since.
    ahead.sealed_at = NOW + 3600 * second;
    let died = dead(note("p", "died", 1, 10 * second), "no", NOW - second);
    let changes = [&old, &young, &ahead].into_iter().flat_map(|note| waiting(note, None));
    let store = store(changes.chain([died])).await;
    let mut order =
        Order { decision: Decision::Purge, filter: Filter::default(), until: None, after: None };
    let clock = Clock::starting_at(NOW);
    let would = preview(&store, &order, clock).await.unwrap();
    assert_eq!((would.matched, would.done, would.until), (4, 0, NOW.as_secs_f64()));
    order.until = Some(NOW - 5 * second);
    let would = preview(&store, &order, clock).await.unwrap();
    let sessions: Vec<_> = would.entries.iter().map(|entry| entry.session.as_str()).collect();
    assert_eq!((would.matched, sessions), (2, vec!["ahead", "old"]));
}

#[tokio::test(start_paused = true)]
async fn a_preview_names_the_first_notes_and_counts_the_others() {
    let notes = (1..=1203).flat_map(|n| waiting(&note("p", "s", n, Duration::ZERO), None));
    let store = store(notes).await;
    let order =
        Order { decision: Decision::Retry, filter: Filter::default(), until: None, after: None };
    let would = preview(&store, &order, Clock::starting_at(NOW)).await.unwrap();
    assert_eq!((would.matched, would.entries.len(), would.more), (1203, MOST_SHOWN, true));
    assert_eq!(would.next, None);
}

/// There are no plugins.
struct NobodyPosts;

#[async_trait::async_trait]
impl Post for NobodyPosts {
    async fn post_note(&self, _: Call, _: &Note) -> Result<Posted, PostError> {
        Err(PostError::Unavailable { message: "there are none".to_owned() })
    }
}

/// What the engine was asked, in order.
type Asked = Vec<(Decision, Vec<NoteRef>)>;

/// An engine's inbox: each decision takes so long and is carried out for all of its notes but one.
fn engine(takes: Duration) -> (Handle, tokio::task::JoinHandle<Asked>) {
    let (inbox, _) = tokio::sync::mpsc::channel(1);
    let (control, mut inputs) = tokio::sync::mpsc::channel(1);
    let settings = Arc::new(Settings::of_products([]));
    let handle = Handle {
        inbox,
        control,
        gate: Gate::new(settings.clone()),
        capacity: Arc::new(tokio::sync::Semaphore::new(1)),
        counters: Arc::default(),
        settings: tokio::sync::watch::channel(settings).1,
        store: Arc::new(MemoryStore::new()),
        post: Arc::new(NobodyPosts),
        scrub_due: tokio::sync::watch::channel(false).1,
        store_state: tokio::sync::watch::channel(StoreState::Serving).1,
        listeners: Publisher::new().listeners(),
        tap: crate::engine::tap::Teller::default().tap(),
        latest: Latest::default(),
        turns: crate::engine::progress::Turns::default(),
        backlog: crate::engine::backlog::Askers::One(crate::engine::backlog::channel().1),
        keys: tokio::sync::watch::channel(None).1,
        by: None,
    };
    let answer = async move {
        let mut asked = Vec::new();
        while let Some(input) = inputs.recv().await {
            let Input::Command(input) = input else { panic!("a command") };
            let inbox::Asked { command, reply, .. } = *input;
            let Command::Decide(decision, notes) = command else { panic!("a decision") };
            tokio::time::sleep(takes).await;
            reply.tell(Answer::Decided(notes.len() - 1));
            asked.push((decision, notes));
        }
        asked
    };
    #[expect(clippy::disallowed_methods, reason = "each test waits for it")]
    let answering = tokio::spawn(answer);
    (handle, answering)
}

fn purge(fields: &[(&str, &str)]) -> Order {
    Order { decision: Decision::Purge, filter: filter(fields), until: None, after: None }
}

#[tokio::test(start_paused = true)]
async fn an_order_goes_to_the_engine_in_chunks_and_counts_what_was_done() {
    let notes = (1..=1203).flat_map(|n| waiting(&note("p", "s", n, Duration::ZERO), None));
    let other = waiting(&note("q", "s", 1, Duration::ZERO), None);
    let store = store(notes.chain(other)).await;
    let (handle, asked) = engine(Duration::ZERO);
    let order = purge(&[("product", "p")]);
    let decided =
        carry_out(&store, &handle, &order, Clock::starting_at(NOW), By::Api).await.unwrap();
    drop(handle);
    let asked = asked.await.unwrap();
    let chunks = asked.len() as u64;
    assert!(chunks > 1 && asked.iter().all(|(decision, _)| *decision == Decision::Purge));
    assert!(asked.iter().all(|(_, notes)| notes.len() < 700), "{chunks} chunks");
    let numbers: Vec<u64> =
        asked.iter().flat_map(|(_, notes)| notes).map(|note| note.seq).collect();
    assert!(numbers.iter().copied().eq(1..=1203), "each once, in order");
    assert!(asked.iter().flat_map(|(_, notes)| notes).all(|note| note.key == key("p", "s")));
    assert_eq!((decided.matched, decided.done, decided.next), (1203, 1203 - chunks, None));
    assert_eq!((decided.entries.len(), decided.more), (MOST_SHOWN, true));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_takes_long_ends_and_is_taken_up_where_it_ended() {
    let notes = (1..=2500).flat_map(|n| waiting(&note("p", "s", n, Duration::ZERO), None));
    let letters = (2501..=2600).map(|n| dead(note("p", "s", n, Duration::ZERO), "no", NOW));
    let store = store(notes.chain(letters)).await;
    let (handle, asked) = engine(Duration::from_secs(25));
    let mut order = purge(&[]);
    let clock = Clock::starting_at(NOW);
    let (mut matched, mut orders) = (0, 0);
    loop {
        let decided = carry_out(&store, &handle, &order, clock, By::Cli).await.unwrap();
        (matched, orders) = (matched + decided.matched, orders + 1);
        order.until = Some(Timestamp::from_secs_f64(decided.until));
        order.after = decided.next;
        if order.after.is_none() {
            break;
        }
    }
    drop(handle);
    assert!(orders > 1, "it ended early");
    assert_eq!((matched, order.until), (2600, Some(NOW)));
    let asked = asked.await.unwrap();
    let numbers: Vec<u64> =
        asked.iter().flat_map(|(_, notes)| notes).map(|note| note.seq).collect();
    assert!(numbers.iter().copied().eq(1..=2600), "each once, in order");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_means_nothing_asks_nothing_and_one_without_an_engine_fails() {
    let store = mixed().await;
    let (handle, asked) = engine(Duration::ZERO);
    let clock = Clock::starting_at(NOW);
    let order = purge(&[("plugin", "other")]);
    let decided = carry_out(&store, &handle, &order, clock, By::Api).await.unwrap();
    assert_eq!((decided.matched, decided.done), (0, 0));
    asked.abort();
    asked.await.unwrap_err();
    let ended = carry_out(&store, &handle, &purge(&[]), clock, By::Api).await;
    assert!(matches!(ended, Err(LedgerError::Closed(_))), "{ended:?}");
}

#[test]
fn a_filter_is_the_same_after_it_was_written_and_read() {
    let fields = [
        ("id", "p%2C%20q/s%3D1%262/sink-7"),
        ("state", "due,dead"),
        ("product", "p, q"),
        ("session", "s=1&2"),
        ("plugin", "bot"),
        ("conversation", "c"),
        ("reason", "400"),
        ("older_than", "2h"),
        ("newer_than", "3d"),
    ];
    assert_eq!(fields.map(|(name, _)| name), Filter::NAMES);
    let written = filter(&fields);
    let mut back = Filter::default();
    for (name, value) in written.fields() {
        back.set(name, &value).unwrap();
    }
    assert_eq!(back, written);
    assert!(!written.is_empty() && Filter::default().is_empty());
}

#[test]
fn the_log_tells_of_a_filter_without_what_may_be_a_person() {
    let filter = filter(&[
        ("id", "p/zoe/1"),
        ("plugin", "bot"),
        ("session", "zoe"),
        ("conversation", "zoe"),
        ("reason", "zoe"),
        ("older_than", "1h"),
    ]);
    assert_eq!(
        filter.for_log(),
        "id=.. session=.. plugin=bot conversation=.. reason=.. older_than=3600s"
    );
    assert_eq!(Filter::default().for_log(), "all");
}

#[test]
fn ages_have_a_unit_and_no_sign() {
    for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800)] {
        assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "h", "2", "-2h", "+2h", "2.5h", " 2h", "2 h", "2w", "2ms", "2時", "3651d"] {
        assert_eq!(parse_age(text), Err(InvalidAge), "{text}");
    }
    assert_eq!(parse_age("99999999999999999999h"), Err(InvalidAge));
    assert_eq!(parse_age("18446744073709551615d"), Err(InvalidAge));
}

#[tokio::test]
async fn what_fails_is_grouped_by_plugin_and_code_with_dead_letters_first() {
    let hour = Duration::from_secs(3600);
    let mut changes = vec![
        dead(note("p", "a", 1, hour), "404: conversation 17 is gone", NOW),
        dead(note("p", "b", 1, 2 * hour), "404: conversation 18 is gone", NOW),
        dead(note("p", "c", 1, hour), "poison: it was in flight in 3 crashes", NOW),
        dead(note("q", "a", 1, hour), "404: conversation 1 is gone", NOW),
    ];
    changes.extend(waiting(&note("p", "d", 1, hour), None));
    let found = failures(&store(changes).await, NOW).await.unwrap();
    assert!(found.counted_all);
    let groups: Vec<_> = found
        .groups
        .iter()
        .map(|it| (it.product.as_str(), &*it.code, it.dead, it.waiting, it.oldest_seconds))
        .collect();
    let expected =
        [("p", "404", 2, 0, 7200.0), ("p", "poison", 1, 0, 3600.0), ("q", "404", 1, 0, 3600.0)];
    assert_eq!(groups, expected, "what waits for its turn isn't among them");
}
