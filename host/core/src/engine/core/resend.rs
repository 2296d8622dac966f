//! Sending a note once more, because an operator wants it: a note of its own, behind what was sealed before.

use crate::engine::core::Core;
use crate::engine::resend::{ResendError, ResendOrder, Resent, Rows, plan};
use crate::engine::rows::session_group;
use crate::engine::tx::Tx;
use crate::rows::{Group, Key, Table};

impl Core {
    pub(super) fn resend(
        &mut self,
        order: &ResendOrder,
        tx: &mut Tx,
    ) -> Result<Resent, ResendError> {
        let ResendOrder { key, seq } = order;
        self.sessions.touch(key, tx.now);
        let link = self.sessions.record(key).and_then(|record| record.link.as_ref());
        let rows = Stored { tx, group: session_group(key) };
        let repeat = plan(*seq, &rows, link, self.settings.history.as_ref())?;
        let settings = self.settings.clone();
        let session = self.sessions.get_mut(key, tx.now).ok_or(ResendError::NotFound)?;
        let target = (repeat.link.plugin.clone(), repeat.link.conversation.clone());
        let (seq, effects) = session.on_resend(repeat, tx.now, settings.rules(&key.product));
        self.run_effects(key, effects, tx);
        Ok(Resent { seq, target })
    }
}

/// The rows as the transaction leaves them so far. They were read.
struct Stored<'a> {
    tx: &'a Tx,
    group: Group,
}

impl Rows for Stored<'_> {
    fn row(&self, table: Table, number: u64) -> Option<Vec<u8>> {
        let key = Key { table, group: self.group.clone(), number };
        self.tx.row(&key).map(<[u8]>::to_vec)
    }

    fn history(&self) -> Vec<(u64, Vec<u8>)> {
        self.tx.rows(Table::History, &self.group).into_iter().collect()
    }
}
