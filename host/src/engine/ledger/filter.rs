//! Which notes are meant.

use std::collections::BTreeSet;
use std::time::Duration;

use super::age::parse_age;
use super::entry::{Entry, EntryState};
use crate::ids::{ConversationId, InvalidId, PluginName, ProductId, SessionId};
use crate::outbox::delivery_id::DeliveryId;

/// Which notes are meant: those to which everything applies that is set.
///
/// Every field has a name and a text form, the same on the command line, in a query and in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `id`: this one.
    pub id: Option<DeliveryId>,
    /// `state`: in one of these states; any, where none is named.
    pub states: Vec<EntryState>,
    /// `product`.
    pub product: Option<ProductId>,
    /// `session`.
    pub session: Option<SessionId>,
    /// `plugin`.
    pub plugin: Option<PluginName>,
    /// `conversation`.
    pub conversation: Option<ConversationId>,
    /// `reason`: dead-lettered, or failed last, for a reason that has this in it, capitals or not.
    pub reason: Option<String>,
    /// `older_than`: sealed longer ago than this.
    pub older_than: Option<Duration>,
    /// `newer_than`: sealed less long ago than this.
    pub newer_than: Option<Duration>,
    /// Of one of these products: what whoever asks may ask about. Nobody sets it by a name.
    pub within: Option<BTreeSet<ProductId>>,
}

/// A field of a filter that can't be read. The value is left out: it may be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no such field.
    #[error("there is no such filter; the filters are {}", Filter::NAMES.join(", "))]
    Unknown,
    /// The value can't be used.
    #[error("{name}: {cause}")]
    Value {
        /// The field.
        name: &'static str,
        /// Why not, and what can be.
        cause: String,
    },
    /// It is there twice.
    #[error("{name} is there twice; name one, and ask again for the other")]
    Twice {
        /// The field.
        name: &'static str,
    },
}

impl Filter {
    /// The names of the fields.
    pub const NAMES: [&'static str; 9] = [
        "id",
        "state",
        "product",
        "session",
        "plugin",
        "conversation",
        "reason",
        "older_than",
        "newer_than",
    ];

    /// Whether every note is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets a field from its text. `state` takes several, with commas between them, and again.
    ///
    /// # Errors
    /// [`FilterError`]; nothing is set then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FilterError> {
        match name {
            "id" => once(&mut self.id, "id", value.parse::<DeliveryId>())?,
            "state" => self.states.extend(states(value)?),
            "product" => once(&mut self.product, "product", id(ProductId::new(value)))?,
            "session" => once(&mut self.session, "session", id(SessionId::new(value)))?,
            "plugin" => once(&mut self.plugin, "plugin", filled(value).map(PluginName::from))?,
            "conversation" => {
                once(&mut self.conversation, "conversation", id(ConversationId::new(value)))?;
            }
            "reason" => once(&mut self.reason, "reason", filled(value).map(str::to_owned))?,
            "older_than" => once(&mut self.older_than, "older_than", parse_age(value))?,
            "newer_than" => once(&mut self.newer_than, "newer_than", parse_age(value))?,
            _ => return Err(FilterError::Unknown),
        }
        Ok(())
    }

    /// The fields that are set, for [`Filter::set`].
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let states: Vec<_> = self.states.iter().map(|state| state.name()).collect();
        let seconds = |age: &Duration| format!("{}s", age.as_secs());
        let fields = [
            self.id.as_ref().map(|id| ("id", id.to_string())),
            (!states.is_empty()).then(|| ("state", states.join(","))),
            self.product.as_ref().map(|id| ("product", id.to_string())),
            self.session.as_ref().map(|id| ("session", id.to_string())),
            self.plugin.as_ref().map(|name| ("plugin", name.to_string())),
            self.conversation.as_ref().map(|id| ("conversation", id.to_string())),
            self.reason.clone().map(|text| ("reason", text)),
            self.older_than.as_ref().map(|age| ("older_than", seconds(age))),
            self.newer_than.as_ref().map(|age| ("newer_than", seconds(age))),
        ];
        fields.into_iter().flatten().collect()
    }

    /// The fields for the log: without the values that may tell of a person.
    pub fn for_log(&self) -> String {
        let field = |(name, value): (&str, String)| match name {
            "id" | "session" | "conversation" | "reason" => format!("{name}=.."),
            _ => format!("{name}={value}"),
        };
        let fields: Vec<_> = self.fields().into_iter().map(field).collect();
        if fields.is_empty() { "all".to_owned() } else { fields.join(" ") }
    }

    /// The product and the session whose rows alone can be meant.
    pub(super) fn place(&self) -> (Option<&ProductId>, Option<&SessionId>) {
        match &self.id {
            Some(DeliveryId { key, .. }) => (Some(&key.product), Some(&key.session)),
            None => (self.product.as_ref(), self.session.as_ref()),
        }
    }

    /// Whether a note in this state can be meant.
    pub(super) fn wants(&self, state: EntryState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether the note is meant.
    pub fn matches(&self, entry: &Entry) -> bool {
        let age = Duration::try_from_secs_f64(entry.age_seconds).unwrap_or_default();
        self.wants(entry.state)
            && self.id.as_ref().is_none_or(|id| *id == entry.id)
            && self.product.as_ref().is_none_or(|id| *id == entry.product)
            && self.within.as_ref().is_none_or(|ids| ids.contains(&entry.product))
            && self.session.as_ref().is_none_or(|id| *id == entry.session)
            && self.plugin.as_ref().is_none_or(|name| *name == entry.plugin)
            && self.conversation.as_ref().is_none_or(|id| entry.conversation.as_ref() == Some(id))
            && self.reason.as_ref().is_none_or(|part| has(entry.reason.as_deref(), part))
            && self.older_than.is_none_or(|than| age > than)
            && self.newer_than.is_none_or(|than| age < than)
    }
}

fn has(reason: Option<&str>, part: &str) -> bool {
    reason.is_some_and(|reason| reason.to_lowercase().contains(&part.to_lowercase()))
}

fn states(value: &str) -> Result<Vec<EntryState>, FilterError> {
    let named = |name| {
        EntryState::named(name).ok_or_else(|| FilterError::Value {
            name: "state",
            cause: format!(
                "there is no such state; the states are {}",
                EntryState::ALL.map(EntryState::name).join(", ")
            ),
        })
    };
    value.split(',').map(named).collect()
}

fn id<T>(id: Result<T, InvalidId>) -> Result<T, &'static str> {
    id.map_err(|error| error.cause)
}

fn filled(value: &str) -> Result<&str, &'static str> {
    if value.is_empty() { Err("it is empty") } else { Ok(value) }
}

fn once<T>(
    field: &mut Option<T>,
    name: &'static str,
    value: Result<T, impl std::fmt::Display>,
) -> Result<(), FilterError> {
    let value = value.map_err(|error| FilterError::Value { name, cause: error.to_string() })?;
    if field.is_some() {
        return Err(FilterError::Twice { name });
    }
    *field = Some(value);
    Ok(())
}
