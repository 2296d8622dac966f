//! What sources bring, and what they know: the way into the engine, and what is read of it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::core::rows::{read, source_group};
use super::core::{Command, PollMark, SourcePage, SourceRows};
use super::handle::Handle;
use super::inbox::{Closed, Reply};
use crate::ids::PluginName;
use crate::session::payload::ActionsPayload;
use crate::store::{Change, Key, StoreError, Table};

/// So many rows of people are read at once.
const REMEMBERED_PAGE: usize = 4096;

/// What a source remembers, as rows.
pub(crate) struct Remembered {
    /// Number and value.
    pub(crate) seen: Vec<(u64, Vec<u8>)>,
    /// Product and value.
    pub(crate) people: Vec<(Arc<str>, Vec<u8>)>,
}

impl Handle {
    /// Hands over what a source brought, and what is stored beside it: all of it in one commit. Returns when it has its
    /// place behind what was handed over before; what it returns ends with the commit. Batches of nobody, or of products
    /// that aren't configured, are counted and left out.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn hand_over_page(
        &self,
        batches: Vec<(ActionsPayload, usize)>,
        beside: SourceRows,
    ) -> Result<impl Future<Output = Result<(), Closed>> + use<>, Closed> {
        let size = |change: &Change| match change {
            Change::Put(_, value) => value.len(),
            Change::Delete(_) => 0,
        };
        let of_batches = batches.iter().map(|(_, bytes)| *bytes);
        let whole = of_batches.chain(beside.remembered.iter().map(size)).sum::<usize>()
            + beside.written.iter().map(|(_, written)| written.bytes()).sum::<usize>();
        let usable =
            |(batch, bytes)| Some((self.named(&batch)?, ActionsPayload::printable(batch), bytes));
        let batches: Vec<_> = batches.into_iter().filter_map(usable).collect();
        let committed = if batches.is_empty() && beside.is_empty() {
            None
        } else {
            let (accepted, committed) = oneshot::channel();
            let command = Command::Page(SourcePage { batches, beside });
            self.hand_over(command, Reply::Accepted(accepted), whole, None).await?;
            Some(committed)
        };
        Ok(async {
            match committed {
                Some(committed) => committed.await.map_err(|_| Closed),
                None => Ok(()),
            }
        })
    }

    /// What a source remembers, as it was committed last: the rows of what it has seen, and those of people, each with its
    /// product.
    ///
    /// # Errors
    /// The store can't be read.
    pub(crate) async fn remembered(&self, plugin: &PluginName) -> Result<Remembered, StoreError> {
        let seen = self.store.load(Table::SourceSeen, &[source_group(plugin)]).await?;
        let mut people = Vec::new();
        let mut after = Key { table: Table::SourcePerson, group: source_group(plugin), number: 0 };
        loop {
            let rows = self.store.scan(Table::SourcePerson, Some(after), REMEMBERED_PAGE).await?;
            let at_end = rows.len() < REMEMBERED_PAGE;
            let Some((last, _)) = rows.last() else { break };
            after = last.clone();
            let theirs = rows.into_iter().take_while(|(row, _)| row.group.0 == *plugin);
            people.extend(theirs.map(|(row, value)| (row.group.1, value)));
            if at_end || after.group.0 != *plugin {
                break;
            }
        }
        Ok(Remembered { seen: seen.into_iter().flatten().collect(), people })
    }

    /// Where a source that is asked goes on, as it was committed last.
    ///
    /// # Errors
    /// The store can't be read.
    pub(crate) async fn poll_mark(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<PollMark>, StoreError> {
        let rows = self.store.load(Table::Source, &[source_group(plugin)]).await?;
        let row = rows.iter().flatten().find(|(number, _)| *number == 0);
        Ok(row.and_then(|(number, value)| read(Table::Source, *number, value)))
    }
}
