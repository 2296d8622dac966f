//! Deliveries, timelines and resends, read from rows.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::core::Settings;
use crate::engine::core::history::KeptBatch;
use crate::engine::core::resend::ResendError;
use crate::engine::core::rows::{put, session_group};
use crate::engine::ledger::{
    AttemptDecision, BytesLeft, Delivery, DeliveryState, Happened, MomentCursor, ResendFailure,
    Text, Timeline, TimelineWant, delivery, preview_resend, timeline,
};
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};
use crate::outbox::attempt::{Attempts, Because, Course, Status, Then};
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::ended::EndedDelivery;
use crate::outbox::lane::{DeadLetter, Progress, State};
use crate::outbox::message;
use crate::outbox::note::{
    Failure, FailureKind, LimitScope, Note, NoteKind, PostError, Redaction, Sent, SentNote,
};
use crate::outbox::redaction::{Job, Why};
use crate::outbox::sink_delivery::{Content, SinkDelivery};
use crate::rules::{Delivery as Rules, History, Product};
use crate::session::link::Link;
use crate::session::packed::Packed;
use crate::session::payload::{Action, ActionsPayload};
use crate::session::state::Record;
use crate::store::{Change, MemoryStore, Store, Table};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
const S: Duration = Duration::from_secs(1);
/// What must not be shown without the texts.
const CANARY: &str = "ate a canary";

fn key() -> SessionKey {
    let (product, session) = (ProductId::new("p").unwrap(), SessionId::new("s/1").unwrap());
    SessionKey { product, session }
}

fn id(seq: u64) -> DeliveryId {
    DeliveryId::note(key(), seq)
}

fn action() -> Action {
    Action { title: CANARY.to_owned(), description: CANARY.to_owned(), ..Action::default() }
}

fn note(seq: u64, resent_of: Option<u64>) -> Note {
    let sealed_at = NOW + S * u32::try_from(seq).unwrap();
    Note {
        idempotency_key: format!("key-{seq}"),
        key: key(),
        seq,
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        user_id: Some(CANARY.to_owned()),
        email: Some(CANARY.to_owned()),
        kind: NoteKind::Actions,
        body: CANARY.to_owned(),
        actions: Packed::of(&[action()]),
        through: seq,
        sealed_at,
        waits_since: None,
        begun: false,
        resent_of,
    }
}

/// One that failed, and one that was cut off.
fn tried(at: Timestamp, then: Then) -> Attempts {
    let mut tries = Attempts::NONE;
    tries.begin(at);
    let error = PostError::Failed(Failure {
        kind: FailureKind::Transient,
        code: "503".to_owned(),
        message: "no".to_owned(),
        retry_after: None,
        scope: LimitScope::Account,
        sent: Sent::NotSent,
    });
    let course =
        Course { version: Some("1.0.0+0123abcd".into()), took: S / 4, ..Course::default() };
    tries.fail(&course, &error, then);
    tries
}

/// One that failed, and one that succeeded.
fn succeeded(at: Timestamp) -> Attempts {
    let mut tries = tried(at, Then::Again(at + S));
    tries.begin(at + S);
    tries.succeed(&Course::default());
    tries
}

fn sent(seq: u64, tries: Attempts) -> Change {
    let note = note(seq, None);
    let mut tries = tries;
    tries.begin(note.sealed_at + S * 2);
    tries.succeed(&Course::default());
    let sent = SentNote::of(&note, Some("n-1".to_owned()), note.sealed_at + S * 2);
    put(Table::Sent, session_group(&key()), seq, &sent.with_tries(tries))
}

fn record() -> Change {
    let link = Link {
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        since: NOW,
        moves: 0,
        basis: Default::default(),
    };
    let record = Record {
        user_id: Some(CANARY.to_owned()),
        link: Some(link),
        notes: 9,
        left: 9,
        active_at: NOW,
        ..Record::default()
    };
    put(Table::Session, session_group(&key()), 0, &record)
}

fn history(first: u64) -> Change {
    let batch = ActionsPayload {
        product_id: "p".to_owned(),
        user_id: Some(CANARY.to_owned()),
        actions: vec![action()],
        ..ActionsPayload::default()
    };
    let kept = KeptBatch { first, at: NOW + S, batch };
    put(Table::History, session_group(&key()), first, &kept)
}

async fn store(changes: Vec<Change>) -> MemoryStore {
    let store = MemoryStore::default();
    store.commit(changes.into()).await.unwrap();
    store
}

async fn all(store: &MemoryStore, text: bool) -> Timeline {
    let want = TimelineWant { limit: 1000, text, after: None };
    timeline(store, &key(), &want, NOW + S * 60).await.unwrap().unwrap()
}

async fn find(store: &MemoryStore, seq: u64, text: bool) -> Option<Delivery> {
    delivery(store, &id(seq), text, NOW + S * 60).await.unwrap()
}

