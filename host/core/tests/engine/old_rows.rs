//! Rows as earlier versions stored them, which is JSON: they are read, and everything goes on.

use std::fmt;
use std::time::Duration;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::rows::{PersonRow, decode, encode};
use sidenote_core::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use sidenote_core::outbox::attempt::{Attempts, Course, Status, Then};
use sidenote_core::outbox::lane::{DeadLetter, Progress};
use sidenote_core::outbox::note::{FailureKind, Note, NoteKind, PostError, SentNote};
use sidenote_core::outbox::redaction::Job;
use sidenote_core::rows::{Key, Table};
use sidenote_core::session::identity::{Basis, Identity};
use sidenote_core::session::link::{Link, Owner};
use sidenote_core::session::payload::Action;
use sidenote_core::session::state::{Covers, Record};

use crate::words::{acts_of, fails, note, settings, summary, took};
use crate::world::{MOMENT, SECOND, World};

impl World {
    /// All rows are as an earlier version would have stored them.
    pub(crate) fn age_rows(&mut self) {
        for (key, row) in &mut self.rows {
            // What can't be read stays as it is.
            if let Some(value) = named(key.table, row) {
                *row = serde_json::to_vec(&value).expect("a value is JSON");
            }
        }
    }
}

/// What a row holds, with the names of all fields.
fn named(table: Table, row: &[u8]) -> Option<Value> {
    type Reads = fn(&[u8]) -> Option<Value>;
    fn of<T: DeserializeOwned + Serialize>(row: &[u8]) -> Option<Value> {
        let value: T = decode(row).ok()?;
        Some(serde_json::to_value(&value).expect("a value is JSON"))
    }
    let short: [(Table, Reads); 5] = [
        (Table::Session, of::<Record>),
        (Table::Sent, of::<SentNote>),
        (Table::Conversation, of::<Owner>),
        (Table::Person, of::<PersonRow>),
        (Table::Redact, of::<Job>),
    ];
    match short.into_iter().find(|(of, _)| *of == table) {
        Some((_, read)) => read(row),
        None => decode(row).ok().map(|Old(value)| value),
    }
}

/// As a version before the short forms would have stored it.
fn long(value: &Value) -> Vec<u8> {
    let mut row = vec![1];
    row.extend(rmp_serde::to_vec_named(value).expect("a value is MessagePack"));
    row
}

#[test]
fn rows_from_before_the_short_forms_are_read_and_become_short() {
    let mut world = World::linked(settings(), &["s"]);
    let who = (Some("ann"), Some("ann@example.org"));
    world.tell(acts_of("s", who, &["one"]));
    world.pass(MOMENT);
    world.answer_all(took);
    let short = world.rows.clone();
    for (key, row) in &mut world.rows {
        *row = long(&named(key.table, row).expect("it is read"));
        assert!(row.len() > short[key].len(), "{key:?}");
    }
    world.restart();
    world.tell(acts_of("s", who, &["two"]));
    world.link("t");
    world.tell(acts_of("t", who, &["three"]));
    world.pass(MOMENT);
    let notes: Vec<_> = world.answer_all(took).iter().map(|it| note(it).body.clone()).collect();
    assert!(notes.len() == 2 && notes[0].contains("two"), "{notes:?}");
    let owner = |key: &&Key| key.table == Table::Conversation;
    assert_eq!(world.rows.keys().filter(owner).count(), 2);
    assert_eq!(world.row::<Record>(Table::Session, "s", 0).notes, 2);
    for (key, row) in &world.rows {
        assert!(key.table != Table::Session || row[0] == 2, "{key:?}");
    }
    for n in [1, 2] {
        assert_eq!(world.row::<SentNote>(Table::Sent, "s", n).tries.kept().len(), 1);
    }
}

