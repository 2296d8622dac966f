//! What a model thought on the way isn't its answer, and is never shown.

use std::borrow::Cow;

/// The marks that models put around their thoughts: what begins them, and what ends them.
const MARKS: [(&str, &str); 14] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reason>", "</reason>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("\u{25c1}think\u{25b7}", "\u{25c1}/think\u{25b7}"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    // A channel of thoughts ends where the one of the answer begins.
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
];

/// Marks that stand around an answer and are none of it.
const AROUND: [&str; 5] =
    ["<|begin_of_solution|>", "<|end_of_solution|>", "<|start|>assistant", "<|end|>", "<|return|>"];

/// The text without the thoughts in it. What stands before a mark that ends thoughts without one that begins
/// them is thought too, for some servers swallow the first mark; so is all behind a beginning that isn't ended,
/// for the answer was cut. Where thoughts are all there is, nothing is left.
///
/// ```
/// use sidenote::llm::spoken;
/// assert_eq!(spoken("<think>Slow.</think>\n\nThey paid twice."), "They paid twice.");
/// assert_eq!(spoken("They paid twice."), "They paid twice.");
/// ```
pub fn spoken(text: &str) -> Cow<'_, str> {
    let mut said = Cow::Borrowed(text);
    // Taking a mark out can put the halves of another one together.
    while let Some(first) = next_mark(&said, 0) {
        said = Cow::Owned(without_thoughts(&said, first));
    }
    said
}

fn without_thoughts(text: &str, first: Mark) -> String {
    let (mut out, mut depth) = (String::with_capacity(text.len()), 0_u32);
    let (mut at, mut next) = (0, Some(first));
    while let Some(mark) = next {
        if depth == 0 {
            out.push_str(&text[at..mark.at]);
        }
        match mark.kind {
            Kind::Begins => depth += 1,
            Kind::Ends if depth == 0 => out.clear(),
            Kind::Ends => depth -= 1,
            Kind::Around => {}
        }
        at = mark.at + mark.len;
        next = next_mark(text, at);
    }
    if depth == 0 {
        out.push_str(&text[at..]);
    }
    out.trim().to_owned()
}

struct Mark {
    at: usize,
    len: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Begins,
    Ends,
    Around,
}

/// The first mark from `from` on.
fn next_mark(text: &str, from: usize) -> Option<Mark> {
    let opens = |c: char| matches!(c, '<' | '[' | '\u{25c1}');
    text[from..].match_indices(opens).find_map(|(at, _)| mark_at(text, from + at))
}

fn mark_at(text: &str, at: usize) -> Option<Mark> {
    let rest = &text[at..];
    let mark = |len, kind| Some(Mark { at, len, kind });
    for (begins, ends) in MARKS {
        if let Some(len) = begins_with(rest, ends) {
            return mark(len, Kind::Ends);
        }
        if let Some(len) = begins_with(rest, begins) {
            return mark(len, Kind::Begins);
        }
    }
    AROUND.iter().find_map(|word| mark(begins_with(rest, word)?, Kind::Around))
}

/// How long the mark is that a text begins with, whatever its capitals, and with the attributes that a tag may
/// have.
fn begins_with(text: &str, mark: &str) -> Option<usize> {
    let is = |mark: &str| text.get(..mark.len()).is_some_and(|it| it.eq_ignore_ascii_case(mark));
    if is(mark) {
        return Some(mark.len());
    }
    let name = mark.strip_suffix('>').filter(|name| is(name) && !name.ends_with('|'))?;
    let rest = &text[name.len()..];
    let attributes = rest.starts_with([' ', '\t', '\n', '\r']).then(|| rest.find('>')).flatten()?;
    (!rest[..attributes].contains('<')).then_some(name.len() + attributes + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thoughts_are_never_shown_however_they_are_marked() {
        for (begins, ends) in MARKS {
            let (loud, late) = (begins.to_uppercase(), ends.to_uppercase());
            let cases = [
                (format!("{begins}\nhm\n{ends}\n\nsaid"), "said"),
                (format!("{loud}hm{late}said"), "said"),
                (format!("  {begins}hm{ends}  said  "), "said"),
                (format!("hm{ends}said"), "said"),
                (format!("hm{ends}hm{ends}said"), "said"),
                (format!("{begins}hm"), ""),
                (format!("{begins}hm{ends}\n"), ""),
                (format!("said{begins}hm"), "said"),
                (format!("one {begins}hm{ends}two"), "one two"),
                (format!("{begins}hm{begins}hm{ends}hm{ends}said"), "said"),
                (format!("{begins}{ends}said"), "said"),
            ];
            for (text, expected) in cases {
                assert_eq!(spoken(&text), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_tag_may_have_attributes_and_marks_around_the_answer_are_none_of_it() {
        let cases = [
            ("<think time=\"3\">hm</think >said", "said"),
            (
                "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>said<|return|>",
                "said",
            ),
            (
                "<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>said<|end_of_solution|>",
                "said",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(spoken(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_mark_is_left_as_it_is() {
        for text in [
            "",
            " said ",
            "a < b [1] c",
            "<thinker>",
            "<b>x</b>",
            "think </thin>",
            "<think",
            "é<é>",
        ] {
            assert!(matches!(spoken(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_mark_is_left_in_any_text(text in "(<think>|</think>|<|>|think|/|\\[THINK\\]|[a-c\u{25c1}é \n]){0,12}") {
            let once = spoken(&text);
            prop_assert!(next_mark(&once, 0).is_none(), "{}", once);
            prop_assert!(once.len() <= text.len());
        }
    }
}
