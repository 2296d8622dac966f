//! A text with placeholders, as Python's `str.format` writes them: `{name}`, `{{` and `}}`.

use super::fence::fence;

/// The placeholder that every template can have: a line that none of the values has in it.
pub(super) const FENCE: &str = "fence";

/// A checked text with placeholders.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
}

/// What is wrong with a template, and in which of its lines, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// A placeholder that means nothing.
    #[error(
        "there is no placeholder {{{name}}}; there are {known}. Write {{{{{name}}}}} if you mean the text"
    )]
    Unknown {
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A brace that begins or ends nothing.
    #[error("a single {brace} stands there; write {brace}{brace} for the character itself")]
    Stray {
        /// The brace.
        brace: char,
    },
    /// A placeholder without which the prompt makes no sense.
    #[error("{{{name}}} is missing; put it where the model shall read {what}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What it stands for.
        what: &'static str,
    },
}

impl Template {
    /// Reads a text that may have these placeholders, and `{fence}`.
    ///
    /// # Errors
    /// Every placeholder that means nothing and every stray brace, with its line from 1.
    ///
    /// ```
    /// use sidenote::prompts::Template;
    /// let template = Template::parse("Sum: {actions}!", &["actions"]).expect("it is right");
    /// assert_eq!(template.render(&[("actions", "{x}")]), "Sum: {x}!");
    /// assert!(Template::parse("{} {actions}", &["actions"]).is_err());
    /// ```
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Vec<(usize, TemplateFault)>> {
        let mut pieces = Vec::new();
        let mut faults = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let line = text[..text.len() - rest.len() + at].matches('\n').count() + 1;
            plain.push_str(&rest[..at]);
            let brace = if rest[at..].starts_with('{') { '{' } else { '}' };
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(brace) {
                plain.push(brace);
                rest = behind;
                continue;
            }
            // A name has no line breaks, blanks or braces: whatever else follows, the brace is a stray one.
            let name = rest.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            match name {
                Some(name) if brace == '{' => {
                    rest = &rest[name.len() + 1..];
                    if name == FENCE || known.contains(&name) {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        pieces.push(Piece::Value(name.to_owned()));
                        continue;
                    }
                    let known = known.iter().chain([&FENCE]).map(|name| format!("{{{name}}}"));
                    let known = known.collect::<Vec<_>>().join(", ");
                    faults.push((line, TemplateFault::Unknown { name: name.to_owned(), known }));
                }
                Some(_) | None => faults.push((line, TemplateFault::Stray { brace })),
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        if faults.is_empty() { Ok(Self { pieces }) } else { Err(faults) }
    }

    /// Whether it has this placeholder.
    pub fn has(&self, name: &str) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Value(value) if value == name))
    }

    /// The text with values in the place of its placeholders. A value's own braces mean nothing.
    ///
    /// # Panics
    /// When a value is missing: that is a bug of the caller's.
    pub fn render(&self, values: &[(&str, &str)]) -> String {
        let fence = fence(values.iter().map(|(_, value)| *value));
        let mut out = String::new();
        for piece in &self.pieces {
            out.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Value(name) if name == FENCE => &fence,
                Piece::Value(name) => {
                    let value = values.iter().find(|(known, _)| known == name);
                    value.expect("parsing admits no placeholder that has no value").1
                }
            });
        }
        out
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("pieces", &self.pieces.len()).finish()
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        let faults = Template::parse(text, &["actions"]).expect_err("it is wrong");
        faults.into_iter().map(|(line, fault)| (line, fault.to_string())).collect()
    }

    #[test]
    fn every_fault_is_told_with_its_line_and_the_way_out() {
        assert_eq!(
            faults("{actions}\n{lang} and\n{"),
            [
                (2, "there is no placeholder {lang}; there are {actions}, {fence}. Write {{lang}} if you mean the text".to_owned()),
                (3, "a single { stands there; write {{ for the character itself".to_owned()),
            ]
        );
        let stray = |brace: char| {
            (
                1,
                format!(
                    "a single {brace} stands there; write {brace}{brace} for the character itself"
                ),
            )
        };
        assert_eq!(faults("{} {actions}"), [stray('{'), stray('}')]);
        assert_eq!(faults("json { : {actions}"), [stray('{')]);
        assert_eq!(faults("{\"s\": {actions}}"), [stray('{'), stray('}')]);
        assert_eq!(faults("{actions!r}"), [stray('{'), stray('}')]);
        assert_eq!(faults("{0}"), [stray('{'), stray('}')]);
    }

    #[test]
    fn doubled_braces_are_braces_and_values_are_never_read_as_templates() {
        let template = Template::parse("{{\"s\": \"{actions}\"}} {actions}", &["actions"]);
        let template = template.expect("it is right");
        assert_eq!(
            template.render(&[("actions", "{actions}{")]),
            "{\"s\": \"{actions}{\"} {actions}{"
        );
        assert!(template.has("actions") && !template.has("fence"));
    }

    #[test]
    fn a_fence_is_the_same_in_one_text_and_in_none_of_its_values() {
        let template = Template::parse("{fence}\n{actions}\n{fence}", &["actions"]).expect("right");
        assert_eq!(
            template.render(&[("actions", "=====0=====")]),
            "=====1=====\n=====0=====\n=====1====="
        );
    }
}
