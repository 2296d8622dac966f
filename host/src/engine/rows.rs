//! The engine's rows: what is kept under which key, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::store::{Change, Group, Key, Table};

/// The group of a session's rows.
pub(super) fn session_group(key: &SessionKey) -> Group {
    Group(key.product.shared(), key.session.shared())
}

/// The group of a conversation's row.
pub(super) fn conversation_group(plugin: &PluginName, conversation: &ConversationId) -> Group {
    Group(plugin.clone(), conversation.shared())
}

/// The session that a group of a session's rows belongs to; `None` for names that no session has.
pub(super) fn session_key(group: &Group) -> Option<SessionKey> {
    let product = ProductId::new(group.0.clone()).ok()?;
    let session = SessionId::new(group.1.clone()).ok()?;
    Some(SessionKey { product, session })
}

/// Stores `value` under `number` of the group.
pub(super) fn put(table: Table, group: Group, number: u64, value: &impl Serialize) -> Change {
    let value =
        serde_json::to_vec(value).expect("rows are made of text, numbers and lists of them");
    Change::Put(
        Key {
            table,
            group,
            number,
        },
        value,
    )
}

/// Removes `number` of the group.
pub(super) fn delete(table: Table, group: Group, number: u64) -> Change {
    Change::Delete(Key {
        table,
        group,
        number,
    })
}

/// Reads a row. A row that can't be read is reported and left where it is: it is never overwritten
/// by a guess.
pub(super) fn read<T: DeserializeOwned>(table: Table, number: u64, value: &[u8]) -> Option<T> {
    match serde_json::from_slice(value) {
        Ok(row) => Some(row),
        Err(error) => {
            // The place of the error is told, not the text: it is customers' data.
            tracing::error!(
                ?table,
                number,
                line = error.line(),
                column = error.column(),
                "store: a row can't be read and is passed over"
            );
            None
        }
    }
}
