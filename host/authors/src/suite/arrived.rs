//! What of a text is found in a request, however it was written there: JSON, a form, HTML, Markdown.

use reqwest::Url;
use serde_json::Value;
use sidenote_sim::MockExchange;

/// How a text was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it was written.
    Plain,
    /// As HTML shows it.
    Html,
    /// With a backslash before what would mean something.
    Backslashes,
}

/// How a text stands in a request, if it does.
pub(super) fn how(exchange: &MockExchange, text: &str) -> Option<Form> {
    let texts = texts(exchange);
    if texts.iter().any(|found| found.contains(text)) {
        return Some(Form::Plain);
    }
    if texts.iter().any(|found| unescape_html(found).contains(text)) {
        return Some(Form::Html);
    }
    let bare = |found: &String| unescape_backslashes(&unescape_html(found));
    texts.iter().any(|found| bare(found).contains(text)).then_some(Form::Backslashes)
}

/// Every text of a request: of its body by its form, and of its address.
pub(super) fn texts(exchange: &MockExchange) -> Vec<String> {
    let mut texts = Vec::new();
    let body = String::from_utf8_lossy(&exchange.body);
    match serde_json::from_slice::<Value>(&exchange.body) {
        Ok(value) => strings(&value, &mut texts),
        Err(_) => texts.push(body.clone().into_owned()),
    }
    let query = exchange.target.split_once('?').map_or("", |(_, query)| query);
    let form = exchange
        .headers
        .iter()
        .any(|(name, value)| name == "content-type" && value.contains("form-urlencoded"));
    for encoded in [query, if form { &*body } else { "" }] {
        if let Ok(url) = Url::parse(&format!("http://form.example/?{encoded}")) {
            texts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        }
    }
    texts
}

fn strings(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            // Some platforms take JSON inside of a text.
            if text.starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str(text)
            {
                strings(&inner, texts);
            }
            texts.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What HTML shows of a text, its tags for line breaks and paragraphs included.
fn unescape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (shown, length) = entity(rest).or_else(|| line_break(rest)).unwrap_or((first(rest), 1));
        out.push(shown);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or_default()
}

fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.strip_prefix('&')?.find(';').filter(|end| *end <= 10)?;
    let name = &text[1..=end];
    let shown = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((shown, end + 2))
}

fn line_break(text: &str) -> Option<(char, usize)> {
    let tags = ["<br>", "<br/>", "<br />", "</p>", "</div>"];
    let tag = tags.into_iter().find(|tag| text.starts_with(tag))?;
    Some(('\n', tag.len()))
}

fn unescape_backslashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next) if c == '\\' && next.is_ascii_punctuation() => out.extend(chars.next()),
            Some(_) | None => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(content_type: &str, target: &str, body: &str) -> MockExchange {
        MockExchange {
            method: "POST".to_owned(),
            target: target.to_owned(),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.to_owned().into(),
            id: String::new(),
            number: 0,
            answer: String::new(),
        }
    }

    #[test]
    fn a_text_is_found_however_a_platform_takes_it() {
        let json = |body: &str| exchange("application/json", "/", body);
        let form = |body: &str| exchange("application/x-www-form-urlencoded", "/", body);
        let text = "a <b> & \"é\"\nend";
        for (request, wanted) in [
            (json(r#"{"a":[{"text":"x a <b> & \"\u00e9\"\nend"}]}"#), Some(Form::Plain)),
            (json(r#"{"p":"{\"text\":\"a <b> & \\\"é\\\"\\nend\"}"}"#), Some(Form::Plain)),
            (
                json(r#"{"html":"<p>a &lt;b&gt; &amp; &quot;&#233;&quot;<br>end</p>"}"#),
                Some(Form::Html),
            ),
            (json(r#"{"md":"a \\<b\\> & \\\"é\\\"\nend"}"#), Some(Form::Backslashes)),
            (form("text=a+%3Cb%3E+%26+%22%C3%A9%22%0Aend&x=y"), Some(Form::Plain)),
            (exchange("", "/?t=a%20%3Cb%3E%20%26%20%22%C3%A9%22%0Aend", ""), Some(Form::Plain)),
            (exchange("text/plain", "/", text), Some(Form::Plain)),
            (json(r#"{"text":"a  &  \nend"}"#), None),
            (json(r#"{"text":"a <b> & ?e? end"}"#), None),
        ] {
            assert_eq!(how(&request, text), wanted, "{:?}", request.body);
        }
    }
}
