//! HTML as a careful platform treats it: what it doesn't know is dropped, and a person reads the rest.

/// A piece of HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text, entities as they are.
    Text(&'a str),
    /// A tag: its name in any case, whether it closes, and all of it.
    Tag(&'a str, bool, &'a str),
    /// A comment or a declaration.
    Comment,
}

/// Tags whose content is no text.
const OPAQUE: [&str; 4] = ["script", "style", "template", "title"];
/// Tags that end a line.
const BREAKS: [&str; 9] = ["br", "p", "div", "li", "ul", "ol", "h1", "h2", "pre"];

/// The pieces of a text in HTML.
pub fn pieces(mut html: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while !html.is_empty() {
        let begins = |byte: &u8| *byte == b'/' || byte.is_ascii_alphabetic();
        if html.starts_with("<!") {
            let end = if html.starts_with("<!--") { "-->" } else { ">" };
            let length = html.find(end).map_or(html.len(), |at| at + end.len());
            pieces.push(Piece::Comment);
            html = &html[length..];
        } else if html.starts_with('<') && html.as_bytes().get(1).is_some_and(begins) {
            let length = html.find('>').map_or(html.len(), |at| at + 1);
            let inside = html[1..length].trim_end_matches('>');
            let closes = inside.starts_with('/');
            let name = inside.trim_start_matches('/');
            let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            pieces.push(Piece::Tag(name, closes, &html[..length]));
            html = &html[length..];
        } else {
            let first = html.chars().next().map_or(1, char::len_utf8);
            let length = html[first..].find('<').map_or(html.len(), |at| at + first);
            pieces.push(Piece::Text(&html[..length]));
            html = &html[length..];
        }
    }
    pieces
}

/// HTML with nothing but these tags, without attributes but the address of a link, and without comments. The
/// text of other tags stays; what isn't text goes.
pub fn sanitise(html: &str, allowed: &[&str]) -> String {
    let mut kept = String::with_capacity(html.len());
    let mut inside: Option<String> = None;
    for piece in pieces(html) {
        match piece {
            Piece::Tag(name, closes, _) if OPAQUE.contains(&&*name.to_ascii_lowercase()) => {
                inside = (!closes).then(|| name.to_ascii_lowercase());
            }
            _ if inside.is_some() => {}
            Piece::Text(text) => kept.push_str(text),
            Piece::Tag(name, closes, whole) => {
                let name = name.to_ascii_lowercase();
                if allowed.contains(&&*name) {
                    let slash = if closes { "/" } else { "" };
                    kept.push_str(&format!("<{slash}{name}{}>", link(&name, whole)));
                }
            }
            Piece::Comment => {}
        }
    }
    kept
}

fn link(name: &str, tag: &str) -> String {
    let address = tag.split_once("href=\"").and_then(|(_, rest)| rest.split_once('"'));
    match address {
        Some((address, _)) if name == "a" && address.starts_with("http") => {
            format!(" href=\"{address}\"")
        }
        Some(_) | None => String::new(),
    }
}

/// What a person reads of HTML: lines of text, without what has no width.
pub fn readable(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for piece in pieces(html) {
        match piece {
            Piece::Text(piece) => text.push_str(&visible(&decode(piece))),
            Piece::Tag(name, closes, _) => {
                let name = name.to_ascii_lowercase();
                if BREAKS.contains(&&*name) && (closes || name == "br") {
                    text.push('\n');
                }
            }
            Piece::Comment => {}
        }
    }
    text.trim().to_owned()
}

/// A text without the characters that have no width.
pub fn visible(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}'))
        .collect()
}

fn decode(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#123;", "{"),
        ("&nbsp;", "\u{A0}"),
    ];
    let decoded = entities.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    decoded.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_goes_and_text_stays() {
        let html = "<!-- key --><p class=\"x\" onclick=\"y\">a &lt;b&gt; <i>c</i><script>d()</script>\
                    <a href=\"https://e.example/\" rel=\"f\">g</a> 1 < 2</p>";
        let kept = sanitise(html, &["p", "a"]);
        assert_eq!(kept, "<p>a &lt;b&gt; c<a href=\"https://e.example/\">g</a> 1 < 2</p>");
    }

    #[test]
    fn a_person_reads_lines_without_markup() {
        let html = "<div><p>\u{200D}\u{200C}one<br>two</p><p>&lt;b&gt; &amp;amp; ü</p></div>";
        assert_eq!(readable(html), "one\ntwo\n<b> &amp; ü");
    }
}
