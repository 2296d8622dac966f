//! Patterns: `*` for anything, `:word` for one part of a path, `re:` before a regular expression.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const LONGEST: usize = 512;
/// Most memory that one compiled pattern takes, in bytes.
const SIZE: usize = 1 << 20;

/// What a pattern is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A name or a text.
    Text,
    /// A path or an address: a slash parts it.
    Address,
    /// What is masked within a text.
    Within,
}

/// Compiles a pattern.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn compile(pattern: &str, what: For) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("the pattern is empty; leave the key out to match anything".to_owned());
    }
    if pattern.len() > LONGEST {
        return Err(format!("the pattern is longer than {LONGEST} bytes"));
    }
    let expression = match pattern.strip_prefix("re:") {
        Some(expression) => expression.to_owned(),
        None => glob(pattern, what),
    };
    let compiled = RegexBuilder::new(&expression)
        .case_insensitive(true)
        .size_limit(SIZE)
        .build()
        .map_err(|error| {
        let error = error.to_string();
        let cause = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("the pattern {pattern:?} isn't a regular expression that can be used: {cause}")
    })?;
    if what == For::Within && compiled.is_match("") {
        return Err(format!(
            "the pattern {pattern:?} matches nothing at all, so all would be masked"
        ));
    }
    Ok(compiled)
}

fn glob(pattern: &str, what: For) -> String {
    let mut out = String::from(if what == For::Within { "" } else { "^(?s:" });
    for (at, piece) in pattern.split('*').enumerate() {
        if at > 0 {
            out.push_str(if what == For::Within { r"\S*" } else { ".*" });
        }
        match what {
            For::Address => parts(piece, &mut out),
            For::Text | For::Within => out.push_str(&regex::escape(piece)),
        }
    }
    if what != For::Within {
        out.push_str(")$");
    }
    out
}

/// `:word` is one part of the path.
fn parts(piece: &str, out: &mut String) {
    for (at, part) in piece.split('/').enumerate() {
        if at > 0 {
            out.push('/');
        }
        let is_any = part
            .strip_prefix(':')
            .is_some_and(|name| !name.is_empty() && name.chars().all(char::is_alphanumeric));
        let written =
            if is_any { out.write_str("[^/]+") } else { out.write_str(&regex::escape(part)) };
        written.expect("writing to a String can't fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text() {
        for (pattern, what, text, matches) in [
            ("Invoice*", For::Text, "invoice exported", true),
            ("Invoice*", For::Text, "the invoice", false),
            ("a.b", For::Text, "axb", false),
            ("re:^inv.*ed$", For::Text, "invoice exported", true),
            ("/invoices/:id", For::Address, "/invoices/17", true),
            ("/invoices/:id", For::Address, "/invoices/17/edit", false),
            ("/invoices/*", For::Address, "/invoices/17/edit", true),
            ("https://*.example/x", For::Address, "https://a.b.example/x", true),
            ("*", For::Text, "a\nb", true),
        ] {
            assert_eq!(compile(pattern, what).unwrap().is_match(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (pattern, cause) in [
            ("", "the pattern is empty"),
            ("re:(", "unclosed group"),
            ("re:x{9999}{9999}", "isn't a regular expression that can be used"),
        ] {
            assert!(compile(pattern, For::Text).unwrap_err().contains(cause), "{pattern}");
        }
        assert!(compile("re:x*", For::Within).unwrap_err().contains("all would be masked"));
        assert!(compile(&"x".repeat(600), For::Text).unwrap_err().contains("longer"));
    }
}
