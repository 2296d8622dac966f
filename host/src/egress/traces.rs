//! How values can be seen in a text, and where they are. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::forms;

/// Shorter values would be found everywhere, and hide nothing.
pub const SHORTEST_SCRUBBED: usize = 4;
/// Shorter pieces of an encoded value are in any text.
const SHORTEST_ENCODED: usize = 5;
/// So much of a value's beginning is looked for; what follows of it then goes with it.
const BEGINNING: usize = 64;
/// The most that a form makes of one byte, one inside the other included.
const LONGEST_FORM: usize = 12;

/// What is looked for: each value as it is, in base64 of both alphabets, in hexadecimal digits, with `+`
/// for blanks, and all of it without regard to capitals.
pub(super) struct Traces {
    finder: Option<AhoCorasick>,
    traces: Vec<Trace>,
}

struct Trace {
    whole: Vec<u8>,
    /// The characters beside it may hold bits of the value, too.
    in_base64: bool,
}

impl Traces {
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut known = BTreeSet::new();
        for value in values.filter(|value| value.len() >= SHORTEST_SCRUBBED) {
            known.extend(forms_of(value));
        }
        let trace = |(text, in_base64): (String, bool)| Trace { whole: text.into(), in_base64 };
        let traces: Vec<_> = known.into_iter().map(trace).collect();
        let beginnings =
            traces.iter().map(|trace| &trace.whole[..trace.whole.len().min(BEGINNING)]);
        // The compact kind: there is one for every plugin.
        let finder = (!traces.is_empty()).then(|| {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(beginnings)
                .expect("there are a few hundred short patterns at most")
        });
        Self { finder, traces }
    }

    /// Bytes that are needed behind a place to see that a value begins there.
    pub(super) fn reach(&self) -> usize {
        let longest = self.traces.iter().map(|trace| trace.whole.len().min(BEGINNING)).max();
        longest.unwrap_or_default() * LONGEST_FORM
    }

    /// Whether a value stands in a text as it is.
    pub(super) fn stand_in(&self, text: &[u8]) -> bool {
        self.finder.as_ref().is_some_and(|finder| finder.is_match(text))
    }

    /// Where values stand, in order. Values that share bytes, one that begins another say, become one
    /// place: taking them out one by one would leave the rest of the other.
    pub(super) fn found(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Some(finder) = &self.finder else { return Vec::new() };
        let mut found = Vec::new();
        for view in forms::views(text) {
            for hit in finder.find_overlapping_iter(&*view.text) {
                let trace = &self.traces[hit.pattern().as_usize()];
                let place = trace.extended(&view.text, hit.range());
                found.push(view.place(place));
            }
        }
        found.sort_by_key(|place| place.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for place in found {
            match joined.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                Some(_) | None => joined.push(place),
            }
        }
        joined
    }
}

impl Trace {
    /// A place with all that follows of the value, and with the characters beside it that hold bits of it.
    fn extended(&self, text: &[u8], place: Range<usize>) -> Range<usize> {
        let begun = place.len();
        let rest = text[place.end..].iter().zip(&self.whole[begun..]);
        let more = rest.take_while(|(found, wanted)| found.eq_ignore_ascii_case(wanted)).count();
        let (mut start, mut end) = (place.start, place.end + more);
        if self.in_base64 {
            let is_base64 = |at: usize| {
                let byte = text.get(at).copied().unwrap_or_default();
                byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
            };
            start -= usize::from(start > 0 && is_base64(start - 1));
            end += usize::from(is_base64(end));
        }
        start..end
    }
}