#[test]
fn what_an_earlier_version_wrote_is_what_is_read() {
    let record = r#"{"user_id":"ann","email":null,"told_by":"chat","link":{"plugin":"chat","conversation":"c-1",
        "since":1700000000000000,"moves":2,"basis":"verified"},"past":[["chat","c-0"]],"notes":7,"parcels":3,"left":40,
        "covered":12,"active_at":1700000001000000}"#;
    let sent = r#"{"plugin":"chat","conversation":"c-1","idempotency_key":"00112233445566778899aabbccddeeff",
        "note_id":"n-1","at":1700000001000000,"kind":"summary","through":40,"stays":true,"made":1700000000000000,"n":4,
        "resent_of":6,"log":[0,[[1700000000500000,20,"1.0+abc",1,null,null]]]}"#;
    let owner = r#"{"key":{"product":"p","session":"s"},"user_id":"ann","email":"a@example.org","since":5,
        "basis":"operator"}"#;
    let person = r#"{"key":{"product":"p","session":"s"},"since":1700000000000000}"#;
    let value = |json: &str| -> Value { serde_json::from_str(json).unwrap() };
    for row in [record.as_bytes().to_vec(), long(&value(record))] {
        let Record { user_id, email, told_by, link, past, notes, sink_deliveries, .. } =
            decode(&row).unwrap();
        assert_eq!((user_id.as_deref(), email), (Some("ann"), None));
        assert_eq!((told_by.as_deref(), notes, sink_deliveries), (Some("chat"), 7, 3));
        let Link { conversation, moves, basis, .. } = link.unwrap();
        assert_eq!((conversation.as_str(), moves, basis), ("c-1", 2, Basis::Verified));
        assert_eq!((past.len(), past[0].1.as_str()), (1, "c-0"));
        let record: Record = decode(&row).unwrap();
        assert_eq!(
            (record.left, record.covered, record.active_at.0),
            (40, 12, 1_700_000_001_000_000)
        );
        assert_eq!(serde_json::to_value(&record).unwrap(), named(Table::Session, &row).unwrap());
    }
    for row in [sent.as_bytes().to_vec(), long(&value(sent))] {
        let sent: SentNote = decode(&row).unwrap();
        assert_eq!(sent.idempotency_key, "00112233445566778899aabbccddeeff");
        assert_eq!((sent.kind, sent.through, sent.stays), (NoteKind::Summary, 40, true));
        assert_eq!(
            (sent.note_id.as_deref(), sent.actions, sent.resent_of),
            (Some("n-1"), 4, Some(6))
        );
        let began: Vec<_> = sent.tries.kept().iter().map(|it| it.began.0).collect();
        assert_eq!(began, [1_700_000_000_500_000]);
        let again: SentNote = decode(&encode(&sent)).unwrap();
        assert!(again == sent);
    }
    for row in [owner.as_bytes().to_vec(), long(&value(owner))] {
        let owner: Owner = decode(&row).unwrap();
        assert_eq!(
            (owner.who.email.as_deref(), owner.basis),
            (Some("a@example.org"), Basis::Operator)
        );
    }
    for row in [person.as_bytes().to_vec(), long(&value(person))] {
        let person: PersonRow = decode(&row).unwrap();
        assert_eq!((person.key.session.as_str(), person.since.0), ("s", 1_700_000_000_000_000));
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]{1,40}|[ -~]{1,8}|\\PC{1,3}"
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), 1_600_000_000_000_000..1_900_000_000_000_000_i64, Just(0),]
        .prop_map(Timestamp)
}

fn some<T: Strategy>(of: T) -> impl Strategy<Value = Option<T::Value>> {
    prop::option::of(of)
}

fn basis() -> impl Strategy<Value = Basis> {
    prop::sample::select(vec![Basis::Unverified, Basis::Verified, Basis::Operator])
}

fn conversation() -> impl Strategy<Value = ConversationId> {
    name().prop_map(|id| ConversationId::new(id).expect("an id"))
}

fn session() -> impl Strategy<Value = SessionKey> {
    (name(), name()).prop_map(|(product, session)| SessionKey {
        product: ProductId::new(product).expect("an id"),
        session: SessionId::new(session).expect("an id"),
    })
}

fn record() -> impl Strategy<Value = Record> {
    let target = || (name(), conversation()).prop_map(|(plugin, id)| (plugin.into(), id));
    let link = (target(), moment(), any::<u32>(), basis()).prop_map(
        |((plugin, conversation), since, moves, basis): ((PluginName, _), _, _, _)| Link {
            plugin,
            conversation,
            since,
            moves,
            basis,
        },
    );
    let who = (some(name()), some(name()), some(name().prop_map(PluginName::from)));
    let counts = (any::<u64>(), 0..3_u64, any::<u64>(), 0..3_u64);
    (who, some(link), prop::collection::vec(target(), 0..3), counts, moment()).prop_map(
        |(
            (user_id, email, told_by),
            link,
            past,
            (notes, sink_deliveries, left, covered),
            active_at,
        )| {
            Record {
                user_id,
                email,
                told_by,
                link,
                past,
                notes,
                sink_deliveries,
                left,
                covered,
                active_at,
            }
        },
    )
}

fn tries() -> impl Strategy<Value = Attempts> {
    let one = (moment(), some(0..10_000_u64), any::<bool>());
    prop::collection::vec(one, 0..25).prop_map(|all| {
        let mut attempts = Attempts::NONE;
        for (at, took, fails) in all {
            attempts.begin(at);
            let took = took.map(Duration::from_millis);
            let version = took.map(|_| "1.0+abcd".into());
            let course = Course { took: took.unwrap_or_default(), version, ..Course::default() };
            if fails {
                let message = "no".to_owned();
                attempts.fail(&course, &PostError::Unavailable { message }, Then::Again(at));
            } else {
                attempts.succeed(&course);
            }
        }
        attempts
    })
}

