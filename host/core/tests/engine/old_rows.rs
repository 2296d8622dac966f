//! Rows as earlier versions stored them, which is JSON: they are read, and everything goes on.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sidenote_core::engine::rows::{decode, encode};
use sidenote_core::outbox::attempt::{Attempts, Status};
use sidenote_core::outbox::lane::{DeadLetter, Progress};
use sidenote_core::outbox::note::{FailureKind, Note, SentNote};
use sidenote_core::outbox::redaction::Job;
use sidenote_core::rows::Table;
use sidenote_core::session::payload::Action;
use sidenote_core::session::state::Covers;

use crate::words::{fails, settings, summary, took};
use crate::world::{SECOND, World};

impl World {
    /// All rows are as an earlier version would have stored them.
    pub(crate) fn age_rows(&mut self) {
        for row in self.rows.values_mut() {
            // What can't be read stays as it is.
            if let Ok(Old(value)) = decode(row) {
                *row = serde_json::to_vec(&value).expect("a value is JSON");
            }
        }
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
            let Old(mut value) = decode(row).expect("it was stored");
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
