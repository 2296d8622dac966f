//! The time, and times as platforms write them.
//!
//! ```
//! use sidenote_plugin::{clock, test::Host};
//! Host::new().at(1_616_648_967).install();
//! assert_eq!(clock::now(), 1_616_648_967);
//! assert_eq!(clock::parse("2021-03-25T05:09:27Z"), Some(1_616_648_967));
//! assert_eq!(clock::utc(1_616_648_967), "2021-03-25 05:09:27 UTC");
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    now_ms() / 1000
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    #[cfg(not(target_arch = "wasm32"))]
    if let Some(at) = crate::test::now_ms() {
        return at;
    }
    #[expect(clippy::disallowed_methods, reason = "a guest has no clock but the system's")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// As [`parse`], with the fraction of the second.
///
/// ```
/// use sidenote_plugin::clock;
/// assert_eq!(clock::parse_exact("2021-03-25T05:09:27.250Z"), Some(1_616_648_967.25));
/// ```
pub fn parse_exact(text: &str) -> Option<f64> {
    let whole = parse(text)? as f64;
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits =
        fraction.find(|c: char| !c.is_ascii_digit()).map_or(fraction, |at| &fraction[..at]);
    let fraction: f64 = format!("0.{digits}0").parse().ok()?;
    Some(whole + fraction)
}

/// The seconds since the Unix epoch of a time as in RFC 3339 (`2021-03-25T05:09:27Z`, with a fraction or
/// an offset where there is one); `None` where it is none, or is before the epoch.
pub fn parse(text: &str) -> Option<u64> {
    let number = |part: &str, length: usize| -> Option<u64> {
        let digits = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone);
    let time = match time.split_once('.') {
        Some((time, fraction)) => {
            number(fraction, fraction.len()).filter(|_| !fraction.is_empty())?;
            time
        }
        None => time,
    };
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds = days_since_epoch(year, month, day)? * DAY + hour * 3600 + minute * 60 + second;
    if zone.eq_ignore_ascii_case("z") {
        return Some(seconds);
    }
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let offset = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
    if zone.starts_with('+') { seconds.checked_sub(offset) } else { Some(seconds + offset) }
}

/// A time for people to read: `2021-03-25 05:09:27 UTC`.
pub fn utc(seconds: u64) -> String {
    let (mut days, time) = (seconds / DAY, seconds % DAY);
    // 400 years have always as many days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
    }
    let (day, hour, minute, second) = (days + 1, time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let years = (year >= 1970).then(|| (1970..year).map(days_of_year).sum::<u64>())?;
    Some(years + (1..month).map(|month| days_of(year, month)).sum::<u64>() + day - 1)
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_fractions_and_offsets() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2021-03-25T05:09:27Z", Some(1_616_648_967)),
            ("2021-03-25t05:09:27.123456z", Some(1_616_648_967)),
            ("2021-03-25T07:09:27+02:00", Some(1_616_648_967)),
            ("2021-03-24T23:39:27-05:30", Some(1_616_648_967)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("2023-02-29T12:00:00Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2021-13-01T00:00:00Z", None),
            ("2021-00-01T00:00:00Z", None),
            ("2021-01-00T00:00:00Z", None),
            ("2021-01-01T24:00:00Z", None),
            ("2021-01-01T00:60:00Z", None),
            ("2021-01-01T00:00:61Z", None),
            ("2021-01-01T00:00:00", None),
            ("2021-01-01T00:00:00.Z", None),
            ("2021-01-01T00:00Z", None),
            ("2021-01-01T00:00:00+1:00", None),
            ("2021-01-01T+0:00:00Z", None),
            ("+021-01-01T00:00:00Z", None),
            ("1616648967", None),
            ("", None),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_written_time_is_read_as_the_same_time() {
        for seconds in (0..6_000_000_000).step_by(7_654_321).chain([951_782_399, 951_782_400]) {
            let text = utc(seconds);
            let rfc = text.replacen(' ', "T", 1).replace(" UTC", "Z");
            assert_eq!(parse(&rfc), Some(seconds), "{text}");
        }
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
    }

    #[test]
    fn the_systems_clock_runs_where_a_test_sets_none() {
        crate::test::Host::new().install();
        assert!(now() > 1_700_000_000);
        assert!(now_ms() / 1000 - now() <= 1);
    }
}
