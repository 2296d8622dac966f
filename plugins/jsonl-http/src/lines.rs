//! The lines. Each can be understood on its own. What people typed has no control characters but line ends and
//! tabs: there are stores that a U+0000 breaks.

use std::borrow::Cow;

use serde::Serialize;
use sidenote_plugin::json::ActionBody;
use sidenote_plugin::sink::{Batch, Summary};
use sidenote_plugin::text::clean;
use sidenote_plugin::{Action, Failure};

/// A line per action of a batch, in order.
pub(crate) fn of_batch(delivery: &str, batch: &Batch) -> Result<Vec<Vec<u8>>, Failure> {
    let lines = (0..).zip(&batch.actions);
    lines.map(|(line, action)| json(&ActionLine::of(delivery, line, batch, action))).collect()
}

/// The line of a summary.
pub(crate) fn of_summary(delivery: &str, summary: &Summary) -> Result<Vec<u8>, Failure> {
    json(&SummaryLine {
        event: "summary",
        delivery,
        line: 0,
        product_id: &summary.product_id,
        session_id: &summary.session_id,
        text: clean(&summary.text),
        replaces: summary.replaces,
        forwarded_at: summary.forwarded_at,
    })
}

/// JSON has no raw line breaks in it, so that a value is a line.
fn json(line: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec(line).map_err(|error| {
        Failure::invalid("line", format!("it can't be written as JSON: {error}"))
    })?;
    text.push(b'\n');
    Ok(text)
}

/// One action, with what it belongs to.
#[derive(Serialize)]
struct ActionLine<'a> {
    event: &'static str,
    delivery: &'a str,
    line: u64,
    product_id: &'a str,
    session_id: &'a str,
    user_id: Option<&'a str>,
    email: Option<&'a str>,
    conversation_id: Option<&'a str>,
    forwarded_at: Option<f64>,
    #[serde(flatten)]
    action: ActionBody<'a>,
}

impl<'a> ActionLine<'a> {
    fn of(delivery: &'a str, line: u64, batch: &'a Batch, action: &'a Action) -> Self {
        Self {
            event: "action",
            delivery,
            line,
            product_id: &batch.product_id,
            session_id: &batch.session_id,
            user_id: batch.user_id.as_deref(),
            email: batch.email.as_deref(),
            conversation_id: batch.conversation_id.as_deref(),
            forwarded_at: batch.forwarded_at,
            action: action.into(),
        }
    }
}

/// One summary, with what it belongs to.
#[derive(Serialize)]
struct SummaryLine<'a> {
    event: &'static str,
    delivery: &'a str,
    line: u64,
    product_id: &'a str,
    session_id: &'a str,
    text: Cow<'a, str>,
    replaces: u64,
    forwarded_at: Option<f64>,
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test;

    use super::*;

    #[test]
    fn whatever_people_type_a_value_is_one_line() {
        let odd = "a\nb\r\nc\u{2028}d\u{0}\"}\n{\"event\":\"summary\"";
        let mut batch = test::batch([odd, "second"]);
        batch.user_id = Some(odd.to_owned());
        let lines = of_batch(odd, &batch).unwrap();
        assert_eq!(lines.len(), 2);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 1);
            let value: serde_json::Value = serde_json::from_slice(line).unwrap();
            assert_eq!((&value["event"], &value["line"]), (&"action".into(), &number.into()));
            assert_eq!(value["user_id"], odd);
        }
        let first: serde_json::Value = serde_json::from_slice(&lines[0]).unwrap();
        assert_eq!(first["description"], odd.replace('\0', "\u{FFFD}"));
    }
}
