//! Ages as people write them: `90s`, `30m`, `2h`, `7d`.

use std::time::Duration;

/// Longest age accepted, in seconds: ten years. Whatever is longer is a typing error.
const LONGEST: u64 = 3650 * 86_400;

/// Text that is no age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't an age; write a whole number with its unit, for example 2h (units: s, m, h, d)")]
pub struct InvalidAge;

/// Reads an age.
///
/// # Errors
/// Anything but a whole number with one of the units, and more than ten years.
///
/// ```
/// use std::time::Duration;
/// use sidenote::engine::ledger::parse_age;
/// assert_eq!(parse_age("2h"), Ok(Duration::from_secs(7200)));
/// assert!(parse_age("2").is_err());
/// ```
pub fn parse_age(text: &str) -> Result<Duration, InvalidAge> {
    let unit = text.chars().next_back().ok_or(InvalidAge)?;
    let seconds_of_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(InvalidAge),
    };
    let number = &text[..text.len() - unit.len_utf8()];
    // `parse` would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidAge);
    }
    let number: u64 = number.parse().map_err(|_| InvalidAge)?;
    let seconds = number.checked_mul(seconds_of_unit).filter(|seconds| *seconds <= LONGEST);
    seconds.map(Duration::from_secs).ok_or(InvalidAge)
}
