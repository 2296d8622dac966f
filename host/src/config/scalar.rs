//! One value: what stands there, and what it is read as.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use toml::de::DeValue;
use url::Url;

use super::shape::Shape;

/// A value as it stands in the file or in the environment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'v> {
    /// Of the file.
    Toml(&'v DeValue<'v>),
    /// Of the overlay: always text, whatever the key's type is.
    Variable(&'v str),
    /// None: the reader is asked what it takes.
    Asked(&'v Shape),
}

impl Scalar<'_> {
    /// Tells who asks what the value has to be beyond what is told otherwise.
    pub(super) fn is(self, keywords: serde_json::Value) {
        match self {
            Self::Asked(shape) => shape.is(keywords),
            Self::Toml(_) | Self::Variable(_) => {}
        }
    }
}

/// Tells who asks what would be accepted. There is no value.
pub(super) fn asked(shape: &Shape, keywords: serde_json::Value) -> Refusal {
    shape.is(keywords);
    Refusal::value("", "")
}

/// Why a value can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is of another type.
    Type { found: &'static str, want: String },
    /// It is of the right type but not usable.
    Value { cause: String, next: String },
}

impl Refusal {
    pub(super) fn value(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Value { cause: cause.into(), next: next.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { found, want } => write!(f, "it is {found}; write {want}"),
            Self::Value { cause, next } => write!(f, "{cause}; {next}"),
        }
    }
}

/// Longest duration accepted. Longer ones are typing errors, and they would overflow sums of times.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Text that isn't empty.
pub(super) fn text(value: Scalar<'_>) -> Result<String, Refusal> {
    let text = match value {
        Scalar::Variable(text) => text,
        Scalar::Toml(DeValue::String(text)) => text,
        Scalar::Toml(other) => return Err(misfit(other, "a string in quotes")),
        Scalar::Asked(shape) => {
            return Err(asked(shape, json!({"type": "string", "minLength": 1})));
        }
    };
    if text.is_empty() {
        return Err(Refusal::value("it is empty", "write a value, or leave the key out"));
    }
    Ok(text.to_owned())
}

/// One of these words. `refusal` is told what stands there instead.
pub(super) fn word<T: Copy>(
    value: Scalar<'_>,
    words: &[(&'static str, T)],
    refusal: impl FnOnce(&str) -> Refusal,
) -> Result<T, Refusal> {
    value.is(json!({"enum": words.iter().map(|(word, _)| word).collect::<Vec<_>>()}));
    let text = text(value)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meant)| *meant).ok_or_else(|| refusal(&text))
}

/// `true` or `false`.
pub(super) fn boolean(value: Scalar<'_>) -> Result<bool, Refusal> {
    match value {
        Scalar::Toml(DeValue::Boolean(value)) => Ok(*value),
        Scalar::Toml(other) => Err(misfit(other, "true or false")),
        Scalar::Variable("true") => Ok(true),
        Scalar::Variable("false") => Ok(false),
        Scalar::Variable(other) => Err(Refusal::value(
            format!("\"{other}\" is neither true nor false"),
            "write one of them",
        )),
        Scalar::Asked(shape) => Err(asked(shape, json!({"type": "boolean"}))),
    }
}

/// A whole number from 1.
pub(super) fn count(value: Scalar<'_>) -> Result<u64, Refusal> {
    value.is(json!({"minimum": 1}));
    match integer(value, "a whole number")? {
        Some(number @ 1..) => Ok(number),
        Some(0) => Err(Refusal::value("0 is too few", "write a whole number from 1")),
        None => Err(Refusal::value("it isn't a whole number from 1", "write one")),
    }
}

/// A whole number, 0 included.
pub(super) fn whole(value: Scalar<'_>) -> Result<u64, Refusal> {
    value.is(json!({"minimum": 0}));
    let number = integer(value, "a whole number")?;
    number.ok_or_else(|| Refusal::value("it isn't a whole number from 0", "write one"))
}

