//! Public text says what practitioners say.
//!
//! Public is what people read who use Sidenote or write for it: the book, READMEs, the changelog, commented
//! configuration, help texts, and what the host's and the SDK's sources say in comments, messages and log lines.
//! `docs/src/glossary.md` has the words; [`rules`] has those that are not said, with what is said instead.

mod rules;
mod source;
mod texts;

use std::collections::BTreeSet;

use regex::Regex;
use rules::{ALLOWED, RULES, Rule};
use texts::Line;

fn patterns() -> Vec<Regex> {
    let pattern = |rule: &Rule| Regex::new(&format!("(?i){}", rule.pattern));
    RULES.iter().map(|rule| pattern(rule).expect("a rule's pattern is right")).collect()
}

/// What a line says wrong, up to where the next one goes on: the rule's place and the words.
fn faults(line: &Line, patterns: &[Regex]) -> Vec<(usize, String)> {
    let text = format!("{} {}", line.text.trim_end(), line.next);
    let mut faults = Vec::new();
    for (n, (rule, pattern)) in RULES.iter().zip(patterns).enumerate() {
        let found = pattern.find_iter(&text).take_while(|it| it.start() < line.text.len());
        for found in found {
            let behind = text[found.end()..].trim_start();
            let stands = |word: &&str| {
                let rest = behind.strip_prefix(*word);
                rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            };
            if !rule.unless_before.iter().any(stands) {
                faults.push((n, found.as_str().to_owned()));
            }
        }
    }
    faults
}

#[test]
fn public_text_uses_the_words_of_the_glossary() {
    let (mut wrong, mut used, patterns) = (Vec::new(), BTreeSet::new(), patterns());
    for line in texts::all() {
        for (rule, words) in faults(&line, &patterns) {
            let is_this = |it: &(usize, &rules::Allowed)| {
                line.file.starts_with(it.1.file) && line.text.contains(it.1.text)
            };
            match ALLOWED.iter().enumerate().find(is_this) {
                Some((n, _)) => {
                    used.insert(n);
                }
                None => wrong.push(format!(
                    "{}:{}: \"{words}\" in {:?}: say {}",
                    line.file,
                    line.number,
                    line.text.trim(),
                    RULES[rule].say
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
    for (n, allowed) in ALLOWED.iter().enumerate() {
        assert!(!allowed.reason.is_empty(), "{}: why may it say {:?}?", allowed.file, allowed.text);
        assert!(
            used.contains(&n),
            "{} doesn't say {:?}: the exception can go",
            allowed.file,
            allowed.text
        );
    }
}

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else() {
    let patterns = patterns();
    for (text, wanted) in rules::EXAMPLES {
        let (file, text, next) = (String::new(), (*text).to_owned(), String::new());
        let line = Line { file, number: 1, text, next };
        let found: Vec<_> =
            faults(&line, &patterns).into_iter().map(|(rule, _)| RULES[rule].say).collect();
        assert_eq!(found, *wanted, "{}", line.text);
    }
    for rule in RULES {
        let tried = rules::EXAMPLES.iter().any(|(_, wanted)| wanted.contains(&rule.say));
        assert!(tried, "{} has no example", rule.pattern);
    }
}

#[test]
fn what_is_said_instead_is_in_the_glossary() {
    let path = texts::root().join("docs/src/glossary.md");
    let glossary = std::fs::read_to_string(path).expect("the glossary can be read");
    let words: Vec<_> = glossary.lines().filter_map(|line| line.strip_prefix("| **")).collect();
    assert!(words.len() > 30, "the glossary has {} words", words.len());
    for word in RULES.iter().flat_map(|rule| rule.glossary) {
        let has = words.iter().any(|line| line.split("**").next() == Some(word));
        assert!(has, "the glossary doesn't have {word:?}");
    }
}
