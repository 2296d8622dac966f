//! Makes JSON of what almost is: what other languages' writers put into their JSON. The host reads the
//! activity stream with this same file.

/// The text with unpaired surrogate escapes as `\ufffd`, and `NaN`, `Infinity` and numbers beyond
/// a float's range as `null`; `None` where there is nothing of the kind.
pub(super) fn repair(data: &str) -> Option<String> {
    let mut out = String::with_capacity(data.len());
    let mut rest = data;
    let mut changed = false;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_alphanumeric()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (token, behind) = from.split_at(token_len(from));
        changed |= if token.starts_with('"') {
            push_string(&mut out, token)
        } else {
            push_word(&mut out, token)
        };
        rest = behind;
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// Bytes of the string, number or word that `text` starts with; a string that doesn't end is the rest.
fn token_len(text: &str) -> usize {
    let Some(inside) = text.strip_prefix('"') else {
        return text
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
            .unwrap_or(text.len());
    };
    let mut escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 2,
            _ => {}
        }
    }
    text.len()
}

fn push_word(out: &mut String, word: &str) -> bool {
    let is_number = word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let is_infinite = || word.parse::<f64>().is_ok_and(f64::is_infinite);
    let replace = matches!(word, "NaN" | "Infinity" | "-Infinity") || is_number && is_infinite();
    out.push_str(if replace { "null" } else { word });
    replace
}

fn push_string(out: &mut String, string: &str) -> bool {
    let mut rest = string;
    let mut changed = false;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (escape, lone) = match surrogate(from) {
            Some(0xDC00..) => (6, true),
            Some(_) if matches!(from.get(6..).and_then(surrogate), Some(0xDC00..)) => (12, false),
            Some(_) => (6, true),
            // The backslash and what it escapes, so that `\\u` isn't taken for an escape.
            None => (1 + from.chars().nth(1).map_or(0, char::len_utf8), false),
        };
        let (escape, behind) = from.split_at(escape);
        out.push_str(if lone { "\\ufffd" } else { escape });
        changed |= lone;
        rest = behind;
    }
    out.push_str(rest);
    changed
}

/// The code unit of the `\uXXXX` that `text` starts with, where that is half of a pair.
fn surrogate(text: &str) -> Option<u16> {
    let unit = u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
    (0xD800..0xE000).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_is_left_alone() {
        for json in [
            r#"{"a":"\ud83d\ude42 \\ud800 NaN","b":[1,-2.5e3,null,true]}"#,
            "",
            "{nope",
            "\"open \\",
        ] {
            assert_eq!(repair(json), None, "{json}");
        }
    }

    #[test]
    fn unpaired_surrogates_become_the_replacement_character() {
        for (text, repaired) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00\ud83d\ude42""#, r#""\ufffd\ud83d\ude42""#),
            (r#""\ud83dx\\""#, r#""\ufffdx\\""#),
            (r#""\ud83d\ud83d\ude42""#, r#""\ufffd\ud83d\ude42""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
        ] {
            assert_eq!(repair(text).as_deref(), Some(repaired));
            serde_json::from_str::<String>(repaired).unwrap();
        }
    }

    #[test]
    fn numbers_that_are_none_become_null() {
        let text = r#"{"a":NaN,"b":[Infinity,-Infinity,1e400,-1e400,1e4],"c":"NaN"}"#;
        let repaired = r#"{"a":null,"b":[null,null,null,null,1e4],"c":"NaN"}"#;
        assert_eq!(repair(text).as_deref(), Some(repaired));
    }
}
