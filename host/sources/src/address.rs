//! Addresses: without query and fragment, with ids folded, and whose host it is.

use std::borrow::Cow;

use url::Url;

use crate::forms;

/// Longest address that is looked at, in bytes; a longer one is cut before its query.
const MAX_BYTES: usize = 2048;
/// Longest address that is told, in bytes.
const MAX_TOLD: usize = 512;

/// An address of a page, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Address {
    /// `https://shop.example:8443`; empty where the tool gives a path only.
    origin: String,
    /// The host without its port.
    pub host: String,
    /// The parts of the path, percent-encoded as they came.
    pub parts: Vec<String>,
    /// The query as pairs, decoded.
    query: Vec<(String, String)>,
    known: bool,
}

impl Address {
    /// Reads an address or a path. What is neither is no address.
    pub(crate) fn read(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::default();
        }
        let text = if text.len() > MAX_BYTES {
            let end = text.find(['?', '#']).unwrap_or(text.len()).min(MAX_BYTES);
            &text[..text.floor_char_boundary(end)]
        } else {
            text
        };
        if text.starts_with('/') && !text.starts_with("//") {
            let whole = Url::parse("http://path.invalid").and_then(|base| base.join(text));
            return whole
                .map(|url| Self { origin: String::new(), host: String::new(), ..Self::of(&url) })
                .unwrap_or_default();
        }
        match Url::parse(text) {
            Ok(url) if url.has_host() => Self::of(&url),
            Ok(_) | Err(_) => Self::default(),
        }
    }

    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let parts = url.path().split('/').filter(|part| !part.is_empty()).take(32);
        Self {
            origin: format!("{}://{host}{port}", url.scheme()),
            host,
            parts: parts.map(str::to_owned).collect(),
            query: url
                .query_pairs()
                .take(64)
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
            known: true,
        }
    }

    /// Whether there is one.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// The path, as rules match it.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.parts.join("/"))
    }

    /// The whole address without query and fragment, as rules match it.
    pub(crate) fn whole(&self) -> String {
        format!("{}{}", self.origin, self.path())
    }

    /// The page as it was: what is personal or secret in its path is masked, of its query only what is named stays.
    pub(crate) fn raw(&self, keep: &[String]) -> String {
        self.told(keep, |part| {
            forms::of_part(part).map(Cow::Borrowed).unwrap_or(Cow::Borrowed(part))
        })
    }

    /// The page with its ids folded.
    pub(crate) fn canonical(&self, keep: &[String]) -> String {
        self.told(keep, |part| match forms::of_part(part) {
            Some(forms::EMAIL) => Cow::Borrowed(forms::EMAIL),
            Some(_) | None if is_id(part) => Cow::Borrowed(":id"),
            Some(mask) => Cow::Borrowed(mask),
            None => Cow::Borrowed(part),
        })
    }

    /// The page by a form such as `/invoices/:id`.
    pub(crate) fn by_form(&self, form: &str) -> String {
        cut(&format!("{}{form}", self.origin)).to_owned()
    }

    fn told<'a>(&'a self, keep: &[String], part: impl Fn(&'a str) -> Cow<'a, str>) -> String {
        if !self.known {
            return String::new();
        }
        let mut out = self.origin.clone();
        for it in &self.parts {
            out.push('/');
            out.push_str(&part(it));
        }
        if self.parts.is_empty() {
            out.push('/');
        }
        let kept = self.query.iter().filter(|(name, _)| keep.contains(name));
        for (at, (name, value)) in kept.enumerate() {
            out.push(if at == 0 { '?' } else { '&' });
            out.push_str(name);
            out.push('=');
            out.extend(forms::masked(value.into()).chars().take(80).filter(|c| !c.is_whitespace()));
        }
        cut(&out).to_owned()
    }

    /// The last parts of the path, which say most of where somebody is.
    pub(crate) fn last_parts(&self) -> String {
        let telling =
            self.parts.iter().filter(|part| !is_id(part) && forms::of_part(part).is_none());
        let telling: Vec<&String> = telling.collect();
        let last = &telling[telling.len().saturating_sub(2)..];
        let words = last.iter().map(|part| decoded(part));
        let words: Vec<String> = words.filter(|part| !part.is_empty()).collect();
        if words.is_empty() { self.host.clone() } else { words.join("/") }
    }

    /// Whether two are the same page, whatever the query and the fragment.
    pub(crate) fn is_same_page(&self, other: &Self) -> bool {
        self.known && other.known && self.origin == other.origin && self.parts == other.parts
    }
}

/// An address in a text: without its query and its fragment.
pub(crate) fn bare(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let behind = text.trim_end_matches(['.', ',', ')', '!', '?', ';', ':']);
    let tail = if end < behind.len() { "" } else { &text[behind.len()..] };
    let address = Address::read(&text[..end.min(behind.len())]);
    if !address.is_known() {
        return forms::SECRET.to_owned();
    }
    let raw = address.raw(&[]);
    let raw = if address.parts.is_empty() { raw.trim_end_matches('/') } else { &raw };
    format!("{raw}{tail}")
}

/// A part of a path in words.
pub(crate) fn decoded(part: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
    let words: String = decoded.chars().filter(|c| !c.is_control()).take(60).collect();
    words.trim().to_owned()
}

/// Whether a part of a path names one thing among many: a number, a UUID, digits with letters.
pub(crate) fn is_id(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let all_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    digits > 0
        && part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.'))
        || all_hex && digits > 0 && part.len() >= 8
        || digits >= 3 && digits * 2 >= part.len()
        || digits >= 2 && part.len() >= 16
}

/// At most so many bytes as are told.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TOLD)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_query_and_fragment() {
        let address = Address::read(
            "https://app.example.test/u/mara%40example.test/invoices/2041?invite_token=t1&tab=open#access_token=x",
        );
        assert_eq!(address.raw(&[]), "https://app.example.test/u/[email]/invoices/2041");
        assert_eq!(address.canonical(&[]), "https://app.example.test/u/[email]/invoices/:id");
        assert_eq!(
            address.raw(&["tab".to_owned()]),
            "https://app.example.test/u/[email]/invoices/2041?tab=open"
        );
        assert_eq!(Address::read("/billing?x=1").canonical(&[]), "/billing");
        assert_eq!(Address::read("https://a.example").raw(&[]), "https://a.example/");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "  ",
            "javascript:alert(1)",
            "mailto:a@b.example",
            "no address",
            "data:text/html,x",
        ] {
            assert!(!Address::read(text).is_known(), "{text}");
            assert_eq!(Address::read(text).raw(&[]), "");
        }
    }

    #[test]
    fn the_last_parts_are_those_that_say_something() {
        for (text, parts) in [
            ("https://a.example/billing", "billing"),
            ("https://a.example/w/17/settings/team", "settings/team"),
            ("https://a.example/invoices/2041", "invoices"),
            ("https://a.example/", "a.example"),
            ("https://a.example/%C3%BCbersicht", "übersicht"),
        ] {
            assert_eq!(Address::read(text).last_parts(), parts);
        }
    }

    #[test]
    fn ids_are_told_from_words() {
        for id in ["2041", "01a2268d-1164-7315-a6ec-2a28ab00dac8", "deadbeef01", "INV-2041", "12_3"]
        {
            assert!(is_id(id), "{id}");
        }
        for word in ["billing", "v2", "step-2", "facade", "top10", "oauth2"] {
            assert!(!is_id(word), "{word}");
        }
    }
}
