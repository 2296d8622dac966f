//! Words for actions that came without any, so that no line of a note is empty.
//!
//! The text of a note stays as it is for every action that has a description ([`super::note`]).

use super::packed::Packed;
use super::payload::Action;

/// Stands where nothing at all is known of an action.
const NOTHING: &str = "(an action without a description)";

/// The actions of a note, each with a description: its own, or else its title, or else its kind and page.
pub fn worded(mut actions: Vec<Action>) -> Vec<Action> {
    for action in actions.iter_mut().filter(|action| is_blank(&action.description)) {
        action.description = words(action);
    }
    actions
}

/// The same of packed ones. They are packed anew where one is blank, which is rare.
pub fn worded_packed(actions: Packed) -> Packed {
    match actions.list().iter().any(|action| is_blank(action.description)) {
        true => Packed::of(&worded(actions.unpack())),
        false => actions,
    }
}

fn words(action: &Action) -> String {
    let page = [&action.canonical_url, &action.raw_url].into_iter().find(|page| !is_blank(page));
    let kind = (!is_blank(&action.kind)).then_some(&action.kind);
    match (kind, page) {
        _ if !is_blank(&action.title) => action.title.clone(),
        (Some(kind), Some(page)) => format!("{kind} on {page}"),
        (Some(kind), None) => kind.clone(),
        (None, Some(page)) => format!("on {page}"),
        (None, None) => NOTHING.to_owned(),
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::session::note::format_note;

    fn action(description: &str, title: &str, kind: &str, page: &str) -> Action {
        Action {
            description: description.to_owned(),
            title: title.to_owned(),
            kind: kind.to_owned(),
            canonical_url: page.to_owned(),
            ..Action::default()
        }
    }

    #[test]
    fn an_action_without_a_text_gets_what_is_known_of_it() {
        for (given, words) in [
            (action("Paid", "Pay", "click", "/pay"), "Paid"),
            (action(" Paid ", "Pay", "click", "/pay"), " Paid "),
            (action("", "Pay", "click", "/pay"), "Pay"),
            (action(" \n\0", "", "click", "/pay"), "click on /pay"),
            (action("", " ", "click", ""), "click"),
            (action("", "", "", "/pay"), "on /pay"),
            (action("", "", "", ""), NOTHING),
            (Action { raw_url: "/raw".to_owned(), ..Action::default() }, "on /raw"),
        ] {
            let worded = worded(vec![given.clone()]);
            assert_eq!(worded[0].description, words, "{given:?}");
            assert_eq!(
                Action { description: given.description.clone(), ..worded[0].clone() },
                given
            );
        }
    }

    #[test]
    fn no_line_of_a_note_is_empty() {
        let actions = worded(vec![action("", "", "", ""), action("Paid", "", "", "")]);
        let note = format_note(Some("s"), &actions, 0.0, Timestamp(0));
        assert!(note.lines().all(|line| line.trim_end() != "[1]"), "{note}");
    }
}
