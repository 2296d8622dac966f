//! Templates of lines: text with placeholders.

/// Longest template, in bytes.
const LONGEST: usize = 512;

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// The event's name.
    Name,
    /// What the element is called.
    Text,
    /// What the page is called.
    Page,
    /// The heading above the element.
    Heading,
    /// What an error says.
    Message,
    /// The host of a link.
    Host,
    /// The line without the rule.
    Default,
    /// A property.
    Property(String),
}

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A placeholder that isn't known, or braces that don't fit.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the template is empty; leave the key out, or set drop = true".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("the template is longer than {LONGEST} bytes"));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..];
            if brace.starts_with("{{") || brace.starts_with("}}") {
                plain.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let end = brace.find('}').filter(|_| brace.starts_with('{'));
            let end = end.ok_or("a brace stands alone; write {{ or }} for a brace")?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Placeholder(placeholder(&brace[1..end])?));
            rest = &brace[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Fills it in. What is missing is left out, with the space before it and brackets that are empty then.
    pub(crate) fn fill(&self, value: impl Fn(&Placeholder) -> String) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Placeholder(placeholder) => out.push_str(&value(placeholder)),
            }
        }
        for empty in ["()", "\"\"", "«»", "„“"] {
            out = out.replace(empty, "");
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn placeholder(name: &str) -> Result<Placeholder, String> {
    Ok(match name {
        "name" => Placeholder::Name,
        "text" => Placeholder::Text,
        "page" => Placeholder::Page,
        "heading" => Placeholder::Heading,
        "message" => Placeholder::Message,
        "host" => Placeholder::Host,
        "default" => Placeholder::Default,
        _ => match name.strip_prefix("property.") {
            Some(property) if !property.is_empty() => Placeholder::Property(property.to_owned()),
            Some(_) | None => {
                return Err(format!(
                    "the placeholder {{{name}}} isn't known; there are {{name}}, {{text}}, {{page}}, {{heading}}, \
                     {{message}}, {{host}}, {{default}} and {{property.NAME}}"
                ));
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str) -> String {
        Template::read(template).unwrap().fill(|it| match it {
            Placeholder::Name => "N".into(),
            Placeholder::Property(name) if name == "a.b" => "B".into(),
            Placeholder::Property(_)
            | Placeholder::Text
            | Placeholder::Page
            | Placeholder::Heading
            | Placeholder::Message
            | Placeholder::Host
            | Placeholder::Default => String::new(),
        })
    }

    #[test]
    fn a_template_is_filled_in() {
        assert_eq!(fill("Did {name} as {property.a.b}"), "Did N as B");
        assert_eq!(fill("Did {name} ({page})"), "Did N");
        assert_eq!(fill("{{{name}}}"), "{N}");
    }

    #[test]
    fn a_template_that_cannot_be_read_says_why() {
        for (template, cause) in [
            ("", "empty"),
            ("{nam}", "the placeholder {nam} isn't known"),
            ("{property.}", "isn't known"),
            ("{name", "a brace stands alone"),
            ("name}", "a brace stands alone"),
        ] {
            assert!(Template::read(template).unwrap_err().contains(cause), "{template}");
        }
    }
}
