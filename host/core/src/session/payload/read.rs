//! One pass from JSON to the types: no tree in between, and no value that can make it fail.

mod scalar;

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use self::scalar::{Fields, Object, Scalar, skip_map};
use super::{Action, ActionsPayload, Parsed, Payload, PayloadError, SummaryPayload, repair};

pub(super) fn event(data: &str) -> Result<Parsed, PayloadError> {
    let Object(fields) = serde_json::from_str::<Object<EventFields>>(data).or_else(|error| {
        // Only a text that isn't plain JSON pays for the second look.
        let not_json = PayloadError::NotJson { line: error.line(), column: error.column() };
        serde_json::from_str(&repair::repair(data).ok_or(not_json)?).map_err(|_| not_json)
    })?;
    let mut fields = fields.ok_or(PayloadError::NotAnObject)?;
    match fields.kind.take() {
        Some(Scalar::Text(kind)) if kind == "actions" => {
            let (payload, dropped_actions, unusable_fields) = fields.into_actions();
            Ok(Parsed { payload: Payload::Actions(payload), dropped_actions, unusable_fields })
        }
        Some(Scalar::Text(kind)) if kind == "summary" => {
            let (payload, unusable_fields) = fields.into_summary();
            Ok(Parsed { payload: Payload::Summary(payload), dropped_actions: 0, unusable_fields })
        }
        _ => Err(PayloadError::UnknownType),
    }
}

pub(super) fn action(value: &Value) -> Result<Action, PayloadError> {
    object::<ActionFields>(value).map(|fields| fields.into_action().0)
}

pub(super) fn actions_payload(value: &Value) -> Result<(ActionsPayload, usize), PayloadError> {
    let (payload, dropped, _) = object::<EventFields>(value)?.into_actions();
    Ok((payload, dropped))
}

pub(super) fn summary_payload(value: &Value) -> Result<SummaryPayload, PayloadError> {
    object::<EventFields>(value).map(|fields| fields.into_summary().0)
}

pub(super) fn id(value: &Value) -> Result<Option<String>, &'static str> {
    let scalar = Scalar::deserialize(value).map_err(|_| "nothing that can be read")?;
    let mut unusable = 0;
    let id = scalar.into_scope_id(&mut unusable);
    match value {
        _ if unusable == 0 => Ok(id),
        Value::Number(_) => Err("a number with a fraction, or one that is too large"),
        Value::Bool(_) => Err("true or false"),
        Value::Array(_) => Err("a list"),
        Value::Object(_) | Value::String(_) | Value::Null => Err("an object"),
    }
}

fn object<T: Fields>(value: &Value) -> Result<T, PayloadError> {
    let Object(fields) = Object::deserialize(value).map_err(|_| PayloadError::NotAnObject)?;
    fields.ok_or(PayloadError::NotAnObject)
}

