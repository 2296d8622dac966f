//! The rule language: what operators say of words, read and checked once.

mod error;
mod pattern;
mod settings;
mod template;

use regex::Regex;
use serde_json::{Map, Value};

pub use error::SettingsError;
pub use settings::{OneOrMany, PageSettings, RuleSettings, Settings, Unsaid};

pub(crate) use template::{Placeholder, Template};

use crate::address::Address;
use crate::event::{Event, Kind};
use crate::label::DEPTH;
use crate::mask::Masks;
use pattern::{For, compile};

/// Rules that were read.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pages: Vec<Page>,
    rules: Vec<Rule>,
    /// As of the settings.
    pub sites: Vec<String>,
    /// As of the settings.
    pub show: Vec<String>,
    /// As of the settings.
    pub keep_query: Vec<String>,
    /// How long before its arrival an event may have happened, in seconds.
    pub max_age: f64,
    /// With the operator's own patterns.
    pub masks: Masks,
}

/// What a page is called.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    url: Regex,
    /// Its name, where the operator says it.
    pub name: Option<String>,
    /// Its path with ids folded, where the operator says it.
    pub canonical: Option<String>,
}

/// What is made of some events.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    kinds: Vec<Kind>,
    name: Option<Regex>,
    url: Option<Regex>,
    text: Option<Regex>,
    attributes: Vec<(String, Regex)>,
    properties: Vec<(String, Regex)>,
    /// It is left out.
    pub drop: bool,
    /// The short name.
    pub title: Option<Template>,
    /// What was done.
    pub description: Option<Template>,
    /// What the page is called.
    pub page: Option<String>,
    /// Which properties are told.
    pub show: Option<Vec<String>>,
    unsaid: Vec<Unsaid>,
}

impl Rule {
    /// Whether something is left unsaid.
    pub(crate) fn hides(&self, what: Unsaid) -> bool {
        self.unsaid.contains(&what)
    }

    fn fits(&self, event: &Event, text: Option<&str>, address: &Address) -> bool {
        let holds = |pattern: &Option<Regex>, text: &str| {
            pattern.as_ref().is_none_or(|it| it.is_match(text))
        };
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && holds(&self.name, &event.name)
            && holds(&self.text, text.unwrap_or_default())
            && self.url.as_ref().is_none_or(|it| is_at(it, address))
            && self.attributes.iter().all(|(name, pattern)| {
                let mut values =
                    event.elements.iter().take(DEPTH).filter_map(|it| it.attribute(name));
                values.any(|value| pattern.is_match(value))
            })
            && self.properties.iter().all(|(name, pattern)| {
                property(&event.properties, name).is_some_and(|value| pattern.is_match(&value))
            })
    }
}

impl Rules {
    /// Checks and compiles.
    ///
    /// # Errors
    /// A pattern or a template can't be used; its table is named.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let masks = settings.mask.iter().enumerate().map(|(at, pattern)| {
            compile(pattern, For::Within)
                .map_err(|cause| SettingsError::new(format!("mask[{at}]"), cause))
        });
        let pages = settings.pages.iter().enumerate().map(|(at, it)| {
            page(it).map_err(|cause| SettingsError::new(format!("pages[{at}]"), cause))
        });
        let rules = settings.rules.iter().enumerate().map(|(at, it)| {
            rule(it).map_err(|cause| SettingsError::new(format!("rules[{at}]"), cause))
        });
        if settings.max_age_hours == 0 {
            let cause = "max_age_hours is 0, so that nothing would be told; give at least 1";
            return Err(SettingsError::new("the rules", cause));
        }
        Ok(Self {
            masks: Masks::new(masks.collect::<Result<_, _>>()?),
            pages: pages.collect::<Result<_, _>>()?,
            rules: rules.collect::<Result<_, _>>()?,
            sites: settings.site_names.clone(),
            show: settings.show.clone(),
            keep_query: settings.keep_query.clone(),
            max_age: f64::from(settings.max_age_hours) * 3600.0,
        })
    }

    /// What the operator calls a page.
    pub(crate) fn page(&self, address: &Address) -> Option<&Page> {
        self.pages.iter().find(|page| is_at(&page.url, address))
    }

    /// The rule of an event whose element is called `text`.
    pub(crate) fn rule(
        &self,
        event: &Event,
        text: Option<&str>,
        address: &Address,
    ) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(event, text, address))
    }
}