/// The value, and what of it stands in any text that holds it in another writing; with whether that is
/// base64.
fn forms_of(value: &str) -> Vec<(String, bool)> {
    let mut forms = vec![
        (value.to_ascii_lowercase(), false),
        (value.replace(' ', "+").to_ascii_lowercase(), false),
        (hex::encode(value), false),
    ];
    // In base64 it stands after 0, 1 or 2 bytes of a group of three.
    for before in 0..3 {
        let text = [&[0; 2][..before], value.as_bytes()].concat();
        // The first characters mix with the bytes before, the last one with those that follow.
        let own = (before * 8).div_ceil(6)..(before + value.len()) * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            let own = encoded.get(own.clone()).unwrap_or_default();
            forms.push((own.to_ascii_lowercase(), true));
        }
    }
    forms.retain(|(text, in_base64)| !in_base64 || text.len() >= SHORTEST_ENCODED);
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const VALUE: &str = "q7zt?x0vk>w3jd~p5 mb\"r9hc/&%\\<é";

    fn left(text: &str, traces: &Traces) -> String {
        let mut left = String::new();
        let mut from = 0;
        for place in traces.found(text.as_bytes()) {
            left.push_str(&String::from_utf8_lossy(&text.as_bytes()[from..place.start]));
            from = place.end;
        }
        left.push_str(&String::from_utf8_lossy(&text.as_bytes()[from..]));
        left
    }

    fn each(text: &str, write: impl Fn(char) -> String) -> String {
        text.chars().map(write).collect()
    }

    #[test]
    fn a_value_is_found_in_every_writing_that_an_honest_server_uses() {
        let traces = Traces::of([VALUE].into_iter());
        let percent =
            |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let json = serde_json::to_string(VALUE).unwrap();
        let json = json.trim_matches('"').to_owned();
        let form: String = VALUE
            .bytes()
            .map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02x}"),
            })
            .collect();
        let mut writings = vec![
            VALUE.to_owned(),
            VALUE.to_ascii_uppercase(),
            VALUE.to_ascii_lowercase(),
            percent(VALUE),
            percent(VALUE).to_lowercase(),
            percent(&percent(VALUE)),
            form,
            json.clone(),
            json.replace('/', "\\/"),
            serde_json::to_string(&json).unwrap().trim_matches('"').to_owned(),
            each(VALUE, |c| format!("\\u{:04x}", u32::from(c))),
            each(VALUE, |c| format!("\\u{:04X}", u32::from(c))),
            each(VALUE, |c| format!("&#{};", u32::from(c))),
            each(VALUE, |c| format!("&#x{:X};", u32::from(c))),
            each(VALUE, |c| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '"' => "&quot;".to_owned(),
                c => c.to_string(),
            }),
            each(VALUE, |c| match c {
                '?' => "&quest;".to_owned(),
                '/' => "&sol;".to_owned(),
                '%' => "&percnt;".to_owned(),
                '\\' => "&bsol;".to_owned(),
                c => c.to_string(),
            }),
            hex::encode(VALUE),
            hex::encode_upper(VALUE),
        ];
        for writing in &writings {
            assert_eq!(left(&format!("<a>{writing}</a>"), &traces), "<a></a>", "{writing}");
        }
        writings.clear();
        for (before, after) in
            [("", ""), ("a", "x"), ("ab", "xy"), ("abc", "xyz"), ("u/token:", "")]
        {
            let pair = format!("{before}{VALUE}{after}");
            writings.extend([STANDARD.encode(&pair), URL_SAFE.encode(&pair)]);
            writings.push(percent(&STANDARD.encode(&pair)));
            writings.push(STANDARD.encode(&pair).replace('/', "\\/"));
        }
        for writing in writings {
            let text = format!("<a>{writing}</a>");
            let left = left(&text, &traces);
            // What stands before and after the value may be left.
            assert!(left.len() <= "<a></a>".len() + 3 * 14, "{writing}: {left}");
            assert!(writing.len() > 40);
        }
        let harmless = "a q7zt?x0vk>w3jd~p5 m b cTd6dD94MHZr";
        assert_eq!(left(harmless, &traces), harmless);
    }

    #[test]
    fn a_long_value_is_found_by_its_beginning_and_goes_whole() {
        let long: String =
            (0..100_000_u64).map(|n| char::from(b'a' + (n * n % 23) as u8)).collect();
        let traces = Traces::of([&*long].into_iter());
        assert_eq!(left(&format!("<{long}>"), &traces), "<>");
        assert_eq!(left(&format!("<{}>", &long[..1000]), &traces), "<>");
        assert!(traces.reach() <= BEGINNING * LONGEST_FORM);
    }

    #[test]
    fn without_values_nothing_is_found() {
        for values in [vec![], vec!["", "abc"]] {
            let traces = Traces::of(values.into_iter());
            assert!(traces.found(b"abc def").is_empty() && !traces.stand_in(b"abc"));
            assert_eq!(traces.reach(), 0);
        }
    }
}
