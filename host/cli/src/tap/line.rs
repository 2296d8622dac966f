//! What happened, as a line for people. What the host tells is cleaned of what steers a terminal.

use serde_json::Value;
use sidenote_terminal::output::escaped;
use time::OffsetDateTime;
use time::macros::format_description;

/// The columns before the text: when, what, where.
const WHAT: usize = 8;
const WHERE: usize = 24;

/// One line. What an older program doesn't know is shown as it came.
pub(super) fn of(value: &Value) -> String {
    let (what, text) = told(value);
    let place = match (value["product"].as_str(), value["session"].as_str()) {
        (Some(product), Some(session)) => format!("{}/{}", escaped(product), escaped(session)),
        _ => String::new(),
    };
    format!("{}  {what:<WHAT$}  {place:<WHERE$}  {text}", clock(value["at"].as_f64()))
}

fn told(value: &Value) -> (&'static str, String) {
    let text = |name: &str| escaped(value[name].as_str().unwrap_or("?"));
    let number = |name: &str| value[name].as_u64().unwrap_or_default();
    let job = || format!("{} {} by {}", text("job"), number("seq"), text("plugin"));
    match value["what"].as_str() {
        Some("accepted") => ("event", accepted(value)),
        Some("summarized") => ("event", "a summary".to_owned()),
        Some("sealed") => {
            let (seq, actions) = (number("seq"), counted(number("actions"), "action"));
            let (plugin, conversation) = (text("plugin"), text("conversation"));
            let kind = match value["kind"].as_str() {
                Some("summary") => "a summary".to_owned(),
                Some("for_people") => "for people".to_owned(),
                _ => actions,
            };
            ("note", format!("note {seq} for {conversation} by {plugin}: {kind}"))
        }
        Some("begun") => ("attempt", format!("{}: attempt {} began", job(), number("attempt"))),
        Some("ended") => ("attempt", format!("{}: {}", job(), ended(value))),
        Some("dead") => {
            let attempts = counted(number("attempts"), "attempt");
            ("dead", format!("{}: a dead letter after {attempts}", job()))
        }
        Some("linked") => ("link", format!("{} by {}", text("conversation"), text("plugin"))),
        Some("unlinked") => ("link", "its notes go nowhere from here on".to_owned()),
        Some("offer") => ("offer", format!("{}: {}", text("trigger"), text("decided"))),
        Some("missed") => {
            let missed = number("missed");
            ("missed", format!("{missed} things aren't shown: more happened than was read"))
        }
        Some(_) | None => ("?", escaped(&value.to_string())),
    }
}

fn accepted(value: &Value) -> String {
    let count = counted(value["actions"].as_u64().unwrap_or_default(), "action");
    let titles = value["titles"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let titles: Vec<_> = titles.map(escaped).collect();
    if titles.is_empty() { count } else { format!("{count}: {}", titles.join(" | ")) }
}

/// `rate_limited 429 after 12 ms; again in 30 s`.
fn ended(value: &Value) -> String {
    let mut said = escaped(value["outcome"].as_str().unwrap_or("?"));
    if let Some(code) = value["code"].as_str() {
        said = format!("{said} ({})", escaped(code));
    }
    let ms = value["seconds"].as_f64().unwrap_or_default() * 1000.0;
    let wait = value["retry_at"].as_f64().zip(value["at"].as_f64()).map(|(at, now)| at - now);
    let next = match (value["next"].as_str(), wait) {
        (Some("done"), _) => String::new(),
        (Some("retry"), Some(wait)) => format!("; again in {wait:.1} s"),
        (Some("retry"), None) => "; it is tried again".to_owned(),
        (Some("dead"), _) => "; it isn't tried again".to_owned(),
        (Some("dropped"), _) => "; nobody waits for it".to_owned(),
        _ => String::new(),
    };
    format!("{said} after {ms:.0} ms{next}")
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The time of the day, in UTC.
fn clock(at: Option<f64>) -> String {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[hour]:[minute]:[second]Z");
    const WIDTH: usize = "00:00:00Z".len();
    let moment = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at as i64).ok());
    moment.and_then(|it| it.format(FORM).ok()).unwrap_or_else(|| " ".repeat(WIDTH))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_is_one_short_line() {
        for (value, line) in [
            (
                json!({"at": 3661.5, "what": "accepted", "product": "p", "session": "s", "actions": 2, "titles": ["a", "b"]}),
                "01:01:01Z  event     p/s                       2 actions: a | b",
            ),
            (
                json!({"at": 0.0, "what": "ended", "product": "p", "session": "s", "job": "note", "seq": 4, "plugin": "bot", "outcome": "rate_limited", "code": "429", "seconds": 0.0124, "next": "retry", "retry_at": 30.0}),
                "00:00:00Z  attempt   p/s                       note 4 by bot: rate_limited (429) after 12 ms; again in 30.0 s",
            ),
            (
                json!({"what": "missed", "missed": 7}),
                "           missed                              7 things aren't shown: more happened than was read",
            ),
        ] {
            assert_eq!(of(&value), line);
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        let evil = "\u{1b}[2J\u{202e}\n\u{9b}x";
        for what in ["accepted", "sealed", "begun", "ended", "dead", "linked", "offer", "new"] {
            let value = json!({"at": 0.0, "what": what, "product": evil, "session": evil, "titles": [evil], "plugin": evil,
                "conversation": evil, "job": evil, "outcome": evil, "code": evil, "trigger": evil, "decided": evil});
            let line = of(&value);
            assert!(!line.chars().any(sidenote::visible::steers), "{line:?}");
        }
    }
}
