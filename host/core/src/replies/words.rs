//! Whether somebody asks for a human.

/// Whether a text has one of these words or phrases in it: as whole words, whatever their case.
///
/// ```
/// use sidenote_core::replies::words::has_any;
/// let words = ["human".to_owned(), "real person".to_owned()];
/// assert!(has_any("Give me a HUMAN!", &words));
/// assert!(has_any("a real\nperson, please", &words));
/// assert!(!has_any("humanity", &words));
/// ```
pub fn has_any(text: &str, wanted: &[String]) -> bool {
    let text = words(text);
    wanted.iter().any(|phrase| {
        let phrase = words(phrase);
        !phrase.is_empty() && text.windows(phrase.len()).any(|window| *window == *phrase)
    })
}

/// The words of a text, in lower case; empty where it has none.
pub fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric());
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_and_of_any_case_and_a_blank_phrase_is_in_nothing() {
        let wanted = ["Mensch".to_owned(), "échte persoon".to_owned(), " ".to_owned()];
        for (text, has) in [
            ("ein MENSCH bitte", true),
            ("menschlich", false),
            ("ÉCHTE, persoon?", true),
            ("persoon échte", false),
            ("", false),
            ("…", false),
        ] {
            assert_eq!(has_any(text, &wanted), has, "{text}");
        }
    }
}
