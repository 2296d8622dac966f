//! Having a note that was delivered sent once more.

use serde::{Deserialize, Serialize};

use super::decide::By;
use super::entry::Text;
use super::rows::SessionRows;
use crate::clock::Timestamp;
use crate::engine::core::audit::{Act, Subject, SubjectKind};
use crate::engine::core::resend::{self, ResendError, ResendOrder};
use crate::engine::core::rows::read;
use crate::engine::core::{Command, Settings};
use crate::engine::handle::Handle;
use crate::engine::inbox::{Closed, Reply};
use crate::ids::{ConversationId, PluginName, shown};
use crate::outbox::delivery_id::{DeliveryId, DeliveryKind};
use crate::session::state::Record;
use crate::store::{Rows, Store, StoreError, Table};

/// A note that is sent once more, or would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Repeat {
    /// The note that is repeated.
    pub resent_of: DeliveryId,
    /// The note that waits from here on; `None` of a preview.
    pub id: Option<DeliveryId>,
    /// The plugin that posts it.
    pub plugin: PluginName,
    /// The conversation that it goes to: the session's of this moment.
    pub conversation: ConversationId,
    /// How many actions it tells of.
    pub actions: usize,
    /// The length of its text.
    pub bytes: usize,
    /// The text, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// Why a note isn't sent once more. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ResendFailure {
    /// It is no note.
    #[error("only notes are sent once more; what goes to sinks, offers and answers aren't")]
    NoNote,
    /// It can't be.
    #[error(transparent)]
    Refused(#[from] ResendError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has ended, or its store takes nothing at the moment.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// What sending a note once more would be; changes nothing. `text`: with its text.
///
/// # Errors
/// It can't be, and why.
pub async fn preview_resend(
    store: &dyn Store,
    settings: &Settings,
    id: &DeliveryId,
    text: bool,
    now: Timestamp,
) -> Result<Repeat, ResendFailure> {
    if id.kind != DeliveryKind::Note {
        return Err(ResendFailure::NoNote);
    }
    let of_session = SessionRows { store, key: &id.key };
    let mut tables = Vec::new();
    for table in resend::TABLES {
        let rows = if table == Table::History {
            of_session.all(table).await?
        } else {
            of_session.first(table, id.seq.saturating_sub(1), 1).await?
        };
        tables.push((table, rows));
    }
    let records = of_session.all(Table::Session).await?;
    let record = records.iter().find(|(number, _)| *number == 0);
    let record = record.and_then(|(n, value)| read::<Record>(Table::Session, *n, value));
    let link = record.and_then(|record| record.link);
    let history = settings.history.as_ref();
    let repeat = resend::plan(id.seq, &Stored(tables), link.as_ref(), history)?;
    let body = repeat.body(&id.key, settings.rules(&id.key.product).bin_seconds, now);
    Ok(Repeat {
        resent_of: id.clone(),
        id: None,
        plugin: repeat.link.plugin,
        conversation: repeat.link.conversation,
        actions: repeat.actions.len(),
        bytes: body.len(),
        text: text.then_some(Text(body)),
    })
}

/// Has a note sent once more. Returns after the commit: it waits in its session's lane from then on. `text`: with its
/// text.
///
/// # Errors
/// It isn't, and why. Where the engine didn't answer in time it may be all the same: the timeline shows it.
pub async fn resend(
    store: &dyn Store,
    engine: &Handle,
    id: &DeliveryId,
    (text, by): (bool, By),
    now: Timestamp,
) -> Result<Repeat, ResendFailure> {
    let repeat = preview_resend(store, &engine.settings(), id, text, now).await?;
    let order = ResendOrder { key: id.key.clone(), seq: id.seq };
    let subject =
        Subject::of(id.key.product.as_str(), SubjectKind::Session, id.key.session.as_str());
    let deed = engine.deed(Act::Resend { note: id.seq, subject }, Some(&id.key.product));
    let resent = engine.ask(Command::Resend(order), deed, Reply::Resent).await??;
    let by = match by {
        By::Api => "api",
        By::Cli => "cli",
    };
    let made = DeliveryId::note(id.key.clone(), resent.seq);
    let (of, made_text) = (id.to_string(), made.to_string());
    tracing::info!(
        by,
        of = shown(&of),
        id = shown(&made_text),
        "outbox: a note is sent once more by an order"
    );
    let (plugin, conversation) = resent.target;
    Ok(Repeat { id: Some(made), plugin, conversation, ..repeat })
}

/// The rows of a session, of some tables only the first ones from a note on.
struct Stored(Vec<(Table, Rows)>);

impl resend::Rows for Stored {
    fn row(&self, table: Table, number: u64) -> Option<Vec<u8>> {
        let (_, rows) = self.0.iter().find(|(other, _)| *other == table)?;
        let row = rows.iter().find(|(other, _)| *other == number)?;
        Some(row.1.clone())
    }

    fn history(&self) -> Rows {
        let rows = self.0.iter().find(|(table, _)| *table == Table::History);
        rows.map(|(_, rows)| rows.clone()).unwrap_or_default()
    }
}
