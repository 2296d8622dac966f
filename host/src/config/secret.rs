//! Secrets: named in the file, kept elsewhere.

use std::io::Read;

use toml::de::DeValue;

use super::error::{Fault, SecretFault};
use super::model::Secret;
use super::scalar;
use super::section::Section;

/// Longest secret taken from a file, in bytes: a file that is longer isn't one.
const LONGEST: u64 = 64 * 1024;

/// A secret that goes out or comes in as a bearer token; problems are reported and read as `None`.
pub(super) fn bearer(section: &Section<'_>, key: &str) -> Option<Secret> {
    let inner = open(section, key)?;
    let value = value(section, key, &inner);
    inner.finish();
    let (value, source_text) = value?;
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(Secret::new(value));
    }
    refuse(section, key, SecretFault::NotAToken { source_text });
    None
}

/// A secret that never goes out as it is, so that it can be any text.
pub(super) fn of_any_text(section: &Section<'_>, key: &str) -> Option<Secret> {
    let inner = open(section, key)?;
    let value = value(section, key, &inner);
    inner.finish();
    value.map(|(value, _)| Secret::new(value))
}

/// The table of a secret, `{ env = "…" }` or `{ file = "…" }`, where it stands in the file.
pub(super) fn open<'a>(section: &Section<'a>, key: &str) -> Option<Section<'a>> {
    section.knows(key);
    let (name, suggested) = (section.quoted(key), suggested(section, key));
    if section.overlay(key).is_some() {
        refuse(section, key, SecretFault::InOverlay { key: name, suggested });
        return None;
    }
    let (_, entry) = section.entry(key)?;
    if !matches!(entry.get_ref(), DeValue::Table(_)) {
        refuse(section, key, SecretFault::InText { key: name, suggested });
        return None;
    }
    Some(section.section(key))
}

/// The value and, for errors, where it came from.
pub(super) fn value(
    section: &Section<'_>,
    key: &str,
    inner: &Section<'_>,
) -> Option<(String, String)> {
    let variable = inner.scalar("env", scalar::text);
    let file = inner.scalar("file", scalar::text);
    let fault = match (variable, file) {
        (Some(variable), None) => match (section.reader.env)(&variable) {
            None => SecretFault::NotSet { variable },
            Some(value) if value.is_empty() => {
                SecretFault::Empty { source_text: format!("the environment variable {variable}") }
            }
            Some(value) => return Some((value, format!("the environment variable {variable}"))),
        },
        (None, Some(file)) => {
            let path = section.reader.base.join(file);
            let source_text = format!("the file {}", path.display());
            match read(&path) {
                Err(cause) => SecretFault::Unreadable { path, cause },
                Ok(value) if value.is_empty() => SecretFault::Empty { source_text },
                Ok(value) => return Some((value, source_text)),
            }
        }
        (None, None) if inner.has("env") || inner.has("file") => return None,
        (None, None) | (Some(_), Some(_)) => SecretFault::Shape,
    };
    refuse(section, key, fault);
    None
}

/// The text of a file without the line break that editors put at its end.
fn read(path: &std::path::Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

fn suggested(section: &Section<'_>, key: &str) -> String {
    section.variable(key).replace("__", "_")
}

fn refuse(section: &Section<'_>, key: &str, fault: SecretFault) {
    section.report(section.place_of(key), Fault::Secret { key: key.to_owned(), fault });
}
