//! Secrets: named in the file, kept elsewhere.

use std::io::Read;
use std::os::unix::fs::MetadataExt;

use serde_json::json;
use toml::de::DeValue;

use super::error::{Fault, SecretFault};
use super::scalar;
use super::section::Section;
use crate::see::See;
use crate::session::text::is_invisible;

/// Longest secret taken from a file, in bytes: a file that is longer isn't one.
const LONGEST: u64 = 64 * 1024;

/// The bits of a file's mode with which its group or everybody reads or changes it.
const OTHERS: u32 = 0o066;
/// Stands in the place of a secret that isn't read: it passes for one, and opens nothing.
const NOT_READ: &str = "this-secret-was-not-read-since-the-command-does-not-need-it";

/// A secret value: never printed, never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value; for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A secret that goes out or comes in as a bearer token; problems are reported and read as `None`.
pub(super) fn bearer(section: &Section<'_>, key: &str) -> Option<Secret> {
    let inner = open(section, key)?;
    let value = value(section, key, &inner);
    inner.finish();
    let (value, source_text) = value?;
    let Some(odd) = odd(&value, |c| !c.is_ascii_graphic()) else {
        return Some(Secret::new(value));
    };
    refuse(section, key, SecretFault::NotAToken { source_text, odd });
    None
}

/// A secret that isn't sent in a header as it is, such as a password or what signs, so that it can be any text.
pub(super) fn of_any_text(section: &Section<'_>, key: &str) -> Option<Secret> {
    let inner = open(section, key)?;
    let value = value(section, key, &inner);
    inner.finish();
    value.map(|(value, _)| Secret::new(value))
}

/// A key that isn't kept from people, so that it may stand in the file as it is, or elsewhere as a secret does.
pub(super) fn anywhere(section: &Section<'_>, key: &str) -> Option<Secret> {
    section.knows(key);
    if section.is_asked() {
        let text = json!({"type": "string", "minLength": 1});
        let elsewhere = |place: &str| json!({"type": "object", "properties": {place: text}, "required": [place], "additionalProperties": false});
        section.tells(key, || json!({"oneOf": [text, elsewhere("env"), elsewhere("file")]}));
        return None;
    }
    if matches!(section.value(key), Some(DeValue::String(_))) || section.is_overlaid(key) {
        return section.scalar(key, scalar::text).map(Secret::new);
    }
    of_any_text(section, key)
}

/// The table of a secret, `{ env = "…" }` or `{ file = "…" }`, where it stands in the file.
pub(super) fn open<'a>(section: &Section<'a>, key: &str) -> Option<Section<'a>> {
    section.knows(key);
    if section.is_asked() {
        let inner = section.section(key);
        inner.is_one_of(["env", "file"]);
        return Some(inner);
    }
    let (name, suggested) = (section.quoted(key), suggested(section, key));
    if section.overlay(key).is_some() {
        refuse(section, key, SecretFault::InOverlay { key: name, suggested });
        return None;
    }
    if !matches!(section.value(key)?, DeValue::Table(_)) {
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
    if !section.reads_secrets() && variable.is_some() != file.is_some() {
        return Some((NOT_READ.to_owned(), "nowhere".to_owned()));
    }
    let (value, source_text) = match (variable, file) {
        (Some(variable), None) => match (section.reader.env)(&variable) {
            Some(value) => (value, format!("the environment variable {variable}")),
            None => return none(section, key, SecretFault::NotSet { variable }),
        },
        (None, Some(file)) => {
            let path = section.reader.base.join(file);
            match read(&path) {
                Err(cause) => return none(section, key, SecretFault::Unreadable { path, cause }),
                Ok((value, mode)) => {
                    if mode & OTHERS != 0 {
                        let message = format!(
                            "\"{key}\": the file {} can be read by others (mode {:o}) {}; chmod 600 {}",
                            path.display(),
                            mode & 0o777,
                            See::SecretReadable,
                            path.display()
                        );
                        section.reader.warn_exposed(
                            section.place_of(key),
                            &section.name(),
                            &path,
                            message,
                        );
                    }
                    (value, format!("the file {}", path.display()))
                }
            }
        }
        (None, None) if inner.has("env") || inner.has("file") => return None,
        (None, None) | (Some(_), Some(_)) => return none(section, key, SecretFault::Shape),
    };
    let value = without_accidents(&value);
    if value.is_empty() {
        return none(section, key, SecretFault::Empty { source_text });
    }
    if let Some(odd) =
        odd(value, |c| c.is_control() || is_invisible(c)).or_else(|| odd_blank(value))
    {
        let message =
            format!("\"{key}\": the value from {source_text} has {odd}; check what was copied");
        section.reader.warn(section.place_of(key), &section.name(), message);
    }
    Some((value.to_owned(), source_text))
}

/// What editors and copying put around a value, and nobody means: a byte order mark, and line breaks at the end.
fn without_accidents(value: &str) -> &str {
    value.trim_start_matches('\u{FEFF}').trim_end_matches(['\r', '\n'])
}

/// The first character that is odd, by its place and its name. One that can be seen isn't told: it is a piece of
/// the secret.
fn odd(value: &str, is_odd: impl Fn(char) -> bool) -> Option<String> {
    let (at, c) = value.chars().enumerate().find(|(_, c)| is_odd(*c))?;
    let name = match c {
        '\n' | '\r' => "a line break".to_owned(),
        '\t' => "a tab".to_owned(),
        c if c.is_whitespace() => format!("a blank (U+{:04X})", u32::from(c)),
        c if c.is_control() => format!("a control character (U+{:04X})", u32::from(c)),
        c if is_invisible(c) => format!("an invisible character (U+{:04X})", u32::from(c)),
        _ => "one outside of ASCII".to_owned(),
    };
    Some(format!("{name} as character {} of {}", at + 1, value.chars().count()))
}

/// A blank at one of the ends, or one that isn't the usual.
fn odd_blank(value: &str) -> Option<String> {
    let last = value.chars().count().saturating_sub(1);
    let mut places = value.chars().enumerate();
    let (at, c) =
        places.find(|(at, c)| c.is_whitespace() && (*at == 0 || *at == last || *c != ' '))?;
    Some(format!("a blank (U+{:04X}) as character {} of {}", u32::from(c), at + 1, last + 1))
}

/// The text of a file, and its mode.
fn read(path: &std::path::Path) -> Result<(String, u32), String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    Ok((text, mode))
}

fn none<T>(section: &Section<'_>, key: &str, fault: SecretFault) -> Option<T> {
    refuse(section, key, fault);
    None
}

fn suggested(section: &Section<'_>, key: &str) -> String {
    section.variable(key).replace("__", "_")
}

fn refuse(section: &Section<'_>, key: &str, fault: SecretFault) {
    section.report(section.place_of(key), Fault::Secret { key: key.to_owned(), fault });
}
