//! What ended and has no other row is kept for a while.

use crate::engine::rows::{delete, put, session_group};
use crate::engine::tx::Tx;
use crate::ids::SessionKey;
use crate::outbox::ended::{EndedDelivery, outlived_by};
use crate::rows::Table;

/// Puts what ended on record; the oldest of its kind leaves where the session has many.
pub(in crate::engine) fn keep(key: &SessionKey, ended: &EndedDelivery, tx: &mut Tx) {
    let (group, number) = (session_group(key), ended.number());
    if let Some(old) = outlived_by(number) {
        tx.push(delete(Table::Ended, group.clone(), old));
    }
    tx.push(put(Table::Ended, group, number, ended));
}
