//! What somebody wrote beside what could be clicked.

/// A label as it is compared: without blanks around it and with all differences of capitals folded, as Unicode folds
/// them (`ß` is `ss`, `ﬃ` is `ffi`, `ς` is `σ`). Nothing else is made equal: no accents, widths or punctuation.
///
/// ```
/// use sidenote_core::offers::label::fold;
/// assert_eq!(fold(" STRASSE zeigen "), fold("Straße ZEIGEN"));
/// assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
/// assert_ne!(fold("Yes."), fold("Yes"));
/// ```
pub fn fold(label: &str) -> String {
    let mut folded = String::with_capacity(label.len());
    for c in label.trim().chars() {
        // The dotless i has a capital that isn't its own.
        if c == 'ı' {
            folded.push(c);
            continue;
        }
        // Down, up and down again: capitals that have no small letter of one character go through the upper case.
        let upper = c.to_lowercase().flat_map(char::to_uppercase);
        folded.extend(upper.flat_map(char::to_lowercase));
    }
    folded
}

/// The first label that somebody's text is; `None` for blanks.
///
/// ```
/// use sidenote_core::offers::label::place_of;
/// assert_eq!(place_of("no ", ["Yes", "No"]), Some(1));
/// assert_eq!(place_of("no, thanks", ["Yes", "No"]), None);
/// ```
pub fn place_of<'a>(said: &str, labels: impl IntoIterator<Item = &'a str>) -> Option<usize> {
    let said = fold(said);
    if said.is_empty() {
        return None;
    }
    labels.into_iter().position(|label| fold(label) == said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ_in_capitals_alone_are_equal_and_all_others_are_not() {
        for (one, other) in
            [("STRASSE", "straße"), ("ẞ", "ss"), ("OFFICE", "oﬃce"), ("ΟΔΟΣ", "οδοσ"), ("K", "k")]
        {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("ı", "i"), ("Créer", "Cre\u{301}er"), ("Ｙｅｓ", "Yes")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn blanks_are_no_answer_even_where_a_label_is_blank() {
        assert_eq!(place_of(" \u{A0}", ["", " "]), None);
        assert_eq!(place_of("\u{200B}Yes", ["Yes"]), None);
    }
}