fn sent() -> impl Strategy<Value = SentNote> {
    let key = prop_oneof!["[0-9a-f]{32}", "[0-9A-F]{32}", name()];
    let kinds = vec![NoteKind::Actions, NoteKind::Summary, NoteKind::ForPeople];
    let of = (name(), conversation(), key, some(name()));
    let moments = (moment(), some(moment()));
    let numbers = (any::<u64>(), any::<u32>(), some(any::<u64>()));
    (of, moments, prop::sample::select(kinds), any::<bool>(), numbers, tries()).prop_map(
        |(
            (plugin, conversation, idempotency_key, note_id),
            (at, made),
            kind,
            stays,
            numbers,
            tries,
        )| {
            let (through, actions, resent_of) = numbers;
            SentNote {
                plugin: plugin.into(),
                conversation,
                idempotency_key,
                note_id,
                at,
                kind,
                through,
                stays,
                made,
                actions,
                resent_of,
                tries,
            }
        },
    )
}

/// A value is read as it was, in each form that there ever was, and what is cut off isn't read as anything.
fn reads<T: DeserializeOwned + Serialize + PartialEq>(value: &T) {
    let row = encode(value);
    assert!(decode::<T>(&row).is_ok_and(|read| read == *value));
    let json = serde_json::to_value(value).expect("a value is JSON");
    assert!(decode::<T>(&long(&json)).is_ok_and(|read| read == *value));
    let old = serde_json::to_vec(value).expect("a value is JSON");
    assert!(decode::<T>(&old).is_ok_and(|read| read == *value));
    for end in 0..row.len() {
        assert!(decode::<T>(&row[..end]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_short_is_read_as_it_was(
        record in record(),
        sent in sent(),
        (key, since, basis) in (session(), moment(), basis()),
    ) {
        let Record { user_id, email, told_by, .. } = record.clone();
        let who = Identity { user_id, email, told_by };
        reads(&Owner { key: key.clone(), who, since, basis });
        reads(&PersonRow { key, since });
        reads(&record);
        reads(&sent);
    }
}

/// A row without the fields that versions before the log of attempts didn't have.
fn before_logs(value: &mut Value) {
    if let Value::Object(fields) = value {
        for name in ["log", "made", "n", "resent_of"] {
            fields.remove(name);
        }
        fields.values_mut().for_each(before_logs);
    }
}

#[test]
fn rows_from_before_the_log_of_attempts_are_read_and_go_on_with_one() {
    for packed in [false, true] {
        let mut world = World::linked(settings(), &["sent", "waits", "dead", "redacts"]);
        world.post("sent", 1);
        world.post("redacts", 1);
        world.tell(summary("redacts", "It", Covers::Next(1)));
        world.answer(took());
        world.answer(fails(FailureKind::Transient));
        world.seal("dead");
        world.answer(fails(FailureKind::Permanent));
        world.seal("waits");
        world.answer(fails(FailureKind::Transient));
        let tables = [Table::Sent, Table::Attempt, Table::Dead, Table::Redact, Table::Outbox];
        for (place, row) in &mut world.rows {
            if !tables.contains(&place.table) {
                continue;
            }
            let mut value = named(place.table, row).expect("it was stored");
            before_logs(&mut value);
            *row = if packed { encode(&value) } else { serde_json::to_vec(&value).expect("JSON") };
        }
        let sent: SentNote = world.row(Table::Sent, "sent", 1);
        assert!(sent.tries.is_empty() && sent.made.is_none() && sent.actions == 0);
        assert!(world.row::<DeadLetter>(Table::Dead, "dead", 1).tries.is_empty());
        assert!(world.row::<Progress>(Table::Attempt, "waits", 1).tries.is_empty());
        assert!(world.row::<Job>(Table::Redact, "redacts", 1).tries.is_empty());
        let note: Note = world.row(Table::Outbox, "waits", 1);
        assert_eq!(note.resent_of, None);
        world.restart();
        world.pass(SECOND * 2);
        world.answer_all(took);
        assert_eq!(world.count(Table::Redact), 0);
        let sent: SentNote = world.row(Table::Sent, "waits", 1);
        let statuses: Vec<_> = sent.tries.kept().iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Status::Sent], "from here on");
    }
}

#[test]
fn an_attempt_that_an_earlier_version_began_ends_without_a_log() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    let mut attempts = Attempts::NONE;
    attempts.succeed(&Default::default());
    attempts.cut();
    assert!(attempts.is_empty());
    world.restart();
    world.run();
    world.answer(took());
    assert_eq!(world.row::<SentNote>(Table::Sent, "s", 1).tries.kept().len(), 2);
}

/// What a row holds, whatever it is.
struct Old(Value);

impl<'de> Deserialize<'de> for Old {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything that a row holds")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bytes<E: serde::de::Error>(self, packed: &[u8]) -> Result<Value, E> {
        let actions: Vec<Action> = rmp_serde::from_slice(packed).map_err(E::custom)?;
        serde_json::to_value(actions).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Old(item)) = seq.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((name, Old(value))) = map.next_entry::<String, Old>()? {
            object.insert(name, value);
        }
        Ok(object.into())
    }
}
