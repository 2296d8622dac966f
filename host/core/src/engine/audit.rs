//! The audit log: what people changed, when, and who they were. A row each, the newest first in the order of the keys. It
//! tells products and plugins, and nothing of a person: whom something was about is a hash.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::key_row::KeyRow;
use super::rows::{delete, put, read};
use super::tx::Tx;
use super::view::{Missing, View};
use crate::access::{Actor, KeyId, KeyName, Products, Scopes};
use crate::clock::Timestamp;
use crate::ids::{PluginName, ProductId};
use crate::rows::{Group, Key, Table};

/// Rows that are kept.
pub const MOST_ROWS: usize = 10_000;

/// How long a row is kept.
pub const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Rows that are read at once at a start.
const PAGE: usize = 1000;

/// Orders that may go on: their rows are rewritten with each of their commits.
const UNDER_WAY: usize = 16;

/// Something that a person does, to be put on record with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Who.
    pub by: Actor,
    /// What.
    pub act: Act,
    /// Of which product, where it is about one.
    pub product: Option<ProductId>,
    /// The order that this is a part of: all parts are one row, and what they affected is added up.
    pub order: Option<u64>,
}

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Act {
    /// Makes a key.
    KeyNew {
        /// Its public part.
        id: KeyId,
        /// What people call it.
        name: KeyName,
        /// What it may do.
        scopes: Scopes,
        /// With which products.
        products: Products,
    },
    /// Revokes a key.
    KeyRevoke {
        /// Its public part.
        id: KeyId,
        /// What people called it; `None` where there was none.
        name: Option<KeyName>,
    },
    /// Has notes sent again.
    OutboxRetry {
        /// Which, without the values that may tell of a person.
        filter: String,
    },
    /// Removes notes for good.
    OutboxPurge {
        /// Which, as above.
        filter: String,
    },
    /// Has a delivered note sent once more.
    Resend {
        /// Its number among the notes of the session.
        note: u64,
        /// The session.
        subject: Subject,
    },
    /// Erases somebody.
    Erase {
        /// Whom.
        subject: Subject,
        /// Whether the notes at the platform are left there.
        keep_notes: bool,
    },
    /// Erases a user, posted notes excepted.
    Reset {
        /// Whom.
        subject: Subject,
    },
    /// Links a session.
    Link {
        /// The plugin that posts into the conversation.
        plugin: PluginName,
        /// The session.
        subject: Subject,
    },
    /// Changes how a session is helped.
    Help {
        /// The change.
        change: String,
        /// The session.
        subject: Subject,
    },
    /// Has the configuration read again.
    Reload,
    /// Copies the store.
    Backup,
    /// Has a plugin not called any more.
    PluginDisabled {
        /// Which.
        plugin: PluginName,
        /// Whether it was said why. What was said isn't here: it is in people's own words.
        reason: bool,
    },
    /// Has a plugin called again.
    PluginEnabled {
        /// Which.
        plugin: PluginName,
    },
    /// Removes what a plugin keeps.
    KvCleared {
        /// Which.
        plugin: PluginName,
    },
    /// Removes the timers that a plugin set.
    TimersRemoved {
        /// Which.
        plugin: PluginName,
    },
    /// Has a new version of a plugin given what live calls are given, without anything leaving.
    ShadowStarted {
        /// Which plugin.
        plugin: PluginName,
        /// The new version, by the first digits of its hash; `None` where it was refused before that was known.
        version: Option<String>,
    },
    /// Has a version that was compared run.
    ShadowPromoted {
        /// Of which plugin.
        plugin: PluginName,
        /// The version that runs from there on; `None` where it was refused.
        version: Option<String>,
    },
    /// Ends the comparison of a new version.
    ShadowDropped {
        /// Of which plugin.
        plugin: PluginName,
    },
    /// Has streams connect at once.
    StreamsRetry {
        /// Which; `None`: all.
        stream: Option<String>,
    },
}

impl Act {
    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KeyNew { .. } => "key_new",
            Self::KeyRevoke { .. } => "key_revoke",
            Self::OutboxRetry { .. } => "outbox_retry",
            Self::OutboxPurge { .. } => "outbox_purge",
            Self::Resend { .. } => "resend",
            Self::Erase { .. } => "erase",
            Self::Reset { .. } => "reset",
            Self::Link { .. } => "link",
            Self::Help { .. } => "help",
            Self::Reload => "reload",
            Self::Backup => "backup",
            Self::PluginDisabled { .. } => "plugin_disabled",
            Self::PluginEnabled { .. } => "plugin_enabled",
            Self::KvCleared { .. } => "kv_cleared",
            Self::TimersRemoved { .. } => "timers_removed",
            Self::ShadowStarted { .. } => "shadow_started",
            Self::ShadowPromoted { .. } => "shadow_promoted",
            Self::ShadowDropped { .. } => "shadow_dropped",
            Self::StreamsRetry { .. } => "streams_retry",
        }
    }
}

