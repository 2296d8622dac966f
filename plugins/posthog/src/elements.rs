//! Elements of pages, as far as they are named or told from others. One piece of code, as a module of each plugin whose
//! tool tells of elements.

use sidenote_plugin::source::{Element, Event};

use crate::reading::cut;

/// Attributes by which an element is named or told from others; of any other nothing is handed over.
const ATTRIBUTES: [&str; 14] = [
    "alt",
    "aria-label",
    "autocomplete",
    "class",
    "href",
    "id",
    "name",
    "placeholder",
    "role",
    "title",
    "type",
    "value",
    "action",
    "for",
];

/// An attribute of an element, where it serves; its name in lower case.
pub(crate) fn attribute(element: &mut Element, name: &str, value: &str) {
    let name = name.to_ascii_lowercase();
    let serves = ATTRIBUTES.contains(&&*name) || name.starts_with("data-") && name.len() <= 64;
    if serves
        && element.attributes.len() < 24
        && !element.attributes.iter().any(|(known, _)| *known == name)
    {
        element.attributes.push((name, cut(value, 1024).to_owned()));
    }
}

/// An element without attributes.
pub(crate) fn element(tag: &str) -> Element {
    Element { tag: cut(tag, 64).to_ascii_lowercase(), text: String::new(), attributes: Vec::new() }
}

/// Leaves out what somebody typed: only of a button its value is what stands on it.
pub(crate) fn without_typed(element: &mut Element) {
    let is_button = |(name, value): &(String, String)| {
        name == "type" && matches!(&**value, "submit" | "button" | "reset")
    };
    if !element.attributes.iter().any(is_button) {
        element.attributes.retain(|(name, _)| name != "value");
    }
}

/// Adds one of the keys in use to an event.
pub(crate) fn extra(event: &mut Event, key: &str, value: String) {
    if !value.trim().is_empty() {
        event.extras.push((key.to_owned(), value));
    }
}
