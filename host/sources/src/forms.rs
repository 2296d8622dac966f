//! What has the form of personal data or of a secret. Nothing depends on the language of a text.

use std::borrow::Cow;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};

/// What stands for a secret.
pub(crate) const SECRET: &str = "[secret]";
/// What stands for an address.
pub(crate) const EMAIL: &str = "[email]";

/// A text with what has such a form masked.
pub(crate) fn masked<'a>(text: Cow<'a, str>) -> Cow<'a, str> {
    let mut text = text;
    if !may_hold_any(&text) {
        return text;
    }
    replace(&mut text, &ADDRESS, |_| EMAIL.into());
    replace(&mut text, &JWT, |_| SECRET.into());
    replace(&mut text, &SAID, |found| {
        let secret = if is_mask(&found[2]) { &found[2] } else { SECRET };
        format!("{}{secret}", &found[1]).into()
    });
    replace(&mut text, &UUID, |_| "[id]".into());
    replace(&mut text, &IBAN, |found| keep_unless(found, "[iban]", is_iban));
    replace(&mut text, &DIGITS, |found| keep_unless(found, "[card]", is_card));
    replace(&mut text, &PHONE, |found| keep_unless(found, "[phone]", is_phone));
    replace(&mut text, &PREFIXED, |found| keep_unless(found, SECRET, has_digit));
    replace(&mut text, &TOKEN, |found| keep_unless(found, SECRET, is_token));
    text
}

/// Whether one part of an address's path is personal or a secret; what is to stand for it.
pub(crate) fn of_part(part: &str) -> Option<&'static str> {
    if !may_hold_any(part) {
        return None;
    }
    let decoded = percent_decode_str(part).decode_utf8_lossy();
    if ADDRESS.is_match(&decoded) {
        return Some(EMAIL);
    }
    let secret = JWT.is_match(&decoded)
        || is_token(&decoded)
        || PREFIXED.find(&decoded).is_some_and(|it| has_digit(it.as_str()));
    secret.then_some(SECRET)
}

/// Whether a name of a field or a property says that its value is a secret or personal. Names are looked at, never
/// texts that people see: these are in any language.
pub(crate) fn is_sensitive_name(name: &str) -> bool {
    SENSITIVE.is_match(name)
}

/// Looks at each byte once: most texts hold nothing that could be meant.
pub(crate) fn may_hold_any(text: &str) -> bool {
    text.bytes()
        .any(|byte| byte.is_ascii_digit() || matches!(byte, b'@' | b'=' | b':' | b'%' | b'.'))
}

pub(crate) fn replace(
    text: &mut Cow<'_, str>,
    pattern: &Regex,
    with: impl Fn(&Captures<'_>) -> Cow<'static, str>,
) {
    if let Cow::Owned(replaced) = pattern.replace_all(text, |found: &Captures<'_>| with(found)) {
        *text = Cow::Owned(replaced);
    }
}

fn keep_unless(
    found: &Captures<'_>,
    mask: &'static str,
    is_meant: impl Fn(&str) -> bool,
) -> Cow<'static, str> {
    if is_meant(&found[0]) { mask.into() } else { found[0].to_owned().into() }
}

pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are right")
}

/// An address, its @ also percent-encoded, once or twice.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)[\w.!#$&'*+/=?^`{|}~-]+(?:@|%(?:25)*40)[\w-]+(?:(?:\.|%(?:25)*2e)[\w-]+)+")
});
static JWT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\beyJ[\w-]{5,}(?:\.[\w-]*)*"));
/// A secret behind its name.
static SAID: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)(\b[\w-]*(?:token|secret|passw(?:or)?d|pwd|api[ _-]?key|access[_-]?key|bearer|otp|reset[_-]?code|cvv|cvc)[\w-]*(?:"?\s?[=:]\s?"?|\s(?:bearer\s)?))([^\s"',;&\[\]]*\d[^\s"',;&\[\]]*|\[[a-z]+\])"#,
    )
});
static UUID: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
});
static IBAN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"));
static DIGITS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d(?:[ -]?\d){11,18}"));
static PHONE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:\+|\b00)[1-9][\d \u{A0}()./-]{5,18}\d|\(0?\d{2,5}\)[ -]?\d[\d -]{4,12}\d|\b0\d{1,5}[ /-]\d[\d -]{3,12}\d\b|\b\d{3}[-.]\d{3}[-.]\d{4}\b|\b\d{3}-\d{2}-\d{4}\b",
    )
});
/// A secret that says of itself what it is.
static PREFIXED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:key|tok|token|sk|pk|rk|whsec|secret|pat|api|phc|phx|ph[asr]|gh[a-z]|github_pat|glpat|xox[a-z]|akia|aiza|ya29|mcp|wk|amp)[_.-]?[a-z0-9_-]*_[\w-]{4,}|\b(?:sk|pk|rk|glpat|xox[a-z]|tok)-[\w-]{8,}|\bAKIA[0-9A-Z]{12,}|\bAIza[\w-]{20,}",
    )
});
static TOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9_+/=-]{20,}"));
static SENSITIVE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)pass(?:w|code|phrase|_|-|$)|pwd|secret|token|csrf|xsrf|api[_-]?key|card|(?:^|[_-])cc(?:[_-]|$)|\bcc-|cvc|cvv|csc|iban|bic\b|ssn|social[_-]?security|tax[_-]?id|otp|one-time-code|(?:^|[_-])pin(?:[_-]|$)|verification|security[_-]?code|reset[_-]?code|auth(?:$|[_-])|credential|birth|dob\b",
    )
});

fn is_mask(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + Clone + '_ {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// By the sum that card numbers have (Luhn).
fn is_card(text: &str) -> bool {
    let doubled = |(at, digit): (usize, u32)| match (at % 2, digit * 2) {
        (0, _) => digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    let sum: u32 = digits(text).rev().enumerate().map(doubled).sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// By the sum that account numbers have (ISO 13616).
fn is_iban(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let (head, tail) = plain.split_at(4);
    let rest = tail.chars().chain(head.chars()).fold(0_u32, |rest, c| {
        let value = c.to_digit(36).unwrap_or_default();
        (rest * if value > 9 { 100 } else { 10 } + value) % 97
    });
    rest == 1
}

/// Not a date, nor a few numbers side by side.
fn is_phone(text: &str) -> bool {
    static DATE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\d{1,2}[ ./-]\d{1,2}[ ./-]\d{2,4}|^\d{4}-\d{2}-\d{2}"));
    (7..=16).contains(&digits(text).count()) && !DATE.is_match(text)
}

/// Whether a run of letters and digits is too mixed to be words: long, and letters and digits take turns.
fn is_token(text: &str) -> bool {
    let text = text.trim_end_matches('=');
    let is_run = |run: &&str| {
        let turns = run.as_bytes().windows(2).filter(|two| class(two[0]) != class(two[1])).count();
        run.len() >= 16 && has_digit(run) && turns >= 3 || run.len() >= 24 && turns >= 6
    };
    text.len() >= 20
        && text.is_ascii()
        && (text.split(['-', '_', '/', '+', '=', '.']).any(|run| is_run(&run)) || {
            let mixed = text.split(['-', '_']).filter(|run| run.len() > 3 && has_digit(run));
            mixed.filter(|run| run.bytes().any(|byte| byte.is_ascii_alphabetic())).count() >= 2
        })
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}
