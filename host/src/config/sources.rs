//! `[plugins.NAME.source]`: what is accepted at `/sources/NAME`, of whom, and whether the plugin is asked.
//!
//! It is a part of the plugin's table, as its limits are: a source is one use of a component, its address has the
//! plugin's name as that of its webhooks has, and a file of `plugins.d` holds all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sidenote_sources::{Settings, SettingsError, Wording};
use toml::de::{DeValue, ValueDeserializer};

use super::mcp::origin;
use super::model::{Plugin, PluginLimits};
use super::plugin_source::{Origins, PluginSource, WriteKey};
use super::scalar::{self, Refusal, Scalar};
use super::secret;
use super::section::{Section, nearest};
use crate::ids::{PluginName, ProductId};

/// `[plugins.NAME.source]`; `None` where it isn't there. The products are checked when they are known.
pub(super) fn plugin_source(section: Section<'_>) -> Option<PluginSource> {
    let default = PluginSource::default();
    let product = section.scalar("product", product);
    let (keys, has_keys) = keys(section.section("keys"), product.as_ref());
    let source = PluginSource {
        keys,
        product,
        origins: origins(&section),
        max_body_bytes: section.scalar_or("max_body", default.max_body_bytes, scalar::size),
        max_requests: section.scalar_or("max_requests", default.max_requests, |value| {
            scalar::up_to(value, 1_000_000)
        }),
        max_bytes: section.scalar_or("max_bytes", default.max_bytes, scalar::size),
        poll_every: section.scalar("poll_every", interval),
        ask_when_opened: section.scalar_or(
            "ask_when_opened",
            default.ask_when_opened,
            scalar::boolean,
        ),
        ask_again_after: section.scalar_or("ask_again_after", default.ask_again_after, again),
        words: words(&section),
    };
    if section.is_present() && !section.is_asked() {
        let asks = source.poll_every.is_some() || source.ask_when_opened;
        if !has_keys && !asks {
            section.reader.warn(
                section.place(),
                &section.name(),
                format!(
                    "it has no key, so that nothing is accepted at its address; add [{}.keys.NAME] with `key` and `product`",
                    section.name()
                ),
            );
        }
        if source.poll_every.is_some() && source.product.is_none() {
            section.refuse(
                "poll_every",
                "it isn't said whose the events are that the plugin finds",
                "add `product`",
            );
        }
    }
    let is_present = section.is_present();
    section.finish();
    is_present.then_some(source)
}

/// The keys by their names, and whether there are any, be they wrong.
fn keys(section: Section<'_>, usual: Option<&ProductId>) -> (BTreeMap<String, WriteKey>, bool) {
    let names = section.names();
    let (mut keys, has_keys) = (BTreeMap::<String, WriteKey>::new(), !names.is_empty());
    for (name, inner) in section.sections() {
        section.check_name("key", &name);
        let key = secret::anywhere(&inner, "key");
        if key.is_none() && !inner.has("key") && !inner.is_asked() {
            inner.refuse("key", "the key itself is missing", "add `key = { env = \"VARIABLE\" }`, or the key as a text where web pages show it anyway");
        }
        let product = inner.scalar("product", product).or_else(|| usual.cloned());
        if product.is_none() && !inner.has("product") && !inner.is_asked() {
            inner.refuse(
                "product",
                "it isn't said which product's events come with it",
                "add `product`, here or in the source's table",
            );
        }
        if let (Some(key), Some(product)) = (key, product) {
            let same = keys.iter().find(|(_, other)| other.key == key);
            if let Some((other, _)) = same {
                inner.refuse("key", format!("it is that of \"{other}\" too"), "make another one");
            }
            keys.insert(name, WriteKey { key, product });
        }
        inner.finish();
    }
    section.finish();
    (keys, has_keys)
}

fn product(value: Scalar<'_>) -> Result<ProductId, Refusal> {
    let text = scalar::text(value)?;
    ProductId::new(text.as_str())
        .map_err(|error| Refusal::value(error.to_string(), "write the id of one of [products.ID]"))
}