/// A value as a line has it, neither masked nor cut yet: the name may lead into objects by dots. `None` for null, lists, objects and what is
/// blank.
pub(crate) fn property(properties: &Map<String, Value>, name: &str) -> Option<String> {
    let value = properties.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = properties.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })?;
    let text = match value {
        Value::String(text) => crate::label::look(text),
        Value::Number(number) => number.to_string(),
        Value::Bool(it) => it.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Whether a pattern fits the path, or the whole address.
fn is_at(pattern: &Regex, address: &Address) -> bool {
    address.is_known() && (pattern.is_match(&address.path()) || pattern.is_match(&address.whole()))
}

fn page(settings: &PageSettings) -> Result<Page, String> {
    if settings.name.is_none() && settings.canonical.is_none() {
        return Err("it says neither `name` nor `canonical`; set one of them".to_owned());
    }
    let is_form = !settings.url.contains('*') && settings.url.starts_with('/');
    let canonical = settings.canonical.clone().or_else(|| is_form.then(|| settings.url.clone()));
    if canonical.as_ref().is_some_and(|it| !it.starts_with('/')) {
        return Err(
            "`canonical` doesn't begin with a slash; write the path, such as /invoices/:id"
                .to_owned(),
        );
    }
    Ok(Page {
        url: compile(&settings.url, For::Address).map_err(of("url"))?,
        name: settings.name.clone(),
        canonical,
    })
}

fn rule(settings: &RuleSettings) -> Result<Rule, String> {
    let one = |key: &'static str, pattern: &Option<String>, what| {
        pattern.as_ref().map(|it| compile(it, what).map_err(of(key))).transpose()
    };
    let many = |key: &'static str, patterns: &std::collections::BTreeMap<String, String>| {
        let compiled = patterns
            .iter()
            .map(|(name, it)| Ok((name.clone(), compile(it, For::Text).map_err(of(key))?)));
        compiled.collect::<Result<Vec<_>, String>>()
    };
    let template = |key: &'static str, text: &Option<String>| {
        text.as_ref().map(|it| Template::read(it).map_err(of(key))).transpose()
    };
    let rule = Rule {
        kinds: settings.kind.as_slice().to_vec(),
        name: one("name", &settings.name, For::Text)?,
        url: one("url", &settings.url, For::Address)?,
        text: one("text", &settings.text, For::Text)?,
        attributes: many("attribute", &settings.attribute)?,
        properties: many("property", &settings.property)?,
        drop: settings.drop,
        title: template("title", &settings.title)?,
        description: template("description", &settings.description)?,
        page: settings.page.clone(),
        show: settings.show.clone(),
        unsaid: settings.mask.clone(),
    };
    let is_free = rule.kinds.is_empty()
        && [&rule.name, &rule.url, &rule.text].iter().all(|it| it.is_none())
        && rule.attributes.is_empty()
        && rule.properties.is_empty();
    if is_free {
        return Err(
            "it fits everything; set `kind`, `name`, `url`, `text`, `attribute` or `property`"
                .to_owned(),
        );
    }
    let says = rule.title.is_some()
        || rule.description.is_some()
        || rule.page.is_some()
        || rule.show.is_some();
    if rule.drop && (says || !rule.unsaid.is_empty()) {
        return Err(
            "it drops the event and says how it is told; leave one of the two out".to_owned()
        );
    }
    if !rule.drop && !says && rule.unsaid.is_empty() {
        let keys = "`drop`, `title`, `description`, `page`, `show` or `mask`";
        return Err(format!("it does nothing; set {keys}"));
    }
    Ok(rule)
}

fn of(key: &'static str) -> impl Fn(String) -> String {
    move |cause| format!("`{key}`: {cause}")
}

#[cfg(test)]
mod tests;
