//! Settings for a plugin that is tried out: its platform's address is the mock's, and what it must have
//! and nobody gave is made up.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::Value;
use sidenote::address::Origin;
use sidenote::egress::{Pattern, Patterns};
use sidenote::plugin::Manifest;

use super::BenchArgs;

/// A name that no platform has: it is led to the mock where a plugin takes `https://` only.
const STAND_IN: &str = "https://mock-platform.example";

/// The mock's address.
pub(crate) struct Address {
    /// As a plugin is told it.
    url: String,
    /// The same, as it is granted.
    pub(crate) origin: Origin,
}

impl Address {
    /// Takes `http://127.0.0.1:PORT`.
    pub(crate) fn of(url: &str) -> Self {
        let origin = Origin::parse(url).expect("the mock's address is an origin");
        Self { url: url.to_owned(), origin }
    }

    /// Whether a setting leads to the mock.
    pub(crate) fn stands_in(&self, value: &str) -> bool {
        let addresses = [&*self.url, STAND_IN].map(|url| url.split_once("://"));
        addresses.into_iter().flatten().any(|(_, host)| value.contains(host))
    }
}

/// Fills in what the manifest wants and nobody gave. Says what it chose, a line each.
pub(super) fn choose(
    manifest: Option<&Manifest>,
    settings: &mut BTreeMap<String, String>,
    mock: &Address,
    args: &BenchArgs,
) -> Vec<String> {
    let Some((asked, schema)) =
        manifest.and_then(|manifest| Some((manifest.asked().hosts, manifest.config.as_ref()?)))
    else {
        return Vec::new();
    };
    let (properties, required) = (properties(schema), required(schema));
    let mut chosen = Vec::new();
    let led = settings.values().any(|value| origin_in(value).is_some()) || args.has_detours();
    if !led && let Some((key, property)) = address_key(&properties, &required, settings) {
        let value = on_mock(property, mock);
        // One whose manifest asks for certain hosts stays with them; they are led to the mock.
        if origin_in(&value).is_some_and(|origin| asked.fits(&origin)) {
            chosen.push(format!("{key} = {value} (its setting for an address)"));
            settings.insert(key.clone(), value);
        }
    }
    for key in required.iter().filter(|key| !settings.contains_key(*key)).collect::<Vec<_>>() {
        let value = match properties.get(key) {
            Some(property) if is_address(key, property) => made_up_address(property, &asked),
            Some(property) => made_up(property),
            None => "test".to_owned(),
        };
        chosen.push(format!("{key} = {value} (it must be set; give another with --set)"));
        settings.insert(key.clone(), value);
    }
    chosen
}

/// Whose address a setting is, if it is one.
pub(super) fn origin_in(value: &str) -> Option<Origin> {
    Origin::of(&Url::parse(value).ok()?)
}

impl BenchArgs {
    fn has_detours(&self) -> bool {
        !self.hosts.is_empty()
    }
}

fn properties(schema: &Value) -> BTreeMap<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.map(|(key, property)| (key.clone(), property.clone())).collect()
}

fn required(schema: &Value) -> Vec<String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    required.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The setting that is most likely the platform's address: one that must be set, before one that
/// needn't; one that is said to be an address, before one that is only called so.
fn address_key<'a>(
    properties: &'a BTreeMap<String, Value>,
    required: &[String],
    settings: &BTreeMap<String, String>,
) -> Option<(&'a String, &'a Value)> {
    let unset = properties.iter().filter(|(key, _)| !settings.contains_key(*key));
    // One that knows its values can't be given another.
    let free = |(_, property): &(&String, &Value)| {
        property.get("enum").or_else(|| property.get("const")).is_none()
    };
    let addresses = unset.filter(|(key, property)| is_address(key, property)).filter(free);
    addresses.min_by_key(|(key, property)| {
        (!required.contains(key), !is_said_to_be_an_address(property), !is_called_an_address(key))
    })
}

fn is_address(key: &str, property: &Value) -> bool {
    property.get("type").is_some_and(|it| it == "string")
        && (is_said_to_be_an_address(property) || is_called_an_address(key))
}

fn is_said_to_be_an_address(property: &Value) -> bool {
    let text = |name: &str| property.get(name).and_then(Value::as_str).unwrap_or_default();
    text("format") == "uri"
        || text("default").starts_with("http")
        || text("pattern").trim_start_matches('^').starts_with("http")
}

fn is_called_an_address(key: &str) -> bool {
    let called = ["url", "base_url", "base-url", "baseurl", "api_url", "endpoint"];
    called.contains(&&*key.to_ascii_lowercase())
}

/// An address of a host that the plugin asks for.
fn made_up_address(property: &Value, asked: &Patterns) -> String {
    let given = made_up(property);
    if origin_in(&given).is_some() {
        return given;
    }
    let host = asked.iter().next().map(|pattern| match pattern {
        Pattern::Any => stand_in().to_string(),
        Pattern::Below(_) => pattern.example().replacen("NAME", "test", 1),
        Pattern::One(origin) => origin.to_string(),
    });
    match host.unwrap_or_else(|| stand_in().to_string()) {
        host if host.contains("://") => host,
        host => format!("https://{host}"),
    }
}

/// The mock's address as the value of a setting, with the path of the default.
fn on_mock(property: &Value, mock: &Address) -> String {
    let text = |name: &str| property.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = match text("default").split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => "",
    };
    let base = if text("pattern").starts_with("^https:") { STAND_IN } else { &mock.url };
    format!("{base}{}", path.trim_end_matches('/'))
}

