//! The forms in which servers write text: what stands in a text once percent signs, backslashes and
//! entities are undone, and where in the text it came from. Pure.

use std::borrow::Cow;
use std::ops::Range;

/// How often forms are undone one inside the other: an address in JSON, say.
const DEPTH: usize = 2;

/// A text with some of its forms undone.
pub(super) struct View<'a> {
    pub(super) text: Cow<'a, [u8]>,
    /// Where each byte came from, and the end; `None` for the text itself.
    starts: Option<Vec<usize>>,
}

impl View<'_> {
    /// Where in the text a part of the view came from.
    pub(super) fn place(&self, part: Range<usize>) -> Range<usize> {
        match &self.starts {
            None => part,
            Some(starts) => starts[part.start]..starts[part.end],
        }
    }
}

/// The text itself, and all that it reads as.
pub(super) fn views(text: &[u8]) -> Vec<View<'_>> {
    let mut views = vec![View { text: Cow::Borrowed(text), starts: None }];
    let mut from = 0;
    for _ in 0..DEPTH {
        let until = views.len();
        for at in from..until {
            for form in [percent, backslash, entity] {
                if let Some(view) = undone(&views[at], form) {
                    views.push(view);
                }
            }
        }
        from = until;
    }
    views
}

/// What a form at the beginning of a text stands for, and its length.
type Form = fn(&[u8]) -> Option<(Stands, usize)>;

/// Percent signs stand for bytes, the other forms for characters.
enum Stands {
    For(char),
    ForByte(u8),
}