fn origins(section: &Section<'_>) -> Origins {
    let want = "a list of origins, for example [\"https://app.example.com\"], or [\"*\"] for all";
    let read = |value: Scalar<'_>| {
        let all = scalar::text(value).is_ok_and(|text| text == "*");
        if all { Ok(None) } else { origin(value).map(Some) }
    };
    let listed = section.list("origins", want, read).unwrap_or_default();
    let listed: Option<Vec<_>> = listed.into_iter().map(|(_, origin)| origin).collect();
    listed.map_or(Origins::Any, Origins::Listed)
}

/// Not so often that nothing else is done.
fn interval(value: Scalar<'_>) -> Result<Duration, Refusal> {
    let interval = scalar::duration(value)?;
    if interval < Duration::from_secs(1) {
        return Err(Refusal::value("it is less than a second", "write \"1s\" or more"));
    }
    Ok(interval)
}

/// Not so late that nobody waits for it.
fn again(value: Scalar<'_>) -> Result<Duration, Refusal> {
    let pause = scalar::duration(value)?;
    if pause > Duration::from_secs(600) {
        return Err(Refusal::value("it is more than ten minutes", "write \"10m\" or less"));
    }
    Ok(pause)
}

/// What the words are made by, checked.
fn words(section: &Section<'_>) -> Settings {
    const KEY: &str = "words";
    section.knows(KEY);
    section.tells(KEY, words_schema);
    let Some(value) = section.value(KEY) else { return Settings::default() };
    let DeValue::Table(_) = value else {
        let next = format!("write [{}.words] and its keys below", section.name());
        section.refuse(KEY, "it is no table", next);
        return Settings::default();
    };
    let spanned = toml::Spanned::new(0..0, value.clone());
    let table = toml::Table::deserialize(ValueDeserializer::from(spanned));
    let read = table.map_err(|error| ("words".to_owned(), error.message().to_owned()));
    let of = |error: SettingsError| (error.table, error.cause);
    let read = read.and_then(|table| Settings::from_table(table).map_err(of));
    let read = read.and_then(|words| Wording::new(&words).map(|_| words).map_err(of));
    read.unwrap_or_else(|(table, cause)| {
        section.refuse(
            KEY,
            format!("{table}: {cause}"),
            "the book's page on the words has all keys",
        );
        Settings::default()
    })
}

/// The schema of the words, whole: it is put into another.
fn words_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>();
    schema.remove("title");
    // Its keys are judged by whoever makes the words, so it isn't one of the tables of the readers here.
    schema.insert("type".to_owned(), json!(["object"]));
    schema.to_value()
}

/// Refuses sources whose products aren't configured.
pub(super) fn check_products<'p>(
    top: &Section<'_>,
    plugins: &BTreeMap<PluginName, Plugin>,
    products: impl Iterator<Item = &'p ProductId>,
) {
    let known: Vec<String> = products.map(ToString::to_string).collect();
    let sections = top.peek("plugins");
    for (name, plugin) in plugins {
        let Some(source) = &plugin.source else { continue };
        let section = sections.peek(name).peek("source");
        let check = |section: &Section<'_>, product: &ProductId| {
            if !known.iter().any(|known| known == product.as_str()) {
                let fault = super::error::Fault::UnknownName {
                    key: "product".to_owned(),
                    what: "product",
                    name: product.to_string(),
                    meant: nearest(product.as_str(), &known),
                    known: known.clone(),
                };
                section.report(section.place_of("product"), fault);
            }
        };
        if let Some(product) = &source.product {
            check(&section, product);
        }
        let keys = section.peek("keys");
        for (name, key) in &source.keys {
            if source.product.as_ref() != Some(&key.product) {
                check(&keys.peek(name), &key.product);
            }
        }
    }
}

/// Whether some plugin brings what people do, so that no stream is needed.
pub(super) fn are_there(top: &Section<'_>) -> bool {
    top.peek("plugins").names().iter().any(|name| top.peek("plugins").peek(name).has("source"))
}

/// The defaults of a source's limits: what its plugin makes of a large body takes more than the body does.
pub(super) fn limits(source: &PluginSource) -> PluginLimits {
    let usual = PluginLimits::default();
    let most = source.max_body_bytes;
    PluginLimits {
        memory_bytes: usual.memory_bytes.max(most.saturating_mul(32)),
        max_handover_bytes: usual.max_handover_bytes.max(most.saturating_mul(4)),
        ..usual
    }
}
