//! What a source says to people: its comments and its texts in quotes, as far as the tests at its end.

/// The comments and texts of a source, with the numbers of their lines.
pub(crate) fn texts(source: &str) -> Vec<(usize, String)> {
    let source = source.split("\n#[cfg(test)]\n").next().unwrap_or_default();
    let (mut texts, mut rest, mut number) = (Vec::new(), source, 1);
    while let Some(c) = rest.chars().next() {
        let (text, length) = match c {
            '/' if rest.starts_with("//") => {
                let end = rest.find('\n').unwrap_or(rest.len());
                (&rest[..end], end)
            }
            '/' if rest.starts_with("/*") => {
                let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
                (&rest[..end], end)
            }
            '"' => quoted(rest, c),
            // A character, not a lifetime.
            '\'' if rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'') => {
                let (_, length) = quoted(rest, c);
                ("", length)
            }
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => raw(rest),
            _ => ("", c.len_utf8()),
        };
        let lines = (number..).zip(text.lines().map(str::to_owned));
        texts.extend(lines.filter(|(_, line)| !line.trim().is_empty()));
        number += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    texts
}

/// What stands in quotes, and how long that is with them.
fn quoted(rest: &str, quote: char) -> (&str, usize) {
    let mut escaped = false;
    for (place, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return (&rest[1..place], place + 1),
            _ => {}
        }
    }
    (&rest[1..], rest.len())
}

/// What stands in a raw text: `r"…"`, `r#"…"#`. `r#name` is none.
fn raw(rest: &str) -> (&str, usize) {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let begin = 1 + hashes;
    if !rest[begin..].starts_with('"') {
        return ("", 1);
    }
    let end = format!("\"{}", "#".repeat(hashes));
    match rest[begin + 1..].find(&end) {
        Some(length) => {
            let text = begin + 1..begin + 1 + length;
            (&rest[text.clone()], text.end + end.len())
        }
        None => (&rest[begin + 1..], rest.len()),
    }
}

#[test]
fn comments_and_texts_are_read_and_names_are_not() {
    let source = concat!(
        "//! One.\nfn room<'a>(taken: &'a str) -> char {\n    let quote = '\"'; // two\n",
        "    log(\"three \\\" // four\");\n    let r#type = r#\"five \"six\"\n seven\"#;\n",
        "    /* eight */ '\\''\n}\n#[cfg(test)]\nmod tests { // nine\n}\n"
    );
    let found: Vec<_> = texts(source);
    let wanted = [
        (1, "//! One."),
        (3, "// two"),
        (4, "three \\\" // four"),
        (5, "five \"six\""),
        (6, " seven"),
        (7, "/* eight */"),
    ];
    assert_eq!(found, wanted.map(|(number, text)| (number, text.to_owned())));
}
