//! What a session of this host and the one that autoplay-sdk shares tell each other. Pure: stored
//! bytes in, bytes to store out; whoever holds the store reads and swaps them.

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, SessionId, SessionKey};
use crate::session::fsm::{Fsm, Limits};
use crate::session::payload::read_id;
use crate::session::snapshot::{self, Snapshot};
use crate::session::state::Record;

/// What a session of this host can take from a shared one.
#[derive(Clone, PartialEq, Eq)]
pub struct Imported {
    /// The session that the bytes name; it may be taken for that one only.
    pub session: SessionId,
    /// The product, where it is kept with the session. autoplay-sdk's key has none.
    pub product: Option<String>,
    /// The conversation, where the session is linked. autoplay-sdk doesn't say which plugin posts there.
    pub conversation: Option<ConversationId>,
    /// The user id, where the application keeps one with the session.
    pub user_id: Option<String>,
    /// The e-mail address, where the application keeps one with the session.
    pub email: Option<String>,
}

impl Imported {
    /// Whether it is this very session's: autoplay-sdk's key doesn't say of which product. `one_product`: what names
    /// none is of the only one.
    pub fn is_of(&self, key: &SessionKey, one_product: bool) -> bool {
        let of_product = match &self.product {
            Some(product) => product == key.product.as_str(),
            None => one_product,
        };
        of_product && self.session == key.session
    }
}

impl std::fmt::Debug for Imported {
    /// Who the person is, is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imported")
            .field("session", &self.session)
            .field("conversation", &self.conversation)
            .finish_non_exhaustive()
    }
}

/// Why a shared session can't be used. It must not be overwritten either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It can't be read: damaged, or written by a later release.
    #[error(transparent)]
    Unreadable(#[from] snapshot::SnapshotError),
    /// It names another session than the one under whose key it is.
    #[error(
        "reading a stored session: it is another one than its key says; the record is kept, not used"
    )]
    OtherSession,
    /// It is a session of another product that has the same id.
    #[error("reading a stored session: it is another product's; the record is kept, not used")]
    OtherProduct,
}

/// Under this name the product is kept with a session.
const PRODUCT: &str = "product_id";

/// Reads a shared session, of whichever version.
///
/// # Errors
/// It can't be read.
pub fn import(stored: &[u8], now: Timestamp) -> Result<Imported, SnapshotError> {
    let snapshot = Snapshot::read(&json(stored)?, now, None)?;
    let told = |name: &str| snapshot.metadata.as_ref().and_then(|metadata| name_in(metadata, name));
    Ok(Imported {
        conversation: snapshot.link().cloned(),
        user_id: told("user_id"),
        email: told("email"),
        product: told(PRODUCT),
        session: snapshot.session_id,
    })
}

/// The session as it is to be shared: the link of `record` over what is stored (`base`), of which all else
/// is kept, what this host doesn't know included. Where `record` has no link, the stored one stays.
///
/// # Errors
/// What is stored can't be read, or is another session's: nothing may be put over it.
pub fn export(
    record: &Record,
    base: Option<&[u8]>,
    key: &SessionKey,
    now: Timestamp,
) -> Result<Vec<u8>, SnapshotError> {
    let (mut stored, mut snapshot) = match base {
        None => {
            let fsm = Fsm::new(Limits::default(), now);
            (Value::Object(Map::new()), Snapshot::new(key.session.clone(), fsm))
        }
        Some(base) => {
            let stored = json(base)?;
            let snapshot = Snapshot::read(&stored, now, None)?;
            if snapshot.session_id != key.session {
                return Err(SnapshotError::OtherSession);
            }
            let told = snapshot.metadata.as_ref().and_then(|all| name_in(all, PRODUCT));
            if told.is_some_and(|product| product != key.product.as_str()) {
                return Err(SnapshotError::OtherProduct);
            }
            (stored, snapshot)
        }
    };
    let metadata = snapshot.metadata.get_or_insert_default();
    metadata.entry(PRODUCT).or_insert_with(|| key.product.as_str().into());
    if let Some(link) = &record.link {
        snapshot.conversation_linked = true;
        snapshot.conversation_id = Some(link.conversation.clone());
    }
    put_over(&mut stored, snapshot.write(now));
    Ok(serde_json::to_vec(&stored).expect("a JSON value can be written"))
}

fn json(stored: &[u8]) -> Result<Value, SnapshotError> {
    serde_json::from_slice(stored).map_err(|_| snapshot::SnapshotError::NotAnObject.into())
}

/// A name that the application keeps: text, or a whole number as its text. An empty one tells nothing.
fn name_in(metadata: &Map<String, Value>, name: &str) -> Option<String> {
    read_id(metadata.get(name)?).ok().flatten()
}

/// Puts the fields of `written` over those of `stored`; fields that only `stored` has stay, in the objects
/// within too.
fn put_over(stored: &mut Value, written: Value) {
    match (stored, written) {
        (Value::Object(stored), Value::Object(written)) => {
            for (field, value) in written {
                put_over(stored.entry(field).or_insert(Value::Null), value);
            }
        }
        (stored, written) => *stored = written,
    }
}

#[cfg(test)]
mod tests;
