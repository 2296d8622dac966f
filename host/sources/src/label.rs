//! What an element is called: by its visible text, by what it says to a screen reader, by its name in the page.

use sidenote_core::session::text;

use crate::event::{Element, Event};
use crate::forms;

/// So many elements are looked at: the innermost, and what it is in.
pub(crate) const DEPTH: usize = 12;
/// Longest name that is told, in characters.
const LONGEST: usize = 80;
/// Attributes that testers give names to elements by.
const TEST_IDS: [&str; 8] = [
    "data-testid",
    "data-test-id",
    "data-test",
    "data-cy",
    "data-qa",
    "data-attr",
    "data-action",
    "data-track",
];
/// Words in ids that say what an element is, and not which.
const GENERIC: [&str; 24] = [
    "btn",
    "button",
    "link",
    "icon",
    "cta",
    "submit",
    "input",
    "field",
    "select",
    "checkbox",
    "main",
    "root",
    "app",
    "content",
    "container",
    "wrapper",
    "item",
    "el",
    "element",
    "div",
    "span",
    "id",
    "test",
    "form",
];

/// How an element is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    /// By what is seen or read out.
    Seen(String),
    /// By a name in the page that people don't see.
    Unseen(String),
    /// Not at all; what it is.
    None(&'static str),
}

impl Label {
    /// The name, where there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Seen(text) | Self::Unseen(text) => Some(text),
            Self::None(_) => None,
        }
    }
}

/// The element that was meant: the button, link or field around what was hit, else what was hit.
pub(crate) fn meant(event: &Event) -> Option<(usize, &Element)> {
    let elements = || event.elements.iter().take(DEPTH).enumerate();
    elements().find(|(_, it)| is_meant(it)).or_else(|| elements().next())
}

/// What an event's element is called, cut but not masked.
pub(crate) fn of_click(event: &Event) -> Label {
    let Some((at, element)) = meant(event) else { return Label::None("something") };
    let within = &event.elements[..=at];
    let own = [element].into_iter().chain(within.iter().rev().skip(1));
    let seen = own
        .clone()
        .find_map(|it| shown(&it.text))
        .or_else(|| own.clone().find_map(read_out))
        .or_else(|| button_value(element));
    if let Some(seen) = seen {
        return Label::Seen(seen);
    }
    let unseen = own.clone().find_map(test_id).or_else(|| own.clone().find_map(id_or_name));
    unseen.map_or(Label::None(noun(element)), Label::Unseen)
}

/// What a field is called: by its label, else by its name.
pub(crate) fn of_field(event: &Event) -> Label {
    let Some((at, field)) = meant(event) else { return Label::None("something") };
    let label = event.elements.iter().skip(at + 1).take(2).find(|it| it.tag == "label");
    let seen = label.and_then(|it| shown(&it.text)).or_else(|| read_out(field));
    if let Some(seen) = seen {
        return Label::Seen(seen);
    }
    let unseen = field
        .attribute("name")
        .and_then(good)
        .or_else(|| test_id(field))
        .or_else(|| id_or_name(field));
    unseen.map_or(Label::None(noun(field)), Label::Unseen)
}

/// What a form is called, by its name or id.
pub(crate) fn of_form(event: &Event) -> Option<Label> {
    let form = event
        .elements
        .iter()
        .take(DEPTH)
        .find(|it| it.tag == "form")
        .or_else(|| event.elements.first())?;
    let seen = read_out(form).map(Label::Seen);
    let named = |it: &str| is_good(it).then(|| Label::Unseen(look(it)));
    seen.or_else(|| ["name", "id"].into_iter().find_map(|key| form.attribute(key).and_then(named)))
}

/// Whether what was changed may not even be named.
pub(crate) fn is_sensitive(event: &Event) -> bool {
    let Some((_, field)) = meant(event) else { return false };
    let by_type = matches!(field.attribute("type"), Some("password" | "hidden" | "file"));
    let told = ["name", "id", "autocomplete", "data-testid"]
        .into_iter()
        .filter_map(|key| field.attribute(key));
    by_type || told.into_iter().any(forms::is_sensitive_name)
}

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Something is typed in.
    Typed,
    /// It is on or off.
    Switch,
    /// Something is chosen.
    Choice,
}

