//! How long an answer asks to wait: `Retry-After` in seconds or as a date, and `Retry-After-Ms`.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};

use crate::clock::Timestamp;

/// Milliseconds, as OpenAI and Azure have it beside `Retry-After`.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// How long the answer asks to wait, from `now`: the longest of what it says; `None` where it doesn't say or
/// can't be read. A date in the past is no wait. It is for a back-off to make a pause longer with, never a
/// pause by itself.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let values = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let whole = values(RETRY_AFTER).filter_map(|value| wait(value.trim(), now));
    let exact = values(RETRY_AFTER_MS).filter_map(|value| number(value.trim(), 1000.0));
    whole.chain(exact).max()
}

fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    number(value, 1.0).or_else(|| {
        let at = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((Timestamp(0) + at).since(now))
    })
}

/// A number of which `per_second` are a second. More than fits means "very long"; the back-off cuts it.
fn number(value: &str, per_second: f64) -> Option<Duration> {
    let is_number = value.starts_with(|c: char| c.is_ascii_digit())
        && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = value.parse().ok().filter(|_| is_number)?;
    Some(Duration::try_from_secs_f64(number / per_second).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    /// 1994-11-06 08:49:37 UTC.
    const NOW: Timestamp = Timestamp(784_111_777_000_000);

    fn of(pairs: &[(HeaderName, &'static str)]) -> Option<Duration> {
        let pairs =
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        retry_after(&headers, NOW)
    }

    #[test]
    fn seconds_and_dates_are_read_and_anything_else_is_ignored() {
        let cases = [
            ("120", Some(Duration::from_secs(120))),
            (" 7 ", Some(Duration::from_secs(7))),
            ("0", Some(Duration::ZERO)),
            ("1.5", Some(Duration::from_millis(1500))),
            ("99999999999999999999999", Some(Duration::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(Duration::from_secs(60))),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(Duration::ZERO)),
            ("-3", None),
            ("1.2.3", None),
            (".5", None),
            ("inf", None),
            ("NaN", None),
            ("1e9", None),
            ("soon", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(of(&[(RETRY_AFTER, value)]), expected, "{value:?}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn of_several_the_longest_counts() {
        let expected = Some(Duration::from_secs(30));
        assert_eq!(of(&[(RETRY_AFTER_MS, "0"), (RETRY_AFTER, "30")]), expected);
        assert_eq!(of(&[(RETRY_AFTER_MS, "30000"), (RETRY_AFTER, "0")]), expected);
        assert_eq!(of(&[(RETRY_AFTER, "0"), (RETRY_AFTER, "30")]), expected);
        assert_eq!(of(&[(RETRY_AFTER, "soon"), (RETRY_AFTER_MS, "30000")]), expected);
    }
}