fn undone<'a>(view: &View<'_>, form: Form) -> Option<View<'a>> {
    let text = &*view.text;
    let mut next = first(text, 0, form)?;
    let mut out = Vec::with_capacity(text.len());
    let mut starts = Vec::with_capacity(text.len() + 1);
    let at_start = |at: usize| view.starts.as_ref().map_or(at, |starts| starts[at]);
    let mut at = 0;
    loop {
        let (place, stands, length) = next;
        out.extend_from_slice(&text[at..place]);
        starts.extend((at..place).map(at_start));
        match stands {
            Stands::ForByte(byte) => out.push(byte),
            Stands::For(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        starts.resize(out.len(), at_start(place));
        at = place + length;
        match first(text, at, form) {
            Some(found) => next = found,
            None => break,
        }
    }
    out.extend_from_slice(&text[at..]);
    starts.extend((at..=text.len()).map(at_start));
    Some(View { text: Cow::Owned(out), starts: Some(starts) })
}

/// The first form from `from` on: where it is, what it stands for, and its length.
fn first(text: &[u8], from: usize, form: Form) -> Option<(usize, Stands, usize)> {
    let mut at = from;
    loop {
        at += memchr::memchr3(b'%', b'\\', b'&', &text[at..])?;
        if let Some((stands, length)) = form(&text[at..]) {
            return Some((at, stands, length));
        }
        at += 1;
    }
}

/// `%41`, and `%u0041` as scripts once wrote it.
fn percent(text: &[u8]) -> Option<(Stands, usize)> {
    let rest = text.strip_prefix(b"%")?;
    match rest.first()? {
        b'u' | b'U' => Some((Stands::For(char::from_u32(hex(rest.get(1..5)?)?)?), 6)),
        _ => Some((Stands::ForByte(u8::try_from(hex(rest.get(..2)?)?).ok()?), 3)),
    }
}

/// `\u0041` and the other escapes of JSON, and `\x41`.
fn backslash(text: &[u8]) -> Option<(Stands, usize)> {
    let rest = text.strip_prefix(b"\\")?;
    let c = match rest.first()? {
        b'u' => return unit(rest),
        b'x' => return Some((Stands::For(char::from_u32(hex(rest.get(1..3)?)?)?), 4)),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        c @ (b'"' | b'\'' | b'\\' | b'/') => char::from(*c),
        _ => return None,
    };
    Some((Stands::For(c), 2))
}

/// `u0041`, or two such units that are one character.
fn unit(rest: &[u8]) -> Option<(Stands, usize)> {
    let high = hex(rest.get(1..5)?)?;
    if let Some(c) = char::from_u32(high) {
        return Some((Stands::For(c), 6));
    }
    let low = rest.get(5..)?.strip_prefix(b"\\u").and_then(|low| hex(low.get(..4)?))?;
    let pair = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    let c = char::decode_utf16(pair).next()?.ok()?;
    Some((Stands::For(c), 12))
}

/// Longest entity: a number may have zeros before it.
const LONGEST_ENTITY: usize = 24;

/// `&#65;`, `&#x41;`, and the names of characters that every keyboard has.
fn entity(text: &[u8]) -> Option<(Stands, usize)> {
    let rest = text.strip_prefix(b"&")?;
    let rest = &rest[..rest.len().min(LONGEST_ENTITY)];
    let Some(number) = rest.strip_prefix(b"#") else {
        let end = rest.iter().position(|byte| *byte == b';')?;
        let name = std::str::from_utf8(&rest[..end]).ok()?;
        let (_, c) = ENTITIES.iter().find(|(known, _)| *known == name)?;
        return Some((Stands::For(*c), end + 2));
    };
    let (digits, radix, prefix) = match number.first()? {
        b'x' | b'X' => (&number[1..], 16, 2),
        _ => (number, 10, 1),
    };
    let end = digits.iter().position(|byte| !char::from(*byte).is_digit(radix));
    let end = end.unwrap_or(digits.len());
    let value = u32::from_str_radix(std::str::from_utf8(&digits[..end]).ok()?, radix).ok()?;
    // Browsers do without the semicolon.
    let semicolon = usize::from(digits.get(end) == Some(&b';'));
    Some((Stands::For(char::from_u32(value)?), 1 + prefix + end + semicolon))
}

#[rustfmt::skip]
const ENTITIES: [(&str, char); 46] = [
    ("Tab", '\t'), ("NewLine", '\n'), ("excl", '!'), ("quot", '"'), ("QUOT", '"'), ("num", '#'),
    ("dollar", '$'), ("percnt", '%'), ("amp", '&'), ("AMP", '&'), ("apos", '\''), ("lpar", '('),
    ("rpar", ')'), ("ast", '*'), ("midast", '*'), ("plus", '+'), ("comma", ','), ("period", '.'),
    ("sol", '/'), ("colon", ':'), ("semi", ';'), ("lt", '<'), ("LT", '<'), ("equals", '='),
    ("gt", '>'), ("GT", '>'), ("quest", '?'), ("commat", '@'), ("lsqb", '['), ("lbrack", '['),
    ("bsol", '\\'), ("rsqb", ']'), ("rbrack", ']'), ("Hat", '^'), ("lowbar", '_'),
    ("UnderBar", '_'), ("grave", '`'), ("DiacriticalGrave", '`'), ("lcub", '{'), ("lbrace", '{'),
    ("verbar", '|'), ("vert", '|'), ("VerticalLine", '|'), ("rcub", '}'), ("rbrace", '}'),
    ("hyphen", '-'),
];

fn hex(digits: &[u8]) -> Option<u32> {
    let digit = |value: u32, byte: &u8| Some(value << 4 | char::from(*byte).to_digit(16)?);
    digits.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let views = views(text.as_bytes());
        views.iter().map(|view| String::from_utf8_lossy(&view.text).into_owned()).collect()
    }

    #[test]
    fn each_form_is_undone_and_forms_in_forms() {
        for (text, wanted) in [
            ("a%62c", "abc"),
            ("%u0061%C3%A9", "aé"),
            (r"\u0061\ud83d\ude42\x62\/\n", "a🙂b/\n"),
            ("&#97;&#x0062;&#99&lowbar;&hyphen;", "abc_-"),
            (r"\u00256a", "j"),
            ("%2561", "a"),
            (r"\\u0061", "a"),
            ("&amp;#97;", "a"),
            (r"%5Cu0061", "a"),
        ] {
            assert!(all(text).contains(&wanted.to_owned()), "{text}: {:?}", all(text));
        }
        for text in ["plain", "100% & more", r"\q %zz &nothing; &# \u12 %"] {
            assert_eq!(all(text).len(), 1, "{text}: {:?}", all(text));
        }
    }

    #[test]
    fn what_is_found_is_known_by_its_place_in_the_text() {
        let text = r"<\u0025aé\u0025 61b>";
        for view in views(text.as_bytes()) {
            let whole = view.place(0..view.text.len());
            assert_eq!(whole, 0..text.len());
        }
        let text = "x%26%23x61;y";
        let views = views(text.as_bytes());
        let view = views.iter().find(|view| &*view.text == b"xay").unwrap();
        assert_eq!(&text[view.place(1..2)], "%26%23x61;");
        assert_eq!(&text[view.place(2..3)], "y");
    }
}