/// One of every kind and state.
async fn full() -> MemoryStore {
    let group = || session_group(&key());
    let again = Then::Again(NOW + S * 30);
    let waits = Progress {
        attempts: 1,
        state: State::RetryAt(NOW + S * 90),
        since: NOW,
        failure: Some("503: no".to_owned()),
        tries: tried(NOW + S * 4, again),
        ..Progress::FRESH
    };
    let letter = DeadLetter {
        note: note(4, Some(1)).into(),
        reason: "503: no".to_owned(),
        attempts: 1,
        at: NOW + S * 5,
        holds_lane: false,
        tries: tried(NOW + S * 4, Then::End(Because::Attempts)),
    };
    let replaced = SentNote::of(&note(2, None), Some("n-2".to_owned()), NOW + S * 3);
    let job =
        Job { tries: tried(NOW + S * 8, again), ..Job::new(replaced, Why::Replaced, NOW + S * 7) };
    let note_6 = SentNote::of(&note(6, None), Some("n-6".to_owned()), NOW + S * 6);
    let note_6 = note_6.with_tries(tried(NOW + S * 5, again));
    let redacted =
        Job { tries: succeeded(NOW + S * 8), ..Job::new(note_6, Why::Replaced, NOW + S * 7) };
    let batch = ActionsPayload { actions: vec![action()], ..ActionsPayload::default() };
    let sink = SinkDelivery::new(&key(), 1, &"sink".into(), Content::Actions(batch), NOW);
    let content = message::Content::Removal {
        offer: 1,
        trigger: "stuck".to_owned(),
        message_id: "m".to_owned(),
    };
    let message = message::Job::new(Arc::new(message::Message {
        key: key(),
        seq: 1,
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        content,
        idempotency_key: "k".to_owned(),
        made_at: NOW,
        expires_at: NOW + S,
        after_note: 0,
    }));
    let failed = message::Ended::Failed("503: no".to_owned());
    let ended = |it: EndedDelivery| put(Table::Ended, group(), it.number(), &it);
    store(vec![
        record(),
        history(1),
        history(2),
        sent(1, tried(NOW + S, again)),
        put(Table::Redact, group(), 2, &job),
        put(Table::Outbox, group(), 3, &note(3, None)),
        put(Table::Attempt, group(), 3, &waits),
        put(Table::Dead, group(), 4, &letter),
        ended(EndedDelivery::redaction(6, redacted, Redaction::Removed, NOW + S * 9)),
        ended(EndedDelivery::sink(&sink, succeeded(NOW), NOW + S * 2)),
        ended(EndedDelivery::message(&message, Some(&failed), NOW + S * 3)),
    ])
    .await
}

