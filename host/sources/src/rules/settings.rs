//! What an operator says of the words, as it stands in the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::SettingsError;
use crate::event::Kind;

/// Most rules, and most pages.
const MOST: usize = 256;

/// What the words of a source are made by.
///
/// ```
/// let settings = sidenote_sources::Settings::parse(r#"
///     site_names = ["Acme Ledger"]
///     show = ["format"]
///
///     [[pages]]
///     url = "/billing/invoices/:id"
///     name = "Billing › Invoice"
///
///     [[rules]]
///     name = "nightly_*"
///     drop = true
/// "#)?;
/// assert_eq!(settings.pages.len(), 1);
/// # Ok::<(), sidenote_sources::SettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = without_examples)]
pub struct Settings {
    /// What the product calls itself in the titles of its pages; it is left out of their names. What stands in
    /// the titles of several pages, or in the host's name, is left out by itself.
    ///
    /// ```
    /// sidenote_sources::Settings::parse(r#"site_names = ["Acme Ledger", "Acme"]"#)?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub site_names: Vec<String>,
    /// The properties of own events that are told, in this order. Others never are.
    ///
    /// ```
    /// sidenote_sources::Settings::parse(r#"show = ["format", "plan", "cart.currency"]"#)?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub show: Vec<String>,
    /// The names in the query of an address that stay in it. Everything else behind its `?` and `#` is left out.
    ///
    /// ```
    /// sidenote_sources::Settings::parse(r#"keep_query = ["tab", "view"]"#)?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub keep_query: Vec<String>,
    /// Further patterns whose matches are masked, in every text.
    ///
    /// ```
    /// sidenote_sources::Settings::parse(r#"mask = ['re:\bKD-\d{6}\b']"#)?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub mask: Vec<String>,
    /// Events that happened longer before they came are left out, in hours: they say nothing of what somebody is
    /// doing.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("max_age_hours = 48")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub max_age_hours: u32,
    /// What pages are called; the first that fits counts.
    pub pages: Vec<PageSettings>,
    /// What is made of events; the first that fits counts.
    pub rules: Vec<RuleSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        let show = ["format", "status", "plan", "step", "type", "method", "mode"];
        Self {
            site_names: Vec::new(),
            show: show.map(str::to_owned).to_vec(),
            keep_query: Vec::new(),
            mask: Vec::new(),
            max_age_hours: 24,
            pages: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// What a page is called.
///
/// ```
/// sidenote_sources::Settings::parse(r#"
///     [[pages]]
///     url = "/invoices/:id/edit"
///     name = "Invoices › Edit"
///     canonical = "/invoices/:id"
/// "#)?;
/// # Ok::<(), sidenote_sources::SettingsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = without_examples)]
pub struct PageSettings {
    /// The path, or with `://` the whole address without query and fragment. `*` stands for anything, `:word` for one
    /// part of the path, and behind `re:` stands a regular expression.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[pages]]\nurl = 're:^/w/[^/]+/settings'\nname = 'Settings'")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub url: String,
    /// Its name; without it the name is made as always.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[pages]]\nurl = '/billing/*'\nname = 'Billing'")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub name: Option<String>,
    /// Its path with the ids folded; without it, `url` where that has no `*` and is no regular expression, and
    /// otherwise as always.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[pages]]\nurl = '/shop/*'\ncanonical = '/shop/:item'")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub canonical: Option<String>,
}

/// What is left unsaid of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unsaid {
    /// What the element is called.
    Text,
    /// What the page is called.
    Page,
    /// Its address.
    Url,
    /// Properties.
    Properties,
}

/// What is made of events. All conditions that are named must hold.
///
/// Templates know `{name}`, `{text}` (what the element is called), `{page}`, `{heading}`, `{message}`, `{host}`
/// (of the link), `{default}` (the line without the rule) and `{property.NAME}`; `{{` and `}}` are braces. What
/// isn't known is left out. What they put in is masked.
///
/// ```
/// sidenote_sources::Settings::parse(r#"
///     [[rules]]
///     kind = "click"
///     attribute = { data-testid = "export-*" }
///     description = 'Exported the table ({page})'
/// "#)?;
/// # Ok::<(), sidenote_sources::SettingsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = without_examples)]
pub struct RuleSettings {
    /// The kind, or several of them.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nkind = ['click', 'dead_click']\nmask = ['text']")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub kind: OneOrMany<Kind>,
    /// The event's name: `*` stands for anything, and behind `re:` stands a regular expression. Capitals don't
    /// matter.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nname = 'Heartbeat*'\ndrop = true")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub name: Option<String>,
    /// The page, as `url` of `[[pages]]`.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nurl = '/admin/*'\ndrop = true")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub url: Option<String>,
    /// What the element is called, as `name`.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\ntext = 'Open chat'\ndrop = true")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub text: Option<String>,
    /// Attributes of the element or of what it is in, as `name`.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nattribute = { id = 'cookie-*' }\ndrop = true")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub attribute: BTreeMap<String, String>,
    /// Properties, as `name`; a dot leads into an object.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nproperty = { 'cart.test' = 'true' }\ndrop = true")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub property: BTreeMap<String, String>,
    /// Leaves the event out. Who it was is learned all the same.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nkind = 'change'\ndrop = true")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub drop: bool,
    /// A template for the short name.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nname = 'inv_exp'\ntitle = 'Export'")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub title: Option<String>,
    /// A template for what was done.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nname = 'inv_exp'\ndescription = 'Exported as {property.format}'")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub description: Option<String>,
    /// What the page is called, in this event.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nattribute = { role = 'dialog' }\npage = 'A dialog'")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub page: Option<String>,
    /// The properties that are told of this event, instead of the source's `show`.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nname = 'Row Imported'\nshow = ['n']")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub show: Option<Vec<String>>,
    /// What is left unsaid: `text`, `page`, `url`, `properties`.
    ///
    /// ```
    /// sidenote_sources::Settings::parse("[[rules]]\nurl = '/patients/*'\nmask = ['text', 'page', 'url']")?;
    /// # Ok::<(), sidenote_sources::SettingsError>(())
    /// ```
    pub mask: Vec<Unsaid>,
}

/// A schema says what a key is for; the examples are for whoever reads the code.
fn without_examples(schema: &mut schemars::Schema) {
    fn cut(description: Option<&mut serde_json::Value>) {
        if let Some(serde_json::Value::String(text)) = description
            && let Some(end) = text.find("\n\n```")
        {
            text.truncate(end);
        }
    }
    cut(schema.get_mut("description"));
    let properties = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut);
    for property in properties.into_iter().flat_map(|it| it.values_mut()) {
        cut(property.get_mut("description"));
    }
}

