//! The chain of elements, as posthog-js writes it: `tag.class:key="value"key="value";…`, the innermost first.
//!
//! Only a quote is escaped, a backslash isn't; class names stand raw before the first key. So the keys are found from
//! the first `NAME="` on, and a backslash before a quote is one that belongs to the value where what stands behind the
//! quote can only be the next key, the next element or the end.

use sidenote_plugin::source::Element;

use crate::elements::{attribute, element, without_typed};
use crate::reading::cut;

/// Most elements of a chain that are read: where somebody clicked is among the first.
const MOST: usize = 16;
/// Longest chain that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// The elements of a chain.
pub(crate) fn read(chain: &str) -> Vec<Element> {
    let mut rest = cut(chain, LONGEST);
    let mut elements = Vec::new();
    while !rest.is_empty() && elements.len() < MOST {
        rest = one(rest, &mut elements);
    }
    elements
}

/// Reads one element. Returns what stands behind it.
fn one<'a>(text: &'a str, elements: &mut Vec<Element>) -> &'a str {
    let tag = text.find(['.', ':', ';']).unwrap_or(text.len());
    let mut read = element(&text[..tag]);
    let first = text.find("=\"").unwrap_or(text.len());
    let end = text.find(';').unwrap_or(text.len());
    if end <= first {
        elements.push(read);
        return text.get(end + 1..).unwrap_or_default();
    }
    let begin = text[..first].rfind([':', '.']).map_or(0, |at| at + 1);
    let mut rest = &text[begin..];
    while let Some((key, behind)) = rest.split_once("=\"") {
        if key.contains(';') {
            break;
        }
        let end = value_end(behind);
        let value = behind[..end].replace("\\\"", "\"");
        match key {
            "text" => read.text = cut(&value, 1024).to_owned(),
            "href" => attribute(&mut read, "href", &value),
            "attr_id" => attribute(&mut read, "id", &value),
            _ => {
                if let Some(name) = key.strip_prefix("attr__") {
                    attribute(&mut read, name, &value);
                }
            }
        }
        rest = behind.get(end + 1..).unwrap_or_default();
        if rest.is_empty() || rest.starts_with(';') {
            break;
        }
    }
    without_typed(&mut read);
    elements.push(read);
    match rest.strip_prefix(';') {
        Some(next) => next,
        // What can't be read as keys is skipped up to the next element.
        None => rest.find(';').map_or("", |at| &rest[at + 1..]),
    }
}

/// Where a value ends: at its quote.
fn value_end(text: &str) -> usize {
    let mut from = 0;
    while let Some(quote) = text[from..].find('"').map(|at| from + at) {
        let is_escaped = text[..quote].ends_with('\\');
        if !is_escaped || is_end(&text[quote + 1..]) {
            return quote;
        }
        from = quote + 1;
    }
    text.len()
}

/// Whether what stands behind a quote can only stand behind a value.
fn is_end(behind: &str) -> bool {
    // A key or an element's classes are shorter; looking at all of it for each quote would take too long.
    let behind = cut(behind, 512);
    if behind.is_empty() {
        return true;
    }
    if let Some(next) = behind.strip_prefix(';') {
        let tag = next.find(['.', ':', ';']).unwrap_or(next.len());
        let named = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        return tag > 0 && next[..tag].chars().all(named) && next[tag..].contains("=\"");
    }
    let Some((key, _)) = behind.split_once("=\"") else { return false };
    matches!(key, "text" | "href" | "attr_id" | "nth-child" | "nth-of-type")
        || key.strip_prefix("attr__").is_some_and(|name| !name.contains(['"', ';', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(chain: &str) -> Vec<String> {
        let one = |it: Element| {
            let attributes = it.attributes.iter().map(|(key, value)| format!(" {key}={value}"));
            format!("{} '{}'{}", it.tag, it.text, attributes.collect::<String>())
        };
        read(chain).into_iter().map(one).collect()
    }

    #[test]
    fn quotes_semicolons_colons_and_backslashes_stay_in_their_values() {
        let chain = r#"button.bg-black/60.gap-1.5.hover:underline:attr__class="bg-black/60 gap-1.5 hover:underline"attr__id="mail"attr__title="a\"b;c"attr__type="button"attr_id="mail"nth-child="10"text="Rename \"Q3; draft:v2\" to C:\reports";main:attr__id="main"nth-child="2";body:nth-child="2""#;
        assert_eq!(
            told(chain),
            [
                r#"button 'Rename "Q3; draft:v2" to C:\reports' class=bg-black/60 gap-1.5 hover:underline id=mail title=a"b;c type=button"#,
                "main '' id=main",
                "body ''",
            ]
        );
    }

    #[test]
    fn a_value_may_end_in_a_backslash_and_begin_or_end_with_a_quote() {
        for (chain, elements) in [
            (r#"a:text="x\"nth-child="1";b:text="x""#, &[r"a 'x\'", "b 'x'"][..]),
            (r#"a:nth-child="1"text="x\";b:text="x""#, &[r"a 'x\'", "b 'x'"]),
            (r#"a:text="\"hi\"; bye";b:text="x""#, &[r#"a '"hi"; bye'"#, "b 'x'"]),
            (r#"a:text="\"hi\"";b:text="x""#, &[r#"a '"hi"'"#, "b 'x'"]),
            (r#"a;b.c;d:text="x""#, &["a ''", "b ''", "d 'x'"]),
            (r#"a:attr__data-x="1"attr__onclick="f(&quot;x&quot;)"text="T""#, &["a 'T' data-x=1"]),
            ("", &[]),
            (";;", &[" ''", " ''"]),
            ("\"", &["\" ''"]),
            (r#"a:text="never ends"#, &["a 'never ends'"]),
        ] {
            assert_eq!(told(chain), elements, "{chain}");
        }
    }

    #[test]
    fn a_chain_of_any_length_is_read_in_part() {
        assert_eq!(read(&"div.a:nth-child=\"1\";".repeat(10_000)).len(), MOST);
        assert!(read(&format!("a:text=\"{}\"", "\\\"".repeat(100_000)))[0].text.len() <= 1024);
    }
}