/// What kind of field was changed.
pub(crate) fn field(event: &Event) -> Field {
    let Some((_, element)) = meant(event) else { return Field::Choice };
    let kind = element.attribute("type").unwrap_or_default();
    let role = element.attribute("role").unwrap_or_default();
    match (&*element.tag, kind, role) {
        (_, "checkbox", _) | (_, _, "checkbox" | "switch") => Field::Switch,
        ("select", ..)
        | (
            _,
            "radio" | "range" | "color" | "date" | "time" | "month" | "week" | "datetime-local",
            _,
        ) => Field::Choice,
        ("input" | "textarea", ..) | (_, _, "textbox" | "searchbox") => Field::Typed,
        _ => Field::Choice,
    }
}

/// Whether people click on it, whatever is in it.
fn is_meant(element: &Element) -> bool {
    let role = element.attribute("role").unwrap_or_default();
    matches!(
        &*element.tag,
        "button" | "a" | "input" | "select" | "textarea" | "summary" | "option" | "label"
    ) || matches!(
        role,
        "button" | "link" | "tab" | "menuitem" | "checkbox" | "switch" | "option" | "radio"
    )
}

/// A text that isn't blank. It is masked before it is cut, so that nothing is left of what a mask would have found.
fn shown(text: &str) -> Option<String> {
    let text = look(text);
    (!text.is_empty()).then_some(text)
}

fn read_out(element: &Element) -> Option<String> {
    let names = ["aria-label", "title", "alt", "placeholder"];
    names.into_iter().find_map(|name| element.attribute(name).and_then(shown))
}

/// What stands on a button that is an `input`. Any other value is what somebody typed.
fn button_value(element: &Element) -> Option<String> {
    let is_button = matches!(element.attribute("type"), Some("submit" | "button" | "reset"));
    (element.tag == "input" && is_button)
        .then(|| element.attribute("value").and_then(shown))
        .flatten()
}

fn test_id(element: &Element) -> Option<String> {
    TEST_IDS.into_iter().find_map(|name| element.attribute(name).and_then(good))
}

fn id_or_name(element: &Element) -> Option<String> {
    ["id", "name"].into_iter().find_map(|name| element.attribute(name).and_then(good))
}

/// The words of a name in the page that say which element it is.
fn good(name: &str) -> Option<String> {
    if !is_good(name) {
        return None;
    }
    let words = name.split(['-', '_', '.', ':', ' ']).filter(|word| !word.is_empty());
    let telling: Vec<&str> =
        words.filter(|word| !GENERIC.contains(&&*word.to_ascii_lowercase())).collect();
    shown(&telling.join(" "))
}

/// Whether a name was given by somebody, rather than made by a program.
fn is_good(name: &str) -> bool {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b' '));
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let vowels = name.bytes().filter(|byte| b"aeiouyAEIOUY".contains(byte)).count();
    let made = [
        "radix-",
        "headlessui-",
        "mui-",
        "ember",
        "react-",
        "css-",
        "jss",
        "sc-",
        "ext-gen",
        "yui_",
        "mantine-",
    ];
    (2..=60).contains(&name.len())
        && plain
        && vowels > 0
        && (digits <= 2 || digits * 5 <= name.len())
        && !made.iter().any(|it| name.starts_with(it))
        && forms::of_part(name).is_none()
}

/// What the element is, in words.
pub(crate) fn what(event: &Event) -> &'static str {
    meant(event).map_or("something", |(_, element)| noun(element))
}