/// Whom something was about: who knows the name can find it, and nobody can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Subject {
    /// What names them.
    pub kind: SubjectKind,
    /// A hash of product, kind and name.
    pub hash: String,
}

/// What somebody is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A session's id.
    Session,
    /// A user id.
    User,
    /// An e-mail address.
    Email,
}

impl SubjectKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Email => "email",
        }
    }
}

impl Subject {
    /// Somebody of a product. An address counts without regard to capitals.
    pub fn of(product: &str, kind: SubjectKind, name: &str) -> Self {
        let name = match kind {
            SubjectKind::Session | SubjectKind::User => name.to_owned(),
            SubjectKind::Email => name.trim().to_lowercase(),
        };
        let mut hash = Sha256::new();
        for part in [product, kind.name(), &name] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { kind, hash: hex::encode(&hash.finalize()[..16]) }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done {
        /// To how many: notes, sessions, streams; `None` where it isn't about a number.
        affected: Option<u64>,
    },
    /// It was refused, and nothing changed.
    Refused {
        /// Why, in one word.
        reason: String,
    },
}

impl Outcome {
    /// Refused for this reason.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }

    fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Done { affected: Some(one) }, Self::Done { affected: Some(other) }) => {
                Self::Done { affected: Some(one.saturating_add(other)) }
            }
            (_, more) => more,
        }
    }
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When; of an order its latest commit.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What.
    pub act: Act,
    /// Of which product.
    pub product: Option<ProductId>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is known of the log: which rows there are, and how old they are.
#[derive(Default)]
pub(super) struct Audit {
    /// The oldest first: number from the first on, and when.
    rows: VecDeque<(u64, Timestamp)>,
    next: u64,
    /// Orders that may go on, with their rows.
    under_way: VecDeque<(u64, u64, AuditRow)>,
}

impl Audit {
    /// Takes up a page of what the last run left. Returns behind which row to go on; `None`: that was all.
    pub(super) fn load(&mut self, view: &View, after: Option<Key>) -> Result<Option<Key>, Missing> {
        let page = view.scan(Table::Audit, after, PAGE)?;
        for (key, value) in page {
            let number = u64::MAX - key.number;
            // One that can't be read counts as old as its neighbour.
            let at = read::<AuditRow>(Table::Audit, key.number, value).map(|row| row.at);
            let at = at.or(self.rows.front().map(|(_, at)| *at)).unwrap_or_default();
            self.next = self.next.max(number + 1);
            self.rows.push_front((number, at));
        }
        Ok(page.last().map(|(key, _)| key.clone()).filter(|_| page.len() == PAGE))
    }

    /// Puts on record what somebody did, with what came of it; `key` is the one that it was about.
    pub(super) fn add_answered(
        &mut self,
        mut deed: Deed,
        outcome: Outcome,
        key: Option<&KeyRow>,
        tx: &mut Tx,
    ) {
        if let (Act::KeyRevoke { name, .. }, Some(row)) = (&mut deed.act, key) {
            *name = Some(row.name.clone());
        }
        self.add(deed, outcome, tx);
    }

    /// Puts on record what somebody did.
    pub(super) fn add(&mut self, deed: Deed, outcome: Outcome, tx: &mut Tx) {
        let Deed { by, act, product, order } = deed;
        let same = |(of, ..): &&mut (u64, u64, AuditRow)| Some(*of) == order;
        if let Some((_, number, row)) = self.under_way.iter_mut().find(same) {
            row.at = tx.now;
            row.outcome = row.outcome.clone().and(outcome);
            tx.push(put(Table::Audit, place(*number).group, place(*number).number, row));
            return;
        }
        let row = AuditRow { at: tx.now, by, act, product, outcome };
        let number = self.next;
        self.next += 1;
        tx.push(put(Table::Audit, place(number).group, place(number).number, &row));
        self.rows.push_back((number, tx.now));
        if let Some(order) = order {
            self.under_way.push_back((order, number, row));
            if self.under_way.len() > UNDER_WAY {
                self.under_way.pop_front();
            }
        }
        while self.rows.len() > MOST_ROWS {
            self.remove_oldest(tx);
        }
    }

    /// Removes what is old.
    pub(super) fn expire(&mut self, tx: &mut Tx) {
        let oldest = tx.now - KEPT;
        while self.rows.front().is_some_and(|(_, at)| *at < oldest) {
            self.remove_oldest(tx);
        }
    }

    fn remove_oldest(&mut self, tx: &mut Tx) {
        let Some((gone, _)) = self.rows.pop_front() else { return };
        self.under_way.retain(|(_, number, _)| *number != gone);
        let Key { group, number, .. } = place(gone);
        tx.push(delete(Table::Audit, group, number));
    }
}

/// Where the row of a number stands: the newest first, and not too many in a group.
fn place(number: u64) -> Key {
    let number = u64::MAX - number;
    let group = Group(format!("{:014x}", number >> 8).into(), "".into());
    Key { table: Table::Audit, group, number }
}