/// A value that fits a property.
fn made_up(property: &Value) -> String {
    let first = |name: &str| property.get(name).and_then(|list| list.get(0));
    let given = property.get("const").or_else(|| property.get("default"));
    match given.or_else(|| first("enum")).or_else(|| first("examples")) {
        Some(Value::String(text)) => return text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => return value.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => {}
    }
    let number = |name: &str| property.get(name).and_then(Value::as_i64);
    let text = |name: &str| property.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "boolean" => "false".to_owned(),
        "integer" | "number" => {
            let above = number("exclusiveMinimum").map(|least| least.saturating_add(1));
            number("minimum").or(above).unwrap_or(1).to_string()
        }
        _ if text("pattern").contains("[0-9]") || text("pattern").contains("\\d") => "1".repeat(8),
        _ => {
            let least = usize::try_from(number("minLength").unwrap_or(0)).unwrap_or(0);
            format!("{:x<least$}", "test")
        }
    }
}

/// The name that stands for the mock where a plugin takes `https://` only.
pub(super) fn stand_in() -> Origin {
    Origin::parse(STAND_IN).expect("it is an origin")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn chosen(config: Value, given: &[(&str, &str)], line: &[&str]) -> (Vec<String>, Vec<String>) {
        chosen_with(json!(["*"]), config, given, line)
    }

    fn chosen_with(
        hosts: Value,
        config: Value,
        given: &[(&str, &str)],
        line: &[&str],
    ) -> (Vec<String>, Vec<String>) {
        let manifest = json!({"name": "bot", "version": "1", "hosts": hosts, "config": config});
        let manifest = Manifest::from_json(&manifest.to_string()).unwrap();
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut settings: BTreeMap<_, _> = given.collect();
        let line = Line::parse_from([&["test"], line].concat());
        let mock = Address::of("http://127.0.0.1:9");
        let said = choose(Some(&manifest), &mut settings, &mock, &line.bench);
        manifest.validate(&settings).unwrap();
        (settings.iter().map(|(key, value)| format!("{key}={value}")).collect(), said)
    }

    fn schema(required: &[&str], properties: Value) -> Value {
        json!({"type": "object", "required": required, "properties": properties})
    }

    #[test]
    fn the_setting_for_an_address_becomes_the_mocks() {
        let text = |more: Value| {
            let mut property = json!({"type": "string"});
            property.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            property
        };
        let uri = text(json!({"format": "uri"}));
        let with_path = text(json!({"default": "https://api.example.com/v1/"}));
        let https = text(json!({"pattern": "^https://"}));
        let fixed = text(json!({"enum": ["https://eu.example", "https://us.example"]}));
        for (required, properties, wanted) in [
            (&[][..], json!({"site": uri, "name": text(json!({}))}), "site=http://127.0.0.1:9"),
            (&[], json!({"api": with_path}), "api=http://127.0.0.1:9/v1"),
            (&["b"], json!({"a": uri, "b": uri}), "b=http://127.0.0.1:9"),
            (&[], json!({"base_url": text(json!({})), "logo": uri}), "logo=http://127.0.0.1:9"),
            (&[], json!({"base_url": text(json!({}))}), "base_url=http://127.0.0.1:9"),
            (&["to"], json!({"to": https}), "to=https://mock-platform.example"),
            (&["url"], json!({"url": fixed}), "url=https://eu.example"),
        ] {
            let (settings, said) = chosen(schema(required, properties), &[], &[]);
            assert_eq!((settings, said.len()), (vec![wanted.to_owned()], 1));
        }
    }

    #[test]
    fn an_address_that_the_manifest_does_not_ask_for_is_not_chosen() {
        let properties = json!({
            "base_url": {"type": "string", "default": "https://api.example.com/v1"},
            "site": {"type": "string", "format": "uri"},
        });
        let schema = schema(&["site"], properties);
        for (hosts, wanted) in [
            (json!(["api.example.com"]), "site=https://api.example.com"),
            (json!(["*.example.com"]), "site=https://test.example.com"),
            (json!(["http://127.0.0.1:9"]), "site=http://127.0.0.1:9"),
        ] {
            let (settings, _) = chosen_with(hosts, schema.clone(), &[], &[]);
            assert_eq!(settings, [wanted]);
        }
    }

    #[test]
    fn what_was_given_stays_and_what_must_be_set_is_made_up() {
        let properties = json!({
            "url": {"type": "string", "format": "uri"},
            "account": {"type": "integer", "minimum": 3},
            "name": {"type": "string", "minLength": 6},
            "fast": {"type": "boolean"},
            "region": {"type": "string", "enum": ["eu", "us"]},
            "spare": {"type": "string"},
        });
        let required = ["url", "account", "name", "fast", "region"];
        let given = [("url", "http://127.0.0.1:9/x"), ("account", "8")];
        let (settings, said) = chosen(schema(&required, properties.clone()), &given, &[]);
        let made =
            ["account=8", "fast=false", "name=testxx", "region=eu", "url=http://127.0.0.1:9/x"];
        assert_eq!(settings, made);
        assert_eq!(said.len(), 3);

        let line = ["--host", "api.example.com={mock}"];
        let given = [("url", "https://api.example.com")];
        let (settings, said) = chosen(schema(&["url"], properties), &given, &line);
        assert_eq!((settings, said.len()), (vec!["url=https://api.example.com".to_owned()], 0));
    }
}
