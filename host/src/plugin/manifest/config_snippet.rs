//! What a plugin asks for, as a configuration to paste. Everything in it is quoted as TOML needs it.

use std::fmt::Write as _;

use serde_json::Value;

use super::model::{IDENTITY_VERIFICATION, Manifest};
use super::schema;
use crate::egress::Patterns;
use crate::egress::grant::toml_key;
use crate::plugin::clean::clean;
use crate::plugin::component_info::OwnImports;

/// `[plugins.NAME]` and its tables for a file, with words in capitals where only the operator knows what
/// to write. Without a manifest it grants nothing but `kv` and `timer`, where they are imported.
pub fn toml(
    plugin: &str,
    file: &str,
    sha256: &str,
    (manifest, imports): (Option<&Manifest>, OwnImports),
) -> String {
    let key = toml_key(plugin);
    let mut text = format!("[plugins.{key}]\nfile = {}\nsha256 = \"{sha256}\"\n", quoted(file));
    let Some(manifest) = manifest else {
        grants(&mut text, plugin, &[], imports);
        return text;
    };
    let asked = manifest.asked();
    let mut hosts: Vec<String> = Vec::new();
    for pattern in asked.secrets.values().flat_map(Patterns::iter).chain(asked.hosts.iter()) {
        let example = pattern.example();
        if !hosts.contains(&example) {
            hosts.push(example);
        }
    }
    grants(&mut text, plugin, &hosts, imports);
    if let Some(schema) = &manifest.config {
        add(&mut text, format_args!("\n[plugins.{key}.config]\n"));
        for (setting, property) in schema::properties(schema) {
            config_line(&mut text, schema, &setting, &property);
        }
    }
    for (name, ask) in &manifest.secrets {
        let about = [ask.description.as_str(), if ask.optional { "optional" } else { "" }];
        let about = about.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let about = comment(&about.join("; "));
        let secret = secret(plugin, name, &asked.secrets[name]);
        // What isn't needed stays a comment: an unset variable would be an error.
        let secret = if ask.optional { secret.replace("\n", "\n# ") } else { secret };
        let mark = if ask.optional { "# " } else { "" };
        add(&mut text, format_args!("\n{about}{mark}{secret}\n"));
    }
    text
}

/// The table of grants, where there is anything in it.
fn grants(text: &mut String, plugin: &str, hosts: &[String], imports: OwnImports) {
    if hosts.is_empty() && imports == OwnImports::default() {
        return;
    }
    add(text, format_args!("\n{}\n", grants_table(plugin)));
    if !hosts.is_empty() {
        add(text, format_args!("hosts = {}\n", list(hosts)));
    }
    if imports.kv {
        text.push_str("kv = true\n");
    }
    if imports.timer {
        text.push_str("timer = true\n");
    }
}

/// What an operator writes so that people are linked by what a plugin's platform tells of them: either of the
/// two.
pub fn belief(plugin: &str) -> String {
    let key = toml_key(plugin);
    format!(
        "[plugins.{key}.config]\n{IDENTITY_VERIFICATION} = true\n# or\n[plugins.{key}]\naccept_claims = true"
    )
}

/// The settings that a plugin takes, a line each, for people.
pub fn settings(manifest: &Manifest) -> Vec<String> {
    let Some(schema) = &manifest.config else {
        return Vec::new();
    };
    let line = |(key, property): (String, Value)| {
        let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let required = if schema::is_required(schema, &key) { ", required" } else { "" };
        let expected = schema::expected(&property);
        let about = if about.is_empty() { String::new() } else { format!(": {about}") };
        clean(&format!("setting {key}{required}, {expected}{about}"), 1000)
    };
    schema::properties(schema).into_iter().map(line).collect()
}

/// The head of a plugin's table of grants.
pub(super) fn grants_table(plugin: &str) -> String {
    format!("[plugins.{}.grants]", toml_key(plugin))
}

/// The head of a secret's table.
pub(super) fn secret_table(plugin: &str, name: &str) -> String {
    format!("[plugins.{}.secrets.{}]", toml_key(plugin), toml_key(name))
}

/// A secret's table, with a variable's name that suits it.
pub(super) fn secret(plugin: &str, name: &str, hosts: &Patterns) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let variable: String = format!("{plugin}_{name}").chars().map(upper).collect();
    let mut text = format!("{}\nenv = \"{variable}\"", secret_table(plugin, name));
    let hosts: Vec<_> = hosts.iter().map(|pattern| pattern.example()).collect();
    if !hosts.is_empty() {
        add(&mut text, format_args!("\nhosts = {}", list(&hosts)));
    }
    text
}

/// A list of texts.
pub(super) fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A setting: written out where it must be set, a comment where it needn't.
fn config_line(text: &mut String, schema: &Value, setting: &str, property: &Value) {
    let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let expected = schema::expected(property);
    let about = if about.is_empty() { expected } else { format!("{about}: {expected}") };
    let first = property.get("enum").and_then(Value::as_array).and_then(|choices| choices.first());
    let default = property.get("default").or_else(|| property.get("const")).or(first);
    let value = match default {
        Some(Value::String(text)) => quoted(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => {
            match schema::kind(property) {
                "boolean" => "false".to_owned(),
                "integer" | "number" => "0".to_owned(),
                _ => quoted("VALUE"),
            }
        }
    };
    let mark = if schema::is_required(schema, setting) { "" } else { "# " };
    add(text, format_args!("{}{mark}{} = {value}\n", comment(&about), toml_key(setting)));
}

fn comment(about: &str) -> String {
    if about.is_empty() { String::new() } else { format!("# {}\n", clean(about, 500)) }
}

fn quoted(text: &str) -> String {
    // Escaped as TOML wants it, on one line.
    serde_json::to_string(&clean(text, 1000)).expect("a text can always be written")
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("text can always be added to a string");
}