/// A whole number from 0 up to `most`. `next` is what to write where it is more.
pub(super) fn whole_up_to(value: Scalar<'_>, most: u32, next: &str) -> Result<u32, Refusal> {
    value.is(json!({"maximum": most}));
    let number = u32::try_from(whole(value)?).ok().filter(|number| *number <= most);
    number.ok_or_else(|| Refusal::value(format!("it is more than {most}"), next))
}

/// Seconds as a number, 0 included.
pub(super) fn seconds(value: Scalar<'_>) -> Result<f64, Refusal> {
    let number = match value {
        Scalar::Toml(DeValue::Integer(number)) => decimal(number).parse().ok(),
        Scalar::Toml(DeValue::Float(number)) => number.as_str().parse().ok(),
        Scalar::Toml(other) => return Err(misfit(other, "a number of seconds")),
        Scalar::Asked(shape) => {
            return Err(asked(shape, json!({"type": "number", "minimum": 0, "maximum": 86_400})));
        }
        Scalar::Variable(text) => text.parse().ok(),
    };
    match number {
        Some(number) if (0.0..=86_400.0).contains(&number) => Ok(number),
        Some(_) | None => Err(Refusal::value(
            "it isn't a number from 0 to 86400",
            "write seconds, for example 3, or 0 for none",
        )),
    }
}

/// A duration of the command line, as the file has it: `150ms`, `2s`, `5m`, `1h`.
///
/// # Errors
/// Why it is none, and what to write.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(Scalar::Variable(text)).map_err(|refusal| refusal.to_string())
}

/// A duration above zero, as text with its unit: `150ms`, `2s`, `5m`, `1h`.
pub(super) fn duration(value: Scalar<'_>) -> Result<Duration, Refusal> {
    const WANT: &str =
        "a duration in quotes with its unit, for example \"2s\" (units: ms, s, m, h)";
    let text = match value {
        Scalar::Variable(text) => text,
        Scalar::Toml(DeValue::String(text)) => text,
        Scalar::Toml(other) => return Err(misfit(other, WANT)),
        Scalar::Asked(shape) => {
            let pattern = "^0*[1-9][0-9]* *(ms|s|m|h)$";
            return Err(asked(shape, json!({"type": "string", "pattern": pattern})));
        }
    };
    let (number, unit) = split_unit(text);
    let millis_of_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => {
            return Err(Refusal::value(
                format!("\"{text}\" has no unit"),
                format!("write one, for example \"{text}s\" (units: ms, s, m, h)"),
            ));
        }
        _ => {
            return Err(Refusal::value(
                format!("\"{text}\" isn't a duration"),
                format!("write {WANT}"),
            ));
        }
    };
    let Ok(number) = number.parse::<u64>() else {
        return Err(Refusal::value(
            format!("\"{text}\" isn't a duration"),
            format!("write {WANT}"),
        ));
    };
    if number == 0 {
        return Err(Refusal::value(
            format!("\"{text}\" is no time at all"),
            "write a duration above zero, for example \"1ms\"",
        ));
    }
    match number.checked_mul(millis_of_unit).map(Duration::from_millis) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) | None => {
            Err(Refusal::value(format!("\"{text}\" is more than 30 days"), "write less"))
        }
    }
}