/// One, or a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "a kind such as \"click\", or a list of them")]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Settings {
    /// Reads the text of a TOML table.
    ///
    /// # Errors
    /// It isn't TOML, or as [`from_table`](Self::from_table).
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let table = text.parse::<toml::Table>();
        Self::from_table(table.map_err(|error| SettingsError::new("the rules", error.message()))?)
    }

    /// Reads a TOML table. What it holds is checked by [`Wording::new`](crate::Wording::new).
    ///
    /// # Errors
    /// A key is unknown, or a value is of another type: the table and the key are named.
    pub fn from_table(mut table: toml::Table) -> Result<Self, SettingsError> {
        let pages = list(&mut table, "pages")?;
        let rules = list(&mut table, "rules")?;
        let general: Self = read("the rules", toml::Value::Table(table))?;
        Ok(Self { pages, rules, ..general })
    }
}

/// The tables of a list, each read on its own so that an error names it.
fn list<T: serde::de::DeserializeOwned>(
    table: &mut toml::Table,
    key: &str,
) -> Result<Vec<T>, SettingsError> {
    let many = match table.remove(key) {
        None => return Ok(Vec::new()),
        Some(toml::Value::Array(many)) => many,
        Some(_) => return Err(SettingsError::new(key, format!("write it as tables: [[{key}]]"))),
    };
    if many.len() > MOST {
        return Err(SettingsError::new(
            key,
            format!("there are {}, at most {MOST} are read", many.len()),
        ));
    }
    let numbered = many.into_iter().enumerate();
    numbered.map(|(at, value)| read(&format!("{key}[{at}]"), value)).collect()
}

fn read<T: serde::de::DeserializeOwned>(
    what: &str,
    value: toml::Value,
) -> Result<T, SettingsError> {
    value.try_into().map_err(|error: toml::de::Error| SettingsError::new(what, error.message()))
}
