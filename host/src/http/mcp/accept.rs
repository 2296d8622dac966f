//! Which answers a client takes, by its `Accept` header.

use http::HeaderMap;
use http::header::ACCEPT;

/// Whether a client takes JSON, which is what every answer is: the range that names it most closely decides, and
/// a client that says nothing takes everything.
pub(super) fn takes_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .filter_map(range)
        .collect();
    let says_nothing = !headers.get_all(ACCEPT).into_iter().any(|value| !value.is_empty());
    let closest = ranges.iter().max_by_key(|(closeness, _)| *closeness);
    says_nothing || closest.is_some_and(|(_, wanted)| *wanted)
}

/// How closely a range names JSON, and whether it is wanted; `None` for one that doesn't name it.
fn range(text: &str) -> Option<(u8, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let closeness = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" => 3,
        "application/*" => 2,
        "*/*" | "*" => 1,
        _ => return None,
    };
    let weight = parts.find_map(|part| {
        let (name, weight) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| weight.trim().parse::<f64>().ok())?
    });
    // A weight that can't be read excludes nothing.
    Some((closeness, weight.is_none_or(|weight| weight > 0.0)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn whoever_takes_json_in_any_words_is_answered() {
        let cases = [
            (&[][..], true),
            (&[""], true),
            (&["*/*"], true),
            (&["*"], true),
            (&["application/json"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["application/*, text/*"], true),
            (&["application/json, text/event-stream"], true),
            (&["text/event-stream", "application/json"], true),
            (&["text/event-stream;q=0.9, application/json;q=0.001"], true),
            (&["text/html, */*;q=0.1"], true),
            (&["application/json;q=soon"], true),
            (&["*/*;q=0, application/json"], true),
            (&["application/json;q=0, */*"], false),
            (&["application/*;q=0.0, */*"], false),
            (&["*/*;q=0"], false),
            (&["text/event-stream"], false),
            (&["text/html"], false),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(takes_json(&headers), expected, "{values:?}");
        }
    }
}
