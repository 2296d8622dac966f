//! The engine's rows: what is kept under which key, and in which form: a byte that says which, then MessagePack with
//! the names of fields. What there are many of has a short form in it ([`crate::short`]). Rows that earlier versions
//! stored are JSON, or have names everywhere; they are read, and written anew as they change.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::link::Found;
use crate::access::KeyId;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::rows::{Change, Group, Key, Table};
use crate::short::{Reader, Short, Writer, short_but_in_json};

/// The group of a session's rows.
pub fn session_group(key: &SessionKey) -> Group {
    Group(key.product.shared(), key.session.shared())
}

/// The group of an account's row.
pub fn account_group(plugin: &PluginName) -> Group {
    Group(plugin.clone(), "".into())
}

/// The group of a key's row.
pub fn key_group(id: &KeyId) -> Group {
    Group(id.shared(), "".into())
}

/// The group of a source's row.
pub fn source_group(plugin: &PluginName) -> Group {
    Group(plugin.clone(), "".into())
}

/// The group of a journal's row.
pub fn journal_group(id: &str) -> Group {
    Group(id.into(), "".into())
}

/// The group of a conversation's row.
pub fn conversation_group(plugin: &PluginName, conversation: &ConversationId) -> Group {
    Group(plugin.clone(), conversation.shared())
}

/// The session that a group of a session's rows belongs to; `None` for names that no session has.
pub fn session_key(group: &Group) -> Option<SessionKey> {
    let product = ProductId::new(group.0.clone()).ok()?;
    let session = SessionId::new(group.1.clone()).ok()?;
    Some(SessionKey { product, session })
}

/// The group of a person's rows.
pub fn person_group(product: &ProductId, person: &Person) -> Group {
    Group(product.shared(), person.name())
}

/// The number of a session's row among those of a conversation or a person.
pub fn session_number(key: &SessionKey) -> u64 {
    let mut hash = Sha256::new();
    hash.update((key.product.as_str().len() as u64).to_be_bytes());
    hash.update(key.product.as_str());
    hash.update(key.session.as_str());
    u64::from_be_bytes(hash.finalize()[..8].try_into().expect("a hash has more than 8 bytes"))
}

/// What a person is found by.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Person {
    /// The user id of the activity source.
    User(String),
    /// The e-mail address, in lower case.
    Email(String),
}

impl Person {
    /// Who a session's person is, as far as is known.
    pub fn of(user_id: Option<&str>, email: Option<&str>) -> impl Iterator<Item = Self> {
        let user = user_id.map(|id| Self::User(id.to_owned()));
        // Mail systems don't tell capitals apart in practice, and platforms change them.
        let email = email.map(|address| Self::Email(address.trim().to_lowercase()));
        user.into_iter().chain(email)
    }

    /// Whom a wish that names these looks for, the surest name first. The user id is surer than the address,
    /// which counts where the id finds nobody; and products use addresses as ids.
    pub fn sought(user_id: Option<&str>, email: Option<&str>) -> Vec<(Self, Found)> {
        let as_address = user_id.filter(|id| id.contains('@'));
        let as_id = email.map(str::trim);
        let plain = Self::of(user_id, email).zip(match user_id {
            Some(_) => [Found::User, Found::Address],
            None => [Found::Address; 2],
        });
        let address = Self::of(None, as_address).map(|person| (person, Found::User));
        let id = Self::of(as_id, None).map(|person| (person, Found::Address));
        plain.chain(address).chain(id).collect()
    }

    /// A hash, so that the index holds no address and a long name makes no long key.
    fn name(&self) -> Arc<str> {
        let (kind, name) = match self {
            Self::User(name) => (b'u', name),
            Self::Email(name) => (b'e', name),
        };
        let mut hash = Sha256::new();
        hash.update([kind]);
        hash.update(name);
        hex::encode(&hash.finalize()[..16]).into()
    }
}

/// A session of a person: a row of the index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PersonRow {
    /// The session.
    pub key: SessionKey,
    /// When the session was found to be this person's.
    pub since: Timestamp,
}

short_but_in_json!(PersonRow);

impl Short for PersonRow {
    fn write(&self, to: &mut Writer) {
        to.put(&(&self.key.product, &self.key.session, self.since));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (product, session, since) = from.take()?;
        Some(Self { key: SessionKey { product, session }, since })
    }

    fn read_named<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// Stores `value` under `number` of the group.
pub fn put(table: Table, group: Group, number: u64, value: &impl Serialize) -> Change {
    Change::Put(Key { table, group, number }, encode(value))
}

/// A row's first byte where MessagePack follows. No JSON begins with it.
const MESSAGE_PACK: u8 = 1;

/// The same where what is in it may be in its short form. Builds that don't know those can't read the row.
const SHORT: u8 = 2;

/// A row that can't be read. What is in it isn't told: it is customers' data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the row can't be read")]
pub struct Unreadable;

/// A row's value.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut row = vec![SHORT];
    let mut serializer = rmp_serde::Serializer::new(&mut row).with_struct_map();
    value.serialize(&mut serializer).expect("rows are made of text, numbers and lists of them");
    row
}

/// Whether a row is MessagePack, as from format 2 of the file on; JSON is read too.
pub fn is_packed(row: &[u8]) -> bool {
    matches!(row.first(), Some(&(MESSAGE_PACK | SHORT)))
}

/// Reads a row's value, whichever version stored it.
///
/// # Errors
/// It is in no known form, or something else.
pub fn decode<'a, T: Deserialize<'a>>(row: &'a [u8]) -> Result<T, Unreadable> {
    match row.split_first() {
        Some((&(MESSAGE_PACK | SHORT), packed)) => {
            rmp_serde::from_slice(packed).map_err(|_| Unreadable)
        }
        Some(_) | None => serde_json::from_slice(row).map_err(|_| Unreadable),
    }
}

/// Removes `number` of the group.
pub fn delete(table: Table, group: Group, number: u64) -> Change {
    Change::Delete(Key { table, group, number })
}

/// Reads a row. A row that can't be read is reported and left where it is: it is never overwritten
/// by a guess.
pub fn read<T: DeserializeOwned>(table: Table, number: u64, value: &[u8]) -> Option<T> {
    let row = decode(value);
    if let Err(error) = &row {
        tracing::error!(?table, number, bytes = value.len(), "store: {error} and is passed over");
    }
    row.ok()
}
