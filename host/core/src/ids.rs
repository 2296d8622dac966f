//! Typed names: what is keyed by (product, session) can't be keyed by a string glued together.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// So much of an id is written into a log line, in bytes.
const SHOWN: usize = 200;

/// An id as a log line has it: its beginning, where it is long.
pub fn shown(id: &str) -> &str {
    &id[..id.floor_char_boundary(SHOWN)]
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[schemars(with = "String")]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest id accepted, in bytes.
            pub const MAX_BYTES: usize = 8192;

            /// Checks the id: not empty, at most [`Self::MAX_BYTES`]. Nothing is trimmed or folded.
            pub fn new(id: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
                let id = id.into();
                if id.is_empty() {
                    return Err(InvalidId { kind: stringify!($name), cause: "it is empty" });
                }
                if id.len() > Self::MAX_BYTES {
                    return Err(InvalidId { kind: stringify!($name), cause: "it is longer than 8192 bytes" });
                }
                Ok(Self(id))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as shared text.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(id: String) -> Result<Self, InvalidId> {
                Self::new(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

id! {
    /// A tenant of the stream (`product_id`).
    ProductId
}
id! {
    /// A session of the activity source (`session_id`), never a chat platform's.
    SessionId
}
id! {
    /// A conversation of a chat platform.
    ConversationId
}

/// A plugin's name in the configuration (`[plugins.NAME]`): one configured use of a component.
pub type PluginName = Arc<str>;

/// What every session, link, lane and row is keyed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The product.
    pub product: ProductId,
    /// The session within it.
    pub session: SessionId,
}

impl SessionKey {
    /// A session's id in each of some products.
    pub fn of<'a>(
        products: &'a [ProductId],
        session: &'a SessionId,
    ) -> impl Iterator<Item = Self> + 'a {
        products.iter().map(|product| Self { product: product.clone(), session: session.clone() })
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.product, self.session)
    }
}

/// An id that can't be used. The id itself is left out: it may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} can't be used: {cause}")]
pub struct InvalidId {
    /// Which kind of id.
    pub kind: &'static str,
    /// Why not.
    pub cause: &'static str,
}