#[tokio::test]
async fn a_delivery_is_found_whatever_became_of_it_with_every_attempt() {
    let store = full().await;
    let one = find(&store, 1, false).await.unwrap();
    assert_eq!((one.state, one.id.to_string()), (DeliveryState::Delivered, "p/s%2F1/1".to_owned()));
    assert_eq!((one.actions, one.note_id.as_deref()), (Some(1), Some("n-1")));
    assert_eq!(one.made_at, Some((NOW + S).as_secs_f64()));
    let [failed, took] = &one.attempts[..] else { panic!("{:?}", one.attempts) };
    assert_eq!((failed.attempt, failed.status), (1, Status::Transient));
    assert_eq!((failed.decision, failed.bytes_left), (AttemptDecision::Again, BytesLeft::NotSent));
    assert_eq!(
        (failed.duration_ms, failed.again_at),
        (Some(250), Some((NOW + S * 30).as_secs_f64()))
    );
    let told = (failed.code.as_deref(), failed.reason.as_deref(), failed.version.as_deref());
    assert_eq!(told, (Some("503"), Some("503: no"), Some("1.0.0+0123abcd")));
    assert_eq!((took.decision, took.bytes_left), (AttemptDecision::Delivered, BytesLeft::Sent));
    let two = find(&store, 2, false).await.unwrap();
    assert_eq!(two.state, DeliveryState::Redacting);
    assert_eq!(two.redaction.unwrap().attempts.len(), 1);
    let three = find(&store, 3, false).await.unwrap();
    assert_eq!((three.state, three.reason.as_deref()), (DeliveryState::RetryAt, Some("503: no")));
    assert_eq!(three.waits_until, Some((NOW + S * 90).as_secs_f64()));
    let four = find(&store, 4, false).await.unwrap();
    assert_eq!((four.state, four.resent_of), (DeliveryState::Dead, Some(id(1))));
    assert_eq!(four.attempts[0].because, Some(Because::Attempts));
    assert_eq!(find(&store, 5, false).await, None);
    let five = find(&store, 6, false).await.unwrap();
    assert_eq!((five.state, five.stays), (DeliveryState::Redacted, false));
    let redaction = five.redaction.unwrap();
    assert_eq!((redaction.attempts.len(), five.attempts.len()), (2, 1));
    assert_eq!(redaction.ended.map(|end| end.how), Some(Redaction::Removed));
    let by = |text: &str| text.parse::<DeliveryId>().unwrap();
    let sink = delivery(&store, &by("p/s%2F1/sink-1"), false, NOW).await.unwrap().unwrap();
    assert_eq!((sink.state, &*sink.kind), (DeliveryState::Delivered, "actions"));
    assert_eq!((sink.actions, sink.attempts.len()), (Some(1), 2));
    let message = delivery(&store, &by("p/s%2F1/message-1"), false, NOW).await.unwrap().unwrap();
    assert_eq!((message.state, &*message.kind), (DeliveryState::Failed, "removal"));
    assert_eq!(message.reason.as_deref(), Some("503: no"));
    let other = "p/other/1".parse().unwrap();
    assert_eq!(delivery(&store, &other, false, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_timeline_has_all_of_it_in_order_and_in_pages() {
    let store = full().await;
    let told = all(&store, false).await;
    let names: Vec<_> = told.moments.iter().map(|moment| moment.what.name()).collect();
    assert!(told.moments.is_sorted_by_key(|moment| moment.at), "{told:?}");
    for (name, times) in [
        ("linked", 1),
        ("actions", 2),
        ("made", 7),
        ("attempt", 7),
        ("dead", 1),
        ("redact", 2),
        ("redact_attempt", 3),
        ("ended", 2),
        ("delivered", 1),
    ] {
        assert_eq!(names.iter().filter(|it| **it == name).count(), times, "{name}: {names:?}");
    }
    for limit in 1..names.len() {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let want = TimelineWant { limit, text: false, after };
            let page = timeline(&store, &key(), &want, NOW + S * 60).await.unwrap().unwrap();
            assert!(page.moments.len() <= limit);
            paged.extend(page.moments);
            // As it comes back from whoever asks.
            after = page.next.map(|next| MomentCursor::try_from(String::from(next)).unwrap());
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, told.moments, "in pages of {limit}");
    }
    let other = SessionKey { session: SessionId::new("other").unwrap(), ..key() };
    let want = TimelineWant { limit: 9, text: false, after: None };
    assert_eq!(timeline(&store, &other, &want, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_that_people_did_is_told_without_the_texts() {
    let store = full().await;
    for seq in 1..=4 {
        let told = serde_json::to_string(&find(&store, seq, false).await).unwrap();
        assert!(!told.contains(CANARY), "{told}");
    }
    let told = serde_json::to_string(&all(&store, false).await).unwrap();
    assert!(!told.contains(CANARY), "{told}");
    let rules = settings(Some(History::default()));
    let would = preview_resend(&store, &rules, &id(1), false, NOW).await.unwrap();
    assert!(!serde_json::to_string(&would).unwrap().contains(CANARY));
    // With the texts they are there, and in no debug text.
    let three = find(&store, 3, true).await.unwrap();
    assert_eq!(three.text, Some(Text(CANARY.to_owned())));
    let told = all(&store, true).await;
    let texts = told.moments.iter().filter_map(|moment| {
        if let Happened::Actions { texts, .. } = &moment.what { texts.clone() } else { None }
    });
    assert_eq!(texts.flatten().count(), 2);
    let would = preview_resend(&store, &rules, &id(1), true, NOW).await.unwrap();
    assert!(would.text.as_ref().unwrap().0.contains(CANARY));
    assert!(!format!("{three:?}{told:?}{would:?}").contains(CANARY));
}

fn settings(history: Option<History>) -> Settings {
    let product = Product::of(vec!["bot".into()], Rules::default());
    let mut settings = Settings::of_products([(ProductId::new("p").unwrap(), product)]);
    settings.history = history;
    settings
}

#[tokio::test]
async fn a_preview_says_what_would_be_sent_or_why_nothing_is() {
    let store = full().await;
    let rules = settings(Some(History::default()));
    let would = preview_resend(&store, &rules, &id(1), false, NOW).await.unwrap();
    assert_eq!((would.resent_of, would.id, would.actions), (id(1), None, 1));
    for (seq, why) in [
        (2, ResendError::Redacted),
        (3, ResendError::Waits),
        (4, ResendError::Dead),
        (5, ResendError::NotFound),
    ] {
        let refused = preview_resend(&store, &rules, &id(seq), false, NOW).await;
        assert!(matches!(refused, Err(ResendFailure::Refused(it)) if it == why), "{seq}");
    }
    let sink = "p/s%2F1/sink-1".parse().unwrap();
    let refused = preview_resend(&store, &rules, &sink, false, NOW).await;
    assert!(matches!(refused, Err(ResendFailure::NoNote)));
}