/// A size above zero in bytes: a whole number, or text with a unit: `64KiB`, `1MiB`.
pub(super) fn size(value: Scalar<'_>) -> Result<usize, Refusal> {
    const WANT: &str =
        "a number of bytes, or text with a unit, for example \"1MiB\" (units: B, KiB, MiB, GiB)";
    let text = match value {
        Scalar::Toml(DeValue::Integer(number)) => decimal(number),
        Scalar::Toml(DeValue::String(text)) => text.to_string(),
        Scalar::Toml(other) => return Err(misfit(other, WANT)),
        Scalar::Variable(text) => text.to_owned(),
        Scalar::Asked(shape) => {
            let types = json!({
                "type": ["integer", "string"],
                "minimum": 1, "maximum": 0xffff_ffff_u32,
                "pattern": "^0*[1-9][0-9]* *(B|KiB|MiB|GiB)?$",
            });
            return Err(asked(shape, types));
        }
    };
    let (number, unit) = split_unit(&text);
    let bytes_of_unit: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(Refusal::value(
                format!("\"{text}\" isn't a size"),
                format!("write {WANT}"),
            ));
        }
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes_of_unit));
    match bytes.map(usize::try_from) {
        Some(Ok(bytes @ 1..=0xffff_ffff)) => Ok(bytes),
        Some(Ok(0)) => Err(Refusal::value("0 is too small", "write a size from 1 byte")),
        Some(_) => Err(Refusal::value(format!("\"{text}\" is 4 GiB or more"), "write less")),
        None => Err(Refusal::value(format!("\"{text}\" isn't a size"), format!("write {WANT}"))),
    }
}

/// A setting of a plugin: text, numbers and booleans, all as text, as written.
pub(super) fn setting(value: Scalar<'_>) -> Result<String, Refusal> {
    match value {
        Scalar::Variable(text) => Ok(text.to_owned()),
        Scalar::Toml(DeValue::String(text)) => Ok(text.to_string()),
        Scalar::Toml(DeValue::Boolean(value)) => Ok(value.to_string()),
        Scalar::Toml(DeValue::Integer(number)) => Ok(decimal(number)),
        Scalar::Toml(DeValue::Float(number)) => Ok(number.as_str().to_owned()),
        Scalar::Toml(other @ (DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_))) => {
            Err(misfit(other, "a string, a number, true or false"))
        }
        Scalar::Asked(shape) => Err(asked(shape, json!({"type": ["string", "number", "boolean"]}))),
    }
}

/// What to call a value's type in an error.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn misfit(found: &DeValue<'_>, want: &str) -> Refusal {
    Refusal::Type { found: type_name(found), want: want.to_owned() }
}

fn integer(value: Scalar<'_>, want: &str) -> Result<Option<u64>, Refusal> {
    match value {
        Scalar::Toml(DeValue::Integer(number)) => Ok(decimal(number).parse().ok()),
        Scalar::Toml(other) => Err(misfit(other, want)),
        Scalar::Variable(text) => Ok(text.parse().ok()),
        Scalar::Asked(shape) => {
            let keywords = json!({"type": "integer"});
            Err(asked(shape, keywords))
        }
    }
}

/// A TOML integer in base 10; `0x…` and its like are converted, sizes beyond 64 bits stay as written.
pub(super) fn decimal(number: &toml::de::DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |number| number.to_string())
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start_matches(' '))
}

/// A whole number from 1 up to `most`.
pub(super) fn up_to(value: Scalar<'_>, most: u32) -> Result<u32, Refusal> {
    value.is(json!({"maximum": most}));
    match u32::try_from(count(value)?) {
        Ok(number) if number <= most => Ok(number),
        Ok(_) | Err(_) => Err(Refusal::value(format!("it is more than {most}"), "write less")),
    }
}

/// An http or https address. Its text isn't repeated in errors: it may hold a credential.
pub(super) fn web_address(value: Scalar<'_>) -> Result<Url, Refusal> {
    const NEXT: &str = "write an address such as \"https://connector.example.com/stream/PRODUCT\"";
    value.is(json!({"pattern": "^[Hh][Tt][Tt][Pp][Ss]?:"}));
    let url = Url::parse(&text(value)?)
        .map_err(|error| Refusal::value(format!("it isn't a whole address ({error})"), NEXT))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::value(format!("{}:// isn't served", url.scheme()), NEXT));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::value("it has credentials in it", "leave them out and use `token`"));
    }
    Ok(url)
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost" || host.ends_with(".localhost"), |address| {
        address.is_loopback()
    })
}