/// What an element is, in words.
fn noun(element: &Element) -> &'static str {
    let kind = element.attribute("type").unwrap_or_default();
    let role = element.attribute("role").unwrap_or_default();
    match (&*element.tag, kind, role) {
        (_, "checkbox", _) | (_, _, "checkbox") => "a checkbox",
        (_, _, "switch") => "a switch",
        (_, "radio", _) | ("option", ..) | (_, _, "option" | "radio") => "an option",
        ("button", ..) | (_, "submit" | "button" | "reset" | "image", _) | (_, _, "button") => {
            "a button"
        }
        ("a", ..) | (_, _, "link") => "a link",
        (_, _, "tab") => "a tab",
        (_, _, "menuitem") => "a menu item",
        ("input" | "textarea", ..) => "a field",
        ("select", ..) => "a list",
        ("form", ..) => "a form",
        ("svg" | "path" | "i" | "use", ..) => "an icon",
        ("img" | "picture" | "canvas", ..) => "a picture",
        ("video" | "audio", ..) => "a recording",
        _ => "an element",
    }
}

/// So much of a text is looked at, in bytes.
const LOOKED_AT: usize = 2048;

/// The beginning of a text, on one line and without what isn't seen: so much as is masked and then cut. A word that
/// doesn't end in it is left out, for a part of an address or of a secret isn't known as one.
pub(crate) fn look(text: &str) -> String {
    let unseen = |c: char| matches!(c, '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}');
    let mut seen = &text[..text.floor_char_boundary(LOOKED_AT)];
    if seen.len() < text.len() {
        seen = match seen.rfind(char::is_whitespace) {
            Some(end) => &seen[..end],
            // Words of nobody: no language has one of this length, and those without spaces have no digits in them.
            None if seen.bytes().any(|it| it.is_ascii_alphanumeric()) => forms::SECRET,
            None => seen,
        };
    }
    let one_line = text::printable_line(seen);
    let words = one_line.split_whitespace().map(|word| word.replace(unseen, ""));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Cut at so many characters as are told of a name.
pub(crate) fn cut(text: &str) -> String {
    cut_at(text, LONGEST)
}

/// Cut at so many characters.
pub(crate) fn cut_at(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: &str, text: &str, attributes: &[(&str, &str)]) -> Element {
        let attributes =
            attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Element { tag: tag.into(), text: text.into(), attributes }
    }

    fn click(elements: Vec<Element>) -> Label {
        of_click(&Event { elements, ..Event::default() })
    }

    #[test]
    fn the_button_around_what_was_hit_is_meant() {
        let hit = || element("span", "Neu", &[]);
        assert_eq!(
            click(vec![hit(), element("button", "Neu laden", &[])]),
            Label::Seen("Neu laden".into())
        );
        assert_eq!(click(vec![hit(), element("button", "", &[])]), Label::Seen("Neu".into()));
        assert_eq!(
            click(vec![
                element("path", "", &[]),
                element("svg", "", &[]),
                element("button", "", &[("aria-label", "Close")])
            ]),
            Label::Seen("Close".into())
        );
    }

    #[test]
    fn without_a_text_a_good_name_serves_and_a_made_one_does_not() {
        for (attributes, label) in [
            (
                &[("id", "export"), ("data-testid", "export-btn")][..],
                Label::Unseen("export".into()),
            ),
            (&[("id", "invoice_download-icon")], Label::Unseen("invoice download".into())),
            (&[("id", ":r1:")], Label::None("a button")),
            (&[("id", "radix-3f")], Label::None("a button")),
            (&[("id", "x7f3a9b2")], Label::None("a button")),
            (&[("class", "css-1q2w3e4 _a9x_k")], Label::None("a button")),
            (&[("id", "btn")], Label::None("a button")),
        ] {
            assert_eq!(click(vec![element("button", "", attributes)]), label, "{attributes:?}");
        }
    }

    #[test]
    fn what_somebody_typed_is_no_name() {
        let typed = element("input", "", &[("type", "text"), ("value", "my secret")]);
        assert_eq!(click(vec![typed]), Label::None("a field"));
        let button = element("input", "", &[("type", "submit"), ("value", "Pay")]);
        assert_eq!(click(vec![button]), Label::Seen("Pay".into()));
    }

    #[test]
    fn a_long_text_is_cut_and_stands_on_one_line() {
        let text = format!("a\n b {}", "x".repeat(200));
        let cut = cut(&look(&text));
        assert!(cut.starts_with("a b xx") && cut.ends_with('…'));
        assert_eq!(cut.chars().count(), 81);
    }
}