/// The fields of both kinds of event: `type` may stand behind the rest. The last of equal keys counts.
#[derive(Default)]
struct EventFields {
    kind: Option<Scalar>,
    product_id: Scalar,
    session_id: Scalar,
    user_id: Scalar,
    email: Scalar,
    conversation_id: Scalar,
    actions: ActionList,
    forwarded_at: Scalar,
    summary: Scalar,
    replaces: Scalar,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum EventKey {
    Type,
    ProductId,
    SessionId,
    UserId,
    Email,
    ConversationId,
    Actions,
    ForwardedAt,
    Summary,
    Replaces,
    #[serde(other)]
    Other,
}

impl Fields for EventFields {
    fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut fields = Self::default();
        while let Some(key) = map.next_key()? {
            match key {
                EventKey::Type => fields.kind = Some(map.next_value()?),
                EventKey::ProductId => fields.product_id = map.next_value()?,
                EventKey::SessionId => fields.session_id = map.next_value()?,
                EventKey::UserId => fields.user_id = map.next_value()?,
                EventKey::Email => fields.email = map.next_value()?,
                EventKey::ConversationId => fields.conversation_id = map.next_value()?,
                EventKey::Actions => fields.actions = map.next_value()?,
                EventKey::ForwardedAt => fields.forwarded_at = map.next_value()?,
                EventKey::Summary => fields.summary = map.next_value()?,
                EventKey::Replaces => fields.replaces = map.next_value()?,
                EventKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

impl EventFields {
    fn into_actions(self) -> (ActionsPayload, usize, usize) {
        let mut unusable = self.actions.unusable;
        let payload = ActionsPayload {
            product_id: self.product_id.into_text(&mut unusable),
            session_id: self.session_id.into_scope_id(&mut unusable),
            user_id: self.user_id.into_scope_id(&mut unusable),
            email: self.email.into_scope_id(&mut unusable),
            conversation_id: self.conversation_id.into_id(&mut unusable),
            actions: self.actions.actions,
            forwarded_at: self.forwarded_at.into_time(&mut unusable).unwrap_or_default(),
        };
        (payload, self.actions.dropped, unusable)
    }

    fn into_summary(self) -> (SummaryPayload, usize) {
        let mut unusable = 0;
        let payload = SummaryPayload {
            product_id: self.product_id.into_text(&mut unusable),
            session_id: self.session_id.into_scope_id(&mut unusable),
            summary: self.summary.into_text(&mut unusable),
            replaces: self.replaces.into_whole(&mut unusable),
            forwarded_at: self.forwarded_at.into_time(&mut unusable).unwrap_or_default(),
        };
        (payload, unusable)
    }
}

#[derive(Default)]
struct ActionFields {
    title: Scalar,
    description: Scalar,
    canonical_url: Scalar,
    index: Scalar,
    kind: Scalar,
    timestamp_start: Scalar,
    timestamp_end: Scalar,
    raw_url: Scalar,
    session_id: Scalar,
    user_id: Scalar,
    email: Scalar,
    conversation_id: Scalar,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ActionKey {
    Title,
    Description,
    CanonicalUrl,
    Index,
    Type,
    TimestampStart,
    TimestampEnd,
    RawUrl,
    SessionId,
    UserId,
    Email,
    ConversationId,
    #[serde(other)]
    Other,
}

impl Fields for ActionFields {
    fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut fields = Self::default();
        while let Some(key) = map.next_key()? {
            match key {
                ActionKey::Title => fields.title = map.next_value()?,
                ActionKey::Description => fields.description = map.next_value()?,
                ActionKey::CanonicalUrl => fields.canonical_url = map.next_value()?,
                ActionKey::Index => fields.index = map.next_value()?,
                ActionKey::Type => fields.kind = map.next_value()?,
                ActionKey::TimestampStart => fields.timestamp_start = map.next_value()?,
                ActionKey::TimestampEnd => fields.timestamp_end = map.next_value()?,
                ActionKey::RawUrl => fields.raw_url = map.next_value()?,
                ActionKey::SessionId => fields.session_id = map.next_value()?,
                ActionKey::UserId => fields.user_id = map.next_value()?,
                ActionKey::Email => fields.email = map.next_value()?,
                ActionKey::ConversationId => fields.conversation_id = map.next_value()?,
                ActionKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

impl ActionFields {
    fn into_action(self) -> (Action, usize) {
        let mut unusable = 0;
        let action = Action {
            title: self.title.into_text(&mut unusable),
            description: self.description.into_text(&mut unusable),
            canonical_url: self.canonical_url.into_text(&mut unusable),
            index: self.index.into_whole(&mut unusable),
            kind: self.kind.into_text(&mut unusable),
            timestamp_start: self.timestamp_start.into_time(&mut unusable),
            timestamp_end: self.timestamp_end.into_time(&mut unusable),
            raw_url: self.raw_url.into_text(&mut unusable),
            session_id: self.session_id.into_id(&mut unusable),
            user_id: self.user_id.into_id(&mut unusable),
            email: self.email.into_id(&mut unusable),
            conversation_id: self.conversation_id.into_id(&mut unusable),
        };
        (action, unusable)
    }
}

/// What stands under `actions`.
#[derive(Default)]
struct ActionList {
    actions: Vec<Action>,
    dropped: usize,
    unusable: usize,
}

impl<'de> Deserialize<'de> for ActionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = ActionList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of actions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ActionList, A::Error> {
                let mut list = ActionList::default();
                while let Some(Object(fields)) = seq.next_element::<Object<ActionFields>>()? {
                    match fields {
                        Some(fields) => {
                            let (action, unusable) = fields.into_action();
                            list.actions.push(action);
                            list.unusable += unusable;
                        }
                        None => list.dropped += 1,
                    }
                }
                Ok(list)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ActionList, A::Error> {
                skip_map(map).map(instead)
            }

            fn visit_bool<E>(self, value: bool) -> Result<ActionList, E> {
                Ok(instead(!value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<ActionList, E> {
                Ok(instead(value == 0))
            }

            fn visit_u64<E>(self, value: u64) -> Result<ActionList, E> {
                Ok(instead(value == 0))
            }

            fn visit_f64<E>(self, value: f64) -> Result<ActionList, E> {
                Ok(instead(value == 0.0))
            }

            fn visit_str<E>(self, value: &str) -> Result<ActionList, E> {
                Ok(instead(value.is_empty()))
            }

            fn visit_unit<E>(self) -> Result<ActionList, E> {
                Ok(instead(true))
            }
        }

        /// What is no list holds no action, or one that can't be read.
        fn instead(is_empty: bool) -> ActionList {
            ActionList { dropped: usize::from(!is_empty), ..ActionList::default() }
        }

        deserializer.deserialize_any(List)
    }
}
