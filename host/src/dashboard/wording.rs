//! Times, numbers, addresses and next steps in words.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::macros::format_description;
use url::form_urlencoded::Serializer;

use crate::clock::Timestamp;
use crate::histogram::Distribution;
use crate::ids::SessionKey;

/// A span of time, as exact as people need it.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A span of time in seconds.
pub(super) fn span_of(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A span of time in seconds, for what is told again whenever it changes.
pub(super) fn rough(seconds: f64) -> String {
    if seconds < 60.0 { "under 1 min".to_owned() } else { span_of(seconds) }
}

/// A moment: the time of day, with the day where it isn't today's. In UTC, as the log's.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let (Some(at), Some(now)) = (date(at), date(now)) else { return html! { "–" } };
    let full = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let short = match at.date() == now.date() {
        true => at.format(format_description!("[hour]:[minute]:[second]")),
        false => at.format(format_description!("[year]-[month]-[day] [hour]:[minute]")),
    };
    let (full, short) = (at.format(full).unwrap_or_default(), short.unwrap_or_default());
    html! { time datetime=(full) title=(full) { (short) } }
}

fn date(at: Timestamp) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.as_secs_f64() as i64).ok()
}

/// So many of something.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    let things = if number == 1 { one } else { many };
    format!("{} {things}", grouped(number))
}

/// A number that people can read.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// With a capital at its beginning.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// An address of the dashboard with a query.
pub(super) fn address<N: AsRef<str>, V: AsRef<str>>(
    path: &str,
    pairs: impl IntoIterator<Item = (N, V)>,
) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(pairs);
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The page of a session.
pub(super) fn session_path(key: &SessionKey) -> String {
    format!("/sessions/{}/{}", segment(key.product.as_str()), segment(key.session.as_str()))
}

fn segment(text: &str) -> String {
    let mut segment = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            write!(segment, "%{byte:02X}").expect("a string takes text");
        }
    }
    segment
}

/// A time that so many of those counted took at most, as the bound of its bucket; `None` where nothing was counted.
pub(super) fn quantile(times: &Distribution, share: f64) -> Option<String> {
    let wanted = (times.count() as f64 * share).ceil();
    let mut seen = 0.0;
    for (bound, count) in times.buckets() {
        seen += count as f64;
        if count > 0 && seen >= wanted {
            return Some(match bound {
                ..1.0 => format!("≤ {} ms", bound * 1000.0),
                1.0..60.0 => format!("≤ {bound} s"),
                f64::INFINITY => "> 2 h".to_owned(),
                _ => format!("≤ {}", span_of(bound)),
            });
        }
    }
    None
}

/// What is to be done about notes that fail for a reason with this code.
pub(super) fn next_step(code: &str, has_dead: bool) -> &'static str {
    match (code, has_dead) {
        ("401" | "403" | "auth" | "unauthorized" | "forbidden", _) => {
            "The platform refuses the credentials: renew the plugin's secret, reload, then retry."
        }
        ("404" | "410" | "not_found" | "gone", _) => {
            "The conversation isn't at the platform any more: purge, or link the session anew and retry."
        }
        ("429" | "rate_limited", _) => {
            "The platform's limit; it goes on by itself when that is over."
        }
        ("expired", _) => {
            "It couldn't be delivered for max_age: see why at Plugins, then retry or purge."
        }
        ("poison" | "trap" | "cpu" | "memory", _) => {
            "The plugin failed on it: see the plugin's log, put another version in place, then retry."
        }
        (_, false) => "It is tried again by itself; see the breaker at Plugins.",
        (code, true) if is_of_server(code) => {
            "The platform had trouble: see at Plugins whether that is over, then retry."
        }
        (_, true) => {
            "The platform refuses the note: see the reason, correct the plugin's settings, then retry; else purge."
        }
    }
}

fn is_of_server(code: &str) -> bool {
    let is_status = code.len() == 3 && code.starts_with('5');
    is_status || ["timeout", "transient", "unreachable", "unavailable"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use crate::ids::{ProductId, SessionId};

    #[test]
    fn spans_and_numbers_are_as_people_read_them() {
        let spans = [(0.2, "200 ms"), (12.4, "12 s"), (61.0, "1 min"), (3720.0, "1 h 2 min")];
        for (seconds, text) in spans {
            assert_eq!(span_of(seconds), text);
        }
        assert_eq!((span_of(90_000.0), rough(59.9)), ("1 d 1 h".into(), "under 1 min".into()));
        assert_eq!(span_of(f64::NAN), "0 ms");
        let grouped: Vec<_> = [7, 999, 1000, 1_234_567].map(grouped).into();
        assert_eq!(grouped, ["7", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!(count(1, "note", "notes"), "1 note");
        assert_eq!(count(0, "note", "notes"), "0 notes");
    }

    #[test]
    fn a_moment_of_another_day_says_the_day() {
        let now = Timestamp(1_700_000_000_000_000);
        let today = moment(now - Duration::from_secs(60), now).into_string();
        assert!(today.ends_with(">22:12:20</time>"), "{today}");
        let before = moment(now - Duration::from_secs(86_400), now).into_string();
        assert!(before.ends_with(">2023-11-13 22:13</time>"), "{before}");
    }

    #[test]
    fn an_address_holds_whatever_an_id_does() {
        let key = SessionKey {
            product: ProductId::new("a b").unwrap(),
            session: SessionId::new("s/../?<é>").unwrap(),
        };
        assert_eq!(session_path(&key), "/sessions/a%20b/s%2F..%2F%3F%3C%C3%A9%3E");
        assert_eq!(address("/outbox", [("reason", "a&b=c")]), "/outbox?reason=a%26b%3Dc");
        assert_eq!(address("/outbox", [] as [(&str, &str); 0]), "/outbox");
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let times = Histogram::default();
        assert_eq!(quantile(&times.distribution(), 0.5), None);
        for _ in 0..98 {
            times.observe(Duration::from_millis(2));
        }
        times.observe(Duration::from_secs(2));
        times.observe(Duration::from_secs(100_000));
        let times = times.distribution();
        assert_eq!(quantile(&times, 0.5).as_deref(), Some("≤ 2.5 ms"));
        assert_eq!(quantile(&times, 0.98).as_deref(), Some("≤ 2.5 ms"));
        assert_eq!(quantile(&times, 0.99).as_deref(), Some("≤ 2.5 s"));
        assert_eq!(quantile(&times, 1.0).as_deref(), Some("> 2 h"));
    }

    #[test]
    fn each_kind_of_failure_has_a_next_step_of_its_own() {
        assert!(next_step("401", true).contains("secret"));
        assert!(next_step("404", true).contains("purge"));
        assert!(next_step("poison", true).contains("version"));
        assert!(next_step("503", true).contains("trouble"));
        assert!(next_step("503", false).contains("by itself"));
        assert!(next_step("400", true).contains("settings"));
    }
}
