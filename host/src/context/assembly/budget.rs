//! How long the parts may be.

/// Longest texts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Of the question.
    pub question: usize,
    /// Of what was done since.
    pub since: usize,
    /// Of what was said before.
    pub history: usize,
    /// Of what was done lately.
    pub activity: usize,
    /// Of what the knowledge base has.
    pub knowledge: usize,
    /// Of all of them. Where that isn't enough, the parts named last here give way first; the defaults leave each of them
    /// something.
    pub all: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            question: 16 << 10,
            since: 32 << 10,
            history: 32 << 10,
            activity: 96 << 10,
            knowledge: 64 << 10,
            all: 192 << 10,
        }
    }
}

const EARLIER: &str = "(what was earlier is left out)\n";
const REST: &str = "\n(the rest is left out)";

/// The end of a text that is too long, from the start of a line where there is one, behind words that say so.
pub(super) fn newest(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let Some(left) = most.checked_sub(EARLIER.len()) else { return String::new() };
    let mut start = text.len() - left;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let end = &text[start..];
    let whole = if text[..start].ends_with('\n') { Some(end) } else { None };
    let lines = whole.or_else(|| end.split_once('\n').map(|(_, lines)| lines)).unwrap_or(end);
    format!("{EARLIER}{lines}")
}

/// The start of a text that is too long, before words that say so.
pub(super) fn first(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let Some(mut end) = most.checked_sub(REST.len()) else { return String::new() };
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{REST}", text[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_whole_and_the_cut_is_stated() {
        let text = "1. old\n2. older\n3. newest";
        assert_eq!(newest(text, text.len()), text);
        let long = format!("{}\n{}\nlast line", "a".repeat(100), "b".repeat(100));
        assert_eq!(newest(&long, 60), format!("{EARLIER}last line"));
        for most in 0..300 {
            assert!(newest(&long, most).len() <= most && first(&long, most).len() <= most);
        }
    }

    #[test]
    fn a_cut_falls_between_characters() {
        let text = "é日🙂".repeat(100);
        for most in 0..text.len() {
            assert!(newest(&text, most).len() <= most && first(&text, most).len() <= most);
        }
        assert!(first(&text, 100).ends_with(REST));
        assert!(newest(&text, 100).starts_with(EARLIER));
    }
}
