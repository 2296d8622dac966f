//! What a source's plugin tells: events as the tool has them, parsed but not yet turned into lines.
//!
//! The types are those of `wit/source.wit`, where each field is described.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What kind of thing somebody did.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something that the product names itself.
    #[default]
    Custom,
    /// A page was opened.
    Page,
    /// A screen of an app was opened.
    Screen,
    /// An element was clicked.
    Click,
    /// A field was changed.
    Change,
    /// A form was submitted.
    Submit,
    /// An element was clicked many times in a row.
    RageClick,
    /// An element was clicked and nothing happened.
    DeadClick,
    /// Something went wrong before the person's eyes.
    Error,
    /// Nothing that somebody did: it only says who somebody is.
    Identity,
}

impl Kind {
    /// The word for it in an action's `type`, as the connector says it: a page's is `pageview`.
    ///
    /// ```
    /// assert_eq!(sidenote_sources::Kind::RageClick.word(), "rage_click");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Page => "pageview",
            Self::Screen => "screen",
            Self::Click => "click",
            Self::Change => "change",
            Self::Submit => "submit",
            Self::RageClick => "rage_click",
            Self::DeadClick => "dead_click",
            Self::Error => "error",
            Self::Identity => "identity",
        }
    }
}

/// Who it was. An empty text is the same as nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The session, where the tool has one.
    pub session_id: Option<String>,
    /// The visitor, before anybody knows who it is.
    pub anonymous_id: Option<String>,
    /// The person, as the product names them.
    pub user_id: Option<String>,
    /// The person's e-mail address.
    pub email: Option<String>,
}

impl fmt::Debug for Identity {
    /// The person is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// An element of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Element {
    /// For example `button`.
    pub tag: String,
    /// Its visible text; empty for none.
    pub text: String,
    /// Names in lower case and values, as in HTML.
    pub attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute, where it has one that isn't blank.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

/// One thing that happened.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Event {
    /// The same whenever the same event is sent again; empty where the tool has no such thing.
    pub id: String,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The tool's or the product's name of it; of a page or a screen its own name, of an error its type.
    pub name: String,
    /// Who it was.
    pub identity: Identity,
    /// When, in seconds since the Unix epoch.
    pub at: Option<f64>,
    /// Short name in words, where the tool has one.
    pub title: String,
    /// What was done, in words, where the tool says it.
    pub description: String,
    /// The address of the page, whole.
    pub url: String,
    /// The title of the page.
    pub page_title: String,
    /// The element, then what it is in, the innermost first.
    pub elements: Vec<Element>,
    /// What else is known.
    pub properties: Map<String, Value>,
    /// The conversation of the chat platform, where the tool knows it.
    pub conversation_id: Option<String>,
    /// The heading above the element.
    pub heading: String,
    /// Of an error, what it says.
    pub message: String,
}

impl fmt::Debug for Event {
    /// What was done and who did it are left out: they are customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Two names of one person.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The name that isn't used any more; what came and still comes with it belongs to `into`.
    pub from: String,
    /// The person.
    pub into: String,
}

impl fmt::Debug for Merge {
    /// The person is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Merge(..)")
    }
}

/// What one request or one page brought.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// The product, where the tool says it.
    pub product_id: Option<String>,
    /// What happened, in the order that the tool gives.
    pub events: Vec<Event>,
    /// Who turned out to be one person, after the events.
    pub merges: Vec<Merge>,
}
